//! Refusals before dispatch: reported to the sender, counted by class and reason, and logged without a flood.

use crate::support::{
    Client, Fixture, Outcome,
    admin::{Administered, hanging_commit, tool},
    program,
    tokens::tokens,
    wire::{Served, call, initialize, modern, post, session, wait_for},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
};

/// The count of a reason.
fn reason(server: &Administered, name: &str) -> u64 {
    let errors = server.get("/errors?window=60");
    let all = errors["reasons"].as_array().expect("a list").clone();
    all.iter().filter(|one| one["reason"] == name).filter_map(|one| one["count"].as_u64()).sum()
}

#[test]
fn each_refusal_is_counted_by_its_reason() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let post_raw = |body: &[u8], headers: &[(&str, &str)]| {
        let own = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
        server.server.send("POST", "/mcp", &[&own, headers].concat(), body).status
    };
    let id = session(&server.server, &[]);
    assert_eq!(post_raw(b"{\"jsonrpc\": 7}", &[]), 400);
    assert_eq!(post_raw(b"{\"jsonrpc\": 7}", &[("Mcp-Session-Id", &id)]), 400);
    modern(&server.server, &[], call(1, "git_nope", json!({})));
    modern(&server.server, &[], json!({"jsonrpc": "2.0", "id": 2, "method": "no/such", "params": {}}));
    tool(&server, "git_log", json!({"surplus": 1}));
    assert_eq!(post_raw(b"{}", &[("Mcp-Session-Id", "none")]), 404);
    assert_eq!(server.server.send("POST", "/mcp", &[("Host", "evil.example")], b"{}").status, 403);
    assert_eq!(post_raw(b"{}", &[("Origin", "https://evil.example")]), 403);
    for (name, count) in [
        ("malformed_message", 2),
        ("unknown_tool", 1),
        ("unknown_method", 1),
        ("bad_input", 1),
        ("unknown_session", 1),
        ("foreign_host", 1),
        ("foreign_origin", 1),
    ] {
        assert_eq!(reason(&server, name), count, "{name}: {}", server.get("/errors?window=60"));
    }
    // A client's cancel and a deadline are no errors of the server: counted, but in no rate.
    let slow = Administered::start_as("slow", &fixture, &[], &[("MCP_GIT_CHANGE_TIMEOUT", "1")]);
    let _commit = hanging_commit(&fixture, &slow);
    wait_for("the deadline", || reason(&slow, "timed_out") == 1);
}

#[test]
fn cancelled_calls_are_counted_and_raise_no_alarm() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let before = server.get("/errors?window=60")["classes"].clone();
    let commit = hanging_commit(&fixture, &server);
    let sessions = server.get("/sessions");
    let id = sessions["sessions"][0]["id"].as_str().expect("a session").to_owned();
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &id)], &cancelled).status, 202);
    wait_for("the cancel", || reason(&server, "cancelled") == 1);
    assert_eq!(server.get("/errors?window=60")["classes"], before);
    drop(commit);
}

#[test]
fn repeated_reuse_of_an_id_in_flight_is_a_violation() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let other = hanging_commit(&fixture, &server);
    let mut socket = server.server.websocket(&[])?;
    for message in [initialize(), call(7, "git_commit", json!({"message": "waits"}))] {
        socket.send(tungstenite::Message::text(message.to_string()))?;
    }
    for _ in 0..101 {
        socket.send(tungstenite::Message::text(call(7, "git_status", json!({})).to_string()))?;
    }
    let closed = loop {
        if let tungstenite::Message::Close(frame) = socket.read()? {
            break frame.expect("a reason");
        }
    };
    assert_eq!(u16::from(closed.code), 1002, "{closed:?}");
    assert!(reason(&server, "reused_id") == 101, "{}", server.get("/errors?window=60"));
    // It stays listed for a while, with the reason for its end.
    let failed = server.get("/sessions?state=error");
    assert!(failed["error"] == 1 && failed["sessions"][0]["failed"]["class"] == "protocol_violation", "{failed}");
    let id = failed["sessions"][0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(server.get(&format!("/sessions/{id}"))["state"], "error");
    drop(other);
    Ok(())
}

#[test]
fn a_wrong_token_differs_from_none_and_its_peer_is_logged() {
    let fixture = Fixture::new();
    let (config, _) = tokens(&fixture);
    let log = fixture.home.path().join("log");
    let mut command = program();
    command.arg("-r").arg(&fixture.path).args(["serve", "--port", "0", "--config", &config]);
    command.stderr(std::fs::File::create(&log).expect("a file"));
    let server = Served::spawn(&mut command);
    let ask = |headers: &[(&str, &str)]| post(&server, headers, &initialize());
    let none = ask(&[]);
    assert!(none.status == 401 && none.body.contains("a token is required"), "{none:?}");
    for _ in 0..50 {
        let wrong = ask(&[("Authorization", "Bearer wrong")]);
        assert!(wrong.status == 401 && wrong.body.contains("invalid token"), "{wrong:?}");
        assert!(wrong.header("www-authenticate").is_some_and(|answer| answer.contains("invalid_token")), "{wrong:?}");
    }
    let logged = std::fs::read_to_string(&log).expect("the log");
    let lines: Vec<&str> = logged.lines().filter(|line| line.contains("invalid_token")).collect();
    assert!((1..=5).contains(&lines.len()), "{logged}");
    assert!(lines[0].contains("WARN") && lines[0].contains("peer=\"127.0.0.1\""), "{logged}");
    assert!(!logged.contains("wrong"), "{logged}");
}

