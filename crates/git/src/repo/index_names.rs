//! Limits for the names in an index of version 4. Each name is stored as a difference from the previous one, but readers
//! expand all of them, so they get the limits that the file size implies in other versions.

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

/// Maximum size of an index, and of `packed-refs`.
pub(crate) const MAX_INDEX: u64 = 1 << 30;
/// Maximum length of a name, as the system's for paths.
const MAX_NAME: usize = 4096;
/// Bytes of names allowed in any index: enough for a million files.
const MAX_BYTES: u64 = 64 << 20;
/// Maximum ratio of names to file size for a larger one. Real ones have about twice their size.
const GROWTH: u64 = 4;
/// Bytes of an entry before its id and flags: times, identity, mode, owner and size.
const FIXED: usize = 40;
/// Maximum number of shared index files checked. git removes old ones.
const MAX_SHARED: usize = 256;
const IDS: [usize; 2] = [20, 32];
const EXTENDED: u8 = 0x40;

/// Refuses an index whose names exceed the limits. Includes shared index files, which hold most entries of a split index. A
/// missing index and other versions pass: they are checked elsewhere. `id` is the length of the ids, if known.
///
/// # Errors
///
/// [`Error::NotReadable`].
pub(crate) fn check(index: &Path, id: Option<usize>) -> Result<()> {
    let beside = index.parent().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let shared =
        beside.filter(|entry| entry.file_name().as_bytes().starts_with(b"sharedindex.")).take(MAX_SHARED).map(|entry| entry.path());
    for part in shared.chain([index.to_owned()]) {
        // Only regular files are opened, here and by the engine.
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
    // The index does not store the length of its ids. With the wrong length, parsing soon fails.
    IDS.iter().filter(|one| id.is_none_or(|id| id == **one)).any(|id| {
        let Ok((file, _)) = open_own(index) else { return false };
        let mut entries = BufReader::new(file);
        entries.read_exact(&mut [0; 12]).is_ok() && walk(&mut entries, count, *id, most).unwrap_or(false)
    })
}

/// Whether all names can be parsed and are within the limits.
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

/// Number of bytes removed from the previous name, encoded like pack offsets.
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
    /// An index of version 4 in which each name extends the previous one by `added` bytes.
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

    /// One long name, and many that repeat it.
    fn repeated(length: usize, entries: u32) -> Vec<u8> {
        let (mut first, rest) = (index(1, length), index(entries, 0));
        first[8..12].copy_from_slice(&(entries + 1).to_be_bytes());
        first.extend_from_slice(&rest[12..]);
        first
    }

    #[test]
    fn growing_names_are_limited() -> io::Result<()> {
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
        // Only the correct id length passes, and shared index files are checked as well.
        fs::write(&path, index(40, 40))?;
        assert!(!are_bounded(&path, Some(32)) && check(&path, Some(20)).is_ok());
        fs::write(dir.path().join("sharedindex.1"), index(103, 40))?;
        assert!(check(&path, Some(20)).is_err());
        Ok(())
    }
}
