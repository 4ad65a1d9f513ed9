//! Error classes: what a failure means for the session, for retries and for statistics.

use super::kind::Kind;
use crate::named::named;
use std::str::FromStr;

named! {
    /// An error class. The first four are critical; the next four can be retried.
    #[derive(PartialOrd, Ord, Hash)]
    pub enum ErrorClass {
        /// A missing or invalid token.
        AuthenticationFailed = "authentication_failed",
        /// Repeated protocol violations by a client.
        ProtocolViolation = "protocol_violation",
        /// Repeated use of forged or replayed state, or of another principal's handles.
        SecurityBreach = "security_breach",
        /// A persisted session that cannot be restored.
        CorruptedSessionState = "corrupted_session_state",
        /// A remote that did not answer in time, or not at all.
        NetworkTimeout = "network_timeout",
        /// At capacity, a held lock, an open circuit, a full disk.
        TemporaryResourceUnavailable = "temporary_resource_unavailable",
        /// Too many requests, to this server or to a remote.
        RateLimitExceeded = "rate_limit_exceeded",
        /// An expired cursor or handle.
        TransientValidationError = "transient_validation_error",
        /// Everything else: mostly invalid calls.
        Other = "other",
    }
}

/// An unknown class name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown error class")]
pub struct UnknownClass;

impl ErrorClass {
    /// Whether it ends its session. A failed login ends none: it refuses its request.
    #[doc(alias = "is_critical_error")]
    pub fn is_critical(self) -> bool {
        match self {
            Self::AuthenticationFailed | Self::ProtocolViolation | Self::SecurityBreach | Self::CorruptedSessionState => true,
            Self::NetworkTimeout
            | Self::TemporaryResourceUnavailable
            | Self::RateLimitExceeded
            | Self::TransientValidationError
            | Self::Other => false,
        }
    }

    /// Whether the same call may succeed later.
    #[doc(alias = "should_retry")]
    pub fn is_recoverable(self) -> bool {
        !self.is_critical() && self != Self::Other
    }
}

impl FromStr for ErrorClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or(UnknownClass)
    }
}

impl From<Kind> for ErrorClass {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Unreachable => Self::NetworkTimeout,
            Kind::Busy | Kind::CircuitOpen | Kind::TimedOut | Kind::Unavailable | Kind::Stopped => Self::TemporaryResourceUnavailable,
            Kind::RateLimited => Self::RateLimitExceeded,
            Kind::Stale => Self::TransientValidationError,
            Kind::Breach => Self::SecurityBreach,
            Kind::BadInput
            | Kind::NotFound
            | Kind::Foreign
            | Kind::Denied
            | Kind::Refused
            | Kind::Unreadable
            | Kind::Cancelled
            | Kind::Aborted
            | Kind::Internal => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_critical_recoverable_or_other() {
        let named =
            |is: fn(ErrorClass) -> bool| ErrorClass::ALL.into_iter().filter(|class| is(*class)).map(ErrorClass::name).collect::<Vec<_>>();
        assert_eq!(
            named(ErrorClass::is_critical),
            ["authentication_failed", "protocol_violation", "security_breach", "corrupted_session_state"]
        );
        assert_eq!(
            named(ErrorClass::is_recoverable),
            ["network_timeout", "temporary_resource_unavailable", "rate_limit_exceeded", "transient_validation_error"]
        );
        for class in ErrorClass::ALL {
            assert_eq!(class.name().parse(), Ok(class));
        }
        assert_eq!("timeout".parse::<ErrorClass>(), Err(UnknownClass));
    }
}
