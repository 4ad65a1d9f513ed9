//! The TREE extension: for each directory of the index the tree that its entries make, as far as it is known.

use super::bytes::Bytes;
use crate::error::{Error, Result};
use gix::{ObjectId, hash::Kind};
use std::{cmp::Ordering, ops::Range};

/// The cached trees of an index.
///
/// Directories are in one list, each before the ones below it, so that hostile depth costs no stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeCache {
    nodes: Vec<Node>,
    names: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    name: Range<u32>,
    /// Negative if an entry below has changed since.
    entries: i32,
    id: ObjectId,
    /// Number of directories directly below.
    children: u32,
    /// Number of nodes of this directory and all below.
    size: u32,
}

/// A directory of a [`TreeCache`].
#[derive(Clone, Copy, Debug)]
pub struct CachedTree<'a> {
    cache: &'a TreeCache,
    at: usize,
    node: &'a Node,
}

/// git's order of directories within another: shorter names first.
pub(super) fn compare(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

impl TreeCache {
    /// Parses the extension. `None` if git would ignore it.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if git would refuse it; [`Error::Unsupported`] for directories in an unusual order.
    pub(super) fn parse(bytes: &[u8], kind: Kind) -> Result<Option<Self>> {
        let mut cache = Self::default();
        let mut bytes = Bytes(bytes);
        // Open directories: their node, how many directories below are still to come, and the last of them.
        let mut open: Vec<(usize, u32, Option<usize>)> = Vec::new();
        loop {
            let Some((name, entries, children, id)) = node(&mut bytes, kind) else { return Ok(None) };
            let Ok(children) = u32::try_from(children) else { return Err(Error::corrupt("a cached tree with a negative count")) };
            let at = cache.nodes.len();
            let Some(name) = cache.push_name(name) else { return Ok(None) };
            if let Some((_, left, last)) = open.last_mut() {
                match last.and_then(|last| cache.nodes.get(last)).map(|last| compare(cache.bytes(&last.name), cache.bytes(&name))) {
                    None | Some(Ordering::Less) => {}
                    Some(Ordering::Equal) => return Err(Error::corrupt("a directory that is cached twice")),
                    Some(Ordering::Greater) => return Err(Error::Unsupported("cached trees in an unusual order")),
                }
                (*left, *last) = (left.saturating_sub(1), Some(at));
            } else if !name.is_empty() {
                return Ok(None);
            }
            cache.nodes.push(Node { name, entries, id: id.unwrap_or_else(|| kind.null()), children, size: 1 });
            open.push((at, children, None));
            while let Some(&(at, 0, _)) = open.last() {
                let size = u32::try_from(cache.nodes.len() - at).unwrap_or(u32::MAX);
                if let Some(node) = cache.nodes.get_mut(at) {
                    node.size = size;
                }
                open.pop();
            }
            if open.is_empty() {
                return Ok(Some(cache));
            }
        }
    }

    fn push_name(&mut self, name: &[u8]) -> Option<Range<u32>> {
        let start = u32::try_from(self.names.len()).ok()?;
        self.names.extend_from_slice(name);
        Some(start..u32::try_from(self.names.len()).ok()?)
    }

    fn bytes(&self, name: &Range<u32>) -> &[u8] {
        self.names.get(name.start as usize..name.end as usize).unwrap_or_default()
    }

    fn get(&self, at: usize) -> Option<CachedTree<'_>> {
        self.nodes.get(at).map(|node| CachedTree { cache: self, at, node })
    }

    /// The extension's content.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.nodes.len() * 40 + self.names.len());
        for node in &self.nodes {
            out.extend_from_slice(self.bytes(&node.name));
            out.extend_from_slice(format!("\0{} {}\n", node.entries.max(-1), node.children).as_bytes());
            if node.entries >= 0 {
                out.extend_from_slice(node.id.as_bytes());
            }
        }
        out
    }

    /// Notes a change of the entry at `path`: the trees above it are no longer valid, and a directory with its name is
    /// no longer there.
    pub(super) fn invalidate(&mut self, path: &[u8]) {
        let (mut above, mut at) = (Vec::new(), 0);
        for name in path.split(|&byte| byte == b'/') {
            let Some(node) = self.nodes.get_mut(at) else { return };
            node.entries = -1;
            above.push(at);
            let Some(child) = self.get(at).and_then(|node| node.child(name)).map(|child| child.at) else { return };
            at = child;
        }
        let Some(size) = self.nodes.get(at).map(|node| node.size) else { return };
        self.nodes.drain(at..at + size as usize);
        for &node in &above {
            if let Some(node) = self.nodes.get_mut(node) {
                node.size -= size;
            }
        }
        if let Some(parent) = above.last().and_then(|parent| self.nodes.get_mut(*parent)) {
            parent.children -= 1;
        }
    }

    /// The whole index.
    pub fn root(&self) -> Option<CachedTree<'_>> {
        self.get(0)
    }
}

