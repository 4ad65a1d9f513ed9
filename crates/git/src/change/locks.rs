//! Lock files of a repository: listing them with their holders, and removing stale ones.

use crate::{
    cancel::Cancel,
    error::{Error, LockFile, Result},
    process::{Mode, holders::age},
    repo::Repo,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lock files of a worktree, in its own git directory.
const OWN: [&str; 11] = [
    "index.lock",
    "HEAD.lock",
    "ORIG_HEAD.lock",
    "FETCH_HEAD.lock",
    "MERGE_HEAD.lock",
    "CHERRY_PICK_HEAD.lock",
    "REVERT_HEAD.lock",
    "BISECT_HEAD.lock",
    "AUTO_MERGE.lock",
    "config.worktree.lock",
    "info/sparse-checkout.lock",
];
/// Lock files of a repository, in the directory shared by its worktrees.
const SHARED: [&str; 7] = [
    "shallow.lock",
    "packed-refs.lock",
    "config.lock",
    "objects/maintenance.lock",
    "objects/info/commit-graph.lock",
    "objects/info/commit-graphs/commit-graph-chain.lock",
    "objects/pack/multi-pack-index.lock",
];
/// Directories of references and reflogs, with one lock file per reference.
const REFERENCES: [&str; 3] = ["refs", "logs", "reftable"];
/// Maximum number of entries scanned in such a directory.
const MAX_ENTRIES: usize = 10_000;
/// Maximum number of linked worktrees scanned.
const MAX_WORKTREES: usize = 200;
/// Maximum number of locks returned.
const MAX_LOCKS: usize = 20;

impl Repo {
    /// The lock files of this worktree and the shared directory; of all worktrees if `everywhere`.
    pub fn lock_files(&self, everywhere: bool) -> Vec<LockFile> {
        let location = self.location();
        let mut dirs = vec![location.git_dir.clone(), location.common_dir.clone()];
        let linked = || fs::read_dir(location.common_dir.join("worktrees")).into_iter().flatten().flatten().map(|entry| entry.path());
        if everywhere {
            dirs.extend(linked().filter(|dir| dir.is_dir() && !dir.is_symlink()).take(MAX_WORKTREES));
        }
        dirs.sort();
        dirs.dedup();
        let mut found: Vec<PathBuf> = SHARED.iter().map(|name| location.common_dir.join(name)).collect();
        for dir in dirs {
            found.extend(OWN.iter().map(|name| dir.join(name)));
            found.extend(REFERENCES.iter().flat_map(|name| reference_locks(&dir.join(name))));
        }
        found.retain(|lock| fs::symlink_metadata(lock).is_ok_and(|meta| meta.is_file()));
        let places = self.workplaces();
        let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
        found.into_iter().take(MAX_LOCKS).map(|lock| LockFile::at(lock, &places)).collect()
    }

    /// The lock at `path`.
    pub(super) fn lock_file(&self, path: PathBuf) -> LockFile {
        let places = self.workplaces();
        LockFile::at(path, &places.iter().map(PathBuf::as_path).collect::<Vec<_>>())
    }

    /// The directories in which a git process that holds a lock of the repository may run.
    fn workplaces(&self) -> Vec<PathBuf> {
        let location = self.location();
        let mut places = vec![self.top().to_owned(), location.git_dir.clone(), location.common_dir.clone()];
        places.extend(location.common_dir.parent().filter(|_| location.common_dir.ends_with(".git")).map(Path::to_owned));
        let linked = fs::read_dir(location.common_dir.join("worktrees")).into_iter().flatten().flatten().take(MAX_WORKTREES);
        let worktree =
            |dir: PathBuf| crate::repo::roots::read_line(&dir.join("gitdir")).map(|line| dir.join(crate::beneath::to_path(&line)));
        places.extend(linked.filter_map(|dir| fs::canonicalize(worktree(dir.path())?.parent()?).ok()));
        places
    }

    /// Removes stale locks in all worktrees, and returns all locks found, including those kept.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if a lock cannot be removed.
    pub fn remove_locks(&self, cancel: &Cancel) -> Result<Vec<LockFile>> {
        let found = self.lock_files(true);
        let location = self.location();
        for lock in found.iter().filter(|lock| lock.is_stale()) {
            cancel.check()?;
            let failed = |err| Error::io(format!("removing {}", lock.path.display()))(err);
            // Neither a newer lock at the same path nor one behind a link.
            let is_here = lock.path.parent().and_then(|dir| fs::canonicalize(dir).ok()).is_some_and(|dir| {
                Some(dir.as_path()) == lock.path.parent() && (dir.starts_with(&location.git_dir) || dir.starts_with(&location.common_dir))
            });
            if is_here && age(&lock.path) >= lock.age {
                self.within(Mode::Change, || fs::remove_file(&lock.path))?.map_err(failed)?;
            }
        }
        Ok(found)
    }
}

/// The locks below a directory of references. No reference name ends in `.lock`, and no link is followed.
fn reference_locks(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut seen) = (Vec::new(), 0);
    let mut queue: Vec<PathBuf> = Some(dir.to_owned()).into_iter().filter(|dir| !dir.is_symlink()).collect();
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                return found;
            }
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => queue.push(path),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|extension| extension == "lock") => found.push(path),
                _ => {}
            }
        }
    }
    found
}
