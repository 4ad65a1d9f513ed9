//! Pairs deleted and added files as renames, with git's own result.
//!
//! As in git, equal contents are paired first, then similar files whose name is unique on both sides, and last the most
//! similar ones of all others.

mod similarity;

use crate::{diff::patch::is_binary, error::Result, stop::Stop};
use gix::ObjectId;
use similarity::{Fingerprint, MINIMUM, SAME_NAME_MINIMUM, Scores};
use std::collections::HashMap;

/// A file that exists on one side only.
#[derive(Clone, Copy, Debug)]
pub struct Lone<'a> {
    /// The path.
    pub path: &'a [u8],
    /// The mode, as in a tree.
    pub mode: u32,
    /// The id of the content.
    pub id: ObjectId,
    /// Whether it is binary, if attributes decide that.
    pub binary: Option<bool>,
}

impl<'a> Lone<'a> {
    fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    fn name(&self) -> &'a [u8] {
        self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}

/// Reads the content of files.
pub trait Contents {
    /// The size in bytes.
    ///
    /// # Errors
    ///
    /// Any: the search ends with it.
    fn size(&self, file: &Lone) -> Result<u64>;

    /// The content.
    ///
    /// # Errors
    ///
    /// Any: the search ends with it.
    fn read(&self, file: &Lone) -> Result<Vec<u8>>;
}

/// A deleted file that was renamed to an added one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The index of the deleted file.
    pub from: usize,
    /// The index of the added file.
    pub to: usize,
    /// How similar they are, in percent, as git shows it.
    pub percent: u32,
}

/// The renames among these files, in the order of `added`. `limit` is `diff.renameLimit`: with more candidates than its
/// square, only the first two steps are made; 0 is no limit.
///
/// # Errors
///
/// Those of `contents`, and [`Error::Stopped`](crate::Error::Stopped).
pub fn find(deleted: &[Lone], added: &[Lone], limit: usize, contents: &dyn Contents, stop: &dyn Stop) -> Result<Vec<Rename>> {
    if deleted.is_empty() || added.is_empty() {
        return Ok(Vec::new());
    }
    let mut search = Search {
        deleted,
        added,
        used: vec![false; deleted.len()],
        pairs: vec![None; added.len()],
        prints: [Store::new(deleted, contents), Store::new(added, contents)],
        stop,
    };
    search.equal_content();
    search.equal_name()?;
    let open = |list: &[bool]| list.iter().filter(|used| !**used).count();
    let sources = open(&search.used);
    let targets = search.pairs.iter().filter(|pair| pair.is_none()).count();
    let is_within = limit == 0 || sources.saturating_mul(targets) <= limit.saturating_mul(limit);
    if is_within && sources > 0 && targets > 0 {
        search.similar_content()?;
    }
    let pairs = search.pairs.into_iter().enumerate();
    Ok(pairs.filter_map(|(to, pair)| pair.map(|(from, score)| Rename { from, to, percent: similarity::percent(score) })).collect())
}

struct Search<'a> {
    deleted: &'a [Lone<'a>],
    added: &'a [Lone<'a>],
    /// Whether each deleted file is renamed.
    used: Vec<bool>,
    /// The source of each added file, and the score.
    pairs: Vec<Option<(usize, u32)>>,
    prints: [Store<'a>; 2],
    stop: &'a dyn Stop,
}

/// git looks at no more files with equal content.
const MAX_EQUAL: usize = 100;

