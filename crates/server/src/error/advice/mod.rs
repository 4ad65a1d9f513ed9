//! What a caller gets for an error of git: its kind, its hint, when to retry, and whether to confirm.

mod access;
mod damage;
mod locks;
mod operations;
mod remotes;
mod worktrees;

use crate::{
    config_path,
    error::{ASK_FOR_LESS, Error, Kind, reason},
};
use operations::IDENTITY;
use serde_json::json;
use std::{borrow::Cow, time::Duration};

/// What a caller gets besides the text of the error.
struct Advice {
    kind: Kind,
    hint: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    asks: bool,
}

impl Kind {
    fn without_hint(self) -> Advice {
        Advice { kind: self, hint: None, retry_after: None, asks: false }
    }

    fn with(self, hint: impl Into<Cow<'static, str>>) -> Advice {
        Advice { hint: Some(hint.into()), ..self.without_hint() }
    }
}

impl From<git::Error> for Error {
    fn from(err: git::Error) -> Self {
        let Advice { kind, hint, retry_after, asks } = Advice::on(&err);
        let reason = reason::of(&err);
        let error = Self { hint: hint.map(Cow::into_owned), retry_after, asks, reason, ..Self::new(kind, err.to_string()) };
        error.because(err)
    }
}

/// The hint that a caller gets for an error of git.
pub(crate) fn hint(err: &git::Error) -> Option<String> {
    Advice::on(err).hint.map(Cow::into_owned)
}

impl Advice {
    fn retry_after(self, delay: impl Into<Option<Duration>>) -> Self {
        Self { retry_after: delay.into(), ..self }
    }

    fn asks(self) -> Self {
        Self { asks: true, ..self }
    }

