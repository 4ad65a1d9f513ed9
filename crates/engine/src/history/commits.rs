//! The commits read so far, each once, with the marks of the walk in progress.

use super::{
    changed::{ChangedPaths, Key},
    graph::{Found, Graph, Wanted},
    loose,
};
use crate::{
    beneath::Folder,
    error::{Error, Result},
    packs::Packs,
    stop::Stop,
};
use gix::{
    ObjectId,
    objs::{Find as _, Kind},
};
use std::fmt;

/// Maximum number of commits in memory.
const MAX_COMMITS: usize = 8 << 20;
/// The position of a commit outside the graph.
const NOWHERE: u32 = u32::MAX;
/// Number of commits between two checks of the stop signal.
const STRIDE: u32 = 64;
/// Number of commits whose text is kept: those that are read are mostly shown soon.
const MAX_TEXTS: usize = 32;
/// Longer ones are read again.
const MAX_TEXT: usize = 64 << 10;
/// Number of commits after which a walk is long, and reads packs itself. One that compares trees is long from the start.
const MANY: u32 = 48;

/// Marks of a walk.
pub(super) mod mark {
    /// In the queue, or taken from it.
    pub(in super::super) const SEEN: u16 = 1;
    /// Reachable from a hidden tip.
    pub(in super::super) const HIDDEN: u16 = 1 << 1;
    /// Its parents were visited.
    pub(in super::super) const VISITED: u16 = 1 << 2;
    /// Equal to a parent at the paths.
    pub(in super::super) const SAME: u16 = 1 << 3;
    /// A hidden tip.
    pub(in super::super) const BOTTOM: u16 = 1 << 4;
    /// Reachable from the left side of a symmetric difference.
    pub(in super::super) const LEFT: u16 = 1 << 5;
    /// In the queue.
    pub(in super::super) const QUEUED: u16 = 1 << 6;
    /// Reachable from one commit, and from the other.
    pub(in super::super) const ONE: u16 = 1 << 7;
    pub(in super::super) const OTHER: u16 = 1 << 8;
    /// Reachable from a common ancestor.
    pub(in super::super) const STALE: u16 = 1 << 9;
    /// A common ancestor.
    pub(in super::super) const COMMON: u16 = 1 << 10;
}

/// A commit.
#[derive(Debug)]
pub(super) struct Node {
    /// Null for a commit of the graph whose id was not needed yet.
    id: ObjectId,
    pub(super) tree: ObjectId,
    /// Seconds since 1970.
    pub(super) date: u64,
    /// git's generation number: above that of each parent. The maximum without one.
    pub(super) generation: u64,
    pub(super) marks: u16,
    parsed: bool,
    position: u32,
    /// Its parents in [`History::edges`].
    first_parent: u32,
    parents: u32,
}

/// The history of a repository, as far as it was read.
pub struct History<'r> {
    objects: gix::OdbHandle,
    /// The object directory, as long as its loose objects are the ones that are read.
    loose: Option<Folder>,
    inflate: flate2::Decompress,
    /// Opened for long walks: gix decodes the bases of each object again.
    packs: Option<Packs>,
    reads: u32,
    pub(super) hash: gix::hash::Kind,
    graph: Option<Graph>,
    /// Generations are certain to be git's.
    pub(super) is_graph_certain: bool,
    nodes: Vec<Node>,
    ids: gix::hashtable::HashMap<ObjectId, u32>,
    /// By position in the graph, the number of the commit plus one.
    positions: Vec<u32>,
    edges: Vec<u32>,
    buffer: Vec<u8>,
    /// The text of commits read last, and the place of the next one.
    texts: Vec<(u32, Vec<u8>)>,
    next_text: usize,
    parents: Vec<u32>,
    stop: &'r dyn Stop,
    steps: u32,
}

impl fmt::Debug for History<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").field("graph", &self.graph).field("commits", &self.nodes.len()).finish_non_exhaustive()
    }
}

