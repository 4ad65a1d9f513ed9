//! Submodules that git does not update.

use super::{Error, LockFile};
use std::path::PathBuf;

/// A submodule that cannot be updated because of the state of its folder or git directory.
#[derive(Debug, thiserror::Error)]
#[error("the submodule `{path}` was not updated: {cause}")]
pub struct InSubmodule {
    /// The submodule.
    pub path: String,
    /// Its folder.
    pub place: PathBuf,
    /// The reason.
    pub cause: Obstacle,
}

/// What prevents the update of a submodule. The texts are those of the same errors outside of submodules.
#[derive(Debug, thiserror::Error)]
pub enum Obstacle {
    /// A link in place of its folder.
    #[error("{} is a link", .0.display())]
    Link(PathBuf),
    /// The git directory that its folder names does not exist.
    #[error("not a git repository: {}", .0.display())]
    NotARepository(PathBuf),
    /// A held lock.
    #[error("{0}")]
    Locked(LockFile),
    /// Uncommitted changes to tracked files that git would overwrite.
    #[error("uncommitted changes would be overwritten: {}", .0.join(", "))]
    Uncommitted(Vec<String>),
    /// Untracked files that would be overwritten.
    #[error("untracked files would be overwritten: {}", .0.join(", "))]
    WouldOverwrite(Vec<String>),
}

impl InSubmodule {
    /// Converts into [`Error`].
    pub(crate) fn error(self) -> Error {
        Error::InSubmodule(Box::new(self))
    }
}
