//! Limits of the sessions.

use std::time::Duration;

/// Limits of the sessions.
#[derive(Clone, Copy, Debug)]
#[doc(alias = "MemoryAwareSessionManager")]
pub struct SessionLimits {
    /// Maximum number of sessions.
    pub max: usize,
    /// Number of sessions closed at once to make room.
    pub evict_batch: usize,
    /// Idle timeout.
    pub idle: Duration,
    /// Heartbeat interval.
    pub heartbeat: Duration,
    /// Maximum number of missed heartbeats.
    pub missed: u32,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { max: 1000, evict_batch: 100, idle: Duration::from_hours(1), heartbeat: Duration::from_secs(30), missed: 3 }
    }
}
