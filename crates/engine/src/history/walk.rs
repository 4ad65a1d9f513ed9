//! Walks commits in git's default order: by date, and in order of discovery between equal dates.
//!
//! Without a hidden tip the walk is lazy. With one it first visits everything that may be hidden, as git does, and so with
//! skewed clocks it shows what git shows.

use super::{
    commits::{
        History,
        mark::{BOTTOM, HIDDEN, LEFT, QUEUED, SAME, SEEN, VISITED},
    },
    paths::Paths,
};
use crate::error::Result;
use gix::ObjectId;
use std::{cmp::Reverse, collections::BinaryHeap};

/// A commit that a walk starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// The commit.
    pub id: ObjectId,
    /// Neither it nor its ancestors are shown.
    pub hidden: bool,
}

/// The commits to show.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only commits that change one of these paths, which are relative to the root. The empty path is the root.
    pub paths: Vec<Vec<u8>>,
    /// Only commits from this date on, in seconds since 1970. The walk ends at older ones.
    pub since: Option<u64>,
    /// Only commits up to this date.
    pub until: Option<u64>,
}

/// A walk in progress.
#[derive(Debug)]
pub struct Walk<'r> {
    pub(super) history: History<'r>,
    queue: BinaryHeap<(u64, Reverse<u64>, u32)>,
    pushed: u64,
    /// The number of commits in the queue that are not hidden.
    pub(super) shown_in_queue: usize,
    pub(super) selection: Selection,
    paths: Option<Paths>,
    /// The commit that was shown last.
    current: u32,
    /// The commits of a limited walk, the last one first.
    pub(super) limited: Option<Vec<u32>>,
}

impl<'r> History<'r> {
    /// Starts a walk from `tips`.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) for a missing commit.
    pub fn walk(mut self, tips: &[Tip], selection: Selection) -> Result<Walk<'r>> {
        let mut starts = Vec::with_capacity(tips.len());
        for tip in tips {
            let at = self.commit(tip.id)?;
            starts.push((at, if tip.hidden { HIDDEN | BOTTOM } else { 0 }));
        }
        self.start(&starts, selection)
    }

    /// Starts a walk of the commits that only one of two commits reaches.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) for a missing commit.
    pub fn symmetric_difference(mut self, left: ObjectId, right: ObjectId, selection: Selection) -> Result<Walk<'r>> {
        let (left, right) = (self.commit(left)?, self.commit(right)?);
        let mut starts: Vec<_> = self.bases(left, right)?.into_iter().map(|base| (base, HIDDEN | BOTTOM)).collect();
        starts.extend([(left, LEFT), (right, 0)]);
        self.start(&starts, selection)
    }

    fn start(mut self, starts: &[(u32, u16)], selection: Selection) -> Result<Walk<'r>> {
        for (at, marks) in starts {
            self.mark(*at, *marks);
        }
        let paths = (!selection.paths.is_empty()).then(|| Paths::new(&selection.paths));
        let (queue, limited) = (BinaryHeap::new(), None);
        let mut walk = Walk { history: self, queue, pushed: 0, shown_in_queue: 0, selection, paths, current: 0, limited };
        for (at, _) in starts {
            // The marks of all tips count: a commit may be one of them twice.
            if walk.history.has(*at, HIDDEN) {
                walk.hide_parents(*at)?;
            }
            walk.enqueue(*at)?;
        }
        if starts.iter().any(|(at, _)| walk.history.has(*at, BOTTOM)) {
            walk.limit()?;
        }
        Ok(walk)
    }
}

