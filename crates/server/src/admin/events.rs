//! The live stream: what has changed, once a second, as server-sent events.

use super::{
    endpoint::{Nothing, Refused, refused},
    live, reads,
    requests::{Events, Logs, Window},
    views,
};
use crate::{lifecycle::phase::Phase, named::named, server::Server};
use axum::{
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::stream;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Maximum number of open streams.
const MAX_STREAMS: usize = 32;
/// Maximum number of sessions in an event.
const MAX_SESSIONS: usize = 200;
/// Maximum number of log records in an event.
const MAX_LOGS: usize = 200;
/// Maximum life of a stream.
const MAX_LIFE: Duration = Duration::from_mins(10);
/// Time between events of a topic.
const PERIOD: Duration = Duration::from_secs(1);
/// Each how many periods the repositories and the kept sessions are read.
const SELDOM: u64 = 5;
/// The open streams.
static OPEN: AtomicUsize = AtomicUsize::new(0);

named! {
    /// A topic of the stream: the answer of the endpoint with the same name.
    pub(super) enum Topic {
        Status = "status",
        Calls = "calls",
        Sessions = "sessions",
        Heartbeats = "heartbeats",
        Circuits = "circuits",
        Errors = "errors",
        Latency = "latency",
        Samples = "samples",
        Repositories = "repositories",
        Caches = "caches",
        Memory = "memory",
        Held = "held",
        Logs = "logs",
    }
}

/// Opens a stream.
pub(super) async fn open(server: Arc<Server>, wanted: Events) -> Result<Response, Refused> {
    let Some(place) = Open::enter() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, format!("too many streams are open (limit {MAX_STREAMS}): retry later"));
    };
    let topics = match wanted.topics.as_deref() {
        None | Some("") => Topic::ALL.to_vec(),
        Some(list) => topics(list)?,
    };
    let reader = Reader {
        server,
        topics: topics.into_iter().map(|topic| (topic, None)).collect(),
        round: 0,
        last_log: None,
        last_sample: None,
        kept: None,
        place,
    };
    // A token may expire while the stream is open: the client opens another, and authenticates again.
    let (stop, revoked) = (reader.server.stop.clone(), reader.server.streams.lock().clone());
    let ended = async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = revoked.cancelled() => {}
            () = tokio::time::sleep(MAX_LIFE) => {}
        }
    };
    let rounds = stream::unfold((reader, Vec::new()), |(mut reader, mut ready): (Reader, Vec<Event>)| async move {
        while ready.is_empty() {
            // The next stream is the successor's.
            if reader.server.phase.get() == Phase::Leaving {
                return None;
            }
            ready = reader.round().await;
            ready.reverse();
        }
        Some((Ok::<_, Infallible>(ready.pop()?), (reader, ready)))
    });
    let rounds = futures_util::StreamExt::take_until(rounds, ended);
    Ok(Sse::new(rounds).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))).into_response())
}

fn topics(list: &str) -> Result<Vec<Topic>, Refused> {
    let mut found = Vec::new();
    for name in list.split(',').map(str::trim) {
        let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.name() == name) else {
            let known = Topic::ALL.map(Topic::name).join(", ");
            return refused(StatusCode::BAD_REQUEST, format!("there is no such topic; topics: {known}"));
        };
        if !found.contains(&topic) {
            found.push(topic);
        }
    }
    Ok(found)
}

/// A place among the open streams, until dropped.
struct Open;

impl Open {
    fn enter() -> Option<Self> {
        let enter = |open: usize| (open < MAX_STREAMS).then_some(open + 1);
        OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok().map(|_| Self)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a stream has sent.
struct Reader {
    server: Arc<Server>,
    /// The topics, with the hash of what was sent last.
    topics: Vec<(Topic, Option<u64>)>,
    round: u64,
    last_log: Option<u64>,
    last_sample: Option<i64>,
    /// Sessions in the store that were not used.
    kept: Option<usize>,
    #[expect(dead_code, reason = "held until the stream ends")]
    place: Open,
}

impl Reader {
    /// The events of one round; all topics in the first one.
    async fn round(&mut self) -> Vec<Event> {
        if self.round > 0 {
            tokio::time::sleep(PERIOD).await;
        }
        self.round += 1;
        let mut events = Vec::new();
        for at in 0..self.topics.len() {
            let Some((topic, sent)) = self.topics.get(at).copied() else { break };
            let Some(data) = self.read(topic).await.filter(|data| !data.is_null()) else { continue };
            let text = data.to_string();
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            let hash = Some(hasher.finish());
            if hash != sent {
                events.push(Event::default().event(topic.name()).data(text));
                if let Some((_, sent)) = self.topics.get_mut(at) {
                    *sent = hash;
                }
            }
        }
        events
    }

    /// What is new of a topic; `None` if nothing is.
    async fn read(&mut self, topic: Topic) -> Option<Value> {
        let server = Arc::clone(&self.server);
        match topic {
            Topic::Status => value(reads::status(server, Nothing {}).await),
            Topic::Calls => Some(json!(live::calls(&server))),
            Topic::Sessions => {
                if self.round % SELDOM == 1 {
                    self.kept = reads::kept(&server).await;
                }
                Some(json!(views::sessions(&server, (None, None), self.kept, MAX_SESSIONS)))
            }
            Topic::Heartbeats => Some(json!(views::heartbeats(&server, MAX_SESSIONS))),
            Topic::Circuits => Some(json!(views::circuits(&server))),
            Topic::Errors => value(reads::errors(server, Window::default()).await),
            Topic::Latency => Some(json!(live::latencies(&server))),
            Topic::Samples => self.samples(),
            Topic::Repositories if self.round % SELDOM == 1 => value(reads::repositories(server, Nothing {}).await),
            Topic::Repositories => None,
            Topic::Caches => Some(json!(views::caches(&server))),
            Topic::Memory => Some(json!(views::memory(&server))),
            Topic::Held => Some(json!(views::held(&server))),
            Topic::Logs => self.logs().await,
        }
    }

    /// The samples since the last event.
    fn samples(&mut self) -> Option<Value> {
        let mut samples = live::samples(&self.server);
        let is_first = self.last_sample.is_none();
        let last = self.last_sample.unwrap_or(i64::MIN);
        samples.samples.retain(|sample| sample.at_ms > last);
        self.last_sample = Some(samples.samples.last().map_or(last, |sample| sample.at_ms));
        (is_first || !samples.samples.is_empty()).then(|| json!(samples))
    }

    /// The log records since the last event.
    async fn logs(&mut self) -> Option<Value> {
        let wanted = Logs { after: self.last_log, limit: Some(MAX_LOGS), ..Logs::default() };
        let logs = reads::logs(Arc::clone(&self.server), wanted).await.ok()?;
        let is_new = self.last_log.is_none() || !logs.records.is_empty();
        self.last_log = Some(logs.last);
        is_new.then(|| json!(logs))
    }
}

fn value<T: Serialize>(answer: Result<T, Refused>) -> Option<Value> {
    answer.ok().map(|answer| json!(answer))
}
