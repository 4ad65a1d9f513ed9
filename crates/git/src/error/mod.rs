//! Repository errors, classified by exit codes, porcelain output and configuration.

mod child;
mod halt;
mod in_submodule;
mod lock_file;
mod misdirected;
mod new;

pub use child::{Child, Signer};
pub(crate) use halt::words;
pub use halt::{FailedHook, Halt};
pub use in_submodule::{InSubmodule, Obstacle};
pub use lock_file::{Holder, LockFile, Owner};
pub use misdirected::{Misdirected, Unpushed};
use std::{io, path::PathBuf, time::Duration};

/// The errno of a failing disk.
pub(crate) const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a repository.
///
/// git's own text is kept for the reader and never decides the variant.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No repository at the path or above it within the allowed roots.
    #[error("not a git repository: {}", path.display())]
    NotARepository {
        /// The requested path.
        path: PathBuf,
    },
    /// The path, or a path that it refers to, lies outside the allowed roots.
    #[error("{what} is outside the allowed roots: {}", path.display())]
    OutsideRoots {
        /// The requested or found path.
        path: PathBuf,
        /// The part of the repository.
        what: &'static str,
    },
    /// The repository belongs to another user and is not listed in `safe.directory`.
    #[error("the repository at {} is owned by another user", path.display())]
    UnsafeOwner {
        /// The directory with the foreign owner.
        path: PathBuf,
    },
    /// A bare repository inside another repository's working tree.
    #[error("{} is a bare repository embedded in a working tree", path.display())]
    EmbeddedBare {
        /// The embedded repository.
        path: PathBuf,
    },
    /// A change would run a program named by an untrusted repository.
    #[error("{} is not trusted, and this change would run its {program}", path.display())]
    Untrusted {
        /// The worktree.
        path: PathBuf,
        /// The program that would have run.
        program: String,
    },
    /// The configuration of an untrusted repository has a setting that could affect a change.
    #[error("{} is not trusted, and its own configuration sets `{key}`", path.display())]
    UntrustedSetting {
        /// The worktree.
        path: PathBuf,
        /// The setting.
        key: String,
    },
    /// A change in an untrusted repository on a machine without a usable sandbox.
    #[error("{} is not trusted, and changes in it need a sandbox: {why}", path.display())]
    NoSandbox {
        /// The worktree.
        path: PathBuf,
        /// The missing feature.
        why: &'static str,
    },
    /// The sandbox for git could not be created.
    #[error("the sandbox for git failed: {0}")]
    Sandbox(io::Error),
    /// A file of the repository that cannot be read in its current state.
    #[error("{} {why}", path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// The problem, as the rest of a sentence.
        why: &'static str,
    },
    /// A part of the repository was replaced during a call.
    #[error("{} was replaced during the call", .0.display())]
    Replaced(PathBuf),
    /// The operation needs a working tree, but the repository is bare.
    #[error("this repository is bare: {}", match .within { Some(dir) => format!("`core.bare` is true in {}", dir.join(".git/config").display()), None => "it has no working tree".to_owned() })]
    Bare {
        /// The folder that contains it, if it is named `.git` as in a working tree.
        within: Option<PathBuf>,
    },
    /// An invalid revision, branch name or path.
    #[error("`{value}` cannot be used as {what}: {why}")]
    BadName {
        /// The given value.
        value: String,
        /// The expected kind of value.
        what: &'static str,
        /// The violated rule.
        why: &'static str,
    },
    /// A search pattern that is not a regular expression.
    #[error("the pattern is not a regular expression: {0}")]
    BadPattern(String),
    /// A revision that does not resolve.
    #[error("unknown revision `{0}`")]
    UnknownRevision(String),
    /// A path that exists neither in the revision nor in the working tree.
    #[error("no `{path}` in {place}")]
    NoSuchPath {
        /// The path.
        path: String,
        /// The searched place.
        place: String,
    },
    /// An object is missing: the repository is a partial or broken clone.
    #[error("object {0} is missing from this repository")]
    MissingObject(String),
    /// Content that a change would write is missing, so the change was not started: paths with their objects.
    #[error("nothing was changed: content to be written is missing from this repository: {}", .0.join(", "))]
    Incomplete(Vec<String>),
    /// A required filter failed on a file.
    #[error("{}a filter failed: {said}", if *.unchanged { "nothing was changed: " } else { "" })]
    FilterFailed {
        /// Whether the change was not started for this reason.
        unchanged: bool,
        /// The output of git and the filter, on one line.
        said: String,
    },
    /// Content that a change would overwrite could not be saved first, so the change was not started.
    #[error("nothing was changed: file contents cannot be saved for git_undo: {0}")]
    NotKept(String),
    /// git rejected a configuration setting.
    #[error("a setting of git's configuration is wrong: {said}")]
    Misconfigured {
        /// git's own line, which names the setting and its location.
        said: String,
    },
    /// A stash entry was applied completely, but a hook prevented dropping it.
    #[error("stash entry {id} was applied but not dropped: {halt}{}", if .halt.said.is_empty() { String::new() } else { format!("; it wrote:\n{}", .halt.said) })]
    NotDropped {
        /// The entry.
        id: gix::ObjectId,
        /// Its number, if still listed.
        number: Option<usize>,
        /// Why git stopped.
        halt: Box<Halt>,
    },
    /// A preview would have to run a merge driver.
    #[error("a preview runs no merge driver, and `{path}` is merged by `{driver}`")]
    NotPreviewed {
        /// A file merged by the driver.
        path: String,
        /// The driver.
        driver: String,
    },
    /// A stash was created, but its changes could not be removed from all files.
    #[error("the changes are stashed as stash@{{0}} ({id}), but git failed to remove them from the files: {said}")]
    HalfStashed {
        /// The entry.
        id: gix::ObjectId,
        /// git's output.
        said: String,
    },
    /// Two commits without a common ancestor; in a shallow history, none among the available commits.
    #[error("the two commits have no common ancestor{}", if *.shallow { " here: history is shallow" } else { ": their histories are unrelated" })]
    Unrelated {
        /// Whether missing commits could contain the ancestor.
        shallow: bool,
    },
    /// A commit at the shallow boundary, whose changes are needed.
    #[error("history is shallow and ends at {0}: its parents are missing, so its changes are unknown")]
    Boundary(gix::ObjectId),
    /// Objects that this call needs and a partial clone omits.
    #[error("{} that this call needs {} not in this partial clone ({})", if .missing.len() == 1 { "one object".to_owned() } else { format!("{} objects", .missing.len()) }, if .missing.len() == 1 { "is" } else { "are" }, .missing.first().map(ToString::to_string).unwrap_or_default() + if .missing.len() > 1 { ", …" } else { "" })]
    Promised {
        /// The objects.
        missing: Vec<gix::ObjectId>,
        /// The remote that has them.
        remote: String,
    },
    /// A path that is a submodule: it refers to a commit of another repository.
    #[error("`{path}` is a submodule, at commit {id} of its own repository")]
    Submodule {
        /// The path.
        path: String,
        /// The commit.
        id: gix::ObjectId,
    },
    /// A submodule that cannot be updated because of the state of its folder or git directory.
    #[error("{0}")]
    InSubmodule(Box<InSubmodule>),
    /// A file that can only be compared with a filter, which reads do not run.
    #[error("`{path}` is not compared with its revisions: reads do not run its filter {filter}")]
    NotCompared {
        /// The file.
        path: String,
        /// The filter driver.
        filter: String,
    },
    /// Paths to add that the ignore rules exclude.
    #[error("ignored by .gitignore: {}", .0.join(", "))]
    Ignored(Vec<String>),
    /// A commit with nothing staged.
    #[error("nothing is staged to commit")]
    NothingStaged,
    /// Unmerged paths block the operation.
    #[error("unresolved conflicts in {}", .0.join(", "))]
    Unmerged(Vec<String>),
    /// An operation stopped at conflicts and is in progress.
    #[error("the {operation} has stopped{}", if .paths.is_empty() { format!(": {why}") } else { format!(" at conflicts in {}", .paths.join(", ")) })]
    Stopped {
        /// The operation and its current step.
        operation: String,
        /// The paths in conflict.
        paths: Vec<String>,
        /// The reason, if nothing is in conflict.
        why: String,
        /// Whether it can be continued.
        resumes: bool,
    },
    /// An operation stopped before a step that it could not start.
    #[error("the {operation} has stopped before `{step}`: {why}")]
    Blocked {
        /// The operation and its current step.
        operation: String,
        /// The step, as in git's todo list.
        step: String,
        /// The reason.
        why: String,
        /// Whether it can be continued with that step.
        resumes: bool,
    },
    /// A hook or another process moved `HEAD` during a commit.
    #[error("HEAD moved from {from} to {to} during the commit, by a hook or another process; nothing was committed")]
    HeadMoved {
        /// Its old commit.
        from: String,
        /// Its new commit.
        to: String,
    },
    /// Unstaged changes prevent continuing an operation.
    #[error("the {operation} cannot continue with unstaged changes: {}", .paths.join(", "))]
    Unstaged {
        /// The operation and its current step.
        operation: String,
        /// The files.
        paths: Vec<String>,
    },
    /// A bisect cannot return to its starting branch.
    #[error("the bisect started on `{0}`, which no longer exists")]
    SearchStartGone(String),
    /// Conflict markers are staged.
    #[error("conflict markers are staged at {}", .0.join(", "))]
    Markers(Vec<String>),
    /// A change left conflicts without an operation in progress.
    #[error("the {change} has left conflicts in {}{}", .paths.join(", "), .stash.map(|number| format!("; the entry is kept as stash@{{{number}}}")).unwrap_or_default())]
    Conflicts {
        /// The change that left them.
        change: String,
        /// The paths in conflict.
        paths: Vec<String>,
        /// The number of the applied stash.
        stash: Option<usize>,
    },
    /// An empty step of an operation.
    #[error("the {operation} {} nothing here: its changes are already present", if *.stopped { "has stopped at a commit that changes" } else { "changes" })]
    Empty {
        /// The operation and its current step.
        operation: String,
        /// Whether it is in progress.
        stopped: bool,
    },
    /// A hook, the signing program or a missing identity stopped a change.
    #[error("{}{}{}", .0, if .0.done.is_empty() { String::new() } else { format!("; took effect: {}", .0.done.join("; ")) }, if .0.said.is_empty() { String::new() } else { format!("; it wrote:\n{}", .0.said) })]
    Halted(Box<Halt>),
    /// Another operation must end first.
    #[error("a {0} is in progress")]
    InProgress(String),
    /// Edits that would be overwritten.
    #[error("edits would be lost in {}", .0.join(", "))]
    WouldLose(Vec<String>),
    /// Uncommitted changes to tracked files that git would overwrite.
    #[error("uncommitted changes would be overwritten: {}", .0.join(", "))]
    Uncommitted(Vec<String>),
    /// Untracked files that would be overwritten.
    #[error("untracked files would be overwritten: {}", .0.join(", "))]
    WouldOverwrite(Vec<String>),
    /// No operation in progress to continue or abort.
    #[error("no merge, rebase, cherry-pick, revert or bisect is in progress")]
    NothingInProgress,
    /// An invalid plan or list of commits.
    #[error("{0}")]
    BadPlan(String),
    /// A path without a conflict.
    #[error("`{0}` is not in conflict")]
    NotInConflict(String),
    /// No author or committer identity is configured.
    #[error("no identity is configured for commits")]
    NoIdentity,
    /// The branch to create already exists.
    #[error("a branch named `{0}` already exists")]
    BranchExists(String),
    /// A change that cannot be undone.
    #[error("the change cannot be undone: {0}")]
    NotUndone(String),
    /// No such remote.
    #[error("there is no remote called `{0}`")]
    NoRemote(String),
    /// The remote already exists.
    #[error("a remote called `{0}` exists already")]
    RemoteExists(String),
    /// The path already exists.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The protocol of a remote is not enabled.
    #[error("the protocol `{0}` is disabled")]
    ProtocolOff(String),
    /// A remote on this machine or in a private network.
    #[error("`{host}` is at {address}, which is not an address of the public internet")]
    PrivateAddress {
        /// The host in the URL.
        host: String,
        /// Its address.
        address: std::net::IpAddr,
    },
    /// A remote's host name does not resolve.
    #[error("the host `{0}` could not be resolved")]
    UnknownHost(String),
    /// A remote answered an HTTP request with an error status or a redirect.
    #[error("the remote answered git {command} with HTTP status {status}{}: {said}", if .location.is_empty() { String::new() } else { format!(" and redirected to {}", .location) })]
    Http {
        /// The sub-command.
        command: String,
        /// The status.
        status: u16,
        /// The target of the redirect; empty if none.
        location: String,
        /// git's output.
        said: String,
        /// Delay before a retry, if the remote names one.
        retry_after: Option<Duration>,
    },
    /// A remote did not answer, or the connection was interrupted.
    #[error("the remote could not be reached for git {command}: {said}")]
    Unreachable {
        /// The sub-command.
        command: String,
        /// git's output.
        said: String,
    },
    /// A remote is known to be down or rate limits requests, and was not contacted.
    #[error("the circuit `{name}` is open: {}", if *.paused { "the remote rate limits requests" } else { "the remote has failed too often" })]
    CircuitOpen {
        /// The circuit.
        name: String,
        /// Whether the remote asked for a pause; otherwise it failed.
        paused: bool,
        /// Delay before the next attempt.
        retry_after: Duration,
    },
    /// The remote or git refused to update references.
    #[error("refused: {}{}", .refs.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "), if .said.is_empty() { String::new() } else { format!("\ngit, its hooks and the remote wrote: {}", .said) })]
    Rejected {
        /// Each reference with git's reason.
        refs: Vec<(String, String)>,
        /// The remote's output.
        said: String,
        /// Whether it was a push.
        push: bool,
    },
    /// A transfer without a definite source or destination.
    #[error(transparent)]
    Misdirected(Misdirected),
    /// A branch with unmerged commits.
    #[error("the branch `{0}` has commits that are neither in its upstream nor in HEAD")]
    NotMerged(String),
    /// The tag already exists.
    #[error("a tag named `{0}` already exists")]
    TagExists(String),
    /// No tag describes a commit.
    #[error("no tag leads to `{0}`")]
    NoTag(String),
    /// No such worktree.
    #[error("there is no worktree at {}", .0.display())]
    NoWorktree(PathBuf),
    /// A branch that is checked out in a worktree.
    #[error("`{name}` is checked out at {}{}", place.display(), if *.gone { ", a worktree whose folder is gone" } else { "" })]
    CheckedOut {
        /// The branch.
        name: String,
        /// The worktree.
        place: PathBuf,
        /// Whether its folder is missing.
        gone: bool,
        /// Whether it is locked.
        locked: bool,
    },
    /// A registered worktree whose folder is missing.
    #[error("{} is a registered worktree whose folder is gone", place.display())]
    WorktreeGone {
        /// The worktree.
        place: PathBuf,
        /// Whether it is locked.
        locked: bool,
    },
    /// A locked worktree.
    #[error("the worktree at {} is locked{}", place.display(), if .reason.is_empty() { String::new() } else { format!(": {}", .reason) })]
    WorktreeLocked {
        /// The worktree.
        place: PathBuf,
        /// The reason; empty if none was given.
        reason: String,
    },
    /// A worktree whose `.git` file does not point to this repository.
    #[error("{} {}", place.join(".git").display(), if *.gone { "is missing" } else { "does not point to this repository" })]
    WorktreeBroken {
        /// The worktree.
        place: PathBuf,
        /// The git directory of the repository.
        main: PathBuf,
        /// Whether the file is missing.
        gone: bool,
    },
    /// A hunk that does not exist or no longer does.
    #[error("there is no hunk `{0}`")]
    NoSuchHunk(String),
    /// A patch that does not apply.
    #[error("the patch does not apply: {0}")]
    PatchDoesNotApply(String),
    /// git refused or failed, with a reason.
    #[error("git {command} failed ({exit}): {stderr}")]
    Failed {
        /// The sub-command.
        command: String,
        /// Exit code or signal, in words.
        exit: String,
        /// The output of git and its hooks, truncated.
        stderr: String,
    },
    /// git cannot open the repository because of its format, its configuration or its `HEAD`.
    #[error("git cannot open this repository: {said}")]
    Unopened {
        /// The reason, one line of git's output.
        said: String,
    },
    /// git aborted because it could not read something.
    #[error("git cannot read this repository: {said}")]
    Unreadable {
        /// The reason, one line of git's output.
        said: String,
    },
    /// A lock is held: of the index, `HEAD`, a reference or the configuration.
    #[error("{0}")]
    Locked(LockFile),
    /// Another call or another server is changing the repository.
    #[error("{} is being changed: {holder}", path.display())]
    Occupied {
        /// The locked path.
        path: PathBuf,
        /// The holder of the lock and the time it was acquired.
        holder: String,
    },
    /// The caller cancelled the call.
    #[error("the call was cancelled")]
    Cancelled,
    /// The deadline passed.
    #[error("the call exceeded its deadline")]
    TimedOut,
    /// The deadline passed during a change.
    #[error("the call exceeded its deadline while git {command} ran{}", .running.as_ref().map(|child| format!("; {child} was running")).unwrap_or_default())]
    CutOff {
        /// The sub-command.
        command: String,
        /// The process that it was waiting for, if known.
        running: Option<Child>,
    },
    /// No usable git program.
    #[error("{0}")]
    GitUnusable(String),
    /// The git program did not report its version in time. A later attempt may succeed.
    #[error("{0}")]
    GitSilent(String),
    /// A value over the size limit of one call.
    #[error("{what} is {size} {unit}, over the limit of {limit}")]
    TooLarge {
        /// What was read.
        what: String,
        /// Its size, up to the first unit over the limit.
        size: u64,
        /// What is counted, mostly bytes.
        unit: &'static str,
        /// The limit, in the same unit.
        limit: u64,
    },
    /// The in-process engine could not read the repository.
    #[error("the repository could not be read: {0}")]
    Engine(String),
    /// Input or output failed.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted action.
        doing: String,
        /// The cause.
        source: io::Error,
    },
}
