//! The working tree against the index: changed tracked files, and untracked ones, in one pass over the directories.
//!
//! A tracked directory is the unit of work: its entries of the index, its entries on disk, and the untracked directories
//! directly below it. So the state of one directory can be read again without the others.

mod content;
mod folder;
mod names;
mod nested;
mod refresh;
mod scan;
mod stat;
mod untracked;
mod walk;

pub use content::Content;
pub use refresh::{Refresh, Refreshed};
pub use scan::{Change, Scan, Untracked, Worktree};
pub use stat::Comparison;
