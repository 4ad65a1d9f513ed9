//! What is shown of a session, and what is persisted.

use super::{Fault, Kind, SessionState};
use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

/// Information about a session.
#[doc(alias = "Session")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Session id, assigned by the server.
    #[doc(alias = "session_id")]
    pub id: String,
    /// The transport.
    pub kind: Kind,
    /// The principal; empty without authentication.
    pub principal: String,
    /// The client's name and version.
    pub client: String,
    /// The negotiated protocol revision.
    pub protocol: String,
    /// Lifecycle state.
    pub state: SessionState,
    /// Time since it was opened, or taken over by this process.
    pub age: Duration,
    /// Time since the last client activity.
    #[doc(alias = "idle_time")]
    pub idle: Duration,
    /// Heartbeats missed since then.
    pub missed: u32,
    /// Open requests, calls and streams.
    pub in_flight: usize,
    /// Number of requests so far.
    pub requests: u64,
    /// Faulty messages since the last valid one.
    pub faults: u64,
    /// The fault it was closed for.
    pub failed: Option<Fault>,
}

impl SessionInfo {
    /// Whether its client is active.
    pub fn is_active(&self) -> bool {
        self.state == SessionState::Active
    }
}

/// The persisted part of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// Session id.
    pub id: String,
    /// The principal; empty without authentication.
    pub principal: String,
    /// The client's name and version.
    pub client: String,
    /// The negotiated protocol revision.
    pub protocol: String,
    /// The client's `initialize` parameters, as JSON.
    pub params: String,
    /// Time of creation.
    pub created: SystemTime,
}

/// Last activity of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionActivity {
    /// Session id.
    pub id: String,
    /// Lifecycle state.
    pub state: SessionState,
    /// Time since the last client activity.
    pub idle: Duration,
    /// Heartbeats missed since then.
    pub missed: u32,
}

/// Persists sessions across processes.
#[async_trait::async_trait]
pub trait Keeper: Send + Sync + 'static {
    /// Stores a session. Returns once it is stored; a failure is not reported, as the session continues in memory.
    async fn keep(&self, session: SessionRecord);
    /// Loads the session with this id.
    async fn load(&self, id: &str) -> Option<SessionRecord>;
    /// Forgets a session. Once this returns the session is no longer loaded, whenever the store executes it. Other
    /// servers may have recorded client activity meanwhile: `unless_since` spares a session active after this time.
    ///
    /// The future ends when the session is deleted, or cannot be.
    fn forget(&self, id: &str, unless_since: Option<SystemTime>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
