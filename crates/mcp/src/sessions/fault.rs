//! Protocol faults, and the refusals that report them.

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
