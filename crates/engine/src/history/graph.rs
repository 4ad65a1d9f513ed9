//! Reads the commit-graph files that git writes: parents, trees, dates, generations and changed paths of commits, without
//! their objects. The format is described in git's `gitformat-commit-graph`.

use super::{
    changed::{ChangedPaths, Filters},
    pages::{Pages, Span},
};
use crate::{
    beneath::{Folder, Kind},
    error::{Error, Result},
};
use gix::ObjectId;
use std::{cmp::Ordering, path::Path};

/// Larger files are ignored.
const MAX_LEN: u64 = 4 << 30;
/// Graphs of more commits are ignored as well.
const MAX_COUNT: u32 = 16 << 20;
/// Maximum number of parents of a commit.
const MAX_PARENTS: usize = 1 << 16;
/// Maximum number of files in a chain.
const MAX_LAYERS: usize = 256;
/// Bytes before the table of chunks, and of one of its entries.
const HEADER: u64 = 8;
const CHUNK: u64 = 12;
/// Bytes of a commit beside its tree.
const RECORD: u64 = 16;
/// Values of a parent's position.
const NO_PARENT: u32 = 0x7000_0000;
const MORE_PARENTS: u32 = 0x8000_0000;

/// A commit of the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) tree: ObjectId,
    /// Seconds since 1970.
    pub(super) date: u64,
    /// The corrected date, or the level; 0 if not computed.
    pub(super) generation: u64,
}

/// The settings that affect how git reads the graph.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// `commitGraph.generationVersion` is at least 2.
    pub(super) corrected_dates: bool,
    /// `commitGraph.changedPathsVersion`; `None` reads no filters.
    pub(super) changed_paths: Option<ChangedPaths>,
}

/// A commit-graph, possibly of several files, the oldest first.
#[derive(Debug)]
pub(super) struct Graph {
    layers: Vec<Layer>,
    /// Generations are corrected dates, not levels.
    corrected_dates: bool,
}

#[derive(Debug)]
struct Layer {
    file: Pages,
    hash: gix::hash::Kind,
    /// The number of commits in the layers before.
    base: u32,
    count: u32,
    fanout: Vec<u32>,
    ids: Span,
    data: Span,
    edges: Option<Span>,
    bases: Option<Span>,
    generations: Option<Span>,
    overflow: Option<Span>,
    filters: Option<Filters>,
}

/// What was found at the place of the graph.
pub(super) enum Found {
    Graph(Graph),
    Nothing,
    /// A graph of which only git knows whether it uses it.
    Doubtful,
}

impl Graph {
    /// Opens the graph of an object directory.
    pub(super) fn open(folder: &Folder, hash: gix::hash::Kind, wanted: Wanted) -> Found {
        let layers = if folder.has("info/commit-graph") {
            Layer::open(folder, Path::new("info/commit-graph"), hash, wanted).map(|layer| vec![layer])
        } else if folder.has("info/commit-graphs/commit-graph-chain") {
            chain(folder, hash, wanted)
        } else if folder.has("info/alternates") {
            return Found::Doubtful;
        } else {
            return Found::Nothing;
        };
        match layers {
            Ok(layers) => {
                let corrected_dates = layers.iter().all(|layer| layer.generations.is_some());
                Found::Graph(Self { layers, corrected_dates })
            }
            Err(_) => Found::Doubtful,
        }
    }

    /// Whether generations are corrected dates.
    pub(super) fn has_corrected_dates(&self) -> bool {
        self.corrected_dates && self.layers.last().is_some_and(|layer| layer.count > 0)
    }

    /// The position of a commit.
    pub(super) fn position(&mut self, id: &ObjectId) -> Result<Option<u32>> {
        for layer in self.layers.iter_mut().rev() {
            if let Some(at) = layer.find(id)? {
                return Ok(Some(layer.base + at));
            }
        }
        Ok(None)
    }

    /// The id of the commit at `position`.
    pub(super) fn id(&mut self, position: u32) -> Result<ObjectId> {
        let (layer, at) = self.layer(position)?;
        layer.id(at)
    }

    /// The commit at `position`. The positions of its parents are added to `parents`.
    pub(super) fn record(&mut self, position: u32, parents: &mut Vec<u32>) -> Result<Record> {
        let corrected_dates = self.corrected_dates;
        let (layer, at) = self.layer(position)?;
        layer.record(at, corrected_dates, parents)
    }

    /// The number of commits.
    pub(super) fn count(&self) -> u32 {
        self.layers.last().map_or(0, |layer| layer.base + layer.count)
    }

