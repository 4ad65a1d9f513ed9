//! The server's services for tools.

use crate::{journal::Journal, policy::Policy, workspace::Workspaces};

/// Services shared by all calls.
pub(crate) struct ToolServices {
    /// The operator's policy for changes.
    pub(crate) policy: Policy,
    /// The workspaces, by handle.
    pub(crate) workspaces: Workspaces,
    /// The journal of changes.
    pub(crate) journal: Journal,
}
