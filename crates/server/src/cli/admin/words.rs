//! The pieces of which answers are put together: fields, labelled lines, tables.

use super::duration;
use serde_json::Value;

/// An answer, as it is shown.
pub(super) struct Shown {
    /// Lines of text.
    pub(super) text: String,
    /// False where it tells of a problem.
    pub(super) is_fine: bool,
}

pub(super) fn fine(text: impl Into<String>) -> Shown {
    Shown { text: text.into(), is_fine: true }
}

/// Text or a number, without quotes; a dash for what is absent.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        // An end of line would make a row look like two.
        Value::String(text) => text.replace('\n', "\\u{a}"),
        other => other.to_string(),
    }
}

pub(super) fn time(value: &Value) -> String {
    value.as_u64().map_or_else(|| "-".to_owned(), duration::show)
}

/// A number of bytes, in the largest unit that leaves something before the point.
pub(super) fn bytes(value: &Value) -> String {
    let Some(bytes) = value.as_i64() else { return "-".to_owned() };
    let (mut size, mut unit) = (bytes.unsigned_abs(), 0);
    let mut rest = 0;
    while size >= 1024 && unit < UNITS.len() - 1 {
        (rest, size, unit) = (size % 1024, size / 1024, unit + 1);
    }
    let sign = if bytes < 0 { "-" } else { "" };
    if unit == 0 { format!("{sign}{size} B") } else { format!("{sign}{size}.{} {}", rest * 10 / 1024, UNITS[unit]) }
}

const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// A number with one digit after the point.
pub(super) fn tenth(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".to_owned(), |number| format!("{number:.1}"))
}

pub(super) fn is(value: &Value) -> bool {
    value.as_bool().unwrap_or_default()
}

pub(super) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

pub(super) fn rate(value: &Value) -> String {
    format!("{:.2}", value.as_f64().unwrap_or_default())
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn lines(pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(String::new(), |text, (label, value)| text + label + ": " + value + "\n")
}

/// Columns as wide as their widest cell.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let line = row.iter().zip(&widths).fold(String::new(), |line, (cell, width)| line + &format!("{cell:width$}  "));
        text += line.trim_end();
        text.push('\n');
    }
    text
}
