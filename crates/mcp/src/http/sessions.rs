//! Sessions of the revisions before 2026-07-28: whose they are, how many, what is in flight on them, and when they end.

use super::replay::Streams;
use crate::connection::Limits;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use rmcp::{
    model::{ClientJsonRpcMessage, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        ServerSseMessage, SessionId, SessionManager,
        local::{LocalSessionManager, LocalSessionManagerError, SessionTransport},
    },
};
use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio_stream::Stream;

/// How long a session must have been silent to make room for another.
const SILENT: Duration = Duration::from_mins(1);
/// How many streams to listen on one session may have open.
const MAX_STREAMS: usize = 8;

/// Bounds of the sessions.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// How many there may be.
    pub max: usize,
    /// How long one may be silent.
    pub idle: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { max: 1000, idle: Duration::from_hours(1) }
    }
}

/// Why a request does not get to its session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A request with its id is in flight.
    Duplicate,
    /// There is no room.
    Full(&'static str),
    /// There is no such session.
    Unknown,
}

/// One session.
struct Session {
    owner: Option<Arc<str>>,
    seen: Instant,
    in_flight: HashSet<RequestId>,
    /// Requests and streams that are open.
    open: usize,
    streams: Arc<Streams>,
    /// Requests whose calls run, whether or not anybody waits for them any more.
    running: Arc<Mutex<HashSet<RequestId>>>,
    /// The handshake is done, and it is known whose it is.
    opened: bool,
}

impl Session {
    /// True when nothing runs on it, nothing is open, and nothing has come for so long.
    fn is_silent(&self, for_so_long: Duration) -> bool {
        let is_idle = self.open == 0 && self.running.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        is_idle && self.seen.elapsed() >= for_so_long
    }
}

/// All sessions.
pub(super) struct Sessions {
    local: LocalSessionManager,
    known: Mutex<HashMap<String, Session>>,
    opening: AtomicUsize,
    limits: SessionLimits,
    per_session: Limits,
}

