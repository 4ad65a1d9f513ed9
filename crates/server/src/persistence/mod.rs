//! The store of a running server: opened on first use, guarded by a circuit breaker, and optional while unavailable.

mod keeper;
mod lease;
mod tasks;

pub(crate) use keeper::{SessionKeeper, SessionPreferences};
pub(crate) use lease::Leased;
pub(crate) use tasks::TaskState;

use crate::{circuits::Breakers, random, state::StateDir};
use guard::{CircuitBreaker, CircuitState};
use parking_lot::{Mutex, MutexGuard};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Address, Store};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// Time limit for any use of the store; beyond it the store counts as hanging, as on an unresponsive file system.
const HANGS: Duration = Duration::from_secs(10);
/// A slower failure opens the circuit at once, so that no other call waits as long.
const SLOW: Duration = Duration::from_millis(500);
/// How long the store may take before its reachability is checked, and the interval of those checks.
const REACH: Duration = Duration::from_millis(250);
/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(2);

/// The store, or its stand-in.
pub(crate) struct Persistence {
    address: Address,
    state: Arc<StateDir>,
    circuit: Arc<CircuitBreaker>,
    open: tokio::sync::Mutex<Option<Store>>,
    status: Mutex<Status>,
    /// Wakes all calls waiting for the store once one of them has opened the circuit.
    tripped: Notify,
    /// Cancelled once the store has been opened.
    opened: CancellationToken,
    waiting: Mutex<keeper::Waiting>,
    /// This machine's name in rows.
    node: LazyLock<String>,
    /// This process's name as a holder. A pid is not enough: pids are reused, even at the same time in containers with the
    /// same host name.
    holder: LazyLock<String>,
    /// Lifetime of a lease that is not renewed.
    lease_ttl: Duration,
}

/// The state of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether it has been opened.
    pub(crate) opened: bool,
    /// Why it is unavailable.
    pub(crate) unavailable: Option<String>,
    /// Where a damaged file was quarantined.
    pub(crate) quarantined: Option<PathBuf>,
    /// Number of times its file was removed or replaced while open.
    pub(crate) replaced: u64,
    /// Number of rows copied the last time; `None` if no connection still had the file open.
    pub(crate) rescued: Option<u64>,
}

/// Why a use of the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// It is unavailable; the data is kept elsewhere.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It rejected the request.
    #[error("{0}")]
    Refused(String),
}

impl Persistence {
    pub(crate) fn new(address: Address, state: Arc<StateDir>, breakers: &Breakers, lease_ttl: Duration) -> Arc<Self> {
        Arc::new(Self {
            address,
            state,
            circuit: breakers.database(),
            open: tokio::sync::Mutex::default(),
            status: Mutex::default(),
            tripped: Notify::new(),
            opened: CancellationToken::new(),
            waiting: Mutex::default(),
            node: LazyLock::new(host),
            holder: LazyLock::new(|| format!("{} process {} {}", host(), std::process::id(), random::id("").unwrap_or_default())),
            lease_ttl,
        })
    }

