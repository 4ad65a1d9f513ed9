//! What a change can move: `HEAD`, the index, the operation in progress, and other branches and the stash.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    lock::digest,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

const MAX_OUTPUT: usize = 256 << 20;
/// The length of the checksum, or of as much of it as is looked at.
const CHECKSUM: usize = 20;
/// The largest index without a checksum that is told from others.
const MAX_DIGEST: u64 = 256 << 20;
/// Where the references are that changes move and that can be put back.
const PREFIXES: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/stash"];

/// The state of a worktree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The full name of the branch that is checked out; none where `HEAD` is detached.
    pub branch: Option<String>,
    /// The commit that is checked out; none before the first.
    pub commit: Option<ObjectId>,
    /// Which index this is, byte for byte.
    pub index: Option<String>,
    /// The operation in progress.
    pub in_progress: Option<&'static str>,
}

impl Repo {
    /// The state at this moment.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn snapshot(&self, cancel: &Cancel) -> Result<Snapshot> {
        let (snapshot, _) = self.answer("snapshot", in_process, || self.snapshot_with_git(cancel))?;
        Ok(Snapshot { in_progress: self.in_progress(), index: self.index_key(), ..snapshot })
    }

    fn snapshot_with_git(&self, cancel: &Cancel) -> Result<Snapshot> {
        let (ended, branch) = self.read(&["symbolic-ref", "--quiet", "HEAD"]).output(cancel, 8192)?;
        let branch = Some(String::from_utf8_lossy(branch.trim_ascii_end()).into_owned()).filter(|_| ended.code == Some(0));
        Ok(Snapshot { branch, commit: self.head(cancel)?, ..Snapshot::default() })
    }

    /// Branches, tags and the stash, by full name.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn movable_refs(&self, cancel: &Cancel) -> Result<BTreeMap<String, ObjectId>> {
        let listed = self.read(&["for-each-ref", "--format=%(objectname) %(refname)"]).args(PREFIXES).success(cancel, MAX_OUTPUT)?;
        let refs = listed.lines().filter_map(|line| {
            let (id, name) = line.split_once_str(" ")?;
            Some((name.to_str_lossy().into_owned(), ObjectId::from_hex(id).ok()?))
        });
        Ok(refs.collect())
    }

    /// The file that holds the index.
    pub fn index_file(&self) -> PathBuf {
        self.location.git_dir.join("index")
    }

    /// The checksum that ends the index file; a digest of the whole where it has none (`index.skipHash`).
    fn index_key(&self) -> Option<String> {
        key_of(&self.index_file())
    }

    /// True when `copy` still is the index that it is named after, byte for byte.
    pub(crate) fn is_intact(&self, copy: &Path) -> bool {
        let named = copy.file_name().is_some_and(|name| key_of(copy).is_some_and(|key| name == key.as_str()));
        // Reading it checks it against its checksum.
        named && self.engine().is_none_or(|engine| read_index(&engine, copy).is_some())
    }

    /// True when the index holds the entries that the copy holds, whatever it says of the files' times.
    pub(crate) fn is_index_like(&self, copy: &Path) -> bool {
        let Some(engine) = self.engine() else { return false };
        let (Some(ours), Some(copy)) = (read_index(&engine, &self.index_file()), read_index(&engine, copy)) else { return false };
        ours.entries().iter().map(|one| entry(&ours, one)).eq(copy.entries().iter().map(|one| entry(&copy, one)))
    }
}

/// The index as it is on disk at this moment.
///
/// The engine keeps one until there is a younger one, and one that was put back by undoing is older.
pub(crate) fn index_now(engine: &gix::Repository) -> Result<gix::worktree::Index> {
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
    let mut file = File::open(index).ok()?;
    let length = file.metadata().ok()?.len();
    let mut end = [0; CHECKSUM];
    file.seek(SeekFrom::Start(length.checked_sub(CHECKSUM as u64)?)).ok()?;
    file.read_exact(&mut end).ok()?;
    Some(end)
}

fn key_of(index: &Path) -> Option<String> {
    let end = checksum_of(index)?;
    if end != [0; CHECKSUM] {
        return ObjectId::try_from(&end[..]).ok().map(|checksum| checksum.to_string());
    }
    if std::fs::metadata(index).ok()?.len() > MAX_DIGEST {
        return None;
    }
    Some(digest(&std::fs::read(index).ok()?))
}

fn read_index(engine: &gix::Repository, path: &Path) -> Option<gix::index::File> {
    gix::index::File::at(path, engine.object_hash(), false, gix::index::decode::Options::default()).ok()
}

fn in_process(engine: &gix::Repository) -> Result<Snapshot> {
    let head = engine.head().map_err(Error::engine)?;
    let branch = head.referent_name().map(|name| name.as_bstr().to_string());
    Ok(Snapshot { branch, commit: head.id().map(gix::Id::detach), ..Snapshot::default() })
}

/// What counts of an entry.
fn entry<'a>(index: &'a gix::index::File, entry: &gix::index::Entry) -> (&'a [u8], ObjectId, u32, u32, bool) {
    let intended = entry.flags.contains(gix::index::entry::Flags::INTENT_TO_ADD);
    (entry.path(index).as_bytes(), entry.id, entry.mode.bits(), entry.flags.stage_raw(), intended)
}
