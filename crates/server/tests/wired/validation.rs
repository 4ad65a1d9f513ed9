//! docs/GUIDE.md, section 5: valid and invalid messages.

use crate::support::{
    Client, Fixture, Outcome,
    admin::{Administered, held_commit, operate, tool},
    out, program, text_of,
    wire::{JSON, call, initialize, modern, post, session, wait_for},
};
use serde_json::{Value, json};
use std::{fs, time::Duration};

#[test]
fn validation_is_strict_if_configured() -> Outcome {
    let fixture = Fixture::new();
    let ping = json!({"type": "ping", "id": "test_123"});
    let lenient = Administered::start(&fixture, &[], &[]);
    assert_eq!(post(&lenient.server, &[], &ping).message(), Some(json!({"type": "pong", "id": "test_123"})));
    drop(lenient);
    let strict = Administered::start(&fixture, &[], &[("MCP_GIT_VALIDATION", "strict")]);
    let refused = post(&strict.server, &[], &ping).message().expect("an answer");
    assert!(
        refused["error"]["code"] == -32600 && refused["error"]["message"].as_str().is_some_and(|why| why.contains("/jsonrpc")),
        "{refused}"
    );
    let mut extra = initialize();
    extra["surplus"] = json!(1);
    let refused = post(&strict.server, &[], &extra).message().expect("an answer");
    assert!(refused["error"]["message"].as_str().is_some_and(|why| why.contains("/surplus")), "{refused}");
    let mut socket = strict.server.websocket(&[])?;
    socket.send(tungstenite::Message::text(ping.to_string()))?;
    assert!(socket.read()?.into_text()?.contains("-32600"));
    assert_ne!(tool(&strict, "git_status", json!({}))["isError"], true);
    // The same check without a server.
    let file = fixture.home.path().join("message");
    fs::write(&file, ping.to_string())?;
    let output = program().arg("validate").arg(&file).output()?;
    let said = out(&output);
    assert!(
        output.status.success() && said.contains("Strict validation: \u{2717}") && said.contains("Lenient validation: \u{2713}"),
        "{said}"
    );
    assert_eq!(program().args(["validate", "--strict"]).arg(&file).output()?.status.code(), Some(1));
    Ok(())
}

/// Requests of each kind, refused or accepted.
fn corpus() -> Vec<Value> {
    let request = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    vec![
        request("ping", json!({})),
        request("tools/list", json!({})),
        call(1, "git_status", json!({})),
        call(1, "git_log", json!({"zz": 2})),
        call(1, "git_log", json!({"max_count": "2"})),
        call(1, "git_log", json!({"max_count": "two"})),
        call(1, "git_log", json!({"max_count": 2, "max_tokens": "many"})),
        call(1, "git_log", json!({"max_tokens": 100})),
        call(1, "git_log", json!({"paths": "a.txt"})),
        call(1, "git_nope", json!({})),
        call(1, "git_show", json!({"revision": "HEAD", "repo_path": true})),
        call(1, "git_show", json!({"revision": "HEAD", "repo_path": "/x", "workspace": "ws_1"})),
        call(1, "git_add", json!({"files": ["a.txt"], "confirm": "yes"})),
        call(1, "git_add", json!({"files": ["a.txt"], "idempotency_key": ""})),
        request("tools/call", json!({"arguments": {}})),
        request("tools/call", json!({"name": 7})),
        request("no/such", json!({})),
        request("resources/read", json!({})),
        json!({"jsonrpc": "2.0", "id": {}, "method": "ping"}),
        json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "surplus": 1}),
        json!({"id": 1, "method": "ping"}),
        json!({"type": "ping", "id": "test_123"}),
        json!({"id": 1}),
        json!([1]),
        json!(7),
    ]
}

