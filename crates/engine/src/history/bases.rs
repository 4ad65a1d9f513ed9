//! Merge bases: the best common ancestors of two commits.

use super::commits::{
    History,
    mark::{COMMON, ONE, OTHER, STALE},
};
use crate::error::{Error, Result};
use gix::ObjectId;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Order of a visit: generation, date, then discovery.
type Order = (u64, u64, Reverse<u64>);

impl History<'_> {
    /// All best common ancestors of two commits, in the order of `git merge-base --all`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for a missing commit; [`Error::Unsupported`] if only git knows their order.
    pub fn merge_bases(&mut self, one: ObjectId, other: ObjectId) -> Result<Vec<ObjectId>> {
        let (one, other) = (self.commit(one)?, self.commit(other)?);
        let found = self.bases(one, other)?;
        if found.len() > 1 && !self.is_graph_certain {
            return Err(Error::Unsupported("the order of several merge bases without their generations"));
        }
        found.into_iter().map(|at| self.id(at)).collect()
    }

    pub(super) fn bases(&mut self, one: u32, other: u32) -> Result<Vec<u32>> {
        if one == other {
            return Ok(vec![one]);
        }
        let mut found = self.common(one, other)?;
        found.retain(|at| !self.has(*at, STALE));
        let by_date = |history: &Self, found: &mut Vec<u32>| found.sort_by_key(|at| Reverse(history.node(*at).map_or(0, |node| node.date)));
        by_date(self, &mut found);
        if found.len() > 1 {
            found = self.without_ancestors(&found)?;
        }
        self.unmark_all();
        Ok(found)
    }

    /// Common ancestors, in order of discovery: all best ones, and with skewed clocks some of their ancestors.
    fn common(&mut self, one: u32, other: u32) -> Result<Vec<u32>> {
        let mut queue = Queue::new(self.has_corrected_dates());
        self.mark(one, ONE);
        self.mark(other, OTHER);
        queue.push(self, one)?;
        queue.push(self, other)?;
        let mut found = Vec::new();
        while queue.live > 0
            && let Some(at) = queue.pop(self)
        {
            self.step()?;
            let mut marks = self.marks(at) & (ONE | OTHER | STALE);
            if marks == ONE | OTHER {
                if !self.has(at, COMMON) {
                    self.mark(at, COMMON);
                    found.push(at);
                }
                marks |= STALE;
            }
            for nth in 0..self.parent_count(at) {
                let parent = self.parent(at, nth)?;
                if self.has(parent, marks) {
                    continue;
                }
                self.parse(parent)?;
                queue.mark(self, parent, marks);
                queue.push(self, parent)?;
            }
        }
        Ok(found)
    }

    /// Those of `commits` that no other one of them reaches.
    fn without_ancestors(&mut self, commits: &[u32]) -> Result<Vec<u32>> {
        let mut kept = Vec::new();
        for at in commits {
            let mut is_reached = false;
            for from in commits.iter().filter(|from| *from != at) {
                is_reached = is_reached || self.reaches(*from, *at)?;
            }
            if !is_reached {
                kept.push(*at);
            }
        }
        Ok(kept)
    }

    /// Whether `from` reaches `to`. Only one of the two can reach the other.
    fn reaches(&mut self, from: u32, to: u32) -> Result<bool> {
        self.unmark_all();
        self.common(to, from)?;
        Ok(self.has(to, OTHER))
    }
}

/// Commits to visit. One may be in it several times.
struct Queue {
    heap: BinaryHeap<(Order, u32)>,
    has_generations: bool,
    pushed: u64,
    /// The number of entries, by commit.
    entries: std::collections::HashMap<u32, u32>,
    /// The number of entries whose commit is not stale.
    live: u32,
}

impl Queue {
    fn new(has_generations: bool) -> Self {
        Self { heap: BinaryHeap::new(), has_generations, pushed: 0, entries: std::collections::HashMap::new(), live: 0 }
    }

    fn push(&mut self, history: &History<'_>, at: u32) -> Result<()> {
        let node = history.node(at)?;
        let generation = if self.has_generations { node.generation } else { 0 };
        self.heap.push(((generation, node.date, Reverse(self.pushed)), at));
        self.pushed += 1;
        *self.entries.entry(at).or_default() += 1;
        self.live += u32::from(!history.has(at, STALE));
        Ok(())
    }

    fn pop(&mut self, history: &History<'_>) -> Option<u32> {
        let (_, at) = self.heap.pop()?;
        self.live -= u32::from(!history.has(at, STALE));
        if let Some(entries) = self.entries.get_mut(&at) {
            *entries -= 1;
            if *entries == 0 {
                self.entries.remove(&at);
            }
        }
        Some(at)
    }

    /// Marks a commit that may be in the queue.
    fn mark(&mut self, history: &mut History<'_>, at: u32, marks: u16) {
        if marks & STALE != 0 && !history.has(at, STALE) {
            self.live -= self.entries.get(&at).copied().unwrap_or_default();
        }
        history.mark(at, marks);
    }
}
