//! The trees of the index: those that are not cached are made.

use super::{
    CachedTree, Index,
    tree_cache::{Draft, TreeCache},
};
use crate::{
    error::{Error, Result},
    stop::Stop,
};
use gix::ObjectId;

/// Where trees and files of a commit are.
pub trait Objects {
    /// Whether the object exists.
    ///
    /// # Errors
    ///
    /// If that is unknown.
    fn has(&self, id: &ObjectId) -> Result<bool>;

    /// Writes a tree, and returns its id.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    fn write_tree(&self, content: &[u8]) -> Result<ObjectId>;
}

/// Maximum nesting depth of trees, as git's default.
const MAX_DEPTH: usize = 2048;
/// Entries between two checks for a stop.
const STEP: usize = 1 << 12;

/// A directory whose tree is being made.
struct Frame<'a> {
    /// Its first entry, and its node in the new cache.
    start: usize,
    node: usize,
    /// Length of its path, with the slash.
    prefix: usize,
    old: Option<CachedTree<'a>>,
    /// The tree so far.
    content: Vec<u8>,
}

impl Index {
    /// Writes the trees that are not cached, caches them, and returns the tree of the whole index. git's `write-tree`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for conflicts, entries only intended to be added, missing objects, and anything that git
    /// refuses.
    pub fn write_trees(&mut self, objects: &impl Objects, stop: &dyn Stop) -> Result<ObjectId> {
        if self.entries.iter().any(|entry| entry.flags.stage() != 0 || entry.flags.intent_to_add() || entry.is_sparse_folder()) {
            return Err(Error::Unsupported("the tree of an unusual index"));
        }
        let (tree, id) = {
            let old = self.tree.as_ref().and_then(TreeCache::root);
            if let Some(id) = old.and_then(|old| self.usable(old, 0, 0, objects).transpose()).transpose()? {
                return Ok(id);
            }
            self.make_trees(old, objects, stop)?
        };
        self.tree = Some(tree);
        Ok(id)
    }

    /// The id of a cached tree, if it is valid, exists, and covers the entries from `start` below the path of the first
    /// `prefix` bytes.
    fn usable(&self, cached: CachedTree<'_>, start: usize, prefix: usize, objects: &impl Objects) -> Result<Option<ObjectId>> {
        let (Some(count), Some(id)) = (cached.entry_count(), cached.id()) else { return Ok(None) };
        if self.count_below(start, prefix) != count {
            return Err(Error::Unsupported("cached trees that differ from the entries"));
        }
        Ok(objects.has(id)?.then_some(*id))
    }

    /// The number of entries from `start` that share its first `prefix` bytes.
    fn count_below(&self, start: usize, prefix: usize) -> usize {
        let rest = self.entries.get(start..).unwrap_or_default();
        let Some(path) = rest.first().and_then(|first| self.path(first).get(..prefix)) else { return 0 };
        rest.partition_point(|entry| self.path(entry).starts_with(path))
    }

    fn make_trees<'a>(&'a self, old: Option<CachedTree<'a>>, objects: &impl Objects, stop: &dyn Stop) -> Result<(TreeCache, ObjectId)> {
        let mut draft = Draft::default();
        let mut frames = vec![Frame { start: 0, node: draft.open(None, b""), prefix: 0, old, content: Vec::new() }];
        let mut at = 0;
        loop {
            if at % STEP == 0 {
                stop.check()?;
            }
            let Some(frame) = frames.last_mut() else { return Err(Error::corrupt("a tree without a root")) };
            let path = self.entries.get(at).map(|entry| self.path(entry));
            let folder = self.entries.get(frame.start).and_then(|first| self.path(first).get(..frame.prefix)).unwrap_or_default();
            let Some(name) = path.and_then(|path| path.strip_prefix(folder)) else {
                let done = self.close(&mut frames, &mut draft, at, objects)?;
                match done {
                    Some(id) => return Ok((draft.finish(self.kind), id)),
                    None => continue,
                }
            };
            let (Some(entry), Some(path)) = (self.entries.get(at), path) else { continue };
            let Some(end) = name.iter().position(|byte| *byte == b'/') else {
                if !entry.is_submodule() && !objects.has(&entry.id)? {
                    return Err(Error::Unsupported("a staged file whose object is missing"));
                }
                append(&mut frame.content, entry.mode, name, &entry.id);
                at += 1;
                continue;
            };
            let (name, prefix) = (name.get(..end).unwrap_or_default(), frame.prefix + end + 1);
            if path.get(..prefix - 1).is_some_and(|file| self.position(file, 0).is_ok()) {
                return Err(Error::Unsupported("a staged file with the name of a directory"));
            }
            let cached = frame.old.and_then(|old| old.child(name));
            if let Some(cached) = cached
                && let Some(id) = self.usable(cached, at, prefix, objects)?
            {
                append(&mut frame.content, 0o40_000, name, &id);
                draft.keep(frame.node, cached);
                at += cached.entry_count().unwrap_or_default();
                continue;
            }
            if frames.len() >= MAX_DEPTH {
                return Err(Error::Unsupported("trees that nest so deeply"));
            }
            let node = draft.open(frames.last().map(|frame| frame.node), name);
            frames.push(Frame { start: at, node, prefix, old: cached, content: Vec::new() });
        }
    }

    /// Writes the innermost tree. Returns the id of the outermost.
    fn close(&self, frames: &mut Vec<Frame<'_>>, draft: &mut Draft, at: usize, objects: &impl Objects) -> Result<Option<ObjectId>> {
        let Some(frame) = frames.pop() else { return Ok(None) };
        let id = objects.write_tree(&frame.content)?;
        let count = i32::try_from(at - frame.start).map_err(Error::corrupt)?;
        draft.close(frame.node, count, id);
        let Some(above) = frames.last_mut() else { return Ok(Some(id)) };
        let path = self.entries.get(frame.start).map(|entry| self.path(entry)).unwrap_or_default();
        append(&mut above.content, 0o40_000, path.get(above.prefix..frame.prefix - 1).unwrap_or_default(), &id);
        Ok(None)
    }
}

/// Appends an entry to a tree.
fn append(content: &mut Vec<u8>, mode: u32, name: &[u8], id: &ObjectId) {
    content.extend_from_slice(format!("{mode:o} ").as_bytes());
    content.extend_from_slice(name);
    content.push(0);
    content.extend_from_slice(id.as_bytes());
}