    /// The changed-path filters of the layer of `position`, with the file and the place in them.
    pub(super) fn filters(&mut self, position: u32) -> Result<Option<(Filters, &mut Pages, u32)>> {
        let (layer, at) = self.layer(position)?;
        Ok(layer.filters.map(|filters| (filters, &mut layer.file, at)))
    }

    fn layer(&mut self, position: u32) -> Result<(&mut Layer, u32)> {
        let found = self.layers.iter_mut().find(|layer| position >= layer.base && position - layer.base < layer.count);
        let layer = found.ok_or_else(|| Error::corrupt("a commit-graph names a commit that it lacks"))?;
        let at = position - layer.base;
        Ok((layer, at))
    }
}

/// Opens the files that `commit-graph-chain` lists.
fn chain(folder: &Folder, hash: gix::hash::Kind, wanted: Wanted) -> Result<Vec<Layer>> {
    let broken = || Error::corrupt("a chain of commit-graphs is incomplete");
    let list = folder.read("info/commit-graphs/commit-graph-chain", Kind::Rules)?.ok_or_else(broken)?;
    let mut layers: Vec<Layer> = Vec::new();
    let mut ids = Vec::new();
    for line in list.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let id = ObjectId::from_hex(line).map_err(|_| broken())?;
        if id.kind() != hash || layers.len() >= MAX_LAYERS {
            return Err(broken());
        }
        let mut layer = Layer::open(folder, Path::new(&format!("info/commit-graphs/graph-{id}.graph")), hash, wanted)?;
        if layer.trailer()? != id || !layer.stands_on(&ids)? {
            return Err(broken());
        }
        layer.base = layers.last().map_or(Some(0), |below| below.base.checked_add(below.count)).ok_or_else(broken)?;
        layer.base.checked_add(layer.count).filter(|end| *end <= MAX_COUNT).ok_or_else(broken)?;
        ids.push(id);
        layers.push(layer);
    }
    if layers.is_empty() { Err(broken()) } else { Ok(layers) }
}

impl Layer {
    fn open(folder: &Folder, path: &Path, hash: gix::hash::Kind, wanted: Wanted) -> Result<Self> {
        let (file, found) = folder.file(path).map_err(Error::io("opening a commit-graph"))?;
        Self::parse(Pages::new(file, found.len()), hash, wanted)
    }

    fn parse(mut file: Pages, hash: gix::hash::Kind, wanted: Wanted) -> Result<Self> {
        let chunks = chunks(&mut file, hash)?;
        let chunk = |name: &[u8; 4]| chunks.iter().find(|(id, _)| id == name).map(|(_, span)| *span);
        let require = |span: Option<Span>| span.ok_or_else(|| Error::corrupt("a commit-graph lacks a chunk"));
        let wrong = || Error::corrupt("a chunk of a commit-graph has the wrong size");
        let fan = require(chunk(b"OIDF"))?;
        if fan.len != 256 * 4 {
            return Err(wrong());
        }
        let bytes: [u8; 256 * 4] = file.bytes(fan.start)?;
        let fanout: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        if !fanout.is_sorted() {
            return Err(Error::corrupt("the fan-out of a commit-graph is not sorted"));
        }
        let count = fanout.last().copied().unwrap_or_default();
        let width = hash.len_in_bytes() as u64;
        let (ids, data) = (require(chunk(b"OIDL"))?, require(chunk(b"CDAT"))?);
        if ids.len / width != u64::from(count) || data.len / (width + RECORD) != u64::from(count) || count > MAX_COUNT {
            return Err(wrong());
        }
        let generations = chunk(b"GDA2").filter(|span| wanted.corrected_dates && span.len / 4 == u64::from(count));
        let filters = match (chunk(b"BIDX"), chunk(b"BDAT"), wanted.changed_paths) {
            (Some(index), Some(data), Some(versions)) if index.len / 4 == u64::from(count) => {
                Filters::open(&mut file, index, data, versions)?
            }
            _ => None,
        };
        let (edges, bases, overflow) = (chunk(b"EDGE"), chunk(b"BASE"), chunk(b"GDO2"));
        Ok(Self { file, hash, base: 0, count, fanout, ids, data, edges, bases, generations, overflow, filters })
    }

    /// The checksum at the end of the file, which is also its name.
    fn trailer(&mut self) -> Result<ObjectId> {
        let at = self.file.len().saturating_sub(self.hash.len_in_bytes() as u64);
        self.id_at(at)
    }

