//! Reads an index that is about to be changed in-process, and replaces its file.

use crate::{
    beneath,
    cancel::Cancel,
    error::{Error, Result},
    read::scan::answered,
    repo::{Repo, route::only_git},
};
use engine::index::{FileStamp, Index, WriteOptions};
use std::{
    fs,
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
};
use tempfile::TempPath;

/// Name prefix of a new index before it replaces the old one.
pub(super) const SCRATCH: &str = "index.mcp-";
/// git reads an index with one thread for this many entries.
const THREAD_COST: usize = 10_000;

impl Repo {
    /// True if no setting or hook requires special handling of the index or objects.
    pub(super) fn keeps_plain_index(&self) -> bool {
        let settings = &self.settings;
        settings.plain_index
            && !(settings.conditional || settings.sparse || settings.converts_text)
            && !self.location.common_dir.join("hooks/post-index-change").exists()
    }

    /// Reads the index, if rewriting it would lose nothing: it has only merged files and links without marks.
    pub(super) fn plain_index(&self, engine: &gix::Repository, cancel: &Cancel) -> Result<(Index, FileStamp)> {
        let read = answered(Index::read(self.git_folder(), engine.object_hash(), cancel), cancel)?;
        let Some((index, stamp)) = read else { return Err(only_git("a missing index")) };
        let has_more = index.is_split() || index.has_untracked_cache() || index.has_fsmonitor() || index.is_sparse();
        let is_odd = |entry: &engine::index::Entry| {
            let flags = entry.flags;
            flags.stage() != 0 || flags.assume_valid() || flags.skip_worktree() || flags.intent_to_add() || entry.is_submodule()
        };
        if has_more || index.entries().iter().any(is_odd) {
            return Err(only_git("an index with special entries"));
        }
        Ok((index, stamp))
    }

    /// Replaces the index file, unless it is no longer the one with this stamp, under git's own lock.
    pub(super) fn replace_index(&self, engine: &gix::Repository, index: &Index, stamp: FileStamp) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let content = index.to_bytes(self.write_options(engine, index)?).map_err(Error::engine)?;
        let name = format!("{SCRATCH}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let lock = self.location.git_dir.join("index.lock");
        let scratch = TempPath::try_from_path(self.location.git_dir.join(name)).map_err(Error::engine)?;
        let written = beneath::create_new(&scratch).and_then(|mut file| file.write_all(&content));
        written.map_err(Error::engine)?;
        // The complete file is hard-linked as the lock, so that a lock left by a kill is recognizable as ours.
        fs::hard_link(&scratch, &lock).map_err(Error::engine)?;
        let lock = TempPath::try_from_path(lock).map_err(Error::engine)?;
        if Index::stamp(self.git_folder()) != Some(stamp) {
            return Err(only_git("an index that has just changed"));
        }
        lock.persist(self.index_file()).map_err(Error::engine)
    }

    /// The parts of the file that git writes by configuration.
    fn write_options(&self, engine: &gix::Repository, index: &Index) -> Result<WriteOptions> {
        let config = engine.config_snapshot();
        let is = |key: &str| config.boolean(key);
        // `None` if not set, zero for as many threads as there are processors.
        let threads = match (self.location.trusted, config.string("index.threads")) {
            // An untrusted repository is changed with this setting.
            (false, _) => Some(1),
            (true, None) => None,
            (true, Some(_)) => match (config.integer("index.threads"), is("index.threads")) {
                (Some(threads), _) => Some(usize::try_from(threads).map_err(Error::engine)?),
                (None, Some(on)) => Some(usize::from(!on)),
                (None, None) => return Err(only_git("index.threads")),
            },
        };
        let is_threaded = threads.is_some_and(|threads| threads != 1);
        let offsets = is("index.recordOffsetTable").unwrap_or(is_threaded);
        let blocks = match threads {
            Some(0) if offsets && index.entries().len() >= 2 * THREAD_COST => return Err(only_git("as many threads as processors")),
            Some(blocks) if offsets => blocks,
            _ => 0,
        };
        Ok(WriteOptions {
            skip_hash: is("index.skipHash").unwrap_or_default(),
            end_of_entries: is("index.recordEndOfIndexEntries").unwrap_or(is_threaded),
            blocks,
        })
    }
}
