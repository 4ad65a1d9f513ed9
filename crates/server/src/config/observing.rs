//! Observability settings: log, slow calls, memory, CPU, caches, held calls, metrics and traces.

use super::Breakpoint;
use super::{ConfigError, Flags, choice, resilience::bounded};
use crate::telemetry::levels;
use schemars::JsonSchema;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Observability settings.
#[derive(Clone, Debug, PartialEq)]
pub struct Observing {
    /// The log.
    pub log: Log,
    /// Duration above which a call is slow.
    pub slow: Duration,
    /// Breakpoints.
    pub debug: Debug,
    /// Memory and CPU monitoring.
    pub watch: Watch,
    /// Heap profiling.
    pub heap: HeapProfile,
    /// Interval between cache sweeps.
    pub cache_sweep: Duration,
    /// Names of disabled caches.
    pub caches_off: Vec<String>,
    /// Whether `/metrics` is served.
    pub metrics: bool,
    /// Collector of traces, if any.
    pub traces: Option<OtlpEndpoint>,
    /// Collector of metrics, if any.
    pub pushed_metrics: Option<OtlpEndpoint>,
}

/// An OTLP collector over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint {
    /// The whole URL; if absent, OpenTelemetry's variables apply.
    pub url: Option<String>,
}

/// Log settings. Logs go to standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level, or directives such as `warn,git=debug`.
    pub level: String,
    /// Text or JSON.
    pub format: LogFormat,
    /// An additional log file, rotated daily, with the date appended to its name.
    pub file: Option<PathBuf>,
    /// Number of log files kept.
    pub keep: usize,
}

/// The log format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line of text per record.
    #[default]
    Text,
    /// A JSON object per record.
    Json,
}

/// Breakpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debug {
    /// Calls held before they start.
    pub breakpoint: Breakpoint,
    /// Maximum time a call is held.
    pub hold_limit: Duration,
}

/// Memory and CPU monitoring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    /// Interval between memory samples.
    pub memory_interval: Duration,
    /// Bytes in use above which new calls are refused; if absent, nine tenths of the cgroup's limit.
    pub memory_soft_limit: Option<u64>,
    /// Interval between CPU samples.
    pub cpu_interval: Duration,
    /// Total CPU usage in percent above which the log warns.
    pub cpu_warn: f64,
}

/// Heap profiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeapProfile {
    /// Whether allocations are tracked from startup.
    pub enabled: bool,
    /// Interval between snapshots while tracking.
    pub interval: Duration,
    /// Number of snapshots after which they are compared.
    pub analyze_after: usize,
    /// Number of snapshots kept.
    pub keep: usize,
}

