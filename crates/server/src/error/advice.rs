//! Hints for git's errors, for the caller or the operator.

use super::access::{agent, credentials, http};
use crate::{
    config_path,
    error::{ASK_FOR_LESS, Error, Kind},
};
use serde_json::json;
use std::{path::Path, time::Duration};

impl From<git::Error> for Error {
    fn from(err: git::Error) -> Self {
        use git::Error as Git;
        let (kind, hint) = match &err {
            err if err.is_storage_error() => (Kind::Unavailable, Some(STORAGE.to_owned())),
            err if err.is_damage_error() => (Kind::Unreadable, Some(of_damage(err).to_owned())),
            Git::NotARepository { .. } => (Kind::NotFound, None),
            Git::OutsideRoots { .. } => (
                Kind::Denied,
                Some("Only repositories inside the allowed roots can be used. Ask the operator to add one with `-r PATH`.".to_owned()),
            ),
            Git::UnsafeOwner { path } => (
                Kind::Denied,
                Some(format!("If you trust it, ask the operator to run: git config --global --add safe.directory {}", path.display())),
            ),
            Git::Bare { within } => (Kind::Refused, Some(of_a_bare_repository(within.as_deref()))),
            Git::BadName { .. } | Git::BadPlan(_) => (Kind::BadInput, None),
            Git::BadPattern(_) => (Kind::BadInput, Some("Escape special characters with a backslash.".to_owned())),
            Git::UnknownRevision(_) => (
                Kind::NotFound,
                Some("git_branch lists branches and git_log lists commits. A branch without commits has no revision yet.".to_owned()),
            ),
            Git::NoSuchPath { .. } => (
                Kind::NotFound,
                Some("Paths are relative to the repository's top. git_show with `REV:DIRECTORY` lists a directory.".to_owned()),
            ),
            Git::Incomplete(_) => (
                Kind::Refused,
                Some(
                    "`git fsck` lists missing objects; `git fetch --refetch` from a remote that has those commits restores them."
                        .to_owned(),
                ),
            ),
            Git::FilterFailed { said, .. } => (Kind::Refused, Some(of_a_filter(said).to_owned())),
            Git::Misconfigured { .. } => (Kind::Unreadable, Some(SETTING.to_owned())),
            Git::NotKept(_) => (Kind::Refused, Some("Fix what it reports. Then repeat the call.".to_owned())),
            Git::Submodule { path, id } => (
                Kind::Refused,
                Some(format!("Call the tool with `repo_path`: the submodule's own folder, `{path}`, and that commit: {id}.")),
            ),
            Git::InSubmodule { place, cause, .. } => (Kind::Refused, Some(of_a_submodule(place, cause))),
            Git::NotCompared { .. } => (
                Kind::Refused,
                Some(
                    "Name a revision, such as HEAD. git_diff {\"scope\":\"staged\"} compares it once git_add has staged it, which \
                     runs filters if the operator has named the repository."
                        .to_owned(),
                ),
            ),
            Git::Ignored(_) => (Kind::Refused, Some("If they are meant to be tracked, repeat git_add with `force`: true.".to_owned())),
            Git::NothingStaged => (Kind::Refused, Some("Stage changes with git_add first; git_status lists them.".to_owned())),
            Git::NoIdentity => (Kind::Refused, Some(format!("{IDENTITY}."))),
            Git::Halted(halt) => (Kind::Refused, Some(of_a_halt(halt))),
            Git::BranchExists(name) => {
                (Kind::Refused, Some(format!("Use git_checkout with `branch_name`: \"{name}\", or choose another name.")))
            }
            Git::WouldLose(_) => {
                (Kind::Refused, Some("Move them elsewhere first, or repeat the call with `confirm`: true if they may be lost.".to_owned()))
            }
            Git::Uncommitted(_) => (
                Kind::Refused,
                Some("Commit them, or stash them with git_stash; afterwards git_stash {\"action\":\"pop\"} restores them.".to_owned()),
            ),
            Git::WouldOverwrite(_) => (Kind::Refused, Some("Move them away or stage them with git_add first.".to_owned())),
            Git::NotUndone(_) => (Kind::Refused, Some("git_log and git_status show the current state; git_reset moves HEAD.".to_owned())),
            Git::Occupied { .. } => (Kind::Busy, Some("Try again when that change has ended.".to_owned())),
            Git::Failed { command, stderr, .. } => {
                let reaches_a_remote = ["fetch", "push", "clone", "ls-remote", "submodule"].contains(&command.as_str());
                (Kind::Refused, (reaches_a_remote && is_of_access(stderr)).then(|| credentials(stderr)))
            }
            Git::Locked(lock) => of_a_lock(lock),
            Git::Cancelled => (Kind::Cancelled, None),
            Git::TimedOut => (Kind::TimedOut, Some(ASK_FOR_LESS.to_owned())),
            Git::CutOff { .. } => (Kind::TimedOut, Some("Repeat the call.".to_owned())),
            Git::TooLarge { .. } => (Kind::Refused, Some("Ask for less: a path, a range of lines.".to_owned())),
            _ => of_an_operation(&err),
        };
        let retry_after = match &err {
            Git::Locked(lock) if lock.is_stale() => None,
            Git::Locked(_) | Git::Occupied { .. } => Some(Duration::from_secs(2)),
            Git::CircuitOpen { retry_after, .. } => Some(*retry_after),
            Git::Http { retry_after, .. } => *retry_after,
            _ => None,
        };
        let asks = matches!(err, Git::WouldLose(_) | Git::Markers(_));
        let mut error = Self::new(kind, err.to_string());
        (error.hint, error.retry_after, error.asks) = (hint, retry_after, asks);
        error.because(err)
    }
}