impl<'r> History<'r> {
    /// Opens the history of `repo`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] if a graft, a shallow boundary or a replacement may alter the parents of commits.
    pub fn open(repo: &gix::Repository, stop: &'r dyn Stop) -> Result<Self> {
        let folder = Folder::open(repo.common_dir()).map_err(|_| Error::Unsupported("a git directory at an unusual place"))?;
        let store = repo.objects.store_ref();
        if ["shallow", "info/grafts", "refs/replace"].iter().any(|name| folder.has(name)) || store.replacements().next().is_some() {
            return Err(Error::Unsupported("grafted, shallow or replaced parents"));
        }
        let loose = Folder::open(store.path()).ok();
        let (graph, is_graph_certain) = match (wanted(repo), &loose) {
            (None, _) => (None, true),
            (Some(_), None) => (None, false),
            (Some(wanted), Some(objects)) => match Graph::open(objects, repo.object_hash(), wanted) {
                Found::Graph(graph) => (Some(graph), true),
                Found::Nothing => (None, true),
                Found::Doubtful => (None, false),
            },
        };
        Ok(Self {
            objects: repo.objects.clone(),
            loose,
            inflate: flate2::Decompress::new(true),
            packs: None,
            reads: 0,
            hash: repo.object_hash(),
            positions: vec![0; graph.as_ref().map_or(0, |graph| graph.count() as usize)],
            graph,
            is_graph_certain,
            nodes: Vec::new(),
            ids: gix::hashtable::HashMap::default(),
            edges: Vec::new(),
            buffer: Vec::new(),
            texts: Vec::new(),
            next_text: 0,
            parents: Vec::new(),
            stop,
            steps: 0,
        })
    }

    /// Fails if the caller stopped the work; cheap enough for each commit.
    pub(super) fn step(&mut self) -> Result<()> {
        self.steps = self.steps.wrapping_add(1);
        if self.steps.is_multiple_of(STRIDE) { self.stop.check() } else { Ok(()) }
    }

    /// The commit `id`, read.
    pub(super) fn commit(&mut self, id: ObjectId) -> Result<u32> {
        let at = self.intern(id)?;
        self.parse(at)?;
        Ok(at)
    }

    /// The id of a commit.
    pub(super) fn id(&mut self, at: u32) -> Result<ObjectId> {
        let node = self.nodes.get_mut(at as usize).ok_or_else(lost)?;
        if node.id.is_null() {
            node.id = self.graph.as_mut().ok_or_else(lost)?.id(node.position)?;
        }
        Ok(node.id)
    }

    pub(super) fn node(&self, at: u32) -> Result<&Node> {
        self.nodes.get(at as usize).ok_or_else(lost)
    }

    pub(super) fn marks(&self, at: u32) -> u16 {
        self.nodes.get(at as usize).map_or(0, |node| node.marks)
    }

    pub(super) fn has(&self, at: u32, marks: u16) -> bool {
        self.marks(at) & marks == marks
    }

