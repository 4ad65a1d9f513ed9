//! The lines that a commit changed.

use crate::{
    diff::xdiff::{Hunk, Options, lines},
    error::Result,
    stop::Stop,
};
use gix::bstr::ByteSlice;
use std::{collections::HashSet, ops::Range};

/// Lines between the equal ends of two versions up to which they are compared without the whole.
const SMALL: usize = 512;

/// The number of lines.
pub(super) fn count(text: &[u8]) -> u32 {
    let rest = text.last().is_some_and(|&byte| byte != b'\n');
    u32::try_from(breaks(text) + usize::from(rest)).unwrap_or(u32::MAX)
}

fn breaks(text: &[u8]) -> usize {
    text.find_iter(b"\n").count()
}

/// The hunks between two versions, as `git blame` finds them.
pub(super) fn hunks(old: &[u8], new: &[u8], stop: &dyn Stop) -> Result<Vec<Hunk>> {
    if let Some(hunk) = one_hunk(old, new) {
        return Ok(vec![hunk]);
    }
    let options = Options { no_context: true, ..Options::default() };
    lines(old, new, options, stop)
}

/// The only hunk between two versions, if it is the only one that any comparison by lines finds: between their equal ends
/// no line is equal, and no group of changed lines can be moved up or down. Most changes in a history are such.
fn one_hunk(old: &[u8], new: &[u8]) -> Option<Hunk> {
    let (a, b) = between(old, new);
    let (was, is) = (old.get(a.clone())?, new.get(b.clone())?);
    let (before, after): (Vec<&[u8]>, Vec<&[u8]>) = (split(was)?, split(is)?);
    if before.is_empty() && after.is_empty() {
        return None;
    }
    let above = old.get(..a.start)?.lines_with_terminator().next_back();
    let below = old.get(a.end..)?.lines_with_terminator().next();
    let moves = |group: &[&[u8]]| {
        group.last().is_some_and(|last| above.is_some_and(|line| line == *last))
            || group.first().is_some_and(|first| below.is_some_and(|line| line == *first))
    };
    if moves(&before) || moves(&after) {
        return None;
    }
    if !before.is_empty() && !after.is_empty() {
        let known: HashSet<&[u8]> = before.iter().copied().collect();
        if after.iter().any(|line| known.contains(line)) {
            return None;
        }
    }
    let start = breaks(old.get(..a.start)?);
    let range = |lines: usize| Some(u32::try_from(start).ok()?..u32::try_from(start + lines).ok()?);
    Some(Hunk { before: range(before.len())?, after: range(after.len())? })
}

/// The lines of a text; `None` if there are many.
fn split(text: &[u8]) -> Option<Vec<&[u8]>> {
    let lines: Vec<&[u8]> = text.lines_with_terminator().take(SMALL + 1).collect();
    (lines.len() <= SMALL).then_some(lines)
}

/// The bytes between the equal lines at the start and at the end of two texts.
fn between(old: &[u8], new: &[u8]) -> (Range<usize>, Range<usize>) {
    let equal = common(old.chunks(64), new.chunks(64)) * 64;
    let (a, b) = (old.get(equal..).unwrap_or_default(), new.get(equal..).unwrap_or_default());
    let equal = (equal + common(a.iter(), b.iter())).min(old.len()).min(new.len());
    // Up to the end of a line, which is the end of both texts only if they are equal.
    let whole = equal == old.len() && equal == new.len();
    let start = if whole { equal } else { old.get(..equal).and_then(|text| text.rfind_byte(b'\n')).map_or(0, |end| end + 1) };
    let (a, b) = (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let equal = common(a.rchunks(64), b.rchunks(64)) * 64;
    let equal = equal.min(a.len()).min(b.len());
    let (left, right) = (a.get(..a.len() - equal).unwrap_or_default(), b.get(..b.len() - equal).unwrap_or_default());
    let equal = equal + common(left.iter().rev(), right.iter().rev());
    // From the start of a line in both.
    let starts = |text: &[u8]| text.len() == equal || text.get(..text.len() - equal).is_some_and(|text| text.ends_with(b"\n"));
    let tail = a.get(a.len() - equal..).unwrap_or_default();
    let skipped = if starts(a) && starts(b) { 0 } else { tail.find_byte(b'\n').map_or(equal, |end| end + 1) };
    let end = equal - skipped;
    (start..old.len() - end, start..new.len() - end)
}

/// The number of equal items at the start.
fn common<T: PartialEq>(a: impl Iterator<Item = T>, b: impl Iterator<Item = T>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Never;
    use proptest::prelude::*;

    #[test]
    fn lines_are_counted() {
        for (text, expect) in [("", 0), ("a", 1), ("a\n", 1), ("\n\n", 2), ("a\nb", 2)] {
            assert_eq!(count(text.as_bytes()), expect, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn one_hunk_is_what_a_comparison_finds(start in "[abc\n]{0,90}", a in "[abcd\n]{0,8}", b in "[abcde\n]{0,8}", end in "[abc\n]{0,90}", times in 1_usize..20) {
            let tail = end.repeat(times);
            let (old, new) = ([&start, &a, &tail].map(String::as_bytes).concat(), [&start, &b, &tail].map(String::as_bytes).concat());
            let options = Options { no_context: true, ..Options::default() };
            let expect = lines(&old, &new, options, &Never)?;
            if let Some(hunk) = one_hunk(&old, &new) {
                prop_assert_eq!(vec![hunk], expect);
            }
        }
    }

    #[test]
    fn a_simple_change_is_one_hunk() {
        let hunk = one_hunk(b"a\nb\nc\n", b"a\nx\ny\nc\n");
        assert_eq!(hunk, Some(Hunk { before: 1..2, after: 1..3 }));
        assert_eq!(one_hunk(b"a\na\n", b"a\na\na\n"), None);
        assert_eq!(one_hunk(b"a\n", b"a\n"), None);
    }
}