    fn status_mut(&self) -> MutexGuard<'_, Status> {
        self.status.lock()
    }

    /// The state of the store.
    pub(crate) fn status(&self) -> Status {
        self.status_mut().clone()
    }

    /// Returns once the store has been opened.
    pub(crate) async fn needed(&self) {
        self.opened.cancelled().await;
    }

    /// The store's location, without secrets.
    pub(crate) fn place(&self) -> String {
        self.address.to_string()
    }

    /// This machine's name in rows.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Opens the store; an outage is not an error.
    ///
    /// # Errors
    ///
    /// [`Failed::Refused`], for example for a database of a later release.
    pub(crate) async fn start(&self) -> Result<(), Failed> {
        match self.run(|store| async move { store.ping().await }).await {
            Ok(()) | Err(Failed::Unavailable(_)) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// Runs `work` with the store.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(Store) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        // Before the circuit is checked, since it may open meanwhile.
        let tripped = self.tripped.notified();
        let permission = self.circuit.try_acquire().map_err(|open| Failed::Unavailable(open.to_string()))?;
        let began = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.attempt(work) => result,
            () = tripped => {
                permission.ignore();
                return Err(Failed::Unavailable("another call found it unavailable".to_owned()));
            }
        };
        let err = match result {
            Ok(Some(done)) => {
                permission.success();
                self.mark_available();
                return Ok(done);
            }
            Ok(None) => {
                permission.ignore();
                return Err(Failed::Unavailable("its file was removed or replaced meanwhile".to_owned()));
            }
            Err(err) => err,
        };
        let why = describe(&err);
        if matches!(err, store::Error::Corrupt(_)) {
            // Reopening quarantines the file.
            self.close().await;
        }
        if err.is_outage() || matches!(err, store::Error::Corrupt(_)) {
            if began.elapsed() < SLOW && !err.is_refusal() {
                permission.failure();
            } else {
                permission.trip();
                self.tripped.notify_waiters();
            }
            if self.status_mut().unavailable.replace(why.clone()).is_none() {
                tracing::error!(why, "the store is unavailable: the server continues without it");
            }
            return Err(Failed::Unavailable(why));
        }
        permission.success();
        Err(Failed::Refused(why))
    }

    /// Runs `work` with a time limit. `None` if the file was removed or replaced meanwhile, so that its writes are lost.
    async fn attempt<T, F>(&self, work: impl FnOnce(Store) -> F) -> Result<Option<T>, store::Error>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        let attempt = async {
            let store = self.opened().await?;
            let done = work(store.clone()).await?;
            Ok(store.is_in_place().then_some(done))
        };
        tokio::select! {
            done = timeout(HANGS, attempt) => done.unwrap_or_else(|_| Err(store::Error::Unavailable("it does not answer".into()))),
            refused = self.refused() => Err(refused),
        }
    }

    /// Returns once a slow store is known to refuse connections.
    async fn refused(&self) -> store::Error {
        loop {
            tokio::time::sleep(REACH).await;
            // A store being opened reports that itself.
            let open = self.open.try_lock().ok().and_then(|open| open.clone());
            let Some(store) = open else { continue };
            if let Err(err) = store.reach().await
                && err.is_refusal()
            {
                return err;
            }
        }
    }

    fn mark_available(&self) {
        if self.status_mut().unavailable.take().is_some() {
            tracing::info!("the store is available again");
        }
    }

    /// Probes an unavailable store, so that no call has to, and uses it again once it is writable.
    pub(crate) async fn probe(&self) {
        if self.status_mut().unavailable.is_none() {
            return;
        }
        let is_open = self.circuit.snapshot().state == CircuitState::Open;
        let permission = if is_open { None } else { self.circuit.try_acquire().ok() };
        match self.attempt(|store| async move { store.ping_writing().await }).await {
            Ok(_) => {
                drop(permission);
                self.circuit.reset();
                self.mark_available();
            }
            Err(err) => {
                tracing::debug!(why = describe(&err), "the store is still unavailable");
                if let Some(permission) = permission {
                    permission.failure();
                }
            }
        }
    }

    /// Reopens the store if its file was removed or replaced.
    pub(crate) async fn reopen_if_replaced(&self) {
        let is_gone = self.open.lock().await.as_ref().is_some_and(|store| !store.is_in_place());
        if is_gone && let Err(why) = self.run(|store| async move { store.ping().await }).await {
            tracing::warn!(%why, "the database was removed or replaced, and could not be reopened yet");
        }
    }

    /// Runs `work` with the store on a blocking thread, such as a tool's.
    pub(crate) fn run_here<T, F>(&self, work: impl FnOnce(Store) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.block_on(self.run(work)),
            Err(err) => Err(Failed::Unavailable(err.to_string())),
        }
    }

    async fn opened(&self) -> Result<Store, store::Error> {
        let mut open = self.open.lock().await;
        if let Some(store) = open.as_ref().filter(|store| store.is_in_place()) {
            return Ok(store.clone());
        }
        if matches!(self.address, Address::File(_)) {
            self.state.ready().map_err(|err| store::Error::Unavailable(err.message.into()))?;
        }
        let before = open.clone();
        let opened = match &before {
            None => Store::open(&self.address).await?,
            // Any error is an outage here: the stand-in serves until the file is usable.
            Some(before) => before.reopen(&self.address).await.map_err(|err| store::Error::Unavailable(err.into()))?,
        };
        *open = Some(opened.store.clone());
        drop(open);
        let mut status = self.status_mut();
        status.opened = true;
        if let Some(path) = opened.quarantined {
            tracing::error!(path = %path.display(), "the database was damaged and is quarantined; a new one replaces it");
            status.quarantined = Some(path);
        }
        if let Some(before) = before {
            if let Some(rows) = opened.rescued {
                tracing::error!(rows, "the database was removed or replaced; its rows are copied into the new one");
            } else {
                tracing::error!("the database was removed or replaced, and its rows are lost");
            }
            (status.replaced, status.rescued) = (status.replaced + 1, opened.rescued);
            tokio::spawn(async move { before.close().await });
        }
        drop(status);
        self.opened.cancel();
        Ok(opened.store)
    }

    /// Closes the store.
    pub(crate) async fn close(&self) {
        let close = async {
            if let Some(store) = self.open.lock().await.take() {
                store.close().await;
            }
        };
        if timeout(CLOSING, close).await.is_err() {
            tracing::warn!("could not close the store: it does not answer");
        }
    }
}

/// The name of this machine.
fn host() -> String {
    fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

fn describe(err: &store::Error) -> String {
    match std::error::Error::source(err) {
        Some(cause) => format!("{err}: {cause}"),
        None => err.to_string(),
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    milliseconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds, as in rows.
pub(crate) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
