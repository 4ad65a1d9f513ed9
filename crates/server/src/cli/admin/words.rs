//! Building blocks of reports: fields, labelled lines, tables.

use super::{duration, terminal};
use std::fmt::Display;

/// A rendered answer.
pub(in crate::cli) struct Shown {
    /// Lines of text.
    pub(in crate::cli) text: String,
    /// False if it reports a problem.
    pub(in crate::cli) is_fine: bool,
}

pub(super) fn fine(text: impl Into<String>) -> Shown {
    Shown { text: text.into(), is_fine: true }
}

/// A value in one line: a line break would make one row look like two. The form is one that `output::page` leaves as it is.
pub(super) fn plain(value: impl Display) -> String {
    value.to_string().replace('\n', "\\n")
}

/// The value, or a dash if it is not known.
pub(super) fn known(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), plain)
}

/// A duration in milliseconds.
pub(in crate::cli) fn time(ms: impl Into<Option<u64>>) -> String {
    ms.into().map_or_else(|| "-".to_owned(), duration::show)
}

/// How long ago something was, or `otherwise`.
pub(super) fn ago(ms: impl Into<Option<u64>>, otherwise: &str) -> String {
    ms.into().map_or_else(|| otherwise.to_owned(), |ms| format!("{} ago", duration::show(ms)))
}

/// Formats bytes in the largest unit with a non-zero integer part.
pub(in crate::cli) fn bytes(size: Option<impl TryInto<i64>>) -> String {
    let Some(bytes) = size.and_then(|size| size.try_into().ok()) else { return "-".to_owned() };
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
pub(super) fn tenth(number: impl Into<Option<f64>>) -> String {
    known(number.into().map(|number| format!("{number:.1}")))
}

pub(super) fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

pub(super) fn lines(pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(String::new(), |text, (label, value)| text + label + ": " + value + "\n")
}

/// Columns as wide as their widest cell, narrowed to fit a terminal.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let mut widths: Vec<usize> = (0..N).map(width).collect();
    if let Some(room) = terminal::width() {
        shrink(&mut widths, room);
    }
    let mut text = String::new();
    for row in &rows {
        let line = row.iter().zip(&widths).fold(String::new(), |line, (cell, width)| line + &format!("{:width$}  ", cut(cell, *width)));
        text += line.trim_end();
        text.push('\n');
    }
    text
}

/// Minimum column width.
const NARROWEST: usize = 8;

/// Narrows the widest columns until all fit into `room`. The first one is kept: it holds ids that other commands need.
fn shrink(widths: &mut [usize], room: usize) {
    let gaps = widths.len() * 2;
    while widths.iter().sum::<usize>() + gaps > room {
        let Some(widest) = widths.iter_mut().skip(1).max().filter(|width| **width > NARROWEST) else { return };
        *widest -= 1;
    }
}

/// The text, truncated with an ellipsis if it is too wide.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['\u{2026}']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_are_narrowed() {
        let mut widths = [36, 40, 20];
        shrink(&mut widths, 82);
        assert_eq!(widths, [36, 20, 20]);
        let mut narrow = [36, 8];
        shrink(&mut narrow, 10);
        assert_eq!(narrow, [36, 8]);
        assert_eq!((cut("abcdef", 4), cut("abc", 4)), ("abc\u{2026}".to_owned(), "abc".to_owned()));
    }

    #[test]
    fn bytes_are_shown_in_the_largest_unit() {
        for (bytes, shown) in [(0_i64, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (-(5 << 20), "-5.0 MiB"), (3 << 30, "3.0 GiB")] {
            assert_eq!(super::bytes(Some(bytes)), shown);
        }
    }
}
