//! Profiles of processors and heap.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A CPU profile.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct CpuProfile {
    /// How long it was sampled, in seconds.
    pub(crate) seconds: u64,
    /// Samples of all functions, 99 per second and busy thread.
    pub(crate) samples: u64,
    /// The functions with the most samples.
    pub(crate) top: Vec<Function>,
    #[serde(flatten)]
    pub(crate) files: Files,
}

/// A function in a CPU profile.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) function: String,
    /// Samples in it, without those in functions that it calls.
    pub(crate) samples: u64,
}

/// A profile as files.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Files {
    /// A flame graph, as SVG.
    pub(crate) svg: String,
    /// A gzipped profile for pprof, in base64.
    pub(crate) pprof: String,
}

/// The tracking of allocations, and the snapshots of the heap.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Heap {
    /// Whether allocations are tracked.
    pub(crate) tracking: bool,
    /// For how long, in milliseconds; null if they are not.
    pub(crate) tracked_ms: Option<u64>,
    /// Time between snapshots while they are tracked, in milliseconds.
    pub(crate) interval_ms: u64,
    /// The snapshots, oldest first.
    pub(crate) snapshots: Vec<Snapshot>,
}

/// A snapshot of the heap. Only allocations made while they were tracked are included.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Snapshot {
    /// Its number.
    pub(crate) id: u64,
    /// Its name.
    pub(crate) label: String,
    /// Time since it was taken, in milliseconds.
    pub(crate) age_ms: u64,
    /// Resident memory, in bytes.
    pub(crate) rss: Option<u64>,
    /// Allocated memory, in bytes.
    pub(crate) bytes: i64,
    /// Number of allocations.
    pub(crate) allocations: i64,
    /// Number of call stacks that allocated.
    pub(crate) stacks: usize,
}

/// The heap at the moment of a snapshot.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct HeapProfile {
    #[serde(flatten)]
    pub(crate) heap: Heap,
    /// The snapshot.
    pub(crate) snapshot: Snapshot,
    #[serde(flatten)]
    pub(crate) report: HeapReport,
}

/// The growth of the heap from one snapshot to another.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct HeapGrowth {
    /// The earlier snapshot.
    pub(crate) from: Snapshot,
    /// The later one.
    pub(crate) to: Snapshot,
    #[serde(flatten)]
    pub(crate) report: HeapReport,
}

/// Allocations by call stack.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct HeapReport {
    /// The call stacks with the most memory.
    pub(crate) top: Vec<Allocator>,
    #[serde(flatten)]
    pub(crate) files: Files,
}

/// A call stack that allocates.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Allocator {
    /// Its memory, or the growth of it, in bytes.
    pub(crate) bytes: i64,
    /// The number of its allocations, or the growth of it.
    pub(crate) allocations: i64,
    /// The function that allocates, and its callers.
    pub(crate) stack: Vec<String>,
}
