//! The one error that every tool call ends in. What to do about git's own is in `advice.rs`.

mod access;
mod advice;
mod class;
mod kind;

pub use class::{ErrorClass, UnknownClass};
use guard::Rejected;
pub use kind::Kind;
use std::{fmt, time::Duration};

/// What to do about a read that takes too long.
const ASK_FOR_LESS: &str = "Ask for less: fewer commits, a path, a range of lines.";

/// A failed tool call.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// What the caller should understand.
    pub kind: Kind,
    /// For the caller. No secrets, no paths that the caller did not name.
    pub message: String,
    /// What to try next.
    pub hint: Option<String>,
    /// When another try is worthwhile.
    pub retry_after: Option<Duration>,
    /// True when the call is made if somebody confirms it.
    pub asks: bool,
    #[source]
    source: Option<Box<git::Error>>,
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
    /// Creates an error of `kind`.
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, retry_after: None, asks: false, source: None }
    }

    /// So much memory is in use that new calls are refused.
    pub(crate) fn out_of_memory() -> Self {
        let error =
            Self::new(Kind::Unavailable, "the memory limit of the server is reached").hint("Try again later, with fewer calls at a time.");
        Self { retry_after: Some(Duration::from_secs(5)), ..error }
    }

    /// The operator drains the server.
    pub(crate) fn draining() -> Self {
        Self::new(Kind::Unavailable, "the server is draining and takes no new calls").hint("Try again later.")
    }

    /// The operator has stopped all operations, as in an emergency.
    pub(crate) fn stopped() -> Self {
        let hint = "Repeat the call. For a change look at git_status first.";
        Self { retry_after: Some(Duration::from_secs(1)), ..Self::new(Kind::Stopped, "the operator has stopped all operations") }.hint(hint)
    }

    /// Says what the caller can try next.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Asks for the call to be confirmed.
    #[must_use]
    pub(crate) fn asks(mut self) -> Self {
        self.asks = true;
        self.hint("Repeat the call with `confirm`: true if that is meant.")
    }

    /// A word for the kind, stable for programs.
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
            Kind::Internal => "internal",
        }
    }

    /// When another try is worthwhile: as a rule of thumb where nobody has said, and never for what is not recoverable.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let rule = match ErrorClass::from(self.kind) {
            ErrorClass::NetworkTimeout | ErrorClass::RateLimitExceeded => Duration::from_secs(5),
            ErrorClass::TemporaryResourceUnavailable => Duration::from_secs(2),
            // At once, as the hint says.
            ErrorClass::TransientValidationError => Duration::ZERO,
            _ => return self.retry_after,
        };
        Some(self.retry_after.unwrap_or(rule))
    }

    /// True when the same call may succeed later.
    pub(crate) fn is_recoverable(&self) -> bool {
        ErrorClass::from(self.kind).is_recoverable()
    }
}

impl Error {
    /// The class that it counts in.
    pub fn class(&self) -> ErrorClass {
        self.kind.into()
    }

    /// The objects for want of which the call has failed, and the remote that has them.
    pub(crate) fn promised(&self) -> Option<(&[git::ObjectId], &str)> {
        match self.cause() {
            Some(git::Error::Promised { missing, remote }) => Some((missing, remote)),
            _ => None,
        }
    }

    /// The same of a change: where its time was up before it had begun, there is nothing to ask less of.
    pub(crate) fn of_a_change(self) -> Self {
        let is_unbegun = self.kind == Kind::TimedOut && self.hint.as_deref() == Some(ASK_FOR_LESS);
        if is_unbegun { self.hint("Nothing was changed: it was not its turn yet. Repeat the call.") } else { self }
    }

    /// What went wrong in git.
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
                "Try again later. The operator checks the file systems that the repositories are on, and sees with \
                 `mcp-server-git status` how many threads are lost.",
                retry_after,
            ),
        };
        let mut error = Self::new(kind, format!("the server is overloaded: {why}")).hint(hint);
        error.retry_after = Some(retry_after);
        error
    }
}
