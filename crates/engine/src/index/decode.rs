//! Decodes index files of versions 2, 3 and 4.

use super::{Entry, Flags, Index, Stat, Time, bytes::Bytes, names::is_safe, split::Link, tree_cache::TreeCache};
use crate::{
    error::{Error, Result},
    stop::{Never, Stop},
};
use gix::{ObjectId, hash::Kind};
use std::cmp::Ordering;

/// Size of the header: signature, version, number of entries.
const HEADER: usize = 12;
/// Bytes of an entry before its id: times, identity, mode, owner and size.
const FIXED: usize = 40;
/// Maximum length of a name, as the system's for paths.
const MAX_NAME: usize = 4096;
/// Bytes of names allowed in any index: enough for a million files.
const MIN_NAMES: usize = 64 << 20;
/// Maximum ratio of names to file size for a larger one. Real ones have about twice their size.
const GROWTH: usize = 4;
/// A longer name has this value as its length.
const LONG: u16 = 0xfff;
/// A second flag word follows.
const EXTENDED: u16 = 0x4000;
/// Known bits of the second word: skip-worktree and intent-to-add.
const KNOWN_EXTENDED: u16 = 0x6000;
/// The types and permissions of entries that git writes.
const MODES: [u32; 5] = [0o100_644, 0o100_755, 0o120_000, 0o160_000, 0o40_000];
/// Entries decoded between two checks for a stop.
const STEP: usize = 1 << 14;
/// Files from this size are hashed on a second thread.
const LARGE: usize = 256 << 10;

impl Index {
    /// Parses the content of an index file. `shared` reads the shared file of a split index by its checksum.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if git would refuse it; [`Error::Unsupported`] if only git knows what it means.
    pub fn parse(bytes: &[u8], kind: Kind, shared: impl FnOnce(ObjectId) -> Result<Vec<u8>>) -> Result<Self> {
        Self::parse_until(bytes, kind, &Never, shared)
    }

    /// The same, until `stop`.
    pub(super) fn parse_until(bytes: &[u8], kind: Kind, stop: &dyn Stop, shared: impl FnOnce(ObjectId) -> Result<Vec<u8>>) -> Result<Self> {
        let (mut index, link) = Self::parse_one(bytes, kind, stop)?;
        // git takes a null id for an index that is not split.
        if let Some(link) = link.filter(|link| !link.base.is_null()) {
            let (base, nested) = Self::parse_one(&shared(link.base)?, kind, stop)?;
            if nested.is_some() {
                return Err(Error::Unsupported("a shared index that is split"));
            }
            link.resolve(&mut index, base)?;
            index.base = Some(link.base);
        }
        index.check(stop)?;
        Ok(index)
    }

    /// Parses one file, and verifies its checksum.
    fn parse_one(bytes: &[u8], kind: Kind, stop: &dyn Stop) -> Result<(Self, Option<Link>)> {
        let end = bytes.len().checked_sub(kind.len_in_bytes()).filter(|end| *end >= HEADER);
        let (content, trailer) =
            end.and_then(|end| bytes.split_at_checked(end)).ok_or_else(|| Error::corrupt("index file smaller than expected"))?;
        let checksum = ObjectId::try_from(trailer).map_err(Error::corrupt)?;
        let verify = || if checksum.is_null() { Ok(()) } else { verify(content, &checksum) };
        if content.len() < LARGE || checksum.is_null() {
            verify()?;
            return Self::parse_content(content, checksum, stop);
        }
        std::thread::scope(|scope| {
            let verified = scope.spawn(verify);
            let parsed = Self::parse_content(content, checksum, stop);
            // A thread that panicked verified nothing.
            verified.join().unwrap_or_else(|_| Err(Error::corrupt("the checksum of the index is unknown")))?;
            parsed
        })
    }

