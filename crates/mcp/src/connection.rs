//! One connection under rmcp: limits requests in flight, answers faulty messages, and detects the end of input.

use crate::{
    frame::{Frame, Frames},
    identity::Carrier,
    oddity::Mode,
    outbox::{Outbox, Waiting},
    prepared,
    revision::Revision,
    roots::Announcements,
    sessions::{Open, Session, Sessions},
};
use parking_lot::Mutex;
use rmcp::{
    RoleServer,
    model::{ClientNotification, ClientRequest, ErrorCode, ErrorData, GetExtensions, JsonRpcMessage, RequestId},
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::Transport,
};
use serde_json::json;
use std::{collections::HashMap, io, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::sync::CancellationToken;

/// Time limit for writing the last answers when the connection ends.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The error for a request that must not be answered: nothing is written for it.
pub const UNANSWERED: ErrorCode = ErrorCode(-32097);

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Maximum number of requests whose answer is not yet written.
    pub in_flight: usize,
    /// Maximum size of unread answers, in bytes; beyond it requests are rejected.
    pub unread: usize,
    /// Validation mode.
    pub mode: Mode,
}

/// The usual limits, in this mode.
impl From<Mode> for Limits {
    fn from(mode: Mode) -> Self {
        Self { in_flight: 256, unread: 16 << 20, mode }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Mode::default().into()
    }
}

/// An `rmcp` transport over a byte stream of JSON lines.
pub struct Connection<R> {
    frames: Frames<R>,
    outbox: Arc<Outbox>,
    in_flight: Arc<InFlight>,
    permits: Arc<Semaphore>,
    limits: Limits,
    started: bool,
    announcements: Announcements,
    stop: CancellationToken,
    session: Option<(Arc<Sessions>, Arc<Session>)>,
}

/// Guards held by a request: until it is answered, and until the answer is written.
type Holds = (Option<Open>, OwnedSemaphorePermit);

#[derive(Default)]
struct InFlight(Mutex<HashMap<RequestId, Holds>>);

impl InFlight {
    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<RequestId, Holds>> {
        self.0.lock()
    }
}

impl<R: AsyncRead + Send + Unpin> Connection<R> {
    /// Reads from `reader` and writes to `writer`, until the input ends or `stop` is cancelled.
    pub fn new(reader: R, writer: impl AsyncWrite + Send + Unpin + 'static, limits: Limits, stop: CancellationToken) -> Self {
        Self {
            frames: Frames::new(reader).checked(limits.mode),
            outbox: Arc::new(Outbox::new(writer)),
            in_flight: Arc::default(),
            permits: Arc::new(Semaphore::new(limits.in_flight)),
            limits,
            started: false,
            announcements: Announcements::default(),
            stop,
            session: None,
        }
    }

    /// Attaches a session, which records messages and requests in flight.
    pub(crate) fn of(mut self, sessions: &Arc<Sessions>, session: &Arc<Session>) -> Self {
        self.frames.of(&session.id);
        self.session = Some((Arc::clone(sessions), Arc::clone(session)));
        self
    }

    /// Bytes not yet read by the peer.
    pub(crate) fn waiting(&self) -> &Arc<Waiting> {
        self.outbox.waiting()
    }

    async fn next(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        loop {
            // Rejections take space, too: stop reading from a peer that sends without ever reading.
            let waiting = Arc::clone(self.waiting());
            waiting.at_most(self.limits.unread.saturating_mul(2)).await;
            match self.frames.next().await {
                Ok(Some(Frame::Message(message))) => {
                    if let Some(mut message) = self.admit(*message) {
                        self.announcements.attach(&mut message);
                        if let (JsonRpcMessage::Request(request), Some((_, session))) = (&mut message, &self.session) {
                            request.request.extensions_mut().insert(Carrier(Arc::clone(session)));
                        }
                        return Some(message);
                    }
                }
                Ok(Some(Frame::Refused(id, error))) => {
                    self.answer(&JsonRpcMessage::error(error, id));
                    if let Some((sessions, session)) = &self.session {
                        sessions.faulty(session);
                    }
                }
                Ok(Some(Frame::Ping(id))) => self.write(&json!({"type": "pong", "id": id}), None),
                Ok(Some(Frame::Ignored)) => {}
                Ok(None) => return None,
                Err(err) => {
                    tracing::debug!(%err, "could not read the input");
                    return None;
                }
            }
        }
    }

