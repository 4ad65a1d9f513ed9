//! A receiver of OTLP gets the spans of a call as one tree, in the trace of its client, with nothing secret in them.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start the server and fail loudly")]

mod support;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value as Any,
    trace::v1::{Span, span::SpanKind},
};
use prost::Message;
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};
use support::{
    Fixture, Outcome,
    admin::Administered,
    wire::{call, post, session, wait_for},
};

/// Spans, each with the name of the service that sent it.
type Received = Arc<Mutex<Vec<(String, Span)>>>;

/// Takes spans, and keeps them with the name of the service that sends them.
fn receiver() -> std::io::Result<(u16, Received)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let spans = Arc::clone(&kept);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(&stream);
            loop {
                let (mut line, mut length) = (String::new(), 0);
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                assert!(line.starts_with("POST /v1/traces "), "{line}");
                while line.trim() != "" {
                    if let Some((name, value)) = line.split_once(':')
                        && name.eq_ignore_ascii_case("content-length")
                    {
                        length = value.trim().parse().expect("a length");
                    }
                    line.clear();
                    reader.read_line(&mut line).expect("a header");
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).expect("a body");
                let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("spans");
                for resource in request.resource_spans {
                    let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
                    let service =
                        attributes.iter().find(|one| one.key == "service.name").map(|one| format!("{:?}", one.value)).unwrap_or_default();
                    let all = resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| (service.clone(), span));
                    spans.lock().expect("the spans").extend(all);
                }
                (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n").ok();
            }
        }
    });
    Ok((port, kept))
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|one| one.key == name)?.value.clone()?.value?;
    if let Any::StringValue(text) = value { Some(text) } else { None }
}

#[test]
fn the_spans_of_a_call_are_one_tree_in_the_trace_of_the_client() -> Outcome {
    let (port, kept) = receiver()?;
    let fixture = Fixture::new();
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
    let named = |name: &str| kept.lock().expect("the spans").iter().find(|(_, span)| span.name == name).cloned();
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
    let all = kept.lock().expect("the spans").clone();
    let parts: Vec<&Span> = all.iter().map(|(_, span)| span).filter(|span| span.parent_span_id == commit.span_id).collect();
    let called: Vec<&str> = parts.iter().map(|span| span.name.as_str()).collect();
    assert!(called.contains(&"git") && called.contains(&"encode"), "{called:?}");
    for part in parts {
        assert!(part.trace_id == commit.trace_id && part.start_time_unix_nano >= commit.start_time_unix_nano, "{part:?}");
        assert!(part.end_time_unix_nano >= part.start_time_unix_nano, "{part:?}");
    }
    let (_, failed) = named("tools/call git_show").expect("a span");
    assert_eq!(attribute(&failed, "error.type").as_deref(), Some("tool_error"));
    assert_eq!(failed.status.map(|status| (status.code, status.message)), Some((2, "not_found".to_owned())));
    assert!(!format!("{all:?}").contains("s3cret"), "{all:?}");
    Ok(())
}

#[test]
fn a_collector_that_is_away_holds_up_nothing() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")]);
    for _ in 0..20 {
        assert_ne!(support::admin::tool(&server, "git_status", json!({}))["isError"], true);
    }
    let pid = server.server.child.id().to_string();
    std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("kill");
    wait_for("the end", || !server.socket.exists());
}
