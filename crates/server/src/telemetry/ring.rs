//! The last log records, in memory: the output of `logs` for a running server, whatever goes to standard error.

use crate::admin::answers::logs;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Map, Value};
use std::{collections::VecDeque, fmt, time::Duration};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Maximum number of records, and their maximum total size.
const MAX_RECORDS: usize = 4096;
const MAX_BYTES: usize = 4 << 20;
/// Maximum length of a field's text, in characters.
const MAX_TEXT: usize = 512;

/// The last records.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Number of records so far.
    count: u64,
    bytes: usize,
    records: VecDeque<Record>,
}

#[derive(Debug)]
struct Record {
    number: u64,
    at_ms: i64,
    level: Level,
    target: &'static str,
    fields: Vec<(&'static str, Scalar)>,
    bytes: usize,
}

/// A field's value. It is converted to JSON on request, which is rare.
#[derive(Debug)]
enum Scalar {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(Box<str>),
}

impl Record {
    /// The text of a field.
    fn text(&self, name: &str) -> Option<&str> {
        match name {
            "level" => Some(self.level.as_str()),
            "target" => Some(self.target),
            _ => self.fields.iter().find(|(known, _)| *known == name).and_then(|(_, value)| match value {
                Scalar::Text(text) => Some(&**text),
                _ => None,
            }),
        }
    }

    fn as_answer(&self) -> logs::Record {
        let mut fields = Map::new();
        for (name, value) in self.fields.iter().filter(|(name, _)| !["timestamp", "level", "target", "message"].contains(name)) {
            let value = match value {
                Scalar::Unsigned(number) => Value::from(*number),
                Scalar::Signed(number) => Value::from(*number),
                Scalar::Float(number) => Value::from(*number),
                Scalar::Bool(is) => Value::from(*is),
                Scalar::Text(text) => Value::from(&**text),
            };
            fields.insert((*name).to_owned(), value);
        }
        logs::Record {
            timestamp: jiff::Timestamp::from_millisecond(self.at_ms).map(|at| format!("{at:.3}")).unwrap_or_default(),
            level: self.level.to_string(),
            target: self.target.to_owned(),
            message: self.text("message").map(str::to_owned),
            fields,
        }
    }
}

/// A query for records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Maximum age.
    pub(crate) since: Option<Duration>,
    /// Records after this number.
    pub(crate) after: Option<u64>,
    /// Field values that must match.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// Maximum number of records, newest first.
    pub(crate) limit: usize,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    fn push(&self, mut record: Record) {
        let mut state = self.lock();
        state.count += 1;
        record.number = state.count;
        state.bytes += record.bytes;
        state.records.push_back(record);
        while state.records.len() > MAX_RECORDS || state.bytes > MAX_BYTES {
            let Some(oldest) = state.records.pop_front() else { break };
            state.bytes -= oldest.bytes;
        }
    }

    /// The matching records, oldest first, and the number of the newest record.
    pub(crate) fn find(&self, wanted: &Wanted, now_ms: i64) -> (Vec<logs::Record>, u64) {
        let state = self.lock();
        let first_ms = wanted.since.map_or(i64::MIN, |since| now_ms.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
        let is_new = |kept: &&Record| kept.at_ms >= first_ms && wanted.after.is_none_or(|after| kept.number > after);
        let has = |kept: &&Record| wanted.fields.iter().all(|(name, value)| kept.text(name) == Some(value));
        let newest_first = state.records.iter().rev().filter(is_new).filter(has);
        let mut found: Vec<_> = newest_first.take(wanted.limit).map(Record::as_answer).collect();
        found.reverse();
        (found, state.count)
    }
}

/// Writes records to a ring.
pub(super) struct Recorder(pub(super) &'static Ring);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields(Vec::with_capacity(16));
        event.record(&mut fields);
        let meta = event.metadata();
        self.0.push(Record::new(crate::persistence::now_ms(), *meta.level(), meta.target(), fields.0));
    }
}

impl Record {
    fn new(at_ms: i64, level: Level, target: &'static str, fields: Vec<(&'static str, Scalar)>) -> Self {
        let text = |value: &Scalar| if let Scalar::Text(text) = value { text.len() } else { 0 };
        let bytes = size_of::<Self>()
            + fields.capacity() * size_of::<(&str, Scalar)>()
            + fields.iter().map(|(_, value)| text(value)).sum::<usize>();
        Self { number: 0, at_ms, level, target, fields, bytes }
    }
}

struct Fields(Vec<(&'static str, Scalar)>);

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        let text = match text.char_indices().nth(MAX_TEXT) {
            Some((end, _)) => format!("{}...", &text[..end]).into(),
            None => text.into(),
        };
        self.0.push((field.name(), Scalar::Text(text)));
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), Scalar::Unsigned(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), Scalar::Signed(value)));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), Scalar::Float(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), Scalar::Bool(value)));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at_ms: i64, tool: &str, text: &str) -> Record {
        Record::new(at_ms, Level::INFO, "test", vec![("tool", Scalar::Text(tool.into())), ("text", Scalar::Text(text.into()))])
    }

    #[test]
    fn the_last_records_are_kept_and_found_by_their_fields() {
        let ring = Ring::default();
        for at in 0..10_000 {
            ring.push(record(at, if at % 2 == 0 { "git_log" } else { "git_show" }, ""));
        }
        let all = Wanted { limit: usize::MAX, ..Wanted::default() };
        let (found, last) = ring.find(&all, 10_000);
        assert_eq!((found.len(), last), (MAX_RECORDS, 10_000));
        let logs = Wanted { fields: vec![("tool", "git_log".to_owned())], since: Some(Duration::from_millis(10)), limit: 3, ..all.clone() };
        let found = ring.find(&logs, 10_000).0;
        assert!(found.len() == 3 && found.iter().all(|one| one.fields["tool"] == "git_log" && one.level == "INFO"), "{found:?}");
        assert_eq!(found[2].timestamp, "1970-01-01T00:00:09.998Z");
        assert_eq!(ring.find(&Wanted { after: Some(9_998), ..all.clone() }, 10_000).0.len(), 2);
        let large = "x".repeat(MAX_BYTES / 2);
        (0..4).for_each(|at| ring.push(record(at, "git_log", &large)));
        assert!(ring.lock().bytes <= MAX_BYTES && ring.find(&all, 0).0.len() == 1);
    }
}
