//! The sides of a difference, and what of it is shown.

use crate::{name::RelPath, read::patch::Keep, repo::settings::Settings};
use gix::ObjectId;

/// The two sides of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// The index against the working tree.
    Unstaged,
    /// `HEAD` against the index.
    Staged,
    /// A commit against the working tree.
    Worktree(ObjectId),
    /// A commit or tree, or the empty tree, against another.
    Trees(Option<ObjectId>, ObjectId),
}

impl Sides {
    /// The path prefixes of both sides in a patch.
    pub(crate) fn prefixes(self, settings: &Settings) -> [&str; 2] {
        match (&settings.prefixes, self) {
            (Some([old, new]), _) => [old, new],
            (None, Self::Unstaged) => ["i/", "w/"],
            (None, Self::Worktree(_)) => ["c/", "w/"],
            (None, Self::Staged) => ["c/", "i/"],
            (None, Self::Trees(..)) => ["a/", "b/"],
        }
    }
}

/// What to compare and how to show it.
#[derive(Clone, Debug)]
pub struct DiffQuery {
    /// The two sides.
    pub sides: Sides,
    /// Only these paths; all when empty.
    pub paths: Vec<RelPath>,
    /// Paths to exclude.
    pub exclude: Vec<RelPath>,
    /// Lines of context around each change; as configured if absent.
    pub context: Option<u32>,
    /// How much of the patch to keep.
    pub keep: Keep,
}

impl DiffQuery {
    /// Whether a path is compared.
    pub(crate) fn wants(&self, path: &[u8]) -> bool {
        let covers = |paths: &[RelPath]| paths.iter().any(|other| other.covers(path));
        (self.paths.is_empty() || covers(&self.paths)) && !covers(&self.exclude)
    }
}
