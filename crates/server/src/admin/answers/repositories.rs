//! Repositories that a server may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The repositories at and below the roots, and those of calls in flight.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Repositories {
    /// The first 100, by path.
    pub(crate) repositories: Vec<Repository>,
    /// Number of all that were found.
    pub(crate) total: usize,
}

/// A repository.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Repository {
    /// Its worktree, or its git directory if it is bare.
    pub(crate) path: String,
    /// Its git directory.
    pub(crate) git_dir: String,
    /// Whether its hooks and filters run.
    pub(crate) trusted: bool,
    /// Why it cannot be used; null if it can.
    pub(crate) error: Option<String>,
    /// The branch; null if HEAD is detached.
    pub(crate) branch: Option<String>,
    /// The commit of HEAD; null before the first one.
    pub(crate) head: Option<String>,
    /// The operation in progress: `merge`, `rebase`, …
    pub(crate) operation: Option<String>,
    /// Its lock files.
    pub(crate) locks: Vec<Lock>,
    /// Changes in flight.
    pub(crate) changes: Vec<Change>,
}

/// A lock file.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Lock {
    /// Its path, below the git directory.
    pub(crate) file: String,
    /// Its age, in milliseconds.
    pub(crate) age_ms: u64,
    /// Whether no process holds it.
    pub(crate) stale: bool,
}

/// A change in flight.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Change {
    /// The id of its call.
    pub(crate) call: String,
    /// The tool.
    pub(crate) tool: String,
    /// `runs`, or `waits` for a slot, a lock or at a breakpoint.
    pub(crate) state: String,
}

/// What a tool answered.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ToolAnswer {
    /// Its text, as an agent gets it.
    pub(crate) text: String,
    /// The change that was previewed; null after it was undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
}
