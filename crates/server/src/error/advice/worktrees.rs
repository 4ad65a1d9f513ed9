//! Hints for worktrees and submodules.

use git::Obstacle;
use serde_json::json;
use std::path::Path;

/// Hint for a repository without a working tree.
pub(super) fn of_a_bare_repository(within: Option<&Path>) -> String {
    match within {
        Some(dir) => format!(
            "If {} is meant to be a working tree, ask the operator to run in it: git config core.bare false. Tools that read commits \
             work, such as git_log or git_show.",
            dir.display()
        ),
        None => "Use a tool that reads commits, such as git_log or git_show.".to_owned(),
    }
}

/// Hint for a worktree whose folder was deleted or moved.
pub(super) fn of_a_vanished_worktree(place: &Path, locked: bool) -> String {
    let unlock = if locked { format!("git_worktree {}, then ", json!({"action": "unlock", "path": place})) } else { String::new() };
    format!(
        "If the folder was moved, ask the operator to run `git worktree repair` in it. If it was deleted: {unlock}git_worktree \
         {{\"action\":\"prune\"}}. Then repeat the call."
    )
}

/// Hint for a worktree whose folder does not lead to its repository.
pub(super) fn of_a_broken_worktree(main: &Path, gone: bool) -> String {
    let repair = format!("Ask the operator to repair it with `git -C {} worktree repair`. Then repeat the call.", main.display());
    let prune = " Or git_worktree {\"action\":\"prune\"} removes the worktree, but not the folder.";
    if gone { repair + prune } else { repair }
}

/// Hint for a submodule that cannot be updated.
pub(super) fn of_a_submodule(why: &git::InSubmodule) -> String {
    let there = json!({"repo_path": why.place});
    match &why.cause {
        Obstacle::Locked(lock) if lock.is_stale() => {
            format!("Next: git_maintenance {}. Then repeat the call.", json!({"action": "remove_locks", "repo_path": why.place}))
        }
        Obstacle::Locked(_) => "Try again when no git is running there.".to_owned(),
        Obstacle::Uncommitted(_) => {
            format!(
                "Commit them there, or stash them: git_stash {}. Then repeat the call.",
                json!({"action": "push", "repo_path": why.place})
            )
        }
        Obstacle::WouldOverwrite(_) => {
            format!("Move them away, or remove them if they may be lost: git_status {there} lists them. Then repeat the call.")
        }
        Obstacle::Link(_) => "Remove the link, and repeat the call.".to_owned(),
        Obstacle::NotARepository(_) => {
            "Move the folder away: it may have edits that exist nowhere else. Then repeat the call, which clones it again.".to_owned()
        }
    }
}
