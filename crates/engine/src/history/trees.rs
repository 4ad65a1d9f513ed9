//! Trees: entries by name, and whether the files of two of them differ.

use super::commits::History;
use crate::error::{Error, Result};
use gix::{ObjectId, objs::Kind};
use std::cmp::Ordering;

/// Maximum number of trees read to find one difference.
const MAX_TREES: u32 = 100_000;

const KIND: u32 = 0o170_000;
const TREE: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const SUBMODULE: u32 = 0o160_000;

/// An entry of a tree, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Normalised as git does.
    mode: u32,
    pub(super) id: ObjectId,
}

impl Entry {
    pub(super) fn tree(id: ObjectId) -> Self {
        Self { mode: TREE, id }
    }

    pub(super) fn is_tree(self) -> bool {
        self.mode == TREE
    }
}

/// The entries of a tree, which must be sorted as git sorts them.
struct Entries<'a> {
    rest: &'a [u8],
    hash: gix::hash::Kind,
    last: Option<(&'a [u8], bool)>,
}

impl<'a> Entries<'a> {
    fn new(data: &'a [u8], hash: gix::hash::Kind) -> Self {
        Self { rest: data, hash, last: None }
    }

    fn next(&mut self) -> Result<Option<(&'a [u8], Entry)>> {
        let bad = || Error::corrupt("a malformed tree");
        if self.rest.is_empty() {
            return Ok(None);
        }
        let space = self.rest.iter().take(8).position(|&byte| byte == b' ').ok_or_else(bad)?;
        let (digits, rest) = self.rest.split_at_checked(space).ok_or_else(bad)?;
        if digits.is_empty() || digits.len() > 6 || !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
            return Err(bad());
        }
        let mode = digits.iter().fold(0, |mode, digit| mode << 3 | u32::from(digit - b'0'));
        let rest = rest.get(1..).ok_or_else(bad)?;
        let end = gix::bstr::ByteSlice::find_byte(rest, 0).filter(|end| *end > 0).ok_or_else(bad)?;
        let (name, rest) = rest.split_at_checked(end).ok_or_else(bad)?;
        let (id, rest) = rest.get(1..).and_then(|rest| rest.split_at_checked(self.hash.len_in_bytes())).ok_or_else(bad)?;
        self.rest = rest;
        let entry = Entry { mode: normalised(mode), id: ObjectId::try_from(id).map_err(Error::corrupt)? };
        if self.last.is_some_and(|last| compare(last, (name, entry.is_tree())).is_ge()) {
            return Err(Error::Unsupported("a tree that is not sorted"));
        }
        self.last = Some((name, entry.is_tree()));
        Ok(Some((name, entry)))
    }
}

/// The mode as git reads it from a tree.
fn normalised(mode: u32) -> u32 {
    match mode & KIND {
        FILE => FILE | if mode & 0o100 == 0 { 0o644 } else { 0o755 },
        kind @ (LINK | TREE) => kind,
        _ => SUBMODULE,
    }
}

/// The order of entries: the names of trees end with a slash.
fn compare(one: (&[u8], bool), other: (&[u8], bool)) -> Ordering {
    let end = |(name, is_tree): (&[u8], bool), at: usize| name.get(at).copied().unwrap_or(if is_tree { b'/' } else { 0 });
    let len = one.0.len().min(other.0.len());
    let common = one.0.get(..len).cmp(&other.0.get(..len));
    common.then_with(|| end(one, len).cmp(&end(other, len)))
}

/// The entry of the tree `id` with this name.
pub(super) fn find(history: &mut History<'_>, id: ObjectId, name: &[u8]) -> Result<Option<Entry>> {
    history.step()?;
    let mut entries = Entries::new(history.read(id, Kind::Tree)?, id.kind());
    let mut found = None;
    while let Some((next, entry)) = entries.next()? {
        if next == name {
            if found.is_some() {
                return Err(Error::Unsupported("a tree with a file and a directory of the same name"));
            }
            found = Some(entry);
        }
        // Until here a directory of this name may follow a file.
        if compare((next, entry.is_tree()), (name, true)).is_ge() {
            break;
        }
    }
    Ok(found)
}

/// Whether two entries differ in a file below them.
pub(super) fn differ(history: &mut History<'_>, old: Option<Entry>, new: Option<Entry>) -> Result<bool> {
    let mut pairs = Pairs::default();
    if pairs.add(old, new) {
        return Ok(true);
    }
    let mut budget = MAX_TREES;
    while let Some((old, new)) = pairs.0.pop() {
        history.step()?;
        budget = budget.checked_sub(1).ok_or(Error::Unsupported("trees of so many directories without a file"))?;
        let mut content = |id: Option<ObjectId>| id.map_or_else(|| Ok(Vec::new()), |id| history.read(id, Kind::Tree).map(<[u8]>::to_vec));
        let (old, new) = (content(old)?, content(new)?);
        if pairs.compare(&old, &new, history.hash)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Directories that differ, but maybe in no file.
#[derive(Default)]
struct Pairs(Vec<(Option<ObjectId>, Option<ObjectId>)>);

impl Pairs {
    /// Adds entries with the same name. True if a file differs.
    fn add(&mut self, old: Option<Entry>, new: Option<Entry>) -> bool {
        if old == new {
            return false;
        }
        if [old, new].iter().flatten().any(|entry| !entry.is_tree()) {
            return true;
        }
        self.0.push((old.map(|entry| entry.id), new.map(|entry| entry.id)));
        false
    }

    /// Compares two trees up to the first file that differs.
    fn compare(&mut self, old: &[u8], new: &[u8], hash: gix::hash::Kind) -> Result<bool> {
        let (mut olds, mut news) = (Entries::new(old, hash), Entries::new(new, hash));
        let (mut old, mut new) = (olds.next()?, news.next()?);
        loop {
            let key = |(name, entry): (_, Entry)| (name, entry.is_tree());
            let order = match (old, new) {
                (None, None) => return Ok(false),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => compare(key(old), key(new)),
            };
            let before = old.filter(|_| order.is_le()).map(|(_, entry)| entry);
            let after = new.filter(|_| order.is_ge()).map(|(_, entry)| entry);
            if self.add(before, after) {
                return Ok(true);
            }
            if order.is_le() {
                old = olds.next()?;
            }
            if order.is_ge() {
                new = news.next()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(entries: &[(&str, &str)]) -> Vec<u8> {
        entries.iter().flat_map(|(mode, name)| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[7; 20]].concat()).collect()
    }

    fn names(data: &[u8]) -> Result<Vec<String>> {
        let mut entries = Entries::new(data, gix::hash::Kind::Sha1);
        let mut names = Vec::new();
        while let Some((name, entry)) = entries.next()? {
            names.push(format!("{:o} {}", entry.mode, String::from_utf8_lossy(name)));
        }
        Ok(names)
    }

    #[test]
    fn only_sorted_trees_are_read() -> Result<()> {
        let sorted = tree(&[("100664", "a"), ("100755", "a.b"), ("40000", "a"), ("120000", "b"), ("160000", "c")]);
        assert_eq!(names(&sorted)?, ["100644 a", "100755 a.b", "40000 a", "120000 b", "160000 c"]);
        for wrong in
            [tree(&[("100644", "b"), ("100644", "a")]), tree(&[("100644", "a"), ("100644", "a")]), tree(&[("40000", ""), ("8", "a")])]
        {
            assert!(names(&wrong).is_err());
        }
        assert!(names(&sorted[..sorted.len() - 1]).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200), other in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = names(&data);
            let _ = Pairs::default().compare(&data, &other, gix::hash::Kind::Sha1);
        }
    }
}