#[test]
fn load_balancers_get_health_by_any_name_and_no_details() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for path in ["/health", "/readyz", "/livez", "/startupz"] {
        let by_pod = server.server.send("GET", path, &[("Host", "10.1.2.3:8080")], b"");
        assert_eq!(by_pod.status, 200, "{path}: {by_pod:?}");
        // HAProxy's default request has no Host header.
        let nameless = server.server.raw(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes(), None);
        assert!(nameless.starts_with("HTTP/1.0 200") || nameless.starts_with("HTTP/1.1 200"), "{path}: {nameless}");
    }
    let verbose = |host: &str| server.server.send("GET", "/readyz?verbose", &[("Host", host)], b"").message().expect("JSON");
    assert!(verbose("localhost")["phase"].is_string() && verbose("10.1.2.3")["phase"].is_null());
    assert_eq!(server.server.send("POST", "/mcp", &[("Host", "10.1.2.3")], b"{}").status, 403);
}

#[test]
fn the_printed_address_is_an_allowed_host() -> Outcome {
    let fixture = Fixture::new();
    let mut command = program();
    command.arg("-r").arg(&fixture.path).args(["serve", "--port", "0", "--host", "127.0.0.2"]);
    let server = Served::spawn(&mut command);
    let address = format!("127.0.0.2:{}", server.port);
    let body = initialize().to_string();
    let mut stream = TcpStream::connect(&address)?;
    write!(
        stream,
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, \
         text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    Ok(())
}

#[test]
fn invalid_messages_are_logged_by_type_and_keys_never_by_value() {
    let fixture = Fixture::new();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_LOG_LEVEL", "warn,validation=info")]);
    client.send(b"{\"jsonrpc\": 7, \"id\": 9, \"method\": \"tools/call\", \"params\": {\"secret\": \"s3cret\"}, \"odd\\nkey\": 1}\n");
    let refused: Value = client.receive();
    assert_eq!(refused["id"], 9, "{refused}");
    let (_, _, logged) = client.end();
    let line = logged.lines().find(|line| line.contains("a message was refused")).unwrap_or_default();
    for words in [
        "error_type=\"invalid_request\"",
        "message_type=\"tools/call\"",
        "message_id=\"9\"",
        "session_id=\"stdio-",
        "reason=\"`jsonrpc` must be",
        "params",
        "odd\\\\nkey",
    ] {
        assert!(line.contains(words), "{words}: {logged}");
    }
    assert!(!logged.contains("s3cret"), "{logged}");
}

#[test]
fn refused_messages_are_logged_with_reason_and_session_and_without_values() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_VALIDATION", "strict")]);
    let id = session(&server.server, &[]);
    let headers = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream"), ("Mcp-Session-Id", &id)];
    let messages = [
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": s3cret}"#, "the message is not valid JSON: expected"),
        (r#"{"jsonrpc": "s3cret", "id": 3, "method": "ping"}"#, "`jsonrpc` must be \"2.0\""),
        (r#"{"jsonrpc": "2.0", "id": ["s3cret"], "method": "ping"}"#, "`id` must be a string or an integer"),
        (r#"{"jsonrpc": "2.0", "id": 5, "method": ["s3cret"]}"#, "`method` must be a string"),
        (r#"{"jsonrpc": "2.0", "id": 6, "method": "ping", "surplus": "s3cret"}"#, "refused in strict mode: /surplus is unknown"),
        (r#"["s3cret"]"#, "batches are not supported: send one message per line"),
    ];
    for (message, _) in messages {
        assert_eq!(server.server.send("POST", "/mcp", &headers, message.as_bytes()).status, 400, "{message}");
    }
    let logs = server.get(&format!("/logs?session={id}"));
    let records = logs["records"].as_array().expect("a list").iter().filter(|one| one["message"] == "a message was refused");
    let reasons: Vec<&str> = records.filter_map(|one| one["reason"].as_str()).collect();
    assert_eq!(reasons.len(), messages.len(), "{logs}");
    for (reason, (message, expected)) in reasons.iter().zip(messages) {
        assert!(reason.starts_with(expected), "{message}: {reason}");
    }
    assert!(!server.get("/logs").to_string().contains("s3cret"));
}

#[test]
fn invalid_arguments_are_logged_with_their_mistake_and_without_values() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_VALIDATION", "strict")]);
    let calls = [
        ("git_log", json!({"max_count": "s3cret, expected s3cret"}), "invalid type, expected u32"),
        ("git_log", json!({"s3cret": 1}), "unknown field"),
        ("git_log", json!({"repo_path": 7}), "invalid arguments: `repo_path` must be a string"),
        ("git_show", json!({}), "missing field `revision`"),
        ("git_show", json!({"revision": "-s3cret"}), "cannot be used as a revision: it starts with `-`"),
        ("git_show", json!({"revision": "HEAD:a.txt", "byte_range": "s3cret"}), "`byte_range` is not a range"),
        ("git_diff", json!({"scope": "s3cret"}), "unknown variant, expected `unstaged` or `staged`"),
        ("git_grep", json!({"pattern": "s3cret("}), "the pattern is not a regular expression"),
        ("git_grep", json!({"pattern": "x", "cursor": "s3cret"}), "`cursor` was not issued by this server"),
        ("git_add", json!({"files": []}), "`files` is empty"),
    ];
    let id = session(&server.server, &[]);
    for (at, (name, args, _)) in (1..).zip(&calls) {
        post(&server.server, &[("Mcp-Session-Id", &id)], &call(at, name, args.clone()));
    }
    let logs = server.get(&format!("/logs?class=other&session={id}"));
    let records = logs["records"].as_array().expect("a list");
    let logged: Vec<&str> = records.iter().filter(|one| one["code"] == "bad_input").filter_map(|one| one["reason"].as_str()).collect();
    assert_eq!(logged, calls.each_ref().map(|(.., expected)| *expected), "{logs}");
    assert!(!server.get("/logs").to_string().contains("s3cret"));
}

#[test]
fn a_slow_call_is_logged_with_its_timings() {
    let fixture = Fixture::new();
    let hook = "#!/bin/sh\nsleep 2\n";
    fixture.write(".git/hooks/pre-commit", hook);
    std::fs::set_permissions(fixture.path.join(".git/hooks/pre-commit"), std::fs::Permissions::from_mode(0o755)).expect("a hook");
    let serve = |variables: &[(&str, &str)]| fixture.serve_with(&["--log-format", "json"], variables);
    let mut client = serve(&[("MCP_GIT_LOG_LEVEL", "info")]);
    client.initialize();
    let mut message = call(77, "git_commit", json!({"message": "slow", "allow_empty": true}));
    message["params"]["_meta"] = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"});
    client.send_json(&message);
    client.answer_to(&json!(77));
    let logged = |client: Client, tool: &str| {
        let (_, _, log) = client.end();
        let mut records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.find(|one| one["tool"] == tool).unwrap_or_else(|| unreachable!("{tool} is not in {log}"))
    };
    let slow = logged(client, "git_commit");
    assert!(slow["level"] == "WARN" && slow["message"] == "slow call", "{slow}");
    let ms = |key: &str| slow[key].as_u64().unwrap_or_else(|| panic!("{key}: {slow}"));
    assert!(ms("git_ms") >= 2000 && ms("duration_ms") >= ms("git_ms"), "{slow}");
    // The parts do not overlap.
    assert!(
        ms("git_ms") + ms("queue_ms") + ms("lock_ms") + ms("open_ms") + ms("retry_ms") + ms("encode_ms") <= ms("duration_ms"),
        "{slow}"
    );
    assert_eq!(slow["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(slow["repo"], json!(fixture.path.display().to_string()));
    assert!(slow["request_id"] == "77" && slow["session_id"].as_str().is_some_and(|id| id.starts_with("stdio-")), "{slow}");
    // However slow the machine is, this call is below the threshold.
    let mut client = serve(&[("MCP_GIT_LOG_LEVEL", "info"), ("MCP_GIT_SLOW_MS", "3600000")]);
    client.text("git_status", &json!({}));
    let quick = logged(client, "git_status");
    assert!(quick["level"] == "INFO" && quick["message"] == "done" && quick["git_ms"].is_u64(), "{quick}");
    for key in ["timestamp", "level", "target", "message", "session_id", "request_id", "tool", "repo", "duration_ms"] {
        assert!(!quick[key].is_null(), "{key}: {quick}");
    }
}

#[test]
fn deadlines_and_cancels_are_counted_in_the_metrics() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let hasty = Administered::start(&fixture, &[], &[("MCP_GIT_CHANGE_TIMEOUT", "1")]);
    let counts = |server: &Administered, class: &str, reason: &str| {
        server.metrics().contains(&format!("mcp_server_git_errors_total{{class=\"{class}\",reason=\"{reason}\"}} 1"))
    };
    let _first = hanging_commit(&fixture, &hasty);
    wait_for("the deadline", || counts(&hasty, "temporary_resource_unavailable", "timed_out"));
    let server = Administered::start(&other, &[], &[]);
    let _second = hanging_commit(&other, &server);
    let id = server.get("/sessions")["sessions"][0]["id"].as_str().expect("a session").to_owned();
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    post(&server.server, &[("Mcp-Session-Id", &id)], &cancelled);
    wait_for("the cancel", || counts(&server, "other", "cancelled"));
}
