//! Why sessions are closed.

use super::Fault;

/// Why a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// The client was idle for longer than `sessions.idle`.
    Idle,
    /// Closed to make room for another session, or by the operator to free capacity.
    Evicted,
    /// The client did not answer pings.
    Unanswered,
    /// The operator closed it.
    Operator,
    /// The token was removed or lost scopes.
    Revoked,
    /// Emergency recovery of the server.
    Recovery,
    /// The client committed a fault that ends its session.
    Failed(Fault),
}

impl Ending {
    /// The reason given to the client.
    pub fn text(self) -> &'static str {
        match self {
            Self::Idle => "session expired: it was idle for too long",
            Self::Evicted => "session limit reached: closed to make room",
            Self::Unanswered => "no answer to pings",
            Self::Operator => "the operator closed the session",
            Self::Revoked => "the token was revoked",
            Self::Recovery => "the server is recovering",
            Self::Failed(Fault::ProtocolViolation) => "too many faulty messages",
            Self::Failed(Fault::SecurityBreach) => "repeated use of forged states or other principals' handles",
            Self::Failed(Fault::CorruptedSessionState) => "the saved session state is corrupted",
            Self::Failed(_) => "a critical error",
        }
    }

    /// Name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Evicted => "evicted",
            Self::Unanswered => "unanswered_pings",
            Self::Operator => "operator",
            Self::Revoked => "revoked",
            Self::Recovery => "recovery",
            Self::Failed(fault) => fault.name(),
        }
    }

    /// WebSocket close code: RFC 6455, section 7.4.1, and the IANA registry.
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Self::Idle | Self::Operator => 1001,
            Self::Evicted => 1013,
            // The usual code for a ping timeout.
            Self::Unanswered => 1011,
            Self::Recovery => 1012,
            Self::Failed(Fault::ProtocolViolation) => 1002,
            Self::Revoked | Self::Failed(_) => 1008,
        }
    }
}
