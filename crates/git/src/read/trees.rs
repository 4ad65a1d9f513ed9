//! The files that differ between two trees.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    repo::route::only_git,
};
use engine::packs::{Content, Packs};
use gix::{
    ObjectId,
    bstr::ByteSlice,
    objs::{FindExt, Kind},
};
use std::{cmp::Ordering, iter::Peekable, vec::IntoIter};

/// The number of trees from which reading the packs directly is worth opening them.
const WORTH_PACKS: usize = 8;
/// Maximum nesting depth.
const MAX_DEPTH: usize = 512;

/// A path that differs, with mode and id on each side. Never a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: Vec<u8>,
    pub(crate) old: Option<(u32, ObjectId)>,
    pub(crate) new: Option<(u32, ObjectId)>,
}

/// A tree comparison and its limits.
pub(crate) struct Walk<'a> {
    pub(crate) engine: &'a gix::Repository,
    /// Only these paths; all when empty.
    pub(crate) paths: &'a [RelPath],
    /// Maximum number of changes.
    pub(crate) limit: usize,
    pub(crate) cancel: &'a Cancel,
}

/// The changes found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Changes in path order.
    pub(crate) changes: Vec<Change>,
    /// Whether there are more.
    pub(crate) truncated: bool,
}

struct Item {
    /// The name, with a trailing `/` for directories, as trees are sorted.
    key: Vec<u8>,
    mode: u32,
    id: ObjectId,
}

const TREE: u32 = 0o040_000;

/// The remaining entries of two directories of the same name.
struct Level {
    old: Peekable<IntoIter<Item>>,
    new: Peekable<IntoIter<Item>>,
    /// The length of the parent path.
    base: usize,
}

impl Level {
    /// The next name, with its entry on each side.
    fn next(&mut self) -> Option<(Option<Item>, Option<Item>)> {
        let order = match (self.old.peek(), self.new.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        Some((if order.is_le() { self.old.next() } else { None }, if order.is_ge() { self.new.next() } else { None }))
    }
}

impl Walk<'_> {
    /// Compares the trees; an absent one is empty. Hostile trees nest deeply, so this uses the heap rather than the
    /// stack.
    pub(crate) fn compare(&self, old: Option<ObjectId>, new: Option<ObjectId>) -> Result<Found> {
        let (mut found, mut prefix) = (Found::default(), Vec::new());
        let mut trees = Trees { engine: self.engine, packs: None, count: 0 };
        let mut levels = vec![self.level(&mut trees, old, new, 0)?];
        while let Some(level) = levels.last_mut().filter(|_| !found.truncated) {
            let Some((old, new)) = level.next() else {
                prefix.truncate(level.base);
                levels.pop();
                continue;
            };
            let base = prefix.len();
            if let Some(below) = self.item(old.as_ref(), new.as_ref(), &mut prefix, &mut found) {
                let (old, new) = (old.map(|item| item.id), new.map(|item| item.id));
                let depth = levels.len();
                if depth > MAX_DEPTH {
                    return Err(Error::TooLarge {
                        what: "a tree".to_owned(),
                        size: depth as u64,
                        unit: "levels deep",
                        limit: MAX_DEPTH as u64,
                    });
                }
                levels.push(self.level(&mut trees, old, new, below)?);
            } else {
                prefix.truncate(base);
            }
        }
        found.changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn level(&self, trees: &mut Trees<'_>, old: Option<ObjectId>, new: Option<ObjectId>, base: usize) -> Result<Level> {
        self.cancel.check()?;
        let [old, new] = trees.differing(old, new)?;
        Ok(Level { old: old.into_iter().peekable(), new: new.into_iter().peekable(), base })
    }

    /// Compares one name. Returns the length of the prefix before it if it is a directory to descend into.
    fn item(&self, old: Option<&Item>, new: Option<&Item>, prefix: &mut Vec<u8>, found: &mut Found) -> Option<usize> {
        let any = new.or(old)?;
        if let (Some(old), Some(new)) = (old, new)
            && (old.mode, old.id) == (new.mode, new.id)
        {
            return None;
        }
        let base = prefix.len();
        prefix.extend_from_slice(&any.key);
        if any.mode == TREE {
            return self.leads_to_wanted(prefix).then_some(base);
        }
        if self.paths.is_empty() || self.paths.iter().any(|path| path.covers(prefix)) {
            if found.changes.len() >= self.limit {
                found.truncated = true;
            } else {
                let side = |item: Option<&Item>| item.map(|item| (item.mode, item.id));
                found.changes.push(Change { path: prefix.clone(), old: side(old), new: side(new) });
            }
        }
        None
    }

    /// Whether the directory `prefix`, which ends with a `/`, may contain a wanted path.
    fn leads_to_wanted(&self, prefix: &[u8]) -> bool {
        let dir = prefix.strip_suffix(b"/").unwrap_or(prefix);
        self.paths.is_empty() || self.paths.iter().any(|path| path.covers(dir) || path.as_bytes().starts_with(prefix))
    }
}

/// Reads trees; the packs directly if there are many.
struct Trees<'a> {
    engine: &'a gix::Repository,
    packs: Option<Packs>,
    count: usize,
}

