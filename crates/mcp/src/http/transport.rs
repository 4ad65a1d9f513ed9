//! A session between HTTP and the service: what the client says goes in at one end, and each message of the server goes to
//! the stream that it belongs to.
//!
//! No task stands in between. Whoever sends a message puts it in its place and goes on, so that no stream waits for another.

use super::replay::{Passed, Streams, Writer};
use crate::sessions::Open;
use rmcp::{
    RoleServer,
    model::{
        ClientJsonRpcMessage, ClientNotification, GetExtensions, GetMeta, JsonRpcMessage, ProgressToken, RequestId, ServerJsonRpcMessage,
        ServerNotification,
    },
    service::OriginatingRequestId,
    transport::Transport,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{mpsc, oneshot};

/// Messages that wait for the service.
const INBOX: usize = 16;

/// The session has ended.
#[derive(Debug)]
pub(super) struct Ended;

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the session has ended")
    }
}

impl std::error::Error for Ended {}

/// Both ends of a session.
pub(super) fn pair() -> (Handle, SessionTransport) {
    // In boxes: a channel has room for 32 messages from its beginning, each of half a kilobyte.
    let (sender, inbox) = mpsc::channel(INBOX);
    let routes = Routes { streams: Streams::new(), opening: None, open: HashMap::new(), tokens: HashMap::new(), asked: HashMap::new() };
    let routes = Arc::new(Mutex::new(routes));
    (Handle { inbox: sender, routes: Arc::clone(&routes) }, SessionTransport { inbox, routes })
}

/// Where the messages of the server go.
struct Routes {
    streams: Arc<Streams>,
    /// Waits for the answer to the handshake.
    opening: Option<oneshot::Sender<ServerJsonRpcMessage>>,
    /// The requests that are not answered.
    open: HashMap<RequestId, Request>,
    /// Those whose progress is told.
    tokens: HashMap<ProgressToken, RequestId>,
    /// What the server asks in the course of a request, and of which.
    asked: HashMap<RequestId, RequestId>,
}

/// A request that is not answered, whether or not anybody waits for it any more.
struct Request {
    stream: Writer,
    token: Option<ProgressToken>,
    _open: Open,
}

impl Routes {
    /// Ends a request.
    fn end(&mut self, id: &RequestId) -> Option<Request> {
        let request = self.open.remove(id)?;
        if let Some(token) = &request.token {
            self.tokens.remove(token);
        }
        self.asked.retain(|_, of| of != id);
        Some(request)
    }

    /// The request that a message is part of.
    fn of(&mut self, message: &ServerJsonRpcMessage) -> Option<RequestId> {
        match message {
            JsonRpcMessage::Request(asked) => {
                let of = asked.request.extensions().get::<OriginatingRequestId>()?.0.clone();
                if self.open.contains_key(&of) {
                    self.asked.insert(asked.id.clone(), of.clone());
                }
                Some(of)
            }
            JsonRpcMessage::Notification(told) => match &told.notification {
                ServerNotification::ProgressNotification(progress) => self.tokens.get(&progress.params.progress_token).cloned(),
                ServerNotification::CancelledNotification(cancelled) => self.asked.remove(cancelled.params.request_id.as_ref()?),
                _ => None,
            },
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => None,
        }
    }

    fn send(&mut self, message: ServerJsonRpcMessage) {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        if let Some(id) = answered {
            match (self.opening.take(), self.end(&id)) {
                (Some(opening), _) => drop(opening.send(message)),
                (None, Some(request)) => request.stream.push(message),
                (None, None) => tracing::debug!(%id, "nobody waits for an answer"),
            }
            return;
        }
        match self.of(&message).and_then(|of| self.open.get(&of)) {
            Some(request) => request.stream.push(message),
            None => self.streams.tell(message),
        }
    }
}

fn lock(routes: &Mutex<Routes>) -> MutexGuard<'_, Routes> {
    routes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// HTTP's end of a session, which ends when this is dropped.
#[derive(Clone)]
pub(super) struct Handle {
    inbox: mpsc::Sender<Box<ClientJsonRpcMessage>>,
    routes: Arc<Mutex<Routes>>,
}

impl Handle {
    /// The streams of the session.
    pub(super) fn streams(&self) -> Arc<Streams> {
        Arc::clone(&lock(&self.routes).streams)
    }

    /// True while a call of this id runs; and how many do.
    pub(super) fn running(&self, id: &RequestId) -> (bool, usize) {
        let routes = lock(&self.routes);
        (routes.open.contains_key(id), routes.open.len())
    }

    /// Passes the handshake on, and gives its answer.
    pub(super) async fn initialize(&self, message: ClientJsonRpcMessage) -> Result<ServerJsonRpcMessage, Ended> {
        let (opening, answer) = oneshot::channel();
        lock(&self.routes).opening = Some(opening);
        self.inbox.send(Box::new(message)).await.map_err(|_| Ended)?;
        answer.await.map_err(|_| Ended)
    }

    /// Passes a request on, and gives its stream. `open` is held until it is answered.
    pub(super) async fn request(&self, message: ClientJsonRpcMessage, open: Open) -> Result<Passed, Ended> {
        // From here on nothing waits: a client that goes at any moment leaves no part of a request.
        let place = self.inbox.reserve().await.map_err(|_| Ended)?;
        let passed = {
            let mut routes = lock(&self.routes);
            let (stream, passed) = routes.streams.begin();
            if let JsonRpcMessage::Request(request) = &message {
                let token = request.request.get_meta().get_progress_token();
                if let Some(token) = &token {
                    routes.tokens.insert(token.clone(), request.id.clone());
                }
                routes.open.insert(request.id.clone(), Request { stream, token, _open: open });
            }
            passed
        };
        place.send(Box::new(message));
        Ok(passed)
    }

    /// Passes on what is not answered.
    pub(super) async fn accept(&self, message: ClientJsonRpcMessage) -> Result<(), Ended> {
        let place = self.inbox.reserve().await.map_err(|_| Ended)?;
        {
            let mut routes = lock(&self.routes);
            match &message {
                JsonRpcMessage::Notification(told) => {
                    if let ClientNotification::CancelledNotification(cancelled) = &told.notification
                        && let Some(id) = &cancelled.params.request_id
                    {
                        routes.end(id);
                    }
                }
                JsonRpcMessage::Response(response) => drop(routes.asked.remove(&response.id)),
                JsonRpcMessage::Error(error) => drop(error.id.as_ref().and_then(|id| routes.asked.remove(id))),
                JsonRpcMessage::Request(_) => {}
            }
        }
        place.send(Box::new(message));
        Ok(())
    }
}

/// The service's end of a session.
pub(super) struct SessionTransport {
    inbox: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
    routes: Arc<Mutex<Routes>>,
}

impl Transport<RoleServer> for SessionTransport {
    type Error = Ended;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Ended>> + Send + 'static {
        // At once, so that messages keep the order in which they were sent.
        lock(&self.routes).send(message);
        std::future::ready(Ok(()))
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.inbox.recv().await.map(|message| *message)
    }

    async fn close(&mut self) -> Result<(), Ended> {
        self.inbox.close();
        Ok(())
    }
}

impl Drop for SessionTransport {
    fn drop(&mut self) {
        // Whoever still waits is told by the end of its stream.
        let mut routes = lock(&self.routes);
        routes.opening = None;
        routes.open.clear();
        routes.tokens.clear();
        routes.streams.close();
    }
}
