//! Compares two texts by lines, with exactly the result of git's xdiff.
//!
//! The steps are git's: equal lines get one number (`classes`), ends in common and lines without a counterpart are set
//! aside (`prepare`), the shortest script is searched with git's limits (`myers`), and its groups are moved to where
//! people expect them (`compact`).

mod classes;
mod compact;
mod myers;
mod prepare;

use crate::{
    diff::text::{Lines, position},
    error::Result,
    stop::Stop,
};
use std::ops::Range;

/// How texts are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one option of git")]
pub struct Options {
    /// Lines are equal if they differ in white space only (`-w`).
    pub ignore_space: bool,
    /// Spends any time for the shortest script (`--minimal`).
    pub minimal: bool,
    /// Moves groups by the indentation around them (`diff.indentHeuristic`, git's default).
    pub indent_heuristic: bool,
    /// Leaves out an equal end of the texts first, as git does when it shows no context (`-U0`, and blame). This may
    /// change the result.
    pub no_context: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { ignore_space: false, minimal: false, indent_heuristic: true, no_context: false }
    }
}

/// Lines of `before` that were replaced by lines of `after`; one of both may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Lines removed.
    pub before: Range<u32>,
    /// Lines added.
    pub after: Range<u32>,
}

/// The hunks that change `a` to `b`, in order.
///
/// # Errors
///
/// [`Error::Unsupported`](crate::Error::Unsupported) for texts of a gigabyte, [`Error::Stopped`](crate::Error::Stopped).
pub fn lines(a: &[u8], b: &[u8], options: Options, stop: &dyn Stop) -> Result<Vec<Hunk>> {
    let (a, b) = if options.no_context { without_common_end(a, b) } else { (a, b) };
    hunks(&Lines::of(a)?, &Lines::of(b)?, options, stop)
}

/// The hunks between texts that are split into lines. `no_context` has no effect here.
///
/// # Errors
///
/// [`Error::Stopped`](crate::Error::Stopped).
pub fn hunks(a: &Lines, b: &Lines, options: Options, stop: &dyn Stop) -> Result<Vec<Hunk>> {
    stop.check()?;
    let [mut a, mut b] = classes::classify(a, b, options.ignore_space);
    let [old, new] = prepare::prepare(&mut a, &mut b);
    stop.check()?;
    myers::mark([&mut a, &mut b], [&old, &new], options.minimal, stop)?;
    compact::compact(&mut a, &mut b, options.indent_heuristic, stop)?;
    compact::compact(&mut b, &mut a, options.indent_heuristic, stop)?;
    Ok(script(&a.changed, &b.changed))
}

/// One text while it is compared.
struct File<'a> {
    lines: &'a Lines<'a>,
    /// The number of each line; equal lines have equal numbers.
    classes: Vec<u32>,
    /// Whether each line is removed or added.
    changed: Vec<bool>,
    /// How often the lines of each class occur in the other text.
    elsewhere: Vec<u32>,
}

/// The size of the blocks in which git looks for an equal end.
const BLOCK: usize = 1024;

/// Both texts without their equal end, in whole blocks; the first line in it is kept.
fn without_common_end<'a>(a: &'a [u8], b: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let mut equal = 0;
    for (x, y) in a.rchunks_exact(BLOCK).zip(b.rchunks_exact(BLOCK)) {
        if x != y {
            break;
        }
        equal += BLOCK;
    }
    let end = &a[a.len() - equal..];
    let line = end.iter().position(|&byte| byte == b'\n').map_or(end.len(), |at| at + 1);
    let trimmed = equal - line;
    (&a[..a.len() - trimmed], &b[..b.len() - trimmed])
}

/// The hunks in which lines are changed.
fn script(a: &[bool], b: &[bool]) -> Vec<Hunk> {
    let (mut hunks, mut i, mut j) = (Vec::new(), 0, 0);
    let run = |changed: &[bool], at: usize| changed[at..].iter().take_while(|changed| **changed).count();
    while i < a.len() || j < b.len() {
        let (removed, added) = (run(a, i), run(b, j));
        if removed + added > 0 {
            let range = |at: usize, len: usize| position(at)..position(at + len);
            hunks.push(Hunk { before: range(i, removed), after: range(j, added) });
        }
        // Both are at an unchanged line, or at their ends.
        i = (i + removed + 1).min(a.len());
        j = (j + added + 1).min(b.len());
    }
    hunks
}
