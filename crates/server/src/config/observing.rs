//! Observability settings: log, slow calls, memory, CPU, caches, held calls, metrics and traces.

use super::{
    Breakpoint, ConfigError,
    key::{Seconds, section, tables, words},
};
use crate::named::named;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

named! {
    /// A cache that can be disabled.
    pub enum CacheName {
        /// Handles of open repositories.
        Repositories = "repositories",
        /// The types of the arguments of tools.
        Validation = "validation",
        /// Replies to reads, given again while their repository has not changed.
        Replies = "replies",
    }
}

/// The log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text per record.
    #[default]
    Text,
    /// A JSON object per record.
    Json,
}
words!(LogFormat);

section! {
    /// The log, on standard error.
    #[serde(deny_unknown_fields)]
    Log in "log." {
        /// A level, or directives such as `warn,mcp_server_git=debug`.
        level: String = "warn".to_owned() => .variables(&["MCP_GIT_LOG_LEVEL", "RUST_LOG"]).flag("--log-level").reloads();
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text => .variables(&["MCP_GIT_LOG_FORMAT"]).flag("--log-format");
        /// A file for the log, as JSON, besides standard error; rotated daily, with the date appended to its name.
        file: Option<PathBuf> = None => .variables(&["MCP_GIT_LOG_FILE"]);
        /// Number of log files kept.
        keep: usize = 7, within(usize: 1..=10_000);
    }
}

section! {
    /// Slow calls.
    #[serde(deny_unknown_fields)]
    Perf in "perf." {
        /// Milliseconds after which a call is logged as slow, at `warn`, with a time breakdown.
        slow_ms: u64 = 1000, within(u64: 0..=3_600_000) => .variables(&["MCP_GIT_SLOW_MS"]).reloads();
    }
}

section! {
    /// Breakpoints.
    #[serde(deny_unknown_fields)]
    Debug in "debug." {
        /// Calls held before they start: `1` or `*` for all, or tools by name. `debug held` lists them, `debug resume` releases them.
        breakpoint: Breakpoint = Breakpoint::Off => .variables(&["MCP_DEBUG_BREAKPOINT"]).empty_counts().default_is("");
        /// Seconds after which a held call is released.
        hold_limit: Seconds = Seconds(300), within(u64: 1..=86_400) => .variables(&["MCP_GIT_HOLD_LIMIT"]);
    }
}

section! {
    /// Memory monitoring.
    #[derive(Copy, PartialEq)]
    #[serde(deny_unknown_fields)]
    Memory in "memory." {
        /// Seconds between memory samples.
        sample_interval: Seconds = Seconds(300), within(u64: 1..=86_400) => .variables(&["MCP_GIT_MEMORY_INTERVAL"]);
        /// Bytes in use above which new calls are refused until usage drops; 0 is nine tenths of the cgroup's limit, if any.
        soft_limit: u64 = 0 => .variables(&["MCP_GIT_MEMORY_LIMIT"]).reloads();
    }
}

section! {
    /// CPU monitoring.
    #[derive(Copy, PartialEq)]
    #[serde(deny_unknown_fields)]
    Cpu in "cpu." {
        /// Seconds between CPU samples.
        sample_interval: Seconds = Seconds(10), within(u64: 1..=86_400) => .variables(&["MCP_GIT_CPU_INTERVAL"]);
        /// Total CPU usage in percent above which the log warns.
        warn_percent: f64 = 80.0, within(f64: 1.0..=100.0) => .variables(&["MCP_GIT_CPU_WARN"]).reloads();
    }
}

section! {
    /// Profiles.
    #[serde(deny_unknown_fields)]
    Profile in "profile." {}
    with { heap: HeapProfile }
}

section! {
    /// Heap profiling.
    #[derive(Copy, PartialEq, Eq)]
    #[serde(deny_unknown_fields)]
    HeapProfile in "profile.heap." {
        /// Tracks allocations from startup, for `profile heap`. `profile heap --track on` starts at any time.
        enabled: bool = false => .variables(&["MCP_GIT_HEAP_PROFILE"]);
        /// Seconds between heap snapshots while allocations are tracked.
        interval: Seconds = Seconds(600), within(u64: 1..=86_400) => .variables(&["MCP_GIT_HEAP_INTERVAL"]);
        /// Snapshots after which the log reports growth, as a warning if each snapshot is larger than the last.
        analyze_after: usize = 10, within(usize: 2..=100) => .variables(&["MCP_GIT_HEAP_ANALYZE_AFTER"]).reloads();
        /// Number of heap snapshots kept.
        keep: usize = 5, within(usize: 2..=100) => .variables(&["MCP_GIT_HEAP_KEEP"]).reloads();
    }
}