    pub(super) fn mark(&mut self, at: u32, marks: u16) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.marks |= marks;
        }
    }

    pub(super) fn unmark(&mut self, at: u32, marks: u16) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.marks &= !marks;
        }
    }

    /// Removes the marks of all commits.
    pub(super) fn unmark_all(&mut self) {
        for node in &mut self.nodes {
            node.marks = 0;
        }
    }

    /// The number of parents; 0 for a commit that is not read yet.
    pub(super) fn parent_count(&self, at: u32) -> u32 {
        self.nodes.get(at as usize).map_or(0, |node| node.parents)
    }

    pub(super) fn parent(&self, at: u32, nth: u32) -> Result<u32> {
        let node = self.node(at)?;
        self.edges.get((node.first_parent + nth) as usize).copied().ok_or_else(lost)
    }

    /// Makes the `nth` parent the only one.
    pub(super) fn keep_parent(&mut self, at: u32, nth: u32) {
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.first_parent += nth;
            node.parents = 1;
        }
    }

    /// Whether the paths of `keys` certainly are the same in a commit and its first parent, or are absent in a root.
    pub(super) fn excludes(&mut self, at: u32, keys: &[Key]) -> Result<bool> {
        let node = self.node(at)?;
        let (position, generation) = (node.position, node.generation);
        let Some(graph) = self.graph.as_mut().filter(|_| position != NOWHERE && generation != u64::MAX) else { return Ok(false) };
        let Some((filters, file, place)) = graph.filters(position)? else { return Ok(false) };
        filters.exclude(file, place, keys)
    }

    /// Whether generations are corrected dates, so that git orders by them.
    pub(super) fn has_corrected_dates(&self) -> bool {
        self.graph.as_ref().is_some_and(Graph::has_corrected_dates)
    }

    fn intern(&mut self, id: ObjectId) -> Result<u32> {
        if let Some(at) = self.ids.get(&id) {
            return Ok(*at);
        }
        let position = match &mut self.graph {
            Some(graph) => graph.position(&id)?,
            None => None,
        };
        let at = match position {
            Some(position) => self.intern_position(position)?,
            None => self.add(id, NOWHERE)?,
        };
        if let Some(node) = self.nodes.get_mut(at as usize) {
            node.id = id;
        }
        self.ids.insert(id, at);
        Ok(at)
    }

    fn intern_position(&mut self, position: u32) -> Result<u32> {
        let known = self.positions.get(position as usize).copied().ok_or_else(lost)?;
        if let Some(at) = known.checked_sub(1) {
            return Ok(at);
        }
        let at = self.add(ObjectId::null(self.hash), position)?;
        if let Some(known) = self.positions.get_mut(position as usize) {
            *known = at + 1;
        }
        Ok(at)
    }

    fn add(&mut self, id: ObjectId, position: u32) -> Result<u32> {
        let at = u32::try_from(self.nodes.len()).map_err(Error::corrupt)?;
        if self.nodes.len() >= MAX_COMMITS {
            return Err(Error::Unsupported("a history of so many commits"));
        }
        let tree = ObjectId::null(self.hash);
        let (marks, parsed, first_parent, parents) = (0, false, 0, 0);
        self.nodes.push(Node { id, tree, date: 0, generation: u64::MAX, marks, parsed, position, first_parent, parents });
        Ok(at)
    }

    /// Reads the commit, unless that was done before.
    pub(super) fn parse(&mut self, at: u32) -> Result<()> {
        let node = self.node(at)?;
        match (node.parsed, node.position) {
            (true, _) => Ok(()),
            (false, NOWHERE) => self.parse_object(at, node.id),
            (false, position) => self.parse_record(at, position),
        }
    }

    fn parse_record(&mut self, at: u32, position: u32) -> Result<()> {
        let mut parents = std::mem::take(&mut self.parents);
        parents.clear();
        let record = self.graph.as_mut().ok_or_else(lost)?.record(position, &mut parents)?;
        for parent in &mut parents {
            *parent = self.intern_position(*parent)?;
        }
        let generation = if record.generation == 0 { u64::MAX } else { record.generation };
        self.fill(at, record.tree, record.date, generation, &parents)?;
        self.parents = parents;
        Ok(())
    }

    fn parse_object(&mut self, at: u32, id: ObjectId) -> Result<()> {
        let hash = self.hash;
        let parsed = parse(self.read(id, Kind::Commit)?, hash)?;
        self.keep_text(at);
        let parents = parsed.parents.into_iter().map(|parent| self.intern(parent)).collect::<Result<Vec<u32>>>()?;
        self.fill(at, parsed.tree, parsed.date, u64::MAX, &parents)
    }

    /// Reads an object into the buffer.
    pub(super) fn read(&mut self, id: ObjectId, kind: Kind) -> Result<&[u8]> {
        self.reads = self.reads.saturating_add(1);
        if self.reads > MANY || kind == Kind::Tree {
            let (objects, hash) = (&self.objects, self.hash);
            let packs = self.packs.get_or_insert_with(|| Packs::at(objects.store_ref().path(), hash, true));
            if let Some((found, data)) = packs.find(&id) {
                self.buffer.clear();
                self.buffer.extend_from_slice(&data);
                return if found == kind { Ok(&self.buffer) } else { Err(Error::corrupt(format_args!("object {id} is not a {kind}"))) };
            }
        }
        // The newest commits are loose or packed, mostly all of them.
        match self.loose.as_ref().and_then(|objects| loose::read(objects, &id, &mut self.inflate, &mut self.buffer)) {
            Some(found) if found == kind => return Ok(&self.buffer),
            _ => self.loose = None,
        }
        match self.objects.try_find(&id, &mut self.buffer) {
            Ok(Some(data)) if data.kind == kind => Ok(&self.buffer),
            Ok(Some(_)) => Err(Error::corrupt(format_args!("object {id} is not a {kind}"))),
            Ok(None) => Err(Error::corrupt(format_args!("object {id} is missing"))),
            Err(err) => Err(Error::corrupt(format_args!("object {id}: {err}"))),
        }
    }

    fn keep_text(&mut self, at: u32) {
        if self.buffer.len() > MAX_TEXT {
            return;
        }
        if self.texts.len() < MAX_TEXTS {
            self.texts.push((at, std::mem::take(&mut self.buffer)));
        } else if let Some((kept, text)) = self.texts.get_mut(self.next_text) {
            *kept = at;
            std::mem::swap(text, &mut self.buffer);
            self.next_text = (self.next_text + 1) % MAX_TEXTS;
        }
    }

    /// The commit as stored.
    pub(super) fn text(&mut self, at: u32) -> Result<&[u8]> {
        if let Some(place) = self.texts.iter().position(|(kept, _)| *kept == at) {
            return Ok(self.texts.get(place).map(|(_, text)| text.as_slice()).unwrap_or_default());
        }
        let id = self.id(at)?;
        self.read(id, Kind::Commit)
    }

    fn fill(&mut self, at: u32, tree: ObjectId, date: u64, generation: u64, parents: &[u32]) -> Result<()> {
        let first_parent = u32::try_from(self.edges.len()).map_err(Error::corrupt)?;
        self.edges.extend(parents);
        let parents = u32::try_from(parents.len()).map_err(Error::corrupt)?;
        let node = self.nodes.get_mut(at as usize).ok_or_else(lost)?;
        (node.tree, node.date, node.generation) = (tree, date, generation);
        (node.first_parent, node.parents, node.parsed) = (first_parent, parents, true);
        Ok(())
    }
}

