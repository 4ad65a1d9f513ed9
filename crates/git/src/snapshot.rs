//! What a change can move: `HEAD`, branches, tags, the stash, the index, and the operation in progress.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice, hash::Kind};
use std::{collections::BTreeMap, path::PathBuf};

const MAX_OUTPUT: usize = 256 << 20;
/// Where the references are that changes move and that can be put back.
const PREFIXES: [&str; 3] = ["refs/heads/", "refs/tags/", "refs/stash"];

/// The state of a worktree and of the references that it shares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The full name of the branch that is checked out; none where `HEAD` is detached.
    pub branch: Option<String>,
    /// The commit that is checked out; none before the first.
    pub commit: Option<ObjectId>,
    /// Branches, tags and the stash, by full name.
    pub refs: BTreeMap<String, ObjectId>,
    /// What the index holds, as one number.
    pub index: Option<ObjectId>,
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
        let (snapshot, _) =
            self.answer("snapshot", |engine| self.snapshot_in_process(engine, cancel), || self.snapshot_with_git(cancel))?;
        Ok(Snapshot { in_progress: self.in_progress(), ..snapshot })
    }

    fn snapshot_in_process(&self, engine: &gix::Repository, cancel: &Cancel) -> Result<Snapshot> {
        let head = engine.head().map_err(Error::engine)?;
        let mut refs = BTreeMap::new();
        let platform = engine.references().map_err(Error::engine)?;
        for prefix in PREFIXES {
            for reference in platform.prefixed(prefix).map_err(Error::engine)? {
                cancel.check()?;
                let reference = reference.map_err(Error::engine)?;
                if let Some(id) = reference.try_id() {
                    refs.insert(reference.name().as_bstr().to_string(), id.detach());
                }
            }
        }
        // Not the handle's own copy, which is judged by the file's time.
        let index = self.index_file().exists().then(|| engine.open_index().map_err(Error::engine)).transpose()?;
        let mut listing = Vec::new();
        for entry in index.iter().flat_map(|index| index.entries().iter().map(move |entry| (index, entry))) {
            let (index, entry) = entry;
            listing.extend_from_slice(format!("{:06o} {} {}\t", entry.mode.bits(), entry.id, entry.flags.stage_raw()).as_bytes());
            listing.extend_from_slice(entry.path(index));
            listing.push(0);
        }
        Ok(Snapshot {
            branch: head.referent_name().map(|name| name.as_bstr().to_string()),
            commit: head.id().map(gix::Id::detach),
            refs,
            index: fingerprint(&listing),
            in_progress: None,
        })
    }

    fn snapshot_with_git(&self, cancel: &Cancel) -> Result<Snapshot> {
        let (ended, branch) = self.read(&["symbolic-ref", "--quiet", "HEAD"]).output(cancel, 8192)?;
        let branch = Some(String::from_utf8_lossy(branch.trim_ascii_end()).into_owned()).filter(|_| ended.code == Some(0));
        let listed = self.read(&["for-each-ref", "--format=%(objectname) %(refname)"]).args(PREFIXES).success(cancel, MAX_OUTPUT)?;
        let refs = listed.lines().filter_map(|line| {
            let (id, name) = line.split_once_str(" ")?;
            Some((name.to_str_lossy().into_owned(), ObjectId::from_hex(id).ok()?))
        });
        let index = if self.location.worktree.is_some() {
            fingerprint(&self.read(&["ls-files", "--stage", "-z", "--sparse"]).success(cancel, MAX_OUTPUT)?)
        } else {
            None
        };
        Ok(Snapshot { branch, commit: self.head(cancel)?, refs: refs.collect(), index, in_progress: None })
    }

    /// The file that holds the index.
    pub fn index_file(&self) -> PathBuf {
        self.location.git_dir.join("index")
    }
}

fn fingerprint(listing: &[u8]) -> Option<ObjectId> {
    gix::objs::compute_hash(Kind::Sha1, gix::objs::Kind::Blob, listing).ok()
}
