//! The last commit of each line of a file, with git's own algorithm.
//!
//! Lines start at the newest version. Each commit passes those that it did not change to its parents, in their order,
//! and keeps the rest. A file that a parent lacks may have been renamed from one that the commit removed.

mod hunks;
mod objects;
mod renames;
mod trees;
mod walk;

use crate::{
    error::{Error, Result},
    stop::Stop,
};
use gix::ObjectId;
use std::{ops::Range, sync::Arc};

/// The lines to blame.
pub struct Request<'a> {
    /// The commit to start from.
    pub commit: ObjectId,
    /// The path of the file.
    pub path: &'a [u8],
    /// The content in the working tree, as git would store it. Absent to blame the version of `commit`.
    pub worktree: Option<Vec<u8>>,
    /// The first line, from 1.
    pub start: Option<u64>,
    /// The last line.
    pub end: Option<u64>,
    /// Whether the file at a path is binary, if attributes decide that.
    pub binary: &'a dyn Fn(&[u8]) -> Result<Option<bool>>,
}

/// The result.
#[derive(Debug)]
pub struct Blamed {
    /// The whole content of the file.
    pub content: Arc<Vec<u8>>,
    /// The lines asked for, in order.
    pub spans: Vec<Span>,
}

/// Adjacent lines of one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The lines, from 0.
    pub lines: Range<u32>,
    /// The commit; `None` for lines that are not committed.
    pub commit: Option<ObjectId>,
}

/// Finds the commit of each line.
///
/// # Errors
///
/// [`Error::Unsupported`] and [`Error::Corrupt`] for what only git answers, including a file or lines that do not
/// exist; [`Error::Stopped`].
pub fn blame(repo: &gix::Repository, request: Request<'_>, stop: &dyn Stop) -> Result<Blamed> {
    let mut walk = walk::Walk::new(repo, request.binary, stop)?;
    let content = walk.start(request.commit, request.path, request.worktree)?;
    let lines = range(request.start, request.end, hunks::count(&content))?;
    let spans = walk.run(lines)?;
    Ok(Blamed { content, spans })
}

/// The lines that `git blame -L` takes, out of `count`.
fn range(start: Option<u64>, end: Option<u64>, count: u32) -> Result<Range<u32>> {
    if start.is_none() && end.is_none() {
        return Ok(0..count);
    }
    let (start, end) = match (start.unwrap_or(1), end) {
        (start, None) => (start, u64::MAX),
        // git takes the lines from the lower to the higher number.
        (start, Some(end)) => (start.min(end), start.max(end)),
    };
    if start == 0 || start > u64::from(count) {
        return Err(Error::Unsupported("lines that the file lacks"));
    }
    let start = u32::try_from(start - 1).unwrap_or(u32::MAX);
    Ok(start..u32::try_from(end).unwrap_or(u32::MAX).min(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_git_does() -> Result<()> {
        for (start, end, count, expect) in [
            (None, None, 0, 0..0),
            (None, None, 3, 0..3),
            (Some(2), None, 3, 1..3),
            (None, Some(2), 3, 0..2),
            (Some(2), Some(9), 3, 1..3),
            (Some(3), Some(2), 3, 1..3),
            (Some(9), Some(2), 3, 1..3),
            (Some(3), Some(3), 3, 2..3),
        ] {
            assert_eq!(range(start, end, count)?, expect);
        }
        for (start, end, count) in [(Some(4), None, 3), (Some(1), None, 0), (None, Some(1), 0), (Some(0), None, 3), (Some(5), Some(4), 3)] {
            assert!(range(start, end, count).is_err());
        }
        Ok(())
    }
}