/// The parts of a commit that a walk needs.
#[derive(Debug)]
struct Parsed {
    tree: ObjectId,
    date: u64,
    parents: Vec<ObjectId>,
}

fn lost() -> Error {
    Error::corrupt("a commit that was read is lost")
}

/// How git reads the commit-graph here; `None` if it does not.
fn wanted(repo: &gix::Repository) -> Option<Wanted> {
    let config = repo.config_snapshot();
    if config.boolean("core.commitGraph") == Some(false) {
        return None;
    }
    let corrected_dates = config.integer("commitGraph.generationVersion").is_none_or(|version| version >= 2);
    let is_read = config.boolean("commitGraph.readChangedPaths").unwrap_or(true);
    let changed_paths = match config.integer("commitGraph.changedPathsVersion").unwrap_or(if is_read { -1 } else { 0 }) {
        -1 => Some(ChangedPaths::Any),
        version @ 1..=2 => u32::try_from(version).ok().map(ChangedPaths::Only),
        _ => None,
    };
    Some(Wanted { corrected_dates, changed_paths })
}

/// Parses a commit as git does before it follows its parents.
fn parse(data: &[u8], hash: gix::hash::Kind) -> Result<Parsed> {
    let bad = || Error::corrupt("a commit with a malformed header");
    let width = hash.len_in_hex();
    let line = |rest: &mut &[u8], name: &[u8]| -> Result<Option<ObjectId>> {
        let Some(value) = rest.strip_prefix(name) else { return Ok(None) };
        // A line at the very end is not complete.
        if value.len() <= width + 1 || value.get(width) != Some(&b'\n') {
            return Err(bad());
        }
        let (hex, after) = value.split_at(width);
        *rest = after.get(1..).unwrap_or_default();
        ObjectId::from_hex(hex).map(Some).map_err(|_| bad())
    };
    let mut rest = data;
    let tree = line(&mut rest, b"tree ")?.ok_or_else(bad)?;
    let mut parents = Vec::new();
    while let Some(parent) = line(&mut rest, b"parent ")? {
        parents.push(parent);
    }
    Ok(Parsed { tree, date: committed(rest)?, parents })
}

/// The committer's date, from the header after the parents; 0 if git cannot read it.
fn committed(rest: &[u8]) -> Result<u64> {
    let line_end = |text: &[u8]| text.iter().position(|&byte| byte == b'\n');
    if rest.len() <= 6 || !rest.starts_with(b"author") {
        return Ok(0);
    }
    let Some(committer) = line_end(rest).and_then(|end| rest.get(end + 1..)) else { return Ok(0) };
    if committer.len() <= 9 || !committer.starts_with(b"committer") {
        return Ok(0);
    }
    let Some(line) = line_end(committer).and_then(|end| committer.get(..end)) else { return Ok(0) };
    let Some(after) = line.iter().rposition(|&byte| byte == b'>') else { return Ok(0) };
    let text = line.get(after + 1..).unwrap_or_default();
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    if text.first() == Some(&b'-') {
        return Err(Error::Unsupported("a negative date"));
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn dated(author: &str, committer: &str) -> Result<Parsed> {
        let (tree, parent) = ("1".repeat(40), "2".repeat(40));
        parse(format!("tree {tree}\nparent {parent}\n{author}\n{committer}\n\nmessage\n").as_bytes(), gix::hash::Kind::Sha1)
    }

    #[test]
    fn headers_are_read_as_git_does() -> Result<()> {
        for (committer, date) in [
            ("committer C <c@d> 1700000000 +0000", 1_700_000_000),
            ("committer C <c> d> 5+0000", 5),
            ("committer C c@d 5 +0000", 0),
            ("committer C <c@d> x5 +0000", 0),
            ("committer C <c@d> 99999999999999999999999 +0000", u64::MAX),
            ("mergetag x", 0),
        ] {
            let parsed = dated("author A <a@b> 3 +0000", committer)?;
            assert_eq!((parsed.date, parsed.parents.len()), (date, 1), "{committer}");
        }
        assert!(dated("author A <a@b> 3 +0000", "committer C <c@d> -5 +0000").is_err());
        assert!(parse(b"tree 123\n", gix::hash::Kind::Sha1).is_err());
        assert_eq!(dated("x", "committer C <c@d> 7 +0000")?.date, 0);
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..300), text in "(tree|parent|author|committer)[ -~\n]{0,80}") {
            for data in [&data[..], text.as_bytes()] {
                let _ = (parse(data, gix::hash::Kind::Sha1).is_ok(), committed(data).is_ok());
            }
        }
    }
}
