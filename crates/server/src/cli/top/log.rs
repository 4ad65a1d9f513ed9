//! The last log records in lines.

use super::{
    line::{Line, Tone, fit},
    table::shown,
};
use crate::admin::answers::logs::Record;
use serde_json::Value;
use std::collections::VecDeque;

/// Fields that stand before the others.
const FIRST: [&str; 4] = ["duration_ms", "error_class", "reason", "tool"];

/// The last records, without the `scrolled` newest ones, below a title.
pub(super) fn tail(records: &VecDeque<Record>, scrolled: usize, (width, height): (usize, usize)) -> Vec<Line> {
    let end = records.len().saturating_sub(scrolled);
    let begin = end.saturating_sub(height.saturating_sub(1));
    let title = match (records.len(), scrolled) {
        (0, _) => return vec![Line::new(Tone::Faint, "No log record.")],
        (_, 0) => "LOG".to_owned(),
        (_, newer) => format!("LOG, without the {newer} newest"),
    };
    let lines = records.iter().skip(begin).take(end - begin).map(|record| line(record, width));
    std::iter::once(Line::new(Tone::Head, title)).chain(lines).collect()
}

fn line(record: &Record, width: usize) -> Line {
    let tone = match record.level.as_str() {
        "ERROR" => Tone::Bad,
        "WARN" => Tone::Warn,
        "DEBUG" | "TRACE" => Tone::Faint,
        _ => Tone::Plain,
    };
    // RFC 3339: the time without date and fraction.
    let time = record.timestamp.get(11..19).unwrap_or(&record.timestamp);
    let message = record.message.as_deref().unwrap_or(&record.target);
    let (first, rest): (Vec<_>, Vec<_>) =
        record.fields.iter().filter(|(_, value)| !value.is_null()).partition(|(name, _)| FIRST.contains(&name.as_str()));
    let fields = first.into_iter().chain(rest).fold(String::new(), |text, (name, value)| {
        let value = match value {
            Value::String(value) => value.clone(),
            other => other.to_string(),
        };
        text + " " + name + "=" + &value
    });
    let text = format!("{} {:5} {}{}", shown(time), shown(&record.level), shown(message), shown(fields));
    Line::new(tone, fit(&text, width))
}
