//! Answers of the health probes, over HTTP.

use super::name::Name;
use crate::lifecycle::phase::Phase;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether the server is well.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Health {
    /// `ok`; `degraded` without the store; or why calls are rejected: the phase, `memory_limit` or `threads_lost`.
    pub(crate) status: String,
    /// Only if asked for, and for authenticated requests.
    #[serde(flatten)]
    pub(crate) details: Option<Details>,
}

/// More about the health of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Details {
    /// The life-cycle phase.
    pub(crate) phase: Name<Phase>,
    /// Lost threads.
    pub(crate) lost_threads: usize,
    /// `ok`, or why the store is unavailable.
    pub(crate) store: String,
    /// Open sessions.
    pub(crate) sessions: usize,
    /// Whether the heartbeat task runs.
    pub(crate) heartbeat: bool,
    /// Circuits that are not closed.
    pub(crate) open_circuits: usize,
}
