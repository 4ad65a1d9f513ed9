//! Trust in repositories: hooks, filters, signing and the sandbox.

use super::key::words;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose hooks and filters may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Repositories named with `-r`, and the one that the server is started in.
    #[default]
    Owner,
    /// No repository.
    Untrusted,
}

/// Whether the hooks of trusted repositories run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Hooks {
    /// Hooks run.
    #[default]
    Allow,
    /// No hook runs.
    Deny,
}

/// Whether commits and annotated tags are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// As git is configured.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always, or fails.
    Require,
}

/// Which repositories' git processes are sandboxed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Repositories that are not named.
    #[default]
    Untrusted,
    /// Named repositories, too.
    Always,
    /// No repository.
    Off,
}

words!(Trust, Hooks, Signing, Sandbox);
