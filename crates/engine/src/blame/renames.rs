//! Finds the removed file that a new one was renamed from, as git does for one file.

use super::{
    objects::Objects,
    trees::{FILE, Place, Removed, kind, removed},
};
use crate::{
    error::{Error, Result},
    stop::Stop,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::collections::HashMap;

/// git's highest score, and the lowest of a rename.
const MAX_SCORE: u64 = 60_000;
const MIN_SCORE: u64 = MAX_SCORE / 2;
/// The lowest score of a rename to the same file name, which is decided first.
const MIN_SAME_NAME: u64 = MIN_SCORE + (MAX_SCORE - MIN_SCORE) / 2;
/// Removed files beyond which git compares no contents.
const MAX_REMOVED: usize = 1_000_000;
/// Removed files with the same content that git considers.
const MAX_EXACT: usize = 100;
/// Candidates that git keeps.
const KEPT: usize = 4;
/// Bytes of a part of a line that is counted as one.
const PART: u32 = 64;
const BUCKETS: u32 = 107_927;

/// A new file.
pub(super) struct Added<'a> {
    pub(super) path: &'a [u8],
    pub(super) place: &'a Place,
}

/// The file of the commit with the tree `old` from which the one of the commit with the tree `new` was renamed.
pub(super) fn source(
    objects: &mut Objects<'_>,
    old: ObjectId,
    new: ObjectId,
    added: &Added<'_>,
    stop: &dyn Stop,
) -> Result<Option<Removed>> {
    let gone = removed(objects, old, new, MAX_REMOVED, stop)?;
    if let Some(found) = exact(&gone, added) {
        return Ok(Some(found.clone()));
    }
    if kind(added.place.mode) != FILE {
        return Ok(None);
    }
    let content = objects.blob(added.place.blob)?;
    let target = Target { size: content.len() as u64, parts: Parts::of(&content)? };
    let mut same_name = gone.iter().filter(|file| has_same_name(&file.path, added.path));
    if let (Some(only), None) = (same_name.next(), same_name.next())
        && target.score(objects, only, MIN_SAME_NAME)? >= MIN_SAME_NAME
    {
        return Ok(Some(only.clone()));
    }
    let mut best = Best::default();
    for (at, file) in gone.iter().enumerate() {
        stop.check()?;
        best.add(Candidate { score: target.score(objects, file, MIN_SCORE)?, same_name: has_same_name(&file.path, added.path), at });
    }
    Ok(best.take().filter(|best| best.score >= MIN_SCORE).and_then(|best| gone.get(best.at)).cloned())
}

/// The removed file with the same content, preferably with the same name.
fn exact<'a>(gone: &'a [Removed], added: &Added<'_>) -> Option<&'a Removed> {
    let is_file = |mode: u32| kind(mode) == FILE;
    let place = added.place;
    let may_be = |file: &&Removed| is_file(file.mode) && is_file(place.mode) || file.mode == place.mode;
    let equal = || gone.iter().filter(|file| file.blob == place.blob).take(MAX_EXACT).filter(may_be);
    equal().find(|file| has_same_name(&file.path, added.path)).or_else(|| equal().next())
}

/// Whether two paths end in the same file name.
fn has_same_name(a: &[u8], b: &[u8]) -> bool {
    let name = |path: &'_ [u8]| path.rfind_byte(b'/').map_or(0, |end| end + 1);
    a.get(name(a)..) == b.get(name(b)..)
}

/// The content that removed files are compared with.
struct Target {
    size: u64,
    parts: Parts,
}

impl Target {
    /// How similar a removed file is; 0 if certainly below `least`.
    fn score(&self, objects: &mut Objects<'_>, file: &Removed, least: u64) -> Result<u64> {
        if kind(file.mode) != FILE {
            return Ok(0);
        }
        let size = objects.size(file.blob)?;
        let (larger, smaller) = (self.size.max(size), self.size.min(size));
        if larger * (MAX_SCORE - least) < (larger - smaller) * MAX_SCORE || self.size == 0 {
            return Ok(0);
        }
        let copied = Parts::of(&objects.blob(file.blob)?)?.common(&self.parts);
        Ok((copied * MAX_SCORE).checked_div(larger).unwrap_or_default())
    }
}

/// The bytes of each distinct part of a file. A part is a line, or 64 bytes of a longer one.
struct Parts(HashMap<u32, u64>);

impl Parts {
    fn of(content: &[u8]) -> Result<Self> {
        // git skips the CR of a text; what is one depends on attributes.
        if content.contains_str(b"\r\n") {
            return Err(Error::Unsupported("renames of files with CRLF"));
        }
        let mut parts = HashMap::new();
        let (mut one, mut two, mut len) = (0_u32, 0_u32, 0_u32);
        for &byte in content {
            (one, two) = (one << 7 ^ two >> 25, two << 7 ^ one >> 25);
            one = one.wrapping_add(u32::from(byte));
            len += 1;
            if len == PART || byte == b'\n' {
                *parts.entry(bucket(one, two)).or_default() += u64::from(len);
                (one, two, len) = (0, 0, 0);
            }
        }
        if len > 0 {
            *parts.entry(bucket(one, two)).or_default() += u64::from(len);
        }
        Ok(Self(parts))
    }

    /// The bytes of parts in common.
    fn common(&self, other: &Self) -> u64 {
        self.0.iter().map(|(part, bytes)| other.0.get(part).map_or(0, |others| *bytes.min(others))).sum()
    }
}

fn bucket(one: u32, two: u32) -> u32 {
    one.wrapping_add(two.wrapping_mul(0x61)) % BUCKETS
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: u64,
    same_name: bool,
    at: usize,
}

impl Candidate {
    fn rank(self) -> (u64, bool) {
        (self.score, self.same_name)
    }
}

/// The candidates that git keeps, in its order, which decides between equal ones.
#[derive(Default)]
struct Best(Vec<Candidate>);

impl Best {
    fn add(&mut self, candidate: Candidate) {
        if self.0.len() < KEPT {
            self.0.push(candidate);
        } else if let Some(worst) = self.0.iter_mut().reduce(|worst, next| if next.rank() < worst.rank() { next } else { worst })
            && worst.rank() < candidate.rank()
        {
            *worst = candidate;
        }
    }

    /// The best one, the first of equal ones.
    fn take(self) -> Option<Candidate> {
        self.0.into_iter().reduce(|best, next| if next.rank() > best.rank() { next } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_candidates_keep_their_order() {
        let mut best = Best::default();
        for (at, score) in [1, 5, 3, 5, 5, 9, 9].into_iter().enumerate() {
            best.add(Candidate { score, same_name: false, at });
        }
        assert_eq!(best.0.iter().map(|kept| kept.at).collect::<Vec<_>>(), [4, 6, 5, 3]);
        assert_eq!(best.take().map(|best| best.at), Some(6));
    }

    #[test]
    fn names_are_the_ends_of_paths() {
        for (a, b, expect) in [("a", "a", true), ("x/a", "a", true), ("x/a", "y/z/a", true), ("xa", "a", false), ("a/x", "a/y", false)] {
            assert_eq!(has_same_name(a.as_bytes(), b.as_bytes()), expect, "{a} {b}");
        }
    }

    #[test]
    fn parts_in_common_are_counted() -> Result<()> {
        let long = "x".repeat(100);
        let (a, b) = (Parts::of(format!("one\ntwo\ntwo\n{long}").as_bytes())?, Parts::of(format!("two\n{long}\n").as_bytes())?);
        assert_eq!(a.common(&b), 4 + 64);
        assert!(Parts::of(b"a\r\n").is_err());
        Ok(())
    }
}
