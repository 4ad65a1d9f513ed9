//! Memory, processors and calls of the last hour, as charts of one line.

use super::{
    super::admin::bytes,
    answers::Topic,
    line::{Line, Tone},
    spark::{chart, number},
};
use crate::admin::answers::calls::{Sample, Samples};

/// Columns before a chart.
const LABEL: usize = 20;
/// Maximum number of bars: the samples of ten minutes.
const MOST: usize = 120;

/// Columns for which a chart is worth its place.
const LEAST: usize = 26;

/// A line for each quantity; none without samples or without room.
pub(super) fn load(topic: &Topic<Samples>, width: usize) -> Vec<Line> {
    let Some(answer) = topic.known() else { return Vec::new() };
    if width < LEAST {
        return Vec::new();
    }
    let seconds = number(answer.interval_ms) / 1000.0;
    let rate = |count: u64| if seconds > 0.0 { number(count) / seconds } else { 0.0 };
    let last = answer.samples.last();
    let tenth = |value: Option<f64>, unit: &str| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}{unit}"));
    let row = |label: &str, now: String, values: &dyn Fn(&Sample) -> Option<f64>, from_zero: bool| {
        let values: Vec<_> = answer.samples.iter().map(values).collect();
        let bars = chart(&values, width.saturating_sub(LABEL).min(MOST), from_zero);
        Line::plain(format!("{label:8}{now:<12}")).with(Tone::Bar, bars)
    };
    let calls = |sample: &Sample| Some(rate(sample.calls));
    let errors = |sample: &Sample| Some(rate(sample.errors));
    let in_flight = |sample: &Sample| u64::try_from(sample.in_flight).ok().map(number);
    vec![
        row("Memory", bytes(last.and_then(|sample| sample.rss)), &|sample| sample.rss.map(|bytes| number(bytes >> 10)), false),
        row("CPU", tenth(last.and_then(|sample| sample.process_cpu_percent), " %"), &|sample| sample.process_cpu_percent, true),
        row("Calls", tenth(last.and_then(calls), "/s"), &calls, true),
        row("Errors", tenth(last.and_then(errors), "/s"), &errors, true),
        row("At once", last.map_or_else(|| "-".to_owned(), |sample| sample.in_flight.to_string()), &in_flight, true),
    ]
}
