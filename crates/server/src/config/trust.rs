//! Trust in repositories: hooks, filters, signing and the sandbox.

use super::key::words;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

words! {
    /// Whose hooks and filters may run.
    Trust for git::Trust {
        /// Repositories named with `-r`, and the one that the server is started in.
        Owner,
        /// No repository.
        Untrusted,
    }
}

/// Whether the hooks of trusted repositories run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Hooks {
    /// Hooks run.
    Allow,
    /// No hook runs.
    Deny,
}
words!(Hooks);

words! {
    /// Whether commits and annotated tags are signed.
    Signing for git::Signing {
        /// As git is configured.
        Auto,
        /// Never.
        Never,
        /// Always, or fails.
        Require,
    }
}

words! {
    /// Which repositories' git processes are sandboxed.
    Sandbox for git::Sandbox {
        /// Repositories that are not named.
        Untrusted,
        /// Named repositories, too.
        Always,
        /// No repository.
        Off,
    }
}
