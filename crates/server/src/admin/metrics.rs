//! The metrics of a server: `/metrics`, in the text format of Prometheus, and the same for a collector.

use crate::{
    config::OtlpEndpoint,
    server::Server,
    telemetry::{
        metrics::{Sample, counter, gauge},
        otlp::metrics::Exported,
        process::{self, Figures},
    },
};
use guard::{CircuitSnapshot, CircuitState, Load, memory::Allocated};
use prometheus::proto::MetricFamily;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Content type of the text format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Maximum number of circuits listed.
const MAX_CIRCUITS: usize = 100;

/// All metrics, as text.
pub(crate) fn render(server: &Server) -> String {
    server.metrics.render(figures(server))
}

/// Starts to export all metrics to a collector. An unusable collector is logged, and does not stop the server.
pub(crate) fn export(server: &Arc<Server>, endpoint: &OtlpEndpoint) {
    let known = Arc::downgrade(server);
    match Exported::begin(endpoint, move || known.upgrade().map(|server| figures(&server)).unwrap_or_default()) {
        Ok(exported) => server.metrics.export(exported),
        Err(why) => tracing::error!(why, "metrics are not exported"),
    }
}

/// The current values.
fn figures(server: &Server) -> Vec<MetricFamily> {
    let mut all = Families::default();
    let circuits = server.breakers.list();
    all.up(
        "mcp_server_git_build_info",
        "The version of the server.",
        [(labels([("version", env!("CARGO_PKG_VERSION")), ("commit", env!("BUILD_COMMIT"))]), 1.0)],
    );
    let phase = labels([("phase", server.phase.get().name())]);
    all.up("mcp_server_git_phase_info", "The life-cycle phase of the server.", [(phase, 1.0)]);
    calls(server, &mut all);
    state(server, &circuits, &mut all);
    this_process(server, &mut all);
    totals(server, &circuits, &mut all);
    all.0
}

#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    /// Adds a gauge.
    fn up<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        self.0.push(gauge(name, help, samples));
    }

    /// Adds a counter.
    fn total<'a>(&mut self, name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
        self.0.push(counter(name, help, samples));
    }
}

fn calls(server: &Server, all: &mut Families) {
    let services = &server.services;
    let loads = services.admission.loads();
    let sample = |load: &Load, state, count| (labels([("class", load.class.name()), ("state", state)]), number(count));
    let running = loads.iter().flat_map(|load| [sample(load, "running", load.running), sample(load, "waiting", load.waiting)]);
    all.up("mcp_server_git_calls", "Tool calls by class, running or waiting for a slot.", running);
    let places = loads.iter().map(|load| (labels([("class", load.class.name())]), number(load.places)));
    all.up("mcp_server_git_call_places", "Maximum number of concurrent tool calls of a class.", places);
    all.up("mcp_server_git_worktree_waits", "Changes waiting for their worktree.", one(number(services.change_lock.queued().waiting)));
    all.up("mcp_server_git_held_calls", "Calls held at a breakpoint.", one(number(services.holds.list().len())));
    all.up("mcp_server_git_lost_threads", "Stuck threads of calls that were answered.", one(number(services.threads.total())));
}

fn state(server: &Server, circuits: &[CircuitSnapshot], all: &mut Families) {
    let mut kinds: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for session in server.sessions.list() {
        *kinds.entry((session.kind.name(), session.state.name())).or_default() += 1;
    }
    let sessions = kinds.iter().map(|((kind, state), count)| (labels([("kind", kind), ("state", state)]), number(*count)));
    all.up("mcp_server_git_sessions", "Sessions by kind and state.", sessions);
    let mut held: BTreeMap<&str, usize> = BTreeMap::new();
    for resource in server.resources.list() {
        *held.entry(resource.kind).or_default() += 1;
    }
    let held = held.iter().map(|(kind, count)| (labels([("kind", kind)]), number(*count)));
    all.up("mcp_server_git_resources", "Held resources by kind.", held);
    let not_closed = circuits.iter().filter(|circuit| circuit.state != CircuitState::Closed).take(MAX_CIRCUITS);
    let open = not_closed.map(|circuit| (labels([("circuit", &*circuit.name), ("state", circuit.state.as_str())]), 1.0));
    all.up("mcp_server_git_open_circuits", "Circuits that are not closed.", open);
    let is_up = |is: bool| one(f64::from(u8::from(is)));
    all.up("mcp_server_git_store_up", "Whether the store is available.", is_up(server.persistence.status().unavailable.is_none()));
    all.up("mcp_server_git_store_backlog", "Writes queued for the store.", one(number(server.persistence.backlog())));
    all.up("mcp_server_git_heartbeat_up", "Whether the heartbeat task runs.", is_up(server.heartbeats().is_running()));
    let entries = server.caches().list().into_iter().map(|cache| (labels([("cache", cache.name.name())]), number(cache.entries)));
    all.up("mcp_server_git_cache_entries", "Number of cache entries.", entries);
}

