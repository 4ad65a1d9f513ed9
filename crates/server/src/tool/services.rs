//! What a tool may see of the server besides its repository.

use crate::{journal::Journal, policy::Policy, workspace::Workspaces};

/// What the calls of a server have in common.
pub(crate) struct ToolServices {
    /// What the operator lets changes do.
    pub(crate) policy: Policy,
    /// The worktrees that are known by a handle.
    pub(crate) workspaces: Workspaces,
    /// What changes did.
    pub(crate) journal: Journal,
}