    /// Whether it was written on top of the layers `below`.
    fn stands_on(&mut self, below: &[ObjectId]) -> Result<bool> {
        let width = self.hash.len_in_bytes() as u64;
        let Some(bases) = self.bases else { return Ok(below.is_empty()) };
        if bases.len / width < below.len() as u64 {
            return Ok(false);
        }
        for (at, id) in below.iter().enumerate() {
            if self.id_at(bases.start + at as u64 * width)? != *id {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn id_at(&mut self, at: u64) -> Result<ObjectId> {
        let mut bytes = [0; 32];
        let id = bytes.get_mut(..self.hash.len_in_bytes()).ok_or_else(|| Error::corrupt("an unknown hash"))?;
        self.file.read(at, id)?;
        ObjectId::try_from(&*id).map_err(Error::corrupt)
    }

    fn id(&mut self, at: u32) -> Result<ObjectId> {
        self.id_at(self.ids.start + u64::from(at) * self.hash.len_in_bytes() as u64)
    }

    fn find(&mut self, id: &ObjectId) -> Result<Option<u32>> {
        let first = usize::from(id.as_bytes().first().copied().unwrap_or_default());
        let bound = |at: Option<usize>| at.and_then(|at| self.fanout.get(at)).copied().unwrap_or_default();
        let (mut low, mut high) = (bound(first.checked_sub(1)), bound(Some(first)));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle)?.cmp(id) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    fn record(&mut self, at: u32, corrected_dates: bool, parents: &mut Vec<u32>) -> Result<Record> {
        let width = self.hash.len_in_bytes() as u64;
        let start = self.data.start + u64::from(at) * (width + RECORD);
        let tree = self.id_at(start)?;
        let bytes: [u8; 16] = self.file.bytes(start + width)?;
        let ([first, second, high, low], _) = bytes.as_chunks::<4>() else { return Err(Error::corrupt("a short record")) };
        let (first, second) = (u32::from_be_bytes(*first), u32::from_be_bytes(*second));
        let (high, low) = (u32::from_be_bytes(*high), u32::from_be_bytes(*low));
        let date = u64::from(high & 3) << 32 | u64::from(low);
        if first != NO_PARENT {
            parents.push(first);
            if second & MORE_PARENTS != 0 {
                self.more_parents(second ^ MORE_PARENTS, parents)?;
            } else if second != NO_PARENT {
                parents.push(second);
            }
        }
        let generation = if corrected_dates { self.corrected_date(at, date)? } else { u64::from(high >> 2) };
        Ok(Record { tree, date, generation })
    }

    fn more_parents(&mut self, mut at: u32, parents: &mut Vec<u32>) -> Result<()> {
        let edges = self.edges.unwrap_or(Span { start: 0, len: 0 });
        loop {
            if u64::from(at) >= edges.len / 4 || parents.len() > MAX_PARENTS {
                return Err(Error::corrupt("a commit-graph lacks parents of a merge"));
            }
            let edge = self.file.u32(edges.start + 4 * u64::from(at))?;
            parents.push(edge & !MORE_PARENTS);
            if edge & MORE_PARENTS != 0 {
                return Ok(());
            }
            at += 1;
        }
    }

    fn corrected_date(&mut self, at: u32, date: u64) -> Result<u64> {
        let generations = self.generations.unwrap_or(Span { start: 0, len: 0 });
        let offset = self.file.u32(generations.start + 4 * u64::from(at))?;
        if offset & MORE_PARENTS == 0 {
            return Ok(date + u64::from(offset));
        }
        let place = u64::from(offset ^ MORE_PARENTS);
        let overflow = self.overflow.filter(|span| place < span.len / 8);
        let overflow = overflow.ok_or_else(|| Error::corrupt("a commit-graph lacks a generation"))?;
        Ok(date.wrapping_add(self.file.u64(overflow.start + 8 * place)?))
    }
}

/// The chunks of a file, by name.
fn chunks(file: &mut Pages, hash: gix::hash::Kind) -> Result<Vec<([u8; 4], Span)>> {
    let wrong = || Error::corrupt("a commit-graph has an unknown format");
    let version = if hash == gix::hash::Kind::Sha1 { 1 } else { 2 };
    let mut header = [0; 8];
    file.read(0, &mut header)?;
    let [b'C', b'G', b'P', b'H', 1, hash_version, count, _] = header else { return Err(wrong()) };
    if hash_version != version || file.len() > MAX_LEN {
        return Err(wrong());
    }
    let end = file.len().saturating_sub(hash.len_in_bytes() as u64);
    let mut found = Vec::new();
    for at in 0..u64::from(count) {
        let entry = HEADER + at * CHUNK;
        let mut name = [0; 4];
        file.read(entry, &mut name)?;
        let (start, next) = (file.u64(entry + 4)?, file.u64(entry + CHUNK + 4)?);
        if start > next || next > end || name == [0; 4] {
            return Err(wrong());
        }
        found.push((name, Span { start, len: next - start }));
    }
    Ok(found)
}