tables!(BTreeMap<String, NamedCache>);

section! {
    /// Caches.
    Cache in "cache." {
        /// Seconds between cache sweeps; entries unused since the last one are evicted.
        sweep_interval: Seconds = Seconds(3600), within(u64: 1..=86_400) => .variables(&["MCP_GIT_CACHE_SWEEP"]);
        /// Bytes of replies to reads that are kept, to be given again while their repository has not changed; 0 keeps none.
        reply_bytes: usize = 32 << 20, within(usize: 0..=1 << 30) => .variables(&["MCP_GIT_REPLY_BYTES"]);
        /// Enables a cache: `repositories`, `validation` or `replies`.
        named: BTreeMap<String, NamedCache> = BTreeMap::new(), serde(flatten) => .called("cache.NAME.enabled").default_is("true");
    }
}

/// Settings of one cache.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NamedCache {
    enabled: Option<bool>,
}

impl Memory {
    /// The configured limit in bytes; if absent, nine tenths of the cgroup's limit.
    pub(crate) fn limit(self) -> Option<u64> {
        Some(self.soft_limit).filter(|limit| *limit > 0)
    }
}

impl Cache {
    /// Rejects the name of a cache that does not exist.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let known = CacheName::ALL.map(CacheName::name);
        let Some(unknown) = self.named.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
        let why = format!("unknown cache `{unknown}`; there are: {}", known.join(", "));
        Err(ConfigError::Key { name: "cache", why })
    }

    /// Whether this cache is disabled.
    pub(crate) fn is_off(&self, cache: CacheName) -> bool {
        self.named.get(cache.name()).is_some_and(|settings| settings.enabled == Some(false))
    }
}

section! {
    /// OpenTelemetry.
    #[serde(deny_unknown_fields)]
    Telemetry in "telemetry." {
        /// An OpenTelemetry collector, such as `http://localhost:4318`, for metrics and traces of calls, over HTTP. The SDK's other
        /// variables apply, too.
        otlp_endpoint: String = String::new() => .variables(&[
            "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        ]).listed_only();
    }
}

section! {
    /// Metrics.
    #[serde(deny_unknown_fields)]
    Metrics in "metrics." {
        /// Whether `/metrics` is served, in Prometheus' format.
        enabled: bool = true => .variables(&["MCP_GIT_METRICS"]);
    }
}

/// An OTLP collector over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// The whole URL; if absent, OpenTelemetry's variables apply.
    pub url: Option<String>,
}

/// The collectors of traces and of metrics, if any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collectors {
    /// Of traces.
    pub traces: Option<OtlpEndpoint>,
    /// Of metrics.
    pub metrics: Option<OtlpEndpoint>,
}

impl Collectors {
    pub(super) fn of(telemetry: &Telemetry, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name: &'static str| variable(name).filter(|value| !value.is_empty());
        let endpoint = |signal| otlp(signal, &telemetry.otlp_endpoint, &given);
        Ok(Self { traces: endpoint(&TRACES)?, metrics: endpoint(&METRICS)? })
    }
}

/// OpenTelemetry's names for a signal.
struct Signal {
    path: &'static str,
    exporter: &'static str,
    endpoint: &'static str,
}

const TRACES: Signal = Signal { path: "v1/traces", exporter: "OTEL_TRACES_EXPORTER", endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" };
const METRICS: Signal = Signal { path: "v1/metrics", exporter: "OTEL_METRICS_EXPORTER", endpoint: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" };

/// The collector of a signal. The SDK ignores the variables that disable it, so they are checked here.
fn otlp(signal: &Signal, file: &str, given: &dyn Fn(&'static str) -> Option<String>) -> Result<Option<OtlpEndpoint>, ConfigError> {
    let is = |name, value: &str| given(name).is_some_and(|given| given.eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is(signal.exporter, "none") {
        return Ok(None);
    }
    if given(signal.endpoint).or_else(|| given("OTEL_EXPORTER_OTLP_ENDPOINT")).is_some() {
        return Ok(Some(OtlpEndpoint { url: None }));
    }
    if file.is_empty() {
        return Ok(None);
    }
    if !file.starts_with("http://") && !file.starts_with("https://") {
        return Err(ConfigError::Key { name: "telemetry.otlp_endpoint", why: "not an http:// or https:// URL".to_owned() });
    }
    Ok(Some(OtlpEndpoint { url: Some(format!("{}/{}", file.trim_end_matches('/'), signal.path)) }))
}