impl<'a> CachedTree<'a> {
    /// Its name within the directory above; empty for the whole index.
    pub fn name(&self) -> &'a [u8] {
        self.cache.bytes(&self.node.name)
    }

    /// The number of entries below, at any depth; `None` if the tree is no longer valid.
    pub fn entry_count(&self) -> Option<usize> {
        usize::try_from(self.node.entries).ok()
    }

    /// The id of the tree; `None` if it is no longer valid.
    pub fn id(&self) -> Option<&'a ObjectId> {
        (self.node.entries >= 0).then_some(&self.node.id)
    }

    /// The directories directly below: shorter names first, names of one length in byte order.
    pub fn children(&self) -> impl Iterator<Item = CachedTree<'a>> + use<'a> {
        let (cache, end) = (self.cache, self.at + self.node.size as usize);
        let mut next = self.at + 1;
        std::iter::from_fn(move || {
            let child = if next < end { cache.get(next)? } else { return None };
            next += (child.node.size as usize).max(1);
            Some(child)
        })
    }

    /// The directory with this name directly below.
    pub fn child(&self, name: &[u8]) -> Option<CachedTree<'a>> {
        self.children().take_while(|child| compare(child.name(), name) != Ordering::Greater).find(|child| child.name() == name)
    }
}

/// A cache that is being made: directories in any order.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    nodes: Vec<DraftNode<'a>>,
}

#[derive(Debug, Default)]
struct DraftNode<'a> {
    name: Vec<u8>,
    entries: i32,
    id: Option<ObjectId>,
    below: Vec<Below<'a>>,
}

#[derive(Clone, Copy, Debug)]
enum Below<'a> {
    New(usize),
    Kept(CachedTree<'a>),
}

impl<'a> Draft<'a> {
    /// Adds a directory, and returns its number.
    pub(super) fn open(&mut self, parent: Option<usize>, name: &[u8]) -> usize {
        let at = self.nodes.len();
        self.nodes.push(DraftNode { name: name.to_owned(), ..DraftNode::default() });
        if let Some(parent) = parent.and_then(|parent| self.nodes.get_mut(parent)) {
            parent.below.push(Below::New(at));
        }
        at
    }

    /// Sets the tree of a directory.
    pub(super) fn close(&mut self, at: usize, entries: i32, id: ObjectId) {
        if let Some(node) = self.nodes.get_mut(at) {
            (node.entries, node.id) = (entries, Some(id));
        }
    }

    /// Adds a directory that has not changed, with all below.
    pub(super) fn keep(&mut self, parent: usize, kept: CachedTree<'a>) {
        if let Some(parent) = self.nodes.get_mut(parent) {
            parent.below.push(Below::Kept(kept));
        }
    }

    fn name(&self, below: &Below<'a>) -> &[u8] {
        match below {
            Below::New(at) => self.nodes.get(*at).map(|node| node.name.as_slice()).unwrap_or_default(),
            Below::Kept(kept) => kept.name(),
        }
    }

    /// The cache, with directories in git's order.
    pub(super) fn finish(self, kind: Kind) -> TreeCache {
        let mut cache = TreeCache::default();
        let mut open = vec![(Below::New(0), 0)];
        // Directories whose size is not yet known, with their depth.
        let mut above: Vec<(usize, usize)> = Vec::new();
        while let Some((below, depth)) = open.pop() {
            cache.close(&mut above, depth);
            let at = match below {
                Below::Kept(kept) => {
                    cache.copy(kept);
                    continue;
                }
                Below::New(at) => at,
            };
            let Some(node) = self.nodes.get(at) else { continue };
            let Some(name) = cache.push_name(&node.name) else { continue };
            let mut sorted = node.below.clone();
            sorted.sort_by(|one, other| compare(self.name(other), self.name(one)));
            let children = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
            above.push((cache.nodes.len(), depth));
            cache.nodes.push(Node { name, entries: node.entries, id: node.id.unwrap_or_else(|| kind.null()), children, size: 1 });
            open.extend(sorted.into_iter().map(|below| (below, depth + 1)));
        }
        cache.close(&mut above, 0);
        cache
    }
}

impl TreeCache {
    /// Sets the size of the directories that end before one at `depth`.
    fn close(&mut self, above: &mut Vec<(usize, usize)>, depth: usize) {
        while let Some((at, _)) = above.pop_if(|(_, open)| *open >= depth) {
            let size = u32::try_from(self.nodes.len() - at).unwrap_or(u32::MAX);
            if let Some(node) = self.nodes.get_mut(at) {
                node.size = size;
            }
        }
    }

    /// Appends a directory of another cache, with all below.
    fn copy(&mut self, kept: CachedTree<'_>) {
        let nodes = kept.cache.nodes.get(kept.at..kept.at + kept.node.size as usize).unwrap_or_default();
        for node in nodes {
            let Some(name) = self.push_name(kept.cache.bytes(&node.name)) else { return };
            self.nodes.push(Node { name, ..node.clone() });
        }
    }
}

type Parsed<'a> = (&'a [u8], i32, i32, Option<ObjectId>);

/// One directory: its name, how many entries and directories it has, and its tree if valid.
fn node<'a>(bytes: &mut Bytes<'a>, kind: Kind) -> Option<Parsed<'a>> {
    let name = bytes.until_zero()?;
    let entries = bytes.decimal()?;
    if bytes.u8()? != b' ' {
        return None;
    }
    let children = bytes.decimal()?;
    if bytes.u8()? != b'\n' {
        return None;
    }
    let id = if entries >= 0 { Some(bytes.id(kind)?) } else { None };
    Some((name, entries, children, id))
}
