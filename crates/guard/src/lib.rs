//! Keeps calls within bounds: places to run, fair queues, one change at a time, and threads that do not end.
//!
//! Knows neither git nor MCP.

mod admission;
mod breaker;
mod circuit;
mod circuits;
mod exclusive;
pub mod heap;
pub mod memory;
mod resources;
mod state;
mod supervised;
mod threads;
mod windows;

pub use admission::{Admission, Class, ConcurrencyLimits, Load, Permit};
pub use breaker::{CircuitBreaker, Permission};
pub use circuit::{CallError, CircuitConfig, CircuitSnapshot, CircuitState, Open, RateRule, ResetOutcome, Verdict};
pub use circuits::Circuits;
pub use exclusive::{Exclusive, Queued, Turn};
pub use resources::{ResourceError, ResourceGuard, ResourceInfo, Resources};
pub use supervised::Supervised;
pub use threads::{Job, Lost, Running, Threads};
pub use windows::{Burn, ErrorWindows};

use std::time::Duration;

/// Why a call was not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Too many calls are waiting already.
    #[error("too many calls are waiting")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// No place became free in time.
    #[error("waited {0:?} for a free place")]
    WaitedTooLong(Duration),
    /// Too many threads run for calls that were answered without them.
    #[error("too many threads of earlier calls do not end")]
    LostThreads {
        /// When to try again.
        retry_after: Duration,
    },
}
