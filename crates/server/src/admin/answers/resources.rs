//! Resources that a server holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The resources of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Resources {
    /// Everything held, oldest first.
    pub(crate) resources: Vec<Resource>,
}

/// A resource: a child process, a lock, a temporary file.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Resource {
    /// Its id.
    pub(crate) id: String,
    /// What it is.
    pub(crate) kind: String,
    /// A description for people.
    pub(crate) detail: String,
    /// Time since it was acquired, in milliseconds.
    pub(crate) age_ms: u64,
    /// Whether it is in use.
    pub(crate) in_flight: bool,
    /// Whether it can be released by hand.
    pub(crate) can_be_released: bool,
}

/// A resource that was released by hand.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Released {
    /// Its id.
    pub(crate) released: String,
}

/// Resources that were released because of their age.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Reaped {
    /// Their number, with partial clones and idle sessions of other servers.
    pub(crate) reaped: usize,
    /// The first of them: folders of partial clones, then resources, then sessions.
    pub(crate) first: Vec<ReapedOne>,
}

/// A resource, a partial clone or a session that was reaped.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ReapedOne {
    /// `clone`, `session`, or the kind of the resource.
    pub(crate) kind: String,
    /// The folder, the session's id, or the description of the resource.
    pub(crate) name: String,
}
