//! The streams of a session: read at once whether or not the client reads, and kept where the client breaks off.
//!
//! Without the first a stream that nobody reads would stop every other call of its session; without the second a result
//! that comes while a client is away would be lost.

use rmcp::{
    model::{JsonRpcMessage, ServerNotification},
    transport::streamable_http_server::session::ServerSseMessage,
};
use std::{
    collections::{HashMap, VecDeque},
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::{Stream, StreamExt};

/// Messages of a stream that are kept; notifications beyond them are dropped.
const MAX_KEPT: usize = 64;
/// What a session may keep of streams that have ended, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// How long the rest of a stream is kept once it has ended.
const KEPT: Duration = Duration::from_mins(1);

/// The streams of one session, by the number that their events carry.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<u64, Arc<Replay>>>);

/// One stream: what has been sent on it, and where it goes on.
#[derive(Default)]
struct Replay(Mutex<State>);

#[derive(Default)]
struct State {
    kept: VecDeque<ServerSseMessage>,
    client: Option<UnboundedSender<ServerSseMessage>>,
    /// Messages that the client's side has not taken yet.
    waiting: usize,
    ended: Option<Instant>,
    /// The bytes that are kept of a stream that has ended.
    size: usize,
}

impl State {
    fn weigh(&mut self) {
        let size = |message: &ServerSseMessage| serde_json::to_vec(&message.message).map_or(0, |bytes| bytes.len());
        self.size = self.kept.iter().map(size).sum();
    }
}

impl Replay {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, message: ServerSseMessage) {
        let mut state = self.lock();
        if state.kept.len() >= MAX_KEPT {
            let Some(oldest) = state.kept.iter().position(is_news) else { return };
            state.kept.remove(oldest);
        }
        state.kept.push_back(message.clone());
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

impl Streams {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Replay>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the oldest where too much is kept.
    fn bound(&self) {
        let mut replays = self.lock();
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
        self.lock().retain(|_, replay| !replay.is_over());
    }

    /// Passes a stream on. `running` is held until it ends, whether or not its client has stayed.
    pub(super) fn pass<R: Send + 'static>(
        self: &Arc<Self>,
        stream: impl Stream<Item = ServerSseMessage> + Send + 'static,
        running: R,
    ) -> Passed {
        let replay = Arc::new(Replay::default());
        let passed = self.connect(&replay, None);
        let streams = Arc::clone(self);
        let reader = replay.lock().client.clone();
        tokio::spawn(async move {
            let _running = running;
            let mut stream = pin!(stream);
            let mut number = None;
            loop {
                // A stream without a number, to listen on, ends with its client: the next one takes its place.
                let gone = async {
                    match &reader {
                        Some(reader) if number.is_none() => reader.closed().await,
                        _ => std::future::pending().await,
                    }
                };
                let message = tokio::select! {
                    message = stream.next() => message,
                    () = gone => return,
                };
                let Some(message) = message else { break };
                if number.is_none() {
                    number = message.event_id.as_deref().and_then(position).map(|(_, stream)| stream);
                    if let Some(number) = number {
                        streams.lock().insert(number, Arc::clone(&replay));
                    }
                }
                replay.push(message);
            }
            drop(reader);
            replay.end();
            streams.bound();
        });
        passed
    }

    /// What came after an event, and what still comes. `None` where that is not known here.
    pub(super) fn resume(self: &Arc<Self>, last_event: &str) -> Option<Passed> {
        let (index, number) = position(last_event)?;
        let replay = Arc::clone(self.lock().get(&number)?);
        Some(self.connect(&replay, Some(index)))
    }

    fn connect(self: &Arc<Self>, replay: &Arc<Replay>, after: Option<u64>) -> Passed {
        let (client, messages) = unbounded_channel();
        let mut state = replay.lock();
        state.waiting = 0;
        if let Some(after) = after {
            let later =
                |message: &&ServerSseMessage| message.event_id.as_deref().and_then(position).is_some_and(|(index, _)| index > after);
            let rest: Vec<ServerSseMessage> = state.kept.iter().filter(later).cloned().collect();
            state.waiting = rest.len();
            for message in rest {
                client.send(message).ok();
            }
        }
        state.client = state.ended.is_none().then_some(client);
        drop(state);
        Passed { messages, replay: Arc::clone(replay), streams: Arc::clone(self) }
    }
}

/// `INDEX/STREAM`, as events of a request's stream are called.
fn position(event: &str) -> Option<(u64, u64)> {
    let (index, stream) = event.split_once('/')?;
    Some((index.parse().ok()?, stream.parse().ok()?))
}

fn is_news(message: &ServerSseMessage) -> bool {
    let Some(JsonRpcMessage::Notification(notification)) = message.message.as_deref() else { return false };
    !matches!(notification.notification, ServerNotification::CancelledNotification(_))
}

/// A stream as its client reads it.
pub(super) struct Passed {
    messages: UnboundedReceiver<ServerSseMessage>,
    replay: Arc<Replay>,
    streams: Arc<Streams>,
}

impl Stream for Passed {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        let polled = self.messages.poll_recv(cx);
        if let Poll::Ready(Some(_)) = &polled {
            let mut state = self.replay.lock();
            state.waiting = state.waiting.saturating_sub(1);
        }
        polled
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        let is_read = {
            let mut state = self.replay.lock();
            if state.ended.is_none() {
                return;
            }
            if state.waiting > 0 {
                state.weigh();
            }
            state.waiting == 0
        };
        if is_read {
            self.streams.lock().retain(|_, replay| !Arc::ptr_eq(replay, &self.replay));
        } else {
            self.streams.bound();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmcp::model::ServerJsonRpcMessage;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    fn message(id: &str) -> ServerSseMessage {
        let error = rmcp::ErrorData::internal_error("x", None);
        ServerSseMessage::new(id, ServerJsonRpcMessage::error(error, None))
    }

    #[tokio::test]
    async fn what_comes_while_the_client_is_away_is_there_when_it_returns() {
        let streams = Arc::new(Streams::default());
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut passed = streams.pass(UnboundedReceiverStream::new(receiver), ());
        sender.send(message("0/7")).ok();
        assert_eq!(passed.next().await.and_then(|message| message.event_id), Some("0/7".to_owned()));
        drop(passed);
        sender.send(message("1/7")).ok();
        drop(sender);
        while streams.lock().get(&7).is_some_and(|replay| replay.lock().ended.is_none()) {
            tokio::task::yield_now().await;
        }
        assert!(streams.resume("0/8").is_none());
        let mut again = streams.resume("0/7").into_iter().collect::<Vec<_>>();
        let mut seen = Vec::new();
        for stream in &mut again {
            while let Some(message) = stream.next().await {
                seen.extend(message.event_id);
            }
        }
        assert_eq!(seen, ["1/7"]);
        drop(again);
        assert!(streams.lock().is_empty(), "what has been read is not kept");
    }
}
