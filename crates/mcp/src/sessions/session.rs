//! One session.

use super::{Ending, Kind, SessionInfo, SessionState};
use parking_lot::{Mutex, MutexGuard};
use std::{
    any::Any,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::Notify;

/// Maximum length of the client's name and version, in characters.
const MAX_WORDS: usize = 120;

/// The transport's side of a session.
pub(crate) trait Link: Any + Send + Sync {
    /// Ends the transport.
    fn end(&self, why: Ending);
}

impl<F: Fn(Ending) + Any + Send + Sync> Link for F {
    fn end(&self, why: Ending) {
        self(why);
    }
}

/// One session.
pub(crate) struct Session {
    pub(crate) id: String,
    pub(super) kind: Kind,
    /// Unset without authentication, and over HTTP until the handshake.
    owner: OnceLock<Arc<str>>,
    created: SystemTime,
    /// Last activity, in milliseconds since `epoch`.
    pub(super) seen: AtomicU64,
    pub(super) missed: AtomicU32,
    pub(super) requests: AtomicU64,
    /// Faulty messages since the last valid one.
    pub(super) faults: AtomicU64,
    /// Requests that reuse an id in flight since the last valid one.
    pub(super) reused: AtomicU64,
    /// Open requests, calls and streams.
    pub(super) busy: AtomicUsize,
    /// The handshake is done.
    pub(super) opened: AtomicBool,
    /// The client has closed its end.
    hung_up: AtomicBool,
    about: Mutex<About>,
    pub(super) link: Box<dyn Link>,
    /// Notified when the client is to be pinged.
    pub(crate) asked: Notify,
    epoch: Instant,
}

#[derive(Clone, Debug)]
pub(super) struct About {
    client: String,
    protocol: String,
    pub(super) state: SessionState,
}

impl Session {
    /// A new session; `epoch` is the creation time of its table.
    pub(super) fn new(id: String, kind: Kind, owner: Option<Arc<str>>, link: Box<dyn Link>, epoch: Instant) -> Self {
        let session = Self {
            id,
            kind,
            owner: owner.map_or_else(OnceLock::new, OnceLock::from),
            created: SystemTime::now(),
            seen: AtomicU64::new(0),
            missed: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            opened: AtomicBool::new(false),
            hung_up: AtomicBool::new(false),
            about: Mutex::new(About { client: String::new(), protocol: String::new(), state: SessionState::Created }),
            link,
            asked: Notify::new(),
            epoch,
        };
        session.record_activity();
        session
    }

    /// The transport.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The principal that owns it.
    pub(crate) fn owner(&self) -> Option<&Arc<str>> {
        self.owner.get()
    }

    /// Sets the owner of a session that has none.
    pub(crate) fn owned_by(&self, owner: Arc<str>) {
        self.owner.set(owner).ok();
    }

    /// The transport's side, if it is a `T`.
    pub(crate) fn link<T: Link>(&self) -> Option<&T> {
        let link: &dyn Any = &*self.link;
        link.downcast_ref()
    }

    pub(super) fn about(&self) -> MutexGuard<'_, About> {
        self.about.lock()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn idle(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.seen.load(Ordering::Relaxed)))
    }

    /// Whether anything is in flight.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed) > 0
    }

    /// Whether nothing is in flight and the client has been idle for this long.
    pub(super) fn is_silent(&self, limit: Duration) -> bool {
        !self.is_busy() && self.idle() >= limit
    }

    /// Records client activity: any message counts.
    pub(crate) fn record_activity(&self) {
        self.seen.store(self.now(), Ordering::Relaxed);
        if self.missed.swap(0, Ordering::Relaxed) > 0 {
            self.become_state(SessionState::Active);
        }
    }

    /// Records a request.
    pub(crate) fn record_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.faults.store(0, Ordering::Relaxed);
        self.reused.store(0, Ordering::Relaxed);
        self.record_activity();
    }

    /// Marks the session busy until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Open {
        self.busy.fetch_add(1, Ordering::Relaxed);
        self.record_activity();
        Open(Arc::clone(self))
    }

    /// Records the client's name and protocol revision once the handshake is done.
    pub(crate) fn opened(&self, client: &str, protocol: &str) {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
        {
            let mut about = self.about();
            (about.client, about.protocol) = (plain(client), plain(protocol));
        }
        self.opened.store(true, Ordering::Relaxed);
        self.become_state(SessionState::Active);
    }

    /// Records that the client has closed its end.
    pub(crate) fn hang_up(&self) {
        self.hung_up.store(true, Ordering::Relaxed);
    }

    /// Whether the client has closed its end.
    pub(crate) fn has_hung_up(&self) -> bool {
        self.hung_up.load(Ordering::Relaxed)
    }

    pub(super) fn become_state(&self, next: SessionState) -> bool {
        let mut about = self.about();
        if about.state == next {
            return true;
        }
        if !about.state.may_become(next) {
            tracing::warn!(session_id = self.id, from = about.state.name(), to = next.name(), "invalid session state transition");
            return false;
        }
        about.state = next;
        true
    }

    pub(crate) fn info(&self) -> SessionInfo {
        let About { client, protocol, state } = self.about().clone();
        SessionInfo {
            id: self.id.clone(),
            kind: self.kind,
            principal: self.owner().map(ToString::to_string).unwrap_or_default(),
            client,
            protocol,
            state,
            age: self.created.elapsed().unwrap_or_default(),
            idle: self.idle(),
            missed: self.missed.load(Ordering::Relaxed),
            in_flight: self.busy.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            failed: None,
        }
    }
}

/// Keeps a session busy.
pub(crate) struct Open(Arc<Session>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.seen.store(self.0.now(), Ordering::Relaxed);
    }
}
