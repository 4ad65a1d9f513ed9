//! Searches the shortest script by Myers' algorithm in linear space, with the cost limit of git.

use crate::{
    diff::xdiff::{
        File,
        prepare::{Kept, rough_root},
    },
    error::Result,
    stop::Stop,
};
use std::ops::Range;

/// The least number of steps after which the search ends without the shortest script.
const MIN_LIMIT: u32 = 256;
/// The number of steps after which a promising path is taken.
const PROMISING_AFTER: i32 = 256;
/// A run of equal lines longer than this is a promising sign.
const LONG_RUN: i32 = 20;
/// A path is promising if it has come this many times as far as its number of steps.
const FAR_FACTOR: i32 = 4;
/// Beyond each position; sums and differences with a position do not overflow.
const BEYOND: i32 = 1 << 30;
/// Positions visited between two checks whether the work is still wanted.
const CHECK_EVERY: usize = 1 << 18;

/// Marks the lines that are removed or added.
pub(super) fn mark([a, b]: [&mut File; 2], [old, new]: [&Kept; 2], minimal: bool, stop: &dyn Stop) -> Result<()> {
    let diagonals = old.at.len() + new.at.len() + 3;
    let size = |kept: &Kept| i32::try_from(kept.at.len()).unwrap_or(BEYOND);
    let mut search = Search {
        old: &old.classes,
        new: &new.classes,
        forward: vec![0; diagonals],
        backward: vec![0; diagonals],
        middle: size(new) + 1,
        limit: i32::try_from(rough_root(diagonals).max(MIN_LIMIT)).unwrap_or(BEYOND),
        visited: 0,
        stop,
    };
    let mut boxes = vec![(Area { old: 0..size(old), new: 0..size(new) }, minimal)];
    while let Some((area, minimal)) = boxes.pop() {
        let area = search.shrunk(area);
        let mark = |file: &mut File, kept: &Kept, range: &Range<i32>| {
            for &at in &kept.at[index(range.start)..index(range.end)] {
                file.changed[at as usize] = true;
            }
        };
        if area.old.is_empty() {
            mark(b, new, &area.new);
        } else if area.new.is_empty() {
            mark(a, old, &area.old);
        } else {
            let split = search.split(&area, minimal)?;
            let (i, j) = split.at;
            boxes.push((Area { old: area.old.start..i, new: area.new.start..j }, split.minimal_before));
            boxes.push((Area { old: i..area.old.end, new: j..area.new.end }, split.minimal_after));
        }
    }
    Ok(())
}

fn index(at: i32) -> usize {
    usize::try_from(at).unwrap_or_default()
}

/// Ranges of both texts that are compared.
struct Area {
    old: Range<i32>,
    new: Range<i32>,
}

/// Where an area is divided, and whether its parts need the shortest script.
struct Split {
    at: (i32, i32),
    minimal_before: bool,
    minimal_after: bool,
}

struct Search<'a> {
    old: &'a [u32],
    new: &'a [u32],
    /// The furthest position in the old text on each diagonal, from the start.
    forward: Vec<i32>,
    /// The same from the end.
    backward: Vec<i32>,
    /// Where the vectors hold diagonal zero.
    middle: i32,
    /// Steps after which the search ends.
    limit: i32,
    visited: usize,
    stop: &'a dyn Stop,
}

/// The diagonals reached from one side.
#[derive(Clone, Copy)]
struct Reach {
    min: i32,
    max: i32,
    /// The diagonal on which it started.
    origin: i32,
}

impl Reach {
    fn from(origin: i32) -> Self {
        Self { min: origin, max: origin, origin }
    }

    fn has(self, diagonal: i32) -> bool {
        (self.min..=self.max).contains(&diagonal)
    }

    /// Every second diagonal, from the highest.
    fn diagonals(self) -> impl Iterator<Item = i32> {
        (self.min..=self.max).rev().step_by(2)
    }

    /// Widens it by a diagonal on each side, or narrows it at the borders. Sets diagonals outside to `outside`.
    fn widen(&mut self, area: &Area, middle: i32, vector: &mut [i32], outside: i32) {
        if self.min > area.old.start - area.new.end {
            self.min -= 1;
            vector[index(middle + self.min - 1)] = outside;
        } else {
            self.min += 1;
        }
        if self.max < area.old.end - area.new.start {
            self.max += 1;
            vector[index(middle + self.max + 1)] = outside;
        } else {
            self.max -= 1;
        }
    }
}

