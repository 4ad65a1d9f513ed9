//! The files in which two trees differ.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
};
use gix::{ObjectId, objs::FindExt};

/// The deepest nesting that is followed.
const MAX_DEPTH: usize = 512;

/// A path that differs, with mode and id on each side. Never a directory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) path: Vec<u8>,
    pub(crate) old: Option<(u32, ObjectId)>,
    pub(crate) new: Option<(u32, ObjectId)>,
}

/// What a walk looks at, and how far.
pub(crate) struct Walk<'a> {
    pub(crate) engine: &'a gix::Repository,
    /// Only these paths; all when empty.
    pub(crate) paths: &'a [RelPath],
    /// The most changes.
    pub(crate) limit: usize,
    pub(crate) cancel: &'a Cancel,
}

/// The changes found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of their paths.
    pub(crate) changes: Vec<Change>,
    /// True when there are more.
    pub(crate) truncated: bool,
}

struct Item {
    /// The name, with a `/` after a directory's, which is what trees are sorted by.
    key: Vec<u8>,
    mode: u32,
    id: ObjectId,
}

const TREE: u32 = 0o040_000;

impl Walk<'_> {
    /// Compares the trees; an absent one is empty.
    pub(crate) fn compare(&self, old: Option<ObjectId>, new: Option<ObjectId>) -> Result<Found> {
        let mut found = Found::default();
        self.level(old, new, &mut Vec::new(), 0, &mut found)?;
        found.changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn level(&self, old: Option<ObjectId>, new: Option<ObjectId>, prefix: &mut Vec<u8>, depth: usize, found: &mut Found) -> Result<()> {
        self.cancel.check()?;
        if depth > MAX_DEPTH {
            return Err(Error::TooLarge { what: "the nesting of the tree".to_owned(), size: depth as u64, limit: MAX_DEPTH as u64 });
        }
        let (old, new) = (self.items(old)?, self.items(new)?);
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        while !found.truncated {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(a), Some(b)) => a.key.cmp(&b.key),
            };
            let (a, b) = (if order.is_le() { old.next() } else { None }, if order.is_ge() { new.next() } else { None });
            self.item(a.as_ref(), b.as_ref(), prefix, depth, found)?;
        }
        Ok(())
    }

    fn item(&self, old: Option<&Item>, new: Option<&Item>, prefix: &mut Vec<u8>, depth: usize, found: &mut Found) -> Result<()> {
        let Some(any) = new.or(old) else { return Ok(()) };
        if let (Some(old), Some(new)) = (old, new)
            && (old.mode, old.id) == (new.mode, new.id)
        {
            return Ok(());
        }
        let base = prefix.len();
        prefix.extend_from_slice(&any.key);
        let is_tree = any.mode == TREE;
        if is_tree && self.leads_to_wanted(prefix) {
            self.level(old.map(|item| item.id), new.map(|item| item.id), prefix, depth + 1, found)?;
        } else if !is_tree && (self.paths.is_empty() || self.paths.iter().any(|path| path.covers(prefix))) {
            if found.changes.len() >= self.limit {
                found.truncated = true;
            } else {
                let side = |item: Option<&Item>| item.map(|item| (item.mode, item.id));
                found.changes.push(Change { path: prefix.clone(), old: side(old), new: side(new) });
            }
        }
        prefix.truncate(base);
        Ok(())
    }

    /// True when the directory `prefix`, which ends with a `/`, may hold a wanted path.
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