    /// Passes a message to the service, or answers it here.
    fn admit(&mut self, message: RxJsonRpcMessage<RoleServer>) -> Option<RxJsonRpcMessage<RoleServer>> {
        match &message {
            JsonRpcMessage::Request(request) => match self.permit(&request.id) {
                Ok(()) => {
                    if !std::mem::replace(&mut self.started, true) {
                        self.introduce(&request.request);
                    }
                    Some(message)
                }
                Err(error) => {
                    self.answer(&JsonRpcMessage::error(error, Some(request.id.clone())));
                    if let Some((sessions, session)) = &self.session
                        && self.in_flight.lock().contains_key(&request.id)
                    {
                        sessions.reused(session);
                    }
                    None
                }
            },
            // Before the first request, the service would treat any other message as a fatal error.
            _ if !self.started => None,
            JsonRpcMessage::Notification(notification) => {
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    // A cancelled request gets no answer, so nothing else would release its permit.
                    self.in_flight.lock().remove(id);
                }
                if let Some((_, session)) = &self.session {
                    session.record_activity();
                }
                Some(message)
            }
            _ => Some(message),
        }
    }

    fn permit(&self, id: &RequestId) -> Result<(), ErrorData> {
        let mut in_flight = self.in_flight.lock();
        if in_flight.contains_key(id) {
            return Err(ErrorData::invalid_request(format!("a request with the id {id} is already in flight"), None));
        }
        let overloaded = |what: String| {
            let data = json!({"code": "overloaded", "recoverable": true, "retry_after_ms": 1000});
            ErrorData::new(ErrorCode(-32000), what, Some(data))
        };
        if self.waiting().bytes() > self.limits.unread {
            return Err(overloaded("answers are not being read: read them before sending more requests".to_owned()));
        }
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        let permit = permit.map_err(|_| overloaded(format!("{} requests are in flight on this connection", self.limits.in_flight)))?;
        let open = self.session.as_ref().map(|(_, session)| {
            session.record_request();
            session.busy()
        });
        in_flight.insert(id.clone(), (open, permit));
        Ok(())
    }

    /// Records the client's name and protocol version from the first request.
    fn introduce(&self, first: &ClientRequest) {
        let Some((_, session)) = &self.session else { return };
        let (client, protocol) = match first {
            ClientRequest::InitializeRequest(request) => {
                let info = &request.params.client_info;
                (format!("{} {}", info.name, info.version), request.params.protocol_version.to_string())
            }
            // The newest revision has no handshake.
            _ => (String::new(), Revision::NEWEST.name().to_owned()),
        };
        session.opened(&client, &protocol);
    }

    fn answer(&self, message: &TxJsonRpcMessage<RoleServer>) {
        self.write(message, None);
    }

    fn write(&self, message: &impl serde::Serialize, permit: Option<OwnedSemaphorePermit>) {
        push(&self.outbox, serde_json::to_vec(message), permit);
    }
}

/// Queues a serialized message. Returns false on failure.
fn push(outbox: &Outbox, message: serde_json::Result<Vec<u8>>, permit: Option<OwnedSemaphorePermit>) -> bool {
    match message {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            outbox.push(bytes, permit)
        }
        Err(err) => {
            tracing::error!(%err, "could not serialize an answer");
            false
        }
    }
}

impl<R: AsyncRead + Send + Unpin> Transport<RoleServer> for Connection<R> {
    type Error = io::Error;

    fn send(&mut self, mut item: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let permit = match &item {
            JsonRpcMessage::Response(response) => self.in_flight.lock().remove(&response.id),
            JsonRpcMessage::Error(error) => error.id.as_ref().and_then(|id| self.in_flight.lock().remove(id)),
            _ => None,
        };
        if matches!(&item, JsonRpcMessage::Error(error) if error.error.code == UNANSWERED) {
            return std::future::ready(Ok(()));
        }
        let queued = push(&self.outbox, prepared::serialize(&mut item), permit.map(|(_, permit)| permit));
        std::future::ready(if queued { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) })
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        let stop = self.stop.clone();
        tokio::select! {
            message = self.next() => {
                if message.is_none() {
                    if let Some((_, session)) = &self.session {
                        session.hang_up();
                    }
                    // Notifies the rest of the server that this connection's input has ended.
                    stop.cancel();
                }
                message
            }
            () = stop.cancelled() => None,
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        tokio::time::timeout(LAST_WORDS, self.outbox.close()).await.unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

    fn connect(limits: Limits) -> (DuplexStream, Connection<tokio::io::ReadHalf<DuplexStream>>) {
        let (here, there) = duplex(1 << 20);
        let (reader, writer) = tokio::io::split(there);
        (here, Connection::new(reader, writer, limits, CancellationToken::new()))
    }

    fn ping(id: u32) -> Vec<u8> {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n").into_bytes()
    }

    async fn reply(client: &mut BufReader<&mut DuplexStream>) -> io::Result<serde_json::Value> {
        let mut line = String::new();
        client.read_line(&mut line).await?;
        Ok(serde_json::from_str(&line)?)
    }

    #[tokio::test]
    async fn a_second_request_with_an_id_in_flight_and_one_too_many_are_refused() -> io::Result<()> {
        let (mut client, mut connection) = connect(Limits { in_flight: 2, ..Limits::default() });
        client.write_all(&[ping(1), ping(1), ping(2), ping(3), ping(4)].concat()).await?;
        client.write_all(b"\n").await?;
        assert!(connection.receive().await.is_some());
        assert!(connection.receive().await.is_some());
        let third = tokio::select! { _ = connection.receive() => "message", () = tokio::task::yield_now() => "refused" };
        assert_eq!(third, "refused");
        let mut client = BufReader::new(&mut client);
        let codes = [reply(&mut client).await?, reply(&mut client).await?];
        assert_eq!(
            codes.map(|reply| (reply["id"].as_i64(), reply["error"]["code"].as_i64())),
            [(Some(1), Some(-32600)), (Some(3), Some(-32000))]
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_notification_before_the_first_request_is_ignored() -> io::Result<()> {
        let (mut client, mut connection) = connect(Limits::default());
        client.write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n").await?;
        client.write_all(&ping(1)).await?;
        assert!(matches!(connection.receive().await, Some(JsonRpcMessage::Request(_))));
        Ok(())
    }
}
