//! Changes of repositories, as the journal records them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Changes that run, or the last ones of a repository.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Operations {
    /// The last ones of a repository, newest first; or those that run, oldest first.
    pub(crate) operations: Vec<Operation>,
}

/// A change.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Operation {
    /// Its id.
    pub(crate) id: String,
    /// The tool.
    pub(crate) tool: String,
    /// The folder of the worktree.
    pub(crate) worktree: String,
    /// Who asked for it; empty without authentication.
    pub(crate) principal: String,
    /// `running`, `done`, `failed`, `cancelled`, `interrupted` or `undone`.
    pub(crate) state: String,
    /// The machine that ran it.
    pub(crate) node: String,
    /// The process that ran it.
    pub(crate) pid: i64,
    /// When it began, in milliseconds since 1970.
    pub(crate) started_ms: i64,
    /// When it ended, in milliseconds since 1970; null if it has not.
    pub(crate) ended_ms: Option<i64>,
}
