//! Compares the tree of a commit with the index, with help of the trees that the index caches.

use super::{CachedTree, Entry, Index, bytes::Bytes};
use crate::{
    error::{Error, Result},
    stop::Stop,
};
use gix::{ObjectId, objs::FindExt};
use std::ops::Range;

/// Mode and id of a file on one side.
pub type Side = (u32, ObjectId);

/// A path that differs between a tree and the index, or that is in conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staged {
    /// The path.
    pub path: Vec<u8>,
    /// In the tree.
    pub old: Option<Side>,
    /// In the index; `None` for a path in conflict.
    pub new: Option<Side>,
    /// For a path in conflict the common ancestor, ours and theirs, as far as there are entries.
    pub unmerged: Option<[Option<Side>; 3]>,
}

/// Maximum nesting depth of trees, as git's default.
const MAX_DEPTH: usize = 2048;
/// Maximum number of differences.
const MAX_CHANGES: usize = 500_000;
/// Maximum size of the trees that are open at a time.
const MAX_OPEN: usize = 256 << 20;
/// Steps between two checks for a stop.
const STEP: usize = 1 << 12;
/// The mode of a tree.
const TREE: u32 = 0o40_000;

impl Index {
    /// The differences between the tree `head` and the index, sorted by path, as `git status` has them: each conflict is
    /// one difference, and a path that is only intended to be added is not in the index.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if a tree is missing or malformed; [`Error::Unsupported`] for unusual trees, and for a
    /// sparse directory that differs.
    pub fn staged(&self, objects: &gix::Repository, head: Option<ObjectId>, stop: &dyn Stop) -> Result<Vec<Staged>> {
        let mut walk = Walk { index: self, objects, stop, found: Vec::new(), steps: 0, open: 0 };
        let all = 0..self.entries.len();
        match head {
            Some(head) => walk.run(head, all)?,
            None => walk.added(all)?,
        }
        let mut found = walk.found;
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }
}

struct Walk<'a> {
    index: &'a Index,
    objects: &'a gix::Repository,
    stop: &'a dyn Stop,
    found: Vec<Staged>,
    steps: usize,
    /// Bytes of open trees.
    open: usize,
}

/// A tree that is compared with the entries below it.
struct Frame<'a> {
    bytes: Vec<u8>,
    /// How much of the tree is compared.
    at: usize,
    /// The name that must come first, for the order of the tree.
    last: Vec<u8>,
    /// Length of the path of this tree, with its slash.
    prefix: usize,
    entries: Range<usize>,
    /// The cached trees directly below, sorted by name.
    cached: Vec<CachedTree<'a>>,
}

