//! What the operator allows, beyond where repositories may lie.

use crate::{
    process::sandbox::Sandbox,
    repo::{
        reachable::{Network, TransferGate},
        roots::Roots,
    },
};
use std::sync::Arc;

/// Whose programs changes may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of repositories that the operator named.
    #[default]
    Owner,
    /// Nobody's: not even a named repository's hooks and filters run.
    Untrusted,
}

/// Whether commits and annotated tags are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// As the operator's git is configured.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always: what cannot be signed is not made.
    Require,
}

/// What changes may run and reach.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose programs run.
    pub trust: Trust,
    /// Whether the hooks of a trusted repository run.
    pub hooks: bool,
    /// Whether commits are signed.
    pub signing: Signing,
    /// Which repositories the kernel guards.
    pub sandbox: Sandbox,
    /// What may be reached.
    pub network: Network,
    /// What transfers have to pass.
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

/// What every repository of a server has in common.
#[derive(Debug)]
pub(crate) struct Allowed {
    pub(crate) roots: Roots,
    pub(crate) policy: Policy,
}
