//! The files that differ between two trees.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
};
use gix::{ObjectId, objs::FindExt};
use std::{cmp::Ordering, iter::Peekable, vec::IntoIter};

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
        let mut levels = vec![self.level(old, new, 0)?];
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
                levels.push(self.level(old, new, below)?);
            } else {
                prefix.truncate(base);
            }
        }
        found.changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn level(&self, old: Option<ObjectId>, new: Option<ObjectId>, base: usize) -> Result<Level> {
        self.cancel.check()?;
        Ok(Level { old: self.items(old)?.into_iter().peekable(), new: self.items(new)?.into_iter().peekable(), base })
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

    fn items(&self, tree: Option<ObjectId>) -> Result<Vec<Item>> {
        let Some(tree) = tree else { return Ok(Vec::new()) };
        let mut buffer = Vec::new();
        let entries = self.engine.objects.find_tree_iter(&tree, &mut buffer).map_err(Error::engine)?;
        let items = entries.map(|entry| {
            let entry = entry.map_err(Error::engine)?;
            let mut key = entry.filename.to_vec();
            let is_tree = entry.mode.is_tree();
            if is_tree {
                key.push(b'/');
            }
            let mode = if is_tree { TREE } else { u32::from(entry.mode.value()) };
            Ok(Item { key, mode, id: entry.oid.to_owned() })
        });
        items.collect()
    }
}
