//! The caches of a running server: their contents, clearing, and whether they are in use.

use crate::{config::CacheName, pipeline::Services, wire};
use std::time::Duration;

/// The state of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// The cache.
    pub name: CacheName,
    /// What it holds.
    pub what: &'static str,
    /// Number of entries.
    pub entries: usize,
    /// Maximum number of entries; 0 if it is disabled.
    pub limit: usize,
    /// Number of entries that were found.
    pub hits: u64,
    /// Number of entries that were not found.
    pub misses: u64,
    /// Whether it is in use.
    pub enabled: bool,
}

/// The caches of a running server. That of `Validation` is shared by all servers of a process.
#[derive(Clone, Copy)]
pub struct Caches<'a>(&'a Services);

impl<'a> Caches<'a> {
    pub(crate) fn of(services: &'a Services) -> Self {
        Self(services)
    }

    /// Every cache.
    pub fn list(self) -> Vec<Cache> {
        let state = |name: CacheName| {
            let (what, figures) = match name {
                CacheName::Repositories => ("handles of open repositories", self.0.repositories.cache()),
                CacheName::Validation => ("types of the arguments of tools", wire::schemas().cache()),
                CacheName::Replies => ("replies of unchanged repositories, limited in bytes", self.0.replies.figures()),
            };
            let git::CacheFigures { entries, limit, hits, misses } = figures;
            Cache { name, what, entries, limit, hits, misses, enabled: limit > 0 }
        };
        CacheName::ALL.map(state).to_vec()
    }

    /// Clears a cache, and returns the number of entries that it had. Running calls are not affected.
    #[doc(alias = "clear_validation_cache")]
    pub fn clear(self, name: CacheName) -> usize {
        match name {
            CacheName::Repositories => self.0.repositories.clear(),
            CacheName::Validation => wire::schemas().clear(),
            CacheName::Replies => self.0.replies.clear(),
        }
    }

    /// Clears every cache, and returns the number of entries that each had.
    pub fn clear_all(self) -> Vec<(CacheName, usize)> {
        CacheName::ALL.map(|name| (name, self.clear(name))).to_vec()
    }

    /// Enables or disables a cache, until the server starts anew. A disabled cache holds nothing.
    #[doc(alias = "enable_validation_cache")]
    pub fn set_enabled(self, name: CacheName, on: bool) {
        match name {
            CacheName::Repositories => self.0.repositories.set_cache(on),
            CacheName::Validation => wire::schemas().set_enabled(on),
            CacheName::Replies => self.0.replies.set_enabled(on),
        }
    }

    /// Evicts entries unused for this long, and returns their number.
    pub(crate) fn sweep(self, unused: Duration) -> usize {
        self.0.repositories.sweep(unused)
    }
}
