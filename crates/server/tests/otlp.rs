//! An OTLP receiver gets the spans of a call as one tree in the client's trace, and the data of `/metrics`, without secrets.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start the server and fail loudly")]

mod support;

use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value as Any},
    metrics::v1::{Metric, metric::Data, number_data_point::Value as Number},
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::json;
use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};
use support::{
    Fixture, Outcome,
    admin::{Administered, tool},
    collector::collector,
    wire::{call, post, session, wait_for},
};

/// Spans, each with the name of its service, and the newest metrics.
#[derive(Default)]
struct Received {
    spans: Vec<(String, Span)>,
    metrics: Vec<Metric>,
    /// The sender's service name.
    services: String,
}

impl Received {
    fn take(&mut self, path: &str, body: &[u8]) {
        match path {
            "/v1/traces" => {
                for resource in ExportTraceServiceRequest::decode(body).expect("spans").resource_spans {
                    let service = service(resource.resource);
                    let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| (service.clone(), span));
                    self.spans.extend(all);
                }
            }
            "/v1/metrics" => {
                for resource in ExportMetricsServiceRequest::decode(body).expect("metrics").resource_metrics {
                    self.services = service(resource.resource);
                    self.metrics = resource.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect();
                }
            }
            other => unreachable!("{other} is not of OTLP"),
        }
    }
}

fn service(resource: Option<Resource>) -> String {
    let attributes = resource.map(|resource| resource.attributes).unwrap_or_default();
    text(&attributes, "service.name").unwrap_or_default()
}

/// Receives exports.
fn receiver() -> std::io::Result<(u16, Arc<Mutex<Received>>)> {
    let kept = Arc::new(Mutex::new(Received::default()));
    let received = Arc::clone(&kept);
    let port = collector(move |path, body| received.lock().expect("what was received").take(path, body))?;
    Ok((port, kept))
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    text(&span.attributes, name)
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|one| one.key == name)?.value.clone()?.value?;
    if let Any::StringValue(text) = value { Some(text) } else { None }
}

#[test]
fn the_spans_of_a_call_are_one_tree_in_the_trace_of_the_client() -> Outcome {
    let (port, kept) = receiver()?;
    let fixture = Fixture::new().by_git();
    let file = fixture.home.path().join("config.toml");
    std::fs::write(&file, format!("[telemetry]\notlp_endpoint = \"http://127.0.0.1:{port}\"\n"))?;
    let server = Administered::start(&fixture, &["--config", &file.display().to_string()], &[("OTEL_BSP_SCHEDULE_DELAY", "100")]);
    let id = session(&server.server, &[]);
    let ask = |number: u32, tool: &str, args: serde_json::Value| {
        let mut message = call(number, tool, args);
        message["params"]["_meta"] = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
        post(&server.server, &[("Mcp-Session-Id", &id)], &message).message().expect("an answer")["result"].clone()
    };
    fixture.write("a.txt", "s3cret content\n");
    ask(1, "git_add", json!({"files": ["a.txt"]}));
    assert_ne!(ask(2, "git_commit", json!({"message": "s3cret message"}))["isError"], true);
    assert_eq!(ask(3, "git_show", json!({"revision": "s3cret"}))["isError"], true);
    let named = |name: &str| kept.lock().expect("the spans").spans.iter().find(|(_, span)| span.name == name).cloned();
    wait_for("the spans", || named("tools/call git_show").is_some() && named("tools/call git_commit").is_some());
    let (service, commit) = named("tools/call git_commit").expect("a span");
    assert!(service.contains("mcp-server-git"), "{service}");
    let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    assert_eq!(
        (hex(&commit.trace_id).as_str(), hex(&commit.parent_span_id).as_str()),
        ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    );
    assert_eq!(commit.kind, SpanKind::Server as i32);
    for (name, value) in [
        ("mcp.method.name", "tools/call"),
        ("gen_ai.tool.name", "git_commit"),
        ("gen_ai.operation.name", "execute_tool"),
        ("mcp.session.id", id.as_str()),
        ("jsonrpc.request.id", "2"),
        ("network.transport", "tcp"),
        ("network.protocol.name", "http"),
    ] {
        assert_eq!(attribute(&commit, name).as_deref(), Some(value), "{name}");
    }
    let all = kept.lock().expect("the spans").spans.clone();
    let parts: Vec<&Span> = all.iter().map(|(_, span)| span).filter(|span| span.parent_span_id == commit.span_id).collect();
    let called: Vec<&str> = parts.iter().map(|span| span.name.as_str()).collect();
    assert!(called.contains(&"git") && called.contains(&"encode"), "{called:?}");
    for part in &parts {
        assert!(part.trace_id == commit.trace_id && part.start_time_unix_nano >= commit.start_time_unix_nano, "{part:?}");
        assert!(part.end_time_unix_nano >= part.start_time_unix_nano && part.end_time_unix_nano <= commit.end_time_unix_nano, "{part:?}");
    }
    // Spans of in-process work do not overlap those of git processes.
    let one = |name: &str| parts.iter().find(|part| part.name == name).expect("a part");
    assert!(one("git").end_time_unix_nano <= one("encode").start_time_unix_nano, "{parts:?}");
    let (_, failed) = named("tools/call git_show").expect("a span");
    assert_eq!(attribute(&failed, "error.type").as_deref(), Some("tool_error"));
    assert_eq!(failed.status.map(|status| (status.code, status.message)), Some((2, "not_found".to_owned())));
    assert!(!format!("{all:?}").contains("s3cret"), "{all:?}");
    Ok(())
}