/// Hint for a lock file. A retry helps if a process holds it, or may hold it.
fn of_a_lock(lock: &git::LockFile) -> (Kind, Option<String>) {
    let hint = match lock.holder {
        _ if lock.is_stale() => {
            let hint = "Next: git_maintenance {\"action\":\"remove_locks\"}, which is in the toolset `maintenance` and removes locks that no process \
                holds. Or ask the operator to remove the file.";
            return (Kind::Refused, Some(hint.to_owned()));
        }
        git::Holder::Process(_) => "Try again when that process has ended.",
        git::Holder::None => "Try again. Once it is one minute old, git_maintenance with `action`: \"remove_locks\" removes it.",
        git::Holder::Unknown => {
            "Try again. If no git of another user or machine is using this repository, ask the operator to remove the file."
        }
    };
    (Kind::Busy, Some(hint.to_owned()))
}

/// Hint for a disk error.
const STORAGE: &str = "The disk is full, read-only or failing; ask the operator to fix it.";

/// Hint for a repository that git does not open.
const UNOPENED: &str = "If git names a version or an extension, ask the operator to install a newer git; if it names a setting or a file, \
    to correct the configuration. `mcp-server-git doctor` shows how to fix the rest.";

/// Hint for a setting that makes git fail.
const SETTING: &str = "Ask the operator to correct it; `git config --list --show-origin` shows where each setting comes from.";

/// Hint for an unreadable repository: how to replace the damaged part.
fn of_damage(err: &git::Error) -> &'static str {
    match err.damage() {
        Some(git::Damage::Index) => {
            "Ask the operator to rebuild the index with `mv .git/index .git/index.old && git reset`: changes must then be staged again."
        }
        Some(git::Damage::Other) => {
            "`git fsck` lists what is missing or damaged. Ask the operator to restore objects with `git fetch --refetch` or from another \
             clone, and HEAD as `mcp-server-git doctor` shows."
        }
        None => {
            "Ask the operator to fix what git reports. `git fsck` checks for missing or damaged objects, and `mcp-server-git doctor` \
             checks the rest."
        }
    }
}

/// Hint for a failing filter, given its output.
fn of_a_filter(said: &str) -> &'static str {
    if ["not found", "cannot run", "No such file or directory"].iter().any(|words| said.contains(words)) {
        return "The program of the filter is not on the server's PATH, which is often shorter than a terminal's. Ask the operator to \
                install it, or to add its folder to PATH in `env` of the server's entry in the client's configuration. Then \
                repeat the call.";
    }
    "The program of that filter has to work here first: install it, or fix its configuration or the file. Then repeat the call."
}

