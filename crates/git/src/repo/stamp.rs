//! Cheap change detection from file metadata of HEAD, the index, the references and an operation in progress.

use crate::repo::Repo;
use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// Maximum number of references checked; changes beyond it may be missed.
const MAX_REFS: usize = 20_000;
/// Files that every change or an operation in progress touches.
const SIGNS: [&str; 9] = [
    "HEAD",
    "index",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "rebase-merge/msgnum",
    "rebase-apply/next",
    "BISECT_LOG",
    "sequencer/todo",
];

/// A summary of a repository's file metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// A hash that changes with the repository. Comparable only within this process.
    pub mark: u64,
    /// The latest modification time.
    pub newest: SystemTime,
}

impl Repo {
    /// Covers HEAD, the index, the references and an operation in progress, but not unstaged edits.
    pub fn stamp(&self) -> Stamp {
        let mut stamp = StampBuilder { hasher: DefaultHasher::new(), newest: UNIX_EPOCH };
        let location = self.location();
        for sign in SIGNS {
            stamp.note(&location.git_dir.join(sign));
        }
        stamp.note(&location.common_dir.join("packed-refs"));
        let mut queue: Vec<PathBuf> = vec![location.common_dir.join("refs"), location.common_dir.join("reftable")];
        let mut seen = 0;
        while let Some(dir) = queue.pop() {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            found.sort();
            for path in found {
                seen += 1;
                if seen > MAX_REFS {
                    return stamp.finish();
                }
                match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => queue.push(path),
                    meta => stamp.record(&path, meta.ok()),
                }
            }
        }
        stamp.finish()
    }
}

struct StampBuilder {
    hasher: DefaultHasher,
    newest: SystemTime,
}

impl StampBuilder {
    fn note(&mut self, path: &Path) {
        self.record(path, path.symlink_metadata().ok());
    }

    fn record(&mut self, path: &Path, meta: Option<Metadata>) {
        path.hash(&mut self.hasher);
        if let Some(meta) = meta {
            (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()).hash(&mut self.hasher);
            self.newest = self.newest.max(meta.modified().unwrap_or(UNIX_EPOCH));
        }
    }

    fn finish(self) -> Stamp {
        Stamp { mark: self.hasher.finish(), newest: self.newest }
    }
}
