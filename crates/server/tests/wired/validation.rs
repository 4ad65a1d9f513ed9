//! Section 5 of the guide: what a message has to look like.

use crate::support::{
    Fixture, Outcome,
    admin::{Administered, tool},
    program,
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
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("Strict validation: \u{2717}") && said.contains("Lenient validation: \u{2713}"),
        "{said}"
    );
    assert_eq!(program().args(["validate", "--strict"]).arg(&file).output()?.status.code(), Some(1));
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
