//! What a caller, or the operator, is told to do about an error of git.

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
            err if err.is_of_storage() => (Kind::Unavailable, Some(STORAGE.to_owned())),
            err if err.is_of_damage() => (Kind::Unreadable, Some(of_damage(err).to_owned())),
            Git::NotARepository { .. } => (Kind::NotFound, None),
            Git::OutsideRoots { .. } => (
                Kind::Denied,
                Some("Only repositories inside the allowed roots can be used. The operator adds one with `-r PATH`.".to_owned()),
            ),
            Git::UnsafeOwner { path } => (
                Kind::Denied,
                Some(format!("If you trust it, the operator runs: git config --global --add safe.directory {}", path.display())),
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
                    "`git fsck` lists all that is missing; `git fetch --refetch` from a remote that has those commits brings it."
                        .to_owned(),
                ),
            ),
            Git::FilterFailed { said, .. } => (Kind::Refused, Some(of_a_filter(said).to_owned())),
            Git::Misconfigured { .. } => (Kind::Unreadable, Some(SETTING.to_owned())),
            Git::NotKept(_) => (Kind::Refused, Some("Mend what it says. Then repeat the call.".to_owned())),
            Git::Submodule { path, id } => (
                Kind::Refused,
                Some(format!("Call the tool with `repo_path`: the submodule's own folder, `{path}`, and that commit: {id}.")),
            ),
            Git::InSubmodule { place, cause, .. } => (Kind::Refused, Some(of_a_submodule(place, cause))),
            Git::NotCompared { .. } => (
                Kind::Refused,
                Some(
                    "Name a revision, such as HEAD. git_diff {\"scope\":\"staged\"} compares it once git_add has staged it, which runs filters where \
                     the operator has named the repository."
                        .to_owned(),
                ),
            ),
            Git::Ignored(_) => (Kind::Refused, Some("If they are meant to be tracked, repeat git_add with `force`: true.".to_owned())),
            Git::NothingStaged => (Kind::Refused, Some("Stage changes with git_add first; git_status shows what there is.".to_owned())),
            Git::NoIdentity => (Kind::Refused, Some(format!("{IDENTITY}."))),
            Git::Halted(halt) => (Kind::Refused, Some(of_a_halt(halt))),
            Git::BranchExists(name) => {
                (Kind::Refused, Some(format!("Use git_checkout with `branch_name`: \"{name}\", or choose another name.")))
            }
            Git::WouldLose(_) => {
                (Kind::Refused, Some("Put them elsewhere first, or repeat the call with `confirm`: true if they may be lost.".to_owned()))
            }
            Git::Uncommitted(_) => (
                Kind::Refused,
                Some(
                    "Commit them, or put them away with git_stash; afterwards git_stash {\"action\":\"pop\"} brings them back.".to_owned(),
                ),
            ),
            Git::WouldOverwrite(_) => (Kind::Refused, Some("Move them away or stage them with git_add first.".to_owned())),
            Git::NotUndone(_) => (Kind::Refused, Some("git_log, git_status and git_reset show and move what there is.".to_owned())),
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

/// What to do about a lock: another try helps where somebody holds it, or may still do so.
fn of_a_lock(lock: &git::LockFile) -> (Kind, Option<String>) {
    let hint = match lock.holder {
        _ if lock.is_stale() => {
            let hint = "Next: git_maintenance {\"action\":\"remove_locks\"}, which is in the toolset `maintenance` and removes locks that no process \
                holds. Or the operator removes the file.";
            return (Kind::Refused, Some(hint.to_owned()));
        }
        git::Holder::Process(_) => "Try again when that process has ended.",
        git::Holder::None => "Try again. From an age of one minute on, git_maintenance with `action`: \"remove_locks\" removes it.",
        git::Holder::Unknown => {
            "Try again. If no git of another user or machine is at work in this repository, the operator removes the file."
        }
    };
    (Kind::Busy, Some(hint.to_owned()))
}

/// What to do about a disk.
const STORAGE: &str = "The disk is full, read-only or failing; ask the operator to fix it.";

