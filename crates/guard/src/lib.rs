//! Keeps calls within bounds: places to run, fair queues, and one change at a time.
//!
//! Knows neither git nor MCP.

mod admission;
mod exclusive;

pub use admission::{Admission, Class, Permit, Places};
pub use exclusive::{Exclusive, Turn};

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
}
