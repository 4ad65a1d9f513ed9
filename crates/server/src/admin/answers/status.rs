//! The status of a server.

use super::name::Name;
use crate::lifecycle::phase::Phase;
use guard::Class;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a server.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Status {
    #[serde(flatten)]
    pub(crate) brief: Brief,
    /// The commit that the program was built from.
    pub(crate) commit: String,
    /// What is wrong now; empty if all is fine.
    pub(crate) problems: Vec<Problem>,
    /// Time since the start, in milliseconds.
    pub(crate) uptime_ms: u64,
    /// Sessions closed since the start to make room for others.
    pub(crate) evicted: u64,
    /// The calls of each class.
    pub(crate) calls: Vec<Calls>,
    /// Calls held at a breakpoint.
    pub(crate) held: usize,
    /// The opening of repositories.
    pub(crate) opening: Opening,
    /// The use of memory, processors and descriptors.
    pub(crate) process: Process,
    /// Number of lost threads at which calls of a class are rejected.
    pub(crate) lost_limit: usize,
    /// The configuration in force.
    pub(crate) configuration: Configuration,
    /// Circuits that are not closed.
    pub(crate) open_circuits: usize,
    /// Changes that the exit of a previous server interrupted; the first ones.
    pub(crate) interrupted: Vec<String>,
    /// Number of all of them.
    pub(crate) interrupted_count: usize,
    /// Worktrees whose repository is gone; the first ones.
    pub(crate) orphaned: Vec<String>,
    /// Number of all of them.
    pub(crate) orphaned_count: usize,
    /// `available`, or why the sandbox of untrusted repositories is not.
    pub(crate) sandbox: String,
    /// The store of sessions and operations.
    pub(crate) store: Store,
}

/// The part of a status that identifies a server: enough for callers that look for one.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Brief {
    /// The program's version.
    pub(crate) version: String,
    /// The process ID.
    pub(crate) pid: u32,
    /// Whether it accepts calls.
    pub(crate) phase: Name<Phase>,
    /// Open sessions.
    pub(crate) sessions: usize,
    /// Calls that run or wait.
    pub(crate) in_flight: usize,
}

/// A problem.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) what: String,
    /// A command that explains or fixes it.
    pub(crate) next: String,
}

/// The calls of one class.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Calls {
    /// The class.
    pub(crate) class: Name<Class>,
    /// Calls that run.
    pub(crate) running: usize,
    /// Calls that wait.
    pub(crate) waiting: usize,
    /// Of these, the changes that wait for another one in their worktree.
    pub(crate) waiting_for_worktree: usize,
    /// Maximum number of calls that run.
    pub(crate) places: usize,
    /// Calls rejected since the start.
    pub(crate) rejected: u64,
    /// Lost threads.
    pub(crate) lost: usize,
    /// Threads lost since the start, including those that have ended.
    pub(crate) lost_since_start: u64,
}

/// The opening of repositories.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Opening {
    /// Repositories being opened.
    pub(crate) running: usize,
    /// Calls that wait to open one.
    pub(crate) waiting: usize,
    /// Maximum number opened at a time.
    pub(crate) places: usize,
    /// Calls rejected since the start.
    pub(crate) rejected: u64,
}

/// The resources that the process uses. What the system does not report is null.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Process {
    /// Resident memory, in bytes.
    pub(crate) rss: Option<u64>,
    /// Maximum of the resident memory, in bytes.
    pub(crate) peak_rss: Option<u64>,
    /// Number of threads.
    pub(crate) threads: Option<u64>,
    /// Number of open file descriptors.
    pub(crate) descriptors: Option<u64>,
    /// Limit of open file descriptors.
    pub(crate) max_descriptors: Option<u64>,
    /// Processor time used since the start, in seconds.
    pub(crate) cpu_seconds: Option<f64>,
    /// Use of all processors of the machine, in percent of all; null until it was measured over a second or more.
    pub(crate) cpu_percent: Option<f64>,
    /// Use of processors by this process, in percent of one; null for as long.
    pub(crate) process_cpu_percent: Option<f64>,
    /// Number of processors.
    pub(crate) cpu_count: Option<usize>,
    /// `cpu_percent` from which the server warns.
    pub(crate) cpu_warn_percent: f64,
    /// Average number of processes that run or wait, over 1, 5 and 15 minutes.
    pub(crate) load_average: Option<[f64; 3]>,
    /// Whether calls are rejected because the memory limit is reached.
    pub(crate) refuses_calls: bool,
    /// Latest delay of a wake-up in the server's runtime, in milliseconds.
    pub(crate) runtime_lag_ms: f64,
    /// Maximum of these delays since the start, in milliseconds.
    pub(crate) runtime_lag_max_ms: f64,
}

/// The configuration in force.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Configuration {
    /// Its file, if any.
    pub(crate) file: Option<String>,
    /// Time since it was loaded, in milliseconds.
    pub(crate) loaded_ms: u64,
    /// Why the last reload failed.
    pub(crate) failed: Option<String>,
    /// Changed keys that need a restart.
    pub(crate) needs_restart: Vec<String>,
    /// The current log levels.
    pub(crate) log_level: String,
}

/// The store of sessions and operations.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct Store {
    /// Its file or address, without secrets.
    pub(crate) place: String,
    /// Whether it has been opened.
    pub(crate) opened: bool,
    /// Why it is unavailable.
    pub(crate) away: Option<String>,
    /// Where a damaged file was set aside.
    pub(crate) quarantined: Option<String>,
    /// Number of times that its file was removed or replaced while open.
    pub(crate) replaced: u64,
    /// Rows copied to the new file the last time; null if none could be.
    pub(crate) rescued: Option<u64>,
    /// Writes that wait for it.
    pub(crate) backlog: usize,
}
