//! The kinds of errors, as callers see them.

/// What went wrong, from the caller's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The arguments are invalid.
    BadInput,
    /// The thing named does not exist.
    NotFound,
    /// The caller may not do this.
    Denied,
    /// git refused, and nothing is damaged: a conflict, a dirty tree, a hook.
    Refused,
    /// At capacity, or a held lock. Can be retried.
    Busy,
    /// Too many requests, to this server or to a remote.
    RateLimited,
    /// The circuit of a remote or of a repository's storage is open.
    CircuitOpen,
    /// A remote did not answer, or closed the connection.
    Unreachable,
    /// git cannot open the repository, or cannot read part of it.
    Unreadable,
    /// A dependency of the call is temporarily unavailable: a remote with an internal error, a full disk.
    Unavailable,
    /// An expired cursor or handle.
    Stale,
    /// Another principal's handle. The caller gets "not found".
    Foreign,
    /// Repeated use of another principal's handles.
    Breach,
    /// The call ran out of time.
    TimedOut,
    /// The caller cancelled the call.
    Cancelled,
    /// The operator has stopped all operations.
    Stopped,
    /// The operator has cancelled this call.
    Aborted,
    /// A bug in the server, or a failure of the machine.
    Internal,
}

impl Kind {
    /// Whether the call was cancelled or stopped, which says nothing about the server.
    pub(crate) fn is_cancellation(self) -> bool {
        matches!(self, Self::Cancelled | Self::Stopped | Self::Aborted)
    }
}
