//! The streams of a session: written whether or not the client reads, and kept where the client breaks off.
//!
//! Without the first a stream that nobody reads would stop every other call of its session; without the second a result
//! that comes while a client is away would be lost.

use futures_util::future::Either;
use rmcp::{
    model::{JsonRpcMessage, ServerJsonRpcMessage, ServerNotification},
    transport::streamable_http_server::session::ServerSseMessage,
};
use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};
use tokio_stream::{Stream, wrappers::ReceiverStream};

/// Messages of a stream that are kept; notifications beyond them are dropped.
const MAX_KEPT: usize = 64;
/// What a session may keep of streams that have ended, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// How long the rest of a stream is kept once it has ended.
const KEPT: Duration = Duration::from_mins(1);
/// What a stream weighs besides its messages, in bytes.
const WEIGHT: usize = 1 << 10;
/// Streams that a session keeps room for, however few there are.
const ROOM: usize = 16;
/// When a client that was cut off is to ask again.
const RETRY: Duration = Duration::from_secs(3);

/// The streams of one session.
pub(super) struct Streams {
    /// Those of requests, by the number that their events carry.
    requests: Mutex<HashMap<u64, Arc<Replay>>>,
    listening: Mutex<Listening>,
    next: AtomicU64,
}

/// The stream of one request: what was sent on it, and where it continues.
struct Replay {
    number: u64,
    state: Mutex<State>,
}

struct State {
    kept: VecDeque<ServerSseMessage>,
    /// How many events there have been.
    count: u64,
    client: Option<UnboundedSender<ServerSseMessage>>,
    /// Which of the clients that it was given to in turn has it.
    turn: u64,
    /// Messages that the client's side has not taken yet.
    waiting: usize,
    ended: Option<Instant>,
    /// The bytes that are kept of a stream that has ended.
    size: usize,
}

impl State {
    fn weigh(&mut self) {
        let size = |message: &ServerSseMessage| serde_json::to_vec(&message.message).map_or(0, |bytes| bytes.len());
        self.size = WEIGHT + self.kept.iter().map(size).sum::<usize>();
    }
}

