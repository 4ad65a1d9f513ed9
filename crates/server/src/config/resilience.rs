//! Resilience settings: the store, circuits, idle sessions, error statistics, validation and restarts.

use super::{
    ConfigError, Flags,
    serving::{FileSessions, parsed},
};
use guard::CircuitConfig;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use store::Address;

/// Resilience settings.
#[derive(Clone, Debug)]
pub struct Resilience {
    /// Database of sessions, operations and statistics.
    pub store: Address,
    /// Default parameters of circuits.
    pub circuits: CircuitConfig,
    /// Parameters of single circuits, by name.
    pub circuit_overrides: Vec<(String, CircuitConfig)>,
    /// Errors per minute and class above which there is a spike.
    pub spike_per_minute: f64,
    /// The validation mode of messages.
    pub validation: Mode,
    /// Number of sessions evicted at once at the session limit.
    pub evict_batch: usize,
    /// Interval between sweeps for expired sessions.
    pub sweep_interval: Duration,
    /// Number of idle sessions above which the log warns.
    pub idle_warn: usize,
    /// Time after which an unused workspace is closed.
    pub workspace_ttl: Duration,
    /// Time until the lease of a silent server expires, and another may take over its changes.
    pub lease_ttl: Duration,
    /// Concurrent calls per remote host.
    pub per_host: usize,
    /// Socket of the admin channel; in the runtime directory if absent.
    pub admin_socket: Option<PathBuf>,
    /// Time limit for calls when the server restarts.
    pub drain: Duration,
}

/// The validation mode of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Tolerates deviations where it can.
    #[default]
    Lenient,
    /// Rejects any deviation from the schema.
    Strict,
}

impl Mode {
    /// Connection limits with this mode.
    pub(crate) fn limits(self) -> mcp::Limits {
        let mode = match self {
            Self::Lenient => mcp::Mode::Lenient,
            Self::Strict => mcp::Mode::Strict,
        };
        mcp::Limits { mode, ..mcp::Limits::default() }
    }
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileStore {
    url: Option<String>,
    lease_ttl: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct FileCircuits {
    failure_threshold: Option<u32>,
    recovery_timeout: Option<u64>,
    half_open_max_calls: Option<u32>,
    #[serde(flatten)]
    named: BTreeMap<String, FileCircuit>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileCircuit {
    failure_threshold: Option<u32>,
    recovery_timeout: Option<u64>,
    half_open_max_calls: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileErrors {
    spike_per_minute: Option<f64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileValidation {
    mode: Option<Mode>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileAdmin {
    socket: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileRestart {
    drain: Option<u64>,
}

/// The file's sections for these settings.
pub(super) struct Parts {
    pub(super) store: FileStore,
    pub(super) circuits: FileCircuits,
    pub(super) errors: FileErrors,
    pub(super) validation: FileValidation,
    pub(super) admin: FileAdmin,
    pub(super) restart: FileRestart,
    pub(super) sessions: FileSessions,
    pub(super) per_host: Option<usize>,
}

/// A number, from the environment or the file, between bounds.
pub(super) fn bounded<T>(
    name: &'static str,
    variable: &dyn Fn(&'static str) -> Option<String>,
    file: Option<T>,
    default: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<T, ConfigError>
where
    T: PartialOrd + std::fmt::Display + std::str::FromStr<Err: std::fmt::Display>,
{
    let value = parsed::<T>(name, variable)?.or(file).unwrap_or(default);
    if range.contains(&value) {
        return Ok(value);
    }
    Err(ConfigError::Variable { name, why: format!("{value} is not between {} and {}", range.start(), range.end()) })
}

impl Resilience {
    pub(super) fn from_parts(
        flags: &Flags,
        file: Parts,
        state_dir: &Path,
        variable: &dyn Fn(&'static str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let url = variable("MCP_GIT_STORE_URL").filter(|url| !url.is_empty()).or(file.store.url);
        let store = match url {
            None => Address::File(state_dir.join("store.db")),
            Some(url) => Address::parse(&url).map_err(|err| ConfigError::Variable { name: "MCP_GIT_STORE_URL", why: err.to_string() })?,
        };
        let usual = CircuitConfig::default();
        let seconds = usual.recovery_timeout.as_secs();
        let circuits = CircuitConfig {
            failure_threshold: bounded(
                "MCP_GIT_CIRCUIT_FAILURES",
                variable,
                file.circuits.failure_threshold,
                usual.failure_threshold,
                1..=1000,
            )?,
            recovery_timeout: Duration::from_secs(bounded(
                "MCP_GIT_CIRCUIT_RECOVERY",
                variable,
                file.circuits.recovery_timeout,
                seconds,
                1..=3600,
            )?),
            half_open_max_calls: bounded(
                "MCP_GIT_CIRCUIT_TRIALS",
                variable,
                file.circuits.half_open_max_calls,
                usual.half_open_max_calls,
                1..=100,
            )?,
            ..usual
        };
        let named = file.circuits.named.into_iter().map(|(name, own)| {
            let config = CircuitConfig {
                failure_threshold: own.failure_threshold.unwrap_or(circuits.failure_threshold).max(1),
                recovery_timeout: own.recovery_timeout.map_or(circuits.recovery_timeout, |seconds| Duration::from_secs(seconds.max(1))),
                half_open_max_calls: own.half_open_max_calls.unwrap_or(circuits.half_open_max_calls).max(1),
                ..circuits
            };
            (name, config)
        });
        Ok(Self {
            store,
            circuits,
            circuit_overrides: named.collect(),
            spike_per_minute: bounded("MCP_GIT_ERRORS_SPIKE", variable, file.errors.spike_per_minute, 5.0, 0.01..=1e6)?,
            validation: super::choice("MCP_GIT_VALIDATION", variable)?.or(file.validation.mode).unwrap_or_default(),
            evict_batch: bounded("MCP_GIT_SESSIONS_EVICT_BATCH", variable, file.sessions.evict_batch, 100, 1..=10_000)?,
            sweep_interval: Duration::from_secs(bounded(
                "MCP_GIT_SESSIONS_SWEEP",
                variable,
                file.sessions.sweep_interval,
                300,
                1..=86_400,
            )?),
            idle_warn: bounded("MCP_GIT_SESSIONS_IDLE_WARN", variable, file.sessions.idle_warn, 100, 0..=1_000_000)?,
            workspace_ttl: Duration::from_secs(bounded(
                "MCP_GIT_WORKSPACE_TTL",
                variable,
                file.sessions.workspace_ttl,
                604_800,
                1..=31_536_000,
            )?),
            lease_ttl: Duration::from_secs(bounded("MCP_GIT_STORE_LEASE", variable, file.store.lease_ttl, 30, 2..=600)?),
            per_host: bounded("MCP_GIT_PER_HOST", variable, file.per_host, 4, 1..=1000)?,
            admin_socket: flags
                .admin_socket
                .clone()
                .or_else(|| variable("MCP_GIT_ADMIN_SOCKET").filter(|path| !path.is_empty()).map(PathBuf::from))
                .or(file.admin.socket),
            drain: Duration::from_secs(bounded("MCP_GIT_DRAIN", variable, file.restart.drain, 300, 0..=3600)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuits_are_overridden_by_name() -> Result<(), toml::de::Error> {
        let file: FileCircuits = toml::from_str("failure_threshold = 2\n[\"host:443/fetch\"]\nrecovery_timeout = 60")?;
        assert_eq!(file.named["host:443/fetch"].recovery_timeout, Some(60));
        assert!(toml::from_str::<FileCircuits>("failure_limit = 2").is_err(), "an unknown key is not a circuit");
        Ok(())
    }
}
