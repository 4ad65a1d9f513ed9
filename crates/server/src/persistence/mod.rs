//! The store of a running server: opened at the first need, watched by a circuit, and done without while it is away.

mod keeper;
mod lease;
mod tasks;

pub(crate) use keeper::{SessionKeeper, SessionPreferences};
pub(crate) use lease::Leased;
pub(crate) use tasks::TaskState;

use crate::{circuits::Breakers, state::StateDir};
use guard::{CircuitBreaker, CircuitState};
use std::{
    fs,
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Address, Store};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// The limit for any use of the store: beyond it the store hangs, as on a file system that does not answer.
const HANGS: Duration = Duration::from_secs(10);
/// A failure that took longer opens the circuit at once, so that no other call waits for the same.
const SLOW: Duration = Duration::from_millis(500);
/// How long the store may take before it is asked whether it can be reached at all, and how often.
const REACH: Duration = Duration::from_millis(250);
/// How long connections may take to end.
const CLOSING: Duration = Duration::from_secs(2);

/// The store, or what stands in for it.
pub(crate) struct Persistence {
    address: Address,
    state: Arc<StateDir>,
    circuit: Arc<CircuitBreaker>,
    open: tokio::sync::Mutex<Option<Store>>,
    status: Mutex<Status>,
    /// Wakes the calls that still wait for the store once one of them has waited in vain.
    in_vain: Notify,
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
    /// How often its file was removed or replaced while it was open.
    pub(crate) replaced: u64,
    /// How many rows were copied the last time. None where no connection had the file open any more.
    pub(crate) rescued: Option<u64>,
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
            in_vain: Notify::new(),
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
        // Before the circuit is asked, which may open meanwhile.
        let in_vain = self.in_vain.notified();
        let trial = self.circuit.try_acquire().map_err(|open| Failed::Away(open.to_string()))?;
        let began = Instant::now();
        let result = tokio::select! {
            biased;
            result = self.attempt(work) => result,
            () = in_vain => {
                trial.ignore();
                return Err(Failed::Away("another call has waited for it in vain".to_owned()));
            }
        };
        let err = match result {
            Ok(Some(done)) => {
                trial.success();
                self.is_back();
                return Ok(done);
            }
            Ok(None) => {
                trial.ignore();
                return Err(Failed::Away("its file was removed or replaced meanwhile".to_owned()));
            }
            Err(err) => err,
        };
        let why = describe(&err);
        if matches!(err, store::Error::Corrupt(_)) {
            // It is put aside when it is opened again.
            self.close().await;
        }
        if err.is_outage() || matches!(err, store::Error::Corrupt(_)) {
            if began.elapsed() < SLOW && !err.is_refusal() {
                trial.failure();
            } else {
                trial.trip();
                self.in_vain.notify_waiters();
            }
            if self.status_mut().away.replace(why.clone()).is_none() {
                tracing::error!(why, "the store is unavailable: the server continues without it");
            }
            return Err(Failed::Away(why));
        }
        trial.success();
        Err(Failed::Refused(why))
    }

    /// Does `work` in bounded time. None where the file was removed or replaced meanwhile, so that what was written is lost.
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

    /// Returns once it is known that a store that is slow takes no connections.
    async fn refused(&self) -> store::Error {
        loop {
            tokio::time::sleep(REACH).await;
            // Where it is being opened it says so by itself.
            let open = self.open.try_lock().ok().and_then(|open| open.clone());
            let Some(store) = open else { continue };
            if let Err(err) = store.reach().await
                && err.is_refusal()
            {
                return err;
            }
        }
    }

    fn is_back(&self) {
        if self.status_mut().away.take().is_some() {
            tracing::info!("the store is available again");
        }
    }

    /// Tries a store that is away, so that no call has to, and uses it again where it can be written to.
    pub(crate) async fn probe(&self) {
        if self.status_mut().away.is_none() {
            return;
        }
        let is_open = self.circuit.snapshot().state == CircuitState::Open;
        let trial = if is_open { None } else { self.circuit.try_acquire().ok() };
        match self.attempt(|store| async move { store.ping_writing().await }).await {
            Ok(_) => {
                drop(trial);
                self.circuit.reset();
                self.is_back();
            }
            Err(err) => {
                tracing::debug!(why = describe(&err), "the store is still unavailable");
                if let Some(trial) = trial {
                    trial.failure();
                }
            }
        }
    }

    /// Opens the store anew where its file was removed or replaced.
    pub(crate) async fn look(&self) {
        let is_gone = self.open.lock().await.as_ref().is_some_and(|store| !store.is_in_place());
        if is_gone && let Err(why) = self.run(|store| async move { store.ping().await }).await {
            tracing::warn!(%why, "the database was removed or replaced, and is not opened anew yet");
        }
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
        if let Some(store) = open.as_ref().filter(|store| store.is_in_place()) {
            return Ok(store.clone());
        }
        if matches!(self.address, Address::File(_)) {
            self.state.ready().map_err(|err| store::Error::Unavailable(err.message.into()))?;
        }
        let before = open.clone();
        let opened = match &before {
            None => Store::open(&self.address).await?,
            // Any error is an outage here: the stand-ins serve until the file at that place can be used.
            Some(before) => before.reopen(&self.address).await.map_err(|err| store::Error::Unavailable(err.into()))?,
        };
        *open = Some(opened.store.clone());
        drop(open);
        let mut status = self.status_mut();
        status.opened = true;
        if let Some(path) = opened.quarantined {
            tracing::error!(path = %path.display(), "the database was damaged and is put aside; a new one takes its place");
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

    /// Lets go of the store.
    pub(crate) async fn close(&self) {
        let close = async {
            if let Some(store) = self.open.lock().await.take() {
                store.close().await;
            }
        };
        if timeout(CLOSING, close).await.is_err() {
            tracing::warn!("the store does not answer, and is left open");
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
