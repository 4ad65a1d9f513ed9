//! Groups of tools.

use schemars::JsonSchema;
use serde::Deserialize;

/// A group of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Toolset {
    /// What everyday work needs.
    Default,
    /// Questions about history.
    History,
    /// Deleting, renaming and following branches; tags.
    Branches,
    /// Remotes, and clones.
    Remotes,
    /// Worktrees.
    Worktrees,
    /// What takes back, applies, moves and removes.
    Rewrite,
    /// Looking for the commit that broke something.
    Bisect,
    /// Submodules.
    Submodules,
    /// Which folders are in the working tree.
    Sparse,
    /// Notes on commits.
    Notes,
    /// Settings of git.
    Config,
    /// The care of the object store.
    Maintenance,
    /// Exactly the twelve of the reference server.
    Reference,
    /// The names of the package before this one.
    Legacy,
    /// Every tool but those that only repeat another.
    All,
}

impl Toolset {
    /// The names of all groups.
    pub(crate) fn names() -> Vec<String> {
        let all = <Self as clap::ValueEnum>::value_variants().iter();
        all.filter_map(|set| clap::ValueEnum::to_possible_value(set).map(|value| value.get_name().to_owned())).collect()
    }
}
