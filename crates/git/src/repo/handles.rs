//! The handles of open repositories: a few, of which the one that was unused longest makes room.

use crate::repo::Repo;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What a cache holds, and how it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// What it holds.
    pub entries: usize,
    /// The most that it holds; 0 where it is switched off.
    pub limit: usize,
    /// Uses that found what they looked for.
    pub hits: u64,
    /// Uses that did not.
    pub misses: u64,
}

/// Handles by the path that was asked for.
#[derive(Debug)]
pub(crate) struct Handles {
    /// Those that were used lately last.
    open: Mutex<Vec<Handle>>,
    limit: usize,
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
    /// Room for `limit`.
    pub(crate) fn new(limit: usize) -> Self {
        Self { open: Mutex::default(), limit, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle for `path`, unless it has changed shape.
    pub(crate) fn get(&self, path: &Path) -> Option<Arc<Repo>> {
        let found = {
            let mut open = self.lock();
            open.iter().position(|handle| handle.path == path).map(|at| {
                let handle = open.remove(at);
                let repo = Arc::clone(&handle.repo);
                open.push(Handle { used: Instant::now(), ..handle });
                repo
            })
        };
        // Outside of the lock: it looks at files.
        let is_current = found.as_ref().is_some_and(|repo| repo.is_current());
        let counter = if is_current { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        if is_current {
            return found;
        }
        if let Some(stale) = &found {
            // Another call may have put a fresh one meanwhile.
            self.lock().retain(|handle| !Arc::ptr_eq(&handle.repo, stale));
        }
        None
    }

    /// Keeps a handle.
    pub(crate) fn put(&self, path: &Path, repo: &Arc<Repo>) {
        if self.limit == 0 {
            return;
        }
        let mut open = self.lock();
        let mut evicted: Vec<Handle> = open.extract_if(.., |handle| handle.path == path).collect();
        if open.len() >= self.limit {
            evicted.push(open.remove(0));
        }
        open.push(Handle { path: path.to_owned(), repo: Arc::clone(repo), used: Instant::now() });
        drop(open);
        // Outside of the lock: each closes files.
        drop(evicted);
    }

    /// Drops all, or those that were not used for so long, and says how many. Calls that use one go on.
    pub(crate) fn drop_unused(&self, unused: Duration) -> usize {
        let dropped = {
            let mut open = self.lock();
            let kept = open.iter().position(|handle| handle.used.elapsed() < unused).unwrap_or(open.len());
            open.drain(..kept).collect::<Vec<_>>()
        };
        dropped.len()
    }

    /// What it holds.
    pub(crate) fn figures(&self) -> CacheFigures {
        CacheFigures {
            entries: self.lock().len(),
            limit: self.limit,
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }
}
