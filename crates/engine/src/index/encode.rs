//! Encodes an index file, as git writes it.

use super::{Entry, Flags, Index, tree_cache::TreeCache};
use crate::error::{Error, Result};
use gix::hash::Kind;

/// Settings that decide about parts of the file that help to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// `index.skipHash`: no checksum.
    pub skip_hash: bool,
    /// `index.recordEndOfIndexEntries`, or implied by `index.threads`.
    pub end_of_entries: bool,
    /// The number of blocks in the table of entry offsets, which is written from two on.
    pub blocks: usize,
}

const EXTENDED: u16 = 0x4000;
const LONG: u16 = 0xfff;

impl Index {
    /// The file's content. The version is the one that the index has, except that 2 and 3 depend on the entries' marks.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for parts that only git maintains: a shared index, caches of untracked files and of an
    /// fsmonitor, sparse directories; and for entries without an object.
    pub fn to_bytes(&self, options: WriteOptions) -> Result<Vec<u8>> {
        if self.is_split() || self.has_untracked_cache() || self.has_fsmonitor() || self.is_sparse() {
            return Err(Error::Unsupported("writing an index with such extensions"));
        }
        if self.entries.iter().any(|entry| entry.id.is_null()) {
            return Err(Error::Unsupported("index entries without an object"));
        }
        let has_marks = self.entries.iter().any(|entry| entry.flags.second_word() != 0);
        let version: u32 = match (self.version, has_marks) {
            (4, _) => 4,
            (_, true) => 3,
            (_, false) => 2,
        };
        let count = u32::try_from(self.entries.len()).map_err(Error::corrupt)?;
        let mut out = Vec::with_capacity(self.entries.len() * 72 + self.paths.len() + 4096);
        out.extend_from_slice(b"DIRC");
        out.extend_from_slice(&version.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        let offsets = self.write_entries(&mut out, version, options.blocks)?;
        let end = u32::try_from(out.len()).map_err(Error::corrupt)?;
        let heads = self.write_extensions(&mut out, &offsets)?;
        if options.end_of_entries {
            let mut content = end.to_be_bytes().to_vec();
            content.extend_from_slice(hash(self.kind, &heads)?.as_bytes());
            extension(&mut out, *b"EOIE", &content)?;
        }
        let checksum = if options.skip_hash { self.kind.null() } else { hash(self.kind, &out)? };
        out.extend_from_slice(checksum.as_bytes());
        Ok(out)
    }

    /// Writes the entries, and returns the offsets and lengths of blocks if there are several.
    fn write_entries(&self, out: &mut Vec<u8>, version: u32, blocks: usize) -> Result<Vec<(usize, u32)>> {
        let blocks = blocks.min(self.entries.len());
        let size = if blocks > 1 { self.entries.len().div_ceil(blocks) } else { usize::MAX };
        let (mut offsets, mut before) = (Vec::new(), &[][..]);
        for block in self.entries.chunks(size) {
            offsets.push((out.len(), u32::try_from(block.len()).map_err(Error::corrupt)?));
            let mut is_first = true;
            for entry in block {
                let (start, path) = (out.len(), self.path(entry));
                write_fixed(out, entry);
                if version == 4 {
                    // Each block can be read without the one before.
                    let common = if is_first { 0 } else { before.iter().zip(path).take_while(|(one, other)| one == other).count() };
                    write_offset(out, before.len() - common);
                    out.extend_from_slice(path.get(common..).unwrap_or_default());
                    out.push(0);
                } else {
                    out.extend_from_slice(path);
                    let length = out.len() - start;
                    out.resize(start + ((length + 8) & !7), 0);
                }
                (before, is_first) = (path, false);
            }
        }
        Ok(if blocks > 1 { offsets } else { Vec::new() })
    }

    /// Writes the extensions in git's order, and returns their heads.
    fn write_extensions(&self, out: &mut Vec<u8>, offsets: &[(usize, u32)]) -> Result<Vec<u8>> {
        let mut heads = Vec::new();
        let mut write = |name: [u8; 4], content: &[u8]| {
            heads.extend(extension(out, name, content)?);
            Ok::<_, Error>(())
        };
        if !offsets.is_empty() {
            let mut table = 1_u32.to_be_bytes().to_vec();
            for &(offset, count) in offsets {
                table.extend_from_slice(&u32::try_from(offset).map_err(Error::corrupt)?.to_be_bytes());
                table.extend_from_slice(&count.to_be_bytes());
            }
            write(*b"IEOT", &table)?;
        }
        if let Some(content) = self.tree.as_ref().map(TreeCache::to_bytes).filter(|content| !content.is_empty()) {
            write(*b"TREE", &content)?;
        }
        if let Some(content) = &self.resolve_undo {
            write(*b"REUC", content)?;
        }
        Ok(heads)
    }
}

/// Writes an extension, and returns its head.
fn extension(out: &mut Vec<u8>, name: [u8; 4], content: &[u8]) -> Result<[u8; 8]> {
    let mut head = [0; 8];
    let (first, second) = head.split_at_mut(4);
    first.copy_from_slice(&name);
    second.copy_from_slice(&u32::try_from(content.len()).map_err(Error::corrupt)?.to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(content);
    Ok(head)
}

fn write_fixed(out: &mut Vec<u8>, entry: &Entry) {
    let stat = &entry.stat;
    let (ctime, mtime) = (stat.ctime, stat.mtime);
    let times = [ctime.seconds, ctime.nanoseconds, mtime.seconds, mtime.nanoseconds];
    for word in times.into_iter().chain([stat.dev, stat.ino, entry.mode, stat.uid, stat.gid, stat.size]) {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(entry.id.as_bytes());
    let second = entry.flags.second_word();
    let extended = if second == 0 { 0 } else { EXTENDED };
    let first = entry.flags.0 & (Flags::STAGE | Flags::ASSUME_VALID) | extended | entry.length.min(LONG);
    out.extend_from_slice(&first.to_be_bytes());
    if second != 0 {
        out.extend_from_slice(&second.to_be_bytes());
    }
}

/// A number in groups of seven bits, as in packs.
#[expect(clippy::cast_possible_truncation, reason = "only seven bits are left")]
fn write_offset(out: &mut Vec<u8>, mut value: usize) {
    let mut groups = vec![(value & 0x7f) as u8];
    while value > 0x7f {
        value = (value >> 7) - 1;
        groups.push(0x80 | (value & 0x7f) as u8);
    }
    out.extend(groups.into_iter().rev());
}

fn hash(kind: Kind, bytes: &[u8]) -> Result<gix::ObjectId> {
    let mut hasher = gix::hash::hasher(kind);
    hasher.update(bytes);
    hasher.try_finalize().map_err(Error::corrupt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::bytes::Bytes;

    #[test]
    fn offsets_are_read_as_written() {
        for value in (0..70_000).chain([1 << 20, 1 << 28, usize::MAX >> 1]) {
            let mut out = Vec::new();
            write_offset(&mut out, value);
            let mut bytes = Bytes(&out);
            assert_eq!((bytes.offset(), bytes.0.len()), (Some(value), 0));
        }
    }
}
