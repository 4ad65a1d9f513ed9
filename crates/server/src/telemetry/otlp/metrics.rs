//! Metrics for a collector: those of `/metrics`, exported every `OTEL_METRIC_EXPORT_INTERVAL`.
//!
//! Durations have the names and attributes of the conventions. Other metrics have their Prometheus names, counters
//! without the `_total` suffix.

use super::{Client, TIMEOUT, resource};
use crate::config::OtlpEndpoint;
use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Histogram, Meter, MeterProvider},
};
use opentelemetry_otlp::{MetricExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::Mutex;
use prometheus::proto::{Metric, MetricFamily, MetricType};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How long gathered values are reused: all instruments share one gathering per interval.
const FRESH: Duration = Duration::from_secs(1);

/// The metrics exporter.
#[derive(Debug)]
pub(crate) struct Exported {
    provider: SdkMeterProvider,
    meter: Meter,
}

/// Durations of one kind.
#[derive(Debug)]
pub(crate) struct Durations {
    histogram: Histogram<f64>,
    labels: &'static [&'static str],
}

impl Exported {
    /// Starts exporting metrics: gathered and recorded ones.
    ///
    /// # Errors
    ///
    /// If the endpoint cannot be used.
    pub(crate) fn begin(endpoint: &OtlpEndpoint, gather: impl Fn() -> Vec<MetricFamily> + Send + Sync + 'static) -> Result<Self, String> {
        let mut exporter = MetricExporter::builder().with_http().with_http_client(Client::new());
        if let Some(url) = &endpoint.url {
            exporter = exporter.with_endpoint(url);
        }
        let exporter = exporter.build().map_err(|err| format!("cannot export metrics: {err}"))?;
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter).with_resource(resource()).build();
        let meter = provider.meter(env!("CARGO_PKG_NAME"));
        let figures = Arc::new(Figures { gather: Box::new(gather), last: Mutex::default() });
        for family in (figures.gather)() {
            observe(&meter, &family, &figures);
        }
        Ok(Self { provider, meter })
    }

    /// A histogram of durations in seconds, with these labels.
    pub(crate) fn durations(&self, name: &'static str, help: &'static str, bounds: &[f64], labels: &'static [&'static str]) -> Durations {
        let histogram = self.meter.f64_histogram(name).with_description(help).with_unit("s").with_boundaries(bounds.to_vec());
        Durations { histogram: histogram.build(), labels }
    }

    /// Exports the last values. Blocks for a few seconds at most.
    pub(crate) fn end(&self) {
        if let Err(err) = self.provider.shutdown_with_timeout(TIMEOUT) {
            tracing::warn!(%err, "could not export the last metrics");
        }
    }
}

impl Durations {
    /// Records a duration with these label values. An empty value omits the label.
    pub(crate) fn note(&self, values: &[&'static str], took: Duration) {
        let pairs = self.labels.iter().zip(values).filter(|(_, value)| !value.is_empty());
        let attributes: Vec<KeyValue> = pairs.map(|(name, value)| KeyValue::new(*name, *value)).collect();
        self.histogram.record(took.as_secs_f64(), &attributes);
    }
}

/// Values gathered at export time.
struct Figures {
    gather: Box<dyn Fn() -> Vec<MetricFamily> + Send + Sync>,
    last: Mutex<Option<(Instant, Vec<MetricFamily>)>>,
}

impl Figures {
    /// The values of one family.
    fn of(&self, name: &str) -> Vec<Metric> {
        let mut last = self.last.lock();
        let (_, families) = match last.take() {
            Some((read, families)) if read.elapsed() < FRESH => last.insert((read, families)),
            _ => last.insert((Instant::now(), (self.gather)())),
        };
        families.iter().filter(|family| family.name() == name).flat_map(|family| family.get_metric().to_vec()).collect()
    }
}

/// Registers a family of gauges or counters.
fn observe(meter: &Meter, family: &MetricFamily, figures: &Arc<Figures>) {
    let (name, help) = (family.name().to_owned(), family.help().to_owned());
    let is_counter = family.get_field_type() == MetricType::COUNTER;
    let own = if is_counter { name.trim_end_matches("_total") } else { &name }.to_owned();
    let figures = Arc::clone(figures);
    let read = move |instrument: &dyn AsyncInstrument<f64>| {
        for metric in figures.of(&name) {
            let label = |pair: &prometheus::proto::LabelPair| KeyValue::new(pair.name().to_owned(), pair.value().to_owned());
            let attributes: Vec<KeyValue> = metric.get_label().iter().map(label).collect();
            let value = if is_counter { metric.get_counter().get_value() } else { metric.get_gauge().get_value() };
            instrument.observe(value, &attributes);
        }
    };
    if is_counter {
        meter.f64_observable_counter(own).with_description(help).with_callback(read).build();
    } else {
        meter.f64_observable_gauge(own).with_description(help).with_callback(read).build();
    }
}
