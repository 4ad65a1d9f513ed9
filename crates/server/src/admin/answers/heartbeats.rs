//! Heartbeats of sessions.

use super::name::Name;
use mcp::sessions::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The heartbeat task and the sessions that it watches.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Heartbeats {
    /// Whether the task runs.
    pub(crate) running: bool,
    /// Number of times that it was restarted.
    pub(crate) restarts: u64,
    /// Time since it last ran, in milliseconds; null if never.
    pub(crate) last_tick_ms: Option<u64>,
    /// Time between heartbeats, in milliseconds.
    pub(crate) interval_ms: u64,
    /// Number of missed heartbeats after which a session is closed or paused.
    pub(crate) missed_threshold: u32,
    /// The sessions.
    pub(crate) sessions: Vec<Heartbeat>,
}

/// A session as its heartbeats show it.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Heartbeat {
    /// The session's id.
    pub(crate) id: String,
    /// Its transport.
    pub(crate) kind: Name<Kind>,
    /// Whether its client must answer pings.
    pub(crate) owes_beats: bool,
    /// Time since the client was last active, in milliseconds.
    pub(crate) since_ms: u64,
    /// Heartbeats without an answer since then.
    pub(crate) missed: u32,
    /// Whether an answer is due for longer than one interval.
    pub(crate) late: bool,
}
