#!/bin/sh
# opentelemetry_sdk's `SdkMeterProvider::shutdown_with_timeout` ignores its argument: it waits for the exporter up to a
# fixed 5 s and reports success. `SdkTracerProvider::shutdown_with_timeout` times out at the limit and returns an error.
# A program that shuts down both within a limit must enforce that limit itself.
#
# Seen with opentelemetry_sdk 0.33.1, an exporter that takes 3 s, and a limit of 200 ms:
#   traces: 0 s, Err(InternalFailure("Shutdown errors: [Timeout(200ms)]"))
#   metrics: 3 s, Ok(())
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir src
cat > Cargo.toml <<'MANIFEST'
[package]
name = "finding"
version = "0.0.0"
edition = "2024"

[dependencies]
opentelemetry = "=0.33.1"
opentelemetry_sdk = { version = "=0.33.1", features = ["metrics", "trace"] }
MANIFEST
cat > src/main.rs <<'MAIN'
use opentelemetry::{
    metrics::MeterProvider as _,
    trace::{Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{SdkMeterProvider, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use std::{
    thread::sleep,
    time::{Duration, Instant},
};

#[derive(Debug)]
struct Slow;

impl PushMetricExporter for Slow {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        sleep(Duration::from_secs(3));
        Ok(())
    }
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

impl SpanExporter for Slow {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        sleep(Duration::from_secs(3));
        Ok(())
    }
}

fn show(what: &str, end: impl FnOnce() -> OTelSdkResult) {
    let began = Instant::now();
    let result = end();
    println!("{what}: {} s, {result:?}", began.elapsed().as_secs_f64().round());
}

fn main() {
    let limit = Duration::from_millis(200);
    let tracers = SdkTracerProvider::builder().with_batch_exporter(Slow).build();
    tracers.tracer("finding").in_span("one", |_| ());
    show("traces", || tracers.shutdown_with_timeout(limit));
    let meters = SdkMeterProvider::builder().with_periodic_exporter(Slow).build();
    meters.meter("finding").u64_counter("one").build().add(1, &[]);
    show("metrics", || meters.shutdown_with_timeout(limit));
}
MAIN
CARGO_TARGET_DIR="$work/target" cargo run --quiet > output
grep -A1 'name = "opentelemetry_sdk"' Cargo.lock | tail -1
cat output
grep -q '^traces: 0 s, Err' output
grep -q '^metrics: 3 s, Ok' output
