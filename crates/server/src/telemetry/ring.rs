//! The last records of the log, in memory: what `logs` shows of a running server, whatever goes to standard error.

use serde_json::{Map, Value};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// The most records, and the most bytes of them.
const MAX_RECORDS: usize = 4096;
const MAX_BYTES: usize = 512 << 10;
/// The longest text of a field, in characters.
const MAX_TEXT: usize = 512;

/// The last records.
#[derive(Debug, Default)]
pub(crate) struct Ring(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many there have been.
    count: u64,
    bytes: usize,
    records: VecDeque<Kept>,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    at_ms: i64,
    /// As JSON.
    text: String,
}

/// Which records are wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Those of so long ago at most.
    pub(crate) since: Option<Duration>,
    /// Those after this one.
    pub(crate) after: Option<u64>,
    /// Fields, and the values that they have.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The last so many.
    pub(crate) limit: usize,
}

impl Ring {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, at_ms: i64, record: Map<String, Value>) {
        let text = Value::Object(record).to_string();
        let mut state = self.lock();
        state.count += 1;
        state.bytes += text.len();
        let number = state.count;
        state.records.push_back(Kept { number, at_ms, text });
        while state.records.len() > MAX_RECORDS || state.bytes > MAX_BYTES {
            let Some(oldest) = state.records.pop_front() else { break };
            state.bytes -= oldest.text.len();
        }
    }

    /// The records that are wanted, the oldest first, and the number of the last record that there is.
    pub(crate) fn find(&self, wanted: &Wanted, now_ms: i64) -> (Vec<Value>, u64) {
        let state = self.lock();
        let first_ms = wanted.since.map_or(i64::MIN, |since| now_ms.saturating_sub(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)));
        let is_new = |kept: &&Kept| kept.at_ms >= first_ms && wanted.after.is_none_or(|after| kept.number > after);
        let has = |record: &Value| wanted.fields.iter().all(|(name, value)| record[*name].as_str() == Some(value));
        let newest_first = state.records.iter().rev().filter(is_new).filter_map(|kept| serde_json::from_str(&kept.text).ok()).filter(has);
        let mut found: Vec<Value> = newest_first.take(wanted.limit).collect();
        found.reverse();
        (found, state.count)
    }
}

/// Hands records to a ring.
pub(super) struct Recorder(pub(super) &'static Ring);

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (at_ms, meta) = (crate::persistence::now_ms(), event.metadata());
        let mut fields = Fields(Map::new());
        let timestamp = jiff::Timestamp::from_millisecond(at_ms).map(|at| format!("{at:.3}")).unwrap_or_default();
        fields.0.insert("timestamp".to_owned(), timestamp.into());
        fields.0.insert("level".to_owned(), meta.level().as_str().into());
        fields.0.insert("target".to_owned(), meta.target().into());
        event.record(&mut fields);
        self.0.push(at_ms, fields.0);
    }
}

struct Fields(Map<String, Value>);

impl Fields {
    fn text(&mut self, field: &Field, text: &str) {
        let text = match text.char_indices().nth(MAX_TEXT) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.to_owned(),
        };
        self.0.insert(field.name().to_owned(), text.into());
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
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
    use serde_json::json;

    fn record(tool: &str) -> Map<String, Value> {
        json!({"tool": tool, "level": "INFO"}).as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn the_last_records_are_kept_and_found_by_their_fields() {
        let ring = Ring::default();
        for at in 0..10_000 {
            ring.push(at, record(if at % 2 == 0 { "git_log" } else { "git_show" }));
        }
        let all = Wanted { limit: usize::MAX, ..Wanted::default() };
        let (found, last) = ring.find(&all, 10_000);
        assert_eq!((found.len(), last), (MAX_RECORDS, 10_000));
        let logs = Wanted { fields: vec![("tool", "git_log".to_owned())], since: Some(Duration::from_millis(10)), limit: 3, ..all.clone() };
        assert_eq!(ring.find(&logs, 10_000).0, vec![json!({"tool": "git_log", "level": "INFO"}); 3]);
        assert_eq!(ring.find(&Wanted { after: Some(9_998), ..all.clone() }, 10_000).0.len(), 2);
        let mut large = record("git_log");
        large.insert("text".to_owned(), "x".repeat(MAX_BYTES / 2).into());
        (0..4).for_each(|at| ring.push(at, large.clone()));
        assert!(ring.lock().bytes <= MAX_BYTES && ring.find(&all, 0).0.len() == 1);
    }
}