fn this_process(server: &Server, all: &mut Families) {
    let [lag, worst] = server.watcher.lag().map(|lag| lag.as_secs_f64());
    all.up("mcp_server_git_runtime_lag_seconds", "Last wake-up delay of the runtime.", one(lag));
    all.up("mcp_server_git_runtime_lag_max_seconds", "Maximum wake-up delay of the runtime.", one(worst));
    let processors = server.watcher.processors();
    let busy = processors.as_ref().map(|processors| (Vec::new(), processors.percent));
    all.up("mcp_server_git_cpu_percent", "Utilization of all processors.", busy);
    let load = processors.as_ref().map(|processors| (Vec::new(), processors.load[0]));
    all.up("mcp_server_git_load1", "Load average over one minute.", load);
    if let Some(Allocated { used, free }) = guard::memory::allocated() {
        let bytes = [("used", used), ("free", free)].map(|(state, bytes)| (labels([("state", state)]), count(bytes)));
        all.up("mcp_server_git_allocator_bytes", "Memory of the allocator: in use, or freed and retained.", bytes);
    }
    let Some(figures) = Figures::now() else { return };
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(server.began.elapsed());
    all.up("process_resident_memory_bytes", "Resident memory.", one(count(figures.rss)));
    all.up("process_open_fds", "Open file descriptors.", one(count(figures.descriptors)));
    let most = process::max_descriptors().map(|most| (Vec::new(), count(most)));
    all.up("process_max_fds", "Maximum number of open file descriptors.", most);
    all.up("process_threads", "Threads.", one(count(figures.threads)));
    all.up("process_start_time_seconds", "Start time of the server, since 1970.", one(started.as_secs_f64()));
    all.total("process_cpu_seconds_total", "Processor time used.", one(figures.cpu_seconds));
}

fn totals(server: &Server, circuits: &[CircuitSnapshot], all: &mut Families) {
    let services = &server.services;
    let loads = services.admission.loads();
    let of_class = |load: &Load, many| (labels([("class", load.class.name())]), count(many));
    let rejected = loads.iter().map(|load| of_class(load, load.rejected));
    all.total("mcp_server_git_calls_rejected_total", "Tool calls rejected by a full queue.", rejected);
    let rejected = one(count(services.change_lock.queued().rejected));
    all.total("mcp_server_git_worktree_rejected_total", "Changes rejected while waiting for their worktree.", rejected);
    let lost = loads.iter().map(|load| of_class(load, services.threads.lost(load.class).ever));
    all.total("mcp_server_git_lost_threads_total", "Threads lost since the start.", lost);
    let reasons = server.errors.reasons().into_iter();
    let reasons = reasons.map(|(class, reason, many)| (labels([("class", class.name()), ("reason", reason)]), count(many)));
    all.total("mcp_server_git_errors_total", "Errors by class and reason, including cancels by clients.", reasons);
    let closed = server.sessions.closed().into_iter().map(|(why, many)| (labels([("reason", why.name())]), count(many)));
    all.total("mcp_server_git_sessions_closed_total", "Sessions closed by the server, by reason.", closed);
    let rejected = circuits.iter().map(|circuit| circuit.rejected).sum();
    all.total("mcp_server_git_circuit_rejected_total", "Calls rejected by circuits.", one(count(rejected)));
    let opened = circuits.iter().map(|circuit| circuit.opened_times).sum();
    all.total("mcp_server_git_circuit_opened_total", "Number of times circuits opened.", one(count(opened)));
    let caches = server.caches().list();
    let hits = caches.iter().map(|cache| (labels([("cache", cache.name.name())]), count(cache.hits)));
    all.total("mcp_server_git_cache_hits_total", "Cache hits.", hits);
    let misses = caches.iter().map(|cache| (labels([("cache", cache.name.name())]), count(cache.misses)));
    all.total("mcp_server_git_cache_misses_total", "Cache misses.", misses);
    let restarts = server.heartbeats().restarts();
    all.total("mcp_server_git_heartbeat_restarts_total", "Restarts of the heartbeat task.", one(count(restarts)));
}

fn labels<'a, const N: usize>(pairs: [(&'a str, &str); N]) -> Vec<(&'a str, String)> {
    pairs.map(|(name, value)| (name, value.to_owned())).into()
}

fn one<'a>(value: f64) -> [Sample<'a>; 1] {
    [(Vec::new(), value)]
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 do not come up")]
fn count(count: u64) -> f64 {
    count as f64
}
