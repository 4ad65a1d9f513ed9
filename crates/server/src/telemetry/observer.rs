//! Counts, measures and logs sessions and requests refused before dispatch.

use super::{
    errors::Errors,
    metrics::{Metrics, transport},
};
use crate::error::ErrorClass;
use mcp::sessions::{Fault, Observer, Refusal, SessionInfo};
use std::sync::Arc;

/// Observes sessions and refusals.
pub(crate) struct SessionObserver {
    pub(crate) errors: Arc<Errors>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Observer for SessionObserver {
    fn refused(&self, refusal: &Refusal<'_>) {
        let Refusal { fault, reason, peer, session } = *refusal;
        let class = class(fault);
        self.errors.record(class, reason);
        if let Some(left_out) = self.errors.is_logged(reason) {
            tracing::warn!(error_class = class.name(), reason, peer, session_id = session, left_out, "refused");
        }
    }

    fn ended(&self, session: &SessionInfo) {
        let error = session.failed.map(|fault| class(fault).name());
        self.metrics.session(session.age, &session.protocol, transport(session.kind), error);
    }
}

pub(crate) fn class(fault: Fault) -> ErrorClass {
    match fault {
        Fault::AuthenticationFailed => ErrorClass::AuthenticationFailed,
        Fault::ProtocolViolation => ErrorClass::ProtocolViolation,
        Fault::SecurityBreach => ErrorClass::SecurityBreach,
        Fault::CorruptedSessionState => ErrorClass::CorruptedSessionState,
        Fault::RateLimitExceeded => ErrorClass::RateLimitExceeded,
        Fault::Overloaded => ErrorClass::TemporaryResourceUnavailable,
        Fault::Invalid => ErrorClass::Other,
    }
}