#[test]
fn a_collector_receives_all_metrics() -> Outcome {
    let (port, kept) = receiver()?;
    let fixture = Fixture::new();
    let endpoint = format!("http://127.0.0.1:{port}");
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_METRIC_EXPORT_INTERVAL", "100")];
    let server = Administered::start(&fixture, &[], &settings);
    for _ in 0..3 {
        assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    }
    assert_eq!(tool(&server, "git_show", json!({"revision": "s3cret"}))["isError"], true);
    let find = |name: &str| kept.lock().expect("the metrics").metrics.iter().find(|metric| metric.name == name)?.data.clone();
    let operations = |tool: &str| {
        let Data::Histogram(operations) = find("mcp.server.operation.duration")? else { return None };
        operations.data_points.into_iter().find(|point| text(&point.attributes, "gen_ai.tool.name").as_deref() == Some(tool))
    };
    wait_for("the metrics", || operations("git_show").is_some() && operations("git_status").is_some_and(|point| point.count == 3));
    let statuses = operations("git_status").expect("a series");
    assert_eq!((statuses.explicit_bounds.len(), statuses.explicit_bounds.first()), (14, Some(&0.01)));
    assert_eq!(text(&statuses.attributes, "mcp.method.name").as_deref(), Some("tools/call"));
    assert_eq!(text(&operations("git_show").expect("a series").attributes, "error.type").as_deref(), Some("tool_error"));
    let stages = find("mcp.server.git.call.stage");
    assert!(matches!(&stages, Some(Data::Histogram(stages)) if stages.data_points.len() > 1), "{stages:?}");
    // Each Prometheus family is exported.
    let scraped = server.metrics();
    let families =
        scraped.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).filter(|(_, kind)| *kind != "histogram");
    let own = |name: &str, kind: &str| if kind == "counter" { name.trim_end_matches("_total") } else { name }.to_owned();
    let families: Vec<String> = families.map(|(name, kind)| own(name, kind)).collect();
    assert!(families.len() > 20, "{scraped}");
    wait_for("every family", || families.iter().all(|name| find(name).is_some()));
    let memory = find("process_resident_memory_bytes");
    let is_there =
        |data: &Data| matches!(data, Data::Gauge(gauge) if matches!(gauge.data_points[0].value, Some(Number::AsDouble(rss)) if rss > 1e6));
    assert!(memory.as_ref().is_some_and(is_there), "{memory:?}");
    let errors = find("mcp_server_git_errors");
    assert!(matches!(&errors, Some(Data::Sum(sum)) if sum.is_monotonic), "{errors:?}");
    let all = kept.lock().expect("the metrics");
    assert!(all.services == "mcp-server-git" && !format!("{:?}", all.metrics).contains("s3cret"));
    Ok(())
}

#[test]
fn each_signal_can_be_disabled_separately() -> Outcome {
    let (port, kept) = receiver()?;
    let fixture = Fixture::new();
    let endpoint = format!("http://127.0.0.1:{port}");
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mcp-server-git-of-this-team"),
    ];
    let server = Administered::start(&fixture, &[], &settings);
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    wait_for("the metrics", || !kept.lock().expect("the metrics").metrics.is_empty());
    server.end();
    assert!(kept.lock().expect("the metrics").services.contains("of-this-team"));
    assert!(kept.lock().expect("the spans").spans.is_empty());
    let (port, kept) = receiver()?;
    let endpoint = format!("http://127.0.0.1:{port}");
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ];
    let server = Administered::start(&fixture, &[], &settings);
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    wait_for("the spans", || !kept.lock().expect("the spans").spans.is_empty());
    server.end();
    assert!(kept.lock().expect("the metrics").metrics.is_empty());
    Ok(())
}

#[test]
fn an_unreachable_collector_blocks_nothing() {
    // Each has several spans: far more than the buffer holds.
    const CALLS: usize = 64;
    let fixture = Fixture::new();
    // It accepts connections, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    silent.set_nonblocking(true).expect("a socket");
    let address = format!("http://{}", silent.local_addr().expect("an address"));
    for (endpoint, is_silent) in [("http://127.0.0.1:1", false), (address.as_str(), true)] {
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "16"),
        ];
        let server = Administered::start(&fixture, &[], &settings);
        assert_eq!(tool(&server, "git_status", json!({}))["isError"], false);
        // Held open: the exporter waits for an answer to the first spans.
        let mut held = None;
        wait_for("the first spans", || {
            held = silent.accept().ok();
            held.is_some() || !is_silent
        });
        let answered = (0..CALLS).filter(|_| tool(&server, "git_status", json!({}))["isError"] == false).count();
        assert_eq!(answered, CALLS, "{endpoint}");
        let series = "mcp_server_operation_duration_seconds_count{error_type=\"\",gen_ai_tool_name=\"git_status\"";
        let (metrics, all) = (server.metrics(), format!(" {}", CALLS + 1));
        assert!(metrics.lines().any(|line| line.starts_with(series) && line.ends_with(&all)), "{endpoint}: {metrics}");
        server.end();
    }
}
