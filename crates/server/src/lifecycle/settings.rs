//! The configuration in force in a running server.

use crate::{
    config::{Config, Cpu, HeapProfile, Memory, NamedToken, Source},
    pipeline::Bounds,
};
use mcp::{http::Token, sessions::SessionLimits};
use std::time::{Duration, Instant};

/// The configuration key of the tokens.
pub(crate) const TOKENS: &str = "auth.tokens";

/// The reloadable part of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Reloadable {
    pub(crate) bounds: Bounds,
    pub(crate) sessions: SessionLimits,
    pub(crate) settings: Settings,
}

/// Server-wide settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) sweep_interval: Duration,
    pub(crate) idle_warn: usize,
    pub(crate) spike_per_minute: f64,
    pub(crate) drain: Duration,
    pub(crate) memory: Memory,
    pub(crate) cpu: Cpu,
    pub(crate) heap: HeapProfile,
    pub(crate) cache_sweep: Duration,
}

impl Reloadable {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            bounds: Bounds {
                read_timeout: config.limits.read_timeout.into(),
                change_timeout: config.limits.change_timeout.into(),
                network_timeout: config.limits.network_timeout.into(),
                max_output_tokens: config.limits.max_output_tokens,
                slow: Duration::from_millis(config.perf.slow_ms),
            },
            sessions: SessionLimits {
                max: config.sessions.max,
                evict_batch: config.sessions.evict_batch,
                idle: config.sessions.idle.into(),
                heartbeat: config.heartbeat.interval.into(),
                missed: config.heartbeat.missed,
            },
            settings: Settings {
                sweep_interval: config.sessions.sweep_interval.into(),
                idle_warn: config.sessions.idle_warn,
                spike_per_minute: config.errors.spike_per_minute,
                drain: config.restart.drain.into(),
                memory: config.memory,
                cpu: config.cpu,
                heap: config.profile.heap,
                cache_sweep: config.cache.sweep_interval.into(),
            },
        }
    }
}

/// The configured tokens, in the form that requests are checked against.
pub(crate) fn tokens(named: &[NamedToken]) -> Vec<Token> {
    let token = |token: &NamedToken| Token {
        name: token.name.clone(),
        sha256: token.sha256,
        scopes: token.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
    };
    named.iter().map(token).collect()
}

/// The configuration in force, and where it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) origin: Source,
    /// Its log directives.
    pub(crate) level: String,
    /// The content of the file when the server started.
    pub(crate) started: toml::Table,
    pub(crate) at: Instant,
    /// Why the last reload failed.
    pub(crate) failed: Option<String>,
    /// Keys of the file that have changed since the start and need a restart.
    pub(crate) needs_restart: Vec<String>,
}

impl Loaded {
    pub(crate) fn of(config: &Config) -> Self {
        let origin = config.origin.clone();
        Self {
            started: origin.table.clone(),
            origin,
            level: config.log.level.clone(),
            at: Instant::now(),
            failed: None,
            needs_restart: Vec::new(),
        }
    }
}

/// Whether tokens were configured after the start, so that they are not required until a restart.
pub(crate) fn awaits_tokens(loaded: &Loaded) -> bool {
    loaded.needs_restart.iter().any(|key| key == TOKENS)
}