impl Sessions {
    pub(super) fn new(limits: SessionLimits, per_session: Limits) -> Self {
        let mut local = LocalSessionManager::default();
        // It would end sessions whose calls still run: they are ended here.
        local.session_config.keep_alive = None;
        Self { local, known: Mutex::default(), opening: AtomicUsize::new(0), limits, per_session }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Session>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when there is such a session, and it is of this principal.
    pub(super) fn is_of(&self, id: &str, owner: Option<&Arc<str>>) -> bool {
        self.lock().get(id).is_some_and(|session| session.owner.as_ref() == owner)
    }

    /// Says whose a session is that was just opened.
    pub(super) fn opened(&self, id: &str, owner: Option<Arc<str>>) {
        if let Some(session) = self.lock().get_mut(id) {
            session.owner = owner;
            session.opened = true;
        }
    }

    /// Makes room for one more session, that of the one that has been silent longest: first among those of whoever has
    /// most, so that nobody can take all of them.
    pub(super) fn make_room(self: &Arc<Self>, asker: Option<&Arc<str>>) -> Result<Opening, Refused> {
        let mut known = self.lock();
        let opening = self.opening.load(Ordering::Relaxed);
        if known.len() + opening >= self.limits.max {
            let mut held: HashMap<Option<Arc<str>>, usize> = HashMap::new();
            for session in known.values() {
                *held.entry(session.owner.clone()).or_default() += 1;
            }
            let most = held.into_iter().max_by_key(|(_, count)| *count).map(|(owner, _)| owner).unwrap_or_default();
            let must_be_silent = if most.as_ref() == asker { SILENT } else { Duration::ZERO };
            let silent = known.iter().filter(|(_, session)| session.owner == most && session.is_silent(must_be_silent));
            let Some(silent) = silent.min_by_key(|(_, session)| session.seen).map(|(id, _)| id.clone()) else {
                return Err(Refused::Full("there are as many sessions as there may be"));
            };
            known.remove(&silent);
            let sessions = Arc::clone(self);
            tokio::spawn(async move { sessions.local.close_session(&silent.into()).await.ok() });
        }
        self.opening.fetch_add(1, Ordering::Relaxed);
        Ok(Opening(Arc::clone(self)))
    }

    /// Begins a request on a session.
    pub(super) fn begin(self: &Arc<Self>, id: &str, request: &RequestId) -> Result<Busy, Refused> {
        let mut known = self.lock();
        let session = known.get_mut(id).ok_or(Refused::Unknown)?;
        let (is_running, running) = {
            let running = session.running.lock().unwrap_or_else(PoisonError::into_inner);
            (running.contains(request), running.len())
        };
        if is_running || session.in_flight.contains(request) {
            return Err(Refused::Duplicate);
        }
        if running.max(session.in_flight.len()) >= self.per_session.in_flight {
            return Err(Refused::Full("too many requests are in flight on this session"));
        }
        session.in_flight.insert(request.clone());
        session.open += 1;
        session.seen = Instant::now();
        Ok(Busy { sessions: Arc::clone(self), id: id.to_owned(), request: Some(request.clone()) })
    }

    /// Keeps a session from being taken for silent.
    pub(super) fn visit(self: &Arc<Self>, id: &str) -> Busy {
        if let Some(session) = self.lock().get_mut(id) {
            session.open += 1;
            session.seen = Instant::now();
        }
        Busy { sessions: Arc::clone(self), id: id.to_owned(), request: None }
    }

    /// The streams of a session.
    fn streams(&self, id: &str) -> Arc<Streams> {
        self.lock().get(id).map(|session| Arc::clone(&session.streams)).unwrap_or_default()
    }

    /// Notes that a call runs.
    fn run(&self, id: &str, message: &ClientJsonRpcMessage) -> Option<Running> {
        let ClientJsonRpcMessage::Request(request) = message else { return None };
        let all = Arc::clone(&self.lock().get(id)?.running);
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(request.id.clone());
        Some(Running { all, id: request.id.clone() })
    }

    /// True when the session may have another stream open.
    pub(super) fn has_room_for_stream(&self, id: &str) -> bool {
        self.lock().get(id).is_none_or(|session| session.open.saturating_sub(session.in_flight.len()) < MAX_STREAMS)
    }

    /// Ends sessions that have been silent for too long, for ever.
    pub(super) async fn reap(self: Arc<Self>) {
        let period = (self.limits.idle / 4).clamp(Duration::from_millis(100), Duration::from_mins(1));
        loop {
            tokio::time::sleep(period).await;
            let silent: Vec<String> = {
                let known = self.lock();
                known.values().for_each(|session| session.streams.tidy());
                // One whose client broke off in the handshake is nobody's.
                let limit = |session: &Session| if session.opened { self.limits.idle } else { self.limits.idle.min(SILENT) };
                let silent = known.iter().filter(|(_, session)| session.is_silent(limit(session)));
                silent.map(|(id, _)| id.clone()).collect()
            };
            for id in silent {
                self.close_session(&id.into()).await.ok();
            }
        }
    }
}

/// A session that is being opened.
pub(super) struct Opening(Arc<Sessions>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.opening.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request whose call runs.
struct Running {
    all: Arc<Mutex<HashSet<RequestId>>>,
    id: RequestId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

/// A request or a stream that is open on a session.
pub(super) struct Busy {
    sessions: Arc<Sessions>,
    id: String,
    request: Option<RequestId>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(session) = self.sessions.lock().get_mut(&self.id) {
            session.open = session.open.saturating_sub(1);
            session.seen = Instant::now();
            if let Some(request) = &self.request {
                session.in_flight.remove(request);
            }
        }
    }
}

/// A body that holds a guard until it has been sent.
pub(super) struct Holding {
    body: Body,
    _guard: Busy,
}

impl Holding {
    pub(super) fn new(body: Body, guard: Busy) -> Self {
        Self { body, _guard: guard }
    }
}

impl http_body::Body for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl SessionManager for Sessions {
    type Error = LocalSessionManagerError;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let (id, transport) = self.local.create_session().await?;
        let session = Session {
            owner: None,
            seen: Instant::now(),
            in_flight: HashSet::new(),
            open: 0,
            streams: Arc::default(),
            running: Arc::default(),
            opened: false,
        };
        self.lock().insert(id.to_string(), session);
        Ok((id, transport))
    }

    async fn initialize_session(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<ServerJsonRpcMessage, Self::Error> {
        self.local.initialize_session(id, message).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.local.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.lock().remove(&**id);
        self.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let running = self.run(id, &message);
        Ok(self.streams(id).pass(self.local.create_stream(id, message).await?, running))
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.local.accept_message(id, message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.streams(id).pass(self.local.create_standalone_stream(id).await?, ()))
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let streams = self.streams(id);
        match streams.resume(&last_event_id) {
            Some(resumed) => Ok(resumed),
            None => Ok(streams.pass(self.local.resume(id, last_event_id).await?, ())),
        }
    }
}
