//! docs/GUIDE.md, section 2: error classes, rates and spikes.

use crate::support::{
    self, Fixture, Outcome,
    admin::{Administered, operate, tool},
    out,
    remote::{Fault, OPEN, published},
    text_of,
    tokens::tokens,
    wire::{call, initialize, modern, post, session, wait_for},
};
use serde_json::{Value, json};

/// The counts of a class; `null` if it has not occurred.
fn counted(errors: &Value, class: &str) -> Value {
    errors["classes"].as_array().expect("a list").iter().find(|one| one["class"] == class).cloned().unwrap_or_default()
}

/// Checks that a critical error has occurred once.
#[track_caller]
fn assert_critical(errors: &Value, class: &str) {
    let one = counted(errors, class);
    assert!(one["count"] == 1 && one["critical"] == true, "{errors}");
}

/// Checks that `logs --class` finds an error, of this session if one is named.
#[track_caller]
fn assert_logged(server: &Administered, class: &str, session: Option<&str>) {
    let logs = server.get(&format!("/logs?class={class}"));
    let mut records = logs["records"].as_array().expect("a list").iter();
    assert!(records.any(|one| session.is_none_or(|id| one["session_id"] == id)), "{class} {session:?}: {logs}");
}

/// What `errors` says of a class.
fn meaning(server: &Administered, class: &str) -> String {
    let shown = out(&operate(server, &["errors"]));
    let line = shown.lines().find(|line| line.starts_with(class)).unwrap_or_else(|| panic!("{class}: {shown}"));
    line.rsplit("  ").next().unwrap_or_default().to_owned()
}

#[test]
fn errors_are_counted_by_class_and_spike() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::Status(429));
    assert_eq!(tool(&server, "git_fetch", json!({}))["structuredContent"]["class"], "rate_limit_exceeded");
    for _ in 0..40 {
        tool(&server, "git_show", json!({"revision": "nowhere"}));
    }
    let errors = server.get("/errors?window=60");
    let count = |class: &str| counted(&errors, class)["count"].clone();
    assert!(count("other") == 40 && count("rate_limit_exceeded") == 1, "{errors}");
    assert!(errors["spikes"][0]["class"] == "other" && errors["burning"][0]["class"] == "other", "{errors}");
    let calm = server.get("/errors?window=60&threshold=1000");
    assert_eq!(calm["spikes"], json!([]));
}

#[test]
fn error_counts_survive_a_restart() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for _ in 0..3 {
        tool(&server, "git_show", json!({"revision": "nowhere"}));
    }
    server.end();
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    let errors = server.get("/errors?window=3600");
    assert_eq!(counted(&errors, "other")["count"], 3, "{errors}");
}

#[test]
fn protocol_violation_closes_only_its_session() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let other = session(&server.server, &[]);
    let mut socket = server.server.websocket(&[])?;
    socket.send(tungstenite::Message::text(initialize().to_string()))?;
    socket.read()?;
    for _ in 0..1000 {
        if socket.send(tungstenite::Message::text("{\"jsonrpc\": 7}")).is_err() {
            break;
        }
    }
    let closed = loop {
        match socket.read() {
            Ok(tungstenite::Message::Close(frame)) => break frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
            Ok(_) => {}
            Err(_) => break String::new(),
        }
    };
    assert!(closed.contains("faulty"), "{closed}");
    let errors = server.get("/errors?window=60");
    assert_critical(&errors, "protocol_violation");
    let failed = server.get("/sessions?state=error");
    assert_logged(&server, "protocol_violation", Some(failed["sessions"][0]["id"].as_str().expect("an id")));
    assert!(post(&server.server, &[("Mcp-Session-Id", &other)], &call(1, "git_status", json!({}))).message().is_some());
    Ok(())
}

#[test]
fn security_breach_closes_the_session_and_revokes_handles() {
    let fixture = Fixture::new();
    let (config, [all, _, other]) = tokens(&fixture);
    let server = Administered::start(&fixture, &["--config", &config], &[]);
    let (all, other) = (format!("Bearer {all}"), format!("Bearer {other}"));
    let open = |token: &str| {
        let opened = modern(&server.server, &[("Authorization", token)], call(1, "git_workspace", json!({"action": "open"})));
        let text = text_of(&opened.message().expect("an answer")["result"]);
        text.split_whitespace().find(|word| word.starts_with("ws_")).expect("a handle").to_owned()
    };
    let (handle, their_own) = (open(&all), open(&other));
    let (theirs, own) = (session(&server.server, &[("Authorization", &other)]), session(&server.server, &[("Authorization", &all)]));
    let ask = |session: &str, token: &str, id: u32| {
        let headers = [("Authorization", token), ("Mcp-Session-Id", session)];
        post(&server.server, &headers, &call(id, "git_status", json!({"workspace": handle})))
    };
    for id in 1..=3 {
        let reply = ask(&theirs, &other, id).message().expect("an answer");
        assert!(text_of(&reply["result"]).starts_with("there is no such workspace"), "{reply}");
    }
    let headers = [("Authorization", other.as_str()), ("Mcp-Session-Id", &theirs)];
    wait_for("the end of the session", || post(&server.server, &headers, &call(4, "git_status", json!({}))).status == 404);
    assert_critical(&server.get("/errors?window=60"), "security_breach");
    assert_logged(&server, "security_breach", Some(&theirs));
    assert!(ask(&own, &all, 1).message().is_some_and(|reply| reply["result"]["isError"] == false), "the owner's session continues");
    let asked = modern(&server.server, &[("Authorization", &other)], call(5, "git_status", json!({"workspace": their_own})));
    let text = text_of(&asked.message().expect("an answer")["result"]);
    assert!(text.starts_with("there is no such workspace"), "{text}");
    assert!(fixture.home.path().join("state/workspaces").join(&their_own).is_dir(), "nothing in it is lost");
}