/// The caches that can be disabled.
pub(crate) const CACHES: [&str; 2] = ["repositories", "validation"];

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileLog {
    level: Option<String>,
    format: Option<LogFormat>,
    file: Option<PathBuf>,
    keep: Option<usize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileDebug {
    breakpoint: Option<String>,
    hold_limit: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FilePerf {
    slow_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileMemory {
    sample_interval: Option<u64>,
    soft_limit: Option<u64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileCpu {
    sample_interval: Option<u64>,
    warn_percent: Option<f64>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileProfile {
    heap: FileHeap,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileHeap {
    enabled: Option<bool>,
    interval: Option<u64>,
    analyze_after: Option<usize>,
    keep: Option<usize>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct FileCaches {
    sweep_interval: Option<u64>,
    #[serde(flatten)]
    named: BTreeMap<String, FileCache>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileCache {
    enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileMetrics {
    enabled: Option<bool>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FileTelemetry {
    otlp_endpoint: Option<String>,
}

/// The file's sections for these settings.
pub(super) struct Parts {
    pub(super) log: FileLog,
    pub(super) perf: FilePerf,
    pub(super) debug: FileDebug,
    pub(super) memory: FileMemory,
    pub(super) cpu: FileCpu,
    pub(super) profile: FileProfile,
    pub(super) cache: FileCaches,
    pub(super) metrics: FileMetrics,
    pub(super) telemetry: FileTelemetry,
}

impl Observing {
    pub(super) fn from_parts(flags: &Flags, file: Parts, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<Self, ConfigError> {
        let given = |name: &'static str| variable(name).filter(|value| !value.is_empty());
        let seconds = |name, file, default| bounded(name, variable, file, default, 1..=86_400).map(Duration::from_secs);
        let named = file.cache.named;
        let endpoint = file.telemetry.otlp_endpoint.unwrap_or_default();
        if let Some(unknown) = named.keys().find(|name| !CACHES.contains(&name.as_str())) {
            let why = format!("unknown cache `{unknown}`; there are: {}", CACHES.join(", "));
            return Err(ConfigError::Key { name: "cache", why });
        }
        Ok(Self {
            log: Log {
                level: level(flags, file.log.level, variable)?,
                format: flags.log_format.or(choice("MCP_GIT_LOG_FORMAT", variable)?).or(file.log.format).unwrap_or_default(),
                file: given("MCP_GIT_LOG_FILE").map(PathBuf::from).or(file.log.file),
                keep: file.log.keep.unwrap_or(7).clamp(1, 10_000),
            },
            slow: Duration::from_millis(bounded("MCP_GIT_SLOW_MS", variable, file.perf.slow_ms, 1000, 0..=3_600_000)?),
            debug: Debug {
                breakpoint: variable("MCP_DEBUG_BREAKPOINT").or(file.debug.breakpoint).unwrap_or_default().parse().unwrap_or_default(),
                hold_limit: seconds("MCP_GIT_HOLD_LIMIT", file.debug.hold_limit, 300)?,
            },
            watch: Watch {
                memory_interval: seconds("MCP_GIT_MEMORY_INTERVAL", file.memory.sample_interval, 300)?,
                memory_soft_limit: Some(bounded("MCP_GIT_MEMORY_LIMIT", variable, file.memory.soft_limit, 0, 0..=u64::MAX)?)
                    .filter(|limit| *limit > 0),
                cpu_interval: seconds("MCP_GIT_CPU_INTERVAL", file.cpu.sample_interval, 10)?,
                cpu_warn: bounded("MCP_GIT_CPU_WARN", variable, file.cpu.warn_percent, 80.0, 1.0..=100.0)?,
            },
            heap: HeapProfile {
                enabled: match given("MCP_GIT_HEAP_PROFILE") {
                    Some(_) => super::switch("MCP_GIT_HEAP_PROFILE", variable)?,
                    None => file.profile.heap.enabled.unwrap_or(false),
                },
                interval: seconds("MCP_GIT_HEAP_INTERVAL", file.profile.heap.interval, 600)?,
                analyze_after: bounded("MCP_GIT_HEAP_ANALYZE_AFTER", variable, file.profile.heap.analyze_after, 10, 2..=100)?,
                keep: bounded("MCP_GIT_HEAP_KEEP", variable, file.profile.heap.keep, 5, 2..=100)?,
            },
            cache_sweep: seconds("MCP_GIT_CACHE_SWEEP", file.cache.sweep_interval, 3600)?,
            caches_off: named.into_iter().filter(|(_, cache)| cache.enabled == Some(false)).map(|(name, _)| name).collect(),
            traces: otlp(&TRACES, &endpoint, &given)?,
            pushed_metrics: otlp(&METRICS, &endpoint, &given)?,
            metrics: match given("MCP_GIT_METRICS") {
                Some(_) => super::switch("MCP_GIT_METRICS", variable)?,
                None => file.metrics.enabled.unwrap_or(true),
            },
        })
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

/// The log directives, from the first source that has any.
fn level(flags: &Flags, file: Option<String>, variable: &dyn Fn(&'static str) -> Option<String>) -> Result<String, ConfigError> {
    let places = [
        ("--log-level", flags.log_level.clone()),
        ("MCP_GIT_LOG_LEVEL", variable("MCP_GIT_LOG_LEVEL")),
        ("RUST_LOG", variable("RUST_LOG")),
        ("log.level", file),
    ];
    let given = places.into_iter().find_map(|(from, level)| Some((from, level.filter(|level| !level.is_empty())?)));
    let (from, level) = given.unwrap_or_else(|| ("log.level", "warn".to_owned()));
    match levels::filter(&level) {
        Ok(_) => Ok(level),
        Err(err) => Err(ConfigError::Level { from, level, why: err.to_string() }),
    }
}
