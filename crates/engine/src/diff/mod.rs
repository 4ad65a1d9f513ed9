//! Differences of file contents, with git's own results.

pub mod text;
pub mod xdiff;
