//! The operator's policy, apart from the allowed roots.

use crate::{
    process::sandbox::Sandbox,
    repo::{
        reachable::{Network, TransferGate},
        roots::Roots,
    },
};
use std::sync::Arc;

/// Which repositories' programs changes may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Repositories that the operator named.
    #[default]
    Owner,
    /// No repository: not even a named repository's hooks and filters run.
    Untrusted,
}

/// Whether commits and annotated tags are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// As configured in the operator's git.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always: fails if signing fails.
    Require,
}

/// Which programs changes may run and which remotes they may contact.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which repositories' programs run.
    pub trust: Trust,
    /// Whether the hooks of a trusted repository run.
    pub hooks: bool,
    /// Whether commits are signed.
    pub signing: Signing,
    /// Which repositories are sandboxed.
    pub sandbox: Sandbox,
    /// Which remotes are allowed.
    pub network: Network,
    /// The gate for transfers.
    pub gate: Option<Arc<dyn TransferGate>>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            hooks: true,
            signing: Signing::default(),
            sandbox: Sandbox::default(),
            network: Network::default(),
            gate: None,
        }
    }
}

/// The roots and policy shared by all repositories of a server.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) roots: Roots,
    pub(crate) policy: Policy,
}