impl Walk<'_> {
    /// The next commit to show; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) for a missing or damaged object, and
    /// [`Error::Unsupported`](crate::Error::Unsupported) for one that only git reads: the rest of the walk is git's.
    pub fn advance(&mut self) -> Result<Option<ObjectId>> {
        while let Some(at) = self.candidate()? {
            if self.is_shown(at)? {
                self.current = at;
                return self.history.id(at).map(Some);
            }
        }
        Ok(None)
    }

    /// The text of the commit that [`Walk::advance`] found, as stored.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) if it is missing or damaged.
    pub fn text(&mut self) -> Result<&[u8]> {
        self.history.text(self.current)
    }

    /// The parents of the commit that [`Walk::advance`] found.
    ///
    /// # Errors
    ///
    /// As for [`Walk::text`].
    pub fn parents(&mut self) -> Result<Vec<ObjectId>> {
        let count = self.history.parent_count(self.current);
        (0..count).map(|nth| self.history.parent(self.current, nth).and_then(|parent| self.history.id(parent))).collect()
    }

    pub(super) fn candidate(&mut self) -> Result<Option<u32>> {
        if let Some(limited) = &mut self.limited {
            return Ok(limited.pop());
        }
        while let Some(at) = self.dequeue() {
            self.history.step()?;
            if self.is_too_old(at)? {
                continue;
            }
            self.visit(at)?;
            return Ok(Some(at));
        }
        Ok(None)
    }

    fn is_shown(&self, at: u32) -> Result<bool> {
        let node = self.history.node(at)?;
        let is_same = self.paths.is_some() && node.marks & SAME != 0;
        Ok(node.marks & HIDDEN == 0 && !is_same && self.selection.until.is_none_or(|until| node.date <= until))
    }

    pub(super) fn is_too_old(&self, at: u32) -> Result<bool> {
        let date = self.history.node(at)?.date;
        Ok(self.selection.since.is_some_and(|since| date < since))
    }

    /// Queues a commit that was not queued before.
    fn enqueue(&mut self, at: u32) -> Result<()> {
        if self.history.has(at, SEEN) {
            return Ok(());
        }
        self.history.mark(at, SEEN | QUEUED);
        self.shown_in_queue += usize::from(!self.history.has(at, HIDDEN));
        self.queue.push((self.history.node(at)?.date, Reverse(self.pushed), at));
        self.pushed += 1;
        Ok(())
    }

    pub(super) fn dequeue(&mut self) -> Option<u32> {
        let (_, _, at) = self.queue.pop()?;
        self.history.unmark(at, QUEUED);
        self.shown_in_queue -= usize::from(!self.history.has(at, HIDDEN));
        Some(at)
    }

    /// The date of the next commit in the queue.
    pub(super) fn next_date(&self) -> Option<u64> {
        self.queue.peek().map(|(date, _, _)| *date)
    }

    pub(super) fn hide(&mut self, at: u32) {
        self.shown_in_queue -= usize::from(self.history.marks(at) & (HIDDEN | QUEUED) == QUEUED);
        self.history.mark(at, HIDDEN);
    }

    /// Hides the ancestors of `at` that were read before.
    pub(super) fn hide_parents(&mut self, at: u32) -> Result<()> {
        let mut pending = vec![at];
        while let Some(child) = pending.pop() {
            self.history.step()?;
            for nth in 0..self.history.parent_count(child) {
                let parent = self.history.parent(child, nth)?;
                if !self.history.has(parent, HIDDEN) {
                    self.hide(parent);
                    pending.push(parent);
                }
            }
        }
        Ok(())
    }

    /// Queues the parents of a commit; with paths, only those that its history leads to.
    pub(super) fn visit(&mut self, at: u32) -> Result<()> {
        if self.history.has(at, VISITED) {
            return Ok(());
        }
        self.history.mark(at, VISITED);
        if self.history.has(at, HIDDEN) {
            return self.visit_hidden(at);
        }
        if let Some(mut paths) = self.paths.take() {
            let simplified = self.history.simplify(at, &mut paths);
            self.paths = Some(paths);
            simplified?;
        }
        let side = self.history.marks(at) & LEFT;
        for nth in 0..self.history.parent_count(at) {
            let parent = self.history.parent(at, nth)?;
            self.history.parse(parent)?;
            self.history.mark(parent, side);
            self.enqueue(parent)?;
        }
        Ok(())
    }

    fn visit_hidden(&mut self, at: u32) -> Result<()> {
        for nth in 0..self.history.parent_count(at) {
            let parent = self.history.parent(at, nth)?;
            self.hide(parent);
            self.history.parse(parent)?;
            self.hide_parents(parent)?;
            self.enqueue(parent)?;
        }
        Ok(())
    }
}
