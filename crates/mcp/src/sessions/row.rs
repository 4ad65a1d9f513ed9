//! What is said of a session to those outside.

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

/// What carries a session.
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
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }

    /// True where a client has to answer a ping of each beat. The others owe nothing: over HTTP they cannot be asked, and the
    /// end of standard input is heard.
    pub fn owes_beats(self) -> bool {
        self == Self::WebSocket
    }
}

/// Where a session is in its life: created → active ⇄ paused → closing → closed, and error on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The handshake is not done.
    Created,
    /// Its client is heard.
    Active,
    /// Its client has not been heard for too many beats, and cannot be asked.
    Paused,
    /// It has broken a rule that ends it.
    Error,
    /// It is being closed.
    Closing,
    /// It is closed.
    Closed,
}

impl SessionState {
    /// The word for it.
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

    /// True where one state may follow the other.
    pub(crate) fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Created | Self::Paused, Self::Active) | (Self::Active, Self::Paused) | (Self::Closing, Self::Closed) => true,
            (from, Self::Error) => matches!(from, Self::Created | Self::Active | Self::Paused),
            (from, Self::Closing) => matches!(from, Self::Created | Self::Active | Self::Paused | Self::Error),
            _ => false,
        }
    }
}

/// A session, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The id that the server has given it.
    pub id: String,
    /// What carries it.
    pub kind: Kind,
    /// Whose it is; empty where nobody has to say.
    pub principal: String,
    /// What the client calls itself.
    pub client: String,
    /// The revision that was agreed on.
    pub protocol: String,
    /// Where it is in its life.
    pub state: SessionState,
    /// Since it was opened, or taken over by this process.
    pub age: Duration,
    /// Since its client was last heard.
    #[doc(alias = "idle_time")]
    pub idle: Duration,
    /// Beats since then.
    pub missed: u32,
    /// Requests, calls and streams that are open.
    pub in_flight: usize,
    /// Requests so far.
    pub requests: u64,
    /// Faulty messages since the last good one.
    pub faults: u64,
    /// What it was closed for.
    pub failed: Option<Fault>,
}

impl SessionInfo {
    /// True while its client is heard.
    pub fn is_active(&self) -> bool {
        self.state == SessionState::Active
    }
}

/// What goes wrong before a call is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Somebody without a good token.
    AuthenticationFailed,
    /// Somebody who breaks the rules of the protocol, again and again.
    ProtocolViolation,
    /// Somebody who forges, or takes what is another's.
    SecurityBreach,
    /// A session that was kept and cannot be understood any more.
    CorruptedSessionState,
    /// Somebody who asks more often than allowed.
    RateLimitExceeded,
    /// More than there is room for.
    Overloaded,
    /// A message that does not pass.
    Invalid,
}

impl Fault {
    /// The word for it.
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

/// Something that was refused before a call was one.
#[derive(Clone, Copy, Debug)]
pub struct Refusal<'a> {
    /// What kind of thing.
    pub fault: Fault,
    /// What exactly, in one word of a closed set.
    pub reason: &'static str,
    /// The address that it came from, where it is known.
    pub peer: Option<&'a str>,
    /// The session on which it happened.
    pub session: Option<&'a str>,
}

impl Refusal<'_> {
    /// A refusal of nobody in particular.
    pub fn new(fault: Fault, reason: &'static str) -> Self {
        Self { fault, reason, peer: None, session: None }
    }
}

/// What is kept of a session, so that it outlives the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The id.
    pub id: String,
    /// Whose it is; empty where nobody has to say.
    pub principal: String,
    /// What the client calls itself.
    pub client: String,
    /// The revision that was agreed on.
    pub protocol: String,
    /// What the client said when it opened the session, as JSON.
    pub params: String,
    /// When that was.
    pub created: SystemTime,
}

/// When a session was last heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionActivity {
    /// The session.
    pub id: String,
    /// Where it is in its life.
    pub state: SessionState,
    /// Since its client was last heard.
    pub idle: Duration,
    /// Beats since then.
    pub missed: u32,
}

/// Keeps sessions for the process that comes after this one.
#[async_trait::async_trait]
pub trait Keeper: Send + Sync + 'static {
    /// Stores a session. Returns when it is stored, or could not be: the server continues without.
    async fn keep(&self, session: SessionRecord);
    /// What was kept under this id.
    async fn load(&self, id: &str) -> Option<SessionRecord>;
    /// Forgets a session. From the return on it is not given out any more, whenever what keeps it hears of that. Other servers
    /// may have heard its client meanwhile: `unless_since` spares one that was heard after this time.
    ///
    /// The future ends when that has happened, or cannot happen now.
    fn forget(&self, id: &str, unless_since: Option<SystemTime>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
