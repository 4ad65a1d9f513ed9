//! Circuit breakers.

use super::name::Name;
use guard::CircuitState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The circuits of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Circuits {
    /// The circuits, by name.
    pub(crate) circuits: Vec<Circuit>,
}

/// A circuit.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Circuit {
    /// `HOST:PORT/fetch` or `HOST:PORT/push`, `storage:PATH` or `database`.
    pub(crate) name: String,
    /// Whether calls pass: half-open as soon as a trial may, open while paused.
    pub(crate) state: Name<CircuitState>,
    /// Failures since the last success.
    pub(crate) failure_count: u32,
    /// Number of failures that open it.
    pub(crate) failure_threshold: u32,
    /// Time from its opening to the first trial, in milliseconds.
    pub(crate) recovery_timeout_ms: u64,
    /// Maximum number of trials at a time.
    pub(crate) half_open_max_calls: u32,
    /// Time since the last failure, in milliseconds.
    pub(crate) since_failure_ms: Option<u64>,
    /// Time until a call may pass, in milliseconds, unless the server itself closes it before; null if closed.
    pub(crate) next_trial_ms: Option<u64>,
    /// Interval at which the server itself tries it while it is not closed, in milliseconds; null if only calls do, or a
    /// probe after twice the recovery timeout.
    pub(crate) probe_interval_ms: Option<u64>,
    /// Remaining time of the pause that the remote asked for, in milliseconds.
    pub(crate) paused_ms: Option<u64>,
    /// Calls that passed since the start.
    pub(crate) calls: u64,
    /// Calls rejected since the start.
    pub(crate) rejected: u64,
    /// Number of times that it opened.
    pub(crate) opened: u64,
    /// Trials made by the server itself.
    pub(crate) probes: u64,
    /// Whether twice the recovery timeout has passed without a trial.
    pub(crate) stuck: bool,
}

/// Circuits that were closed by hand.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Reset {
    /// The circuits, with the state of each before.
    pub(crate) reset: Vec<ResetCircuit>,
}

/// A circuit that was closed by hand.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ResetCircuit {
    /// Its name.
    pub(crate) name: String,
    /// Its state before.
    pub(crate) was: Name<CircuitState>,
    /// Whether its last failure is more recent than twice its recovery timeout.
    pub(crate) early: bool,
}
