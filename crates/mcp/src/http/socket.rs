//! WebSocket: one message per frame, over the same limited connection as stdio.

use super::{
    Authority, DRAIN, DRAINING, LAST_WORDS, Options,
    connections::Turn,
    shares::{Holder, Shares},
    stream::Meter,
};
use crate::{
    connection::{Connection, Limits},
    frame::MAX_FRAME,
    identity::Identity,
    intake::{Intake, Stage},
    sessions::{Ending, Fault, Kind, Opening, Refusal, Session, SessionLimits, Sessions, random_id},
};
use axum::{
    Extension,
    extract::{
        State,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code, rejection::WebSocketUpgradeRejection},
    },
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use rmcp::{ServerHandler, ServiceExt};
use serde::de::IgnoredAny;
use std::{
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt, DuplexStream, ReadHalf, duplex, split},
    sync::watch,
};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    sync::CancellationToken,
    task::TaskTracker,
};

/// Buffer size between the socket and the connection, in bytes.
const PIPE: usize = 64 << 10;
/// Maximum length of a frame that is read; between this and the longest message, an error is returned.
const MAX_READ: usize = MAX_FRAME + (2 << 20);
/// Read buffer of each socket, in bytes.
const READ: usize = 16 << 10;
/// Longer than any connection lasts.
const FOREVER: Duration = Duration::from_hours(24 * 365);
/// Polling interval for running calls.
const POLL: Duration = Duration::from_millis(20);
/// Time limit for closing a connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// The close code and reason of a connection.
type Farewell = (u16, &'static str);

/// Creates the service of a connection.
type Service<S> = Arc<dyn Fn(Option<&Identity>) -> S + Send + Sync>;

/// Serves sockets.
pub(super) struct Sockets<S> {
    service: Service<S>,
    limits: Limits,
    sessions: Arc<Sessions>,
    authority: Option<Arc<Authority>>,
    /// The byte budget of messages being received.
    bytes: Arc<Shares>,
    /// The open sockets; shutdown waits for them.
    open: TaskTracker,
    stop: CancellationToken,
    /// Cancelled once all calls have ended during shutdown.
    drained: CancellationToken,
    intake: Intake,
}

impl<S> Clone for Sockets<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            limits: self.limits,
            sessions: Arc::clone(&self.sessions),
            authority: self.authority.clone(),
            bytes: Arc::clone(&self.bytes),
            open: self.open.clone(),
            stop: self.stop.clone(),
            drained: self.drained.clone(),
            intake: self.intake.clone(),
        }
    }
}

impl<S> Sockets<S> {
    pub(super) fn new(
        service: impl Fn(Option<&Identity>) -> S + Send + Sync + 'static,
        options: &Options,
        bytes: Arc<Shares>,
        open: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            service: Arc::new(service),
            limits: options.limits,
            sessions: Arc::clone(&options.sessions),
            authority: options.authority.clone(),
            bytes,
            open,
            stop,
            drained: options.drained.clone(),
            intake: options.intake.clone(),
        }
    }
}

/// Upgrades a request to a WebSocket.
pub(super) async fn upgrade<S: ServerHandler + Send + 'static>(
    State(sockets): State<Sockets<S>>,
    identity: Option<Extension<Identity>>,
    turn: Option<Extension<Arc<Turn>>>,
    request: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(request) = request else {
        let text = "MCP is served at /mcp over HTTP and here over WebSocket (subprotocol: mcp)\n";
        return (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], text).into_response();
    };
    // Rejected before the upgrade: clients rejected after it would reconnect immediately, in a loop.
    if sockets.intake.is_draining() {
        return unavailable(DRAINING);
    }
    let Some(opening) = sockets.sessions.make_room() else {
        sockets.sessions.refuse(&Refusal::new(Fault::Overloaded, "session_limit"));
        return unavailable("session limit reached, and every session is busy");
    };
    let request = request.protocols(["mcp"]).max_message_size(MAX_READ).max_frame_size(MAX_READ).read_buffer_size(READ);
    let open = sockets.open.clone();
    request.on_upgrade(move |socket| {
        open.track_future(async move {
            let turn = turn.map(|Extension(turn)| turn);
            let meter = turn.as_ref().map(|turn| turn.meter()).unwrap_or_default();
            let holder = turn.as_ref().map_or(Holder::Local, |turn| turn.holder());
            if let Ok(part) = sockets.bytes.take(holder, 0) {
                meter.start(part);
            }
            run(sockets, socket, meter, identity.map(|Extension(identity)| identity), opening).await;
            drop(turn);
        })
    })
}

fn unavailable(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], format!("{why}\n")).into_response()
}

