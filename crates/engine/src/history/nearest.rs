//! The nearest name of a commit, as `git describe` chooses it.

use super::commits::{History, mark::SEEN};
use crate::error::Result;
use gix::ObjectId;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

/// Number of names that are compared, as in git without options.
const MAX_CANDIDATES: u32 = 10;

/// The nearest of the names of commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// The named commit.
    pub commit: ObjectId,
    /// The number of commits that the described one reaches, and the named one does not.
    pub distance: u64,
}

/// A name in sight.
#[derive(Clone, Copy)]
struct Candidate {
    commit: u32,
    distance: u64,
    /// The bit of the commits that it reaches.
    within: u16,
}

/// Commits to visit, newest first.
#[derive(Default)]
struct Queue {
    heap: BinaryHeap<(u64, Reverse<u64>, u32)>,
    pushed: u64,
    /// Bits of the candidates that reach a commit.
    within: HashMap<u32, u16>,
}

impl Queue {
    fn push(&mut self, history: &History<'_>, at: u32) -> Result<()> {
        self.heap.push((history.node(at)?.date, Reverse(self.pushed), at));
        self.pushed += 1;
        Ok(())
    }

    fn pop(&mut self) -> Option<u32> {
        self.heap.pop().map(|(_, _, at)| at)
    }

    fn within(&self, at: u32) -> u16 {
        self.within.get(&at).copied().unwrap_or_default()
    }

    fn push_parents(&mut self, history: &mut History<'_>, at: u32) -> Result<()> {
        let within = self.within(at);
        for nth in 0..history.parent_count(at) {
            let parent = history.parent(at, nth)?;
            history.parse(parent)?;
            if !history.has(parent, SEEN) {
                history.mark(parent, SEEN);
                self.push(history, parent)?;
            }
            if within != 0 {
                *self.within.entry(parent).or_default() |= within;
            }
        }
        Ok(())
    }
}

impl History<'_> {
    /// The commit among `names` that is nearest to `id`, which is none of them; `None` if it reaches none. The flag of a name is
    /// true for an annotated tag.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) for a missing commit.
    pub fn nearest(&mut self, id: ObjectId, names: &HashMap<ObjectId, bool>) -> Result<Option<Nearest>> {
        self.unmark_all();
        let start = self.commit(id)?;
        self.mark(start, SEEN);
        let mut queue = Queue::default();
        queue.push(self, start)?;
        let mut candidates: Vec<Candidate> = Vec::new();
        let (mut visited, mut has_annotated) = (0, false);
        while let Some(at) = queue.pop() {
            self.step()?;
            visited += 1;
            if let Some(is_annotated) = names.get(&self.id(at)?) {
                let nth = u32::try_from(candidates.len()).unwrap_or(MAX_CANDIDATES);
                if nth == MAX_CANDIDATES {
                    queue.push(self, at)?;
                    break;
                }
                let within = 1 << nth;
                candidates.push(Candidate { commit: at, distance: visited - 1, within });
                *queue.within.entry(at).or_default() |= within;
                has_annotated |= is_annotated;
            }
            let within = queue.within(at);
            for candidate in &mut candidates {
                candidate.distance += u64::from(within & candidate.within == 0);
            }
            if has_annotated && queue.heap.is_empty() && is_covered(&candidates, within) {
                break;
            }
            queue.push_parents(self, at)?;
        }
        // Of equally near ones, the first that was found.
        let Some(mut best) = candidates.into_iter().min_by_key(|candidate| candidate.distance) else { return Ok(None) };
        self.finish(&mut queue, &mut best)?;
        Ok(Some(Nearest { commit: self.id(best.commit)?, distance: best.distance }))
    }

    /// Counts the commits left in the queue that the candidate does not reach.
    fn finish(&mut self, queue: &mut Queue, best: &mut Candidate) -> Result<()> {
        while let Some(at) = queue.pop() {
            self.step()?;
            if queue.within(at) & best.within == 0 {
                best.distance += 1;
            } else if queue.heap.iter().all(|(_, _, at)| queue.within(*at) & best.within != 0) {
                break;
            }
            queue.push_parents(self, at)?;
        }
        Ok(())
    }
}

/// Whether all of the nearest candidates reach the commit with these bits.
fn is_covered(candidates: &[Candidate], within: u16) -> bool {
    let nearest = candidates.iter().map(|candidate| candidate.distance).min();
    let best = candidates.iter().filter(|candidate| Some(candidate.distance) == nearest).fold(0, |bits, candidate| bits | candidate.within);
    within & best == best
}
