//! Trees: where a path is, and what one tree has and another lacks.

use super::objects::Objects;
use crate::{
    error::{Error, Result},
    stop::Stop,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::cmp::Ordering;

const KIND: u32 = 0o170_000;
const TREE: u32 = 0o040_000;
pub(super) const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// Maximum nesting depth of trees.
const MAX_DEPTH: usize = 512;

/// An entry of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) name: &'a [u8],
    pub(super) mode: u32,
    pub(super) id: ObjectId,
}

impl Item<'_> {
    fn is_tree(&self) -> bool {
        kind(self.mode) == TREE
    }
}

/// The type of an entry.
pub(super) fn kind(mode: u32) -> u32 {
    match mode & KIND {
        kind @ (TREE | FILE | LINK) => kind,
        // A submodule, as is anything else.
        _ => 0o160_000,
    }
}

/// The entries of a tree.
pub(super) struct Items<'a> {
    rest: &'a [u8],
    hash: gix::hash::Kind,
}

impl<'a> Items<'a> {
    pub(super) fn new(tree: &'a [u8], hash: gix::hash::Kind) -> Self {
        Self { rest: tree, hash }
    }

    fn step(&mut self) -> Option<Item<'a>> {
        let space = self.rest.iter().take(8).position(|&byte| byte == b' ')?;
        let (digits, rest) = self.rest.split_at_checked(space)?;
        if digits.is_empty() || !digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) {
            return None;
        }
        let mode = digits.iter().fold(0, |mode, digit| mode << 3 | u32::from(digit - b'0'));
        let rest = rest.get(1..)?;
        let end = rest.find_byte(0).filter(|end| *end > 0)?;
        let (name, rest) = rest.split_at_checked(end)?;
        let (id, rest) = rest.get(1..)?.split_at_checked(self.hash.len_in_bytes())?;
        self.rest = rest;
        Some(Item { name, mode, id: ObjectId::try_from(id).ok()? })
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Result<Item<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let item = self.step();
        if item.is_none() {
            self.rest = &[];
        }
        Some(item.ok_or_else(|| Error::corrupt("a malformed tree")))
    }
}

/// The order of the entries of a tree: names of directories end with a slash.
fn order(a: &Item<'_>, b: &Item<'_>) -> Ordering {
    let end = |item: &Item<'_>, at: usize| item.name.get(at).copied().unwrap_or(if item.is_tree() { b'/' } else { 0 });
    let len = a.name.len().min(b.name.len());
    a.name.get(..len).cmp(&b.name.get(..len)).then_with(|| end(a, len).cmp(&end(b, len)))
}

/// A file in a commit.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The trees on the path, from the root.
    pub(super) trees: Vec<ObjectId>,
    pub(super) mode: u32,
    pub(super) blob: ObjectId,
}

/// Where `path` is below the tree `root`; `None` if it is absent or a directory. `known` is its place in another commit,
/// which saves reading equal trees.
pub(super) fn locate(objects: &mut Objects<'_>, root: ObjectId, path: &[u8], known: Option<&Place>) -> Result<Option<Place>> {
    let (mut trees, mut next, hash) = (Vec::new(), root, objects.hash());
    let mut names = path.split(|&byte| byte == b'/').peekable();
    while let Some(name) = names.next() {
        if let Some(known) = known
            && known.trees.get(trees.len()) == Some(&next)
        {
            trees.extend_from_slice(&known.trees[trees.len()..]);
            return Ok(Some(Place { trees, ..known.clone() }));
        }
        trees.push(next);
        let is_last = names.peek().is_none();
        let find = |tree: &[u8]| {
            for item in Items::new(tree, hash) {
                let item = item?;
                if item.name == name && item.is_tree() != is_last {
                    return Ok(Some((item.mode, item.id)));
                }
            }
            Ok(None)
        };
        let Some((mode, id)) = objects.tree(next, find)?? else { return Ok(None) };
        if is_last {
            return Ok(Some(Place { trees, mode, blob: id }));
        }
        next = id;
    }
    Ok(None)
}

/// A file that a commit removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    pub(super) blob: ObjectId,
}

