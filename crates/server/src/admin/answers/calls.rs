//! Calls in flight, their latencies and the load of the last hour.

use super::name::{Name, Named};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

crate::named::named! {
    /// What a call waits for or does.
    pub(crate) enum Position {
        /// At a breakpoint.
        Held = "held",
        /// Waits for a slot.
        Queue = "queue",
        /// Waits for the locks of a change.
        Lock = "lock",
        /// Finds and opens its repository.
        Open = "open",
        /// Runs.
        Run = "run",
    }
}

impl Named for Position {
    const WHAT: &'static str = "position of a call";

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    fn name(self) -> &'static str {
        Self::name(self)
    }
}

/// The calls in flight.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct InFlight {
    /// The first 200, oldest first.
    pub(crate) calls: Vec<Call>,
    /// Number of all.
    pub(crate) total: usize,
}

/// A call in flight.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Call {
    /// Its id, for its cancellation.
    pub(crate) id: String,
    /// The tool.
    pub(crate) tool: String,
    /// Who called it.
    pub(crate) principal: String,
    /// The session, if any.
    pub(crate) session_id: Option<String>,
    /// The request's id in the protocol.
    pub(crate) request_id: Option<String>,
    /// The repository, once it is open.
    pub(crate) repository: Option<String>,
    /// What it waits for or does.
    pub(crate) stage: Name<Position>,
    /// Time since it arrived, in milliseconds.
    pub(crate) elapsed_ms: u64,
    /// Whether it was cancelled by the operator, and has not ended yet.
    pub(crate) stopping: bool,
}

/// Calls that were cancelled.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Cancelled {
    /// Their ids.
    pub(crate) cancelled: Vec<String>,
}

/// The latencies of the last minutes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Latencies {
    /// The window, in milliseconds.
    pub(crate) window_ms: u64,
    /// The upper bounds of the buckets, in milliseconds.
    pub(crate) bounds_ms: Vec<u32>,
    /// The tools called in the window, by name.
    pub(crate) tools: Vec<Latency>,
}

/// The latencies of a tool.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Latency {
    /// The tool.
    pub(crate) tool: String,
    /// Number of calls.
    pub(crate) calls: u64,
    /// Number of failed calls.
    pub(crate) errors: u64,
    /// Calls by bucket, each without those of the buckets before; the last one is above all bounds.
    pub(crate) counts: Vec<u64>,
    /// Half of the calls ended within this time, in milliseconds.
    pub(crate) p50_ms: u64,
    /// 95 of 100 calls ended within this time, in milliseconds.
    pub(crate) p95_ms: u64,
    /// The longest time of a call, in milliseconds.
    pub(crate) max_ms: u64,
}

/// Samples of the last hour.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Samples {
    /// Time between samples, in milliseconds.
    pub(crate) interval_ms: u64,
    /// Oldest first.
    pub(crate) samples: Vec<Sample>,
}

/// A sample. What the system does not report is null.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Sample {
    /// When it was taken, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Resident memory, in bytes.
    pub(crate) rss: Option<u64>,
    /// Use of processors by this process, in percent of one.
    pub(crate) process_cpu_percent: Option<f64>,
    /// Use of all processors of the machine, in percent of all.
    pub(crate) cpu_percent: Option<f64>,
    /// Calls that ended since the sample before.
    pub(crate) calls: u64,
    /// Of these, the failed ones.
    pub(crate) errors: u64,
    /// Calls that ran or waited.
    pub(crate) in_flight: usize,
    /// Calls that waited.
    pub(crate) waiting: usize,
    /// Open sessions.
    pub(crate) sessions: usize,
}
