//! What can go wrong with a repository, decided from exit codes, porcelain and configuration.

mod child;
mod halt;
mod lock_file;
mod misdirected;
mod new;

pub use child::Child;
pub(crate) use halt::words;
pub use halt::{FailedHook, Halt};
pub use lock_file::{Holder, LockFile, Owner};
pub use misdirected::Misdirected;
use std::{io, path::PathBuf, time::Duration};

/// What the system says of a disk that fails.
pub(crate) const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed operation on a repository.
///
/// Text that git wrote is carried along for the reader, and never decides which variant is built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No repository at the path, nor above it within the allowed roots.
    #[error("not a git repository: {}", path.display())]
    NotARepository {
        /// What was asked for.
        path: PathBuf,
    },
    /// The path, or something it leads to, lies outside the allowed roots.
    #[error("{what} is outside the allowed roots: {}", path.display())]
    OutsideRoots {
        /// What was asked for or found.
        path: PathBuf,
        /// Which part of the repository it is.
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
    /// A change would run a program that an untrusted repository names.
    #[error("{} is not trusted, and this change would run its {program}", path.display())]
    Untrusted {
        /// The worktree.
        path: PathBuf,
        /// What would have run.
        program: String,
    },
    /// The configuration of an untrusted repository has a setting that could take part in a change.
    #[error("{} is not trusted, and its own configuration sets `{key}`", path.display())]
    UntrustedSetting {
        /// The worktree.
        path: PathBuf,
        /// The setting.
        key: String,
    },
    /// A change in an untrusted repository that nothing on this machine could hold.
    #[error("{} is not trusted, and changes in it need a sandbox: {why}", path.display())]
    NoSandbox {
        /// The worktree.
        path: PathBuf,
        /// What is missing.
        why: &'static str,
    },
    /// The sandbox for git could not be made.
    #[error("the sandbox for git failed: {0}")]
    Sandbox(io::Error),
    /// A file of the repository that is not read as it is.
    #[error("{} {why}", path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, as the rest of a sentence.
        why: &'static str,
    },
    /// A part of the repository was replaced while a call was at work.
    #[error("{} was replaced during the call", .0.display())]
    Replaced(PathBuf),
    /// The operation needs a working tree and the repository is bare.
    #[error("this repository is bare: {}", match .within { Some(dir) => format!("`core.bare` is true in {}", dir.join(".git/config").display()), None => "it has no working tree".to_owned() })]
    Bare {
        /// The folder with it, where it is where that of a working tree is.
        within: Option<PathBuf>,
    },
    /// A revision, branch name or path that cannot be one.
    #[error("`{value}` cannot be used as {what}: {why}")]
    BadName {
        /// What was given.
        value: String,
        /// What was wanted.
        what: &'static str,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A search pattern that is not a regular expression.
    #[error("the pattern is not a regular expression: {0}")]
    BadPattern(String),
    /// A revision that names nothing.
    #[error("unknown revision `{0}`")]
    UnknownRevision(String),
    /// A path that is neither in the revision nor in the working tree.
    #[error("no `{path}` in {place}")]
    NoSuchPath {
        /// The path.
        path: String,
        /// Where it was looked for.
        place: String,
    },
    /// An object is missing here; the repository is a partial or a broken clone.
    #[error("object {0} is missing from this repository")]
    MissingObject(String),
    /// Content that a change would write is missing here, so that it was not begun: paths with their objects.
    #[error("nothing was changed: content to be written is missing from this repository: {}", .0.join(", "))]
    Incomplete(Vec<String>),
    /// A filter, which has to be gone through, failed on a file.
    #[error("{}a filter fails: {said}", if *.unchanged { "nothing was changed: " } else { "" })]
    FilterFailed {
        /// A change was not begun for it.
        unchanged: bool,
        /// What git and the filter wrote, on one line.
        said: String,
    },
    /// What a change would overwrite could not be kept before, so that it was not begun.
    #[error("nothing was changed: what files hold cannot be kept for git_undo: {0}")]
    NotKept(String),
    /// A setting that git takes for a mistake has ended it.
    #[error("a setting of git's configuration is wrong: {said}")]
    Misconfigured {
        /// Which and where, on one line of git's own words.
        said: String,
    },
    /// An entry of the stash was brought back whole, and a hook keeps it from being dropped.
    #[error("the changes of the entry {id} are brought back, and it is not dropped: {halt}{}", if .halt.said.is_empty() { String::new() } else { format!("; it wrote:\n{}", .halt.said) })]
    NotDropped {
        /// The entry.
        id: gix::ObjectId,
        /// Its number, where it is still listed.
        number: Option<usize>,
        /// What stopped git.
        halt: Box<Halt>,
    },
    /// A merge driver would have to run for a preview.
    #[error("a preview runs no merge driver, and `{path}` is merged by `{driver}`")]
    NotPreviewed {
        /// A file that it may merge.
        path: String,
        /// The driver.
        driver: String,
    },
    /// A stash was made, and what it holds could not be taken out of all files.
    #[error("the changes are stashed whole, as stash@{{0}} ({id}), and git failed to take them out of the files: {said}")]
    HalfStashed {
        /// The entry.
        id: gix::ObjectId,
        /// What git wrote.
        said: String,
    },
    /// Two commits without a common ancestor; in a shallow history, among the commits that are here.
    #[error("the two have no commit in common{}", if *.shallow { " in what is here: history is shallow" } else { ": their histories are unrelated" })]
    Unrelated {
        /// Commits are missing that could be that ancestor.
        shallow: bool,
    },
    /// A commit at which a shallow history ends, where what it changed is needed.
    #[error("history is shallow and ends at {0}: its parents, which say what it changed, are not here")]
    Boundary(gix::ObjectId),
    /// Objects that a partial clone leaves out, and that are needed now.
    #[error("{} that this call needs {} not in this partial clone ({})", if .missing.len() == 1 { "one object".to_owned() } else { format!("{} objects", .missing.len()) }, if .missing.len() == 1 { "is" } else { "are" }, .missing.first().map(ToString::to_string).unwrap_or_default() + if .missing.len() > 1 { ", …" } else { "" })]
    Promised {
        /// The objects.
        missing: Vec<gix::ObjectId>,
        /// The remote that has them.
        remote: String,
    },
    /// A path that is a submodule: what it names is a commit of another repository.
    #[error("`{path}` is a submodule, at commit {id} of its own repository")]
    Submodule {
        /// The path.
        path: String,
        /// The commit.
        id: gix::ObjectId,
    },
    /// A submodule that cannot be brought to what is recorded, for what is in its folder or in its git directory.
    #[error("the submodule `{path}` stays as it is: {cause}")]
    InSubmodule {
        /// The submodule.
        path: String,
        /// Its folder.
        place: PathBuf,
        /// What is in the way.
        cause: Box<Error>,
    },
    /// A file whose lines only a filter could compare that reads do not run.
    #[error("`{path}` is not compared with its revisions: reads do not run its filter {filter}")]
    NotCompared {
        /// The file.
        path: String,
        /// The filter driver.
        filter: String,
    },
    /// Paths that the ignore rules exclude were to be added.
    #[error("ignored by .gitignore: {}", .0.join(", "))]
    Ignored(Vec<String>),
    /// A commit with nothing staged.
    #[error("nothing is staged to commit")]
    NothingStaged,
    /// Unmerged paths stand in the way.
    #[error("unresolved conflicts in {}", .0.join(", "))]
    Unmerged(Vec<String>),
    /// An operation stopped at conflicts and is in progress.
    #[error("the {operation} has stopped{}", if .paths.is_empty() { format!(": {why}") } else { format!(" at conflicts in {}", .paths.join(", ")) })]
    Stopped {
        /// The operation, and which step it is at.
        operation: String,
        /// The paths in conflict.
        paths: Vec<String>,
        /// Why, where nothing is in conflict.
        why: String,
        /// It can be continued.
        resumes: bool,
    },
    /// An operation stopped before a step that it could not begin with.
    #[error("the {operation} has stopped before `{step}`: {why}")]
    Blocked {
        /// The operation, and which step it is at.
        operation: String,
        /// The step, as git's list has it.
        step: String,
        /// What was in the way.
        why: String,
        /// It can be continued with that step.
        resumes: bool,
    },
    /// A hook or another process has moved `HEAD` while a commit was being made.
    #[error("HEAD moved from {from} to {to} while the commit was being made, by a hook or another process; it was not made")]
    HeadMoved {
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// Edits that are not staged keep an operation from going on.
    #[error("the {operation} does not go on with edits that are not staged: {}", .paths.join(", "))]
    Unstaged {
        /// The operation, and which step it is at.
        operation: String,
        /// The files.
        paths: Vec<String>,
    },
    /// A bisect cannot go back to where it began.
    #[error("the bisect began on `{0}`, which is gone")]
    SearchStartGone(String),
    /// Lines that git has written into files to show a conflict are staged.
    #[error("conflict markers are staged at {}", .0.join(", "))]
    Markers(Vec<String>),
    /// A change that is no operation in progress has left conflicts.
    #[error("the {change} has left conflicts in {}{}", .paths.join(", "), .stash.map(|number| format!("; the entry is still there as stash@{{{number}}}")).unwrap_or_default())]
    Conflicts {
        /// What has left them.
        change: String,
        /// The paths in conflict.
        paths: Vec<String>,
        /// The number of the stash that was brought back.
        stash: Option<usize>,
    },
    /// A step of an operation changes nothing.
    #[error("the {operation} {} nothing here: what it does is there already", if *.stopped { "has stopped at a commit that changes" } else { "changes" })]
    Empty {
        /// The operation, and which step it is at.
        operation: String,
        /// It is in progress.
        stopped: bool,
    },
    /// A hook, the program that signs or the want of an identity has stopped a change.
    #[error("{}{}{}", .0, if .0.done.is_empty() { String::new() } else { format!("; took effect: {}", .0.done.join("; ")) }, if .0.said.is_empty() { String::new() } else { format!("; it wrote:\n{}", .0.said) })]
    Halted(Box<Halt>),
    /// Another operation has to be ended first.
    #[error("a {0} is in progress")]
    InProgress(String),
    /// Edits that would be overwritten.
    #[error("edits would be lost in {}", .0.join(", "))]
    WouldLose(Vec<String>),
    /// Uncommitted changes of tracked files that git would overwrite.
    #[error("uncommitted changes would be overwritten: {}", .0.join(", "))]
    Uncommitted(Vec<String>),
    /// Untracked files that would be overwritten.
    #[error("untracked files would be overwritten: {}", .0.join(", "))]
    WouldOverwrite(Vec<String>),
    /// Nothing is in progress that could be continued or aborted.
    #[error("no merge, rebase, cherry-pick, revert or bisect is in progress")]
    NothingInProgress,
    /// A plan or a list of commits that makes no sense.
    #[error("{0}")]
    BadPlan(String),
    /// A path without a conflict.
    #[error("`{0}` is not in conflict")]
    NotInConflict(String),
    /// No author or committer identity is configured.
    #[error("no identity is configured for commits")]
    NoIdentity,
    /// The branch to create is there already.
    #[error("a branch named `{0}` already exists")]
    BranchExists(String),
    /// A change that cannot be taken back.
    #[error("the change cannot be undone: {0}")]
    NotUndone(String),
    /// There is no such remote.
    #[error("there is no remote called `{0}`")]
    NoRemote(String),
    /// There is such a remote already.
    #[error("a remote called `{0}` exists already")]
    RemoteExists(String),
    /// Something is in the way.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The protocol of a remote is not switched on.
    #[error("the protocol `{0}` is switched off")]
    ProtocolOff(String),
    /// A remote is on the machine or in a private network.
    #[error("`{host}` is at {address}, which is not an address of the public internet")]
    PrivateAddress {
        /// As the URL names it.
        host: String,
        /// What that is.
        address: std::net::IpAddr,
    },
    /// The name of a remote's host is not known.
    #[error("the host `{0}` is not known")]
    UnknownHost(String),
    /// A remote answered a request over HTTP with something else than success.
    #[error("the remote answered git {command} with HTTP status {status}{}: {said}", if .location.is_empty() { String::new() } else { format!(" and sent it to {}", .location) })]
    Http {
        /// The sub-command.
        command: String,
        /// The status.
        status: u16,
        /// Where the remote sent the request; empty where it did not.
        location: String,
        /// What git wrote.
        said: String,
        /// When to try again, where the remote says so.
        retry_after: Option<Duration>,
    },
    /// A remote did not answer, or its answer broke off.
    #[error("the remote could not be reached for git {command}: {said}")]
    Unreachable {
        /// The sub-command.
        command: String,
        /// What git wrote.
        said: String,
    },
    /// A remote is known to be down, or wants a pause, and was not asked.
    #[error("the circuit `{name}` is open: {}", if *.paused { "the remote asks to be asked less often" } else { "the remote has failed too often to be asked now" })]
    CircuitOpen {
        /// The circuit.
        name: String,
        /// The remote asked for a pause; otherwise it has failed.
        paused: bool,
        /// When it is asked again.
        retry_after: Duration,
    },
    /// A remote, or git on its behalf, refused references.
    #[error("refused: {}{}", .refs.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; "), if .said.is_empty() { String::new() } else { format!("\ngit, its hooks and the remote wrote: {}", .said) })]
    Rejected {
        /// Each with git's reason.
        refs: Vec<(String, String)>,
        /// The remote's own words.
        said: String,
        /// It was a push.
        push: bool,
    },
    /// A transfer has no place to go, or has not found there what it was to find.
    #[error(transparent)]
    Misdirected(Misdirected),
    /// A branch with commits that are nowhere else.
    #[error("the branch `{0}` has commits that are neither in its upstream nor in HEAD")]
    NotMerged(String),
    /// A tag that is there already.
    #[error("a tag named `{0}` already exists")]
    TagExists(String),
    /// No tag leads to a commit.
    #[error("no tag leads to `{0}`")]
    NoTag(String),
    /// There is no such worktree.
    #[error("there is no worktree at {}", .0.display())]
    NoWorktree(PathBuf),
    /// Something that is checked out somewhere.
    #[error("`{name}` is checked out at {}{}", place.display(), if *.gone { ", a worktree whose folder is gone" } else { "" })]
    CheckedOut {
        /// The branch.
        name: String,
        /// The worktree.
        place: PathBuf,
        /// Its folder is gone.
        gone: bool,
        /// It is locked.
        locked: bool,
    },
    /// A worktree that is registered, and has no folder.
    #[error("a worktree is registered at {} whose folder is gone", place.display())]
    WorktreeGone {
        /// The worktree.
        place: PathBuf,
        /// It is locked.
        locked: bool,
    },
    /// A worktree that is kept from being removed.
    #[error("the worktree at {} is locked{}", place.display(), if .reason.is_empty() { String::new() } else { format!(": {}", .reason) })]
    WorktreeLocked {
        /// The worktree.
        place: PathBuf,
        /// Why; empty where no reason was given.
        reason: String,
    },
    /// A worktree whose folder does not lead to this repository.
    #[error("{} {}", place.join(".git").display(), if *.gone { "is missing" } else { "does not lead to this repository" })]
    WorktreeBroken {
        /// The worktree.
        place: PathBuf,
        /// The git directory of the repository.
        main: PathBuf,
        /// There is no such file.
        gone: bool,
    },
    /// A hunk that is not there, or not any more.
    #[error("there is no hunk `{0}`")]
    NoSuchHunk(String),
    /// A patch that does not fit.
    #[error("the patch does not apply: {0}")]
    PatchDoesNotApply(String),
    /// git refused or failed, and said why.
    #[error("git {command} failed ({exit}): {stderr}")]
    Failed {
        /// The sub-command.
        command: String,
        /// Exit code or signal, in words.
        exit: String,
        /// What git and its hooks wrote, capped.
        stderr: String,
    },
    /// git does not open the repository: its format, its configuration or its `HEAD`.
    #[error("git does not open this repository: {said}")]
    Unopened {
        /// Why, on one line of git's own words.
        said: String,
    },
    /// git has died of something that it could not read.
    #[error("git cannot read this repository: {said}")]
    Unreadable {
        /// Why, on one line of git's own words.
        said: String,
    },
    /// A lock is in the way: of the index, of `HEAD`, of a reference, of the configuration.
    #[error("{0}")]
    Locked(LockFile),
    /// Another call or another server is changing the repository.
    #[error("{} is being changed: {holder}", path.display())]
    Occupied {
        /// What is locked.
        path: PathBuf,
        /// Who holds the lock, since when.
        holder: String,
    },
    /// The caller gave up.
    #[error("the call was cancelled")]
    Cancelled,
    /// The deadline passed.
    #[error("the call ran past its deadline")]
    TimedOut,
    /// The deadline passed while a change was made.
    #[error("the call ran past its deadline while git {command} was at work{}", .running.as_ref().map(|child| format!("; {child} was running")).unwrap_or_default())]
    CutOff {
        /// The sub-command.
        command: String,
        /// What it was waiting for, where that is known.
        running: Option<Child>,
    },
    /// No usable git program.
    #[error("{0}")]
    GitUnusable(String),
    /// The git program has not said its version in time. It may do so yet.
    #[error("{0}")]
    GitSilent(String),
    /// Something that one call must not read whole.
    #[error("{what} is {size} bytes, over the limit of {limit}")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The engine could not read the repository.
    #[error("the repository could not be read: {0}")]
    Engine(String),
    /// Input or output failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
}