#[test]
fn corrupted_session_state_closes_only_its_session() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let (id, other) = (session(&server.server, &[]), session(&server.server, &[]));
    drop(server);
    let address = store::Address::File(fixture.home.path().join("state/store.db"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let store = store::Store::open(&address).await.expect("the store").store;
        let mut row = store.session(&id).await.expect("the store").expect("the session");
        row.data = "{\"protocolVersion\": 7".to_owned();
        store.put_session(&row).await.expect("the store");
        store.close().await;
    });
    let server = Administered::start(&fixture, &[], &[]);
    let ask = |id: &str| post(&server.server, &[("Mcp-Session-Id", id)], &call(1, "git_status", json!({})));
    assert_eq!(ask(&id).status, 404);
    assert_critical(&server.get("/errors?window=60"), "corrupted_session_state");
    assert_logged(&server, "corrupted_session_state", Some(&id));
    assert!(ask(&other).message().is_some_and(|reply| reply["result"]["isError"] == false));
    assert_eq!(ask(&id).status, 404);
}

#[test]
fn authentication_failed_closes_no_other_session() {
    let fixture = Fixture::new();
    let (config, [all, ..]) = tokens(&fixture);
    let server = Administered::start(&fixture, &["--config", &config], &[]);
    let all = format!("Bearer {all}");
    let id = session(&server.server, &[("Authorization", &all)]);
    let ask = |token: &str, at: u32| {
        post(&server.server, &[("Authorization", token), ("Mcp-Session-Id", &id)], &call(at, "git_status", json!({})))
    };
    let refused = ask("Bearer wrong", 1);
    assert!(refused.status == 401 && refused.header("www-authenticate").is_some(), "{refused:?}");
    assert_critical(&server.get("/errors?window=60"), "authentication_failed");
    assert_logged(&server, "authentication_failed", None);
    assert_eq!(meaning(&server, "authentication_failed"), "critical: the request is refused");
    assert!(ask(&all, 2).message().is_some_and(|reply| reply["result"]["isError"] == false));
}

#[test]
fn recoverable_errors_say_when_to_retry() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    let fetch = || tool(&server, "git_fetch", json!({}));
    remote.breaks(Fault::Status(503));
    let unavailable = fetch();
    remote.breaks(Fault::Status(429));
    let limited = fetch();
    // Nothing listens there.
    fixture.git(&["remote", "set-url", "origin", "http://127.0.0.1:1/repo.git"]);
    let unreachable = fetch();
    fixture.write(".git/index.lock", "");
    let locked = tool(&server, "git_add", json!({"files": ["."]}));
    std::fs::remove_file(fixture.path.join(".git/index.lock")).expect("a lock");
    for (result, class) in [
        (unreachable, "network_timeout"),
        (unavailable, "temporary_resource_unavailable"),
        (limited, "rate_limit_exceeded"),
        (locked, "temporary_resource_unavailable"),
        (tool(&server, "git_grep", json!({"pattern": "o", "cursor": "5.0.00000000"})), "transient_validation_error"),
    ] {
        let answer = &result["structuredContent"];
        assert!(answer["class"] == class && answer["recoverable"] == true && answer["retry_after_ms"].is_u64(), "{class}: {result}");
        assert!(counted(&server.get("/errors?window=60"), class)["count"].as_u64() >= Some(1), "{class}");
    }
}

#[test]
fn each_error_of_a_session_is_logged_with_class_and_session() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    let id = session(&server.server, &[]);
    let ask = |message: Value| drop(post(&server.server, &[("Mcp-Session-Id", &id)], &message));
    remote.breaks(Fault::Status(503));
    ask(call(1, "git_fetch", json!({})));
    remote.breaks(Fault::Status(429));
    ask(call(2, "git_fetch", json!({})));
    fixture.git(&["remote", "set-url", "origin", "http://127.0.0.1:1/repo.git"]);
    ask(call(3, "git_fetch", json!({})));
    ask(call(4, "git_grep", json!({"pattern": "o", "cursor": "5.0.00000000"})));
    for class in ["network_timeout", "temporary_resource_unavailable", "rate_limit_exceeded", "transient_validation_error"] {
        assert_logged(&server, class, Some(&id));
    }
    ask(call(5, "git_show", json!({"revision": "nowhere"})));
    ask(call(6, "git_nope", json!({})));
    ask(json!({"jsonrpc": "2.0", "id": 7, "method": "no/such"}));
    ask(json!({"jsonrpc": "2.0", "id": 8, "method": "resources/read", "params": {"uri": "git://repo/commit/nowhere"}}));
    ask(json!({"jsonrpc": 7}));
    let logs = server.get(&format!("/logs?class=other&session={id}"));
    let records = logs["records"].as_array().expect("a list");
    let logged: Vec<&str> = records.iter().filter_map(|one| one["code"].as_str().or_else(|| one["reason"].as_str())).collect();
    assert_eq!(logged, ["not_found", "unknown_tool", "unknown_method", "not_found", "malformed_message"], "{logs}");
}

