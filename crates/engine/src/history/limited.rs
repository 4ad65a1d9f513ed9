//! Limited walks: those with hidden tips, and what is counted with them.

use super::{
    commits::{
        History,
        mark::{HIDDEN, LEFT},
    },
    walk::{Selection, Walk},
};
use crate::error::Result;
use gix::ObjectId;

/// Number of hidden commits that git visits after the last one that it would show: clocks may be skewed.
const SLOP: u32 = 5;

impl History<'_> {
    /// The number of commits that only `here` reaches, and that only `there` reaches, as `git rev-list --left-right
    /// --count here...there` counts them.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) for a missing commit.
    pub fn ahead_behind(self, here: ObjectId, there: ObjectId) -> Result<(u64, u64)> {
        if here == there {
            return Ok((0, 0));
        }
        let walk = self.symmetric_difference(here, there, Selection::default())?;
        let (mut ahead, mut behind) = (0, 0);
        let mut count = |marks: u16| match marks & (HIDDEN | LEFT) {
            0 => behind += 1,
            LEFT => ahead += 1,
            _ => {}
        };
        let mut walk = walk;
        match walk.limited.take() {
            Some(limited) => limited.into_iter().for_each(|at| count(walk.history.marks(at))),
            None => {
                while let Some(at) = walk.candidate()? {
                    count(walk.history.marks(at));
                }
            }
        }
        Ok((ahead, behind))
    }
}

impl Walk<'_> {
    /// Visits commits until none can still be hidden, and keeps those to show.
    pub(super) fn limit(&mut self) -> Result<()> {
        let (mut slop, mut last_date) = (SLOP, u64::MAX);
        let mut kept = Vec::new();
        while let Some(at) = self.dequeue() {
            self.history.step()?;
            if self.is_too_old(at)? {
                self.hide(at);
            }
            self.visit(at)?;
            if self.history.has(at, HIDDEN) {
                self.hide_parents(at)?;
                slop = match self.next_date() {
                    None => 0,
                    Some(next) if last_date <= next || self.shown_in_queue > 0 => SLOP,
                    Some(_) => slop - 1,
                };
                if slop == 0 {
                    break;
                }
                continue;
            }
            let date = self.history.node(at)?.date;
            if self.selection.until.is_none_or(|until| date <= until) {
                last_date = date;
                kept.push(at);
            }
        }
        kept.reverse();
        self.limited = Some(kept);
        Ok(())
    }
}
