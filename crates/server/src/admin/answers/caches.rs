//! Caches of a server.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The caches of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Caches {
    /// Every cache.
    pub(crate) caches: Vec<Cache>,
    /// Time without use after which entries are dropped, and between checks of it, in milliseconds.
    pub(crate) sweep_interval_ms: u64,
}

/// A cache.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Cache {
    /// Its name.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) what: String,
    /// Number of entries.
    pub(crate) entries: usize,
    /// Maximum number of entries.
    pub(crate) limit: usize,
    /// Number of entries that were found, since the start.
    pub(crate) hits: u64,
    /// Number of entries that were not found, since the start.
    pub(crate) misses: u64,
    /// Whether it is in use.
    pub(crate) enabled: bool,
}

/// Caches that were cleared.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Cleared {
    /// The caches, with what each held.
    pub(crate) cleared: Vec<ClearedCache>,
}

/// A cache that was cleared.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ClearedCache {
    /// Its name.
    pub(crate) name: String,
    /// Number of entries that it had.
    pub(crate) entries: usize,
}
