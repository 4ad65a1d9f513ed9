//! Runs git: repositories, reads and changes, within the roots that the operator allows.
//!
//! Reads are answered in this process where that is certain to give git's own answer, and by a git process
//! otherwise; [`Route`] says which it was. Changes are made by the user's git. Every function takes a [`Cancel`] and
//! ends soon after it fires. Nothing here knows of MCP, JSON or sessions.

mod beneath;
mod blame;
mod branch;
mod cancel;
mod change;
mod commit_text;
mod date;
mod diff;
mod environment;
mod error;
mod fields;
mod filtered;
mod grep;
mod handles;
mod harmless;
mod history;
pub mod holders;
mod index_names;
mod lock;
mod log;
mod modules;
mod name;
mod needs;
mod os;
mod patch;
mod policy;
mod process;
mod program;
pub mod quote;
mod remote;
mod rename;
mod repo;
mod rev;
mod roots;
mod route;
mod sandbox;
mod settings;
mod shallow;
mod show;
mod snapshot;
mod staged;
mod stamp;
mod status;
mod stderr;
mod trace;
mod trees;
mod unified;
mod upstream;
mod vetting;

pub use blame::{BlameQuery, BlamedLine, Origin};
pub use branch::{Branch, BranchKind, BranchQuery, Branches};
pub use cancel::{Cancel, OnStop};
pub use change::{
    Action, AddedWorktree, ApplyRequest, Change, Checkout, CleanRequest, CommitRequest, Committed, Conflict, FailedHook, FastForward, Halt,
    Holder, Hunk, HunkAction, Idle, IdleHooks, Leftovers, LockFile, Look, MaintenanceTask, MergeRequest, Note, PickRequest, Proceeded, Raw,
    RawFile, Reach, RebaseRequest, ResetMode, Restore, Search, SequencerAction, Setting, Side, Sparse, Stash, StashPush, Step,
    StrategyOption, Submodule, Tag, Terms, Updated, Verdict, Verified, WRITABLE, Worktree, WorktreeAdd,
};
pub use diff::{DiffQuery, Sides};
pub use error::{Error, Result};
pub use fields::{MAX_FIELD, MAX_SUBJECT};
pub use filtered::{NotCompared, Unseen};
pub use gix::ObjectId;
pub use grep::{GrepQuery, GrepSummary};
// For the test that holds the list against git.
pub use environment::{INHERITED, adopt_environment};
pub use handles::CacheFigures;
#[doc(hidden)]
pub use harmless::is_harmless;
pub use history::{Preview, Reflog, TreeEntry};
pub use lock::{Held, Locks, digest, key};
pub use log::{Commit, LogQuery};
pub use name::{BranchName, Range, RelPath, Rev, TagName};
pub use patch::{FilePatch, Keep, Patch};
pub use policy::{Policy, Signing, Trust};
pub use program::{Git, Ledger, Version, edit_sequence, is_executable, on_path};
pub use remote::{
    CloneRequest, Cloned, Destination, Direction, FetchRequest, Fetched, Misdirected, Network, OnProgress, Outcome, Place, Progress,
    PushRequest, Pushed, Ref, Remote, RemoteName, RemoteRef, Target, TransferGate, TransferPermit, Unfinished, Update, Wish,
};
pub use repo::{Repo, Repositories};
pub use rev::{Object, ObjectKind};
pub use roots::{Location, Roots};
pub use route::Route;
pub use sandbox::{Sandbox, support as sandbox_support};
pub use snapshot::{Moved, Refs, Snapshot};
pub use stamp::Stamp;
pub use status::{Entry, Head, Status, operation};
pub use stderr::Damage;
pub use trace::Child;