    fn parse_content(content: &[u8], checksum: ObjectId, stop: &dyn Stop) -> Result<(Self, Option<Link>)> {
        let kind = checksum.kind();
        let mut rest = Bytes(content);
        let header = (|| Some((rest.take(4)?, rest.u32()?, rest.u32()?)))();
        let (version, count) = match header {
            Some((b"DIRC", version @ 2..=4, count)) => (version, count as usize),
            Some((b"DIRC", version, _)) => return Err(Error::corrupt(format_args!("bad index version {version}"))),
            _ => return Err(Error::corrupt("bad index signature")),
        };
        let least = FIXED + kind.len_in_bytes() + 4;
        if count > rest.0.len() / least {
            return Err(Error::corrupt("the index ends within its entries"));
        }
        let mut index = Self { version, checksum, ..Self::empty(kind) };
        let mut decoder = Decoder {
            kind,
            version,
            limit: MIN_NAMES.max(content.len().saturating_mul(GROWTH)).min(u32::MAX as usize),
            entries: Vec::with_capacity(count),
            paths: Vec::with_capacity(content.len().saturating_sub(count * least)),
        };
        for at in 0..count {
            if at % STEP == 0 {
                stop.check()?;
            }
            decoder.entry(&mut rest)?;
        }
        decoder.paths.shrink_to_fit();
        (index.entries, index.paths) = (decoder.entries, decoder.paths);
        let link = index.extensions(rest)?;
        Ok((index, link))
    }

    fn extensions(&mut self, mut rest: Bytes<'_>) -> Result<Option<Link>> {
        let mut link = None;
        // git ignores fewer bytes than the head of an extension.
        while rest.0.len() >= 8 {
            let taken = (|| {
                let name = rest.take(4)?;
                let size = rest.u32()? as usize;
                Some((name, rest.take(size)?))
            })();
            let (name, data) = taken.ok_or_else(|| Error::corrupt("an index extension exceeds the file"))?;
            match name {
                b"TREE" => self.tree = TreeCache::parse(data, self.kind)?,
                b"REUC" => self.resolve_undo = Some(data.to_vec()),
                b"UNTR" => self.untracked = Some(data.to_vec()),
                b"FSMN" => self.fsmonitor = Some(data.to_vec()),
                b"link" => link = Some(Link::parse(data, self.kind)?),
                b"sdir" => self.is_sparse = true,
                [b'A'..=b'Z', ..] => {}
                _ => return Err(Error::corrupt("the index uses an extension that git does not understand")),
            }
        }
        Ok(link)
    }

    /// Checks order, names and modes of the entries. git reads others too, with results that only git knows.
    fn check(&self, stop: &dyn Stop) -> Result<()> {
        let mut before: Option<(&[u8], u8)> = None;
        for (at, entry) in self.entries.iter().enumerate() {
            if at % STEP == 0 {
                stop.check()?;
            }
            let (path, stage) = (self.path(entry), entry.flags.stage());
            let is_sorted = before.is_none_or(|(last, other)| match last.cmp(path) {
                Ordering::Less => true,
                Ordering::Equal => other != 0 && other < stage,
                Ordering::Greater => false,
            });
            if !is_sorted {
                return Err(Error::Unsupported("an index whose entries are out of order"));
            }
            let is_folder = entry.is_sparse_folder();
            if !MODES.contains(&entry.mode) || is_folder && !(self.is_sparse && entry.flags.skip_worktree() && stage == 0) {
                return Err(Error::Unsupported("index entries with an unusual mode"));
            }
            if !is_safe(path, is_folder) {
                return Err(Error::Unsupported("index entries with names outside of the working tree"));
            }
            before = Some((path, stage));
        }
        Ok(())
    }
}

fn verify(content: &[u8], expected: &ObjectId) -> Result<()> {
    let mut hasher = gix::hash::hasher(expected.kind());
    hasher.update(content);
    match hasher.try_finalize() {
        Ok(found) if found == *expected => Ok(()),
        // git verifies it only in `fsck`.
        _ => Err(Error::Unsupported("an index whose checksum does not match")),
    }
}

struct Decoder {
    kind: Kind,
    version: u32,
    /// Maximum bytes of all names.
    limit: usize,
    entries: Vec<Entry>,
    paths: Vec<u8>,
}

