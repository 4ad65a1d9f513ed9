//! Changed-path filters: Bloom filters in a commit-graph of the paths that differ between a commit and its first parent.

use super::pages::{Pages, Span};
use crate::error::Result;

/// Bytes before the filters.
const HEADER: u64 = 12;
/// More hashes per path are ignored, with their filters.
const MAX_HASHES: u32 = 64;
/// The seeds of the two hashes of a path.
const SEEDS: [u32; 2] = [0x293a_e76f, 0x7e64_6e2c];

/// Versions of changed-path filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChangedPaths {
    Any,
    Only(u32),
}

/// The filters of one file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filters {
    index: Span,
    data: Span,
    version: u32,
    hashes: u32,
}

/// A path, and then each directory above it, as hashes.
#[derive(Clone, Debug)]
pub(super) struct Key {
    hashes: Vec<[u32; 2]>,
    /// The two versions of the hash agree.
    is_ascii: bool,
}

impl Key {
    pub(super) fn new(path: &[u8]) -> Self {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        // The longest one is the rarest.
        let parts = ends.rev().filter_map(|end| path.get(..end));
        Self { hashes: parts.map(|part| SEEDS.map(|seed| murmur3(seed, part))).collect(), is_ascii: path.is_ascii() }
    }
}

impl Filters {
    /// `None` if git does not use them either, or their settings are unusual.
    pub(super) fn open(file: &mut Pages, index: Span, data: Span, wanted: ChangedPaths) -> Result<Option<Self>> {
        if data.len < HEADER {
            return Ok(None);
        }
        let (version, hashes) = (file.u32(data.start)?, file.u32(data.start + 4)?);
        let is_wanted = matches!(version, 1 | 2) && (wanted == ChangedPaths::Any || wanted == ChangedPaths::Only(version));
        Ok((is_wanted && (1..=MAX_HASHES).contains(&hashes)).then_some(Self { index, data, version, hashes }))
    }

    /// Whether the commit at `place` certainly changes nothing at any of `keys`.
    pub(super) fn exclude(self, file: &mut Pages, place: u32, keys: &[Key]) -> Result<bool> {
        // Version 1 hashes signed characters, whose sign depends on the machine that wrote the file.
        if keys.is_empty() || self.version == 1 && !keys.iter().all(|key| key.is_ascii) {
            return Ok(false);
        }
        let index = self.index.start + 4 * u64::from(place);
        let end = u64::from(file.u32(index)?);
        let start = if place == 0 { 0 } else { u64::from(file.u32(index - 4)?) };
        if start >= end || end > self.data.len - HEADER {
            return Ok(false);
        }
        let filter = Span { start: self.data.start + HEADER + start, len: end - start };
        for key in keys {
            if !self.excludes(file, filter, key)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn excludes(self, file: &mut Pages, filter: Span, key: &Key) -> Result<bool> {
        for [first, second] in &key.hashes {
            for round in 0..self.hashes {
                let bit = u64::from(first.wrapping_add(round.wrapping_mul(*second))) % (filter.len * 8);
                if file.byte(filter.start + bit / 8)? & (1 << (bit % 8)) == 0 {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

/// The 32-bit `MurmurHash3`.
fn murmur3(seed: u32, data: &[u8]) -> u32 {
    let scramble = |word: u32| word.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (words, tail) = data.as_chunks::<4>();
    let mut hash = seed;
    for word in words {
        hash ^= scramble(u32::from_le_bytes(*word));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let rest = tail.iter().rev().fold(0, |rest, byte| rest << 8 | u32::from(*byte));
    hash ^= scramble(rest);
    hash ^= u32::try_from(data.len()).unwrap_or(u32::MAX);
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_murmur3() {
        // The published test vectors of the 32-bit variant.
        for (seed, text, hash) in [
            (0, "", 0),
            (1, "", 0x514e_28b7),
            (0xffff_ffff, "", 0x81f1_6f39),
            (0x9747_b28c, "a", 0x7fa0_9ea6),
            (0x9747_b28c, "abc", 0xc84a_62dd),
            (0x9747_b28c, "Hello, world!", 0x2488_4cba),
        ] {
            assert_eq!(murmur3(seed, text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn a_key_has_each_directory() {
        assert_eq!(Key::new(b"a/b/c").hashes.len(), 3);
        assert_eq!(Key::new(b"a/b").hashes, [SEEDS.map(|seed| murmur3(seed, b"a/b")), Key::new(b"a").hashes[0]]);
    }
}
