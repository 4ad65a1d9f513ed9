//! Which of many commits contain another one.

use super::commits::{
    History,
    mark::{COMMON, SEEN},
};
use crate::error::Result;
use gix::ObjectId;

impl History<'_> {
    /// For each of `tips`, whether it is `wanted` or a descendant of it. One walk answers for all.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) for a missing commit.
    pub fn containing(&mut self, tips: &[ObjectId], wanted: ObjectId) -> Result<Vec<bool>> {
        self.unmark_all();
        let wanted = self.commit(wanted)?;
        let lowest = self.node(wanted)?.generation;
        self.mark(wanted, SEEN | COMMON);
        let mut found = Vec::with_capacity(tips.len());
        for tip in tips {
            let tip = self.commit(*tip)?;
            found.push(self.contains(tip, lowest)?);
        }
        self.unmark_all();
        Ok(found)
    }

    /// Whether `tip` reaches a commit marked as common. Commits below a generation do not.
    fn contains(&mut self, tip: u32, lowest: u64) -> Result<bool> {
        let mut path = vec![(tip, 0)];
        let mut is_found = false;
        while let Some((at, nth)) = path.pop() {
            self.step()?;
            if nth == 0 {
                if self.has(at, SEEN) {
                    is_found = self.has(at, COMMON);
                    continue;
                }
                self.mark(at, SEEN);
                self.parse(at)?;
                is_found = false;
                // Without a number of its own a commit has the highest one, and is searched.
                if self.node(at)?.generation < lowest {
                    continue;
                }
            }
            if is_found {
                self.mark(at, COMMON);
            } else if nth < self.parent_count(at) {
                path.extend([(at, nth + 1), (self.parent(at, nth)?, 0)]);
            }
        }
        Ok(is_found)
    }
}
