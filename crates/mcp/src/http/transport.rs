//! A session between HTTP and the service: passes client messages to the service, and each server message to its
//! stream.
//!
//! No task runs in between. A sender stores its message and returns, so that no stream waits for another.

use super::replay::{RequestStream, Streams, Writer};
use crate::{roots::Announcements, sessions::Open};
use parking_lot::{Mutex, MutexGuard};
use rmcp::{
    RoleServer,
    model::{
        ClientJsonRpcMessage, ClientNotification, GetExtensions, GetMeta, JsonRpcMessage, ProgressToken, RequestId, ServerJsonRpcMessage,
        ServerNotification,
    },
    service::OriginatingRequestId,
    transport::Transport,
};
use std::{collections::HashMap, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of messages waiting for the service.
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
    // Boxed: a channel allocates space for 32 messages initially, each of half a kilobyte.
    let (sender, inbox) = mpsc::channel(INBOX);
    let routes = Routes {
        streams: Streams::new(),
        opening: None,
        begun: false,
        over: false,
        open: HashMap::new(),
        tokens: HashMap::new(),
        asked: HashMap::new(),
    };
    let routes = Arc::new(Mutex::new(routes));
    (Handle { inbox: sender, routes: Arc::clone(&routes) }, SessionTransport { inbox, routes, announcements: Announcements::default() })
}

/// Routes messages of the server to streams.
struct Routes {
    streams: Arc<Streams>,
    /// Waits for the answer to the handshake.
    opening: Option<(RequestId, oneshot::Sender<ServerJsonRpcMessage>)>,
    /// The handshake has been sent; nothing may precede it.
    begun: bool,
    /// The service has ended; nothing would end another request.
    over: bool,
    /// Unanswered requests.
    open: HashMap<RequestId, Request>,
    /// Requests with progress notifications, by token.
    tokens: HashMap<ProgressToken, RequestId>,
    /// The server's requests to the client, and the client requests they belong to.
    asked: HashMap<RequestId, RequestId>,
}

/// An unanswered request, whether or not its client still waits.
struct Request {
    stream: Writer,
    token: Option<ProgressToken>,
    _open: Open,
}

impl Routes {
    /// Ends a request.
    fn end(&mut self, id: &RequestId) -> Option<Request> {
        let request = self.open.remove(id)?;
        if let Some(token) = &request.token
            && self.tokens.get(token) == Some(id)
        {
            self.tokens.remove(token);
        }
        self.asked.retain(|_, of| of != id);
        Some(request)
    }

    /// The request that a message belongs to.
    fn of(&mut self, message: &ServerJsonRpcMessage) -> Option<RequestId> {
        match message {
            JsonRpcMessage::Request(asked) => {
                let of = asked.request.extensions().get::<OriginatingRequestId>()?.0.clone();
                if self.open.contains_key(&of) {
                    self.asked.insert(asked.id.clone(), of.clone());
                }
                Some(of)
            }
            JsonRpcMessage::Notification(sent) => match &sent.notification {
                ServerNotification::ProgressNotification(progress) => self.tokens.get(&progress.params.progress_token).cloned(),
                ServerNotification::CancelledNotification(cancelled) => self.asked.remove(cancelled.params.request_id.as_ref()?),
                _ => None,
            },
            JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_) => None,
        }
    }

    /// Routes a message, and returns the request that it answers. The caller drops that after releasing the lock,
    /// because its stream then checks what to keep.
    fn send(&mut self, message: ServerJsonRpcMessage) -> Result<Option<Request>, Ended> {
        let answered = match &message {
            JsonRpcMessage::Response(response) => Some(response.id.clone()),
            JsonRpcMessage::Error(error) => error.id.clone(),
            _ => None,
        };
        let Some(id) = answered else {
            match self.of(&message).and_then(|of| self.open.get(&of)) {
                Some(request) => request.stream.push(message),
                None => self.streams.notify(message),
            }
            return Ok(None);
        };
        if let Some((_, opening)) = self.opening.take_if(|(opening, _)| *opening == id) {
            // Without a waiting request, no client has the session.
            return opening.send(message).map(|()| None).map_err(|_| Ended);
        }
        let request = self.end(&id);
        if let Some(request) = &request {
            request.stream.push(message);
        } else {
            tracing::debug!(%id, "no request is waiting for this answer");
        }
        Ok(request)
    }
}

fn lock(routes: &Mutex<Routes>) -> MutexGuard<'_, Routes> {
    routes.lock()
}

