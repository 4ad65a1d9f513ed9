//! The streams of a session: written whether or not the client reads, and kept for a client that disconnects.
//!
//! Otherwise an unread stream would block the other calls of its session, and a result sent while the client is
//! disconnected would be lost.

use futures_util::future::Either;
use parking_lot::{Mutex, MutexGuard};
use rmcp::{
    model::{JsonRpcMessage, ServerJsonRpcMessage, ServerNotification},
    transport::streamable_http_server::session::ServerSseMessage,
};
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio_stream::{Stream, wrappers::ReceiverStream};

/// Maximum number of messages kept per stream; further notifications are dropped.
const MAX_KEPT: usize = 64;
/// Maximum size of ended streams kept per session, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// How long an ended stream is kept.
const KEPT: Duration = Duration::from_mins(1);
/// Overhead of a stream besides its messages, in bytes.
const WEIGHT: usize = 1 << 10;
/// Minimum capacity of a session's stream table.
const ROOM: usize = 16;
/// Reconnection delay sent to clients.
const RETRY: Duration = Duration::from_secs(3);

/// The streams of one session.
pub(super) struct Streams {
    /// Streams of requests, by the number in their event ids.
    requests: Mutex<HashMap<u64, Arc<Replay>>>,
    listening: Mutex<Listening>,
    next: AtomicU64,
}

/// The stream of one request: the events sent, and the client to send further ones to.
struct Replay {
    number: u64,
    state: Mutex<State>,
}

struct State {
    kept: VecDeque<ServerSseMessage>,
    /// Number of events so far.
    count: u64,
    client: Option<UnboundedSender<ServerSseMessage>>,
    /// Number of the client that has the stream; clients are counted on each connect.
    turn: u64,
    /// Messages not yet read by the client.
    waiting: usize,
    ended: Option<Instant>,
    /// Size of an ended stream, in bytes.
    size: usize,
}

impl State {
    fn weigh(&mut self) {
        let size = |message: &ServerSseMessage| serde_json::to_vec(&message.message).map_or(0, |bytes| bytes.len());
        self.size = WEIGHT + self.kept.iter().map(size).sum::<usize>();
    }
}

