//! What went wrong, as the caller should understand it.

/// What went wrong, as the caller should understand it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The arguments cannot be used.
    BadInput,
    /// The thing named does not exist.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// git refused, and nothing was broken: a conflict, a dirty tree, a hook.
    Refused,
    /// Too much at once, or locked by another. Worth another try.
    Busy,
    /// The server is asked more often than allowed, or a remote says that it is.
    RateLimited,
    /// A remote is known to be down, or a repository's storage.
    CircuitOpen,
    /// A remote did not answer, or broke off.
    Unreachable,
    /// git does not open the repository, or cannot read something of it.
    Unreadable,
    /// Something that the call needs does not work just now: a remote with an error of its own, a full disk.
    Unavailable,
    /// An expired cursor or handle.
    Stale,
    /// A handle of somebody else. The caller is told that there is none.
    Foreign,
    /// The same again and again.
    Breach,
    /// The call ran out of time.
    TimedOut,
    /// The caller gave up.
    Cancelled,
    /// The operator has stopped all operations.
    Stopped,
    /// Our fault, or the machine's.
    Internal,
}

impl Kind {
    /// True for what says nothing of the server: somebody did not want the call any more.
    pub(crate) fn is_given_up(self) -> bool {
        matches!(self, Self::Cancelled | Self::Stopped)
    }
}
