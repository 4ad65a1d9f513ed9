//! A git server for coding agents, over the Model Context Protocol.
//!
//! [`McpGitServer`] runs it inside of another program, and gives access to what it works with: sessions, circuits, error
//! counts, caches. `docs/PORTING.md` in the repository has an example for each.

mod admin;
mod app;
mod arguments;
mod caches;
mod caller;
mod circuits;
pub mod cli;
pub mod config;
mod config_path;
mod dashboard;
mod embed;
mod error;
mod journal;
mod lifecycle;
mod named;
mod output;
mod percent;
mod persistence;
mod pipeline;
pub mod policy;
mod process;
mod random;
mod replies;
mod selection;
mod server;
mod serving;
mod socket;
mod state;
mod suspicion;
mod symbol;
mod telemetry;
mod terminal;
mod tool;
pub mod tools;
mod wire;
mod workspace;

pub use admin::answers::recovery::{Drained as DrainReport, Recovery as RecoveryReport, Step};
pub use app::{App, StartError};
pub use caches::{Cache, Caches};
pub use caller::{Caller, Right};
pub use cli::diagnose;
pub use config::{Config, ConfigError, Flags};
pub use embed::{Builder, McpGitServer, RestartReport, sessions};
pub use error::{Error, ErrorClass, Kind, UnknownClass};
pub use git::{adopt_environment, edit_sequence};
pub use guard::{
    Burn, CallError, CircuitBreaker, CircuitConfig, CircuitSnapshot, CircuitState, Circuits, ErrorWindows, Open as CircuitOpen, Permission,
    RateRule, ResetOutcome, ResourceError, ResourceGuard, ResourceInfo, Resources, Verdict as CallVerdict,
};
pub use output::{BYTES_PER_TOKEN, Reply, escape, unescape};
pub use pipeline::{Bounds, Call, Origin, Pipeline, Services};
pub use selection::Selection;
pub use server::heartbeats::{HeartbeatConfig, Heartbeats, LastBeat};
pub use telemetry::log::init_log;
pub use telemetry::profile::{CpuProfile, OperationTimer, Profile, ProfileError, profile_operation};
pub use telemetry::watch::Processors;
pub use tool::{Effect, Entry, Reporter, Scope, Toolset};
pub use wire::{INSTRUCTIONS, tools_as_listed, validation};

/// Snapshots of the heap.
pub mod heap {
    pub use crate::telemetry::heap::{Allocator, Report, Snapshot, Tracker, report};
    /// The allocator that tracks allocations: a program must set it as its global one.
    pub use guard::heap::Allocator as TrackingAllocator;
    pub use guard::heap::Stack;
}

/// The log of the process.
pub mod logging {
    pub use crate::telemetry::log::{LevelError, LogHandle, init_debug, init_log};
    pub use tracing::Level;
}

/// Memory of the process.
pub mod memory {
    pub use crate::telemetry::{
        memory::{Trimmed, trim},
        process::Figures,
    };
    pub use guard::memory::{Allocated, allocated};
}

/// The examples of docs/PORTING.md, which the tests compile.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/PORTING.md")]
mod porting {}
