//! Calls held at a breakpoint.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The held calls of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct HeldCalls {
    /// Oldest first.
    pub(crate) held: Vec<HeldCall>,
    /// Time after which a call is released without a request, in milliseconds.
    pub(crate) limit_ms: u64,
}

/// A held call.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct HeldCall {
    /// Its id, for its release.
    pub(crate) id: String,
    /// The tool.
    pub(crate) tool: String,
    /// Who called it; empty without authentication.
    pub(crate) principal: String,
    /// The session, if any.
    pub(crate) session_id: Option<String>,
    /// The request's id in the protocol.
    pub(crate) request_id: Option<String>,
    /// The client's trace, if it sent one.
    pub(crate) trace_id: Option<String>,
    /// Time since it arrived at the breakpoint, in milliseconds.
    pub(crate) held_ms: u64,
    /// Type and size of each argument, by name; values may be secret.
    pub(crate) arguments: BTreeMap<String, String>,
}

/// Calls that were released.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ReleasedCalls {
    /// Their ids.
    pub(crate) released: Vec<String>,
}