/// What to do about a repository that git does not open.
const UNOPENED: &str = "The operator installs a newer git where that names a version or an extension, and corrects the configuration where it \
    names a setting or a file; `mcp-server-git doctor` says what mends the rest.";

/// What to do about a setting that ends git.
const SETTING: &str = "The operator corrects it; `git config --list --show-origin` shows where each setting comes from.";

/// What to do about a repository that cannot be read. What would replace a part of it is named where that part is damaged.
fn of_damage(err: &git::Error) -> &'static str {
    match err.damage() {
        Some(git::Damage::Index) => {
            "The operator mends the index with `mv .git/index .git/index.old && git reset`: what was staged has to be staged again."
        }
        Some(git::Damage::Other) => {
            "`git fsck` lists what is missing or damaged. The operator mends it: objects with `git fetch --refetch` or from another \
             clone, and HEAD as `mcp-server-git doctor` says."
        }
        None => {
            "The operator mends what git says there. `git fsck` tells whether objects are missing or damaged, and `mcp-server-git doctor` \
             looks at the rest."
        }
    }
}

/// What to do about a filter that fails, given what was written.
fn of_a_filter(said: &str) -> &'static str {
    if ["not found", "cannot run", "No such file or directory"].iter().any(|words| said.contains(words)) {
        return "The program of the filter is not on the server's PATH, which is often a shorter one than a terminal's. The operator installs it, or \
                adds its folder to PATH in `env` of the server's entry in the client's configuration. Then repeat the call.";
    }
    "The program of that filter has to work here first: install it, or mend its configuration or the file. Then repeat the call."
}

/// True for what may be about who is let in: by what git, curl, ssh and the usual hosts say of it.
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
        // A host says so of what is private.
        "epository not found",
    ];
    WORDS.iter().any(|words| said.contains(words))
}

/// What to do about a push that was refused.
const REJECTED: &str = "Where the remote is ahead, git_pull first. After a rebase, `force`: true replaces what is there if it is still what was \
    last fetched. What a hook of the remote refuses has to be changed as it says.";

/// What to do about a fetch of which git refused a part.
const NOT_FETCHED: &str = "A tag that is another one here stays: git_tag with `action`: \"delete\" removes it, and the next fetch brings the \
    remote's. Branches that the remote no longer has are in the way of new ones until git_fetch with `prune`: true forgets them.";

/// What to do in a repository without a working tree.
fn of_a_bare_repository(within: Option<&Path>) -> String {
    match within {
        Some(dir) => format!(
            "If {} is meant to be a working tree, the operator runs in it: git config core.bare false. Tools that read commits work, such \
             as git_log or git_show.",
            dir.display()
        ),
        None => "Use a tool that reads commits, such as git_log or git_show.".to_owned(),
    }
}

/// What to do about a worktree whose folder was deleted or moved.
fn of_a_vanished_worktree(place: &Path, locked: bool) -> String {
    let unlock = if locked { format!("git_worktree {}, then ", json!({"action": "unlock", "path": place})) } else { String::new() };
    format!(
        "If the folder was moved, the operator runs `git worktree repair` in it. If it was deleted: {unlock}git_worktree \
         {{\"action\":\"prune\"}}. Then repeat the call."
    )
}

/// What to do about a worktree whose folder does not lead to its repository.
fn of_a_broken_worktree(main: &Path, gone: bool) -> String {
    let repair = format!("The operator mends that with `git -C {} worktree repair`. Then repeat the call.", main.display());
    let prune = " Or git_worktree {\"action\":\"prune\"} forgets the worktree, and leaves the folder.";
    if gone { repair + prune } else { repair }
}

