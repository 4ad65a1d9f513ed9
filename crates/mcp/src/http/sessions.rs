//! Sessions of revisions before 2026-07-28 over HTTP: requests in flight, streams, and restoring sessions after a
//! restart.

use super::transport::{Ended, Handle, SessionTransport, pair};
use crate::{
    connection::Limits,
    identity::identity,
    sessions::{Ending, Fault, Keeper, Kind, Link, Open, Opening, Refusal, Session, SessionRecord, Sessions, random_id},
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
    collections::HashSet,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};
use tokio_stream::Stream;

/// Maximum number of open listening streams per session.
const MAX_STREAMS: usize = 8;

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

/// HTTP's side of a session.
#[derive(Default)]
struct HttpLink(Mutex<Held>);

#[derive(Default)]
struct Held {
    in_flight: HashSet<RequestId>,
    /// Open requests and streams.
    open: usize,
    /// `None` for a session of an earlier process that is not yet restored.
    handle: Option<Handle>,
}

impl Link for HttpLink {
    fn end(&self, _: Ending) {
        let handle = self.0.lock().handle.take();
        drop(handle);
    }
}

fn held(session: &Session) -> Option<MutexGuard<'_, Held>> {
    session.link::<HttpLink>().map(|link| link.0.lock())
}

/// Connects a session to a new transport, which it returns with the handle of the one before.
fn connect(session: &Session) -> Option<(SessionTransport, Option<Handle>)> {
    let (handle, transport) = pair();
    let before = held(session)?.handle.replace(handle);
    Some((transport, before))
}

/// The sessions over HTTP.
pub(super) struct HttpSessions {
    all: Arc<Sessions>,
    per_session: Limits,
}

impl HttpSessions {
    pub(super) fn new(all: Arc<Sessions>, per_session: Limits) -> Self {
        Self { all, per_session }
    }

    fn add(&self, id: &str, owner: Option<Arc<str>>) -> Arc<Session> {
        self.all.add(id.to_owned(), Kind::Http, owner, HttpLink::default())
    }

    /// Whether there is such a session, here or persisted, and this principal owns it.
    pub(super) async fn is_owned_by(&self, id: &str, owner: Option<&Arc<str>>) -> Result<bool, Refused> {
        if let Some(session) = self.all.find(id) {
            return Ok(session.owner() == owner);
        }
        let Some(keeper) = &self.all.keeper else { return Ok(false) };
        let is_own = |kept: SessionRecord| kept.principal == owner.map_or("", |owner| owner);
        if !keeper.load(id).await.is_some_and(is_own) {
            return Ok(false);
        }
        if self.all.find(id).is_none() {
            let _opening = self.make_room()?;
            self.add(id, owner.cloned());
        }
        Ok(true)
    }

    /// Reserves room for one more session.
    pub(super) fn make_room(&self) -> Result<Opening, Refused> {
        self.all.make_room().ok_or_else(|| {
            self.all.refuse(&Refusal::new(Fault::Overloaded, "session_limit"));
            Refused::Full("session limit reached, and every session is busy")
        })
    }

    /// Begins a request on a session.
    pub(super) fn begin(&self, id: &str, request: &RequestId) -> Result<Busy, Refused> {
        let session = self.all.find(id).ok_or(Refused::Unknown)?;
        let mut held = held(&session).ok_or(Refused::Unknown)?;
        let (is_running, running) = held.handle.as_ref().map_or((false, 0), |handle| handle.running(request));
        if is_running || held.in_flight.contains(request) {
            drop(held);
            // This may close the session, which needs the same lock.
            self.all.reused(&session);
            return Err(Refused::Duplicate);
        }
        session.record_request();
        if running.max(held.in_flight.len()) >= self.per_session.in_flight {
            return Err(Refused::Full("too many requests are in flight on this session"));
        }
        held.in_flight.insert(request.clone());
        held.open += 1;
        drop(held);
        Ok(Busy { _open: session.busy(), session, request: Some(request.clone()) })
    }

    /// Marks a session as busy.
    pub(super) fn hold(&self, id: &str) -> Option<Busy> {
        let session = self.all.find(id)?;
        held(&session)?.open += 1;
        Some(Busy { _open: session.busy(), session, request: None })
    }

    fn handle(&self, id: &str) -> Result<Handle, Ended> {
        self.all.find(id).and_then(|session| held(&session)?.handle.clone()).ok_or(Ended)
    }

