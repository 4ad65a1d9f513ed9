//! Resilience settings: the store, circuits, error statistics, validation, the admin channel and restarts.

use super::key::{Seconds, section, tables, words};
use guard::CircuitConfig;
use mcp::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

words!(Mode);

section! {
    /// The database of sessions, operations and error counts.
    #[serde(deny_unknown_fields)]
    Store in "store." {
        /// Database of sessions, operations and error counts: `sqlite:/PATH`, or `postgres://USER:PASSWORD@HOST/DATABASE`, which several
        /// servers may share; they then take leases for changes.
        url: Option<String> = None => .variables(&["MCP_GIT_STORE_URL"]).default_is("a file in the state directory");
        /// Seconds until the lease of a silent server expires, and another server may take over its changes.
        lease_ttl: Seconds = Seconds(30), within(u64: 2..=600) => .variables(&["MCP_GIT_STORE_LEASE"]);
    }
}

tables!(BTreeMap<String, Circuit>);

section! {
    /// Circuit breakers.
    Circuits in "circuits." {
        /// Failures in a row that open a circuit.
        failure_threshold: u32 = 5, within(u32: 1..=1000) => .variables(&["MCP_GIT_CIRCUIT_FAILURES"]);
        /// Seconds after which an open circuit permits trials.
        recovery_timeout: Seconds = Seconds(30), within(u64: 1..=3600) => .variables(&["MCP_GIT_CIRCUIT_RECOVERY"]);
        /// Concurrent trials.
        half_open_max_calls: u32 = 3, within(u32: 1..=100) => .variables(&["MCP_GIT_CIRCUIT_TRIALS"]);
        /// Tables with the same three keys for one circuit, as `[circuits."example.com:443/fetch"]`. `circuits list` shows the names.
        named: BTreeMap<String, Circuit> = BTreeMap::new(), serde(flatten) => .called("circuits.\"NAME\"").default_is("");
    }
}

/// The parameters of one circuit; those of all circuits if absent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Circuit {
    failure_threshold: Option<u32>,
    recovery_timeout: Option<Seconds>,
    half_open_max_calls: Option<u32>,
}

impl Circuits {
    /// The parameters of circuits without their own.
    pub(crate) fn usual(&self) -> CircuitConfig {
        CircuitConfig {
            failure_threshold: self.failure_threshold,
            recovery_timeout: self.recovery_timeout.into(),
            half_open_max_calls: self.half_open_max_calls,
            ..CircuitConfig::default()
        }
    }

    /// The parameters of single circuits, by name.
    pub(crate) fn overrides(&self) -> Vec<(String, CircuitConfig)> {
        let usual = self.usual();
        let named = self.named.iter().map(|(name, own)| {
            let config = CircuitConfig {
                failure_threshold: own.failure_threshold.unwrap_or(usual.failure_threshold).max(1),
                recovery_timeout: own.recovery_timeout.map_or(usual.recovery_timeout, Duration::from).max(Duration::from_secs(1)),
                half_open_max_calls: own.half_open_max_calls.unwrap_or(usual.half_open_max_calls).max(1),
                ..usual
            };
            (name.clone(), config)
        });
        named.collect()
    }
}

section! {
    /// Error statistics.
    #[serde(deny_unknown_fields)]
    Errors in "errors." {
        /// Errors per minute and class above which there is a spike.
        spike_per_minute: f64 = 5.0, within(f64: 0.01..=1e6) => .variables(&["MCP_GIT_ERRORS_SPIKE"]).reloads();
    }
}

section! {
    /// Validation of messages.
    #[serde(deny_unknown_fields)]
    Validation in "validation." {
        /// `strict` rejects messages with unknown fields or without `jsonrpc`, and arguments of the wrong type; `lenient` accepts what it
        /// can, and reports it in `_meta` of the result (`mcp-server-git/warnings`). `mcp-server-git validate` shows both verdicts.
        mode: Mode = Mode::Lenient => .variables(&["MCP_GIT_VALIDATION"]);
    }
}

section! {
    /// The admin channel.
    #[serde(deny_unknown_fields)]
    Admin in "admin." {
        /// The Unix socket of the admin channel, for the owner only.
        socket: Option<PathBuf> = None
            => .variables(&["MCP_GIT_ADMIN_SOCKET"]).flag("--admin-socket").default_is("PID.sock in the runtime directory");
        /// Whether the admin API is also served over HTTP, at `/admin/v1`. A token with the scope `admin` may act, one with `read` may
        /// only read; without `auth.tokens`, every local program may act. `mcp-server-git dashboard` works in any case.
        http: bool = false => .variables(&["MCP_GIT_ADMIN_HTTP"]);
    }
}

section! {
    /// Restarts.
    #[serde(deny_unknown_fields)]
    Restart in "restart." {
        /// Seconds that calls may run while the server drains.
        drain: Seconds = Seconds(300), within(u64: 0..=3600) => .variables(&["MCP_GIT_DRAIN"]).reloads();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuits_are_overridden_by_name() -> Result<(), toml::de::Error> {
        let file: Circuits = toml::from_str("failure_threshold = 2\n[\"host:443/fetch\"]\nrecovery_timeout = 60")?;
        let (name, own) = file.overrides().remove(0);
        assert_eq!((name.as_str(), own.failure_threshold, own.recovery_timeout), ("host:443/fetch", 2, Duration::from_mins(1)));
        assert!(toml::from_str::<Circuits>("failure_limit = 2").is_err(), "an unknown key is not a circuit");
        Ok(())
    }
}
