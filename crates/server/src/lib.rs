//! A git server for coding agents, over the Model Context Protocol.

mod admin;
mod app;
mod arguments;
mod caller;
mod circuits;
mod class;
pub mod cli;
mod config;
mod error;
mod journal;
mod output;
mod persistence;
mod phase;
mod pipeline;
pub mod policy;
mod process;
mod restart;
mod selection;
mod server;
mod socket;
mod state;
mod suspicion;
mod symbol;
mod tool;
pub mod tools;
mod view;
mod wire;
mod workspace;

pub use app::{App, StartError, init_log};
pub use caller::{Caller, Right};
pub use class::{ErrorClass, UnknownClass};
pub use config::{
    Config, ConfigError, Flags, Hooks, JwtIssuer, LogFormat, Mode, NamedToken, REFERENCE, Resilience, Sandbox, Serving, Signing, Trust,
};
pub use error::{Error, Kind};
pub use output::{BYTES_PER_TOKEN, Reply, escape, unescape};
pub use pipeline::{Bounds, Call, Pipeline};
pub use selection::{Selection, Toolset};
pub use tool::{Effect, Entry, Reporter, Scope};
pub use wire::{INSTRUCTIONS, tools_as_listed, validation};