impl Decoder {
    fn entry(&mut self, rest: &mut Bytes<'_>) -> Result<()> {
        let ends = || Error::corrupt("the index ends within its entries");
        let before = rest.0.len();
        let (stat, mode) = fixed(rest).ok_or_else(ends)?;
        let id = rest.id(self.kind).ok_or_else(ends)?;
        let word = rest.u16().ok_or_else(ends)?;
        let mut flags = word & (Flags::STAGE | Flags::ASSUME_VALID);
        if word & EXTENDED != 0 {
            let second = rest.u16().ok_or_else(ends)?;
            if second & !KNOWN_EXTENDED != 0 {
                return Err(Error::corrupt(format_args!("unknown index entry format 0x{second:04x}0000")));
            }
            flags |= second >> 8;
        }
        let begin = self.paths.len();
        if self.version == 4 { self.compressed_name(rest, word) } else { self.padded_name(rest, word, before) }?;
        let length = self.paths.len() - begin;
        if length > MAX_NAME || self.paths.len() > self.limit {
            return Err(Error::Unsupported("an index with names over the size limit"));
        }
        let (Ok(length), Ok(path)) = (u16::try_from(length), u32::try_from(begin)) else { return Err(ends()) };
        self.entries.push(Entry { stat, id, mode, flags: Flags(flags), length, path });
        Ok(())
    }

    /// The name in versions 2 and 3, with up to eight zero bytes until the entry has a multiple of eight bytes.
    fn padded_name(&mut self, rest: &mut Bytes<'_>, word: u16, before: usize) -> Result<()> {
        let ends = || Error::corrupt("the index ends within a name");
        let odd = || Error::Unsupported("an index entry whose name ends early");
        let head = before - rest.0.len();
        let name = if word & LONG == LONG {
            Bytes(rest.0).until_zero().filter(|name| name.len() >= usize::from(LONG)).ok_or_else(odd)?
        } else {
            Bytes(rest.0).take(usize::from(word & LONG)).ok_or_else(ends)?
        };
        let padded = ((head + name.len() + 8) & !7) - head;
        let taken = rest.take(padded).ok_or_else(ends)?;
        if name.contains(&0) || taken.get(name.len()) != Some(&0) {
            return Err(odd());
        }
        self.paths.extend_from_slice(name);
        Ok(())
    }

    /// The name in version 4: how much of the previous name to drop, and what to add.
    fn compressed_name(&mut self, rest: &mut Bytes<'_>, word: u16) -> Result<()> {
        let malformed = || Error::corrupt("malformed name field in the index");
        let dropped = rest.offset().ok_or_else(malformed)?;
        let added = rest.until_zero().ok_or_else(malformed)?;
        let last = self.entries.last().map_or(0..0, |last| last.path as usize..last.path as usize + usize::from(last.length));
        // git does not look at the number in the first entry.
        let kept = if self.entries.is_empty() { 0 } else { last.len().checked_sub(dropped).ok_or_else(malformed)? };
        let length = kept + added.len();
        let expected = usize::from(word & LONG);
        if expected < usize::from(LONG) && length != expected || expected == usize::from(LONG) && length < expected {
            return Err(Error::Unsupported("an index entry whose name ends early"));
        }
        self.paths.extend_from_within(last.start..last.start + kept);
        self.paths.extend_from_slice(added);
        Ok(())
    }
}

/// The fields of an entry before its id.
fn fixed(rest: &mut Bytes<'_>) -> Option<(Stat, u32)> {
    let mut bytes = Bytes(rest.take(FIXED)?);
    let mut time = || Some(Time { seconds: bytes.u32()?, nanoseconds: bytes.u32()? });
    let (ctime, mtime) = (time()?, time()?);
    let (dev, ino, mode) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
    let (uid, gid, size) = (bytes.u32()?, bytes.u32()?, bytes.u32()?);
    Some((Stat { ctime, mtime, dev, ino, uid, gid, size }, mode))
}
