//! Log records and levels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The last log records.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Logs {
    /// The records that were asked for, oldest first.
    pub(crate) records: Vec<Record>,
    /// The number of the newest record of all, for `after` in the next request.
    pub(crate) last: u64,
}

/// A log record.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Record {
    /// When it was logged: RFC 3339, in UTC.
    pub(crate) timestamp: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub(crate) level: String,
    /// The module that logged it.
    pub(crate) target: String,
    /// What happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    /// More about it, by name.
    #[serde(flatten)]
    pub(crate) fields: Map<String, Value>,
}

/// The log levels.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Level {
    /// A level, or directives such as `warn,session=debug`.
    pub(crate) level: String,
    /// The components that directives may name.
    pub(crate) components: Vec<String>,
}

/// Log levels that were changed.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ChangedLevel {
    /// The directives before.
    pub(crate) before: String,
    /// The directives now.
    pub(crate) level: String,
}
