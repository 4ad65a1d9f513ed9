//! The state of a repository when it was opened: its directories, and the files that define it.

use crate::{
    beneath::Folder,
    error::{Error, Result},
    repo::roots::Location,
};
use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

/// The directories of a repository, open since they were authorised.
#[derive(Debug)]
pub(crate) struct Folders {
    pub(crate) worktree: Option<Folder>,
    pub(crate) git_dir: Folder,
    pub(crate) common_dir: Folder,
}

impl Folders {
    pub(crate) fn open(location: &Location) -> Result<Self> {
        let open = |path: &PathBuf| Folder::open(path).map_err(Error::io(format!("opening {}", path.display())));
        Ok(Self {
            worktree: location.worktree.as_ref().map(open).transpose()?,
            git_dir: open(&location.git_dir)?,
            common_dir: open(&location.common_dir)?,
        })
    }
}

/// Identifies a state of a file, to detect a replacement, a rewrite or a removal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FileState {
    pub(crate) path: PathBuf,
    state: Option<State>,
    counts_entries: bool,
}

/// Device, inode, size and times.
type State = (u64, u64, u64, [i64; 4]);

fn times(m: &fs::Metadata) -> State {
    // A process can reset the modification time, but not the inode change time.
    (m.dev(), m.ino(), m.size(), [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()])
}

impl FileState {
    pub(crate) fn of(path: PathBuf) -> Self {
        let state = fs::symlink_metadata(&path).ok().map(|m| {
            // A directory's times change with every entry; only its identity matters.
            if m.is_dir() { (m.dev(), m.ino(), 0, [0; 4]) } else { times(&m) }
        });
        Self { path, state, counts_entries: false }
    }

    /// The same for a folder whose entries matter: their creation and removal change its times.
    pub(crate) fn of_entries(path: PathBuf) -> Self {
        let state = fs::symlink_metadata(&path).ok().map(|m| times(&m));
        Self { path, state, counts_entries: true }
    }

    pub(crate) fn is_current(&self) -> bool {
        let now = if self.counts_entries { Self::of_entries(self.path.clone()) } else { Self::of(self.path.clone()) };
        now == *self
    }
}
