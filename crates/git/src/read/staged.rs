//! Compares `HEAD` with the index, using the index's cache of tree ids.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
};
use gix::{
    ObjectId,
    bstr::{BStr, ByteSlice},
    index::{State, extension},
    objs::FindExt,
};

/// A path that differs, with mode and id on each side.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) path: Vec<u8>,
    pub(crate) old: Option<(u32, ObjectId)>,
    pub(crate) new: Option<(u32, ObjectId)>,
}

/// The differences between the tree and the index, sorted by path.
pub(crate) fn changes(engine: &gix::Repository, index: &State, tree: Option<ObjectId>, cancel: &Cancel) -> Result<Vec<Staged>> {
    let mut walk = Walk { engine, index, cancel, found: Vec::new() };
    let all = 0..index.entries().len();
    match tree {
        Some(tree) => walk.tree(tree, index.tree(), &mut Vec::new(), all)?,
        None => walk.added(all),
    }
    walk.found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.found)
}

/// Maximum nesting depth.
const MAX_DEPTH: usize = 512;
/// Maximum number of differences.
const MAX_CHANGES: usize = 500_000;

struct Walk<'a> {
    engine: &'a gix::Repository,
    index: &'a State,
    cancel: &'a Cancel,
    found: Vec<Staged>,
}

impl Walk<'_> {
    fn path(&self, at: usize) -> &BStr {
        self.index.entries()[at].path(self.index)
    }

    fn side(&self, at: usize) -> (u32, ObjectId) {
        let entry = &self.index.entries()[at];
        (entry.mode.bits(), entry.id)
    }

    fn added(&mut self, range: std::ops::Range<usize>) {
        for at in range {
            let (path, new) = (self.path(at).to_vec(), Some(self.side(at)));
            self.found.push(Staged { path, old: None, new });
        }
    }

    /// Compares the tree `id` at `prefix` with the entries of `range`, which are all entries below `prefix`.
    fn tree(&mut self, id: ObjectId, record: Option<&extension::Tree>, prefix: &mut Vec<u8>, range: std::ops::Range<usize>) -> Result<()> {
        // The index caches the id of each tree until one of its entries changes.
        if record.is_some_and(|record| record.num_entries.is_some() && record.id == id) {
            return Ok(());
        }
        self.cancel.check()?;
        let depth = prefix.split(|&byte| byte == b'/').count();
        if depth > MAX_DEPTH {
            return Err(Error::TooLarge { what: "a tree".to_owned(), size: depth as u64, unit: "levels deep", limit: MAX_DEPTH as u64 });
        }
        if self.found.len() > MAX_CHANGES {
            return Err(Error::TooLarge {
                what: "the list of staged changes".to_owned(),
                size: self.found.len() as u64,
                unit: "entries long",
                limit: MAX_CHANGES as u64,
            });
        }
        let mut buffer = Vec::new();
        let tree = self.engine.objects.find_tree_iter(&id, &mut buffer).map_err(Error::engine)?;
        let mut at = range.start;
        let base = prefix.len();
        for entry in tree {
            let entry = entry.map_err(Error::engine)?;
            prefix.extend_from_slice(entry.filename);
            let is_tree = entry.mode.is_tree();
            if is_tree {
                prefix.push(b'/');
            }
            let start = at;
            while at < range.end && self.path(at) < prefix.as_bstr() {
                at += 1;
            }
            self.added(start..at);
            if is_tree {
                let start = at;
                while at < range.end && self.path(at).starts_with(prefix) {
                    at += 1;
                }
                let below =
                    record.and_then(|record| record.children.iter().find(|child| child.name.as_slice() == entry.filename.as_bytes()));
                self.tree(entry.oid.to_owned(), below, prefix, start..at)?;
            } else {
                let old = (u32::from(entry.mode.value()), entry.oid.to_owned());
                let same_path = at < range.end && self.path(at) == prefix.as_bstr();
                let new = same_path.then(|| self.side(at));
                at += usize::from(same_path);
                if new != Some(old) {
                    self.found.push(Staged { path: prefix.clone(), old: Some(old), new });
                }
            }
            prefix.truncate(base);
        }
        self.added(at..range.end);
        Ok(())
    }
}
