//! The error type of tool calls. What it says for git's errors is in `advice/`.

mod advice;
mod class;
mod kind;
mod reason;

pub(crate) use advice::hint;
pub use class::{ErrorClass, UnknownClass};
use guard::Rejected;
pub use kind::Kind;
use std::{borrow::Cow, fmt, time::Duration};

/// Hint for a read that takes too long.
const ASK_FOR_LESS: &str = "Ask for less: fewer commits, a path, a range of lines.";

/// A failed tool call.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// The kind of error.
    pub kind: Kind,
    /// For the caller. No secrets, no paths that the caller did not name.
    pub message: String,
    /// What to try next.
    pub hint: Option<String>,
    /// When to retry.
    pub retry_after: Option<Duration>,
    /// Whether the call succeeds once confirmed.
    pub asks: bool,
    #[source]
    source: Option<Box<git::Error>>,
    /// The message as far as it may be logged: without values of arguments.
    reason: Option<Cow<'static, str>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Creates an error of `kind`. A constant message quotes no argument, and may be logged.
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let reason = if let Cow::Borrowed(text) = message { Some(Cow::Borrowed(text)) } else { None };
        Self { kind, message: message.into_owned(), hint: None, retry_after: None, asks: false, source: None, reason }
    }

    /// Marks a message that quotes no values of arguments as one that may be logged.
    #[must_use]
    pub(crate) fn loggable(mut self) -> Self {
        self.reason = Some(self.message.clone().into());
        self
    }

    /// Sets what is logged instead of a message that quotes values of arguments.
    #[must_use]
    pub(crate) fn logged_as(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Why arguments are invalid, for the log.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref().filter(|_| self.kind == Kind::BadInput)
    }

    /// New calls are rejected because memory is short.
    pub(crate) fn out_of_memory() -> Self {
        let error =
            Self::new(Kind::Unavailable, "the server has reached its memory limit").hint("Try again later, with fewer calls at a time.");
        Self { retry_after: Some(Duration::from_secs(5)), ..error }
    }

    /// The operator drains the server.
    pub(crate) fn draining() -> Self {
        Self::new(Kind::Unavailable, "the server is draining and accepts no new calls").hint("Try again later.")
    }

    /// The operator has cancelled this call alone.
    pub(crate) fn cancelled_by_operator() -> Self {
        let hint = "Do not repeat it before the user agrees. For a change, check git_status first.";
        Self::new(Kind::Aborted, "the operator has cancelled the call").hint(hint)
    }

    /// The operator has stopped all operations, as in an emergency.
    pub(crate) fn stopped() -> Self {
        let hint = "Repeat the call. For a change, check git_status first.";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Kind::Stopped, "the operator has stopped all operations") }.hint(hint)
    }

    /// Sets the hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Requires confirmation of the call.
    #[must_use]
    pub(crate) fn asks(mut self) -> Self {
        self.asks = true;
        self.hint("Repeat the call with `confirm`: true if that is intended.")
    }

    /// A stable name of the kind, for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self.kind {
            Kind::BadInput => "bad_input",
            Kind::NotFound | Kind::Foreign | Kind::Breach => "not_found",
            Kind::Denied => "denied",
            Kind::Refused => "refused",
            Kind::Busy => "overloaded",
            Kind::RateLimited => "rate_limited",
            Kind::CircuitOpen => "circuit_open",
            Kind::Unreachable => "unreachable",
            Kind::Unreadable => "unreadable",
            Kind::Unavailable => "unavailable",
            Kind::Stale => "stale",
            Kind::TimedOut => "timed_out",
            Kind::Cancelled => "cancelled",
            Kind::Stopped => "stopped",
            Kind::Aborted => "aborted",
            Kind::Internal => "internal",
        }
    }

    /// Delay before a retry. Recoverable errors have a default, others only an explicit delay.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let rule = match ErrorClass::from(self.kind) {
            ErrorClass::NetworkTimeout | ErrorClass::RateLimitExceeded => Duration::from_secs(5),
            ErrorClass::TemporaryResourceUnavailable => Duration::from_secs(2),
            // The hint suggests an immediate retry.
            ErrorClass::TransientValidationError => Duration::ZERO,
            ErrorClass::AuthenticationFailed
            | ErrorClass::ProtocolViolation
            | ErrorClass::SecurityBreach
            | ErrorClass::CorruptedSessionState
            | ErrorClass::Other => return self.retry_after,
        };
        Some(self.retry_after.unwrap_or(rule))
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_recoverable(&self) -> bool {
        ErrorClass::from(self.kind).is_recoverable()
    }
}

impl Error {
    /// The class of the error, for statistics.
    pub fn class(&self) -> ErrorClass {
        self.kind.into()
    }

    /// The missing objects that made the call fail, and the remote that has them.
    pub(crate) fn promised(&self) -> Option<(&[git::ObjectId], &str)> {
        let Some(git::Error::Promised { missing, remote }) = self.cause() else { return None };
        Some((missing, remote))
    }

    /// Adapts the error to a change: if it timed out before it started, asking for less does not help.
    pub(crate) fn for_change(self) -> Self {
        let is_unstarted = self.kind == Kind::TimedOut && self.hint.as_deref() == Some(ASK_FOR_LESS);
        if is_unstarted { self.hint("Nothing was changed: the call was still queued. Repeat the call.") } else { self }
    }

    /// The underlying git error.
    pub(crate) fn cause(&self) -> Option<&git::Error> {
        self.source.as_deref()
    }

    pub(crate) fn because(mut self, source: git::Error) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl From<Rejected> for Error {
    fn from(why: Rejected) -> Self {
        let (kind, hint, retry_after) = match why {
            Rejected::Overloaded { retry_after } => (Kind::Busy, "Try again later, with fewer calls at a time.", retry_after),
            Rejected::WaitedTooLong(_) => (Kind::Busy, "Try again later, with fewer calls at a time.", Duration::from_secs(5)),
            Rejected::LostThreads { retry_after } => (
                Kind::Unavailable,
                "Try again later. Ask the operator to check the file systems of the repositories; `mcp-server-git status` shows \
                 how many threads are lost.",
                retry_after,
            ),
        };
        let mut error = Self::new(kind, format!("the server is overloaded: {why}")).hint(hint);
        error.retry_after = Some(retry_after);
        error
    }
}
