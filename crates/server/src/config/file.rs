//! The configuration file: its location and its schema.

use super::{
    ConfigError, Flags, Sandbox, Source, Trust, choices, first,
    observing::{FileCaches, FileCpu, FileDebug, FileLog, FileMemory, FileMetrics, FilePerf, FileProfile, FileTelemetry},
    policy::FilePolicy,
    resilience::{FileAdmin, FileCircuits, FileErrors, FileRestart, FileStore, FileValidation},
    serving::{FileAuth, FileHeartbeat, FileHttp, FileSessions},
    words,
};
use crate::{config_path, tool::toolset::Toolset};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) repositories: Vec<PathBuf>,
    pub(super) port: Option<u16>,
    pub(super) toolsets: Vec<Toolset>,
    pub(super) tools: Vec<String>,
    pub(super) exclude_tools: Vec<String>,
    pub(super) read_only: bool,
    pub(super) trust: Option<Trust>,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) git: Option<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) log: FileLog,
    pub(super) perf: FilePerf,
    pub(super) debug: FileDebug,
    pub(super) memory: FileMemory,
    pub(super) cpu: FileCpu,
    pub(super) profile: FileProfile,
    pub(super) cache: FileCaches,
    pub(super) metrics: FileMetrics,
    pub(super) telemetry: FileTelemetry,
    pub(super) limits: FileLimits,
    pub(super) policy: FilePolicy,
    pub(super) network: FileNetwork,
    pub(super) http: FileHttp,
    pub(super) auth: FileAuth,
    pub(super) sessions: FileSessions,
    pub(super) heartbeat: FileHeartbeat,
    pub(super) store: FileStore,
    pub(super) circuits: FileCircuits,
    pub(super) errors: FileErrors,
    pub(super) validation: FileValidation,
    pub(super) admin: FileAdmin,
    pub(super) restart: FileRestart,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileNetwork {
    pub(super) protocols: Vec<Protocol>,
    pub(super) allow_hosts: Vec<String>,
}

/// A protocol of remotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protocol {
    Https,
    Ssh,
    Http,
    Git,
    File,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::Http => "http",
            Self::Git => "git",
            Self::File => "file",
        }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileLimits {
    pub(super) max_output_tokens: Option<usize>,
    pub(super) read_timeout: Option<Seconds>,
    pub(super) change_timeout: Option<Seconds>,
    pub(super) network_timeout: Option<Seconds>,
    pub(super) max_concurrent: Option<MaxConcurrent>,
    pub(super) per_host: Option<usize>,
}

/// A time between one second and one hour.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "u64")]
pub(super) struct Seconds(pub(super) u64);

impl TryFrom<u64> for Seconds {
    type Error = String;

    fn try_from(value: u64) -> Result<Self, String> {
        if (1..=3600).contains(&value) { Ok(Self(value)) } else { Err(format!("{value} is not between 1 and 3600 seconds")) }
    }
}

/// A concurrency limit between 1 and 1,000.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "usize")]
pub(super) struct MaxConcurrent(pub(super) usize);

impl TryFrom<usize> for MaxConcurrent {
    type Error = String;

    fn try_from(value: usize) -> Result<Self, String> {
        if (1..=1000).contains(&value) { Ok(Self(value)) } else { Err(format!("{value} is not between 1 and 1000")) }
    }
}

pub(super) fn network(file: FileNetwork, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<git::Network, ConfigError> {
    let protocols = first([choices("MCP_GIT_PROTOCOLS", variable)?, file.protocols, vec![Protocol::Https, Protocol::Ssh]]);
    Ok(git::Network {
        protocols: protocols.into_iter().map(|protocol| protocol.name().to_owned()).collect(),
        allow_hosts: first([words("MCP_GIT_ALLOW_HOSTS", variable), file.allow_hosts, Vec::new()]),
    })
}

pub(super) fn read_file(
    named: Option<&Path>,
    variable: &dyn Fn(&'static str) -> Option<String>,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let Some(path) = named.map(Path::to_owned).or_else(|| default_file(variable)) else { return Ok(None) };
    config_path::set(&path);
    if named.is_none() && !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?;
    Ok(Some((path, text)))
}

pub(super) fn parsed_file(flags: &Flags, path: PathBuf, text: &str) -> Result<(File, Source), ConfigError> {
    let invalid = |err: toml::de::Error| ConfigError::Invalid { path: path.clone(), message: err.to_string() };
    let (file, table) = (toml::from_str(text).map_err(invalid)?, toml::from_str(text).map_err(invalid)?);
    Ok((file, Source { flags: flags.clone(), file: Some(path), table }))
}

/// The named folder, or `$XDG_STATE_HOME/mcp-server-git`; without a home directory, one below the temporary folder.
pub(super) fn state_dir(named: Option<PathBuf>, variable: &dyn Fn(&'static str) -> Option<String>) -> PathBuf {
    let named = named.filter(|path| !path.as_os_str().is_empty());
    if let Some(named) = named {
        return std::path::absolute(&named).unwrap_or(named);
    }
    let base = variable("XDG_STATE_HOME").filter(|path| path.starts_with('/')).map(PathBuf::from);
    let home = || variable("HOME").map(PathBuf::from).filter(|home| home.is_dir());
    match base.or_else(|| home().map(|home| home.join(".local/state"))) {
        Some(base) => base.join("mcp-server-git"),
        None => env::temp_dir().join(format!("mcp-server-git-{}", rustix::process::geteuid().as_raw())),
    }
}

/// `$XDG_CONFIG_HOME/mcp-server-git/config.toml`
pub(super) fn default_file(variable: &dyn Fn(&'static str) -> Option<String>) -> Option<PathBuf> {
    let base = variable("XDG_CONFIG_HOME").filter(|path| path.starts_with('/')).map(PathBuf::from);
    let base = base.or_else(|| variable("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(base.join("mcp-server-git/config.toml"))
}

/// The schema of the file.
pub(super) fn schema_of_file() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}
