//! Load protection: concurrency limits, fair queues, exclusive turns, circuit breakers and threads that hang.
//!
//! Depends on neither git nor MCP.

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

/// Why a call was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The queue is full.
    #[error("too many calls are waiting")]
    Overloaded {
        /// When to retry.
        retry_after: Duration,
    },
    /// No permit became free in time.
    #[error("waited {0:?} for a free slot")]
    WaitedTooLong(Duration),
    /// Too many threads still run calls that were already answered.
    #[error("too many threads of earlier calls are stuck")]
    LostThreads {
        /// When to retry.
        retry_after: Duration,
    },
}