async fn run<S: ServerHandler + Send + 'static>(
    sockets: Sockets<S>,
    socket: WebSocket,
    meter: Arc<Meter>,
    identity: Option<Identity>,
    opening: Opening,
) {
    let stop = CancellationToken::new();
    let (reason, closing) = watch::channel(None);
    let end = {
        let stop = stop.clone();
        move |why: Ending| {
            reason.send_replace(Some((why.close_code(), why.text())));
            stop.cancel();
        }
    };
    let owner = identity.as_ref().map(|identity| Arc::clone(&identity.principal));
    let session = sockets.sessions.add(random_id("ws-"), Kind::WebSocket, owner, end);
    drop(opening);
    let (ends, drained, ended) = (sockets.stop.clone(), sockets.drained.clone(), stop.clone());
    let (intake, carried) = (sockets.intake.clone(), Arc::clone(&session));
    let parting = Arc::new(OnceLock::new());
    let last_words = Arc::clone(&parting);
    let until = identity.as_ref().and_then(|identity| identity.until);
    let left = until.map_or(FOREVER, |until| until.duration_since(SystemTime::now()).unwrap_or_default());
    let ending = tokio::spawn(async move {
        tokio::select! {
            () = ends.cancelled() => {}
            // The token has expired.
            () = tokio::time::sleep(left) => return ended.cancel(),
            () = intake.closed() => {
                let is_replaced = intake.stage() == Stage::Leaving;
                last_words.set((close_code::RESTART, if is_replaced { "the server is being replaced: connect again" } else { DRAINING })).ok();
                // Earlier requests are answered; later ones are left to the successor.
                let answered = async {
                    tokio::time::sleep(LAST_WORDS).await;
                    while carried.is_busy() {
                        tokio::time::sleep(POLL).await;
                    }
                };
                tokio::select! { () = answered => return ended.cancel(), () = ends.cancelled() => {} }
            }
        }
        // Running calls are answered first.
        tokio::time::timeout(DRAIN, drained.cancelled()).await.ok();
        tokio::time::sleep(LAST_WORDS).await;
        ended.cancel();
    });
    let (near, far) = duplex(PIPE);
    let (reader, writer) = split(far);
    let connection = Connection::new(reader, writer, sockets.limits, stop.clone()).of(&sockets.sessions, &session);
    let (sink, stream) = socket.split();
    let (from_server, to_server) = split(near);
    let pace = sockets.authority.clone().zip(identity.as_ref().map(|identity| Arc::clone(&identity.principal)));
    let messages = Messages { stream, meter, parting: Arc::clone(&parting) };
    let reading = tokio::spawn(read(messages, to_server, Arc::clone(&session), pace, sockets.intake.clone()));
    let writing = tokio::spawn(write(sink, from_server, (Arc::clone(&session), closing, parting), sockets.sessions.limits(), stop.clone()));
    match (sockets.service)(identity.as_ref()).serve(connection).await {
        Ok(running) => drop(running.waiting().await),
        Err(err) => tracing::debug!(%err, "the connection ended before it was initialized"),
    }
    stop.cancel();
    ending.abort();
    reading.abort();
    tokio::time::timeout(FAREWELL, writing).await.ok();
    sockets.sessions.gone(&session.id);
}

/// Messages from a client.
struct Messages {
    stream: SplitStream<WebSocket>,
    meter: Arc<Meter>,
    parting: Arc<OnceLock<Farewell>>,
}

impl Messages {
    /// The next message; `None` once the client or the connection has ended.
    async fn next(&mut self, session: &Session) -> Option<Vec<u8>> {
        loop {
            let frame = match self.stream.next().await? {
                Ok(frame) => frame,
                Err(err) => {
                    tracing::debug!(%err, "could not read a frame");
                    if let Some(why) = self.meter.failed() {
                        self.parting.set((close_code::AGAIN, why)).ok();
                    }
                    return None;
                }
            };
            session.record_activity();
            let bytes = match frame {
                Message::Text(text) => text.as_bytes().to_vec(),
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Ping(payload) | Message::Pong(payload) => {
                    self.meter.control(payload.len());
                    continue;
                }
                Message::Close(_) => return None,
            };
            self.meter.message();
            return Some(bytes);
        }
    }
}

/// Converts frames to lines.
async fn read(
    mut messages: Messages,
    mut server: impl AsyncWrite + Unpin,
    session: Arc<Session>,
    pace: Option<(Arc<Authority>, Arc<str>)>,
    intake: Intake,
) {
    while let Some(mut bytes) = messages.next(&session).await {
        if !intake.is_open() && is_request(&bytes) {
            continue;
        }
        if let Some((authority, principal)) = &pace {
            // A client over its rate limit is read more slowly.
            while let Some(wait) = authority.wait(principal) {
                tokio::time::sleep(wait).await;
            }
        }
        // A frame is one message. In JSON, a raw line break can only be whitespace between two tokens.
        bytes.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
        bytes.push(b'\n');
        if server.write_all(&bytes).await.is_err() {
            break;
        }
    }
    server.shutdown().await.ok();
}

/// Whether a message requires an answer.
fn is_request(bytes: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "id")]
        _id: IgnoredAny,
        #[serde(rename = "method")]
        _method: IgnoredAny,
    }
    serde_json::from_slice::<Head>(bytes).is_ok()
}

/// Converts lines to frames, and sends pings.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    server: ReadHalf<DuplexStream>,
    (session, mut closing, parting): (Arc<Session>, watch::Receiver<Option<Farewell>>, Arc<OnceLock<Farewell>>),
    limits: SessionLimits,
    stop: CancellationToken,
) {
    let mut lines = FramedRead::new(server, LinesCodec::new());
    let (code, reason) = loop {
        let message = tokio::select! {
            line = lines.next() => {
                let Some(Ok(line)) = line else {
                    // All output is sent. The reason for closing a session is set before its connection ends.
                    let why = closing.borrow_and_update().or_else(|| parting.get().copied());
                    break why.unwrap_or((close_code::NORMAL, "the server closed the connection"));
                };
                Message::Text(Utf8Bytes::from(line))
            }
            () = session.asked.notified() => Message::Ping(axum::body::Bytes::new()),
            Ok(()) = closing.changed() => {
                let why = *closing.borrow_and_update();
                break why.unwrap_or((close_code::AWAY, "the server closed the session"));
            }
        };
        // A client that does not read is treated as disconnected.
        let patience = limits.heartbeat.saturating_mul(limits.missed.saturating_add(1));
        if !matches!(tokio::time::timeout(patience, sink.send(message)).await, Ok(Ok(()))) {
            stop.cancel();
            return;
        }
    };
    let farewell = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
    // If the client closes, its frame is answered and nothing follows.
    let ending = async {
        sink.send(farewell).await.ok();
        sink.close().await.ok();
    };
    tokio::time::timeout(FAREWELL, ending).await.ok();
}
