//! Sessions of revisions before 2026-07-28 over HTTP: requests in flight, streams, and restoring sessions after a
//! restart.

use super::transport::{Ended, Handle, SessionTransport, pair};
use crate::{
    connection::Limits,
    sessions::{Ending, Fault, Keeper, Kind, Open, Opening, ROOM, Refusal, Session, SessionRecord, Sessions, random_id},
};
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, InitializeRequestParams, RequestId, ServerJsonRpcMessage},
    transport::streamable_http_server::session::{
        RestoreOutcome, ServerSseMessage, SessionId, SessionManager, SessionState, SessionStore, SessionStoreError,
    },
};
use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};
use tokio_stream::Stream;

/// Maximum number of open listening streams per session.
const MAX_STREAMS: usize = 8;

tokio::task_local! {
    /// The principal of the current request. The service creates and restores sessions on the request's task.
    pub(super) static OWNER: Option<Arc<str>>;
}

fn owner() -> Option<Arc<str>> {
    OWNER.try_with(Clone::clone).ok().flatten()
}

/// Why a request is rejected by its session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A request with this id is in flight.
    Duplicate,
    /// At capacity.
    Full(&'static str),
    /// Unknown session.
    Unknown,
}

/// State of a session that is specific to HTTP.
struct Held {
    session: Arc<Session>,
    in_flight: HashSet<RequestId>,
    /// Open requests and streams.
    open: usize,
    /// `None` for a session of an earlier process that is not yet restored.
    handle: Option<Handle>,
}

/// The sessions over HTTP.
pub(super) struct HttpSessions {
    held: Arc<Mutex<HashMap<String, Held>>>,
    all: Arc<Sessions>,
    per_session: Limits,
}

impl HttpSessions {
    pub(super) fn new(all: Arc<Sessions>, per_session: Limits) -> Self {
        Self { held: Arc::default(), all, per_session }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock()
    }

    /// Adds a session to both tables atomically.
    fn add(&self, id: &str, handle: Option<Handle>) {
        let all = Arc::clone(&self.held);
        let end = Arc::new(move |id: &str, _: Ending| {
            let held = all.lock().remove(id);
            drop(held);
        });
        let mut known = self.lock();
        let session = self.all.add(id.to_owned(), Kind::Http, owner(), end);
        // Two requests may restore it concurrently.
        let held = known.entry(id.to_owned()).or_insert_with(|| Held { session, in_flight: HashSet::new(), open: 0, handle: None });
        let before = handle.and_then(|handle| held.handle.replace(handle));
        drop(known);
        drop(before);
    }

    /// Whether there is such a session, here or persisted, and this principal owns it.
    pub(super) async fn is_owned_by(&self, id: &str, owner: Option<&Arc<str>>) -> bool {
        if let Some(session) = self.all.find(id) {
            return session.owner.as_ref() == owner;
        }
        let Some(keeper) = &self.all.keeper else { return false };
        let is_own = |kept: SessionRecord| kept.principal == owner.map_or("", |owner| owner);
        if !keeper.load(id).await.is_some_and(is_own) {
            return false;
        }
        if self.all.find(id).is_none() {
            let Some(_opening) = self.all.make_room() else { return false };
            OWNER.sync_scope(owner.cloned(), || self.add(id, None));
        }
        true
    }

    /// Reserves room for one more session.
    pub(super) fn make_room(&self) -> Result<Opening, Refused> {
        self.all.make_room().ok_or_else(|| {
            self.all.refuse(&Refusal::new(Fault::Overloaded, "session_limit"));
            Refused::Full("session limit reached, and every session is busy")
        })
    }

    /// Begins a request on a session.
    pub(super) fn begin(self: &Arc<Self>, id: &str, request: &RequestId) -> Result<Busy, Refused> {
        let mut known = self.lock();
        let held = known.get_mut(id).ok_or(Refused::Unknown)?;
        held.session.record_request();
        let (is_running, running) = held.handle.as_ref().map_or((false, 0), |handle| handle.running(request));
        if is_running || held.in_flight.contains(request) {
            let session = Arc::clone(&held.session);
            drop(known);
            // This may close the session, which needs the same lock.
            self.all.reused(&session);
            return Err(Refused::Duplicate);
        }
        if running.max(held.in_flight.len()) >= self.per_session.in_flight {
            return Err(Refused::Full("too many requests are in flight on this session"));
        }
        held.in_flight.insert(request.clone());
        held.open += 1;
        Ok(Busy { _open: held.session.busy(), carried: Arc::clone(self), id: id.to_owned(), request: Some(request.clone()) })
    }

    /// Marks a session as busy.
    pub(super) fn hold(self: &Arc<Self>, id: &str) -> Option<Busy> {
        let mut known = self.lock();
        let held = known.get_mut(id)?;
        held.open += 1;
        Some(Busy { _open: held.session.busy(), carried: Arc::clone(self), id: id.to_owned(), request: None })
    }

