//! An LRU cache of open repositories.

use crate::repo::Repo;
use parking_lot::{Mutex, MutexGuard};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Cache statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Number of entries held.
    pub entries: usize,
    /// Maximum number of entries; 0 if disabled.
    pub limit: usize,
    /// Number of cache hits.
    pub hits: u64,
    /// Number of cache misses.
    pub misses: u64,
}

/// Handles by requested path.
#[derive(Debug)]
pub(crate) struct Handles {
    /// In order of use, most recent last.
    open: Mutex<Vec<Handle>>,
    limit: usize,
    is_off: AtomicBool,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug)]
struct Handle {
    path: PathBuf,
    repo: Arc<Repo>,
    used: Instant,
}

impl Handles {
    /// A cache of at most `limit` handles.
    pub(crate) fn new(limit: usize) -> Self {
        Self { open: Mutex::default(), limit, is_off: AtomicBool::new(false), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Enables or disables the cache. A disabled one holds nothing.
    pub(crate) fn set_enabled(&self, on: bool) {
        self.is_off.store(!on, Ordering::Relaxed);
        if !on {
            self.drop_unused(Duration::ZERO);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.open.lock()
    }

    /// The handle for `path`, unless it is stale.
    pub(crate) fn get(&self, path: &Path) -> Option<Arc<Repo>> {
        let found = self.peek(path);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The same, uncounted.
    pub(crate) fn peek(&self, path: &Path) -> Option<Arc<Repo>> {
        let found = {
            let mut open = self.lock();
            open.iter().position(|handle| handle.path == path).map(|at| {
                let handle = open.remove(at);
                let repo = Arc::clone(&handle.repo);
                open.push(Handle { used: Instant::now(), ..handle });
                repo
            })
        };
        // Outside the lock, as it reads file metadata.
        let is_current = found.as_ref().is_some_and(|repo| repo.is_current());
        if is_current {
            return found;
        }
        if let Some(stale) = &found {
            // Another call may have added a fresh one meanwhile.
            self.lock().retain(|handle| !Arc::ptr_eq(&handle.repo, stale));
        }
        None
    }

    /// Adds a handle.
    pub(crate) fn put(&self, path: &Path, repo: &Arc<Repo>) {
        let mut open = self.lock();
        // Under the lock: a cache that is disabled meanwhile drops its handles afterwards.
        if self.is_off.load(Ordering::Relaxed) {
            return;
        }
        let mut evicted: Vec<Handle> = open.extract_if(.., |handle| handle.path == path).collect();
        if open.len() >= self.limit {
            evicted.push(open.remove(0));
        }
        open.push(Handle { path: path.to_owned(), repo: Arc::clone(repo), used: Instant::now() });
        drop(open);
        // Outside the lock, as it closes files.
        drop(evicted);
    }

    /// Drops the handles unused for this long and returns their number. Calls in progress are unaffected.
    pub(crate) fn drop_unused(&self, unused: Duration) -> usize {
        let dropped = {
            let mut open = self.lock();
            let kept = open.iter().position(|handle| handle.used.elapsed() < unused).unwrap_or(open.len());
            open.drain(..kept).collect::<Vec<_>>()
        };
        dropped.len()
    }

    /// Cache statistics.
    pub(crate) fn figures(&self) -> CacheFigures {
        CacheFigures {
            entries: self.lock().len(),
            limit: if self.is_off.load(Ordering::Relaxed) { 0 } else { self.limit },
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}