#[test]
fn only_idempotent_operations_are_retried() {
    let (fixture, remote) = published();
    fixture.write("a.txt", "more\n").commit("more");
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::Status(503));
    let asked = |name: &str| {
        let before = remote.requests();
        assert_eq!(tool(&server, name, json!({}))["structuredContent"]["class"], "temporary_resource_unavailable", "{name}");
        remote.requests() - before
    };
    assert_eq!((asked("git_fetch"), asked("git_push")), (3, 1));
}

#[test]
fn a_login_refused_by_a_remote_is_no_failed_login_here() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    let id = session(&server.server, &[]);
    remote.breaks(Fault::Locked);
    for at in 1..=3 {
        let fetched = post(&server.server, &[("Mcp-Session-Id", &id)], &call(at, "git_fetch", json!({}))).message().expect("an answer");
        assert_eq!(fetched["result"]["isError"], true, "{fetched}");
    }
    let errors = server.get("/errors?window=60");
    assert!(counted(&errors, "authentication_failed")["count"] == 0 && counted(&errors, "other")["count"] == 3, "{errors}");
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &id)], &call(4, "git_status", json!({}))).status, 200);
}

#[test]
fn repeatedly_forged_states_close_their_session() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let (id, other) = (session(&server.server, &[]), session(&server.server, &[]));
    for at in 1..=3 {
        let mut message = call(at, "git_reset", json!({"mode": "hard"}));
        message["params"]["requestState"] = json!("forged");
        let refused = post(&server.server, &[("Mcp-Session-Id", &id)], &message).message().expect("an answer");
        assert_eq!(refused["error"]["code"], -32602, "{refused}");
    }
    let headers = [("Mcp-Session-Id", id.as_str())];
    wait_for("the end of the session", || post(&server.server, &headers, &call(4, "git_status", json!({}))).status == 404);
    let errors = server.get("/errors?window=60");
    assert_critical(&errors, "security_breach");
    assert!(errors["reasons"].to_string().contains("\"forged_state\""), "{errors}");
    let logs = server.get(&format!("/logs?class=security_breach&session={id}"));
    let records = logs["records"].as_array().expect("a list");
    let logged: Vec<&str> = records.iter().filter_map(|one| one["message"].as_str()).collect();
    assert_eq!(logged, ["repeated security violations, handles revoked", "a session is closed for a fault"]);
    if support::has_store_of_its_own() {
        // There is one error of `other`, too: the unknown session. The more severe class is suggested.
        let suggested = out(&operate(&server, &["errors"]));
        assert!(suggested.contains("`mcp-server-git logs --class security_breach` shows"), "{suggested}");
    }
    assert_eq!(meaning(&server, "security_breach"), "critical: the session is closed");
    assert_eq!(server.get(&format!("/sessions/{id}"))["failed"]["class"], "security_breach");
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &other)], &call(1, "git_status", json!({}))).status, 200);
}

#[test]
fn a_websocket_with_forged_states_is_closed() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let mut socket = server.server.websocket(&[])?;
    socket.send(tungstenite::Message::text(initialize().to_string()))?;
    socket.read()?;
    for at in 1..=3 {
        let mut message = call(at, "git_reset", json!({"mode": "hard"}));
        message["params"]["requestState"] = json!("forged");
        socket.send(tungstenite::Message::text(message.to_string()))?;
    }
    let closed = loop {
        if let tungstenite::Message::Close(frame) = socket.read()? {
            break frame;
        }
    };
    assert!(closed.as_ref().is_some_and(|frame| u16::from(frame.code) == 1008), "{closed:?}");
    assert_critical(&server.get("/errors?window=60"), "security_breach");
    Ok(())
}

#[test]
fn errors_are_of_eight_classes_or_other() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let errors = server.get("/errors?window=60");
    let classes = errors["classes"].as_array().expect("a list").clone();
    let of = |kind: &str| classes.iter().filter(|one| one[kind] == true).filter_map(|one| one["class"].as_str()).collect::<Vec<_>>();
    assert_eq!(of("critical"), ["authentication_failed", "protocol_violation", "security_breach", "corrupted_session_state"]);
    let recoverable = ["network_timeout", "temporary_resource_unavailable", "rate_limit_exceeded", "transient_validation_error"];
    assert_eq!(of("recoverable"), recoverable);
    assert!(classes.len() == 9 && classes[8]["class"] == "other", "{errors}");
}
