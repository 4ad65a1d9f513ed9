//! What can be asked of a running server: the bodies and parameters of the admin channel, as the command line sends them.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which sessions are listed.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Listed {
    /// Those that have been idle for so many seconds.
    pub(crate) idle: Option<u64>,
    /// Those in this state.
    pub(crate) state: Option<String>,
}

/// Which sessions are closed: either.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ReapSessions {
    /// Those that have been idle for so many seconds.
    pub(crate) idle: Option<u64>,
    /// So many of those that have been idle for longest.
    pub(crate) oldest: Option<usize>,
}

/// Which sessions count as heard: either.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Touch {
    pub(crate) id: Option<String>,
    /// All that have missed a beat.
    #[serde(default)]
    pub(crate) missing: bool,
}

/// Which circuits are closed: one of these.
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
    /// Errors of a class a minute that are a spike.
    pub(crate) threshold: Option<f64>,
}

/// Whose changes are listed.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Operations {
    /// A folder of the repository, or the one that git keeps it in, which may be gone. Running ones of all where absent.
    pub(crate) repository: Option<PathBuf>,
}

/// What is released.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reap {
    /// What has been held for so many seconds.
    pub(crate) age: u64,
}

/// What is released by hand.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Release {
    pub(crate) id: String,
}

/// How long calls may go on, for a drain and a restart.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Drain {
    /// In seconds; `restart.drain` where absent.
    pub(crate) timeout: Option<u64>,
}

/// What is recovered.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Recover {
    /// Only this part, in place of all steps.
    pub(crate) component: Option<String>,
}

/// Which records of the log are shown.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Logs {
    /// Of the last so many seconds.
    pub(crate) since: Option<u64>,
    /// After this one.
    pub(crate) after: Option<u64>,
    /// The last so many.
    pub(crate) limit: Option<usize>,
    pub(crate) class: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) tool: Option<String>,
    pub(crate) level: Option<String>,
}

/// Which cache is emptied.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct ClearCaches {
    /// All where absent.
    pub(crate) name: Option<String>,
}

/// A snapshot of the heap.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Heap {
    /// Its name.
    pub(crate) label: Option<String>,
    /// Seconds for which allocations are tracked before it, where they are not tracked.
    pub(crate) seconds: u64,
}

/// Whether allocations are tracked.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct TrackHeap {
    pub(crate) on: bool,
    /// The name of the snapshot that is taken now.
    pub(crate) label: Option<String>,
}

/// Two snapshots of the heap, by number or label.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct DiffHeap {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// How long a profile is taken.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Profile {
    /// In seconds.
    pub(crate) seconds: u64,
}

/// Which held calls go on.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Resume {
    /// All where absent.
    pub(crate) id: Option<String>,
    /// They end without having begun.
    #[serde(default)]
    pub(crate) abort: bool,
}

/// What is logged from now on.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Level {
    /// Directives such as `warn,session=debug`; as configured where absent.
    pub(crate) level: Option<String>,
}
