//! The index file: its checksum, and whether a cached index is current.

use crate::{
    beneath::open_own,
    error::{Error, Result},
    repo::{index_names, lock::digest},
};
use gix::ObjectId;
use std::{
    io::{Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

/// Number of checksum bytes compared.
const CHECKSUM: usize = 20;
/// Maximum size of an index without a checksum that is hashed.
const MAX_DIGEST: u64 = 64 << 20;
/// The index as it is on disk now.
///
/// The engine caches an index until a newer one exists, but one restored by an undo is older.
pub(crate) fn index_now(engine: &gix::Repository) -> Result<gix::worktree::Index> {
    index_names::check(&engine.index_path(), Some(engine.object_hash().len_in_bytes()))?;
    let kept = engine.index_or_empty().map_err(Error::engine)?;
    let known = kept.checksum().map(|id| id.as_bytes()[id.as_bytes().len() - CHECKSUM..].to_vec());
    match checksum_of(&engine.index_path()) {
        None => Ok(kept),
        Some(end) if known.as_deref() == Some(&end[..]) && end != [0; CHECKSUM] => Ok(kept),
        Some(_) => Ok(Arc::new(gix::fs::FileSnapshot::new(engine.open_index().map_err(Error::engine)?))),
    }
}

/// The last bytes of an index file.
pub(crate) fn checksum_of(index: &Path) -> Option<[u8; CHECKSUM]> {
    let (mut file, found) = open_own(index).ok()?;
    let length = found.len();
    let mut end = [0; CHECKSUM];
    file.seek(SeekFrom::Start(length.checked_sub(CHECKSUM as u64)?)).ok()?;
    file.read_exact(&mut end).ok()?;
    Some(end)
}

/// The trailing checksum of an index file; a digest of the whole if it has none.
pub(crate) fn key_of(index: &Path) -> Option<String> {
    let end = checksum_of(index)?;
    if end != [0; CHECKSUM] {
        return ObjectId::try_from(&end[..]).ok().map(|checksum| checksum.to_string());
    }
    let (file, found) = open_own(index).ok().filter(|(_, found)| found.len() <= MAX_DIGEST)?;
    let mut content = Vec::with_capacity(usize::try_from(found.len()).ok()?);
    file.take(MAX_DIGEST).read_to_end(&mut content).ok()?;
    Some(digest(&content))
}

/// Reads an index file that is complete and matches its checksum.
pub(crate) fn read_index(hash: gix::hash::Kind, path: &Path) -> Option<gix::index::File> {
    index_names::check(path, Some(hash.len_in_bytes())).ok()?;
    gix::index::File::at(path, hash, false, gix::index::decode::Options::default()).ok()
}
