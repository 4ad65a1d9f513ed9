//! The types of a circuit: its configuration, its state, and the verdicts of calls.

use std::{fmt, sync::Arc, time::Duration};

/// When a circuit opens and how it recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitConfig {
    /// Consecutive failures that open the circuit.
    pub failure_threshold: u32,
    /// How long it stays open before it permits a trial.
    pub recovery_timeout: Duration,
    /// Maximum number of concurrent trials while half-open.
    pub half_open_max_calls: u32,
    /// Also opens it when failures are frequent but not consecutive.
    pub rate: Option<RateRule>,
}

impl Default for CircuitConfig {
    fn default() -> Self {
        Self { failure_threshold: 5, recovery_timeout: Duration::from_secs(30), half_open_max_calls: 3, rate: Some(RateRule::default()) }
    }
}

impl CircuitConfig {
    pub(crate) fn twice_the_timeout(&self) -> Duration {
        self.recovery_timeout.saturating_mul(2)
    }
}

/// Opens a circuit by its failure rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRule {
    /// Failure rate in percent that opens the circuit.
    pub percent: u32,
    /// Minimum number of calls before the rate counts; at least `failure_threshold`, so that raising the threshold makes the
    /// circuit more tolerant.
    pub min_calls: u32,
    /// Length of the sliding window, in twelve slots.
    pub window: Duration,
}

impl Default for RateRule {
    fn default() -> Self {
        Self { percent: 50, min_calls: 5, window: Duration::from_mins(2) }
    }
}

/// The state of a circuit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CircuitState {
    /// All calls pass.
    #[default]
    Closed,
    /// No call passes.
    Open,
    /// A few calls pass, as trials.
    HalfOpen,
}

impl CircuitState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name used in metrics and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the outcome of a call says about the remote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, possibly with a refusal.
    Success,
    /// It did not answer, or it failed.
    Failure,
    /// Nothing, as after a cancellation.
    Ignored,
}

/// The call was not made: earlier calls failed, or the remote asked for a pause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("circuit {}: {name}, next {} in {} s", if *.paused { "paused" } else { "open" }, if *.paused { "call" } else { "trial" }, retry_after.as_millis().div_ceil(1000))]
pub struct Open {
    /// The circuit's name.
    pub name: Arc<str>,
    /// Whether the remote asked for a pause; otherwise calls have failed.
    pub paused: bool,
    /// When to retry.
    pub retry_after: Duration,
}

/// Why [`CircuitBreaker::call`](crate::CircuitBreaker::call) returned no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    /// The call was not made.
    #[error(transparent)]
    Open(#[from] Open),
    /// The call was made and failed.
    #[error(transparent)]
    Failed(E),
}

/// A snapshot of a circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitSnapshot {
    /// The circuit's name.
    pub name: Arc<str>,
    /// The effective state: half-open once the timeout has passed, even without a call since; open while paused.
    pub state: CircuitState,
    /// Failures since the last success.
    pub failure_count: u32,
    /// Configured value.
    pub failure_threshold: u32,
    /// Configured value.
    pub recovery_timeout: Duration,
    /// Configured value.
    pub half_open_max_calls: u32,
    /// Time since the last failure.
    #[doc(alias = "last_failure_time")]
    pub last_failure: Option<Duration>,
    /// Time since it last opened, unless closed.
    pub opened: Option<Duration>,
    /// Time until a call may pass, unless closed.
    pub next_trial: Option<Duration>,
    /// Remaining time of the pause that the remote asked for.
    pub paused: Option<Duration>,
    /// Calls rejected.
    pub rejected: u64,
    /// Calls permitted.
    pub calls: u64,
    /// Number of times it opened.
    pub opened_times: u64,
    /// Trials made by probes.
    pub probes: u64,
    /// Whether twice the timeout has passed without a trial.
    pub is_stuck: bool,
}

/// The outcome of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetOutcome {
    /// The effective state before the reset.
    pub was: CircuitState,
    /// Whether the circuit was not closed, with a failure within twice the timeout.
    pub early: bool,
}
