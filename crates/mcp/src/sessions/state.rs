//! Transports and lifecycle states of sessions.

/// The transport of a session.
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
    /// Every transport.
    pub const ALL: [Self; 3] = [Self::Stdio, Self::Http, Self::WebSocket];

    /// Name of the transport.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdio => "stdio",
            Self::Http => "http",
            Self::WebSocket => "websocket",
        }
    }

    /// Whether a client must answer a ping on each heartbeat. Not over HTTP, where it cannot be pinged, nor over stdio,
    /// where the end of input is detected.
    pub fn owes_beats(self) -> bool {
        self == Self::WebSocket
    }
}

/// Lifecycle state of a session: created → active ⇄ paused → closing → closed, and error in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// The handshake is not done.
    Created,
    /// The client is active.
    Active,
    /// The client has missed too many heartbeats and cannot be pinged.
    Paused,
    /// The client committed a fault that ends the session.
    Error,
    /// It is being closed.
    Closing,
    /// It is closed.
    Closed,
}

impl SessionState {
    /// Every state.
    pub const ALL: [Self; 6] = [Self::Created, Self::Active, Self::Paused, Self::Error, Self::Closing, Self::Closed];

    /// Name of the state.
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

    /// Whether one state may follow the other.
    pub(crate) fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::Created | Self::Paused, Self::Active) | (Self::Active, Self::Paused) | (Self::Closing, Self::Closed) => true,
            (from, Self::Error) => matches!(from, Self::Created | Self::Active | Self::Paused),
            (from, Self::Closing) => matches!(from, Self::Created | Self::Active | Self::Paused | Self::Error),
            _ => false,
        }
    }
}
