//! The composition root: builds the server from the configuration.

use crate::{
    caches::Caches,
    circuits::Breakers,
    config::{CacheName, Config, ConfigError, OtlpEndpoint},
    journal::Journal,
    lifecycle::{
        control::Control,
        phase,
        settings::{Loaded, Reloadable},
    },
    persistence::{Persistence, SessionKeeper},
    pipeline::{ChangeLock, Holds, InFlight, LOCK_WAITS, Pipeline, ResourceKind, Services},
    replies::Replies,
    server::{Ledger, Server},
    state::StateDir,
    telemetry::{
        errors::Errors, heap::Tracker, history::History, latency::Latencies, metrics::Metrics, observer::SessionObserver,
        otlp::traces::Traces, watch::Watcher,
    },
    tool::ToolServices,
    tools,
    workspace::Workspaces,
};
use git::{Git, Repositories, Roots};
use guard::{Admission, ConcurrencyLimits, Resources, Threads};
use mcp::{Intake, sessions::Sessions};
use parking_lot::{Mutex, RwLock};
use std::{
    io,
    num::NonZeroUsize,
    path::PathBuf,
    sync::{Arc, LazyLock, OnceLock},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Maximum number of calls of a class that wait for a slot.
const WAITING: usize = 512;
/// Maximum number of concurrent calls to remotes.
const NETWORK: usize = 8;
/// Maximum number of calls that open a repository at a time, before they take a slot.
const OPENINGS: usize = 10;
/// Threads of a class that may be lost before its calls are rejected. Three times the default slots of a class: an outage
/// that fills every slot once or twice rejects nothing.
const LOST: usize = 32;
/// Threads for work other than calls: probes, the allocator, the admin channel.
const SPARE_THREADS: usize = 16;
/// How long a change waits for its worktree.
const TURN_WAIT: Duration = Duration::from_secs(30);

/// The server, ready to be connected to a transport.
pub struct App {
    /// The pipeline of calls.
    pub pipeline: Arc<Pipeline>,
    /// What its calls share.
    pub services: Arc<Services>,
    /// Fires at shutdown.
    pub stop: CancellationToken,
    /// The whole server.
    pub(crate) server: Arc<Server>,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is invalid.
    #[error(transparent)]
    Configuration(Box<ConfigError>),
    /// A named root does not exist.
    #[error(transparent)]
    Roots(Box<git::Error>),
    /// git or the state folder cannot be used.
    #[error("{0}")]
    Requirement(String),
    /// The store refuses the server; one that is unavailable does not prevent the start.
    #[error("the store cannot be used: {0}")]
    Store(String),
    /// A socket cannot be opened.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<ConfigError> for StartError {
    fn from(err: ConfigError) -> Self {
        Self::Configuration(Box::new(err))
    }
}

impl From<git::Error> for StartError {
    fn from(err: git::Error) -> Self {
        Self::Roots(Box::new(err))
    }
}

impl App {
    /// Builds the server.
    ///
    /// # Errors
    ///
    /// [`StartError::Roots`].
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let roots = match config.repositories.as_slice() {
            [] => Roots::around(&std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"))),
            _ => config.roots()?,
        };
        let stop = CancellationToken::new();
        let state = Arc::new(StateDir::new(config.state_dir.clone()));
        let breakers = Breakers::new(config.circuits.usual(), config.circuits.overrides(), config.network.clone());
        let persistence = Persistence::new(config.database.clone(), Arc::clone(&state), &breakers, config.store.lease_ttl.into());
        let errors: Arc<Errors> = Arc::default();
        let now = Reloadable::of(config);
        let (metrics, watcher) = (Arc::new(Metrics::new()), Arc::new(Watcher::default()));
        let heap = Arc::new(Tracker::default());
        if config.profile.heap.enabled && !heap.begin() {
            tracing::warn!("this program has another allocator: its heap cannot be tracked");
        }
        let resources = Resources::new(&ResourceKind::ALL.map(ResourceKind::name));
        let policy = policy(config, Some(Arc::clone(&breakers) as Arc<dyn git::TransferGate>));
        let git = Git::new(config.git.clone()).listed_in(Arc::new(Ledger(resources.clone())));
        let repositories = Repositories::with_policy(git, roots, policy);
        let busy = ConcurrencyLimits { contended_limit: Some(cpu_share), ..ConcurrencyLimits::new(config.limits.max_concurrent, WAITING) };
        let openings = ConcurrencyLimits::new(OPENINGS, WAITING);
        let services = Services {
            tools: tools::ALL.iter().collect(),
            listed: config.selection.listed(),
            selection: config.selection.clone(),
            repositories: Arc::new(repositories),
            admission: Admission::new(
                busy,
                busy,
                ConcurrencyLimits { per_key: config.limits.per_host, ..ConcurrencyLimits::new(NETWORK, WAITING) },
            ),
            openings: Admission::new(openings, openings, openings),
            threads: Threads::new(LOST),
            breakers: Arc::clone(&breakers),
            persistence: Arc::clone(&persistence),
            errors: Arc::clone(&errors),
            metrics: Arc::clone(&metrics),
            latencies: Latencies::default(),
            pressure: Arc::clone(watcher.pressure()),
            traces: config.collectors.traces.as_ref().and_then(traces),
            suspicions: crate::suspicion::Suspicions::default(),
            resources: resources.clone(),
            holds: Holds::new(config.debug.breakpoint.clone(), config.debug.hold_limit.into()),
            in_flight: InFlight::default(),
            replies: Replies::new(config.cache.reply_bytes),
            present: Mutex::default(),
            change_lock: ChangeLock::new(Arc::clone(&state), resources.clone(), Arc::clone(&persistence), TURN_WAIT),
            of_tools: Arc::new(ToolServices {
                policy: config.policy.clone(),
                workspaces: Workspaces::new(Arc::clone(&state), Arc::clone(&persistence), config.sessions.workspace_ttl.into()),
                journal: Journal::new(config.state_dir.join("journal"), Some(Arc::clone(&persistence))),
            }),
            bounds: RwLock::new(now.bounds),
            stop: stop.clone(),
            calls: TaskTracker::new(),
            running: TaskTracker::new(),
        };
        let services = Arc::new(services);
        for cache in CacheName::ALL {
            Caches::of(&services).set_enabled(cache, !config.cache.is_off(cache));
        }
        let pipeline = Arc::new(Pipeline::new(Arc::clone(&services)));
        let keeper = SessionKeeper(Arc::clone(&persistence));
        let observer = SessionObserver { errors: Arc::clone(&errors), metrics: Arc::clone(&metrics) };
        let server = Server {
            pipeline: Arc::clone(&pipeline),
            services: Arc::clone(&services),
            sessions: Sessions::new(now.sessions, Some(Arc::new(keeper)), Some(Arc::new(observer))),
            breakers,
            persistence,
            errors,
            metrics,
            watcher,
            heap,
            resources,
            phase: phase::PhaseCell::default(),
            began: Instant::now(),
            state_dir: config.state_dir.clone(),
            state,
            left: Mutex::default(),
            intake: Intake::default(),
            connections: TaskTracker::new(),
            stop: stop.clone(),
            tasks: Mutex::default(),
            control: Control::default(),
            settings: RwLock::new(now.settings),
            loaded: Mutex::new(Loaded::of(config)),
            repositories: tokio::sync::Mutex::default(),
            streams: Mutex::default(),
            history: History::default(),
            tickets: Arc::default(),
            address: OnceLock::new(),
            authority: OnceLock::new(),
        };
        Ok(Self { pipeline, services, stop, server: Arc::new(server) })
    }
}

/// Starts to export traces. An unusable collector is logged, and does not stop the server.
fn traces(endpoint: &OtlpEndpoint) -> Option<Arc<Traces>> {
    match Traces::begin(endpoint) {
        Ok(traces) => Some(Arc::new(traces)),
        Err(why) => {
            tracing::error!(why, "traces are not exported");
            None
        }
    }
}

/// Maximum number of blocking threads: all that calls can start, plus all that can be lost, so that lost threads never
/// starve running calls. The runtime starts threads on demand.
pub(crate) fn blocking_threads(config: &Config) -> usize {
    let places = config.limits.max_concurrent;
    // While the store is unavailable, the record of a change is written on a second thread.
    let records = places + LOST;
    2 * places + NETWORK + OPENINGS + LOCK_WAITS + guard::Class::ALL.len() * LOST + records + SPARE_THREADS
}

/// The operator's policy for git.
pub(crate) fn policy(config: &Config, gate: Option<Arc<dyn git::TransferGate>>) -> git::Policy {
    git::Policy {
        trust: config.trust,
        hooks: config.hooks,
        signing: config.signing,
        sandbox: config.sandbox,
        network: config.network.clone(),
        gate,
    }
}

/// Half of the CPUs, determined once, on first use.
fn cpu_share() -> usize {
    static SHARE: LazyLock<usize> = LazyLock::new(|| (std::thread::available_parallelism().map_or(1, NonZeroUsize::get) / 2).max(1));
    *SHARE
}
