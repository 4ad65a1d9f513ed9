//! The caches of a running server: their contents and clearing.

use crate::{pipeline::Services, wire};
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
    let handles = services.repositories.cache();
    let schemas = wire::schemas().cache();
    vec![
        Cache { name: "repositories", what: "handles of open repositories", ..from(handles) },
        Cache { name: "validation", what: "types of the arguments of tools", ..from(schemas) },
    ]
}

fn from(figures: git::CacheFigures) -> Cache {
    let git::CacheFigures { entries, limit, hits, misses } = figures;
    Cache { name: "", what: "", entries, limit, hits, misses, enabled: limit > 0 }
}

/// Clears one cache, or all, and returns the number of entries each had. `None` if there is no such cache.
pub(crate) fn clear(services: &Services, one: Option<&str>) -> Option<Vec<(&'static str, usize)>> {
    let all = list(services);
    let meant: Vec<&Cache> = all.iter().filter(|cache| one.is_none_or(|name| cache.name == name)).collect();
    let cleared = meant.iter().map(|cache| match cache.name {
        "repositories" => (cache.name, services.repositories.clear()),
        _ => (cache.name, wire::schemas().clear()),
    });
    let cleared: Vec<_> = cleared.collect();
    (!cleared.is_empty()).then_some(cleared)
}

/// Evicts entries unused for this long, and returns their number.
pub(crate) fn sweep(services: &Services, unused: Duration) -> usize {
    services.repositories.sweep(unused)
}
