//! Bounded reads of regular files. Other files are skipped: a pipe would block the doctor.

use rustix::fs::OFlags;
use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Maximum number of linked worktrees checked per repository.
const MAX_WORKTREES: usize = 200;
/// Maximum size of a one-line file, in bytes.
const MAX_LINE: u64 = 64 << 10;

/// The text of the regular file at `path`, or its first `limit` bytes.
pub(super) fn text_of(path: &Path, limit: u64) -> Option<String> {
    read(path, limit, 0)
}

/// The last `limit` bytes of the regular file at `path`, as text.
pub(super) fn tail_of(path: &Path, limit: u64) -> Option<String> {
    read(path, limit, fs::metadata(path).ok()?.len().saturating_sub(limit))
}

fn read(path: &Path, limit: u64, start: u64) -> Option<String> {
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).ok()?;
    let mut file = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The first line of the regular file at `path`.
pub(super) fn line_of(path: &Path) -> Option<String> {
    Some(text_of(path, MAX_LINE)?.lines().next()?.trim_end().to_owned())
}

/// The regular files below `folder`, among its first `limit` entries. No link is followed.
pub(super) fn files_below(folder: &Path, limit: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut queue = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(dir) = queue.pop() {
        if fs::symlink_metadata(&dir).is_ok_and(|meta| meta.is_symlink()) {
            continue;
        }
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            if seen > limit {
                return found;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => queue.push(entry.path()),
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

/// The linked worktrees of a repository: the directory that git keeps for each, and the path of its `.git` file.
pub(super) fn linked_worktrees(common_dir: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(common_dir.join("worktrees")).into_iter().flatten().flatten();
    let named = entries.take(MAX_WORKTREES).filter_map(|entry| {
        let admin = entry.path();
        let dot_git = admin.join(line_of(&admin.join("gitdir"))?);
        Some((admin, dot_git))
    });
    named.collect()
}
