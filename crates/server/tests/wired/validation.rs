//! Section 5 of the guide: what a message has to look like.

use crate::support::{
    Fixture, Outcome,
    admin::{Administered, tool},
    out, program, text_of,
    wire::{call, initialize, modern, post, session},
};
use serde_json::{Value, json};
use std::fs;

#[test]
fn validation_is_strict_where_that_is_wanted() -> Outcome {
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

/// Requests of each kind that a server refuses, or does not.
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
            assert!(!is_refused || said.contains(&first(why)), "{mode}: {message}: {why:?} {said:?}");
            if let Some(warnings) = result["_meta"]["mcp-server-git/warnings"].as_array() {
                assert_eq!(verdict["warnings"].as_array(), Some(warnings), "{mode}: {message}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_cancel_of_the_guide_is_understood_and_its_kind_is_checked() -> Outcome {
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
fn what_is_understood_leniently_is_said() -> Outcome {
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
