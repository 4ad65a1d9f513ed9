//! Values given on the command line.

use super::{LogFormat, Sandbox, Trust};
use crate::tool::toolset::Toolset;
use serde::Serialize;
use std::{net::IpAddr, path::PathBuf};
use toml::Value;

/// Values given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--repository`
    pub repositories: Vec<PathBuf>,
    /// `--port`
    pub port: Option<u16>,
    /// `--host`
    pub host: Option<IpAddr>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--admin-socket`
    pub admin_socket: Option<PathBuf>,
    /// `--toolsets`
    pub toolsets: Vec<Toolset>,
    /// `--tools`
    pub tools: Vec<String>,
    /// `--exclude-tools`
    pub exclude_tools: Vec<String>,
    /// `--read-only`
    pub read_only: bool,
    /// `--trust`
    pub trust: Option<Trust>,
    /// `--sandbox`
    pub sandbox: Option<Sandbox>,
    /// `--git`
    pub git: Option<PathBuf>,
    /// `--state-dir`
    pub state_dir: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
    /// `--max-output-tokens`
    pub max_output_tokens: Option<usize>,
}

impl Flags {
    /// The value that a flag gives to the key called `name`.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        match name {
            "repositories" => list(&self.repositories),
            "port" => one(self.port),
            "http.host" => one(self.host),
            "http.socket" => one(self.socket.as_ref()),
            "admin.socket" => one(self.admin_socket.as_ref()),
            "toolsets" => list(&self.toolsets),
            "tools" => list(&self.tools),
            "exclude_tools" => list(&self.exclude_tools),
            "read_only" => self.read_only.then_some(Value::Boolean(true)),
            "trust" => one(self.trust),
            "sandbox" => one(self.sandbox),
            "git" => one(self.git.as_ref()),
            "state_dir" => one(self.state_dir.as_ref()),
            "log.level" => one(self.log_level.as_ref()),
            "log.format" => one(self.log_format),
            "limits.max_output_tokens" => one(self.max_output_tokens),
            _ => None,
        }
    }
}

fn one(value: Option<impl Serialize>) -> Option<Value> {
    value.and_then(|value| Value::try_from(value).ok())
}

fn list<T: Serialize>(values: &[T]) -> Option<Value> {
    one((!values.is_empty()).then_some(values))
}
