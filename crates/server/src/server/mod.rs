//! A running server, and its periodic tasks: heartbeats, sweeps, probes, and writes to the store.

pub(crate) mod heartbeats;
pub(crate) mod reload;
pub(crate) mod restart;
pub(crate) mod tickets;
mod watching;

use crate::{
    admin::answers::{errors::Source, repositories::Repositories},
    caches::Caches,
    caller::{Caller, Right},
    circuits::Breakers,
    error::ErrorClass,
    journal,
    lifecycle::{
        control::Control,
        grace,
        phase::{Phase, PhaseCell},
        settings::{Loaded, Settings},
    },
    named::named,
    output,
    persistence::{Persistence, milliseconds, now_ms},
    pipeline::{Apart, Call, Origin, Pipeline, ResourceKind, Services},
    state::StateDir,
    telemetry::{
        errors::Errors,
        heap::Tracker,
        history::History,
        metrics::{Metrics, Stage},
        watch::Watcher,
    },
};
use guard::{Resources, Supervised};
use heartbeats::Heartbeats;
use mcp::{Intake, http::Authority, sessions::Sessions};
use parking_lot::{Mutex, MutexGuard, RwLock};
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use store::{ErrorBucket, OperationRow};
use tickets::Tickets;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Interval between writes of sessions and error counts to the store.
const FLUSH: Duration = Duration::from_secs(5);
/// Interval between probes of open circuits.
pub(crate) const PROBES: Duration = Duration::from_secs(1);
/// Interval between checks for too many lost threads, and between requests for a successor.
const THREADS: Duration = Duration::from_secs(1);
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// How long to wait for quiet connections once another process has taken over.
const CONNECTIONS: Duration = mcp::http::QUIET.saturating_add(Duration::from_millis(500));
/// Interval between removals of old rows from the store, and the age of such rows.
const PRUNE: Duration = Duration::from_hours(1);
const OLD: Duration = Duration::from_hours(24 * 30);
/// Age from which the folder of an unfinished clone counts as abandoned.
const ABANDONED: Duration = Duration::from_hours(1);
/// How long a status waits for the store.
const GLANCE: Duration = Duration::from_millis(500);
/// Number of changes per repository kept regardless of age.
const KEPT: i64 = 1_000;

named! {
    /// A component that can be restarted alone: a periodic task, or the validation of messages.
    pub(crate) enum Component {
        Heartbeat = "heartbeat",
        Sweep = "sweep",
        Probes = "probes",
        Store = "store",
        Validation = "validation",
    }
}

/// The names of all components, in words.
pub(crate) fn components() -> String {
    let [others @ .., last] = Component::ALL.map(Component::name);
    format!("{} or {last}", others.join(", "))
}

/// Registers git's child processes and temporary folders as resources, and measures processes and pauses.
#[derive(Debug)]
pub(crate) struct Ledger(pub(crate) Resources);

impl git::Ledger for Ledger {
    fn child(&self, pid: u32, command: &str) -> Box<dyn Send> {
        Box::new((self.0.acquire(ResourceKind::Child.name(), format!("git {command} (pid {pid})"), None).ok(), Apart::begin(Stage::Git)))
    }

    fn temporary(&self, path: &Path) -> Box<dyn Send> {
        Box::new(self.0.acquire(ResourceKind::Temporary.name(), path.display().to_string(), None).ok())
    }

    fn pause(&self) -> Box<dyn Send> {
        Box::new(Apart::begin(Stage::Retry))
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) services: Arc<Services>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) persistence: Arc<Persistence>,
    pub(crate) errors: Arc<Errors>,
    pub(crate) metrics: Arc<Metrics>,
    /// Memory, processors and the runtime.
    pub(crate) watcher: Arc<Watcher>,
    /// Snapshots of the heap.
    pub(crate) heap: Arc<Tracker>,
    pub(crate) resources: Resources,
    pub(crate) phase: PhaseCell,
    pub(crate) began: Instant,
    pub(crate) state_dir: PathBuf,
    pub(crate) state: Arc<StateDir>,
    /// The leftovers of a crashed server.
    pub(crate) left: Mutex<CrashLeftovers>,
    /// Whether it accepts new calls.
    pub(crate) intake: Intake,
    /// The connections of clients over HTTP.
    pub(crate) connections: TaskTracker,
    /// Cancelled at shutdown.
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: Mutex<Vec<Supervised>>,
    /// The channel to the supervisor.
    pub(crate) control: Control,
    pub(crate) settings: RwLock<Settings>,
    /// The configuration in force.
    pub(crate) loaded: Mutex<Loaded>,
    /// The repositories, and when they were read.
    pub(crate) repositories: tokio::sync::Mutex<Option<(Instant, Arc<Repositories>)>>,
    /// Cancelled and replaced when tokens are revoked: streams then end, and their clients authenticate again.
    pub(crate) streams: Mutex<CancellationToken>,
    /// The load of the last hour.
    pub(crate) history: History,
    /// The tickets for the admin API over HTTP.
    pub(crate) tickets: Arc<Tickets>,
    /// Where it listens for HTTP: `http://HOST:PORT`.
    pub(crate) address: OnceLock<String>,
    /// Authentication over HTTP, if required.
    pub(crate) authority: OnceLock<Option<Arc<Authority>>>,
}