impl Search<'_> {
    fn is_equal(&self, old: i32, new: i32) -> bool {
        self.old[index(old)] == self.new[index(new)]
    }

    /// The area without equal lines at its ends.
    fn shrunk(&self, mut area: Area) -> Area {
        while !area.old.is_empty() && !area.new.is_empty() && self.is_equal(area.old.start, area.new.start) {
            area.old.start += 1;
            area.new.start += 1;
        }
        while !area.old.is_empty() && !area.new.is_empty() && self.is_equal(area.old.end - 1, area.new.end - 1) {
            area.old.end -= 1;
            area.new.end -= 1;
        }
        area
    }

    /// Searches from both ends until the paths meet, or git would end the search.
    fn split(&mut self, area: &Area, minimal: bool) -> Result<Split> {
        let mut front = Reach::from(area.old.start - area.new.start);
        let mut back = Reach::from(area.old.end - area.new.end);
        self.forward[index(self.middle + front.origin)] = area.old.start;
        self.backward[index(self.middle + back.origin)] = area.old.end;
        let odd = (front.origin - back.origin) & 1 != 0;
        let mut steps = 0;
        loop {
            steps += 1;
            let mut long_run = false;
            front.widen(area, self.middle, &mut self.forward, -1);
            for diagonal in front.diagonals() {
                let at = self.advance(area, diagonal, &mut long_run);
                if odd && back.has(diagonal) && self.backward[index(self.middle + diagonal)] <= at {
                    return Ok(Split { at: (at, at - diagonal), minimal_before: true, minimal_after: true });
                }
            }
            back.widen(area, self.middle, &mut self.backward, BEYOND);
            for diagonal in back.diagonals() {
                let at = self.retreat(area, diagonal, &mut long_run);
                if !odd && front.has(diagonal) && at <= self.forward[index(self.middle + diagonal)] {
                    return Ok(Split { at: (at, at - diagonal), minimal_before: true, minimal_after: true });
                }
            }
            self.visited += index(front.max - front.min + back.max - back.min + 2);
            if self.visited > CHECK_EVERY || long_run {
                self.visited = 0;
                self.stop.check()?;
            }
            if minimal {
                continue;
            }
            if long_run
                && steps > PROMISING_AFTER
                && let Some(split) = self.promising(area, front, back, steps)
            {
                return Ok(split);
            }
            if steps >= self.limit {
                return Ok(self.furthest(area, front, back));
            }
        }
    }

    /// Extends the path from the start on this diagonal, and returns its end.
    fn advance(&mut self, area: &Area, diagonal: i32, long_run: &mut bool) -> i32 {
        let slot = index(self.middle + diagonal);
        let from = if self.forward[slot - 1] >= self.forward[slot + 1] { self.forward[slot - 1] + 1 } else { self.forward[slot + 1] };
        let mut at = from;
        while at < area.old.end && at - diagonal < area.new.end && self.is_equal(at, at - diagonal) {
            at += 1;
        }
        *long_run |= at - from > LONG_RUN;
        self.forward[slot] = at;
        at
    }

    /// Extends the path from the end on this diagonal, and returns its start.
    fn retreat(&mut self, area: &Area, diagonal: i32, long_run: &mut bool) -> i32 {
        let slot = index(self.middle + diagonal);
        let from = if self.backward[slot - 1] < self.backward[slot + 1] { self.backward[slot - 1] } else { self.backward[slot + 1] - 1 };
        let mut at = from;
        while at > area.old.start && at - diagonal > area.new.start && self.is_equal(at - 1, at - diagonal - 1) {
            at -= 1;
        }
        *long_run |= from - at > LONG_RUN;
        self.backward[slot] = at;
        at
    }

    /// The best path that has come far and ends in a long run of equal lines.
    fn promising(&self, area: &Area, front: Reach, back: Reach, steps: i32) -> Option<Split> {
        let (old, new) = (&area.old, &area.new);
        let mut best = (0, None);
        for diagonal in front.diagonals() {
            let i = self.forward[index(self.middle + diagonal)];
            let j = i - diagonal;
            let far = i64::from(i - old.start) + i64::from(j - new.start) - i64::from((diagonal - front.origin).abs());
            let is_inside = old.start + LONG_RUN <= i && i < old.end && new.start + LONG_RUN <= j && j < new.end;
            if far > i64::from(FAR_FACTOR * steps)
                && far > best.0
                && is_inside
                && (1..=LONG_RUN).all(|back| self.is_equal(i - back, j - back))
            {
                best = (far, Some((i, j)));
            }
        }
        if let Some(at) = best.1 {
            return Some(Split { at, minimal_before: true, minimal_after: false });
        }
        for diagonal in back.diagonals() {
            let i = self.backward[index(self.middle + diagonal)];
            let j = i - diagonal;
            let far = i64::from(old.end - i) + i64::from(new.end - j) - i64::from((diagonal - back.origin).abs());
            let is_inside = old.start < i && i <= old.end - LONG_RUN && new.start < j && j <= new.end - LONG_RUN;
            if far > i64::from(FAR_FACTOR * steps)
                && far > best.0
                && is_inside
                && (0..LONG_RUN).all(|ahead| self.is_equal(i + ahead, j + ahead))
            {
                best = (far, Some((i, j)));
            }
        }
        best.1.map(|at| Split { at, minimal_before: false, minimal_after: true })
    }

    /// The end of the path that has come furthest.
    fn furthest(&self, area: &Area, front: Reach, back: Reach) -> Split {
        let (old, new) = (&area.old, &area.new);
        let mut first = (-1_i64, (0, 0));
        for diagonal in front.diagonals() {
            let mut i = self.forward[index(self.middle + diagonal)].min(old.end);
            if i - diagonal > new.end {
                i = new.end + diagonal;
            }
            let sum = i64::from(i) + i64::from(i - diagonal);
            if first.0 < sum {
                first = (sum, (i, i - diagonal));
            }
        }
        let mut last = (i64::MAX, (0, 0));
        for diagonal in back.diagonals() {
            let mut i = self.backward[index(self.middle + diagonal)].max(old.start);
            if i - diagonal < new.start {
                i = new.start + diagonal;
            }
            let sum = i64::from(i) + i64::from(i - diagonal);
            if sum < last.0 {
                last = (sum, (i, i - diagonal));
            }
        }
        let (from_end, from_start) =
            (i64::from(old.end) + i64::from(new.end) - last.0, first.0 - i64::from(old.start) - i64::from(new.start));
        if from_end < from_start {
            Split { at: first.1, minimal_before: true, minimal_after: false }
        } else {
            Split { at: last.1, minimal_before: false, minimal_after: true }
        }
    }
}