impl Replay {
    /// One that begins with word of when to ask again.
    fn new(number: u64) -> Self {
        let kept = VecDeque::from([ServerSseMessage::priming(format!("0/{number}"), RETRY)]);
        let state = State { kept, count: 1, client: None, turn: 0, waiting: 0, ended: None, size: 0 };
        Self { number, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Notes the end, and how much is kept of it for a client that is not there.
    fn end(&self) {
        let mut state = self.lock();
        state.ended = Some(Instant::now());
        let is_read = state.client.take().is_some_and(|client| !client.is_closed());
        // What is being read is weighed when its reader goes before the end.
        if !is_read {
            state.weigh();
        }
    }

    /// True when nobody will ask for it any more.
    fn is_over(&self) -> bool {
        let state = self.lock();
        state.ended.is_some_and(|ended| ended.elapsed() >= KEPT)
    }
}

/// Keeps a message. Where there is no room, news goes before what has to be answered.
fn keep(kept: &mut VecDeque<ServerSseMessage>, message: &ServerSseMessage) {
    if kept.len() >= MAX_KEPT {
        kept.remove(kept.iter().position(is_news).unwrap_or_default());
    }
    kept.push_back(message.clone());
}

/// What belongs to no request, and who listens for it: the first of the streams that are open, the others take its place.
struct Listening {
    kept: VecDeque<ServerSseMessage>,
    /// The number of the last event, and of the last that a client was given.
    count: u64,
    given: u64,
    clients: VecDeque<Sender<ServerSseMessage>>,
}

impl Listening {
    fn push(&mut self, message: ServerJsonRpcMessage) {
        self.count += 1;
        let message = ServerSseMessage::new(self.count.to_string(), message);
        keep(&mut self.kept, &message);
        // One that does not read is cut off, and may come back for the rest.
        while let Some(first) = self.clients.front() {
            if first.try_send(message.clone()).is_ok() {
                self.given = self.count;
                return;
            }
            self.clients.pop_front();
        }
    }

    /// A stream of what came after an event, or of what nobody was given, and of what still comes.
    fn connect(&mut self, after: Option<u64>) -> ReceiverStream<ServerSseMessage> {
        self.clients.retain(|client| !client.is_closed());
        // What has not happened yet is of another process.
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
        // Not from zero: what a client has kept of a process before this one must not be taken for an event of this.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let since = u64::try_from(since).unwrap_or_default();
        let listening = Listening { kept: VecDeque::new(), count: since, given: since, clients: VecDeque::new() };
        Arc::new(Self { requests: Mutex::default(), listening: Mutex::new(listening), next: AtomicU64::new(since) })
    }

    fn requests(&self) -> MutexGuard<'_, HashMap<u64, Arc<Replay>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the oldest where too much is kept.
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

    /// Forgets what was kept for clients that did not come back.
    pub(super) fn tidy(&self) {
        {
            let mut requests = self.requests();
            requests.retain(|_, replay| !replay.is_over());
            requests.shrink_to(ROOM);
        }
        self.listening().clients.retain(|client| !client.is_closed());
    }

    /// Begins the stream of a request.
    pub(super) fn begin(self: &Arc<Self>) -> (Writer, Passed) {
        let replay = Arc::new(Replay::new(self.next.fetch_add(1, Ordering::Relaxed)));
        self.requests().insert(replay.number, Arc::clone(&replay));
        let passed = self.connect(&replay, None);
        (Writer { replay, streams: Arc::clone(self) }, passed)
    }

    /// A stream for what belongs to no request.
    pub(super) fn listen(&self) -> ReceiverStream<ServerSseMessage> {
        self.listening().connect(None)
    }

    /// Says what belongs to no request.
    pub(super) fn tell(&self, message: ServerJsonRpcMessage) {
        self.listening().push(message);
    }

    /// Ends the streams for what belongs to no request.
    pub(super) fn close(&self) {
        self.listening().clients.clear();
    }

    /// What came after an event, and what still comes. `None` where that is not known here.
    pub(super) fn resume(self: &Arc<Self>, last_event: &str) -> Option<Either<Passed, ReceiverStream<ServerSseMessage>>> {
        let Some((index, number)) = last_event.split_once('/') else {
            let last = last_event.parse().ok()?;
            return Some(Either::Right(self.listening().connect(Some(last))));
        };
        let replay = Arc::clone(self.requests().get(&number.parse().ok()?)?);
        Some(Either::Left(self.connect(&replay, Some(index.parse().ok()?))))
    }

    /// Gives a stream to a client: what comes after an event, or all of it.
    fn connect(self: &Arc<Self>, replay: &Arc<Replay>, after: Option<u64>) -> Passed {
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
        Passed { messages, turn, replay: Arc::clone(replay), streams: Arc::clone(self) }
    }
}

/// Writes the stream of a request, which ends when this is dropped.
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

/// The stream of a request as its client reads it.
pub(super) struct Passed {
    messages: UnboundedReceiver<ServerSseMessage>,
    turn: u64,
    replay: Arc<Replay>,
    streams: Arc<Streams>,
}

impl Stream for Passed {
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

impl Drop for Passed {
    fn drop(&mut self) {
        // Before the look at the end: who ends it later sees that nobody reads.
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
    async fn what_comes_while_the_client_is_away_is_there_when_it_returns() {
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
        assert!(streams.requests().is_empty(), "what has been read is not kept");
    }

    #[tokio::test]
    async fn what_belongs_to_no_request_goes_to_one_listener_and_waits_where_there_is_none() {
        let streams = Streams::new();
        let since = streams.listening().count;
        let event = |number: u64| (since + number).to_string();
        streams.tell(message());
        let mut first = streams.listen();
        assert_eq!(first.next().await.and_then(|primed| primed.event_id), Some(event(0)));
        let second = streams.listen();
        streams.tell(message());
        let again = streams.resume(&event(1));
        streams.tell(message());
        streams.close();
        assert_eq!(ids(first).await, [event(1), event(2)]);
        assert_eq!(ids(second).await, Vec::<String>::new());
        assert_eq!(ids(again.unwrap_or_else(|| unreachable!())).await, [event(2), event(3)]);
    }

    #[tokio::test]
    async fn an_event_of_a_process_before_hides_nothing() {
        let before = Streams::new();
        before.tell(message());
        let last = before.listening().count;
        // It starts within the same millisecond at the earliest.
        let streams = Streams::new();
        streams.listening().count += 5;
        streams.tell(message());
        let again = streams.resume(&last.to_string()).unwrap_or_else(|| unreachable!());
        streams.tell(message());
        // Nor does one of a clock that was ahead.
        let ahead = streams.resume(&u64::MAX.to_string()).unwrap_or_else(|| unreachable!());
        streams.tell(message());
        streams.close();
        assert_eq!((ids(again).await.len(), ids(ahead).await.len()), (2, 1));
    }

    #[tokio::test]
    async fn a_listener_that_does_not_read_is_cut_off_and_finds_the_rest() {
        let streams = Streams::new();
        let stalled = streams.listen();
        for _ in 0..=MAX_KEPT {
            streams.tell(message());
        }
        assert_eq!(ids(stalled).await.len(), MAX_KEPT);
        let again = streams.listen();
        streams.close();
        assert_eq!(ids(again).await, [streams.listening().count.to_string()]);
    }

    #[tokio::test]
    async fn who_has_lost_a_stream_takes_nothing_from_its_next_reader() {
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