    /// The handle of a session whose handshake has begun, so that nothing is sent before it.
    fn begun(&self, id: &str) -> Result<Handle, Ended> {
        self.handle(id).ok().filter(Handle::has_begun).ok_or(Ended)
    }

    /// Whether the session may open another stream.
    pub(super) fn has_room_for_stream(&self, id: &str) -> bool {
        let has_room = |held: MutexGuard<'_, Held>| held.open.saturating_sub(held.in_flight.len()) < MAX_STREAMS;
        self.all.find(id).is_none_or(|session| held(&session).is_none_or(has_room))
    }

    /// Ends a session that its client has deleted.
    pub(super) fn delete(&self, id: &str) {
        // Requests in flight hold the session, and end with the handle.
        let handle = self.all.find(id).and_then(|session| held(&session)?.handle.take());
        self.all.gone(id);
        drop(handle);
    }

    /// Removes streams whose clients did not reconnect.
    pub(super) fn tidy(&self) {
        for session in self.all.over(Kind::Http) {
            let handle = held(&session).and_then(|held| held.handle.clone());
            if let Some(handle) = handle {
                handle.streams().tidy();
            }
        }
    }

    /// Closes the listening streams of sessions without requests in flight.
    pub(super) fn hang_up(&self) {
        for session in self.all.over(Kind::Http) {
            let handle = held(&session).filter(|held| held.in_flight.is_empty()).and_then(|held| held.handle.clone());
            if let Some(handle) = handle.filter(|handle| !handle.is_busy()) {
                handle.streams().close();
            }
        }
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
        // The front has added it, with its owner.
        let Some(session) = self.all.find(id) else { return Ok(None) };
        let owner = session.owner().map_or("", |owner| owner);
        let kept = self.keeper.load(id).await.filter(|kept| kept.principal == owner);
        let Some(kept) = kept else { return Ok(None) };
        let Ok(params) = serde_json::from_str::<InitializeRequestParams>(&kept.params) else {
            self.all.fail(id, Fault::CorruptedSessionState, "kept_state_unreadable");
            self.keeper.forget(id, None).await;
            return Ok(None);
        };
        Ok(Some(SessionState::new(params)))
    }

    async fn store(&self, id: &str, state: &SessionState) -> Result<(), SessionStoreError> {
        let Some(session) = self.all.find(id).map(|session| session.info()) else { return Ok(()) };
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
    session: Arc<Session>,
    request: Option<RequestId>,
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(mut held) = held(&self.session) {
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
        let session = self.add(&id, None);
        let (transport, _) = connect(&session).ok_or(Ended)?;
        Ok((id.into(), transport))
    }

    async fn initialize_session(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<ServerJsonRpcMessage, Self::Error> {
        let session = self.all.find(id).ok_or(Ended)?;
        let mut about = None;
        if let ClientJsonRpcMessage::Request(request) = &message
            && let ClientRequest::InitializeRequest(request) = &request.request
        {
            if let Some(identity) = identity(&request.extensions) {
                session.owned_by(Arc::clone(&identity.principal));
            }
            let info = &request.params.client_info;
            about = Some((format!("{} {}", info.name, info.version), request.params.protocol_version.to_string()));
        }
        let answer = self.handle(id)?.initialize(message).await?;
        // It may have been closed meanwhile.
        if let (Some(session), Some((client, protocol))) = (self.all.find(id), about) {
            session.opened(&client, &protocol);
        }
        Ok(answer)
    }

    async fn restore_session(&self, id: SessionId) -> Result<RestoreOutcome<Self::Transport>, Self::Error> {
        if self.begun(&id).is_ok() {
            return Ok(RestoreOutcome::AlreadyPresent);
        }
        // Without the session that the front has added, its owner is unknown.
        let connected = self.all.with(&id, connect).flatten();
        Ok(connected.map_or(RestoreOutcome::NotSupported, |(transport, _)| RestoreOutcome::Restored(transport)))
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, Self::Error> {
        Ok(self.begun(id).is_ok())
    }

    /// The service has stopped serving the session, which may have been restored meanwhile. Or the client deletes it:
    /// then it is still served, and the front deletes it.
    async fn close_session(&self, id: &SessionId) -> Result<(), Self::Error> {
        let is_served = |session: &Session| held(session).is_some_and(|held| held.handle.as_ref().is_some_and(|handle| !handle.is_over()));
        self.all.gone_if(id, |session| !is_served(session));
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, Self::Error> {
        let handle = self.begun(id)?;
        let open = self.all.find(id).ok_or(Ended)?.busy();
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
