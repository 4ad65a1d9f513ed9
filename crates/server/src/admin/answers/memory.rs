//! Memory of a server.

use super::caches::Cleared;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The advice if a trim does not free enough memory.
pub(crate) const RAISE: &str = "If usage stays above the limit, raise `memory.soft_limit`, or the control group's limit if that is unset";

/// The memory that a server uses. What the system does not report is null.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Memory {
    /// Resident memory, in bytes.
    pub(crate) rss: Option<u64>,
    /// Maximum of the resident memory, in bytes.
    pub(crate) peak_rss: Option<u64>,
    /// Memory in use, as the allocator counts it, in bytes.
    pub(crate) allocated: Option<u64>,
    /// Memory that the program has freed and the allocator keeps, in bytes.
    pub(crate) allocator_free: Option<u64>,
    /// The use that is compared with the limit, in bytes; null without a limit.
    pub(crate) used: Option<u64>,
    /// The limit above which calls are rejected, in bytes; null if there is none.
    pub(crate) soft_limit: Option<u64>,
    /// Whether calls are rejected because the limit is reached.
    pub(crate) refuses_calls: bool,
    /// Growth of the resident memory, in bytes per hour; null with few samples.
    pub(crate) bytes_per_hour: Option<i64>,
    /// Samples, oldest first.
    pub(crate) notes: Vec<Note>,
}

/// A sample.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Note {
    /// Time since it was taken, in milliseconds.
    pub(crate) ago_ms: u64,
    /// Resident memory, in bytes.
    pub(crate) rss: u64,
}

/// The return of free memory to the system. What the system does not report is null.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Trimmed {
    /// Resident memory before, in bytes.
    pub(crate) before: Option<u64>,
    /// Resident memory after, in bytes.
    pub(crate) after: Option<u64>,
    /// The difference, in bytes.
    pub(crate) recovered: Option<u64>,
    #[serde(flatten)]
    pub(crate) caches: Cleared,
}
