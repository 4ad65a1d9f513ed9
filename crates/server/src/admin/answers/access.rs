//! Who asks, and what they may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who asks.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Access {
    /// The principal.
    pub(crate) principal: String,
    /// The scopes of its token.
    pub(crate) scopes: Vec<String>,
    /// Whether it may act, and not only read.
    pub(crate) can_change: bool,
    /// The server's version.
    pub(crate) version: String,
    /// The server's process ID.
    pub(crate) pid: u32,
}

/// A ticket for the admin API over HTTP.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Ticket {
    /// The ticket, which is sent like a token.
    pub(crate) ticket: String,
    /// The time until it expires, in milliseconds.
    pub(crate) expires_ms: u64,
    /// The address of the server, `http://HOST:PORT`; null if it only listens on a socket.
    pub(crate) address: Option<String>,
}