/// What to do about what is in the way of updating a submodule.
fn of_a_submodule(place: &Path, cause: &git::Error) -> String {
    let there = json!({"repo_path": place});
    match cause {
        git::Error::Locked(lock) if lock.is_stale() => {
            format!("Next: git_maintenance {}. Then repeat the call.", json!({"action": "remove_locks", "repo_path": place}))
        }
        git::Error::Locked(_) => "Try again when no git is at work there.".to_owned(),
        git::Error::Uncommitted(_) => {
            format!(
                "Commit them there, or put them away: git_stash {}. Then repeat the call.",
                json!({"action": "push", "repo_path": place})
            )
        }
        git::Error::WouldOverwrite(_) => {
            format!("Move them away, or remove them if they may be lost: git_status {there} lists them. Then repeat the call.")
        }
        git::Error::NotReadable { .. } => "Remove the link, and repeat the call.".to_owned(),
        _ => "Move the folder away: it may have edits that are nowhere else. Then repeat the call, which clones it anew.".to_owned(),
    }
}

/// What to do about conflicts that are left by what is no operation in progress.
fn of_conflicts(stash: Option<usize>) -> String {
    let begin = "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved.";
    let end = "git_abort takes back what has come in.";
    match stash {
        Some(number) => format!(
            "{begin} Then nothing is left to go on with: git_stash {{\"action\":\"drop\",\"number\":{number}}} drops the entry once it is not \
             needed any more. {end}"
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
            (Kind::Refused, Some(format!("The changes are in the files: do not bring them back again. Mend what it says, then {drop}.")))
        }
        Git::NotPreviewed { .. } => (
            Kind::Refused,
            Some("git_merge runs it, where the operator has named the repository; git_undo takes the merge back.".to_owned()),
        ),
        Git::HalfStashed { .. } => (
            Kind::Refused,
            Some("To have all of it back: git_reset with `mode`: \"hard\", then git_stash with `action`: \"pop\".".to_owned()),
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
            (Kind::Refused, Some("git_abort goes back to where it began. Remove the cause, then begin it again.".to_owned()))
        }
        Git::Blocked { .. } => (
            Kind::Refused,
            Some("Move those files away, or put them away with git_stash. Then git_continue, or git_abort to go back.".to_owned()),
        ),
        Git::Stopped { paths, .. } if paths.is_empty() => {
            (Kind::Refused, Some("Remove the cause. Then git_continue, or git_abort to go back to where it began.".to_owned()))
        }
        Git::Unstaged { paths, .. } => (
            Kind::Refused,
            Some(format!(
                "git_add makes them a part of this commit; git_stash {} puts them away. Then git_continue.",
                json!({"action": "push", "paths": paths})
            )),
        ),
        Git::HeadMoved { .. } => {
            (Kind::Refused, Some("git_log shows what was committed meanwhile, and git_status what is left to commit.".to_owned()))
        }
        Git::SearchStartGone(branch) => (
            Kind::Refused,
            Some(format!(
                "git_create_branch {} makes it again, at the commit that is checked out. Then git_abort.",
                json!({"branch_name": branch})
            )),
        ),
        Git::Stopped { .. } => (
            Kind::Refused,
            Some(
                "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved. Then git_continue, \
                 or git_abort to go back to where it began."
                    .to_owned(),
            ),
        ),
        Git::InProgress(operation) if operation == "bisect" => (Kind::Refused, Some("End it with git_abort first.".to_owned())),
        Git::InProgress(_) => (Kind::Refused, Some("Finish it with git_continue, or go back with git_abort, first.".to_owned())),
        Git::NothingInProgress => (Kind::Refused, Some("git_status shows what there is.".to_owned())),
        Git::NotInConflict(_) => (Kind::NotFound, Some("git_conflicts without arguments lists what is.".to_owned())),
        Git::Conflicts { stash, .. } => (Kind::Refused, Some(of_conflicts(*stash))),
        Git::Empty { stopped: true, .. } => {
            (Kind::Refused, Some("git_continue {\"skip\":true} leaves it out; git_abort goes back to where it began.".to_owned()))
        }
        Git::Empty { .. } => (Kind::Refused, Some("Nothing has changed, and nothing is in progress.".to_owned())),
        _ => of_a_remote(err),
    }
}

/// How an identity is configured.
const IDENTITY: &str = "The operator runs: git config --global user.name NAME; git config --global user.email ADDRESS";

