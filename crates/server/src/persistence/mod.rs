//! The store of a running server: opened at the first need, watched by a circuit, and done without while it is away.

mod keeper;
mod lease;
mod tasks;

pub(crate) use keeper::{SessionKeeper, Wishes};
pub(crate) use lease::Leased;
pub(crate) use tasks::TaskState;

use crate::{circuits::Breakers, state::StateDir};
use guard::CircuitBreaker;
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Address, Store};
use tokio_util::sync::CancellationToken;

/// The store, or what stands in for it.
pub(crate) struct Persistence {
    address: Address,
    state: Arc<StateDir>,
    circuit: Arc<CircuitBreaker>,
    open: tokio::sync::Mutex<Option<Store>>,
    status: Mutex<Status>,
    /// Cancelled once it has been opened.
    opened: CancellationToken,
    waiting: Mutex<keeper::Waiting>,
    /// What this machine is called in rows.
    node: LazyLock<String>,
    /// What this process is called where it holds something: numbers of processes are used again, also at the same time in
    /// containers of one name.
    holder: LazyLock<String>,
    /// How long a lease lasts that is not renewed.
    lease_ttl: Duration,
}

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// It has been needed.
    pub(crate) opened: bool,
    /// Why it is away.
    pub(crate) away: Option<String>,
    /// Where a damaged file was put aside.
    pub(crate) quarantined: Option<PathBuf>,
}

/// Why the store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    /// It is away, and what was to be kept is kept elsewhere.
    #[error("the store is away: {0}")]
    Away(String),
    /// It refuses.
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
            opened: CancellationToken::new(),
            waiting: Mutex::default(),
            node: LazyLock::new(host),
            holder: LazyLock::new(|| format!("{} process {} {}", host(), std::process::id(), mcp::sessions::random_id(""))),
            lease_ttl,
        })
    }

    fn status_mut(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the store is.
    pub(crate) fn status(&self) -> Status {
        self.status_mut().clone()
    }

    /// Returns once something durable has happened.
    pub(crate) async fn needed(&self) {
        self.opened.cancelled().await;
    }

    /// Where the store is, without anything secret.
    pub(crate) fn place(&self) -> String {
        self.address.to_string()
    }

    /// What this machine is called in rows.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Opens the store, where nothing but an outage may keep it from being opened.
    ///
    /// # Errors
    ///
    /// [`Failed::Refused`] for a database of a later release and the like.
    pub(crate) async fn start(&self) -> Result<(), Failed> {
        match self.run(|store| async move { store.ping().await }).await {
            Ok(()) | Err(Failed::Away(_)) => Ok(()),
            Err(refused) => Err(refused),
        }
    }

    /// Lets `work` have the store.
    pub(crate) async fn run<T, F>(&self, work: impl FnOnce(Store) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        let trial = self.circuit.try_acquire().map_err(|open| Failed::Away(open.to_string()))?;
        let result = match self.opened().await {
            Ok(store) => work(store).await,
            Err(err) => Err(err),
        };
        let err = match result {
            Ok(done) => {
                trial.success();
                if self.status_mut().away.take().is_some() {
                    tracing::info!("the store is back");
                }
                return Ok(done);
            }
            Err(err) => err,
        };
        let why = describe(&err);
        if matches!(err, store::Error::Corrupt(_)) {
            // It is put aside when it is opened again.
            if let Some(store) = self.open.lock().await.take() {
                store.close().await;
            }
        }
        if err.is_outage() || matches!(err, store::Error::Corrupt(_)) {
            trial.failure();
            if self.status_mut().away.replace(why.clone()).is_none() {
                tracing::error!(why, "the store is away: the server goes on without it");
            }
            return Err(Failed::Away(why));
        }
        trial.success();
        Err(Failed::Refused(why))
    }

    /// The same on a thread that may wait, as those on which tools run.
    pub(crate) fn run_here<T, F>(&self, work: impl FnOnce(Store) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, store::Error>>,
    {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => runtime.block_on(self.run(work)),
            Err(err) => Err(Failed::Away(err.to_string())),
        }
    }

    async fn opened(&self) -> Result<Store, store::Error> {
        let mut open = self.open.lock().await;
        if let Some(store) = open.as_ref() {
            return Ok(store.clone());
        }
        if matches!(self.address, Address::File(_)) {
            self.state.ready().map_err(|err| store::Error::Unavailable(err.message.into()))?;
        }
        let opened = Store::open(&self.address).await?;
        let mut status = self.status_mut();
        status.opened = true;
        if let Some(path) = opened.quarantined {
            tracing::error!(path = %path.display(), "the database was damaged and is put aside; a new one takes its place");
            status.quarantined = Some(path);
        }
        drop(status);
        self.opened.cancel();
        *open = Some(opened.store.clone());
        Ok(opened.store)
    }

    /// Lets go of the store.
    pub(crate) async fn close(&self) {
        if let Some(store) = self.open.lock().await.take() {
            store.close().await;
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

/// A time as rows have it.
pub(crate) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
