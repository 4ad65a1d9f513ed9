//! The effects of a change that timed out.

use super::{RECORDING, Record};
use crate::{
    error::{Error, Kind},
    output::{Field, word},
};
use git::Cancel;
use std::time::Instant;

/// Hint on raising the time limits.
const MORE_TIME: &str = "Ask the operator to raise `limits.change_timeout`, or `limits.network_timeout` for changes that reach a remote.";

impl Record<'_> {
    /// Adds what has taken effect, and the next step, to a timeout error.
    pub(super) fn with_effects(&self, mut error: Error) -> Error {
        if error.kind != Kind::TimedOut {
            return error;
        }
        if !self.worktree_locked {
            let (there, look) = match self.begun.tool.as_str() {
                "git_push" => ("the remote may have accepted the push", "git_ls_remote shows the remote's references."),
                _ => ("references fetched by then have moved", "git_branch shows the fetched branches."),
            };
            error.message = format!("{}\n{there}", error.message);
            return error.hint(format!("{look} Then repeat the call if needed. {MORE_TIME}"));
        }
        let soon = Cancel::new(Some(Instant::now() + RECORDING));
        let Ok(now) = self.repo.snapshot(&soon) else {
            return error.hint("It may or may not have taken effect: check git_status and git_log.");
        };
        let before = self.begun.before.snapshot();
        let mut effects = Vec::new();
        if now.branch != before.branch {
            effects.push(match &now.branch {
                Some(branch) => format!("{} is checked out now", word(Field::Ref, branch.trim_start_matches("refs/heads/"), "git_branch")),
                None => "HEAD is detached now".to_owned(),
            });
        }
        if now.commit != before.commit {
            let short = |id: Option<git::ObjectId>| id.map_or_else(|| "no commit".to_owned(), |id| self.repo.abbreviate(id));
            effects.push(format!("HEAD moved from {} to {}", short(before.commit), short(now.commit)));
        }
        if now.in_progress != before.in_progress {
            effects.push(
                now.in_progress.map_or_else(|| "the operation in progress has ended".to_owned(), |name| format!("a {name} is in progress")),
            );
        }
        let has_moved = !effects.is_empty();
        if now.index != before.index {
            effects.push("the index was written".to_owned());
        }
        if !has_moved {
            effects.insert(0, "HEAD did not move, and no operation started or ended".to_owned());
        }
        error.message = format!("{}\n{}", error.message, effects.join("; "));
        let is_made = now.commit != before.commit && now.in_progress != Some("rebase");
        error.hint(match now.in_progress.filter(|_| has_moved) {
            Some(_) if is_made => {
                "It has taken effect, at least in part: check git_log, and do not repeat it. git_abort aborts the rest.".to_owned()
            }
            Some(name) => format!("git_abort restores the state before the {name}. Then repeat the call. {MORE_TIME}"),
            None if has_moved => {
                format!("It has taken effect, at least in part: check git_status and git_log, and do not repeat it. {MORE_TIME}")
            }
            None => format!("Check git_status, then repeat the call. {MORE_TIME}"),
        })
    }
}
