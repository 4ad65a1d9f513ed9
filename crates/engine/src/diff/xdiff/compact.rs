//! Moves groups of changed lines: next to changes of the other text, or to where the indentation suggests a boundary.

use crate::{
    diff::xdiff::{File, classes::is_space},
    error::Result,
    stop::Stop,
};

/// The furthest that the indentation moves a group.
const MAX_SLIDING: usize = 100;
/// Greater indentation counts as this.
const MAX_INDENT: i32 = 200;
/// Blank lines counted around a boundary.
const MAX_BLANKS: i32 = 20;
/// Lines visited between two checks whether the work is still wanted.
const CHECK_EVERY: usize = 1 << 16;

/// Moves the groups of `file`; `other` is the text it is compared with.
pub(super) fn compact(file: &mut File, other: &mut File, by_indent: bool, stop: &dyn Stop) -> Result<()> {
    let (mut group, mut counterpart) = (Group::first(file), Group::first(other));
    let mut visited = 0;
    loop {
        if !group.is_empty() {
            visited += slide(file, other, &mut group, &mut counterpart, by_indent);
        }
        visited += 1;
        if visited > CHECK_EVERY {
            visited = 0;
            stop.check()?;
        }
        if !(group.next(file) && counterpart.next(other)) {
            return Ok(());
        }
    }
}

/// A run of changed lines, possibly empty, before an unchanged line or the end. Both texts have equally many groups.
#[derive(Clone, Copy)]
struct Group {
    start: usize,
    end: usize,
}

impl Group {
    fn first(file: &File) -> Self {
        let mut group = Self { start: 0, end: 0 };
        group.extend_end(file);
        group
    }

    fn is_empty(self) -> bool {
        self.start == self.end
    }

    fn len(self) -> usize {
        self.end - self.start
    }

    fn extend_end(&mut self, file: &File) {
        while file.changed.get(self.end).is_some_and(|changed| *changed) {
            self.end += 1;
        }
    }

    fn extend_start(&mut self, file: &File) {
        while self.start > 0 && file.changed[self.start - 1] {
            self.start -= 1;
        }
    }

    /// Moves to the next group; false after the last one.
    fn next(&mut self, file: &File) -> bool {
        if self.end >= file.changed.len() {
            return false;
        }
        self.end += 1;
        self.start = self.end;
        self.extend_end(file);
        true
    }

    fn previous(&mut self, file: &File) {
        self.end = self.start.saturating_sub(1);
        self.start = self.end;
        self.extend_start(file);
    }

    /// Moves the group down a line if the text stays the same. It absorbs a group that it touches.
    fn down(&mut self, file: &mut File) -> bool {
        let can = self.end < file.changed.len() && file.classes[self.start] == file.classes[self.end];
        if can {
            file.changed[self.start] = false;
            file.changed[self.end] = true;
            self.start += 1;
            self.end += 1;
            self.extend_end(file);
        }
        can
    }

    /// Moves the group up a line if the text stays the same. It absorbs a group that it touches.
    fn up(&mut self, file: &mut File) -> bool {
        let can = self.start > 0 && file.classes[self.start - 1] == file.classes[self.end - 1];
        if can {
            self.start -= 1;
            self.end -= 1;
            file.changed[self.start] = true;
            file.changed[self.end] = false;
            self.extend_start(file);
        }
        can
    }
}

/// Moves one group to its best place. Returns how many lines it visited.
fn slide(file: &mut File, other: &mut File, group: &mut Group, counterpart: &mut Group, by_indent: bool) -> usize {
    let mut visited = 0;
    let (earliest, size, aligned) = loop {
        let size = group.len();
        while group.up(file) {
            counterpart.previous(other);
            visited += 1;
        }
        let earliest = group.end;
        let mut aligned = !counterpart.is_empty();
        while group.down(file) {
            counterpart.next(other);
            aligned |= !counterpart.is_empty();
            visited += 1;
        }
        // A group that has absorbed another may move further.
        if size == group.len() {
            break (earliest, size, aligned);
        }
    };
    if group.end == earliest {
        return visited;
    }
    if aligned {
        while counterpart.is_empty() && group.up(file) {
            counterpart.previous(other);
        }
    } else if by_indent {
        let best = best_end(file, *group, size, earliest);
        while group.end > best && group.up(file) {
            counterpart.previous(other);
        }
    }
    visited
}