impl Search<'_> {
    fn pair(&mut self, from: usize, to: usize, score: u32) {
        self.used[from] = true;
        self.pairs[to] = Some((from, score));
    }

    /// Pairs files with equal content; among several, one of the same name.
    fn equal_content(&mut self) {
        let mut by_id: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for (from, old) in self.deleted.iter().enumerate() {
            by_id.entry(old.id).or_default().push(from);
        }
        for (to, new) in self.added.iter().enumerate() {
            let Some(same) = by_id.get(&new.id) else { continue };
            let fits = |from: &&usize| {
                let old = &self.deleted[**from];
                !self.used[**from] && (old.is_regular() && new.is_regular() || old.mode == new.mode)
            };
            let candidates = || same.iter().filter(fits).take(MAX_EQUAL);
            let best = candidates().find(|from| self.deleted[**from].name() == new.name()).or_else(|| candidates().next());
            if let Some(&from) = best {
                self.pair(from, to, similarity::MAX);
            }
        }
    }

    /// Pairs rather similar files whose name is unique among both the deleted and the added ones.
    fn equal_name(&mut self) -> Result<()> {
        let mut sources: HashMap<&[u8], Option<usize>> = HashMap::new();
        let mut targets: HashMap<&[u8], Option<usize>> = HashMap::new();
        for (from, old) in self.deleted.iter().enumerate().filter(|(from, _)| !self.used[*from]) {
            sources.entry(old.name()).and_modify(|known| *known = None).or_insert(Some(from));
        }
        for (to, new) in self.added.iter().enumerate().filter(|(to, _)| self.pairs[*to].is_none()) {
            targets.entry(new.name()).and_modify(|known| *known = None).or_insert(Some(to));
        }
        for from in 0..self.deleted.len() {
            let name = self.deleted[from].name();
            let (Some(Some(source)), Some(Some(to))) = (sources.get(name), targets.get(name)) else { continue };
            if self.used[from] || *source != from {
                continue;
            }
            let score = self.score(from, *to, SAME_NAME_MINIMUM)?;
            if score >= SAME_NAME_MINIMUM {
                self.pair(from, *to, score);
            }
        }
        Ok(())
    }

    /// Pairs the most similar of the other files.
    fn similar_content(&mut self) -> Result<()> {
        let mut scores = Scores::default();
        for to in 0..self.added.len() {
            if self.pairs[to].is_some() {
                continue;
            }
            scores.start();
            for from in 0..self.deleted.len() {
                if !self.used[from] {
                    let score = self.score(from, to, MINIMUM)?;
                    scores.add(from, to, score, self.deleted[from].name() == self.added[to].name());
                }
            }
        }
        for (from, to, score) in scores.sorted() {
            if self.pairs[to].is_none() && !self.used[from] {
                self.pair(from, to, score);
            }
        }
        Ok(())
    }

    /// How similar two files are; 0 if their sizes exclude `minimum`.
    fn score(&mut self, from: usize, to: usize, minimum: u32) -> Result<u32> {
        self.stop.check()?;
        if !(self.deleted[from].is_regular() && self.added[to].is_regular()) {
            return Ok(0);
        }
        let [sources, targets] = &mut self.prints;
        let (old, new) = (sources.size(from)?, targets.size(to)?);
        if similarity::excluded(old, new, minimum) {
            return Ok(0);
        }
        Ok(similarity::score(sources.print(from)?, targets.print(to)?, old, new))
    }
}

/// Sizes and fingerprints, each read once.
struct Store<'a> {
    files: &'a [Lone<'a>],
    contents: &'a dyn Contents,
    known: Vec<(Option<u64>, Option<Fingerprint>)>,
}

impl<'a> Store<'a> {
    fn new(files: &'a [Lone<'a>], contents: &'a dyn Contents) -> Self {
        Self { files, contents, known: files.iter().map(|_| (None, None)).collect() }
    }

    fn size(&mut self, at: usize) -> Result<u64> {
        if let Some(size) = self.known[at].0 {
            return Ok(size);
        }
        let size = self.contents.size(&self.files[at])?;
        self.known[at].0 = Some(size);
        Ok(size)
    }

    fn print(&mut self, at: usize) -> Result<&Fingerprint> {
        let (file, slot) = (&self.files[at], &mut self.known[at].1);
        let print = if let Some(print) = slot.take() {
            print
        } else {
            let content = self.contents.read(file)?;
            Fingerprint::of(&content, !file.binary.unwrap_or_else(|| is_binary(&content)))
        };
        Ok(slot.insert(print))
    }
}
