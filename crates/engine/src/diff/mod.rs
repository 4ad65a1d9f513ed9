//! Differences of file contents, with git's own results.

pub mod combined;
pub mod output;
pub mod patch;
pub mod renames;
pub mod text;
pub mod xdiff;
