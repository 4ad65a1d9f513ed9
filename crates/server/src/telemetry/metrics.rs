//! Durations of operations, sessions and call stages, by the OpenTelemetry conventions for MCP servers
//! (`open-telemetry/semantic-conventions-genai` at 0393513c), in the Prometheus format.

use super::otlp::metrics::{Durations, Exported};
use crate::named::named;
use mcp::sessions::Kind as Carrier;
use parking_lot::Mutex;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, Registry, TextEncoder,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};
use std::{collections::HashMap, sync::OnceLock, time::Duration};

/// A kind of duration: its OpenTelemetry name and labels. Prometheus names have `_` instead of `.`.
struct Kind {
    name: &'static str,
    help: &'static str,
    bounds: &'static [f64],
    labels: &'static [&'static str],
}

/// With the bucket boundaries of the conventions.
const OPERATIONS: Kind = Kind {
    name: "mcp.server.operation.duration",
    help: "Time from receipt of a request until its result is sent.",
    bounds: &[0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0],
    labels: &["mcp.method.name", "gen_ai.tool.name", "error.type", "network.transport", "network.protocol.name"],
};
const SESSIONS: Kind = Kind {
    name: "mcp.server.session.duration",
    help: "Duration of sessions.",
    // Sessions last for hours: with the boundaries of requests, all would be in the last bucket.
    bounds: &[1.0, 10.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0],
    labels: &["mcp.protocol.version", "error.type", "network.transport", "network.protocol.name"],
};
const PARTS: Kind = Kind {
    name: "mcp.server.git.call.stage",
    help: "Time of tool calls by stage: waiting in queues and for locks, opening, git processes, pauses before retries, and the rest.",
    bounds: &[0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0],
    labels: &["stage"],
};
/// Maximum number of label combinations of operations. Further ones count as `_OTHER`.
const MAX_SERIES: usize = 400;
/// Label value for everything not listed.
pub(crate) const OTHER: &str = "_OTHER";

named! {
    /// A part of a call's time.
    pub(crate) enum Stage {
        /// Waiting for a slot.
        Queue = "queue",
        /// Waiting for the locks of a change.
        Lock = "lock",
        /// Finding and opening the repository.
        Open = "open",
        /// In git processes.
        Git = "git",
        /// Waiting between the attempts of a transfer.
        Retry = "retry",
        /// In the tool outside of both: in-process reads, and writing the answer.
        Encode = "encode",
    }
}

/// OpenTelemetry's transport and protocol of a session or request.
pub(crate) fn transport(carrier: Carrier) -> [&'static str; 2] {
    match carrier {
        Carrier::Stdio => ["pipe", ""],
        Carrier::Http => ["tcp", "http"],
        Carrier::WebSocket => ["tcp", "websocket"],
    }
}

/// The durations of this server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    operations: HistogramVec,
    sessions: HistogramVec,
    stages: [Histogram; Stage::ALL.len()],
    /// Histograms of operations by labels: looking one up by label values costs more than many calls.
    series: Mutex<HashMap<[&'static str; 5], Histogram>>,
    /// Exporter and its instruments: operations, sessions, stages.
    exported: OnceLock<(Exported, [Durations; 3])>,
}

/// Labels of an operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// A known method.
    pub(crate) method: &'static str,
    /// Name of the tool, or empty.
    pub(crate) name: &'static str,
    /// Error type, or empty.
    pub(crate) error: &'static str,
    /// `pipe` or `tcp`, and `http`, `websocket` or empty.
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
            // The names and labels are constants; an invalid one fails the first test.
            let made = HistogramVec::new(opts, &labels).unwrap_or_else(|_| unreachable!("{name} is a valid name"));
            registry.register(Box::new(made.clone())).unwrap_or_else(|_| unreachable!("{name} is registered once"));
            made
        };
        let (operations, sessions, stages) = (histogram(&OPERATIONS), histogram(&SESSIONS), histogram(&PARTS));
        let stages = Stage::ALL.map(|stage| stages.with_label_values(&[stage.name()]));
        Self { registry, operations, sessions, stages, series: Mutex::default(), exported: OnceLock::new() }
    }

    /// Also exports everything recorded from now on.
    pub(crate) fn export(&self, exported: Exported) {
        let durations = [&OPERATIONS, &SESSIONS, &PARTS].map(|kind| exported.durations(kind.name, kind.help, kind.bounds, kind.labels));
        self.exported.set((exported, durations)).ok();
    }

    /// Exports the last values. Blocks for a few seconds at most.
    pub(crate) fn end(&self) {
        if let Some((exported, _)) = self.exported.get() {
            exported.end();
        }
    }

    /// Records an operation.
    pub(crate) fn operation(&self, operation: &Operation, took: Duration) {
        let Operation { method, name, error, transport: [transport, protocol] } = *operation;
        let labels = [method, name, error, transport, protocol];
        let mut series = self.series.lock();
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

    /// Records the end of a session.
    pub(crate) fn session(&self, lasted: Duration, protocol: &str, [transport, name]: [&'static str; 2], error: Option<&'static str>) {
        // Client input must not become a label value.
        let protocol = mcp::Revision::named(protocol).map_or(OTHER, mcp::Revision::name);
        let labels = [protocol, error.unwrap_or_default(), transport, name];
        self.sessions.with_label_values(&labels).observe(lasted.as_secs_f64());
        if let Some((_, [_, sessions, _])) = self.exported.get() {
            sessions.note(&labels, lasted);
        }
    }

    /// Records the duration of a stage.
    pub(crate) fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage as usize].observe(took.as_secs_f64());
        if let Some((_, [.., stages])) = self.exported.get() {
            stages.note(&[stage.name()], took);
        }
    }

    /// Renders all metrics as text, including `more`.
    pub(crate) fn render(&self, more: Vec<MetricFamily>) -> String {
        let families: Vec<MetricFamily> =
            self.registry.gather().into_iter().chain(more).filter(|family| !family.get_metric().is_empty()).collect();
        let mut text = Vec::new();
        if let Err(err) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%err, "could not encode the metrics");
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

/// A sample: labels and value.
pub(crate) type Sample<'a> = (Vec<(&'a str, String)>, f64);

/// A family of gauges.
pub(crate) fn gauge<'a>(name: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) -> MetricFamily {
    family(name, help, MetricType::GAUGE, samples, |metric, value| {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    })
}

/// A family of counters.
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
    fn client_input_cannot_create_unbounded_series() {
        let metrics = Metrics::new();
        for at in 0..10_000 {
            let version = format!("v{at}");
            // Names are normally constants; a test has to create them.
            let method: &'static str = Box::leak(format!("no/such{at}").into_boxed_str());
            metrics.operation(&Operation { method, name: "", error: "", transport: ["pipe", ""] }, Duration::from_millis(15));
            metrics.session(Duration::from_secs(5), &version, ["tcp", "http"], None);
        }
        metrics.stage(Stage::Queue, Duration::from_millis(2));
        let text = metrics.render(vec![gauge("empty", "Nothing.", []), counter("one_total", "One.", [(vec![("a", "b".to_owned())], 1.0)])]);
        assert!(text.lines().count() < 20 * MAX_SERIES, "{}", text.lines().count());
        assert!(
            text.contains("mcp_server_operation_duration_seconds_bucket{error_type=\"\",gen_ai_tool_name=\"\",mcp_method_name=\"_OTHER\"")
        );
        assert!(text.contains("mcp_protocol_version=\"_OTHER\"") && text.contains("one_total{a=\"b\"} 1\n") && !text.contains("empty"));
    }
}
