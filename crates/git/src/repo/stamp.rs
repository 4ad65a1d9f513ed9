//! A cheap sign of change: what HEAD, the index, the references and an operation in progress look like from outside.

use crate::repo::Repo;
use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The most references that are looked at; beyond them a change of one alone is not seen.
const MAX_REFS: usize = 20_000;
/// What an operation in progress leaves, besides the files that every change touches.
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

/// How a repository looked from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// A number that is another one once something has changed. It is good for comparing within this process.
    pub mark: u64,
    /// When the last of it was changed.
    pub newest: SystemTime,
}

impl Repo {
    /// Looks at HEAD, the index, the references and an operation in progress. Edits in the working tree that are not staged
    /// do not count.
    pub fn stamp(&self) -> Stamp {
        let mut stamp = Taking { hasher: DefaultHasher::new(), newest: UNIX_EPOCH };
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
                    return stamp.taken();
                }
                match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => queue.push(path),
                    meta => stamp.record(&path, meta.ok()),
                }
            }
        }
        stamp.taken()
    }
}

struct Taking {
    hasher: DefaultHasher,
    newest: SystemTime,
}

impl Taking {
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

    fn taken(self) -> Stamp {
        Stamp { mark: self.hasher.finish(), newest: self.newest }
    }
}
