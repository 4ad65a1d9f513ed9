//! Why sessions are closed.

use super::Fault;

/// Why a session is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// Its client was silent for longer than `sessions.idle`.
    Idle,
    /// Another session needed the place, or the operator asked for room.
    Evicted,
    /// Its client did not answer pings.
    Unanswered,
    /// The operator closed it.
    Operator,
    /// Its token was removed, or has fewer scopes than before.
    Revoked,
    /// The server recovers in an emergency.
    Recovery,
    /// Its client has broken a rule that ends it.
    Failed(Fault),
}

impl Ending {
    /// What its client is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Idle => "session expired: it was idle for too long",
            Self::Evicted => "session limit reached: closed to make room",
            Self::Unanswered => "no answer to pings",
            Self::Operator => "the operator closed the session",
            Self::Revoked => "the token was revoked",
            Self::Recovery => "the server recovers",
            Self::Failed(Fault::ProtocolViolation) => "too many faulty messages",
            Self::Failed(Fault::SecurityBreach) => "forged states or handles of others were used repeatedly",
            Self::Failed(Fault::CorruptedSessionState) => "the saved session state is corrupted",
            Self::Failed(_) => "a critical error",
        }
    }

    /// The word for it, by which it is counted.
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

    /// The code that closes a WebSocket: RFC 6455, section 7.4.1, and the registry of IANA.
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Self::Idle | Self::Operator => 1001,
            Self::Evicted => 1013,
            // As other servers close where a ping times out.
            Self::Unanswered => 1011,
            Self::Recovery => 1012,
            Self::Failed(Fault::ProtocolViolation) => 1002,
            Self::Revoked | Self::Failed(_) => 1008,
        }
    }
}