/// HTTP's end of a session, which ends on drop.
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

    /// Whether a call with this id is running, and the number of running calls.
    pub(super) fn running(&self, id: &RequestId) -> (bool, usize) {
        let routes = lock(&self.routes);
        (routes.open.contains_key(id), routes.open.len())
    }

    /// Whether requests are unanswered.
    pub(super) fn is_busy(&self) -> bool {
        !lock(&self.routes).open.is_empty()
    }

    /// Whether the handshake has been sent.
    pub(super) fn has_begun(&self) -> bool {
        lock(&self.routes).begun
    }

    /// Whether the service has stopped serving the session.
    pub(super) fn is_over(&self) -> bool {
        self.inbox.is_closed()
    }

    /// Sends the handshake and returns its answer.
    pub(super) async fn initialize(&self, message: ClientJsonRpcMessage) -> Result<ServerJsonRpcMessage, Ended> {
        let (opening, answer) = oneshot::channel();
        let place = self.inbox.reserve().await.map_err(|_| Ended)?;
        {
            let mut routes = lock(&self.routes);
            if let JsonRpcMessage::Request(request) = &message {
                routes.opening = Some((request.id.clone(), opening));
            }
            routes.begun = true;
            place.send(Box::new(message));
        }
        answer.await.map_err(|_| Ended)
    }

    /// Sends a request and returns its stream. `open` is held until it is answered.
    pub(super) async fn request(&self, message: ClientJsonRpcMessage, open: Open) -> Result<RequestStream, Ended> {
        // No await after this one: a client that disconnects at any moment leaves no partial request.
        let place = self.inbox.reserve().await.map_err(|_| Ended)?;
        let mut routes = lock(&self.routes);
        if routes.over {
            return Err(Ended);
        }
        let (stream, passed) = routes.streams.begin();
        if let JsonRpcMessage::Request(request) = &message {
            let token = request.request.get_meta().get_progress_token();
            if let Some(token) = &token {
                routes.tokens.insert(token.clone(), request.id.clone());
            }
            routes.open.insert(request.id.clone(), Request { stream, token, _open: open });
        }
        // Sent under the lock: a cancellation must not arrive first.
        place.send(Box::new(message));
        Ok(passed)
    }

    /// Sends a message that needs no answer.
    pub(super) async fn accept(&self, message: ClientJsonRpcMessage) -> Result<(), Ended> {
        let place = self.inbox.reserve().await.map_err(|_| Ended)?;
        let mut routes = lock(&self.routes);
        let ended = match &message {
            JsonRpcMessage::Notification(sent) => match &sent.notification {
                ClientNotification::CancelledNotification(cancelled) => cancelled.params.request_id.as_ref().and_then(|id| routes.end(id)),
                _ => None,
            },
            JsonRpcMessage::Response(response) => {
                routes.asked.remove(&response.id);
                None
            }
            JsonRpcMessage::Error(error) => {
                error.id.as_ref().and_then(|id| routes.asked.remove(id));
                None
            }
            JsonRpcMessage::Request(_) => None,
        };
        place.send(Box::new(message));
        drop(routes);
        drop(ended);
        Ok(())
    }
}

/// The service's end of a session.
pub(super) struct SessionTransport {
    inbox: mpsc::Receiver<Box<ClientJsonRpcMessage>>,
    routes: Arc<Mutex<Routes>>,
    announcements: Announcements,
}

impl Transport<RoleServer> for SessionTransport {
    type Error = Ended;

    fn send(&mut self, message: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Ended>> + Send + 'static {
        // Sent immediately, so that messages keep their order.
        let sent = lock(&self.routes).send(message);
        std::future::ready(sent.map(drop))
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        let mut message = *self.inbox.recv().await?;
        self.announcements.attach(&mut message);
        Some(message)
    }

    async fn close(&mut self) -> Result<(), Ended> {
        self.inbox.close();
        Ok(())
    }
}

