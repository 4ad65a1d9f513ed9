//! A git server for coding agents, over the Model Context Protocol.

mod admin;
mod app;
mod arguments;
mod caches;
mod caller;
mod circuits;
pub mod cli;
mod config;
mod config_path;
mod error;
mod journal;
mod lifecycle;
mod output;
mod persistence;
mod pipeline;
pub mod policy;
mod process;
mod selection;
mod server;
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

pub use app::{App, StartError};
pub use caller::{Caller, Right};
pub use config::{
    Breakpoint, Config, ConfigError, Debug, Flags, HeapProfile, Hooks, JwtIssuer, Log, LogFormat, Mode, NamedToken, Observing,
    OtlpEndpoint, REFERENCE, RELOADABLE, Resilience, Sandbox, Serving, Signing, Source, Trust, Watch,
};
pub use error::{Error, ErrorClass, Kind, UnknownClass};
pub use output::{BYTES_PER_TOKEN, Reply, escape, unescape};
pub use pipeline::{Bounds, Call, Origin, Pipeline};
pub use selection::Selection;
pub use telemetry::log::init_log;
pub use tool::{Effect, Entry, Reporter, Scope, Toolset};
pub use wire::{INSTRUCTIONS, tools_as_listed, validation};
