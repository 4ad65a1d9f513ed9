//! The patterns of one file, found by the last byte of a path.

use super::pattern::{Pattern, Subject};

/// Patterns in the order of their file, each with what it stands for.
#[derive(Debug)]
pub(super) struct Table<T> {
    rows: Box<[(Pattern, T)]>,
    /// Rows that only match paths with this last byte, by byte and position. Most patterns are of this kind.
    closed: Box<[(u8, u32)]>,
    /// The positions of the others.
    open: Box<[u32]>,
    is_ambiguous: bool,
    fold: bool,
}

impl<T> Table<T> {
    pub(super) fn new(rows: Vec<(Pattern, T)>, fold: bool) -> Self {
        let (mut closed, mut open) = (Vec::new(), Vec::new());
        for ((pattern, _), at) in rows.iter().zip(0..) {
            match pattern.last_byte() {
                Some(byte) => closed.push((folded(byte, fold), at)),
                None => open.push(at),
            }
        }
        closed.sort_unstable();
        let is_ambiguous = rows.iter().any(|(pattern, _)| pattern.is_ambiguous);
        Self { rows: rows.into(), closed: closed.into(), open: open.into(), is_ambiguous, fold }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// The rows that match, the last first. `base` is the length of the path, with its slash, of the file's directory.
    pub(super) fn matching(&self, subject: Subject<'_>, base: usize) -> impl Iterator<Item = &(Pattern, T)> {
        let last = folded(subject.path.last().copied().unwrap_or_default(), self.fold);
        let (from, to) = (self.closed.partition_point(|row| row.0 < last), self.closed.partition_point(|row| row.0 <= last));
        let (mut closed, mut open) = (self.closed.get(from..to).unwrap_or_default(), &*self.open);
        std::iter::from_fn(move || {
            loop {
                let at = match (closed.split_last(), open.split_last()) {
                    (Some((&(_, at), rest)), other) if other.is_none_or(|(&other, _)| other < at) => {
                        closed = rest;
                        at
                    }
                    (_, Some((&at, rest))) => {
                        open = rest;
                        at
                    }
                    _ => return None,
                };
                let row = self.rows.get(at as usize)?;
                if row.0.matches(subject, base, self.fold) {
                    return Some(row);
                }
            }
        })
    }
}

fn folded(byte: u8, fold: bool) -> u8 {
    if fold { byte.to_ascii_lowercase() } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The same rows as without the index, in the same order.
        #[test]
        fn rows_are_those_that_match_one_by_one(
            texts in prop::collection::vec("!?[abAB*?/\\[\\]\\\\]{1,4}", 0..40),
            path in "[abAB]{1,2}(/[abAB]{1,2}){0,2}",
            is_folder: bool,
            fold: bool,
        ) {
            let name = path.rsplit('/').next().unwrap_or_default().as_bytes();
            let subject = Subject { path: path.as_bytes(), name, is_folder };
            let rows = || texts.iter().enumerate().map(|(at, text)| (Pattern::parse(text.as_bytes(), fold), at));
            let expected: Vec<usize> = rows().rev().filter(|(pattern, _)| pattern.matches(subject, 0, fold)).map(|(_, at)| at).collect();
            let table = Table::new(rows().collect(), fold);
            let found: Vec<usize> = table.matching(subject, 0).map(|(_, at)| *at).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
