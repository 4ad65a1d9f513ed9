//! A cheap sign of change: what HEAD, the index, the references and an operation in progress look like from outside.

use crate::repo::Repo;
use std::{
    fs::{self, Metadata},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
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

impl Repo {
    /// A number that is another one once HEAD, the index, a reference or an operation in progress has changed.
    /// Edits in the working tree that are not staged do not count. It is good for comparing within this process.
    pub fn stamp(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let location = self.location();
        for sign in SIGNS {
            note(&location.git_dir.join(sign), &mut hasher);
        }
        note(&location.common_dir.join("packed-refs"), &mut hasher);
        let mut queue: Vec<PathBuf> = vec![location.common_dir.join("refs"), location.common_dir.join("reftable")];
        let mut seen = 0;
        while let Some(dir) = queue.pop() {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
            found.sort();
            for path in found {
                seen += 1;
                if seen > MAX_REFS {
                    return hasher.finish();
                }
                match path.symlink_metadata() {
                    Ok(meta) if meta.is_dir() => queue.push(path),
                    meta => record(&path, meta.ok(), &mut hasher),
                }
            }
        }
        hasher.finish()
    }
}

fn note(path: &Path, hasher: &mut DefaultHasher) {
    record(path, path.symlink_metadata().ok(), hasher);
}

fn record(path: &Path, meta: Option<Metadata>, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    if let Some(meta) = meta {
        (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()).hash(hasher);
    }
}