/// The end of the group at which its boundaries look best; the last one of equals.
fn best_end(file: &File, group: Group, size: usize, earliest: usize) -> usize {
    let first = earliest.max(group.end.saturating_sub(size + 1)).max(group.end.saturating_sub(MAX_SLIDING));
    let mut best: Option<(usize, Score)> = None;
    for end in first..=group.end {
        let mut score = Score::default();
        score.add(&Boundary::at(file, end));
        score.add(&Boundary::at(file, end - size));
        if best.is_none_or(|(_, best)| score.compared(best) <= 0) {
            best = Some((end, score));
        }
    }
    best.map_or(group.end, |(end, _)| end)
}

/// The surroundings of a boundary between two lines.
struct Boundary {
    is_end: bool,
    /// The indentation of the line after it; `None` if blank or at the end.
    indent: Option<i32>,
    /// Blank lines before it, and the indentation of the line before these.
    blanks_before: i32,
    indent_before: Option<i32>,
    /// Blank lines after the line that follows, and the indentation of the line after these.
    blanks_after: i32,
    indent_after: Option<i32>,
}

impl Boundary {
    fn at(file: &File, at: usize) -> Self {
        let indent = |at: usize| indent(file.lines.get(at));
        let is_end = at >= file.lines.len();
        let (blanks_before, indent_before) = beyond_blanks((0..at).rev().map(indent));
        let (blanks_after, indent_after) = beyond_blanks((at + 1..file.lines.len()).map(indent));
        let indent = if is_end { None } else { indent(at) };
        Self { is_end, indent, blanks_before, indent_before, blanks_after, indent_after }
    }
}

/// The number of blank lines and the indentation of the line after them. Too many blank lines count as a line without
/// indentation.
fn beyond_blanks(indents: impl Iterator<Item = Option<i32>>) -> (i32, Option<i32>) {
    let mut blanks = 0;
    for indent in indents {
        if indent.is_some() {
            return (blanks, indent);
        }
        blanks += 1;
        if blanks == MAX_BLANKS {
            return (blanks, Some(0));
        }
    }
    (blanks, None)
}

/// The indentation of a line in columns; `None` for a blank line.
fn indent(line: &[u8]) -> Option<i32> {
    let mut columns = 0;
    for &byte in line {
        match byte {
            b' ' => columns += 1,
            b'\t' => columns += 8 - columns % 8,
            _ if is_space(byte) => {}
            _ => return Some(columns),
        }
        if columns >= MAX_INDENT {
            return Some(MAX_INDENT);
        }
    }
    None
}

/// How bad a place for a group is; the weights are git's.
#[derive(Clone, Copy, Default)]
struct Score {
    indent: i32,
    penalty: i32,
}

impl Score {
    fn add(&mut self, boundary: &Boundary) {
        let Boundary { indent_before, indent_after, blanks_before, .. } = *boundary;
        if indent_before.is_none() && blanks_before == 0 {
            self.penalty += 1;
        }
        if boundary.is_end {
            self.penalty += 21;
        }
        let blanks_after = if boundary.indent.is_none() { 1 + boundary.blanks_after } else { 0 };
        let blanks = blanks_before + blanks_after;
        self.penalty += -30 * blanks + 6 * blanks_after;
        let indent = boundary.indent.or(indent_after);
        self.indent += indent.unwrap_or(-1);
        let (Some(indent), Some(before)) = (indent, indent_before) else { return };
        self.penalty += match (indent.cmp(&before), blanks != 0) {
            (std::cmp::Ordering::Equal, _) => 0,
            (std::cmp::Ordering::Greater, false) => -4,
            (std::cmp::Ordering::Greater, true) => 10,
            // The next line is indented more: this one starts a block, such as an `else`.
            (std::cmp::Ordering::Less, false) if indent_after.is_some_and(|after| after > indent) => 24,
            (std::cmp::Ordering::Less, false) => 23,
            (std::cmp::Ordering::Less, true) => 17,
        };
    }

    /// Negative if this is better than `other`. Indentation weighs 60.
    fn compared(self, other: Self) -> i32 {
        60 * (self.indent - other.indent).signum() + self.penalty - other.penalty
    }
}