/// The files below the tree `old` that `new` lacks, in the order of their paths.
pub(super) fn removed(objects: &mut Objects<'_>, old: ObjectId, new: ObjectId, limit: usize, stop: &dyn Stop) -> Result<Vec<Removed>> {
    let mut found = Vec::new();
    let mut open = vec![(Vec::new(), old, Some(new), 0)];
    while let Some((base, old, new, depth)) = open.pop() {
        stop.check()?;
        if depth > MAX_DEPTH || found.len() > limit {
            return Err(Error::Unsupported("so many removed files"));
        }
        let old = objects.tree(old, <[u8]>::to_vec)?;
        let new = new.map_or_else(|| Ok(Vec::new()), |id| objects.tree(id, <[u8]>::to_vec))?;
        compare(&old, &new, objects.hash(), &mut |item, other| {
            let path = [&base[..], item.name].concat();
            if item.is_tree() {
                open.push(([&path[..], b"/"].concat(), item.id, other, depth + 1));
            } else {
                found.push(Removed { path, mode: item.mode, blob: item.id });
            }
        })?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Passes on the entries of `old` that `new` lacks, and directories that differ with their other id.
fn compare(old: &[u8], new: &[u8], hash: gix::hash::Kind, each: &mut dyn FnMut(Item<'_>, Option<ObjectId>)) -> Result<()> {
    let (mut olds, mut news) = (Items::new(old, hash), Items::new(new, hash));
    let (mut a, mut b) = (olds.next().transpose()?, news.next().transpose()?);
    while let Some(item) = a {
        match b.map_or(Ordering::Less, |other| order(&item, &other)) {
            Ordering::Greater => b = advance(&mut news, b)?,
            Ordering::Less => {
                each(item, None);
                a = advance(&mut olds, a)?;
            }
            Ordering::Equal => {
                if let Some(other) = b.filter(|other| item.is_tree() && other.id != item.id) {
                    each(item, Some(other.id));
                }
                a = advance(&mut olds, a)?;
                b = advance(&mut news, b)?;
            }
        }
    }
    Ok(())
}

/// The next entry; entries out of order are left to git.
fn advance<'a>(items: &mut Items<'a>, last: Option<Item<'a>>) -> Result<Option<Item<'a>>> {
    let next = items.next().transpose()?;
    match (last, &next) {
        (Some(last), Some(next)) if order(&last, next).is_ge() => Err(Error::Unsupported("a tree that is not sorted")),
        _ => Ok(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA1: gix::hash::Kind = gix::hash::Kind::Sha1;

    fn tree(entries: &[(&str, &str, u8)]) -> Vec<u8> {
        entries.iter().flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", &[*id; 20]].concat()).collect()
    }

    fn lacking(old: &[u8], new: &[u8]) -> Result<String> {
        let mut found = String::new();
        compare(old, new, SHA1, &mut |item, other| {
            found += &String::from_utf8_lossy(item.name);
            found += if other.is_some() { "* " } else { " " };
        })?;
        Ok(found)
    }

    #[test]
    fn what_another_tree_lacks_is_found() -> Result<()> {
        let old =
            tree(&[("100644", "a", 1), ("100644", "b.c", 1), ("40000", "b", 1), ("40000", "d", 1), ("100644", "e", 1), ("40000", "f", 1)]);
        assert_eq!(lacking(&old, &old)?, "");
        assert_eq!(lacking(&old, b"")?, "a b.c b d e f ");
        assert_eq!(lacking(b"", &old)?, "");
        let new = tree(&[("40000", "a", 1), ("100644", "b.c", 2), ("40000", "d", 2), ("120000", "e", 1), ("100644", "f", 1)]);
        assert!(matches!(lacking(&old, &new), Ok(found) if found == "a b d* f "));
        assert!(lacking(&tree(&[("100644", "b", 1), ("100644", "a", 1)]), b"").is_err());
        assert!(lacking(&old[..old.len() - 1], b"").is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(old in proptest::collection::vec(any::<u8>(), 0..200), new in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = lacking(&old, &new);
        }
    }
}
