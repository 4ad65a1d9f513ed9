//! Transfers that have no place to go, or do not find there what they were to find.

use super::Error;
use crate::name::Place;

/// The most branches that an error names.
const NAMED: usize = 10;

/// What keeps a transfer from what it was to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misdirected {
    /// The configuration leaves open where a branch goes, or what comes to it, or leads where the call did not say.
    #[error("{why}")]
    Undecided {
        /// What the configuration says.
        why: String,
        /// The branches there that may be meant.
        names: Vec<String>,
    },
    /// A branch that follows no remote.
    #[error("`{branch}` follows the local branch `{upstream}`")]
    FollowsLocal {
        /// The branch.
        branch: String,
        /// What it follows.
        upstream: String,
    },
    /// References that a remote does not have.
    #[error("{} has no {}{}", .place.as_str(), .names.iter().map(|name| spoken(name)).collect::<Vec<_>>().join(" and no "), some_of(.has))]
    NotThere {
        /// Their full names.
        names: Vec<String>,
        /// The remote.
        place: Place,
        /// Branches that it has.
        has: Vec<String>,
    },
    /// A tag of a remote that was given as a branch.
    #[error("`{name}` is a tag of {}, and no branch", .place.as_str())]
    TagThere {
        /// The tag.
        name: String,
        /// The remote.
        place: Place,
    },
    /// A branch that a push is to replace, of which nothing is known here.
    #[error("{} has a branch `{branch}` that was never fetched: what would be replaced is not known here", .place.as_str())]
    NeverFetched {
        /// The branch there.
        branch: String,
        /// The remote.
        place: Place,
    },
    /// A remote that git pushes everything to or nothing.
    #[error("`{0}` is a mirror (`remote.{0}.mirror`): git pushes every reference to it, and no single ones")]
    Mirror(String),
    /// Several remotes have a branch that is not here.
    #[error("several remotes have a branch `{name}`: {}", .found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))]
    SeveralRemotes {
        /// The branch.
        name: String,
        /// What may be meant, as it is named here.
        found: Vec<String>,
    },
    /// Nothing came back that could be merged.
    #[error("the remote has no such branch, or none that the current one follows")]
    NothingFetched,
}

impl Misdirected {
    /// As an error of this crate.
    pub(crate) fn error(self) -> Error {
        Error::Misdirected(self)
    }
}

/// A full name in words.
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
