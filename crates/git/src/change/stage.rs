//! In-process staging of regular files, equivalent to `git add`.
//!
//! Only if the result is certain to be git's. Any special case is left to git before the index is touched.

use super::index_write::SCRATCH;
use crate::{
    beneath::to_path,
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{self, trace},
    read::scan::answered,
    repo::{Repo, route::only_git},
};
use engine::{
    index::{Entry, Index, NewEntry, Stat},
    worktree::Refresh,
};
use gix::{
    bstr::{BStr, ByteSlice},
    index::entry::Mode,
    worktree::stack::state::ignore::Source,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

/// Maximum number of files, and maximum size of one.
const MAX_FILES: usize = 64;
const MAX_SIZE: u64 = 4 << 20;
/// Modes of regular files.
const FILE: u32 = 0o100_644;
const EXECUTABLE: u32 = 0o100_755;

impl Repo {
    /// Stages the files at `paths`, or leaves that to git.
    pub(super) fn stage(&self, engine: &gix::Repository, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree()?;
        if !self.keeps_plain_index() || paths.len() > MAX_FILES || !paths.iter().all(|path| is_ordinary(path.as_bytes())) {
            return Err(only_git("index settings, or a special name"));
        }
        let (mut index, stamp) = self.plain_index(engine, cancel)?;
        let names: BTreeSet<&BStr> = paths.iter().map(|path| path.as_bytes().as_bstr()).collect();
        let (top, content, mut staged) = (self.worktree_folder()?, self.content(engine), BTreeMap::new());
        for path in &names {
            cancel.check()?;
            Self::check_place(worktree, path)?;
            if answered(content.converts(top, &index, path), cancel)? {
                return Err(only_git("a file that is converted"));
            }
            let (file, found) = top.file(to_path(path)).map_err(Error::engine)?;
            let (stat, mode) = (Stat::of(&found), if found.mode() & 0o100 == 0 { FILE } else { EXECUTABLE });
            let known = index.find(path, 0);
            match known {
                None => check_new(self, engine, &index, path, mode, force)?,
                Some(entry) if is_unchanged(&index, entry, &stat, mode)? => continue,
                Some(_) => {}
            }
            let blob = read_file(file, &found)?;
            let id = gix::objs::compute_hash(engine.object_hash(), gix::objs::Kind::Blob, &blob).map_err(Error::engine)?;
            if !engine.objects.exists_without_refresh(&id) {
                engine.write_blob(&blob).map_err(Error::engine)?;
            } else if known.is_none_or(|entry| entry.id != id) {
                return Err(only_git("an existing object that pruning must not remove"));
            }
            staged.insert(path.to_vec(), Some(NewEntry { stat, id, mode }));
        }
        if staged.is_empty() {
            return Ok(());
        }
        let refresh = Refresh { top, content: &content, comparison: self.settings.status.comparison };
        let smudged = answered(refresh.racy(&index, |path| names.contains(path.as_bstr()), cancel), cancel)?;
        for at in smudged {
            index.smudge(at);
        }
        answered(index.apply(&staged), cancel)?;
        self.replace_index(engine, &index, stamp)
    }

    /// Removes files left by a server that was killed while replacing the index.
    ///
    /// # Errors
    ///
    /// If a file cannot be inspected or removed.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        self.within(process::Mode::Change, || self.remove_own_locks()).map_err(io::Error::other)?
    }

    fn remove_own_locks(&self) -> io::Result<()> {
        let lock = self.location.git_dir.join("index.lock");
        for entry in fs::read_dir(&self.location.git_dir)?.flatten() {
            let name = entry.file_name();
            let trace = name.to_str().and_then(|name| name.strip_prefix(trace::SCRATCH));
            let Some(rest) = trace.or_else(|| name.to_str()?.strip_prefix(SCRATCH)) else { continue };
            let pid = rest.split('-').next().unwrap_or_default();
            if Path::new("/proc/self").exists() && Path::new("/proc").join(pid).exists() {
                continue;
            }
            if trace.is_some() {
                fs::remove_dir_all(entry.path())?;
                continue;
            }
            let ours = entry.metadata()?;
            // The lock is ours if it is a hard link to this file.
            if fs::symlink_metadata(&lock).is_ok_and(|lock| (lock.dev(), lock.ino()) == (ours.dev(), ours.ino())) {
                fs::remove_file(&lock)?;
            }
            fs::remove_file(entry.path())?;
        }
        Ok(())
    }

    /// Leaves to git files behind links or in a nested repository.
    fn check_place(worktree: &Path, path: &BStr) -> Result<()> {
        for end in path.find_iter("/") {
            // Without a trailing slash, which would follow a link.
            let dir = worktree.join(OsStr::from_bytes(&path[..end]));
            if !fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) || dir.join(".git").symlink_metadata().is_ok() {
                return Err(only_git("a link or repository in the path"));
            }
        }
        Ok(())
    }
}

/// True for names of letters, digits and marks that neither file systems nor git treat specially.
fn is_ordinary(path: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+=@,() /".contains(byte);
    let is_name = |name: &[u8]| !name.is_empty() && !name.starts_with(b" ") && !name.to_ascii_lowercase().starts_with(b".git");
    path.iter().all(is_plain) && path.split(|&byte| byte == b'/').all(|name| is_name(name) && name != b"." && name != b"..")
}

/// Reads a regular file.
fn read_file(file: File, found: &fs::Metadata) -> Result<Vec<u8>> {
    if found.len() > MAX_SIZE {
        return Err(only_git("a large file"));
    }
    let mut content = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut content).map_err(Error::engine)?;
    if content.len() as u64 == found.len() { Ok(content) } else { Err(only_git("a file that is being written")) }
}

/// True if the metadata proves that the file has the content that is already staged.
fn is_unchanged(index: &Index, entry: &Entry, now: &Stat, mode: u32) -> Result<bool> {
    let known = &entry.stat;
    let is_marked = known.size == 0 && !entry.id.is_empty_blob();
    let seconds = |stat: &Stat| (stat.mtime.seconds, stat.ctime.seconds, stat.ino, stat.uid, stat.gid, stat.size);
    if is_marked || entry.mode != mode || index.is_racy(entry) || seconds(known) != seconds(now) {
        return Ok(false);
    }
    // Builds of git disagree whether nanoseconds and the device count.
    if known == now { Ok(true) } else { Err(only_git("a file that changed within a second")) }
}

/// Leaves to git a new file that replaces a folder or vice versa, or that is ignored.
fn check_new(repo: &Repo, engine: &gix::Repository, index: &Index, path: &BStr, mode: u32, force: bool) -> Result<()> {
    let is_over = path.find_iter("/").any(|end| index.find(&path[..end], 0).is_some());
    if is_over || !index.range_of_dir(path).is_empty() {
        return Err(only_git("a file that replaces a folder or vice versa"));
    }
    if !force {
        // git reads ignore files that are only staged in a sparse working tree.
        let staged = gix::index::State::new(engine.object_hash());
        let mut excludes = engine.excludes(&staged, None, Source::WorktreeThenIdMappingIfNotSkipped).map_err(Error::engine)?;
        let mode = if mode == FILE { Mode::FILE } else { Mode::FILE_EXECUTABLE };
        if excludes.at_entry(path, Some(mode)).map_err(Error::engine)?.is_excluded() {
            return Err(only_git("an ignored file"));
        }
        let folders = path.find_iter("/").map(|end| path[..=end].as_bytes()).chain([&b""[..]]);
        if repo.has_odd_ignore_patterns(folders) {
            return Err(only_git("ignore patterns that the engine reads differently"));
        }
    }
    Ok(())
}