/// Whether an error may be about access, by the words of git, curl, ssh and common hosts.
fn is_of_access(said: &str) -> bool {
    const WORDS: [&str; 14] = [
        "uthentication",
        "uthorization",
        "nauthorized",
        "access",
        "ermission",
        "redential",
        "could not read Username",
        "could not read Password",
        "prompts disabled",
        "not allowed",
        "denied",
        "orbidden",
        "Host key verification failed",
        // A host reports private repositories like this.
        "epository not found",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

/// Hint for a rejected push.
const REJECTED: &str = "If the remote is ahead, git_pull first. After a rebase, `force`: true replaces the remote branch if it has not \
    changed since the last fetch. If a hook of the remote rejected the push, follow its message.";

/// Hint for a fetch that git partly rejected.
const NOT_FETCHED: &str = "A tag that differs here is kept: git_tag with `action`: \"delete\" removes it, and the next fetch gets the \
    remote's. Branches deleted on the remote block new ones until git_fetch with `prune`: true removes them here.";

/// Hint for a repository without a working tree.
fn of_a_bare_repository(within: Option<&Path>) -> String {
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
fn of_a_vanished_worktree(place: &Path, locked: bool) -> String {
    let unlock = if locked { format!("git_worktree {}, then ", json!({"action": "unlock", "path": place})) } else { String::new() };
    format!(
        "If the folder was moved, ask the operator to run `git worktree repair` in it. If it was deleted: {unlock}git_worktree \
         {{\"action\":\"prune\"}}. Then repeat the call."
    )
}

/// Hint for a worktree whose folder does not lead to its repository.
fn of_a_broken_worktree(main: &Path, gone: bool) -> String {
    let repair = format!("Ask the operator to repair it with `git -C {} worktree repair`. Then repeat the call.", main.display());
    let prune = " Or git_worktree {\"action\":\"prune\"} removes the worktree, but not the folder.";
    if gone { repair + prune } else { repair }
}

/// Hint for a submodule that cannot be updated.
fn of_a_submodule(place: &Path, cause: &git::Error) -> String {
    let there = json!({"repo_path": place});
    match cause {
        git::Error::Locked(lock) if lock.is_stale() => {
            format!("Next: git_maintenance {}. Then repeat the call.", json!({"action": "remove_locks", "repo_path": place}))
        }
        git::Error::Locked(_) => "Try again when no git is running there.".to_owned(),
        git::Error::Uncommitted(_) => {
            format!("Commit them there, or stash them: git_stash {}. Then repeat the call.", json!({"action": "push", "repo_path": place}))
        }
        git::Error::WouldOverwrite(_) => {
            format!("Move them away, or remove them if they may be lost: git_status {there} lists them. Then repeat the call.")
        }
        git::Error::NotReadable { .. } => "Remove the link, and repeat the call.".to_owned(),
        _ => "Move the folder away: it may have edits that exist nowhere else. Then repeat the call, which clones it again.".to_owned(),
    }
}

/// Hint for conflicts without an operation in progress.
fn of_conflicts(stash: Option<usize>) -> String {
    let begin = "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved.";
    let end = "git_abort discards the incoming changes.";
    match stash {
        Some(number) => format!(
            "{begin} There is nothing to continue then: git_stash {{\"action\":\"drop\",\"number\":{number}}} drops the entry once it is \
             no longer needed. {end}"
        ),
        None => format!("{begin} Then git_commit. {end}"),
    }
}

/// Errors about operations that stop, and about conflicts.
fn of_an_operation(err: &git::Error) -> (Kind, Option<String>) {
    use git::Error as Git;
    match err {
        Git::NotDropped { number, .. } => {
            let drop = number.map_or_else(
                || "`git update-ref -d refs/stash` removes what is left of it".to_owned(),
                |number| format!("git_stash {{\"action\":\"drop\",\"number\":{number}}} drops the entry"),
            );
            (Kind::Refused, Some(format!("The changes are in the files: do not apply them again. Fix what it reports, then {drop}.")))
        }
        Git::NotPreviewed { .. } => {
            (Kind::Refused, Some("git_merge runs it if the operator has named the repository; git_undo undoes the merge.".to_owned()))
        }
        Git::HalfStashed { .. } => (
            Kind::Refused,
            Some("To restore all of it: git_reset with `mode`: \"hard\", then git_stash with `action`: \"pop\".".to_owned()),
        ),
        Git::Unmerged(_) => (
            Kind::Refused,
            Some("git_conflicts shows them and takes a side; git_add marks an edited file as resolved. Then repeat the call.".to_owned()),
        ),
        Git::Markers(_) => (
            Kind::Refused,
            Some("Edit the files, git_add them and repeat the call; with `confirm`: true if those lines are meant.".to_owned()),
        ),
        Git::Stopped { resumes: false, .. } | Git::Blocked { resumes: false, .. } => {
            (Kind::Refused, Some("git_abort restores the state before it. Remove the cause, then start it again.".to_owned()))
        }
        Git::Blocked { .. } => (
            Kind::Refused,
            Some("Move those files away, or stash them with git_stash. Then git_continue, or git_abort to abort it.".to_owned()),
        ),
        Git::Stopped { paths, .. } if paths.is_empty() => {
            (Kind::Refused, Some("Remove the cause. Then git_continue, or git_abort to restore the state before it.".to_owned()))
        }
        Git::Unstaged { paths, .. } => (
            Kind::Refused,
            Some(format!(
                "git_add adds them to this commit; git_stash {} stashes them. Then git_continue.",
                json!({"action": "push", "paths": paths})
            )),
        ),
        Git::HeadMoved { .. } => {
            (Kind::Refused, Some("git_log shows the commits made meanwhile, and git_status what is left to commit.".to_owned()))
        }
        Git::SearchStartGone(branch) => (
            Kind::Refused,
            Some(format!(
                "git_create_branch {} creates it again, at the checked-out commit. Then git_abort.",
                json!({"branch_name": branch})
            )),
        ),
        Git::Stopped { .. } => (
            Kind::Refused,
            Some(
                "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved. Then git_continue, \
                 or git_abort to restore the state before it."
                    .to_owned(),
            ),
        ),
        Git::InProgress(operation) if operation == "bisect" => (Kind::Refused, Some("End it with git_abort first.".to_owned())),
        Git::InProgress(_) => (Kind::Refused, Some("Finish it with git_continue, or abort it with git_abort, first.".to_owned())),
        Git::NothingInProgress => (Kind::Refused, Some("git_status shows the current state.".to_owned())),
        Git::NotInConflict(_) => (Kind::NotFound, Some("git_conflicts without arguments lists the conflicts.".to_owned())),
        Git::Conflicts { stash, .. } => (Kind::Refused, Some(of_conflicts(*stash))),
        Git::Empty { stopped: true, .. } => {
            (Kind::Refused, Some("git_continue {\"skip\":true} skips it; git_abort restores the state before it.".to_owned()))
        }
        Git::Empty { .. } => (Kind::Refused, Some("Nothing has changed, and nothing is in progress.".to_owned())),
        _ => of_a_remote(err),
    }
}

/// Hint for a missing identity.
const IDENTITY: &str = "Ask the operator to run: git config --global user.name NAME; git config --global user.email ADDRESS";

/// Hint for a change stopped by something other than a conflict.
fn of_a_halt(halt: &git::Halt) -> String {
    match &halt.by {
        None => format!("{IDENTITY}. Then repeat the call."),
        Some(by) if by.hook.is_some() && by.code == Some(-1) => {
            "The hook cannot run: its first line must name a program that exists, and end without a carriage return. Fix \
             that. Then repeat the call."
                .to_owned()
        }
        Some(by) if by.hook.is_some() => "Fix what it reports. Then repeat the call.".to_owned(),
        Some(by) if by.by_ssh => {
            let agent = agent("A key with a passphrase must be in the ssh agent: ask the operator to add the key with `ssh-add`");
            format!(
                "Ask the operator to set up signing: `gpg.ssh.program` and `user.signingKey` of git's configuration name program and key. \
                 {agent}, or to name a key without a passphrase as `user.signingKey`. Then repeat the call."
            )
        }
        Some(_) => "Ask the operator to set up signing: `gpg.program` and `user.signingKey` of git's configuration name program and key \
                    (`gpg.x509.program` if `gpg.format` is x509), and a passphrase must be in its agent, since the server cannot \
                    prompt. Then repeat the call."
            .to_owned(),
    }
}

/// Errors about remotes, branches, tags and worktrees.
fn of_a_remote(err: &git::Error) -> (Kind, Option<String>) {
    use git::Error as Git;
    match err {
        Git::Promised { .. } => (Kind::NotFound, Some("A tool that reads them, such as git_show or git_diff, fetches them.".to_owned())),
        Git::MissingObject(_) => (
            Kind::NotFound,
            Some("git_log lists commits. If a commit or a branch names it, this clone is partial or damaged: see `git fsck`.".to_owned()),
        ),
        Git::Unrelated { shallow: true } | Git::Boundary(_) => {
            (Kind::Refused, Some("git_fetch with `depth`: 0 gets all of the history, a larger `depth` more of it.".to_owned()))
        }
        Git::Unrelated { shallow: false } => {
            (Kind::Refused, Some("git_diff compares them without `merge_base`, and git_cherry_pick applies single commits.".to_owned()))
        }
        Git::NoRemote(_) => (Kind::NotFound, Some("git_remote_list shows the remotes; git_remote_add adds one.".to_owned())),
        Git::RemoteExists(_) => (Kind::Refused, Some("git_remote_set_url points it elsewhere.".to_owned())),
        Git::Exists(_) | Git::TagExists(_) => (Kind::Refused, Some("Choose another name, or remove the existing one first.".to_owned())),
        Git::ProtocolOff(name) if ["http", "git", "file"].contains(&name.as_str()) => (
            Kind::Denied,
            Some(format!(
                "Ask the operator to enable it with `protocols = [\"https\", \"ssh\", \"{name}\"]` below [network] in {}, \
                 or with MCP_GIT_PROTOCOLS=https,ssh,{name}.",
                config_path::named()
            )),
        ),
        Git::ProtocolOff(name) if ["https", "ssh"].contains(&name.as_str()) => (
            Kind::Denied,
            Some(format!(
                "Ask the operator to add it to `protocols` below [network] in {}, or to MCP_GIT_PROTOCOLS if that is set.",
                config_path::named()
            )),
        ),
        Git::ProtocolOff(_) => (Kind::Denied, Some("Remotes are reached over https or ssh.".to_owned())),
        Git::PrivateAddress { host, .. } => (
            Kind::Denied,
            Some(format!(
                "Ask the operator to allow it with `allow_hosts = [\"{host}\"]` below [network] in {}, or with \
                 MCP_GIT_ALLOW_HOSTS={host}.",
                config_path::named()
            )),
        ),
        Git::UnknownHost(_) => (Kind::NotFound, Some("git_remote_list shows the URLs of the remotes.".to_owned())),
        Git::Http { status, .. } => http(*status),
        Git::Unreachable { said, .. } => {
            (Kind::Unreachable, Some(format!("The remote, or the network path to it, failed. {}", credentials(said))))
        }
        Git::CircuitOpen { paused: true, .. } => (Kind::RateLimited, Some("Continue with local data and try again later.".to_owned())),
        Git::CircuitOpen { .. } => {
            (Kind::CircuitOpen, Some("Continue with local data and try again later. `mcp-server-git circuits list` shows why.".to_owned()))
        }
        Git::Rejected { push, .. } => (Kind::Refused, Some(if *push { REJECTED } else { NOT_FETCHED }.to_owned())),
        Git::Misdirected(err) => of_a_direction(err),
        Git::NotMerged(_) => (Kind::Refused, Some("Merge it, or repeat the call with `force`: true if they may be lost.".to_owned())),
        Git::CheckedOut { place, gone: true, locked, .. } | Git::WorktreeGone { place, locked } => {
            (Kind::Refused, Some(of_a_vanished_worktree(place, *locked)))
        }
        Git::CheckedOut { place, .. } => {
            (Kind::Refused, Some(format!("Pass \"repo_path\": {} to work there, or check something else out there.", json!(place))))
        }
        Git::WorktreeLocked { place, .. } => (
            Kind::Refused,
            Some(format!("If it may be removed: git_worktree {}. Then repeat the call.", json!({"action": "unlock", "path": place}))),
        ),
        Git::WorktreeBroken { main, gone, .. } => (Kind::Refused, Some(of_a_broken_worktree(main, *gone))),
        Git::NoSuchHunk(_) => {
            (Kind::NotFound, Some("Ids change with the content. git_add with `list`: true shows the current hunks.".to_owned()))
        }
        Git::PatchDoesNotApply(_) => (Kind::Refused, Some("Nothing has changed. Compare it with the files' current content.".to_owned())),
        Git::NoTag(_) => (Kind::NotFound, Some("git_tag lists the tags. `tags`: true includes those without a message.".to_owned())),
        Git::NoWorktree(_) => (Kind::NotFound, Some("git_worktree lists the worktrees.".to_owned())),
        _ => of_trust(err),
    }
}

/// Errors about the target of a transfer. Tools name the next calls.
fn of_a_direction(err: &git::Misdirected) -> (Kind, Option<String>) {
    use git::Misdirected::{FollowsLocal, Mirror, NeverFetched, NotThere, NothingFetched, SeveralRemotes, TagThere, Undecided};
    match err {
        Undecided { .. } | FollowsLocal { .. } => (Kind::Refused, Some("Name the intended branch or remote.".to_owned())),
        SeveralRemotes { .. } => (Kind::NotFound, Some("Name the intended branch or remote.".to_owned())),
        NeverFetched { .. } => (Kind::Refused, Some("git_fetch fetches it.".to_owned())),
        NotThere { .. } | TagThere { .. } => (Kind::NotFound, Some("Name an existing branch or tag.".to_owned())),
        Mirror(name) => (
            Kind::Refused,
            Some(format!(
                "Push to a remote that is not a mirror; git_remote_add adds one, with the same URL if intended. Or ask the operator to run \
                 `git push {name}`, which makes the remote identical to this repository."
            )),
        ),
        NothingFetched => (Kind::NotFound, Some("Name the branch with `branch`; git_ls_remote lists what the remote has.".to_owned())),
    }
}

/// Errors about invalid or untrusted repositories.
fn of_trust(err: &git::Error) -> (Kind, Option<String>) {
    use git::Error as Git;
    match err {
        Git::EmbeddedBare { path } => {
            (Kind::Denied, Some(format!("If you trust it, ask the operator to name it with `-r {}`.", path.display())))
        }
        Git::Untrusted { path, .. } => {
            (Kind::Denied, Some(format!("If you trust this repository, ask the operator to name it with `-r {}`.", path.display())))
        }
        // No command contains the name of the setting: it comes from the repository, and a shell would interpret it.
        Git::UntrustedSetting { path, .. } => (
            Kind::Denied,
            Some(format!(
                "If you trust this repository, ask the operator to name it with `-r {}`. Or remove the setting from its configuration.",
                path.display()
            )),
        ),
        Git::NoSandbox { path, .. } => (
            Kind::Denied,
            Some(format!(
                "If you trust this repository, ask the operator to name it with `-r {}`, or to allow changes without a sandbox with \
                 `sandbox = \"off\"` in {}, or MCP_GIT_SANDBOX=off.",
                path.display(),
                config_path::named()
            )),
        ),
        Git::NotReadable { .. } => (
            Kind::Denied,
            Some("Only regular files of a reasonable size are read there. Inspect it with `ls -l`, and replace or remove it.".to_owned()),
        ),
        Git::Unopened { .. } => (Kind::Unreadable, Some(UNOPENED.to_owned())),
        Git::Replaced(_) => (Kind::Stale, Some("No data was returned from it. Repeat the call.".to_owned())),
        _ => (Kind::Internal, None),
    }
}
