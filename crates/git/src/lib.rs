//! Runs git: repositories, reads and changes, within the allowed roots.
//!
//! Reads run in-process if the result is certain to match git's, and in a git process otherwise; [`Route`] reports
//! which. Changes are made by the user's git. Every function takes a [`Cancel`] and returns soon after it fires. This
//! crate is independent of MCP, JSON and sessions.

mod cancel;
mod change;
mod date;
mod error;
mod name;
mod process;
mod read;
mod remote;
mod repo;

pub use cancel::{Cancel, OnStop};
pub use change::{
    Action, AddedWorktree, ApplyRequest, Change, Checkout, CleanRequest, CommitRequest, Committed, Conflict, FastForward, Former, Hunk,
    HunkAction, Idle, IdleHooks, Leftovers, Look, MaintenanceTask, MergeRequest, Note, PickRequest, Proceeded, Raw, RawFile, RawFiles,
    Reach, RebaseRequest, RebaseStart, ResetMode, Restore, Search, SequencerAction, Setting, Side, Sparse, Stash, StashPush, Step,
    StrategyOption, Submodule, Tag, Terms, Updated, Verdict, Verified, WRITABLE, Worktree, WorktreeAdd,
};
use engine::beneath;
pub use engine::beneath::support as opening_support;
pub use engine::quote;
pub use error::{Child, Error, FailedHook, Halt, Holder, InSubmodule, LockFile, Misdirected, Obstacle, Result, Signer, Unpushed};
pub use gix::{ObjectId, url::Scheme};
pub use read::blame::{BlameQuery, BlamedLine, Origin};
pub use read::branch::{Branch, BranchKind, BranchQuery, Branches};
pub use read::fields::{MAX_FIELD, MAX_SUBJECT};
pub use read::filtered::{NotCompared, Unseen};
pub use read::grep::{GrepQuery, GrepSummary};
pub use read::sides::{DiffQuery, Sides};
// For the test that compares the list with git's.
pub use name::{Ambiguity, BranchName, Place, Range, RelPath, RemoteName, Rev, TagName};
pub use process::environment::{INHERITED, adopt_environment};
pub use process::program::{Git, Ledger, Version, edit_sequence, is_executable, on_path};
pub use process::progress::{OnProgress, Progress};
pub use process::sandbox::{Sandbox, support as sandbox_support};
pub use process::stderr::Damage;
pub use process::{GRACE, holders};
pub use read::history::{Preview, Reflog};
pub use read::listing::TreeEntry;
pub use read::log::{Commit, LogQuery};
pub use read::operation::operation;
pub use read::patch::{FilePatch, Keep, Patch};
pub use read::status::{Entry, Head, Status};
pub use remote::{
    CloneRequest, Cloned, Destination, FetchRequest, Fetched, PullRebase, PushOptions, PushRequest, Pushed, Ref, Remote, RemoteRef,
    Unfinished, Update,
};
pub use repo::Repo;
pub use repo::handles::CacheFigures;
#[doc(hidden)]
pub use repo::harmless::is_harmless;
pub use repo::lock::{Held, Locks, digest, key};
pub use repo::policy::{Policy, Signing, Trust};
pub use repo::reachable::{Direction, Network, Outcome, Target, TransferGate, TransferPermit};
pub use repo::repositories::Repositories;
pub use repo::rev::{Object, ObjectKind};
pub use repo::roots::{Location, Roots};
pub use repo::route::Route;
pub use repo::snapshot::{Moved, Refs, Snapshot};
pub use repo::stamp::Stamp;
pub use repo::watched::Generation;