/// What leads on after a change that something else than a conflict has stopped.
fn of_a_halt(halt: &git::Halt) -> String {
    match &halt.by {
        None => format!("{IDENTITY}. Then repeat the call."),
        Some(by) if by.hook.is_some() && by.code == Some(-1) => {
            "The hook cannot run as it is: its first line must name a program that is there, and end without a carriage return. Correct \
             that. Then repeat the call."
                .to_owned()
        }
        Some(by) if by.hook.is_some() => "Mend what it says. Then repeat the call.".to_owned(),
        Some(by) if by.by_ssh => {
            let agent = agent("A passphrase has to be in the ssh agent: the operator adds the key with `ssh-add`");
            format!(
                "The operator makes it sign: `gpg.ssh.program` and `user.signingKey` of git's configuration name program and key. {agent}, \
                 or names a key without a passphrase as `user.signingKey`. Then repeat the call."
            )
        }
        Some(_) => "The operator makes it sign: `gpg.program` and `user.signingKey` of git's configuration name program and key (`gpg.x509.program` where `gpg.format` is x509), and a \
                    passphrase has to be in its agent, as nothing can be asked here. Then repeat the call."
            .to_owned(),
    }
}

/// Errors about remotes, and about what only changes with a choice of targets meet.
fn of_a_remote(err: &git::Error) -> (Kind, Option<String>) {
    use git::Error as Git;
    match err {
        Git::Promised { .. } => {
            (Kind::NotFound, Some("A call of a tool that reads them fetches them, such as git_show or git_diff.".to_owned()))
        }
        Git::MissingObject(_) => (
            Kind::NotFound,
            Some(
                "git_log lists commits. If one of them, or a branch, names it, this is a partial or a damaged clone: see `git fsck`."
                    .to_owned(),
            ),
        ),
        Git::Unrelated { shallow: true } | Git::Boundary(_) => {
            (Kind::Refused, Some("git_fetch with `depth`: 0 gets all of the history, and with a larger `depth` more of it.".to_owned()))
        }
        Git::Unrelated { shallow: false } => {
            (Kind::Refused, Some("git_diff compares them without `merge_base`, and git_cherry_pick takes single commits over.".to_owned()))
        }
        Git::NoRemote(_) => (Kind::NotFound, Some("git_remote_list shows the remotes; git_remote_add adds one.".to_owned())),
        Git::RemoteExists(_) => (Kind::Refused, Some("git_remote_set_url points it elsewhere.".to_owned())),
        Git::Exists(_) | Git::TagExists(_) => (Kind::Refused, Some("Choose another name, or remove what is there first.".to_owned())),
        Git::ProtocolOff(name) if ["http", "git", "file"].contains(&name.as_str()) => (
            Kind::Denied,
            Some(format!(
                "The operator switches it on with `protocols = [\"https\", \"ssh\", \"{name}\"]` below [network] in {}, \
                 or with MCP_GIT_PROTOCOLS=https,ssh,{name}.",
                config_path::named()
            )),
        ),
        Git::ProtocolOff(name) if ["https", "ssh"].contains(&name.as_str()) => (
            Kind::Denied,
            Some(format!(
                "The operator adds it to `protocols` below [network] in {}, or to MCP_GIT_PROTOCOLS where that is set.",
                config_path::named()
            )),
        ),
        Git::ProtocolOff(_) => (Kind::Denied, Some("Remotes are reached over https or ssh.".to_owned())),
        Git::PrivateAddress { host, .. } => (
            Kind::Denied,
            Some(format!(
                "The operator allows it with `allow_hosts = [\"{host}\"]` below [network] in {}, or with \
                 MCP_GIT_ALLOW_HOSTS={host}.",
                config_path::named()
            )),
        ),
        Git::UnknownHost(_) => (Kind::NotFound, Some("git_remote_list shows where remotes are.".to_owned())),
        Git::Http { status, .. } => http(*status),
        Git::Unreachable { said, .. } => {
            (Kind::Unreachable, Some(format!("The fault is the remote's, or lies on the way to it. {}", credentials(said))))
        }
        Git::CircuitOpen { paused: true, .. } => (Kind::RateLimited, Some("Work on with what is here and try again later.".to_owned())),
        Git::CircuitOpen { .. } => (
            Kind::CircuitOpen,
            Some("Work on with what is here and try again later. The operator sees why with `mcp-server-git circuits list`.".to_owned()),
        ),
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
            Some(format!("If it may go: git_worktree {}. Then repeat the call.", json!({"action": "unlock", "path": place}))),
        ),
        Git::WorktreeBroken { main, gone, .. } => (Kind::Refused, Some(of_a_broken_worktree(main, *gone))),
        Git::NoSuchHunk(_) => {
            (Kind::NotFound, Some("Ids change with the content. git_add with `list`: true shows the hunks as they are now.".to_owned()))
        }
        Git::PatchDoesNotApply(_) => (Kind::Refused, Some("Nothing has changed. Compare it with what the files hold now.".to_owned())),
        Git::NoTag(_) => (Kind::NotFound, Some("git_tag lists the tags. `tags`: true also counts those without a message.".to_owned())),
        Git::NoWorktree(_) => (Kind::NotFound, Some("git_worktree lists the worktrees.".to_owned())),
        _ => of_trust(err),
    }
}

