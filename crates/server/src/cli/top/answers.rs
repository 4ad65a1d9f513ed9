//! The last answers of a server, by topic, and the requests for them.

use super::super::admin::{Failure, Question};
use crate::admin::answers::{
    calls::{InFlight, Latencies, Samples},
    circuits::Circuits,
    errors::Errors,
    logs::{Logs, Record},
    sessions::Sessions,
    status::Status,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{collections::VecDeque, time::Duration};

/// The path of the status.
pub(super) const STATUS: &str = "/status";
/// Time for which errors are counted, in seconds: that of the latencies.
const WINDOW: u64 = 600;
/// Maximum number of log records that are kept.
const RECORDS: usize = 500;
/// Number of log records of the first request.
const FIRST_RECORDS: usize = 200;
/// Interval between requests for samples, which the server takes every five seconds.
const SAMPLES: Duration = Duration::from_secs(5);

/// Sends a request to the server, over whichever transport, and returns its answer.
pub(super) type Ask = Box<dyn Fn(&Question) -> Result<Value, Failure> + Send>;

/// What is known about a topic.
#[derive(Debug, Default)]
pub(super) enum Topic<T> {
    /// It has not been asked for.
    #[default]
    Unknown,
    Known(T),
    /// Why there is no answer.
    Refused(String),
}

impl<T> Topic<T> {
    /// The last answer, if there is one.
    pub(super) fn known(&self) -> Option<&T> {
        match self {
            Self::Known(answer) => Some(answer),
            Self::Unknown | Self::Refused(_) => None,
        }
    }

    fn renew(&mut self, new: Self) {
        if !matches!(new, Self::Unknown) {
            *self = new;
        }
    }
}

/// A pane, and so what has to be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Overview,
    Calls,
    Sessions,
    Circuits,
    Latency,
    Errors,
}

impl Pane {
    pub(super) const ALL: [Self; 6] = [Self::Overview, Self::Calls, Self::Sessions, Self::Circuits, Self::Latency, Self::Errors];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Calls => "Calls",
            Self::Sessions => "Sessions",
            Self::Circuits => "Circuits",
            Self::Latency => "Latency",
            Self::Errors => "Errors",
        }
    }
}

/// The answers of one round of requests.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) status: Option<Status>,
    pub(super) calls: Topic<InFlight>,
    pub(super) sessions: Topic<Sessions>,
    pub(super) circuits: Topic<Circuits>,
    pub(super) latency: Topic<Latencies>,
    pub(super) errors: Topic<Errors>,
    pub(super) samples: Topic<Samples>,
    /// Oldest first.
    pub(super) records: VecDeque<Record>,
}

impl Answers {
    /// Replaces older answers. Returns the number of new log records.
    pub(super) fn update(&mut self, new: Self) -> usize {
        let pid = |status: &Option<Status>| status.as_ref().map(|status| status.brief.pid);
        if pid(&self.status) != pid(&new.status) {
            *self = Self::default();
        }
        let count = new.records.len();
        self.records.extend(new.records);
        let old = self.records.len().saturating_sub(RECORDS);
        self.records.drain(..old);
        self.status = new.status;
        self.calls.renew(new.calls);
        self.sessions.renew(new.sessions);
        self.circuits.renew(new.circuits);
        self.latency.renew(new.latency);
        self.errors.renew(new.errors);
        self.samples.renew(new.samples);
        count
    }
}

/// Rounds of requests.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    /// The pane that is shown.
    pub(super) pane: Pane,
    /// Requests for all panes.
    wants_all: bool,
    pid: Option<u32>,
    /// The number of the last log record.
    last_record: Option<u64>,
    /// Rounds until the next request for samples.
    until_samples: u32,
}

impl Rounds {
    /// Rounds for one pane, or for all of them.
    pub(super) fn new(wants_all: bool) -> Self {
        Self { wants_all, ..Self::default() }
    }

    /// Asks for what is shown. Only a failure of `/status` is one of the round: it means that there is no server.
    pub(super) fn ask(&mut self, ask: &Ask, interval: Duration) -> Result<Answers, Failure> {
        let asked = question(STATUS);
        let status: Status = read(ask(&asked)?)?;
        if self.pid != Some(status.brief.pid) {
            *self = Self { pid: Some(status.brief.pid), pane: self.pane, wants_all: self.wants_all, ..Self::default() };
        }
        let mut new = Answers { status: Some(status), ..Answers::default() };
        let (pane, wants_all) = (self.pane, self.wants_all);
        let is_on = |panes: &[Pane]| wants_all || panes.contains(&pane);
        new.calls = topic(ask, &question("/calls"));
        if is_on(&[Pane::Sessions]) {
            new.sessions = topic(ask, &question("/sessions"));
        }
        if is_on(&[Pane::Circuits]) {
            new.circuits = topic(ask, &question("/circuits"));
        }
        if is_on(&[Pane::Overview, Pane::Latency]) {
            new.latency = topic(ask, &question("/latency"));
        }
        if is_on(&[Pane::Overview, Pane::Errors]) {
            new.errors = topic(ask, &question("/errors"));
            new.records = self.records(ask);
        }
        if is_on(&[Pane::Overview]) {
            if self.until_samples == 0 {
                new.samples = topic(ask, &question("/samples"));
                let rounds = SAMPLES.as_millis().checked_div(interval.as_millis()).unwrap_or_default();
                self.until_samples = u32::try_from(rounds).unwrap_or_default().max(1);
            }
            self.until_samples -= 1;
        }
        Ok(new)
    }

    /// The log records since the last round.
    fn records(&mut self, ask: &Ask) -> VecDeque<Record> {
        let limit = self.last_record.map_or(FIRST_RECORDS, |_| RECORDS);
        let asked = question("/logs").with("after", self.last_record).with("limit", Some(limit));
        // A log that cannot be read is an empty one: the other panes matter more.
        let Topic::Known(logs) = topic::<Logs>(ask, &asked) else { return VecDeque::new() };
        self.last_record = Some(logs.last);
        logs.records.into()
    }
}

fn question(path: &str) -> Question {
    let asked = Question::get(path);
    if path == "/errors" { asked.with("window", Some(WINDOW)) } else { asked }
}

fn topic<T: DeserializeOwned>(ask: &Ask, asked: &Question) -> Topic<T> {
    match ask(asked).and_then(read) {
        Ok(answer) => Topic::Known(answer),
        Err(why) if why.code().0 == "not_found" => Topic::Refused("This server has no such list: it runs another version.".to_owned()),
        Err(why) => Topic::Refused(format!("Not available: {why}")),
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Failure> {
    serde_json::from_value(answer).map_err(|err| Failure::Usage(format!("invalid answer: {err}")))
}

/// All answers as the server gives them, by topic; an error instead of those that it refuses.
pub(super) fn json(ask: &Ask) -> Result<Value, Failure> {
    let mut topics = Map::new();
    topics.insert("status".to_owned(), ask(&question(STATUS))?);
    for name in ["calls", "sessions", "circuits", "latency", "errors", "samples", "logs"] {
        let answer = ask(&question(&format!("/{name}")));
        let answer = answer.unwrap_or_else(|why| serde_json::json!({"error": why.to_string()}));
        topics.insert(name.to_owned(), answer);
    }
    Ok(Value::Object(topics))
}
