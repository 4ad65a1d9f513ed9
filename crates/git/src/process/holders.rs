//! Local processes that hold a file open or work in a directory, on systems with `/proc`.

pub use crate::error::Owner;
use crate::{
    beneath::{Kind, read_own},
    error::{Holder, LockFile},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// Whether the system lists its processes in `/proc`.
pub fn are_listed() -> bool {
    Path::new("/proc/self/fd").exists()
}

/// The process that holds the file at `path` open. Only root sees other users' processes.
pub fn holder_of(path: &Path) -> Option<Owner> {
    // The system lists resolved paths.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    holder(|target| target == real)
}

/// The first process with an open descriptor whose target matches `leads`.
pub fn holder(mut leads: impl FnMut(&Path) -> bool) -> Option<Owner> {
    all().find(|(process, _)| descriptors(&process.join("fd")).iter().any(|target| leads(target))).map(|(_, owner)| owner)
}

/// A process whose program name begins with `name` and whose current directory is in or below one of `folders`.
#[expect(clippy::disallowed_methods, reason = "a link of the system, not of a repository")]
pub fn at_work_in(name: &str, folders: &[&Path]) -> Option<Owner> {
    all()
        .find(|(process, owner)| {
            let is_inside = |cwd: PathBuf| folders.iter().any(|folder| cwd.starts_with(folder));
            owner.name.starts_with(name) && fs::read_link(process.join("cwd")).is_ok_and(is_inside)
        })
        .map(|(_, owner)| owner)
}

fn all() -> impl Iterator<Item = (PathBuf, Owner)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let name = read_own(&process.path().join("comm"), Kind::Line).unwrap_or_default();
        Some((process.path(), Owner { name: String::from_utf8_lossy(name.trim_ascii()).into_owned(), pid }))
    })
}

/// Targets of the open descriptors in a directory such as `/proc/1/fd`.
#[expect(clippy::disallowed_methods, reason = "a link of the system, not of a repository")]
pub fn descriptors(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect()
}

impl LockFile {
    /// Describes the lock at `path`; a git process working in `places` may hold it.
    pub(crate) fn at(path: PathBuf, places: &[&Path]) -> Self {
        let holder = match holder_of(&path).or_else(|| at_work_in("git", places)) {
            Some(owner) => Holder::Process(owner),
            None if !are_listed() || is_owned_by_another_user(&path) => Holder::Unknown,
            None => Holder::None,
        };
        Self { age: age(&path), path, holder }
    }
}

fn is_owned_by_another_user(path: &Path) -> bool {
    let user = rustix::process::geteuid();
    !user.is_root() && fs::symlink_metadata(path).is_ok_and(|meta| meta.uid() != user.as_raw())
}

/// The time since the file at `path` was last modified; zero if unknown.
pub(crate) fn age(path: &Path) -> Duration {
    let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
    modified.and_then(|time| SystemTime::now().duration_since(time).ok()).unwrap_or_default()
}
