//! Sessions of the revisions before 2026-07-28 over HTTP: what is in flight on them, their streams, and how they come back
//! after the process that opened them is gone.

use super::replay::Streams;
use crate::{
    connection::Limits,
    sessions::{Keeper, Kept, Kind, Open, Opening, ROOM, Session, Sessions},
};
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, InitializeRequestParams, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        RestoreOutcome, ServerSseMessage, SessionId, SessionManager, SessionState, SessionStore, SessionStoreError,
        local::{LocalSessionManager, LocalSessionManagerError, SessionError, SessionTransport},
    },
};
use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};

/// How many streams to listen on one session may have open.
const MAX_STREAMS: usize = 8;

tokio::task_local! {
    /// Whose request is being handled. The service makes and restores sessions on the task of the request.
    pub(super) static OWNER: Option<Arc<str>>;
}

fn owner() -> Option<Arc<str>> {
    OWNER.try_with(Clone::clone).ok().flatten()
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

/// What HTTP adds to a session.
struct Held {
    session: Arc<Session>,
    in_flight: HashSet<RequestId>,
    /// Requests and streams that are open.
    open: usize,
    streams: Arc<Streams>,
    /// Requests whose calls run, whether or not anybody waits for them any more.
    running: Arc<Mutex<HashSet<RequestId>>>,
}

/// The sessions that HTTP carries.
pub(super) struct Carried {
    local: Arc<LocalSessionManager>,
    held: Arc<Mutex<HashMap<String, Held>>>,
    all: Arc<Sessions>,
    per_session: Limits,
}

impl Carried {
    pub(super) fn new(all: Arc<Sessions>, per_session: Limits) -> Self {
        let mut local = LocalSessionManager::default();
        // It would end sessions whose calls still run: they are ended by the table.
        local.session_config.keep_alive = None;
        // What it keeps of a request that was cancelled, nobody asks for.
        local.session_config.completed_cache_ttl = Duration::ZERO;
        Self { local: Arc::new(local), held: Arc::default(), all, per_session }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a session to the table, and to what is held here.
    fn add(&self, id: &str) -> Arc<Session> {
        let (local, held) = (Arc::clone(&self.local), Arc::clone(&self.held));
        let end = Arc::new(move |id: &str, _: &'static str| {
            held.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
            let (local, id) = (Arc::clone(&local), SessionId::from(id.to_owned()));
            // Outside of a runtime nothing is served any more that would have to be closed.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { local.close_session(&id).await.ok() });
            }
        });
        let session = self.all.add(id.to_owned(), Kind::Http, owner(), end);
        let held =
            || Held { session: Arc::clone(&session), in_flight: HashSet::new(), open: 0, streams: Arc::default(), running: Arc::default() };
        // Two requests may bring it back at once.
        self.lock().entry(id.to_owned()).or_insert_with(held);
        session
    }

    /// True when there is such a session, here or kept by a process before this one, and it is of this principal.
    pub(super) async fn is_of(&self, id: &str, owner: Option<&Arc<str>>) -> bool {
        if let Some(session) = self.all.find(id) {
            return session.owner.as_ref() == owner;
        }
        let Some(keeper) = &self.all.keeper else { return false };
        let is_own = |kept: Kept| kept.principal == owner.map_or("", |owner| owner);
        if !keeper.load(id).await.is_some_and(is_own) {
            return false;
        }
        if self.all.find(id).is_none() {
            let Some(_opening) = self.all.make_room() else { return false };
            OWNER.sync_scope(owner.cloned(), || self.add(id));
        }
        true
    }

    /// Makes room for one more session.
    pub(super) fn make_room(&self) -> Result<Opening, Refused> {
        self.all.make_room().ok_or(Refused::Full("there are as many sessions as there may be, and all are busy"))
    }

    /// Begins a request on a session.
    pub(super) fn begin(self: &Arc<Self>, id: &str, request: &RequestId) -> Result<Busy, Refused> {
        let mut known = self.lock();
        let held = known.get_mut(id).ok_or(Refused::Unknown)?;
        held.session.asked_for();
        let (is_running, running) = {
            let running = held.running.lock().unwrap_or_else(PoisonError::into_inner);
            (running.contains(request), running.len())
        };
        if is_running || held.in_flight.contains(request) {
            return Err(Refused::Duplicate);
        }
        if running.max(held.in_flight.len()) >= self.per_session.in_flight {
            return Err(Refused::Full("too many requests are in flight on this session"));
        }
        held.in_flight.insert(request.clone());
        held.open += 1;
        Ok(Busy { _open: held.session.busy(), carried: Arc::clone(self), id: id.to_owned(), request: Some(request.clone()) })
    }

    /// Keeps a session from being taken for silent.
    pub(super) fn visit(self: &Arc<Self>, id: &str) -> Option<Busy> {
        let mut known = self.lock();
        let held = known.get_mut(id)?;
        held.open += 1;
        Some(Busy { _open: held.session.busy(), carried: Arc::clone(self), id: id.to_owned(), request: None })
    }

    /// The streams of a session.
    fn streams(&self, id: &str) -> Arc<Streams> {
        self.lock().get(id).map(|held| Arc::clone(&held.streams)).unwrap_or_default()
    }

    /// Notes that a call runs.
    fn run(&self, id: &str, message: &ClientJsonRpcMessage) -> Option<Running> {
        let ClientJsonRpcMessage::Request(request) = message else { return None };
        let (all, open) = {
            let known = self.lock();
            let held = known.get(id)?;
            (Arc::clone(&held.running), held.session.busy())
        };
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(request.id.clone());
        Some(Running { _open: open, all, id: request.id.clone() })
    }

    /// True when the session may have another stream open.
    pub(super) fn has_room_for_stream(&self, id: &str) -> bool {
        self.lock().get(id).is_none_or(|held| held.open.saturating_sub(held.in_flight.len()) < MAX_STREAMS)
    }

    /// Forgets what was kept of streams whose clients did not come back, and room that a rush of sessions took.
    pub(super) async fn tidy(&self) {
        {
            let mut known = self.lock();
            known.values().for_each(|held| held.streams.tidy());
            known.shrink_to(ROOM);
        }
        self.local.sessions.write().await.shrink_to(ROOM);
    }

    /// What the service keeps sessions in, where anything does.
    pub(super) fn store(&self) -> Option<Arc<dyn SessionStore>> {
        let keeper = Arc::clone(self.all.keeper.as_ref()?);
        Some(Arc::new(Shelf { keeper, all: Arc::clone(&self.all) }))
    }
}

