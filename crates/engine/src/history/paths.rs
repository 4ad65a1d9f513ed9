//! History simplification: the commits that change given paths, by git's default rules.

use super::{
    changed::Key,
    commits::{
        History,
        mark::{BOTTOM, HIDDEN, SAME},
    },
    trees::{self, Entry},
};
use crate::error::{Error, Result};
use gix::ObjectId;

/// Maximum number of directories remembered of one level.
const MAX_KNOWN: usize = 4096;

/// The paths of a walk, and what recently read trees have there.
#[derive(Debug)]
pub(super) struct Paths {
    paths: Vec<Path>,
    /// The paths as keys of filters; empty if there are none for them.
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Path {
    names: Vec<Vec<u8>>,
    /// By level, the entry with the next name in a directory.
    known: Vec<gix::hashtable::HashMap<ObjectId, Option<Entry>>>,
}

impl Paths {
    pub(super) fn new(paths: &[Vec<u8>]) -> Self {
        let keys = if paths.iter().any(Vec::is_empty) { Vec::new() } else { paths.iter().map(|path| Key::new(path)).collect() };
        let path = |path: &Vec<u8>| {
            let names: Vec<Vec<u8>> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect();
            let known = names.iter().map(|_| gix::hashtable::HashMap::default()).collect();
            Path { names, known }
        };
        Self { paths: paths.iter().map(path).collect(), keys }
    }

    /// Whether a file at the paths differs between two trees; no tree is an empty one.
    fn differ(&mut self, history: &mut History<'_>, old: Option<ObjectId>, new: ObjectId) -> Result<bool> {
        if old == Some(new) {
            return Ok(false);
        }
        for path in &mut self.paths {
            let before = match old {
                Some(old) => path.entry(history, old)?,
                None => None,
            };
            let after = path.entry(history, new)?;
            if trees::differ(history, before, after)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Path {
    /// The entry at the path below a root.
    fn entry(&mut self, history: &mut History<'_>, root: ObjectId) -> Result<Option<Entry>> {
        let mut entry = Entry::tree(root);
        for (name, known) in self.names.iter().zip(&mut self.known) {
            if !entry.is_tree() {
                return Ok(None);
            }
            let below = if let Some(below) = known.get(&entry.id) {
                *below
            } else {
                if known.len() >= MAX_KNOWN {
                    known.clear();
                }
                let below = trees::find(history, entry.id, name)?;
                known.insert(entry.id, below);
                below
            };
            let Some(below) = below else { return Ok(None) };
            entry = below;
        }
        Ok(Some(entry))
    }
}

impl History<'_> {
    /// Compares a commit with its parents at `paths`: marks it if it changes nothing there, and then keeps only the parent
    /// that it equals.
    pub(super) fn simplify(&mut self, at: u32, paths: &mut Paths) -> Result<()> {
        let tree = self.tree(at)?;
        let count = self.parent_count(at);
        if count == 0 {
            if self.excludes(at, &paths.keys)? || !paths.differ(self, None, tree)? {
                self.mark(at, SAME);
            }
            return Ok(());
        }
        let (mut relevant, mut relevant_change, mut other_change) = (0, false, false);
        for nth in 0..count {
            let parent = self.parent(at, nth)?;
            // A hidden parent counts only if it is where the range ends.
            let is_relevant = self.marks(parent) & (HIDDEN | BOTTOM) != HIDDEN;
            relevant += u32::from(is_relevant);
            self.parse(parent)?;
            let is_same = nth == 0 && self.excludes(at, &paths.keys)? || {
                let before = self.tree(parent)?;
                !paths.differ(self, Some(before), tree)?
            };
            match (is_same, is_relevant) {
                (true, true) => {
                    self.keep_parent(at, nth);
                    self.mark(at, SAME);
                    return Ok(());
                }
                (true, false) => {}
                (false, true) => relevant_change = true,
                (false, false) => other_change = true,
            }
        }
        if if relevant > 0 { !relevant_change } else { !other_change } {
            self.mark(at, SAME);
        }
        Ok(())
    }

    fn tree(&self, at: u32) -> Result<ObjectId> {
        let tree = self.node(at)?.tree;
        if tree.is_null() { Err(Error::corrupt("a commit without a tree")) } else { Ok(tree) }
    }
}
