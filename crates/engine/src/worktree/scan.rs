//! A scan of the whole working tree, and its result.

use crate::{
    beneath::Folder,
    index::Index,
    rules::Ignore,
    worktree::{content::Content, nested::Own, stat::Comparison},
};
use gix::ObjectId;

/// Which untracked files a scan lists (`status.showUntrackedFiles`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Untracked {
    /// None.
    No,
    /// A directory without tracked files is listed itself.
    #[default]
    Normal,
    /// Each file.
    All,
}

/// A tracked path that differs from the index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// The path.
    pub path: Vec<u8>,
    /// The letter of `git status --short`: `M`, `T`, `D`, or `A` for a file that is intended to be added.
    pub letter: u8,
}

/// A working tree, and how to compare it with its index.
#[derive(Clone, Copy, Debug)]
pub struct Worktree<'a> {
    /// The top directory.
    pub top: &'a Folder,
    /// The git directory of this working tree.
    pub git_dir: &'a Folder,
    /// The git directory of all its working trees.
    pub common_dir: &'a Folder,
    /// The index.
    pub index: &'a Index,
    /// Objects and conversions.
    pub content: &'a Content<'a>,
    /// The ignore rules outside of the working tree.
    pub ignore: &'a Ignore,
    /// The metadata that counts.
    pub comparison: Comparison,
    /// The untracked files to list.
    pub untracked: Untracked,
    /// Files outside of the sparse working tree are compared if they exist: git does so with `core.sparseCheckout`.
    pub sparse: bool,
}

/// The differences between a working tree and its index, and what a later scan of a part needs to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Tracked paths that differ, sorted. Paths in conflict are not among them.
    pub changes: Vec<Change>,
    /// Untracked paths, sorted. A directory ends with a slash.
    pub untracked: Vec<Vec<u8>>,
    /// The directories that were read, sorted: each with a slash at its end, the top empty.
    pub directories: Vec<Vec<u8>>,
    /// Tracked files with several hard links: a change elsewhere changes them as well.
    pub hard_linked: Vec<Vec<u8>>,
    /// Tracked files whose metadata does not prove that they are unchanged.
    pub racy: Vec<Vec<u8>>,
    /// Directories on another device than the one above them.
    pub mounts: Vec<Vec<u8>>,
    /// Submodules that are checked out, with the commit in the index. They are not compared.
    pub submodules: Vec<(Vec<u8>, ObjectId)>,
    /// Directories listed or not by what is in another git directory.
    pub unsettled: Vec<Vec<u8>>,
    /// The file of a path in conflict is missing, though it is on our side.
    pub lost_conflict: bool,
    /// There are more differences than were collected.
    pub truncated: bool,
}

impl Worktree<'_> {
    pub(super) fn own(&self) -> Own<'_> {
        Own { top: self.top, git_dir: self.git_dir, common_dir: self.common_dir }
    }
}

impl Scan {
    /// Number of differences.
    pub(super) fn size(&self) -> usize {
        self.changes.len() + self.untracked.len()
    }

    pub(super) fn absorb(&mut self, mut other: Self) {
        self.changes.append(&mut other.changes);
        self.untracked.append(&mut other.untracked);
        self.directories.append(&mut other.directories);
        self.hard_linked.append(&mut other.hard_linked);
        self.racy.append(&mut other.racy);
        self.mounts.append(&mut other.mounts);
        self.submodules.append(&mut other.submodules);
        self.unsettled.append(&mut other.unsettled);
        self.lost_conflict |= other.lost_conflict;
        self.truncated |= other.truncated;
    }
}