/// Transfers without a place to go, or that have not found what they were to find. Tools name the calls that lead on.
fn of_a_direction(err: &git::Misdirected) -> (Kind, Option<String>) {
    use git::Misdirected::{FollowsLocal, Mirror, NeverFetched, NotThere, NothingFetched, SeveralRemotes, TagThere, Undecided};
    match err {
        Undecided { .. } | FollowsLocal { .. } => (Kind::Refused, Some("Name the one that is meant.".to_owned())),
        SeveralRemotes { .. } => (Kind::NotFound, Some("Name the one that is meant.".to_owned())),
        NeverFetched { .. } => (Kind::Refused, Some("git_fetch brings what is there.".to_owned())),
        NotThere { .. } | TagThere { .. } => (Kind::NotFound, Some("Name a branch or a tag that is there.".to_owned())),
        Mirror(name) => (
            Kind::Refused,
            Some(format!(
                "Push to a remote that is no mirror; git_remote_add adds one, with the same URL if that is meant. Or the operator runs `git \
                 push {name}`, which makes everything there as it is here."
            )),
        ),
        NothingFetched => (Kind::NotFound, Some("Name the branch with `branch`; git_ls_remote lists what the remote has.".to_owned())),
    }
}

/// Errors about repositories that are not what they should be, or not trusted.
fn of_trust(err: &git::Error) -> (Kind, Option<String>) {
    use git::Error as Git;
    match err {
        Git::EmbeddedBare { path } => (Kind::Denied, Some(format!("If you trust it, the operator names it with `-r {}`.", path.display()))),
        Git::Untrusted { path, .. } => {
            (Kind::Denied, Some(format!("If you trust this repository, the operator names it with `-r {}`.", path.display())))
        }
        // No command with the name of the setting in it: that is the repository's text, and a shell would read it.
        Git::UntrustedSetting { path, .. } => (
            Kind::Denied,
            Some(format!(
                "If you trust this repository, the operator names it with `-r {}`. Or remove the setting from its configuration.",
                path.display()
            )),
        ),
        Git::NoSandbox { path, .. } => (
            Kind::Denied,
            Some(format!(
                "If you trust this repository, the operator names it with `-r {}`; or allows changes without a sandbox with \
                 `sandbox = \"off\"` in {}, or MCP_GIT_SANDBOX=off.",
                path.display(),
                config_path::named()
            )),
        ),
        Git::NotReadable { .. } => (
            Kind::Denied,
            Some("Only regular files of a reasonable size are read there. Look at it with `ls -l`, and replace or remove it.".to_owned()),
        ),
        Git::Unopened { .. } => (Kind::Unreadable, Some(UNOPENED.to_owned())),
        Git::Replaced(_) => (Kind::Stale, Some("Nothing was answered from it. Repeat the call.".to_owned())),
        _ => (Kind::Internal, None),
    }
}
