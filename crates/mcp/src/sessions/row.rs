//! Public views of sessions.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

/// The transport of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Standard input and output.
    Stdio,
    /// HTTP, of a revision before 2026-07-28.
    Http,
    /// A WebSocket.
    WebSocket,
}

impl Kind {
    /// Name of the transport.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }

    /// Whether a client must answer a ping on each heartbeat. Not over HTTP, where it cannot be pinged, nor over stdio,
    /// where the end of input is detected.
    pub fn owes_beats(self) -> bool {
        self == Self::WebSocket
    }
}

/// Lifecycle state of a session: created → active ⇄ paused → closing → closed, and error in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The handshake is not done.
    Created,
    /// The client is active.
    Active,
    /// The client has missed too many heartbeats and cannot be pinged.
    Paused,
    /// The client committed a fault that ends the session.
    Error,
    /// It is being closed.
    Closing,
    /// It is closed.
    Closed,
}

impl SessionState {
    /// Name of the state.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::Closing => "closing",
            Self::Closed => "closed",
        }
    }

    /// Whether one state may follow the other.
    pub(crate) fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Created | Self::Paused, Self::Active) | (Self::Active, Self::Paused) | (Self::Closing, Self::Closed) => true,
            (from, Self::Error) => matches!(from, Self::Created | Self::Active | Self::Paused),
            (from, Self::Closing) => matches!(from, Self::Created | Self::Active | Self::Paused | Self::Error),
            _ => false,
        }
    }
}

/// Information about a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// Session id, assigned by the server.
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

/// A protocol fault detected before dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A request without a valid token.
    AuthenticationFailed,
    /// Repeated protocol violations.
    ProtocolViolation,
    /// Forged states, or use of another principal's handles.
    SecurityBreach,
    /// A persisted session that can no longer be read.
    CorruptedSessionState,
    /// Too many requests per second.
    RateLimitExceeded,
    /// The server is at capacity.
    Overloaded,
    /// An invalid message.
    Invalid,
}

impl Fault {
    /// Name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::AuthenticationFailed => "authentication_failed",
            Self::ProtocolViolation => "protocol_violation",
            Self::SecurityBreach => "security_breach",
            Self::CorruptedSessionState => "corrupted_session_state",
            Self::RateLimitExceeded => "rate_limit_exceeded",
            Self::Overloaded => "temporary_resource_unavailable",
            Self::Invalid => "other",
        }
    }
}

/// A request that was refused before dispatch.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// Kind of fault.
    pub fault: Fault,
    /// Reason, as one word of a closed set.
    pub reason: &'static str,
    /// The client's address, if known.
    pub peer: Option<&'a str>,
    /// The session on which it happened.
    pub session: Option<&'a str>,
}

impl Refusal<'_> {
    /// A refusal without peer or session.
    pub fn new(fault: Fault, reason: &'static str) -> Self {
        Self { fault, reason, peer: None, session: None }
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