    /// The only place that decides this. No arm takes what others leave, so that a new error needs its own.
    #[expect(clippy::too_many_lines, reason = "an arm for each error of git")]
    fn on(err: &git::Error) -> Self {
        use git::Error as Git;
        match err {
            // A failing disk comes first, then damage: they explain more than what git refused.
            Git::Io { .. } | Git::Sandbox(_) | Git::Unreadable { .. } | Git::Failed { .. } if err.is_storage_error() => {
                Kind::Unavailable.with(damage::STORAGE)
            }
            Git::Failed { .. } if err.is_damage_error() => Kind::Unreadable.with(damage::of_damage(err)),
            Git::Unreadable { .. } => Kind::Unreadable.with(damage::of_damage(err)),
            Git::Failed { command, stderr, .. } if access::is_of_access(command, stderr) => Kind::Refused.with(access::credentials(stderr)),
            Git::Failed { .. } => Kind::Refused.without_hint(),
            Git::GitSilent(_) => Kind::Unavailable.without_hint(),
            Git::Sandbox(_) | Git::GitUnusable(_) | Git::Engine(_) | Git::Io { .. } => Kind::Internal.without_hint(),

            // Repositories.
            Git::NotARepository { .. } => Kind::NotFound.without_hint(),
            Git::OutsideRoots { .. } => {
                Kind::Denied.with("Only repositories inside the allowed roots can be used. Ask the operator to add one with `-r PATH`.")
            }
            Git::UnsafeOwner { path } => Kind::Denied
                .with(format!("If you trust it, ask the operator to run: git config --global --add safe.directory {}", path.display())),
            Git::EmbeddedBare { path } => {
                Kind::Denied.with(format!("If you trust it, ask the operator to name it with `-r {}`.", path.display()))
            }
            Git::Untrusted { path, .. } => {
                Kind::Denied.with(format!("If you trust this repository, ask the operator to name it with `-r {}`.", path.display()))
            }
            // No command contains the name of the setting: it comes from the repository, and a shell would interpret it.
            Git::UntrustedSetting { path, .. } => Kind::Denied.with(format!(
                "If you trust this repository, ask the operator to name it with `-r {}`. Or remove the setting from its configuration.",
                path.display()
            )),
            Git::NoSandbox { path, .. } => Kind::Denied.with(format!(
                "If you trust this repository, ask the operator to name it with `-r {}`, or to allow changes without a sandbox with \
                 `sandbox = \"off\"` in {}, or MCP_GIT_SANDBOX=off.",
                path.display(),
                config_path::named()
            )),
            Git::NotReadable { .. } => Kind::Denied
                .with("Only regular files of a reasonable size are read there. Inspect it with `ls -l`, and replace or remove it."),
            Git::Unopened { .. } => Kind::Unreadable.with(damage::UNOPENED),
            Git::Replaced(_) => Kind::Stale.with("No data was returned from it. Repeat the call."),
            Git::Bare { within } => Kind::Refused.with(worktrees::of_a_bare_repository(within.as_deref())),
            Git::Misconfigured { .. } => Kind::Unreadable.with(damage::SETTING),

            // Arguments.
            Git::BadName { .. } | Git::BadPlan(_) => Kind::BadInput.without_hint(),
            Git::BadPattern(_) => Kind::BadInput.with("Escape special characters with a backslash."),
            Git::UnknownRevision(_) => {
                Kind::NotFound.with("git_branch lists branches and git_log lists commits. A branch without commits has no revision yet.")
            }
            Git::NoSuchPath { .. } => {
                Kind::NotFound.with("Paths are relative to the repository's top. git_show with `REV:DIRECTORY` lists a directory.")
            }
            Git::NoSuchHunk(_) => Kind::NotFound.with("Ids change with the content. git_add with `list`: true shows the current hunks."),
            Git::PatchDoesNotApply(_) => Kind::Refused.with("Nothing has changed. Compare it with the files' current content."),
            Git::NoTag(_) => Kind::NotFound.with("git_tag lists the tags. `tags`: true includes those without a message."),
            Git::BranchExists(name) => {
                Kind::Refused.with(format!("Use git_checkout with `branch_name`: \"{name}\", or choose another name."))
            }
            Git::Exists(_) | Git::TagExists(_) => Kind::Refused.with("Choose another name, or remove the existing one first."),
            Git::NotMerged(_) => Kind::Refused.with("Merge it, or repeat the call with `force`: true if they may be lost."),
            Git::TooLarge { .. } => Kind::Refused.with("Ask for less: a path, a range of lines."),

            // Content.
            Git::MissingObject(_) => Kind::NotFound
                .with("git_log lists commits. If a commit or a branch names it, this clone is partial or damaged: see `git fsck`."),
            Git::Incomplete(_) => Kind::Refused
                .with("`git fsck` lists missing objects; `git fetch --refetch` from a remote that has those commits restores them."),
            Git::Promised { .. } => Kind::NotFound.with("A tool that reads them, such as git_show or git_diff, fetches them."),
            Git::Unrelated { shallow: true } | Git::Boundary(_) => {
                Kind::Refused.with("git_fetch with `depth`: 0 gets all of the history, a larger `depth` more of it.")
            }
            Git::Unrelated { shallow: false } => {
                Kind::Refused.with("git_diff compares them without `merge_base`, and git_cherry_pick applies single commits.")
            }
            Git::FilterFailed { said, .. } => Kind::Refused.with(damage::of_a_filter(said)),
            Git::NotCompared { .. } => Kind::Refused.with(
                "Name a revision, such as HEAD. git_diff {\"scope\":\"staged\"} compares it once git_add has staged it, which \
                 runs filters if the operator has named the repository.",
            ),
            Git::NotKept(_) => Kind::Refused.with(operations::FIX),
            Git::Ignored(_) => Kind::Refused.with("If they are meant to be tracked, repeat git_add with `force`: true."),
            Git::Submodule { path, id } => {
                Kind::Refused.with(format!("Call the tool with `repo_path`: the submodule's own folder, `{path}`, and that commit: {id}."))
            }
            Git::InSubmodule(why) => Kind::Refused.with(worktrees::of_a_submodule(why)),

            // Changes and operations.
            Git::NothingStaged => Kind::Refused.with("Stage changes with git_add first; git_status lists them."),
            Git::NoIdentity => Kind::Refused.with(format!("{IDENTITY}.")),
            Git::Halted(halt) => Kind::Refused.with(operations::of_a_halt(halt)),
            Git::HeadMoved { .. } => Kind::Refused.with("git_log shows the commits made meanwhile, and git_status what is left to commit."),
            Git::WouldLose(_) => {
                Kind::Refused.with("Move them elsewhere first, or repeat the call with `confirm`: true if they may be lost.").asks()
            }
            Git::Markers(_) => Kind::Refused
                .with("Edit the files, git_add them and repeat the call; with `confirm`: true if those lines are meant.")
                .asks(),
            Git::Uncommitted(_) => {
                Kind::Refused.with("Commit them, or stash them with git_stash; afterwards git_stash {\"action\":\"pop\"} restores them.")
            }
            Git::WouldOverwrite(_) => Kind::Refused.with("Move them away or stage them with git_add first."),
            Git::NotUndone(_) => Kind::Refused.with("git_log and git_status show the current state; git_reset moves HEAD."),
            Git::NotDropped { number, .. } => Kind::Refused.with(operations::of_an_undropped_entry(*number)),
            Git::NotPreviewed { .. } => {
                Kind::Refused.with("git_merge runs it if the operator has named the repository; git_undo undoes the merge.")
            }
            Git::HalfStashed { .. } => {
                Kind::Refused.with("To restore all of it: git_reset with `mode`: \"hard\", then git_stash with `action`: \"pop\".")
            }
            Git::Unmerged(_) => Kind::Refused
                .with("git_conflicts shows them and takes a side; git_add marks an edited file as resolved. Then repeat the call."),
            Git::Stopped { resumes: false, .. } | Git::Blocked { resumes: false, .. } => {
                Kind::Refused.with("git_abort restores the state before it. Remove the cause, then start it again.")
            }
            Git::Stopped { paths, .. } if paths.is_empty() => {
                Kind::Refused.with("Remove the cause. Then git_continue, or git_abort to restore the state before it.")
            }
            Git::Stopped { .. } => Kind::Refused.with(
                "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved. Then git_continue, \
                 or git_abort to restore the state before it.",
            ),
            Git::Blocked { .. } => {
                Kind::Refused.with("Move those files away, or stash them with git_stash. Then git_continue, or git_abort to abort it.")
            }
            Git::Unstaged { paths, .. } => Kind::Refused.with(format!(
                "git_add adds them to this commit; git_stash {} stashes them. Then git_continue.",
                json!({"action": "push", "paths": paths})
            )),
            Git::SearchStartGone(branch) => Kind::Refused.with(format!(
                "git_create_branch {} creates it again, at the checked-out commit. Then git_abort.",
                json!({"branch_name": branch})
            )),
            Git::InProgress(operation) if operation == "bisect" => Kind::Refused.with("End it with git_abort first."),
            Git::InProgress(_) => Kind::Refused.with("Finish it with git_continue, or abort it with git_abort, first."),
            Git::NothingInProgress => Kind::Refused.with("git_status shows the current state."),
            Git::NotInConflict(_) => Kind::NotFound.with("git_conflicts without arguments lists the conflicts."),
            Git::Conflicts { stash, .. } => Kind::Refused.with(operations::of_conflicts(*stash)),
            Git::Empty { stopped: true, .. } => {
                Kind::Refused.with("git_continue {\"skip\":true} skips it; git_abort restores the state before it.")
            }
            Git::Empty { stopped: false, .. } => Kind::Refused.with("Nothing has changed, and nothing is in progress."),

            // Remotes.
            Git::NoRemote(_) => Kind::NotFound.with("git_remote_list shows the remotes; git_remote_add adds one."),
            Git::RemoteExists(_) => Kind::Refused.with("git_remote_set_url points it elsewhere."),
            Git::ProtocolOff(name) => Kind::Denied.with(remotes::of_a_protocol(name)),
            Git::PrivateAddress { host, .. } => Kind::Denied.with(format!(
                "Ask the operator to allow it with `allow_hosts = [\"{host}\"]` below [network] in {}, or with \
                 MCP_GIT_ALLOW_HOSTS={host}.",
                config_path::named()
            )),
            Git::UnknownHost(_) => Kind::NotFound.with("git_remote_list shows the URLs of the remotes."),
            Git::Http { status, retry_after, .. } => access::http(*status).retry_after(*retry_after),
            Git::Unreachable { said, .. } => {
                Kind::Unreachable.with(format!("The remote, or the network path to it, failed. {}", access::credentials(said)))
            }
            Git::CircuitOpen { paused: true, retry_after, .. } => {
                Kind::RateLimited.with("Continue with local data and try again later.").retry_after(*retry_after)
            }
            Git::CircuitOpen { paused: false, retry_after, .. } => Kind::CircuitOpen
                .with("Continue with local data and try again later. `mcp-server-git circuits list` shows why.")
                .retry_after(*retry_after),
            Git::Rejected { push: true, .. } => Kind::Refused.with(remotes::REJECTED),
            Git::Rejected { push: false, .. } => Kind::Refused.with(remotes::NOT_FETCHED),
            Git::Misdirected(err) => remotes::of_a_direction(err),

            // Worktrees and locks.
            Git::NoWorktree(_) => Kind::NotFound.with("git_worktree lists the worktrees."),
            Git::CheckedOut { place, gone: true, locked, .. } | Git::WorktreeGone { place, locked } => {
                Kind::Refused.with(worktrees::of_a_vanished_worktree(place, *locked))
            }
            Git::CheckedOut { place, gone: false, .. } => {
                Kind::Refused.with(format!("Pass \"repo_path\": {} to work there, or check something else out there.", json!(place)))
            }
            Git::WorktreeLocked { place, .. } => Kind::Refused
                .with(format!("If it may be removed: git_worktree {}. Then repeat the call.", json!({"action": "unlock", "path": place}))),
            Git::WorktreeBroken { main, gone, .. } => Kind::Refused.with(worktrees::of_a_broken_worktree(main, *gone)),
            Git::Locked(lock) => locks::of_a_lock(lock),
            Git::Occupied { .. } => Kind::Busy.with("Try again when that change has ended.").retry_after(locks::RETRY),

            // Ends of calls.
            Git::Cancelled => Kind::Cancelled.without_hint(),
            Git::TimedOut => Kind::TimedOut.with(ASK_FOR_LESS),
            Git::CutOff { .. } => Kind::TimedOut.with("Repeat the call."),
        }
    }
}
