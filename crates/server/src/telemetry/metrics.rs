//! Durations of operations, sessions and the parts of calls, by the conventions of OpenTelemetry for MCP servers
//! (`open-telemetry/semantic-conventions-genai` at 0393513c), as Prometheus reads them.

use super::otlp::metrics::{Durations, Exported};
use mcp::sessions::Kind as Carrier;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, Registry, TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

/// Durations of one kind: their names and labels as OpenTelemetry has them. Prometheus has them with `_` for `.`.
struct Kind {
    name: &'static str,
    help: &'static str,
    bounds: &'static [f64],
    labels: &'static [&'static str],
}

/// With the boundaries that the conventions give.
const OPERATIONS: Kind = Kind {
    name: "mcp.server.operation.duration",
    help: "Time from the receipt of a request until its result is sent.",
    bounds: &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    labels: &["mcp.method.name", "gen_ai.tool.name", "error.type", "network.transport", "network.protocol.name"],
};
const SESSIONS: Kind = Kind {
    name: "mcp.server.session.duration",
    help: "Time that sessions have lasted.",
    // Sessions last for hours: with the boundaries of requests all would be in the last bucket.
    bounds: &[1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0],
    labels: &["mcp.protocol.version", "error.type", "network.transport", "network.protocol.name"],
};
const PARTS: Kind = Kind {
    name: "mcp.server.git.call.stage",
    help: "Parts of the time of tool calls: waiting in queues and for locks, opening, git processes, and the rest.",
    bounds: &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0],
    labels: &["stage"],
};
/// The parts of a call's time.
pub(crate) const STAGES: [&str; 5] = ["queue", "lock", "open", "git", "encode"];
/// The most combinations of labels of operations. Further ones count as `_OTHER`.
const MAX_SERIES: usize = 400;
/// What stands for what is not named.
pub(crate) const OTHER: &str = "_OTHER";

/// What carries a session or a request, as OpenTelemetry has it: the transport and the protocol.
pub(crate) fn transport(carrier: Carrier) -> [&'static str; 2] {
    match carrier {
        Carrier::Stdio => ["pipe", ""],
        Carrier::Http => ["tcp", "http"],
        Carrier::WebSocket => ["tcp", "websocket"],
    }
}

/// Durations.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    operations: HistogramVec,
    sessions: HistogramVec,
    stages: [Histogram; STAGES.len()],
    /// The series of operations, by their labels: to look one up by its words costs more than many a call.
    series: Mutex<HashMap<[&'static str; 5], Histogram>>,
    /// Where they are sent: operations, sessions, stages.
    exported: OnceLock<(Exported, [Durations; 3])>,
}