impl Drop for SessionTransport {
    fn drop(&mut self) {
        // Ending the stream notifies a waiting request.
        let (open, streams) = {
            let mut routes = lock(&self.routes);
            routes.over = true;
            routes.opening = None;
            routes.tokens.clear();
            (std::mem::take(&mut routes.open), Arc::clone(&routes.streams))
        };
        drop(open);
        streams.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::{Kind, SessionLimits, Sessions};
    use rmcp::transport::streamable_http_server::session::ServerSseMessage;
    use serde_json::{Value, json};
    use tokio_stream::{Stream, StreamExt};

    fn client(message: Value) -> ClientJsonRpcMessage {
        serde_json::from_value(message).unwrap_or_else(|err| unreachable!("{err}"))
    }

    fn server(message: Value) -> ServerJsonRpcMessage {
        serde_json::from_value(message).unwrap_or_else(|err| unreachable!("{err}"))
    }

    fn open() -> Open {
        let sessions = Sessions::new(SessionLimits::default(), None, None);
        sessions.add("s".to_owned(), Kind::Http, None, |_| ()).busy()
    }

    fn ping(id: u64) -> ClientJsonRpcMessage {
        client(json!({"jsonrpc": "2.0", "id": id, "method": "ping", "params": {"_meta": {"progressToken": format!("t{id}")}}}))
    }

    fn progress(id: u64) -> ServerJsonRpcMessage {
        let params = json!({"progressToken": format!("t{id}"), "progress": 1});
        server(json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}))
    }

    fn answer(id: u64) -> ServerJsonRpcMessage {
        server(json!({"jsonrpc": "2.0", "id": id, "result": {}}))
    }

    /// Methods of a stream's messages, and `answer`, without the reconnection delay.
    async fn methods(stream: impl Stream<Item = ServerSseMessage>) -> Vec<String> {
        let texts = stream.filter_map(|event| {
            let message = serde_json::to_value(event.message?).ok()?;
            Some(message["method"].as_str().unwrap_or("answer").to_owned())
        });
        texts.collect().await
    }

    #[tokio::test]
    async fn each_message_goes_to_the_stream_of_its_request() -> Result<(), Ended> {
        let (handle, mut transport) = pair();
        let first = handle.request(ping(1), open()).await?;
        let second = handle.request(ping(2), open()).await?;
        let mut question = server(json!({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}));
        if let JsonRpcMessage::Request(request) = &mut question {
            request.request.extensions_mut().insert(OriginatingRequestId(RequestId::Number(2)));
        }
        let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
        for message in [progress(1), progress(2), question, server(cancelled), answer(2), progress(2), answer(1), answer(1)] {
            transport.send(message).await?;
        }
        assert_eq!(methods(first).await, ["notifications/progress", "answer"]);
        assert_eq!(methods(second).await, ["notifications/progress", "roots/list", "notifications/cancelled", "answer"]);
        let listening = handle.streams().listen();
        drop(transport);
        assert_eq!(methods(listening).await, ["notifications/progress"], "progress after the answer");
        Ok(())
    }

    #[tokio::test]
    async fn the_handshake_comes_first_and_is_not_confused_with_other_requests() -> Result<(), Ended> {
        let hello = || client(json!({"jsonrpc": "2.0", "id": 0, "method": "ping"}));
        let (handle, mut transport) = pair();
        assert!(!handle.has_begun());
        let mut opening = Box::pin(handle.initialize(hello()));
        assert!(futures_util::poll!(&mut opening).is_pending() && handle.has_begun());
        let same = handle.request(ping(0), open()).await?;
        transport.send(answer(0)).await?;
        opening.await?;
        transport.send(answer(0)).await?;
        assert_eq!(methods(same).await, ["answer"]);
        // The service notices an abandoned handshake and ends.
        let (handle, mut transport) = pair();
        let mut opening = Box::pin(handle.initialize(hello()));
        assert!(futures_util::poll!(&mut opening).is_pending());
        drop(opening);
        assert!(transport.send(answer(0)).await.is_err());
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_cancel_beside_its_request_leaves_no_stream_open() -> Result<(), Ended> {
        let (handle, mut transport) = pair();
        // Like the service: a request cancelled while it runs is not answered.
        let service = tokio::spawn(async move {
            let mut runs = None;
            while let Some(message) = transport.receive().await {
                match message {
                    JsonRpcMessage::Request(request) => runs = Some(request.id),
                    JsonRpcMessage::Notification(sent) => match sent.notification {
                        ClientNotification::CancelledNotification(_) => runs = None,
                        _ => {
                            if let Some(id) = runs.take() {
                                transport.send(server(json!({"jsonrpc": "2.0", "id": id, "result": {}}))).await?;
                            }
                        }
                    },
                    _ => {}
                }
            }
            Ok::<_, Ended>(())
        });
        for id in 0..5_000 {
            let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
            let (requesting, cancelling) = (handle.clone(), handle.clone());
            let stream = tokio::spawn(async move { requesting.request(ping(id), open()).await });
            cancelling.accept(client(cancel)).await?;
            let stream = stream.await.unwrap_or(Err(Ended))?;
            handle.accept(client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))).await?;
            assert!(methods(stream).await.len() <= 1);
        }
        drop(handle);
        service.await.unwrap_or(Err(Ended))
    }

    #[tokio::test]
    async fn answered_cancelled_and_abandoned_requests_leave_nothing() -> Result<(), Ended> {
        let (handle, mut transport) = pair();
        let counts = |handle: &Handle| {
            let routes = lock(&handle.routes);
            (routes.open.len(), routes.tokens.len(), routes.asked.len())
        };
        let cancelled = handle.request(ping(1), open()).await?;
        handle.accept(client(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))).await?;
        assert_eq!(methods(cancelled).await, Vec::<String>::new());
        drop(handle.request(ping(2), open()).await?);
        assert_eq!((handle.running(&RequestId::Number(2)), counts(&handle)), ((true, 1), (1, 1, 0)), "its call is still running");
        transport.send(answer(2)).await?;
        // With a full inbox, a request waits and is abandoned meanwhile.
        while handle.inbox.capacity() > 0 {
            handle.accept(client(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))).await?;
        }
        let mut waiting = Box::pin(handle.request(ping(3), open()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(counts(&handle), (0, 0, 0));
        // A request that has got its place before the service ends is not left waiting.
        let mut waiting = Box::pin(handle.request(ping(4), open()));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        transport.receive().await;
        drop(transport);
        assert!(waiting.await.is_err());
        assert!(handle.request(ping(5), open()).await.is_err());
        assert_eq!(counts(&handle), (0, 0, 0));
        Ok(())
    }
}