/// Error counts of a window.
pub(crate) struct Past {
    /// The window covered; shorter than requested if less is known.
    pub(crate) window: Duration,
    pub(crate) source: Source,
    counts: BTreeMap<ErrorClass, u64>,
}

impl Past {
    pub(crate) fn count(&self, class: ErrorClass) -> u64 {
        self.counts.get(&class).copied().unwrap_or_default()
    }
}

/// Leftovers of a crashed server that only its user can resolve.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashLeftovers {
    /// Changes that the crash interrupted.
    pub(crate) interrupted: Vec<OperationRow>,
    /// Worktrees whose repository is gone.
    pub(crate) orphaned: Vec<PathBuf>,
}

impl Server {
    /// The leftovers of a crashed server.
    pub(crate) fn left(&self) -> MutexGuard<'_, CrashLeftovers> {
        self.left.lock()
    }

    /// Forgets the interrupted changes that were made again, as far as the store answers at once.
    pub(crate) async fn forget_repeated(&self) {
        let interrupted = self.left().interrupted.clone();
        let forget = async {
            for row in interrupted {
                let id = row.id.clone();
                if let Ok(true) = self.persistence.run(|store| async move { store.is_repeated(&row).await }).await {
                    self.left().interrupted.retain(|one| one.id != id);
                }
            }
        };
        tokio::time::timeout(GLANCE, forget).await.ok();
    }

    /// The server-wide settings.
    pub(crate) fn settings(&self) -> Settings {
        *self.settings.read()
    }

    /// The configuration in force.
    pub(crate) fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock()
    }

    /// Time without activity after which a session counts as idle.
    pub(crate) fn idle_after(&self) -> Duration {
        self.sessions.limits().heartbeat * 2
    }

    /// Starts the periodic tasks, and recovers what the previous server left.
    pub(crate) async fn begin(self: &Arc<Self>) {
        match journal::Journal::interrupt_dead(&self.persistence).await {
            Ok(found) => {
                if let Some(first) = found.first() {
                    tracing::warn!(count = found.len(), first = %journal::described(first), "operations were interrupted when their server exited");
                }
                self.left().interrupted = found;
            }
            Err(why) => tracing::warn!(%why, "could not read operations interrupted by the last shutdown"),
        }
        let repositories = Arc::clone(&self.services.repositories);
        let removed = tokio::task::spawn_blocking(move || repositories.remove_abandoned(ABANDONED)).await.unwrap_or_default();
        if let Some(first) = removed.first() {
            tracing::warn!(count = removed.len(), first = %first.display(), "removed partial clones left by killed servers");
        }
        let orphaned = self.services.of_tools.workspaces.reconcile().await;
        if let Some(first) = orphaned.first() {
            tracing::warn!(count = orphaned.len(), first = %first.display(), "worktrees are orphaned: their repositories are gone");
        }
        self.left().orphaned = orphaned;
        self.recall_errors().await;
        let limits = self.sessions.limits();
        let sweep = self.settings().sweep_interval.min(limits.idle / 2).max(Duration::from_millis(100));
        let mut tasks = Vec::new();
        let server = Arc::clone(self);
        tasks.push(self.supervise(Component::Heartbeat.name(), limits.heartbeat, move || {
            server.sessions.heartbeat_tick();
            std::future::ready(())
        }));
        let server = Arc::clone(self);
        tasks.push(self.supervise(Component::Sweep.name(), sweep, move || {
            let server = Arc::clone(&server);
            async move { server.sweep().await }
        }));
        let server = Arc::clone(self);
        tasks.push(self.supervise(Component::Probes.name(), PROBES, move || {
            let (breakers, persistence) = (Arc::clone(&server.breakers), Arc::clone(&server.persistence));
            async move {
                let remotes = tokio::task::spawn_blocking(move || breakers.probe());
                drop(tokio::join!(remotes, persistence.probe()));
            }
        }));
        let server = Arc::clone(self);
        tasks.push(self.supervise(Component::Store.name(), FLUSH, move || {
            let server = Arc::clone(&server);
            async move { server.flush_to_store().await }
        }));
        let server = Arc::clone(self);
        tasks.push(self.supervise("prune", PRUNE, move || {
            let server = Arc::clone(&server);
            async move { server.prune().await }
        }));
        let server = Arc::clone(self);
        tasks.push(self.supervise("threads", THREADS, move || {
            let server = Arc::clone(&server);
            async move { server.replace_if_full().await }
        }));
        tasks.extend(self.watching());
        *self.tasks.lock() = tasks;
        self.phase.advance(Phase::Ready);
    }

    fn supervise<T, F>(&self, name: &'static str, period: Duration, tick: T) -> Supervised
    where
        T: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Supervised::spawn(name, period, tick, self.stop.clone().cancelled_owned())
    }

    /// The caches.
    pub(crate) fn caches(&self) -> Caches<'_> {
        Caches::of(&self.services)
    }

    /// The heartbeats of the sessions.
    pub(crate) fn heartbeats(&self) -> Heartbeats<'_> {
        Heartbeats::new(&self.sessions, self.task(Component::Heartbeat.name()))
    }

    /// The task called `name`.
    pub(crate) fn task(&self, name: &str) -> Option<Supervised> {
        self.tasks.lock().iter().find(|task| task.name() == name).cloned()
    }

    async fn sweep(&self) {
        let limits = self.sessions.limits();
        // Before idle sessions are deleted: the store gets their activity only periodically.
        self.flush_to_store().await;
        let closed = self.sessions.reap_idle(limits.idle);
        if !closed.is_empty() {
            tracing::info!(count = closed.len(), "idle sessions were closed");
        }
        let after = self.idle_after();
        let idle = self.sessions.list().iter().filter(|session| session.in_flight == 0 && session.idle >= after).count();
        if idle > self.settings().idle_warn {
            let after = output::span(after);
            tracing::warn!(idle, "many sessions are idle: `mcp-server-git sessions reap --idle {after}` closes those idle for {after}");
        }
        self.persistence.forget_idle(limits.idle).await;
        self.close_expired().await;
        let threshold = self.settings().spike_per_minute;
        for burn in self.errors.windows().burning(threshold) {
            tracing::warn!(error_class = burn.class.name(), per_minute = burn.short_rate, "error rate spikes");
        }
        // After a burst of sessions, the allocator may retain as much memory as all of them used.
        drop(tokio::task::spawn_blocking(guard::memory::trim).await);
    }

    /// Requests a successor if so many threads are lost that calls are rejected: only the end of the process ends them.
    async fn replace_if_full(&self) {
        if !self.services.threads.is_full() || self.phase.get() != Phase::Ready {
            return;
        }
        match self.control.ask(self.settings().drain).await {
            Ok(successor) => tracing::error!(successor, "too many threads are lost: another process takes over"),
            Err(why) => tracing::error!(why, "too many threads are lost, and no other process takes over"),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }

    /// Closes expired workspaces on behalf of their owners. A workspace whose close would lose work is kept.
    async fn close_expired(&self) {
        let Some(tool) = self.services.find("git_workspace").filter(|_| self.persistence.status().opened) else { return };
        let workspaces = &self.services.of_tools.workspaces;
        for expired in workspaces.expired().await {
            let args = json!({"action": "close", "handle": expired.handle, "repo_path": expired.repository});
            let call = Call {
                tool,
                args: args.as_object().cloned().unwrap_or_default(),
                caller: Caller { principal: Arc::from(expired.principal), rights: Right::ALL.to_vec() },
                cancelled: CancellationToken::new(),
                received: Instant::now(),
                client_roots: None,
                on_progress: None,
                origin: Origin::default(),
            };
            match self.pipeline.call(call).await {
                Ok(_) => tracing::info!(workspace = expired.handle, "expired workspace closed"),
                Err(error) => {
                    tracing::warn!(workspace = expired.handle, code = error.code(), "expired workspace kept");
                    workspaces.postpone(&expired.handle).await;
                }
            }
        }
    }

    /// Writes session activity and error counts to the store.
    pub(crate) async fn flush_to_store(&self) {
        if !self.persistence.status().opened {
            return;
        }
        self.persistence.reopen_if_replaced().await;
        self.persistence.catch_up(self.sessions.seen()).await;
        let counted = self.errors.windows().drain_minutes();
        let buckets = counted.iter().map(|(class, minute, count)| ErrorBucket {
            class: class.name().to_owned(),
            minute: *minute,
            count: i64::try_from(*count).unwrap_or(i64::MAX),
        });
        if !self.persistence.add_errors(buckets.collect()).await {
            tracing::debug!("error counts are lost: the store is unavailable");
        }
    }

    /// Loads the error counts of the last hour.
    async fn recall_errors(&self) {
        let now = now_ms() / 60_000;
        let Ok(buckets) = self.persistence.run(|store| async move { store.errors_since(now - 59).await }).await else { return };
        for bucket in buckets {
            let class = bucket.class.parse().unwrap_or(ErrorClass::Other);
            let ago = u32::try_from(now - bucket.minute).unwrap_or_default();
            self.errors.windows().seed(class, ago, u64::try_from(bucket.count).unwrap_or_default());
        }
    }

    /// The errors of a window: up to an hour from memory, in steps of five seconds; else from the store, in minutes.
    pub(crate) async fn errors_within(&self, window: Duration) -> Past {
        let hour = Duration::from_hours(1);
        let of_memory = |window: Duration| {
            let window = window.clamp(Duration::from_secs(5), hour);
            let counts = ErrorClass::ALL.map(|class| (class, self.errors.windows().count(class, window)));
            Past { window, source: Source::Memory, counts: counts.into() }
        };
        if window <= hour || !self.persistence.status().opened {
            return of_memory(window);
        }
        let window = window.min(OLD);
        self.flush_to_store().await;
        let first = now_ms() / 60_000 - milliseconds(window) / 60_000 + 1;
        let Ok(buckets) = self.persistence.run(|store| async move { store.errors_since(first).await }).await else {
            return of_memory(window);
        };
        let mut counts = BTreeMap::new();
        for bucket in buckets {
            let class = bucket.class.parse().unwrap_or(ErrorClass::Other);
            *counts.entry(class).or_default() += u64::try_from(bucket.count).unwrap_or_default();
        }
        Past { window, source: Source::Store, counts }
    }

    async fn prune(&self) {
        if !self.persistence.status().opened {
            return;
        }
        let before = now_ms() - milliseconds(OLD);
        let tasks = now_ms() - milliseconds(crate::wire::TASK_KEPT * 2);
        let pruned = self.persistence.run(|store| async move {
            store.prune_errors(before / 60_000).await?;
            store.prune_tasks(tasks).await?;
            store.prune_operations(before, KEPT).await
        });
        if let Err(why) = pruned.await {
            tracing::debug!(%why, "could not prune the store");
        }
    }

    /// Accepts no new calls.
    pub(crate) fn stop_accepting(&self) {
        self.phase.advance(Phase::Draining);
        self.intake.drain();
    }

    /// Accepts no new calls, and waits for running ones. Returns how many are left.
    pub(crate) async fn drain(&self, at_most: Duration) -> usize {
        self.stop_accepting();
        let left = self.services.drained(at_most).await;
        self.flush_to_store().await;
        left
    }

    /// Exports the last traces and metrics, within two seconds. The SDK ignores the time limit for metrics
    /// (`findings/opentelemetry_meter_shutdown_limit.sh`).
    pub(crate) async fn end_telemetry(&self) {
        let (traces, metrics) = (self.services.traces.clone(), Arc::clone(&self.metrics));
        let traces = tokio::task::spawn_blocking(move || traces.inspect(|traces| traces.end()));
        let metrics = tokio::task::spawn_blocking(move || metrics.end());
        let both = async { (traces.await, metrics.await) };
        tokio::time::timeout(grace::TELEMETRY, both).await.ok();
    }

    /// Accepts calls again. False if it was not drained.
    pub(crate) fn resume(&self) -> bool {
        self.phase.resume() && self.intake.resume()
    }

    /// Leaves new calls to another process, finishes running ones, and waits for connections with a request in transit.
    pub(crate) async fn leave(&self, at_most: Duration) -> usize {
        let began = Instant::now();
        self.phase.advance(Phase::Leaving);
        self.intake.leave();
        self.drain(at_most).await;
        self.connections.close();
        tokio::time::timeout(CONNECTIONS.min(at_most), self.connections.wait()).await.ok();
        self.drain(at_most.saturating_sub(began.elapsed())).await
    }
}
