//! Transfers without a definite source or destination.

use super::Error;
use crate::name::Place;
use std::{fmt, path::PathBuf};

/// Maximum number of branches named in an error.
const NAMED: usize = 10;

/// Why a transfer has no definite source or destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misdirected {
    /// The configuration is ambiguous about the upstream or push destination, or differs from the call.
    #[error("{why}")]
    Undecided {
        /// The configuration, in words.
        why: String,
        /// The candidate branches on the remote.
        names: Vec<String>,
    },
    /// A branch whose upstream is a local branch.
    #[error("`{branch}` follows the local branch `{upstream}`")]
    FollowsLocal {
        /// The branch.
        branch: String,
        /// Its upstream.
        upstream: String,
    },
    /// References missing on a remote.
    #[error("{} has no {}{}", .place.as_str(), .names.iter().map(|name| spoken(name)).collect::<Vec<_>>().join(" and no "), some_of(.has))]
    NotThere {
        /// Their full names.
        names: Vec<String>,
        /// The remote.
        place: Place,
        /// The branches of the remote.
        has: Vec<String>,
    },
    /// A tag of a remote, given as a branch.
    #[error("`{name}` is a tag of {}, not a branch", .place.as_str())]
    TagThere {
        /// The tag.
        name: String,
        /// The remote.
        place: Place,
    },
    /// A branch that a push would replace and that was never fetched.
    #[error("{} has a branch `{branch}` that was never fetched: the replaced commits are unknown", .place.as_str())]
    NeverFetched {
        /// The branch on the remote.
        branch: String,
        /// The remote.
        place: Place,
    },
    /// A mirror, to which git only pushes all references at once.
    #[error("`{0}` is a mirror (`remote.{0}.mirror`): git only pushes all references to it at once")]
    Mirror(String),
    /// git would push submodules first, or refuse the push because of them.
    #[error("{setting}, and these submodules have commits that the push needs and none of their remotes has: {}", .modules.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    SubmodulesFirst {
        /// The setting, in words.
        setting: String,
        /// The submodules.
        modules: Vec<Unpushed>,
    },
    /// git would push submodules and nothing else.
    #[error("{setting}: git would push the submodules, and not this repository")]
    OnlySubmodules {
        /// The setting, in words.
        setting: String,
    },
    /// Several remotes have a branch that does not exist locally.
    #[error("several remotes have a branch `{name}`: {}", .found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))]
    SeveralRemotes {
        /// The branch.
        name: String,
        /// The candidates, by their local names.
        found: Vec<String>,
    },
    /// The fetch returned nothing to merge.
    #[error("the remote has no such branch, or the current branch has no upstream there")]
    NothingFetched,
}

/// A submodule with commits that none of its remotes has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpushed {
    /// Its path.
    pub path: String,
    /// Its folder.
    pub place: PathBuf,
    /// Some of the commits.
    pub commits: Vec<String>,
}

impl fmt::Display for Unpushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {}", self.path, self.commits.join(", "))
    }
}

impl Misdirected {
    /// Converts into [`Error`].
    pub(crate) fn error(self) -> Error {
        Error::Misdirected(self)
    }
}

/// A full reference name in words.
fn spoken(full: &str) -> String {
    match (full.strip_prefix("refs/heads/"), full.strip_prefix("refs/tags/")) {
        (Some(branch), _) => format!("branch `{branch}`"),
        (_, Some(tag)) => format!("tag `{tag}`"),
        _ => format!("`{full}`"),
    }
}

fn some_of(has: &[String]) -> String {
    let named: Vec<String> = has.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    match has.len() {
        0 => String::new(),
        all if all > NAMED => format!("; it has {} and {} more", named.join(", "), all - NAMED),
        _ => format!("; it has {}", named.join(", ")),
    }
}