/// The keeper as the service sees it.
struct Shelf {
    keeper: Arc<dyn Keeper>,
    all: Arc<Sessions>,
}

#[async_trait::async_trait]
impl SessionStore for Shelf {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let owner = owner();
        let kept = self.keeper.load(id).await.filter(|kept| kept.principal == owner.as_deref().unwrap_or_default());
        let Some(kept) = kept else { return Ok(None) };
        let Ok(params) = serde_json::from_str::<InitializeRequestParams>(&kept.params) else {
            self.all.fail(id, crate::sessions::Fault::CorruptedSessionState, "what was kept of it cannot be read");
            self.keeper.forget(id, None).await;
            return Ok(None);
        };
        Ok(Some(SessionState::new(params)))
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let Some(session) = self.all.get(id) else { return Ok(()) };
        let kept = Kept {
            id: id.to_owned(),
            principal: session.principal,
            client: session.client,
            protocol: session.protocol,
            params: serde_json::to_string(&state.initialize_params)?,
            created: SystemTime::now(),
        };
        self.keeper.keep(kept).await;
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        self.keeper.forget(id, None).await;
        Ok(())
    }
}

/// A request whose call runs.
struct Running {
    _open: Open,
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
    _open: Open,
    carried: Arc<Carried>,
    id: String,
    request: Option<RequestId>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(held) = self.carried.lock().get_mut(&self.id) {
            held.open = held.open.saturating_sub(1);
            if let Some(request) = &self.request {
                held.in_flight.remove(request);
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

impl SessionManager for Carried {
    type Error = LocalSessionManagerError;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let (id, transport) = self.local.create_session().await?;
        self.add(&id);
        Ok((id, transport))
    }

    async fn initialize_session(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<ServerJsonRpcMessage, Self::Error> {
        let about = match &message {
            ClientJsonRpcMessage::Request(request) => match &request.request {
                ClientRequest::InitializeRequest(request) => {
                    let info = &request.params.client_info;
                    Some((format!("{} {}", info.name, info.version), request.params.protocol_version.to_string()))
                }
                _ => None,
            },
            _ => None,
        };
        let answer = self.local.initialize_session(id, message).await?;
        if let (Some(session), Some((client, protocol))) = (self.all.find(id), about) {
            session.opened(&client, &protocol);
        }
        Ok(answer)
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        if self.all.find(&id).is_none() {
            self.add(&id);
        }
        self.local.restore_session(id).await
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        self.local.has_session(id).await
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        self.lock().remove(&**id);
        self.all.gone(id);
        self.local.close_session(id).await
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let running = self.run(id, &message);
        let handle = self.local.sessions.read().await.get(id).cloned();
        let handle = handle.ok_or_else(|| LocalSessionManagerError::SessionNotFound(id.clone()))?;
        // On a task of its own, so that it comes to its end: of one that is given up half-way the session would keep a part.
        let begun = tokio::spawn(async move {
            let stream = handle.establish_request_wise_channel().await?;
            handle.push_message(message, stream.http_request_id).await.map(|()| stream)
        });
        let stream = begun.await.unwrap_or(Err(SessionError::SessionServiceTerminated))?;
        Ok(self.streams(id).pass(ReceiverStream::new(stream.inner), running))
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