/// One operation, as its labels say it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// The method, one of those that are known.
    pub(crate) method: &'static str,
    /// The tool; empty where there is none.
    pub(crate) name: &'static str,
    /// What it failed with; empty where it did not.
    pub(crate) error: &'static str,
    /// `pipe` or `tcp`, and `http`, `websocket` or nothing.
    pub(crate) transport: [&'static str; 2],
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let histogram = |kind: &Kind| {
            let labels: Vec<String> = kind.labels.iter().map(|label| label.replace('.', "_")).collect();
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            let name = format!("{}_seconds", kind.name.replace('.', "_"));
            let opts = HistogramOpts::new(&name, kind.help).buckets(kind.bounds.to_vec());
            // Names and labels are those above; a wrong one is found by the first test that runs.
            let made = HistogramVec::new(opts, &labels).unwrap_or_else(|_| unreachable!("{name} is a valid name"));
            registry.register(Box::new(made.clone())).unwrap_or_else(|_| unreachable!("{name} is there once"));
            made
        };
        let (operations, sessions, stages) = (histogram(&OPERATIONS), histogram(&SESSIONS), histogram(&PARTS));
        let stages = STAGES.map(|stage| stages.with_label_values(&[stage]));
        Self { registry, operations, sessions, stages, series: Mutex::default(), exported: OnceLock::new() }
    }

    /// Has everything that is noted from now on sent to a collector, too.
    pub(crate) fn export(&self, exported: Exported) {
        let durations = [&OPERATIONS, &SESSIONS, &PARTS].map(|kind| exported.durations(kind.name, kind.help, kind.bounds, kind.labels));
        self.exported.set((exported, durations)).ok();
    }

    /// Sends the last figures to the collector. Blocks for some seconds at most.
    pub(crate) fn end(&self) {
        if let Some((exported, _)) = self.exported.get() {
            exported.end();
        }
    }

    /// Notes an operation.
    pub(crate) fn operation(&self, operation: &Operation, took: Duration) {
        let Operation { method, name, error, transport: [transport, protocol] } = *operation;
        let labels = [method, name, error, transport, protocol];
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = if let Some(known) = series.get(&labels) {
            known.clone()
        } else if series.len() < MAX_SERIES {
            series.entry(labels).or_insert_with(|| self.operations.with_label_values(&labels)).clone()
        } else {
            self.operations.with_label_values(&[OTHER, "", if error.is_empty() { "" } else { OTHER }, transport, protocol])
        };
        drop(series);
        histogram.observe(took.as_secs_f64());
        if let Some((_, [operations, ..])) = self.exported.get() {
            operations.note(&labels, took);
        }
    }

    /// Notes the end of a session.
    pub(crate) fn session(&self, lasted: Duration, protocol: &str, [transport, name]: [&'static str; 2], error: Option<&'static str>) {
        // What a client says of itself is no label.
        let protocol = KNOWN.into_iter().find(|known| *known == protocol).unwrap_or(OTHER);
        let labels = [protocol, error.unwrap_or_default(), transport, name];
        self.sessions.with_label_values(&labels).observe(lasted.as_secs_f64());
        if let Some((_, [_, sessions, _])) = self.exported.get() {
            sessions.note(&labels, lasted);
        }
    }

    /// Notes a part of a call's time: that of [`STAGES`] with this index.
    pub(crate) fn stage(&self, at: usize, took: Duration) {
        self.stages[at].observe(took.as_secs_f64());
        if let Some((_, [.., stages])) = self.exported.get() {
            stages.note(&[STAGES[at]], took);
        }
    }

    /// Everything as text, with `more` that is read just now.
    pub(crate) fn render(&self, more: Vec<MetricFamily>) -> String {
        let families: Vec<MetricFamily> =
            self.registry.gather().into_iter().chain(more).filter(|family| !family.get_metric().is_empty()).collect();
        let mut text = Vec::new();
        if let Err(err) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%err, "the metrics cannot be written");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The revisions of the protocol.
const KNOWN: [&str; 5] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"];

/// A figure that is read just now: its labels, and its value.
pub(crate) type Sample<'a> = (Vec<(&'a str, String)>, f64);

/// A family of figures that go up and down.
pub(crate) fn gauge<'a>(name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) -> MetricFamily {
    family(name, help, MetricType::GAUGE, samples, |metric, value| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    })
}

/// A family of figures that only go up.
pub(crate) fn counter<'a>(name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) -> MetricFamily {
    family(name, help, MetricType::COUNTER, samples, |metric, value| {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    })
}

fn family<'a>(
    name: &str,
    help: &str,
    kind: MetricType,
    samples: impl IntoIterator<Item = Sample<'a>>,
    set: impl Fn(&mut Metric, f64),
) -> MetricFamily {
    let metric = |(labels, value): Sample<'_>| {
        let pair = |(name, value): (&str, String)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.to_owned());
            pair.set_value(value);
            pair
        };
        let mut metric = Metric::from_label(labels.into_iter().map(pair).collect());
        set(&mut metric, value);
        metric
    };
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(samples.into_iter().map(metric).collect());
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_say_makes_no_series_without_end() {
        let metrics = Metrics::new();
        for at in 0..10_000 {
            let version = format!("v{at}");
            // Names are the program's own; in a test they have to be made.
            let method: &'static str = Box::leak(format!("no/such{at}").into_boxed_str());
            metrics.operation(&Operation { method, name: "", error: "", transport: ["pipe", ""] }, Duration::from_millis(15));
            metrics.session(Duration::from_secs(5), &version, ["tcp", "http"], None);
        }
        metrics.stage(0, Duration::from_millis(2));
        let text = metrics.render(vec![gauge("empty", "Nothing.", []), counter("one_total", "One.", [(vec![("a", "b".to_owned())], 1.0)])]);
        assert!(text.lines().count() < 20 * MAX_SERIES, "{}", text.lines().count());
        assert!(
            text.contains("mcp_server_operation_duration_seconds_bucket{error_type=\"\",gen_ai_tool_name=\"\",mcp_method_name=\"_OTHER\"")
        );
        assert!(text.contains("mcp_protocol_version=\"_OTHER\"") && text.contains("one_total{a=\"b\"} 1\n") && !text.contains("empty"));
    }
}
