//! Numbers lines, so that equal lines have equal numbers.

use crate::diff::{
    text::{Lines, position},
    xdiff::File,
};
use std::hash::{BuildHasher, RandomState};

/// Numbers the lines of both texts, and counts them.
pub(super) fn classify<'a>(a: &'a Lines<'a>, b: &'a Lines<'a>, ignore_space: bool) -> [File<'a>; 2] {
    let mut all = Classes::new(a.len() + b.len(), ignore_space);
    let (mut first, mut second) = (Vec::with_capacity(a.len()), Vec::with_capacity(b.len()));
    // Equal lines at the start are looked up once for both.
    let mut at = 0;
    while at < a.len().min(b.len()) && a.get(at) == b.get(at) {
        let class = all.number(a.get(at), [1, 1]);
        first.push(class);
        second.push(class);
        at += 1;
    }
    first.extend((at..a.len()).map(|at| all.number(a.get(at), [1, 0])));
    second.extend((at..b.len()).map(|at| all.number(b.get(at), [0, 1])));
    let file = |lines: &'a Lines<'a>, classes: Vec<u32>, other: usize| File {
        lines,
        changed: vec![false; classes.len()],
        classes,
        elsewhere: all.known.iter().map(|class| class.count[other]).collect(),
    };
    [file(a, first, 1), file(b, second, 0)]
}

struct Class<'a> {
    hash: u64,
    line: &'a [u8],
    /// Occurrences in each text.
    count: [u32; 2],
}

/// A hash table of lines.
struct Classes<'a> {
    seed: u64,
    ignore_space: bool,
    known: Vec<Class<'a>>,
    /// The number of a class plus one, or zero; a power of two, at most half full.
    slots: Vec<u32>,
}

impl<'a> Classes<'a> {
    fn new(lines: usize, ignore_space: bool) -> Self {
        let size = (lines * 2).next_power_of_two().max(16);
        // The seed is not known to who writes the lines, so equal hashes cannot be planned.
        Self { seed: RandomState::new().hash_one(0), ignore_space, known: Vec::new(), slots: vec![0; size] }
    }

    /// The number of the line.
    fn number(&mut self, line: &'a [u8], count: [u32; 2]) -> u32 {
        let hash = if self.ignore_space { self.hash(&solid(line).collect::<Vec<u8>>()) } else { self.hash(line) };
        let mask = self.slots.len() - 1;
        let mut slot = usize::try_from(hash >> 32).unwrap_or_default() & mask;
        while let Some(number) = self.slots[slot].checked_sub(1) {
            let class = &mut self.known[number as usize];
            if class.hash == hash && (class.line == line || self.ignore_space && solid(class.line).eq(solid(line))) {
                class.count = [class.count[0] + count[0], class.count[1] + count[1]];
                return number;
            }
            slot = (slot + 1) & mask;
        }
        let number = position(self.known.len());
        self.known.push(Class { hash, line, count });
        self.slots[slot] = number + 1;
        number
    }

    fn hash(&self, line: &[u8]) -> u64 {
        let mut hash = self.seed ^ line.len() as u64;
        let (words, rest) = line.as_chunks::<8>();
        for word in words {
            hash = fold(hash ^ u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        fold(fold(hash ^ u64::from_le_bytes(last)) ^ self.seed.rotate_left(32))
    }
}

/// Multiplies by an odd constant and mixes both halves of the product.
fn fold(value: u64) -> u64 {
    let product = u128::from(value) * 0x9e37_79b9_7f4a_7c15;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
    let (low, high) = (product as u64, (product >> 64) as u64);
    low ^ high
}

/// The bytes of a line that are not white space.
fn solid(line: &[u8]) -> impl Iterator<Item = u8> {
    line.iter().copied().filter(|&byte| !is_space(byte))
}

/// What git treats as white space.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
