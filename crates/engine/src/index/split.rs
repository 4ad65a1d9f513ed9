//! A split index: most entries are in a shared file, and the index itself has the differences.

use super::{Entry, Index, bytes::Bytes, ewah};
use crate::error::{Error, Result};
use gix::{ObjectId, hash::Kind};

/// The `link` extension.
#[derive(Debug)]
pub(super) struct Link {
    /// The checksum of the shared index, which is in its name.
    pub(super) base: ObjectId,
    bitmaps: Vec<u8>,
}

impl Link {
    pub(super) fn parse(bytes: &[u8], kind: Kind) -> Result<Self> {
        let mut bytes = Bytes(bytes);
        let base = bytes.id(kind).ok_or_else(|| Error::corrupt("the link to the shared index is too short"))?;
        Ok(Self { base, bitmaps: bytes.0.to_vec() })
    }

    /// Puts the entries of `index` over those of `base`.
    pub(super) fn resolve(&self, index: &mut Index, base: Index) -> Result<()> {
        if base.checksum != self.base {
            return Err(Error::corrupt(format_args!("the shared index is {}, not {}", base.checksum, self.base)));
        }
        let mut bitmaps = Bytes(&self.bitmaps);
        let limit = base.entries.len();
        let positions = |bitmaps: &mut Bytes<'_>| {
            ewah::positions(bitmaps, limit).ok_or_else(|| Error::corrupt("a bitmap in the link to the shared index is malformed"))
        };
        let (deleted, replaced) = (positions(&mut bitmaps)?, positions(&mut bitmaps)?);
        if !bitmaps.0.is_empty() {
            return Err(Error::corrupt("the link to the shared index has bytes after its bitmaps"));
        }
        let own = std::mem::take(&mut index.entries);
        let own_paths = std::mem::take(&mut index.paths);
        let (nameless, added) = own.split_at_checked(replaced.len()).ok_or_else(|| Error::corrupt("too few replaced entries"))?;
        if nameless.iter().any(|entry| entry.length != 0) || added.iter().any(|entry| entry.length == 0) {
            return Err(Error::corrupt("an entry over the shared index with a wrong name"));
        }
        (index.entries, index.paths) = (base.entries, base.paths);
        for (&at, entry) in replaced.iter().zip(nameless) {
            if deleted.binary_search(&at).is_ok() {
                return Err(Error::corrupt(format_args!("entry {at} of the shared index is both replaced and deleted")));
            }
            if let Some(old) = index.entries.get_mut(at) {
                *old = Entry { path: old.path, length: old.length, ..entry.clone() };
            }
        }
        let mut deleted = deleted.into_iter().peekable();
        let mut at = 0;
        index.entries.retain(|_| {
            at += 1;
            deleted.next_if_eq(&(at - 1)).is_none()
        });
        index.merge(added, &own_paths)
    }
}

impl Index {
    /// Adds sorted entries, which replace those of the same name and stage.
    pub(super) fn merge(&mut self, added: &[Entry], paths: &[u8]) -> Result<()> {
        let mut moved = Vec::with_capacity(added.len());
        for entry in added {
            let path = entry.path_in(paths);
            let start = u32::try_from(self.paths.len()).map_err(|_| Error::Unsupported("an index with so long names"))?;
            self.paths.extend_from_slice(path);
            moved.push(Entry { path: start, ..entry.clone() });
        }
        let old = std::mem::take(&mut self.entries);
        let mut merged = Vec::with_capacity(old.len() + moved.len());
        let mut moved = moved.into_iter().peekable();
        for entry in old {
            let key = (self.path(&entry), entry.flags.stage());
            while let Some(new) = moved.next_if(|new| (self.path(new), new.flags.stage()) < key) {
                merged.push(new);
            }
            let is_replaced = moved.peek().is_some_and(|new| (self.path(new), new.flags.stage()) == key);
            if !is_replaced {
                merged.push(entry);
            }
        }
        merged.extend(moved);
        self.entries = merged;
        Ok(())
    }
}