    /// Creates the transport on which the service serves a session.
    fn open(&self, id: &str) -> SessionTransport {
        let (handle, transport) = pair();
        self.add(id, Some(handle));
        transport
    }

    fn handle(&self, id: &str) -> Result<Handle, Ended> {
        self.lock().get(id).and_then(|held| held.handle.clone()).ok_or(Ended)
    }

    /// The handle of a session whose handshake has begun, so that nothing is sent before it.
    fn begun(&self, id: &str) -> Result<Handle, Ended> {
        self.handle(id).ok().filter(Handle::has_begun).ok_or(Ended)
    }

    /// Whether the session may open another stream.
    pub(super) fn has_room_for_stream(&self, id: &str) -> bool {
        self.lock().get(id).is_none_or(|held| held.open.saturating_sub(held.in_flight.len()) < MAX_STREAMS)
    }

    /// Removes streams whose clients did not reconnect, and shrinks the table after a burst of sessions.
    pub(super) fn tidy(&self) {
        let handles: Vec<Handle> = {
            let mut known = self.lock();
            known.shrink_to(ROOM);
            known.values().filter_map(|held| held.handle.clone()).collect()
        };
        for handle in handles {
            handle.streams().tidy();
        }
    }

    /// Closes the listening streams of sessions without requests in flight.
    pub(super) fn hang_up(&self) {
        let known = self.lock();
        let handles = known.values().filter(|held| held.in_flight.is_empty()).filter_map(|held| held.handle.clone());
        let handles: Vec<Handle> = handles.collect();
        drop(known);
        handles.iter().filter(|handle| !handle.is_busy()).for_each(|handle| handle.streams().close());
    }

    /// The session store of the service, if sessions are persisted.
    pub(super) fn store(&self) -> Option<Arc<dyn SessionStore>> {
        let keeper = Arc::clone(self.all.keeper.as_ref()?);
        Some(Arc::new(KeeperStore { keeper, all: Arc::clone(&self.all) }))
    }
}

/// Adapts the keeper to the service's session store.
struct KeeperStore {
    keeper: Arc<dyn Keeper>,
    all: Arc<Sessions>,
}

#[async_trait::async_trait]
impl SessionStore for KeeperStore {
    async fn load(&self, id: &str) -> Result<Option<SessionState>, SessionStoreError> {
        let owner = owner();
        let kept = self.keeper.load(id).await.filter(|kept| kept.principal == owner.as_deref().unwrap_or_default());
        let Some(kept) = kept else { return Ok(None) };
        let Ok(params) = serde_json::from_str::<InitializeRequestParams>(&kept.params) else {
            self.all.fail(id, Fault::CorruptedSessionState, "kept_state_unreadable");
            self.keeper.forget(id, None).await;
            return Ok(None);
        };
        Ok(Some(SessionState::new(params)))
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let Some(session) = self.all.get(id) else { return Ok(()) };
        let kept = SessionRecord {
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

/// Keeps a session busy while a request or stream is open.
pub(super) struct Busy {
    _open: Open,
    carried: Arc<HttpSessions>,
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

/// A body that holds a guard until its last part is sent: then the client may reuse the request's id.
pub(super) struct Holding {
    body: Body,
    guard: Option<Busy>,
}

impl Holding {
    pub(super) fn new(body: Body, guard: Busy) -> Self {
        Self { body, guard: Some(guard) }
    }
}

impl http_body::Body for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() && self.body.is_end_stream() || matches!(polled, Poll::Ready(None)) {
            self.guard = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl SessionManager for HttpSessions {
    type Error = Ended;
    type Transport = SessionTransport;

    async fn create_session(&self) -> Result<(SessionId, Self::Transport), Self::Error> {
        let id = random_id("");
        let transport = self.open(&id);
        Ok((id.into(), transport))
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
        let answer = self.handle(id)?.initialize(message).await?;
        if let (Some(session), Some((client, protocol))) = (self.all.find(id), about) {
            session.opened(&client, &protocol);
        }
        Ok(answer)
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        if self.begun(&id).is_ok() {
            return Ok(RestoreOutcome::AlreadyPresent);
        }
        Ok(RestoreOutcome::Restored(self.open(&id)))
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.begun(id).is_ok())
    }

    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        let mut known = self.lock();
        // Outside of a request, the service itself is ending; its session may have been restored meanwhile.
        let is_request = OWNER.try_with(|_| ()).is_ok();
        if !is_request && known.get(&**id).and_then(|held| held.handle.as_ref()).is_some_and(|handle| !handle.is_over()) {
            return Ok(());
        }
        let held = known.remove(&**id);
        self.all.gone(id);
        drop(known);
        drop(held);
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let handle = self.begun(id)?;
        let open = self.lock().get(&**id).ok_or(Ended)?.session.busy();
        handle.request(message, open).await
    }

    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), Self::Error> {
        self.begun(id)?.accept(message).await
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        Ok(self.begun(id)?.streams().listen())
    }

    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        self.begun(id)?.streams().resume(&last_event_id).ok_or(Ended)
    }
}
