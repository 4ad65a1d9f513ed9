//! Requests to a running server: bodies and parameters of the admin channel, as the command line sends them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which sessions to list.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Listed {
    /// Sessions idle for this many seconds.
    pub(crate) idle: Option<u64>,
    /// Sessions in this state.
    pub(crate) state: Option<String>,
}

/// Which sessions to close; one of the two.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ReapSessions {
    /// Sessions idle for this many seconds.
    pub(crate) idle: Option<u64>,
    /// Number of sessions, those idle longest first.
    pub(crate) oldest: Option<usize>,
}

/// Which sessions to mark as active; one of the two.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Touch {
    /// The session.
    pub(crate) id: Option<String>,
    /// All sessions that have missed a heartbeat.
    #[serde(default)]
    pub(crate) missing: bool,
}

/// Which circuits to close; one of the three.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Reset {
    /// The circuit.
    pub(crate) name: Option<String>,
    /// Circuits open for twice their recovery timeout.
    #[serde(default)]
    pub(crate) stuck: bool,
    /// All circuits.
    #[serde(default)]
    pub(crate) all: bool,
}

/// How far back errors are counted.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Window {
    /// In seconds.
    pub(crate) window: Option<u64>,
    /// Errors of a class per minute that count as a spike.
    pub(crate) threshold: Option<f64>,
}

/// Which changes to list.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Operations {
    /// A worktree or git directory of the repository, which may be gone. If absent, the running changes of all repositories.
    pub(crate) repository: Option<PathBuf>,
}

/// What to reap.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Reap {
    /// Minimum time held, in seconds.
    pub(crate) age: u64,
}

/// A resource to release by hand.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Release {
    /// Its id, as `resources` lists it.
    pub(crate) id: String,
}

/// How long running calls may continue, for a drain and a restart.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Drain {
    /// In seconds; `restart.drain` if absent.
    pub(crate) timeout: Option<u64>,
}

/// What to recover.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Recover {
    /// Only this component, instead of all steps.
    pub(crate) component: Option<String>,
}

/// Which log records to show.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Logs {
    /// Maximum age, in seconds.
    pub(crate) since: Option<u64>,
    /// Only records after this number.
    pub(crate) after: Option<u64>,
    /// Maximum number of records.
    pub(crate) limit: Option<usize>,
    /// Only this error class.
    pub(crate) class: Option<String>,
    /// Only this session.
    pub(crate) session: Option<String>,
    /// Only this tool.
    pub(crate) tool: Option<String>,
    /// Only exactly this level: `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub(crate) level: Option<String>,
}

/// Which cache to clear.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct ClearCaches {
    /// All if absent.
    pub(crate) name: Option<String>,
}

/// A snapshot of the heap.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Heap {
    /// Its label.
    pub(crate) label: Option<String>,
    /// Seconds to track allocations first, if they are not tracked.
    pub(crate) seconds: u64,
}

/// Whether to track allocations.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct TrackHeap {
    /// Starts or stops.
    pub(crate) on: bool,
    /// The label of the snapshot taken now.
    pub(crate) label: Option<String>,
}

/// Two snapshots of the heap, by number or label.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct DiffHeap {
    /// The earlier one.
    pub(crate) from: String,
    /// The later one.
    pub(crate) to: String,
}

/// Duration of a CPU profile.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Profile {
    /// In seconds.
    pub(crate) seconds: u64,
}

/// Which held calls to release.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Resume {
    /// All if absent.
    pub(crate) id: Option<String>,
    /// Abort them instead of running them.
    #[serde(default)]
    pub(crate) abort: bool,
}

/// The new log levels.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Level {
    /// Directives such as `warn,session=debug`; as configured if absent.
    pub(crate) level: Option<String>,
}

/// A call to cancel.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct CancelCall {
    /// Its id, as `calls` lists it.
    pub(crate) id: String,
}

/// A repository.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct OfRepository {
    /// Its worktree or git directory.
    pub(crate) repository: PathBuf,
}

/// A change to undo.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Undo {
    /// Its worktree.
    pub(crate) repository: PathBuf,
    /// The change, if it is still the last one; if absent, the last one is previewed.
    pub(crate) id: Option<String>,
}

/// What to stream.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Events {
    /// Topics, separated by commas; all if absent.
    pub(crate) topics: Option<String>,
}
