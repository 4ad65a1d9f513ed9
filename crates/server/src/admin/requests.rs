//! Requests to a running server: bodies and parameters of the admin channel, as the command line sends them.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which sessions to list.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Listed {
    /// Sessions idle for this many seconds.
    pub(crate) idle: Option<u64>,
    /// Sessions in this state.
    pub(crate) state: Option<String>,
}

/// Which sessions to close; one of the two.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ReapSessions {
    /// Sessions idle for this many seconds.
    pub(crate) idle: Option<u64>,
    /// Number of sessions, those idle longest first.
    pub(crate) oldest: Option<usize>,
}

/// Which sessions to mark as active; one of the two.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Touch {
    pub(crate) id: Option<String>,
    /// All sessions that have missed a heartbeat.
    #[serde(default)]
    pub(crate) missing: bool,
}

/// Which circuits to close; one of the three.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reset {
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) stuck: bool,
    #[serde(default)]
    pub(crate) all: bool,
}

/// How far back errors are counted.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Window {
    /// In seconds.
    pub(crate) window: Option<u64>,
    /// Errors of a class per minute that count as a spike.
    pub(crate) threshold: Option<f64>,
}

/// Which changes to list.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Operations {
    /// A worktree or git directory of the repository, which may be gone. If absent, the running changes of all repositories.
    pub(crate) repository: Option<PathBuf>,
}

/// What to reap.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reap {
    /// Minimum time held, in seconds.
    pub(crate) age: u64,
}

/// A resource to release by hand.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Release {
    pub(crate) id: String,
}

/// How long running calls may continue, for a drain and a restart.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Drain {
    /// In seconds; `restart.drain` if absent.
    pub(crate) timeout: Option<u64>,
}

/// What to recover.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Recover {
    /// Only this component, instead of all steps.
    pub(crate) component: Option<String>,
}

/// Which log records to show.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Logs {
    /// Maximum age, in seconds.
    pub(crate) since: Option<u64>,
    /// Only records after this number.
    pub(crate) after: Option<u64>,
    /// Maximum number of records.
    pub(crate) limit: Option<usize>,
    pub(crate) class: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) level: Option<String>,
}

/// Which cache to clear.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct ClearCaches {
    /// All if absent.
    pub(crate) name: Option<String>,
}

/// A snapshot of the heap.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Heap {
    /// Its label.
    pub(crate) label: Option<String>,
    /// Seconds to track allocations first, if they are not tracked.
    pub(crate) seconds: u64,
}

/// Whether to track allocations.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct TrackHeap {
    pub(crate) on: bool,
    /// The label of the snapshot taken now.
    pub(crate) label: Option<String>,
}

/// Two snapshots of the heap, by number or label.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct DiffHeap {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// Duration of a CPU profile.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Profile {
    /// In seconds.
    pub(crate) seconds: u64,
}

/// Which held calls to release.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Resume {
    /// All if absent.
    pub(crate) id: Option<String>,
    /// Abort them instead of running them.
    #[serde(default)]
    pub(crate) abort: bool,
}

/// The new log levels.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Level {
    /// Directives such as `warn,session=debug`; as configured if absent.
    pub(crate) level: Option<String>,
}
