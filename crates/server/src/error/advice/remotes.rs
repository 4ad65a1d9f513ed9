//! Hints for transfers.

use super::Advice;
use crate::{config_path, error::Kind};
use git::Misdirected;

/// Hint for a rejected push.
pub(super) const REJECTED: &str = "If the remote is ahead, git_pull first. After a rebase, `force`: true replaces the remote branch if it has not \
    changed since the last fetch. If a hook of the remote rejected the push, follow its message.";

/// Hint for a fetch that git partly rejected.
pub(super) const NOT_FETCHED: &str = "A tag that differs here is kept: git_tag with `action`: \"delete\" removes it, and the next fetch gets the \
    remote's. Branches deleted on the remote block new ones until git_fetch with `prune`: true removes them here.";

/// Hint for several candidates.
const NAME_IT: &str = "Name the intended branch or remote.";

/// Hint for a disabled protocol.
pub(super) fn of_a_protocol(name: &str) -> String {
    if ["http", "git", "file"].contains(&name) {
        return format!(
            "Ask the operator to enable it with `protocols = [\"https\", \"ssh\", \"{name}\"]` below [network] in {}, \
             or with MCP_GIT_PROTOCOLS=https,ssh,{name}.",
            config_path::named()
        );
    }
    if ["https", "ssh"].contains(&name) {
        return format!(
            "Ask the operator to add it to `protocols` below [network] in {}, or to MCP_GIT_PROTOCOLS if that is set.",
            config_path::named()
        );
    }
    "Remotes are reached over https or ssh.".to_owned()
}

/// What a caller gets for a transfer without a definite source or destination.
pub(super) fn of_a_direction(err: &Misdirected) -> Advice {
    match err {
        Misdirected::Undecided { .. } | Misdirected::FollowsLocal { .. } => Kind::Refused.with(NAME_IT),
        Misdirected::SeveralRemotes { .. } => Kind::NotFound.with(NAME_IT),
        Misdirected::NeverFetched { .. } => Kind::Refused.with("git_fetch fetches it."),
        Misdirected::SubmodulesFirst { .. } | Misdirected::OnlySubmodules { .. } => Kind::Refused.without_hint(),
        Misdirected::NotThere { .. } | Misdirected::TagThere { .. } => Kind::NotFound.with("Name an existing branch or tag."),
        Misdirected::Mirror(name) => Kind::Refused.with(format!(
            "Push to a remote that is not a mirror; git_remote_add adds one, with the same URL if intended. Or ask the operator to run \
             `git push {name}`, which makes the remote identical to this repository."
        )),
        Misdirected::NothingFetched => Kind::NotFound.with("Name the branch with `branch`; git_ls_remote lists what the remote has."),
    }
}