#[test]
fn the_command_line_and_the_server_have_the_same_verdict() -> Outcome {
    let fixture = Fixture::new();
    let file = fixture.home.path().join("messages");
    let lines: Vec<String> = corpus().iter().map(Value::to_string).collect();
    fs::write(&file, lines.join("\n"))?;
    let output = program().args(["validate", "--json"]).arg(&file).output()?;
    let verdicts: Vec<Value> = String::from_utf8(output.stdout)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(verdicts.len(), corpus().len());
    for mode in ["lenient", "strict"] {
        let server = Administered::start_as(mode, &fixture, &[], &[("MCP_GIT_VALIDATION", mode)]);
        let id = session(&server.server, &[]);
        for (message, verdict) in corpus().iter().zip(&verdicts) {
            let reply = post(&server.server, &[("Mcp-Session-Id", &id)], message).message().expect("an answer");
            let result = &reply["result"];
            let is_refused = !reply["error"].is_null() || result["isError"] == true;
            let verdict = &verdict[mode];
            assert_eq!(verdict["valid"] == true, !is_refused, "{mode}: {message}: {verdict} {reply}");
            let why = verdict["error"].as_str().unwrap_or_default();
            let said = reply["error"]["message"].as_str().map_or_else(|| text_of(result), str::to_owned);
            let first = |text: &str| text.lines().next().unwrap_or_default().chars().take(40).collect::<String>();
            assert!(!is_refused || !why.is_empty() && said.contains(&first(why)), "{mode}: {message}: {why:?} {said:?}");
            if let Some(warnings) = result["_meta"]["mcp-server-git/warnings"].as_array() {
                assert_eq!(verdict["warnings"].as_array(), Some(warnings), "{mode}: {message}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_guides_cancel_is_accepted_and_its_kind_is_checked() -> Outcome {
    let fixture = Fixture::new();
    let file = fixture.home.path().join("message");
    fs::write(&file, json!({"type": "notifications/cancelled", "id": "test_123", "request_id": "req_456"}).to_string())?;
    let run = |args: &[&str]| program().arg("validate").args(args).arg(&file).output();
    let output = run(&["--lenient", "--as", "cancelled"])?;
    let said = out(&output);
    assert!(output.status.success() && said.contains("/request_id stands for /params/requestId"), "{said}");
    assert!(!said.contains("is ignored"), "{said}");
    let other = run(&["--as", "tools/call"])?;
    assert!(other.status.code() == Some(1) && out(&other).contains("not of the kind"), "{other:?}");
    Ok(())
}

#[test]
fn lenient_coercions_are_reported() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let mut odd = call(1, "git_log", json!({"max_count": "1"}));
    odd["surplus"] = json!(1);
    let is_said = |reply: &Value| {
        let said = reply["result"]["_meta"]["mcp-server-git/warnings"].to_string();
        reply["result"]["isError"] == false && said.contains("/surplus") && said.contains("/params/arguments/max_count")
    };
    let newest = modern(&server.server, &[], odd.clone()).message().expect("an answer");
    assert!(is_said(&newest), "{newest}");
    let id = session(&server.server, &[]);
    let older = post(&server.server, &[("Mcp-Session-Id", &id)], &odd).message().expect("an answer");
    assert!(is_said(&older), "{older}");
    let mut socket = server.server.websocket(&[])?;
    for message in [initialize(), odd.clone()] {
        socket.send(tungstenite::Message::text(message.to_string()))?;
    }
    socket.read()?;
    let over: Value = serde_json::from_str(&socket.read()?.into_text()?)?;
    assert!(is_said(&over), "{over}");
    let plain = modern(&server.server, &[], call(2, "git_log", json!({"max_count": 1}))).message().expect("an answer");
    assert!(plain["result"]["_meta"]["mcp-server-git/warnings"].is_null(), "{plain}");
    let strict = Administered::start_as("strict", &fixture, &[], &[("MCP_GIT_VALIDATION", "strict")]);
    assert_eq!(tool(&strict, "git_log", json!({"max_count": "1"}))["isError"], true);
    Ok(())
}

#[test]
fn a_bare_ping_is_answered_before_any_handshake() -> Outcome {
    let fixture = Fixture::new();
    let (ping, expected) = (json!({"type": "ping", "id": "test_123"}), json!({"type": "pong", "id": "test_123"}));
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
    client.send_json(&ping);
    assert_eq!(client.receive(), expected);
    client.initialize();
    client.text("git_status", &json!({}));
    let server = Administered::start(&fixture, &[], &[]);
    for path in ["/", "/ws"] {
        let (mut socket, _) = tungstenite::connect(format!("ws://127.0.0.1:{}{path}", server.server.port))?;
        if let tungstenite::stream::MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        }
        socket.send(tungstenite::Message::text(ping.to_string()))?;
        let answer: Value = serde_json::from_str(&socket.read()?.into_text()?)?;
        assert_eq!(answer, expected, "{path}");
    }
    Ok(())
}

/// The session on which a commit hangs.
fn its_session(server: &Administered) -> String {
    server.get("/sessions")["sessions"][0]["id"].as_str().expect("a session").to_owned()
}

#[test]
fn the_guides_cancel_works_unless_validation_is_strict() {
    for (mode, commits) in [("lenient", "2"), ("strict", "3")] {
        let fixture = Fixture::new();
        let server = Administered::start(&fixture, &[], &[("MCP_GIT_VALIDATION", mode)]);
        let (gate, _commit) = held_commit(&fixture, &server);
        let cancel = json!({"type": "notifications/cancelled", "request_id": 1});
        post(&server.server, &[("Mcp-Session-Id", &its_session(&server))], &cancel);
        if mode == "strict" {
            gate.open();
        }
        wait_for("the end of the commit", || server.get("/status")["in_flight"] == 0);
        assert_eq!(fixture.text(&["rev-list", "--count", "HEAD"]), commits, "{mode}");
        let is_counted = server.get("/errors?window=60")["reasons"].to_string().contains("\"cancelled\"");
        assert_eq!(is_counted, mode == "lenient");
    }
}

#[test]
fn an_unknown_notification_cancels_nothing() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let (gate, _commit) = held_commit(&fixture, &server);
    let id = its_session(&server);
    for odd in [
        json!({"jsonrpc": "2.0", "method": "notifications/none", "params": {"requestId": 1}}),
        json!({"jsonrpc": "2.0", "method": "notifications/cancel", "params": {"requestId": 1}}),
        json!({"type": "notifications/unknown", "request_id": 1}),
    ] {
        post(&server.server, &[("Mcp-Session-Id", &id)], &odd);
    }
    gate.open();
    wait_for("the end of the commit", || server.get("/status")["in_flight"] == 0);
    assert_eq!(fixture.text(&["rev-list", "--count", "HEAD"]), "3", "the commit is made");
    let errors = server.get("/errors?window=60");
    assert!(!errors["reasons"].to_string().contains("\"cancelled\""), "{errors}");
}

#[test]
fn a_refused_message_logs_few_and_short_keys() {
    let fixture = Fixture::new();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_LOG_LEVEL", "warn,validation=info")]);
    let mut message = json!({"jsonrpc": 7, "id": 9, "method": "x"});
    for key in 10..30 {
        message[format!("k{key}\u{1b}{}", "y".repeat(90))] = json!("s3cret");
    }
    client.send_json(&message);
    assert_eq!(client.receive()["id"], 9);
    let (_, _, logged) = client.end();
    let line = logged.lines().find(|line| line.contains("a message was refused")).unwrap_or_default();
    let keys: Vec<&str> = line.split("keys=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default().split(',').collect();
    assert!(keys.len() == 8 && keys.iter().all(|key| key.len() < 60), "{logged}");
    assert!(line.contains("k10") && !line.contains('\u{1b}') && !logged.contains("s3cret"), "{logged}");
    // The log records in memory include it.
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(server.server.send("POST", "/mcp", &JSON, message.to_string().as_bytes()).status, 400);
    let logs = operate(&server, &["logs"]);
    assert!(out(&logs).contains("a message was refused"), "{logs:?}");
}
