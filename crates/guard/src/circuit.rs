//! The words for a circuit: how it is configured, how it is, and what a call says of it.

use std::{fmt, sync::Arc, time::Duration};

/// When a circuit opens and how it recovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitConfig {
    /// Failures in a row that open it.
    pub failure_threshold: u32,
    /// How long it stays open before it lets a trial through.
    pub recovery_timeout: Duration,
    /// Trials that run at a time while it is half-open.
    pub half_open_max_calls: u32,
    /// Opens it also where failures are frequent but not in a row.
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

/// Opens a circuit by the share of calls that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRule {
    /// The share of calls that opens it.
    pub percent: u32,
    /// Calls before the share says anything; the circuit's `failure_threshold` where that is more, so that a circuit made
    /// more tolerant is.
    pub min_calls: u32,
    /// How far back calls count, to a twelfth of it.
    pub window: Duration,
}

impl Default for RateRule {
    fn default() -> Self {
        Self { percent: 50, min_calls: 5, window: Duration::from_mins(2) }
    }
}

/// Whether calls pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CircuitState {
    /// All calls pass.
    #[default]
    Closed,
    /// None passes.
    Open,
    /// A few pass, as trials.
    HalfOpen,
}

impl CircuitState {
    /// The word for it.
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

/// What a call says of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered, be it with a refusal.
    Success,
    /// It did not, or it failed.
    Failure,
    /// Nothing, as after a cancellation.
    Ignored,
}

/// A call was not made, since those before it failed or the remote asked for a pause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("circuit {}: {name}, next {} in {} s", if *.paused { "paused" } else { "open" }, if *.paused { "call" } else { "trial" }, retry_after.as_millis().div_ceil(1000))]
pub struct Open {
    /// The circuit's name.
    pub name: Arc<str>,
    /// The remote asked for a pause; otherwise calls have failed.
    pub paused: bool,
    /// When to try again.
    pub retry_after: Duration,
}

/// Why [`CircuitBreaker::call`](crate::CircuitBreaker::call) has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError<E> {
    /// The call was not made.
    #[error(transparent)]
    Open(#[from] Open),
    /// It was made, and failed.
    #[error(transparent)]
    Failed(E),
}

/// A circuit as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// The effective state: one whose time is up is half-open, though no call has come since, and a paused one is open.
    pub state: CircuitState,
    /// Failures since the last success.
    pub failure_count: u32,
    /// As configured.
    pub failure_threshold: u32,
    /// As configured.
    pub recovery_timeout: Duration,
    /// As configured.
    pub half_open_max_calls: u32,
    /// Time since the last failure.
    #[doc(alias = "last_failure_time")]
    pub last_failure: Option<Duration>,
    /// Time since it opened last, while it is not closed.
    pub opened: Option<Duration>,
    /// Time until a call may pass, while it is not closed.
    pub next_trial: Option<Duration>,
    /// Time left of the pause that the remote asked for.
    pub paused: Option<Duration>,
    /// Calls that were not let through.
    pub rejected: u64,
    /// Calls that were.
    pub calls: u64,
    /// How often it opened.
    pub opened_times: u64,
    /// Trials that no caller asked for.
    pub probes: u64,
    /// Twice the timeout has passed and nothing tried.
    pub is_stuck: bool,
}

/// What was reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetOutcome {
    /// The effective state before.
    pub was: CircuitState,
    /// It was not closed, and twice the timeout had not passed since the last failure.
    pub early: bool,
}
