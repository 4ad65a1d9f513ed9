//! The caches of a running server: their contents and clearing.

use crate::{config::CacheName, pipeline::Services, wire};
use std::time::Duration;

/// The state of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cache {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) entries: usize,
    pub(crate) limit: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) enabled: bool,
}

/// Every cache.
pub(crate) fn list(services: &Services) -> Vec<Cache> {
    let state = |cache: CacheName| {
        let (what, figures) = match cache {
            CacheName::Repositories => ("handles of open repositories", services.repositories.cache()),
            CacheName::Validation => ("types of the arguments of tools", wire::schemas().cache()),
        };
        let git::CacheFigures { entries, limit, hits, misses } = figures;
        Cache { name: cache.name(), what, entries, limit, hits, misses, enabled: limit > 0 }
    };
    CacheName::ALL.map(state).to_vec()
}

/// Clears one cache, or all, and returns the number of entries each had. `None` if there is no such cache.
pub(crate) fn clear(services: &Services, one: Option<&str>) -> Option<Vec<(&'static str, usize)>> {
    let meant = CacheName::ALL.into_iter().filter(|cache| one.is_none_or(|name| cache.name() == name));
    let cleared = meant.map(|cache| match cache {
        CacheName::Repositories => (cache.name(), services.repositories.clear()),
        CacheName::Validation => (cache.name(), wire::schemas().clear()),
    });
    let cleared: Vec<_> = cleared.collect();
    (!cleared.is_empty()).then_some(cleared)
}

/// Evicts entries unused for this long, and returns their number.
pub(crate) fn sweep(services: &Services, unused: Duration) -> usize {
    services.repositories.sweep(unused)
}
