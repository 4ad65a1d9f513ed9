//! Packed objects of a long walk.
//!
//! A walk goes from one version of a tree to the next older one, which in a pack mostly is the base of the first or a delta
//! of it. So each delta of a chain is applied once, and each result kept for a while.

use gix::{ObjectId, objs::Kind, odb::pack};
use std::{collections::HashMap, path::Path, rc::Rc};

/// Repositories with more packs are read by gix alone.
const MAX_PACKS: usize = 64;
/// Larger objects are read by gix.
const MAX_SIZE: u64 = 4 << 20;
/// Longer chains of deltas as well.
const MAX_CHAIN: usize = 512;
/// Maximum bytes of one generation of kept objects; there are two.
const MAX_KEPT: usize = 12 << 20;

/// An object.
type Object = (Kind, Rc<[u8]>);

/// The packs of an object directory.
pub(super) struct Packs {
    bundles: Vec<pack::Bundle>,
    /// The pack in which the last object was found.
    last: usize,
    inflate: flate2::Decompress,
    new: Kept,
    old: Kept,
}

/// Objects by pack and offset.
#[derive(Default)]
struct Kept {
    objects: HashMap<(usize, u64), Object>,
    bytes: usize,
}

impl Packs {
    /// Opens the packs in the directory `objects`.
    pub(super) fn open(objects: &Path, hash: gix::hash::Kind) -> Self {
        let found = std::fs::read_dir(objects.join("pack")).into_iter().flatten().flatten().map(|entry| entry.path());
        let paths: Vec<_> = found.filter(|path| path.extension().is_some_and(|end| end == "idx")).take(MAX_PACKS + 1).collect();
        let bundles =
            if paths.len() > MAX_PACKS { Vec::new() } else { paths.iter().filter_map(|path| pack::Bundle::at(path, hash).ok()).collect() };
        Self { bundles, last: 0, inflate: flate2::Decompress::new(true), new: Kept::default(), old: Kept::default() }
    }

    /// The object `id`; `None` if it is not found here, is damaged or is unusual.
    pub(super) fn find(&mut self, id: &ObjectId) -> Option<Object> {
        let count = self.bundles.len();
        let order = std::iter::once(self.last).chain((0..count).filter(|at| *at != self.last));
        let (at, offset) = order.into_iter().find_map(|at| {
            let index = &self.bundles.get(at)?.index;
            Some((at, index.pack_offset_at_index(index.lookup(id)?)))
        })?;
        self.last = at;
        self.decode(at, offset)
    }

    fn decode(&mut self, at: usize, start: u64) -> Option<Object> {
        let mut chain = Vec::new();
        let mut offset = start;
        let mut base = loop {
            if let Some(kept) = self.kept(at, offset) {
                break kept;
            }
            let entry = self.bundles.get(at)?.pack.entry(offset).ok()?;
            if entry.decompressed_size > MAX_SIZE || chain.len() > MAX_CHAIN {
                return None;
            }
            let next = match entry.header {
                pack::data::entry::Header::OfsDelta { base_distance } => entry.checked_base_pack_offset(base_distance)?,
                pack::data::entry::Header::RefDelta { base_id } => {
                    let index = &self.bundles.get(at)?.index;
                    index.pack_offset_at_index(index.lookup(base_id)?)
                }
                header => {
                    let object = (header.as_kind()?, self.inflate(at, &entry)?.into());
                    self.keep(at, offset, &object);
                    break object;
                }
            };
            chain.push((offset, entry));
            offset = next;
        };
        for (offset, entry) in chain.iter().rev() {
            let delta = self.inflate(at, entry)?;
            base = (base.0, apply(&base.1, &delta)?.into());
            self.keep(at, *offset, &base);
        }
        Some(base)
    }

    fn inflate(&mut self, at: usize, entry: &pack::data::Entry) -> Option<Vec<u8>> {
        let pack = &self.bundles.get(at)?.pack;
        let input = pack.entry_slice(entry.data_offset..pack.pack_end() as u64)?;
        let size = usize::try_from(entry.decompressed_size).ok()?;
        // One byte more shows an object that is too long.
        let mut out = Vec::with_capacity(size + 1);
        self.inflate.reset(true);
        let status = self.inflate.decompress_vec(input, &mut out, flate2::FlushDecompress::Finish).ok()?;
        (status == flate2::Status::StreamEnd && out.len() == size).then_some(out)
    }

    fn kept(&mut self, at: usize, offset: u64) -> Option<Object> {
        if let Some(object) = self.new.objects.get(&(at, offset)) {
            return Some(object.clone());
        }
        let object = self.old.objects.get(&(at, offset))?.clone();
        self.keep(at, offset, &object);
        Some(object)
    }

    fn keep(&mut self, at: usize, offset: u64, object: &Object) {
        if self.new.bytes + object.1.len() > MAX_KEPT {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.bytes += object.1.len();
        self.new.objects.insert((at, offset), object.clone());
    }
}

/// Applies a delta to its base; `None` if it is malformed.
fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut rest = delta;
    if size(&mut rest)? != base.len() as u64 {
        return None;
    }
    let len = size(&mut rest).filter(|len| *len <= MAX_SIZE)?;
    let len = usize::try_from(len).ok()?;
    let mut out = Vec::with_capacity(len);
    while let Some((&code, after)) = rest.split_first() {
        rest = after;
        let piece = if code & 0x80 != 0 {
            let offset = number(&mut rest, code, 4)?;
            let size = number(&mut rest, code >> 4, 3)?;
            let size = if size == 0 { 0x1_0000 } else { size };
            base.get(offset..offset.checked_add(size)?)?
        } else {
            let (piece, after) = rest.split_at_checked(usize::from(code)).filter(|_| code != 0)?;
            rest = after;
            piece
        };
        if out.len() + piece.len() > len {
            return None;
        }
        out.extend_from_slice(piece);
    }
    (out.len() == len).then_some(out)
}

/// A number in groups of seven bits, the lowest first.
fn size(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A number of the bytes whose bits are set in `bits`, the lowest first.
fn number(rest: &mut &[u8], bits: u8, count: u32) -> Option<usize> {
    let mut number = 0;
    for at in 0..count {
        // The size of a copy has its bits above those of the offset.
        if bits >> at & 1 != 0 {
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            number |= usize::from(byte) << (8 * at);
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn deltas_copy_and_insert() {
        // Copies three bytes from offset 2, inserts two, and copies one from offset 0.
        let delta = [6, 6, 0x91, 2, 3, 2, b'x', b'y', 0x90, 1];
        assert_eq!(apply(b"abcdef", &delta).as_deref(), Some(&b"cdexya"[..]));
        for wrong in [&[7, 6, 0x91, 2, 3][..], &[6, 3, 0x91, 4, 3], &[6, 2, 0x91, 2, 3], &[6, 1, 0], &[6, 1, 2, b'x'], &[6]] {
            assert_eq!(apply(b"abcdef", wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(base in proptest::collection::vec(any::<u8>(), 0..100), delta in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = apply(&base, &delta);
            let _ = apply(&base, &[&[u8::try_from(base.len()).unwrap_or_default(), 50][..], &delta].concat());
        }
    }
}
