//! Whose programs run, and what holds them.

use schemars::JsonSchema;
use serde::Deserialize;

/// Whose hooks and filters changes may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// Those of repositories that are named with `-r`, and of the one that the server is started in.
    #[default]
    Owner,
    /// Nobody's.
    Untrusted,
}

/// Whether the hooks of trusted repositories run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Hooks {
    /// They do.
    #[default]
    Allow,
    /// None does.
    Deny,
}

/// Whether commits and annotated tags are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Signing {
    /// As git is configured.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always, or not made.
    Require,
}

/// Which repositories' git processes run inside the kernel's sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Sandbox {
    /// Those of repositories that are not named.
    #[default]
    Untrusted,
    /// Those of named ones, too.
    Always,
    /// None.
    Off,
}
