//! The names in an index of version 4, each of which says only how it differs from the one before. A reader holds all of each
//! name, so names get the bounds that they have by their size in other versions.

use crate::{
    beneath::open_own,
    error::{Error, Result},
};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// The largest index, and the largest list of references.
pub(crate) const MAX_INDEX: u64 = 1 << 30;
/// The longest name, as the system has it for paths.
const MAX_NAME: usize = 4096;
/// The most bytes of names that any index may have: those of a million files.
const MAX_BYTES: u64 = 64 << 20;
/// How many times its own size the names of a larger one may have. In real ones they have about twice.
const GROWTH: u64 = 4;
/// What an entry has before its name: times, identity, mode, owner and size, and then the id and the flags.
const FIXED: usize = 40;
/// The most parts of an index that are looked at. git removes old ones.
const MAX_SHARED: usize = 256;
const IDS: [usize; 2] = [20, 32];
const EXTENDED: u8 = 0x40;

/// Refuses an index whose names have no bound, and one with such a part: a split index has most of its entries in a file beside
/// it. One of another version passes, and none at all: others judge it. `id` is the length of the ids, where that is known.
///
/// # Errors
///
/// [`Error::NotReadable`].
pub(crate) fn check(index: &Path, id: Option<usize>) -> Result<()> {
    let beside = index.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let shared =
        beside.filter(|entry| entry.file_name().as_bytes().starts_with(b"sharedindex.")).take(MAX_SHARED).map(|entry| entry.path());
    for part in shared.chain([index.to_owned()]) {
        // What is no regular file is not opened here, and not by the engine.
        let is_large = part.symlink_metadata().is_ok_and(|found| !found.is_symlink() && found.len() > MAX_INDEX);
        if is_large || !are_bounded(&part, id) {
            return Err(Error::NotReadable { path: part, why: "has path names over the size limit" });
        }
    }
    Ok(())
}

fn are_bounded(index: &Path, id: Option<usize>) -> bool {
    let Ok((file, found)) = open_own(index) else { return true };
    let most = MAX_BYTES.max(found.len().saturating_mul(GROWTH));
    let mut head = [0; 12];
    if (&file).read_exact(&mut head).is_err() || !head.starts_with(b"DIRC\0\0\0\x04") {
        return true;
    }
    let count = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    // The index does not say how long its ids are. Read with the wrong length, names soon make no sense.
    IDS.iter().filter(|one| id.is_none_or(|id| id == **one)).any(|id| {
        let Ok((file, _)) = open_own(index) else { return false };
        let mut entries = BufReader::new(file);
        entries.read_exact(&mut [0; 12]).is_ok() && walk(&mut entries, count, *id, most).unwrap_or(false)
    })
}

/// True where all names are read and have a bound.
fn walk(entries: &mut impl BufRead, count: u32, id: usize, most: u64) -> io::Result<bool> {
    let (mut length, mut all, mut fixed, mut name) = (0_usize, 0_u64, vec![0; FIXED + id + 2], Vec::new());
    for _ in 0..count {
        entries.read_exact(&mut fixed)?;
        if fixed[FIXED + id] & EXTENDED != 0 {
            entries.read_exact(&mut [0; 2])?;
        }
        let Some(kept) = length.checked_sub(offset(entries)?) else { return Ok(false) };
        name.clear();
        entries.by_ref().take(MAX_NAME as u64 + 1).read_until(0, &mut name)?;
        if name.pop() != Some(0) {
            return Ok(false);
        }
        length = kept + name.len();
        all += length as u64;
        if length > MAX_NAME || all > most {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many bytes of the name before are left out, in the encoding of offsets in packs.
fn offset(entries: &mut impl Read) -> io::Result<usize> {
    let mut byte = [0];
    entries.read_exact(&mut byte)?;
    let mut value = usize::from(byte[0] & 0x7f);
    while byte[0] & 0x80 != 0 {
        entries.read_exact(&mut byte)?;
        value = (value.saturating_add(1)).saturating_mul(0x80).saturating_add(usize::from(byte[0] & 0x7f));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    /// An index of version 4 in which each name keeps the one before and adds `added` bytes.
    fn index(entries: u32, added: usize) -> Vec<u8> {
        let mut bytes = [&b"DIRC\0\0\0\x04"[..], &entries.to_be_bytes()].concat();
        for _ in 0..entries {
            bytes.extend_from_slice(&[0; FIXED + 20 + 2]);
            bytes.push(0);
            bytes.extend(vec![b'z'; added]);
            bytes.push(0);
        }
        bytes
    }

    /// One long name, and many that keep it.
    fn repeated(length: usize, entries: u32) -> Vec<u8> {
        let (mut first, rest) = (index(1, length), index(entries, 0));
        first[8..12].copy_from_slice(&(entries + 1).to_be_bytes());
        first.extend_from_slice(&rest[12..]);
        first
    }

    #[test]
    fn names_that_grow_have_a_bound() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("index");
        assert!(are_bounded(&path, None));
        for (content, bounded) in [
            (index(100, 40), true),
            (index(103, 40), false),
            (index(40_000, 0), true),
            (repeated(4000, 20_000), false),
            (b"DIRC\0\0\0\x02\0\0\0\x01".to_vec(), true),
            (b"DIRC\0\0\0\x04\0\0\0\x01".to_vec(), false),
        ] {
            fs::write(&path, &content)?;
            assert_eq!(are_bounded(&path, None), bounded, "{} bytes", content.len());
            assert_eq!(are_bounded(&path, Some(20)), bounded, "{} bytes", content.len());
        }
        // Only the real length of the ids counts, and a part of it counts as well.
        fs::write(&path, index(40, 40))?;
        assert!(!are_bounded(&path, Some(32)) && check(&path, Some(20)).is_ok());
        fs::write(dir.path().join("sharedindex.1"), index(103, 40))?;
        assert!(check(&path, Some(20)).is_err());
        Ok(())
    }
}
