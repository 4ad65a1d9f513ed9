//! Traces of calls: each call is a span with a child span per stage, in the trace named by the client.
//!
//! Spans contain no arguments or results, and of errors only the kind.

use super::{Client, TIMEOUT, resource};
use crate::config::OtlpEndpoint;
use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::time::{Duration, SystemTime};

/// The trace exporter.
#[derive(Debug)]
pub(crate) struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A finished call.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) tool: &'a str,
    /// The client's parent span.
    pub(crate) parent: Option<&'a SpanContext>,
    pub(crate) session: Option<&'a str>,
    pub(crate) request: Option<&'a str>,
    pub(crate) transport: [&'static str; 2],
    pub(crate) took: Duration,
    /// Error code.
    pub(crate) error: Option<&'static str>,
    /// Stages: name, start relative to the call, and duration.
    pub(crate) parts: Vec<(&'static str, Duration, Duration)>,
}

impl Traces {
    /// Starts exporting traces.
    ///
    /// # Errors
    ///
    /// If the endpoint cannot be used.
    pub(crate) fn begin(endpoint: &OtlpEndpoint) -> Result<Self, String> {
        let mut exporter = SpanExporter::builder().with_http().with_http_client(Client::new());
        if let Some(url) = &endpoint.url {
            exporter = exporter.with_endpoint(url);
        }
        let exporter = exporter.build().map_err(|err| format!("cannot export traces: {err}"))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
        let tracer = provider.tracer(env!("CARGO_PKG_NAME"));
        Ok(Self { provider, tracer })
    }

    /// Exports the span of a call that has just ended.
    pub(crate) fn call(&self, ended: &Ended<'_>) {
        let end = SystemTime::now();
        let begin = end.checked_sub(ended.took).unwrap_or(end);
        let mut attributes = vec![
            KeyValue::new("mcp.method.name", "tools/call"),
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new("gen_ai.tool.name", ended.tool.to_owned()),
            KeyValue::new("network.transport", ended.transport[0]),
        ];
        let mut add = |name: &'static str, value: Option<&str>| attributes.extend(value.map(|value| KeyValue::new(name, value.to_owned())));
        add("network.protocol.name", Some(ended.transport[1]).filter(|name| !name.is_empty()));
        add("mcp.session.id", ended.session);
        add("jsonrpc.request.id", ended.request);
        add("error.type", ended.error.map(|_| "tool_error"));
        let builder = SpanBuilder::from_name(format!("tools/call {}", ended.tool))
            .with_kind(SpanKind::Server)
            .with_start_time(begin)
            .with_attributes(attributes);
        let parent = ended.parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent.clone()));
        let mut span = self.tracer.build_with_context(builder, &parent);
        if let Some(code) = ended.error {
            span.set_status(Status::error(code));
        }
        let own = parent.with_remote_span_context(span.span_context().clone());
        for (name, after, took) in &ended.parts {
            let from = begin.checked_add(*after).unwrap_or(begin);
            let part = SpanBuilder::from_name(*name).with_kind(SpanKind::Internal).with_start_time(from);
            let mut part = self.tracer.build_with_context(part, &own);
            part.end_with_timestamp(from.checked_add(*took).unwrap_or(from));
        }
        span.end_with_timestamp(end);
    }

    /// Exports the remaining spans. Blocks for a few seconds at most.
    pub(crate) fn end(&self) {
        // The shutdown itself reports success even if everything is lost.
        if let Err(err) = self.provider.force_flush() {
            tracing::warn!(%err, "could not export the last traces");
        }
        self.provider.shutdown_with_timeout(TIMEOUT).ok();
    }
}