impl Replay {
    /// A new stream, which begins with the reconnection delay.
    fn new(number: u64) -> Self {
        let kept = VecDeque::from([ServerSseMessage::priming(format!("0/{number}"), RETRY)]);
        let state = State { kept, count: 1, client: None, turn: 0, waiting: 0, ended: None, size: 0 };
        Self { number, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn push(&self, message: ServerJsonRpcMessage) {
        let mut state = self.lock();
        let message = ServerSseMessage::new(format!("{}/{}", state.count, self.number), message);
        state.count += 1;
        keep(&mut state.kept, &message);
        if state.waiting >= MAX_KEPT && is_news(&message) {
            return;
        }
        if state.client.as_ref().is_some_and(|client| client.send(message).is_ok()) {
            state.waiting += 1;
        }
    }

    /// Marks the stream as ended, and measures it if no client reads it.
    fn end(&self) {
        let mut state = self.lock();
        state.ended = Some(Instant::now());
        let is_read = state.client.take().is_some_and(|client| !client.is_closed());
        // A stream being read is measured when its reader leaves early.
        if !is_read {
            state.weigh();
        }
    }

    /// Whether the stream has expired.
    fn is_over(&self) -> bool {
        let state = self.lock();
        state.ended.is_some_and(|ended| ended.elapsed() >= KEPT)
    }
}

/// Stores a message. If there is no room, notifications are dropped before messages that need an answer.
fn keep(kept: &mut VecDeque<ServerSseMessage>, message: &ServerSseMessage) {
    if kept.len() >= MAX_KEPT {
        kept.remove(kept.iter().position(is_news).unwrap_or_default());
    }
    kept.push_back(message.clone());
}

/// Messages that belong to no request, and the streams listening for them. The first stream gets the messages.
struct Listening {
    kept: VecDeque<ServerSseMessage>,
    /// Number of the last event, and of the last one sent to a client.
    count: u64,
    given: u64,
    clients: VecDeque<Sender<ServerSseMessage>>,
}

impl Listening {
    fn push(&mut self, message: ServerJsonRpcMessage) {
        self.count += 1;
        let message = ServerSseMessage::new(self.count.to_string(), message);
        keep(&mut self.kept, &message);
        // A client that does not read is disconnected, and may reconnect for the rest.
        while let Some(first) = self.clients.front() {
            if first.try_send(message.clone()).is_ok() {
                self.given = self.count;
                return;
            }
            self.clients.pop_front();
        }
    }

    /// Streams the events after `after`, by default all unsent ones, and then new ones.
    fn connect(&mut self, after: Option<u64>) -> ReceiverStream<ServerSseMessage> {
        self.clients.retain(|client| !client.is_closed());
        // A number in the future comes from another process.
        let from = after.filter(|after| *after <= self.count).unwrap_or(self.given);
        let (client, messages) = channel(MAX_KEPT + 1);
        if after.is_none() {
            client.try_send(ServerSseMessage::priming(from.to_string(), RETRY)).ok();
        }
        for message in &self.kept {
            let number = message.event_id.as_deref().and_then(|id| id.parse::<u64>().ok());
            if number.is_some_and(|number| number > from) {
                client.try_send(message.clone()).ok();
            }
        }
        self.given = self.count;
        if after.is_some() {
            // A reconnect replaces the lost connection.
            self.clients.push_front(client);
        } else {
            self.clients.push_back(client);
        }
        ReceiverStream::new(messages)
    }
}

impl Streams {
    pub(super) fn new() -> Arc<Self> {
        // Starts from the time, so that an event id of an earlier process is not mistaken for one of this process.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = u64::try_from(since).unwrap_or_default();
        let listening = Listening { kept: VecDeque::new(), count: since, given: since, clients: VecDeque::new() };
        Arc::new(Self { requests: Mutex::default(), listening: Mutex::new(listening), next: AtomicU64::new(since) })
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<u64, Arc<Replay>>> {
        self.requests.lock()
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock()
    }

    /// Removes the oldest streams if too much is kept.
    fn bound(&self) {
        let mut replays = self.requests();
        loop {
            let ended = replays.iter().filter_map(|(number, replay)| {
                let state = replay.lock();
                state.ended.map(|ended| (ended, *number, state.size))
            });
            let ended: Vec<_> = ended.collect();
            if ended.iter().map(|(.., size)| size).sum::<usize>() <= MAX_BYTES {
                return;
            }
            let Some((_, oldest, _)) = ended.into_iter().min_by_key(|(at, ..)| *at) else { return };
            replays.remove(&oldest);
        }
    }

    /// Removes streams kept for clients that did not reconnect.
    pub(super) fn tidy(&self) {
        {
            let mut requests = self.requests();
            requests.retain(|_, replay| !replay.is_over());
            requests.shrink_to(ROOM);
        }
        self.listening().clients.retain(|client| !client.is_closed());
    }

    /// Starts the stream of a request.
    pub(super) fn begin(self: &Arc<Self>) -> (Writer, RequestStream) {
        let replay = Arc::new(Replay::new(self.next.fetch_add(1, Ordering::Relaxed)));
        self.requests().insert(replay.number, Arc::clone(&replay));
        let passed = self.connect(&replay, None);
        (Writer { replay, streams: Arc::clone(self) }, passed)
    }

    /// A stream for messages that belong to no request.
    pub(super) fn listen(&self) -> ReceiverStream<ServerSseMessage> {
        self.listening().connect(None)
    }

    /// Sends a message that belongs to no request.
    pub(super) fn notify(&self, message: ServerJsonRpcMessage) {
        self.listening().push(message);
    }

    /// Closes the streams for messages that belong to no request.
    pub(super) fn close(&self) {
        self.listening().clients.clear();
    }

    /// The events after `last_event`, and later ones. `None` if the stream is unknown.
    pub(super) fn resume(self: &Arc<Self>, last_event: &str) -> Option<Either<RequestStream, ReceiverStream<ServerSseMessage>>> {
        let Some((index, number)) = last_event.split_once('/') else {
            let last = last_event.parse().ok()?;
            return Some(Either::Right(self.listening().connect(Some(last))));
        };
        let replay = Arc::clone(self.requests().get(&number.parse().ok()?)?);
        Some(Either::Left(self.connect(&replay, Some(index.parse().ok()?))))
    }

    /// Connects a client to a stream, from an event on or from its start.
    fn connect(self: &Arc<Self>, replay: &Arc<Replay>, after: Option<u64>) -> RequestStream {
        let (client, messages) = unbounded_channel();
        let mut state = replay.lock();
        let is_later = |message: &&ServerSseMessage| {
            let index = message.event_id.as_deref().and_then(|id| id.split_once('/')?.0.parse::<u64>().ok());
            after.is_none_or(|after| index.is_some_and(|index| index > after))
        };
        let rest: Vec<ServerSseMessage> = state.kept.iter().filter(is_later).cloned().collect();
        state.waiting = rest.len();
        state.turn += 1;
        let turn = state.turn;
        for message in rest {
            client.send(message).ok();
        }
        state.client = state.ended.is_none().then_some(client);
        drop(state);
        RequestStream { messages, turn, replay: Arc::clone(replay), streams: Arc::clone(self) }
    }
}

/// Writes the stream of a request, which ends on drop.
pub(super) struct Writer {
    replay: Arc<Replay>,
    streams: Arc<Streams>,
}

impl Writer {
    pub(super) fn push(&self, message: ServerJsonRpcMessage) {
        self.replay.push(message);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.replay.end();
        self.streams.bound();
    }
}

fn is_news(message: &ServerSseMessage) -> bool {
    let Some(JsonRpcMessage::Notification(notification)) = message.message.as_deref() else { return false };
    !matches!(notification.notification, ServerNotification::CancelledNotification(_))
}

/// The client's end of a request's stream.
pub(super) struct RequestStream {
    messages: UnboundedReceiver<ServerSseMessage>,
    turn: u64,
    replay: Arc<Replay>,
    streams: Arc<Streams>,
}

impl Stream for RequestStream {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        let polled = self.messages.poll_recv(cx);
        if let Poll::Ready(Some(_)) = &polled {
            let mut state = self.replay.lock();
            if state.turn == self.turn {
                state.waiting = state.waiting.saturating_sub(1);
            }
        }
        polled
    }
}

impl Drop for RequestStream {
    fn drop(&mut self) {
        // Closed before the check below: a writer that ends later sees that there is no reader.
        self.messages.close();
        let is_read = {
            let mut state = self.replay.lock();
            if state.ended.is_none() || state.turn != self.turn {
                return;
            }
            if state.waiting > 0 {
                state.weigh();
            }
            state.waiting == 0
        };
        if is_read {
            self.streams.requests().retain(|_, replay| !Arc::ptr_eq(replay, &self.replay));
        } else {
            self.streams.bound();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_stream::StreamExt;

    fn message() -> ServerJsonRpcMessage {
        ServerJsonRpcMessage::error(rmcp::ErrorData::internal_error("x", None), None)
    }

    async fn ids(stream: impl Stream<Item = ServerSseMessage>) -> Vec<String> {
        stream.filter(|event| event.message.is_some()).filter_map(|message| message.event_id).collect().await
    }

    #[tokio::test]
    async fn messages_sent_while_the_client_is_away_are_replayed() {
        let streams = Streams::new();
        let (writer, mut passed) = streams.begin();
        let first = passed.next().await.and_then(|message| message.event_id).unwrap_or_default();
        let (_, number) = first.split_once('/').unwrap_or_default();
        drop(passed);
        writer.push(message());
        drop(writer);
        assert!(streams.resume("0/8").is_none());
        let again = streams.resume(&first).map(ids);
        assert_eq!(again.unwrap_or_else(|| unreachable!()).await, [format!("1/{number}")]);
        assert!(streams.requests().is_empty(), "events that have been read are not kept");
    }

    #[tokio::test]
    async fn messages_of_no_request_go_to_one_listener_or_wait_for_one() {
        let streams = Streams::new();
        let since = streams.listening().count;
        let event = |number: u64| (since + number).to_string();
        streams.notify(message());
        let mut first = streams.listen();
        assert_eq!(first.next().await.and_then(|primed| primed.event_id), Some(event(0)));
        let second = streams.listen();
        streams.notify(message());
        let again = streams.resume(&event(1));
        streams.notify(message());
        streams.close();
        assert_eq!(ids(first).await, [event(1), event(2)]);
        assert_eq!(ids(second).await, Vec::<String>::new());
        assert_eq!(ids(again.unwrap_or_else(|| unreachable!())).await, [event(2), event(3)]);
    }

    #[tokio::test]
    async fn an_event_id_of_an_earlier_process_hides_nothing() {
        let before = Streams::new();
        before.notify(message());
        let last = before.listening().count;
        // The second process starts in the same millisecond at the earliest.
        let streams = Streams::new();
        streams.listening().count += 5;
        streams.notify(message());
        let again = streams.resume(&last.to_string()).unwrap_or_else(|| unreachable!());
        streams.notify(message());
        // An event id from a clock that was ahead hides nothing either.
        let ahead = streams.resume(&u64::MAX.to_string()).unwrap_or_else(|| unreachable!());
        streams.notify(message());
        streams.close();
        assert_eq!((ids(again).await.len(), ids(ahead).await.len()), (2, 1));
    }

    #[tokio::test]
    async fn a_listener_that_does_not_read_is_disconnected_and_can_resume() {
        let streams = Streams::new();
        let stalled = streams.listen();
        for _ in 0..=MAX_KEPT {
            streams.notify(message());
        }
        assert_eq!(ids(stalled).await.len(), MAX_KEPT);
        let again = streams.listen();
        streams.close();
        assert_eq!(ids(again).await, [streams.listening().count.to_string()]);
    }

    #[tokio::test]
    async fn a_lost_reader_takes_nothing_from_the_next_one() {
        let streams = Streams::new();
        let (writer, lost) = streams.begin();
        let event = format!("0/{}", writer.replay.number);
        writer.push(message());
        let again = streams.resume(&event).unwrap_or_else(|| unreachable!());
        drop(writer);
        drop(lost);
        assert_eq!(ids(again).await.len(), 1);
        assert!(streams.requests().is_empty());
    }
}