impl Trees<'_> {
    /// The entries of two trees that are not the same on both sides.
    fn differing(&mut self, old: Option<ObjectId>, new: Option<ObjectId>) -> Result<[Vec<Item>; 2]> {
        let (old, new) = (self.read(old)?, self.read(new)?);
        let len = self.engine.object_hash().len_in_bytes();
        let (mut a, mut b) = (old.as_slice(), new.as_slice());
        let mut found = [Vec::new(), Vec::new()];
        while !(a.is_empty() && b.is_empty()) {
            let (x, y) = (Raw::first(a, len)?, Raw::first(b, len)?);
            let order = match (&x, &y) {
                (Some(x), Some(y)) if x.bytes == y.bytes => {
                    a = &a[x.bytes.len()..];
                    b = &b[y.bytes.len()..];
                    continue;
                }
                (Some(x), Some(y)) => x.key().cmp(y.key()),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            if let Some(x) = x.filter(|_| order.is_le()) {
                a = &a[x.bytes.len()..];
                found[0].push(x.item());
            }
            if let Some(y) = y.filter(|_| order.is_ge()) {
                b = &b[y.bytes.len()..];
                found[1].push(y.item());
            }
        }
        Ok(found)
    }

    fn read(&mut self, tree: Option<ObjectId>) -> Result<Content> {
        let Some(id) = tree else { return Ok(Content::default()) };
        self.count += 1;
        if self.count == WORTH_PACKS {
            self.packs = Some(Packs::open(self.engine, true));
        }
        if let Some((Kind::Tree, content)) = self.packs.as_mut().and_then(|packs| packs.find(&id)) {
            return Ok(content);
        }
        let mut buffer = Vec::new();
        let found = self.engine.objects.find(&id, &mut buffer).map_err(Error::engine)?;
        if found.kind != Kind::Tree {
            return Err(only_git("an object that is no tree"));
        }
        Ok(Content::new(found.data.to_vec()))
    }
}

/// An entry as it is stored.
struct Raw<'a> {
    bytes: &'a [u8],
    mode: u32,
    name: &'a [u8],
    id: ObjectId,
}

impl<'a> Raw<'a> {
    /// The first entry of the rest of a tree; `None` at its end.
    fn first(tree: &'a [u8], len: usize) -> Result<Option<Self>> {
        if tree.is_empty() {
            return Ok(None);
        }
        let parsed = || {
            let space = tree.find_byte(b' ').filter(|len| (1..=7).contains(len))?;
            let mode = tree[..space].iter().try_fold(0, |mode: u32, digit| match digit {
                b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
                _ => None,
            })?;
            let end = space + 1 + tree[space + 1..].find_byte(0).filter(|len| *len > 0)?;
            let id = ObjectId::try_from(tree.get(end + 1..end + 1 + len)?).ok()?;
            Some(Self { bytes: &tree[..end + 1 + len], mode: canonical(mode), name: &tree[space + 1..end], id })
        };
        parsed().map(Some).ok_or_else(|| only_git("a malformed tree"))
    }

    /// The name, with a `/` after that of a directory, as trees are sorted.
    fn key(&self) -> impl Iterator<Item = u8> {
        self.name.iter().copied().chain((self.mode == TREE).then_some(b'/'))
    }

    fn item(&self) -> Item {
        Item { key: self.key().collect(), mode: self.mode, id: self.id }
    }
}

/// The mode to which git reduces that of an entry.
fn canonical(mode: u32) -> u32 {
    match mode & 0o170_000 {
        0o100_000 if mode & 0o100 != 0 => 0o100_755,
        0o100_000 => 0o100_644,
        kind @ (0o120_000 | TREE) => kind,
        _ => 0o160_000,
    }
}
