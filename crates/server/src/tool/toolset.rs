//! Groups of tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A group of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Toolset {
    /// Everyday work.
    Default,
    /// Queries about history.
    History,
    /// Deleting, renaming and tracking branches; tags.
    Branches,
    /// Remotes and clones.
    Remotes,
    /// Worktrees.
    Worktrees,
    /// Reverting, applying patches, moving and removing files.
    Rewrite,
    /// Finding the commit that introduced a bug.
    Bisect,
    /// Submodules.
    Submodules,
    /// Sparse checkout.
    Sparse,
    /// Notes on commits.
    Notes,
    /// Git configuration.
    Config,
    /// Maintenance of the object store.
    Maintenance,
    /// Exactly the reference server's twelve tools.
    Reference,
    /// The legacy package's tool names.
    Legacy,
    /// Every tool except aliases of others.
    All,
}

impl Toolset {
    /// The names of all groups.
    pub(crate) fn names() -> Vec<String> {
        let all = <Self as clap::ValueEnum>::value_variants().iter();
        all.filter_map(|set| clap::ValueEnum::to_possible_value(set).map(|value| value.get_name().to_owned())).collect()
    }
}