impl<'a> Walk<'a> {
    fn run(&mut self, head: ObjectId, all: Range<usize>) -> Result<()> {
        let mut path = Vec::new();
        let root = self.index.tree().and_then(super::TreeCache::root);
        let mut frames: Vec<Frame<'a>> = self.enter(head, root, 0, all)?.into_iter().collect();
        while let Some(frame) = frames.last_mut() {
            self.step()?;
            path.truncate(frame.prefix);
            let mut rest = Bytes(frame.bytes.get(frame.at..).unwrap_or_default());
            if rest.0.is_empty() {
                self.added(frame.entries.clone())?;
                self.open = self.open.saturating_sub(frame.bytes.len());
                frames.pop();
                continue;
            }
            let (mode, name, id) = entry(&mut rest, head.kind()).ok_or_else(|| Error::corrupt("a malformed tree"))?;
            if name.is_empty() || name.contains(&b'/') {
                return Err(Error::Unsupported("a tree with an unusual name"));
            }
            path.extend_from_slice(name);
            if mode == TREE {
                path.push(b'/');
            }
            let ordered = path.get(frame.prefix..).unwrap_or_default();
            if !frame.last.is_empty() && *frame.last >= *ordered {
                return Err(Error::Unsupported("a tree whose entries are out of order"));
            }
            ordered.clone_into(&mut frame.last);
            let below = frame.cached.binary_search_by(|cached| cached.name().cmp(name)).ok().and_then(|at| frame.cached.get(at).copied());
            frame.at = frame.bytes.len() - rest.0.len();
            let before = self.run_of(&frame.entries, |other| other < path.as_slice());
            frame.entries.start = before.end;
            let same = self.run_of(&frame.entries, |other| if mode == TREE { other.starts_with(&path) } else { other == path.as_slice() });
            frame.entries.start = same.end;
            self.added(before)?;
            if mode != TREE {
                self.file(&path, (mode, id), same)?;
            } else if let Some(frame) = self.enter(id, below, path.len(), same)? {
                if frames.len() >= MAX_DEPTH {
                    return Err(Error::Unsupported("trees that nest so deeply"));
                }
                frames.push(frame);
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEP) {
            self.stop.check()?;
        }
        if self.found.len() > MAX_CHANGES { Err(Error::Unsupported("so many staged changes")) } else { Ok(()) }
    }

    /// The entries at the front of `range` whose paths fulfil `is_of`, which must be those up to some point.
    fn run_of(&self, range: &Range<usize>, is_of: impl Fn(&[u8]) -> bool) -> Range<usize> {
        let entries = self.index.entries.get(range.clone()).unwrap_or_default();
        let is_of = |entry: &Entry| is_of(self.index.path(entry));
        // Most runs are short.
        let length = match entries.iter().take(4).position(|entry| !is_of(entry)) {
            Some(short) => short,
            None => entries.partition_point(is_of),
        };
        range.start..range.start + length
    }

    /// Opens the tree `id`, unless it is the one that the index has there.
    fn enter(&mut self, id: ObjectId, cached: Option<CachedTree<'a>>, prefix: usize, entries: Range<usize>) -> Result<Option<Frame<'a>>> {
        if cached.and_then(|cached| cached.id()) == Some(&id) {
            return Ok(None);
        }
        if let Some(folder) = self.index.entries.get(entries.clone()).and_then(<[_]>::first).filter(|entry| entry.is_sparse_folder())
            && usize::from(folder.length) == prefix
        {
            return if folder.id == id { Ok(None) } else { Err(Error::Unsupported("a sparse directory with staged changes")) };
        }
        self.stop.check()?;
        let mut bytes = Vec::new();
        if !id.is_empty_tree() {
            let found = self.objects.objects.find(&id, &mut bytes).map_err(Error::corrupt)?;
            if found.kind != gix::objs::Kind::Tree {
                return Err(Error::corrupt(format_args!("{id} is not a tree")));
            }
        }
        self.open += bytes.len();
        if self.open > MAX_OPEN {
            return Err(Error::Unsupported("so large trees"));
        }
        let mut cached: Vec<_> = cached.into_iter().flat_map(|cached| cached.children()).collect();
        cached.sort_by(|one, other| one.name().cmp(other.name()));
        Ok(Some(Frame { bytes, at: 0, last: Vec::new(), prefix, entries, cached }))
    }

    /// Entries that the tree does not have.
    fn added(&mut self, mut range: Range<usize>) -> Result<()> {
        while let Some(first) = self.index.entries.get(range.clone()).and_then(<[_]>::first) {
            self.step()?;
            if first.is_sparse_folder() {
                return Err(Error::Unsupported("a sparse directory with staged changes"));
            }
            let path = self.index.path(first);
            let same = self.run_of(&range, |other| other == path);
            range.start = same.end;
            self.path(path, None, same);
        }
        Ok(())
    }

    /// A file of the tree, and the entries with its path.
    fn file(&mut self, path: &[u8], old: Side, same: Range<usize>) -> Result<()> {
        self.step()?;
        self.path(path, Some(old), same);
        Ok(())
    }

    fn path(&mut self, path: &[u8], old: Option<Side>, same: Range<usize>) {
        let entries = self.index.entries.get(same).unwrap_or_default();
        let unmerged = entries.iter().any(|entry| entry.flags.stage() != 0).then(|| {
            let side = |stage| entries.iter().find(|entry| entry.flags.stage() == stage).map(|entry| (entry.mode, entry.id));
            [side(1), side(2), side(3)]
        });
        let is_merged = |entry: &&Entry| entry.flags.stage() == 0 && !entry.flags.intent_to_add();
        let new = entries.iter().find(is_merged).filter(|_| unmerged.is_none()).map(|entry| (entry.mode, entry.id));
        if unmerged.is_some() || old != new {
            self.found.push(Staged { path: path.to_owned(), old, new, unmerged });
        }
    }
}

/// The entry at the front of a tree, with its mode as git reads it.
fn entry<'a>(bytes: &mut Bytes<'a>, kind: gix::hash::Kind) -> Option<(u32, &'a [u8], ObjectId)> {
    let mut mode = 0_u32;
    loop {
        match bytes.u8()? {
            b' ' => break,
            digit @ b'0'..=b'7' => mode = mode.checked_mul(8)?.checked_add(u32::from(digit - b'0'))?,
            _ => return None,
        }
    }
    let mode = match mode & 0o170_000 {
        0o100_000 if mode & 0o100 != 0 => 0o100_755,
        0o100_000 => 0o100_644,
        kind @ (0o120_000 | TREE) => kind,
        _ => 0o160_000,
    };
    Some((mode, bytes.until_zero()?, bytes.id(kind)?))
}
