//! docs/GUIDE.md, section 4: sessions and heartbeats.

use crate::support::{
    Fixture, Outcome,
    admin::{Administered, operate},
    out,
    wire::{call, initialize, post, session, wait_for},
};
use serde_json::json;
use std::io::{Read, Write};

#[test]
fn sessions_survive_the_end_of_their_server() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    let own = [("Mcp-Session-Id", id.as_str())];
    assert!(post(&server.server, &own, &call(1, "git_status", json!({}))).message().is_some());
    // Killed without a shutdown.
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(server.get(&format!("/sessions/{id}"))["state"], "kept");
    let answer = post(&server.server, &own, &call(2, "git_status", json!({})));
    assert!(answer.message().is_some_and(|reply| reply["result"]["isError"] != true), "{answer:?}");
    assert_eq!(server.get(&format!("/sessions/{id}"))["state"], "active");
    assert_eq!(server.server.send("DELETE", "/mcp", &own, b"").status / 100, 2);
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(post(&server.server, &own, &call(3, "git_status", json!({}))).status, 404, "a closed session stays closed");
}

#[test]
fn a_deleted_session_ends_although_its_client_hangs_up() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for _ in 0..20 {
        let id = session(&server.server, &[]);
        let head = format!("DELETE /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nMcp-Session-Id: {id}\r\n\r\n", server.server.port);
        server.server.connect().write_all(head.as_bytes()).expect("the server reads");
    }
    wait_for("the end of all sessions", || server.get("/sessions")["total"] == 0);
}

#[test]
fn a_kept_session_is_not_lost_while_all_others_are_busy() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let kept = session(&server.server, &[]);
    drop(server);
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_SESSIONS_MAX", "1")]);
    let busy = session(&server.server, &[]);
    let mut stream = server.server.connect();
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: text/event-stream\r\nMcp-Session-Id: {busy}\r\n\r\n",
        server.server.port
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    wait_for("the stream", || server.get(&format!("/sessions/{busy}"))["in_flight"] == 1);
    let own = [("Mcp-Session-Id", kept.as_str())];
    assert_eq!(post(&server.server, &own, &call(1, "git_status", json!({}))).status, 503);
    drop(stream);
    wait_for("the end of the stream", || server.get(&format!("/sessions/{busy}"))["in_flight"] == 0);
    assert_eq!(post(&server.server, &own, &call(2, "git_status", json!({}))).status, 200);
}

#[test]
fn sessions_are_listed_reaped_and_evicted() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_SESSIONS_MAX", "3")]);
    let ids: Vec<String> = (0..3).map(|_| session(&server.server, &[])).collect();
    let listed = server.get("/sessions");
    assert!(listed["total"] == 3 && listed["active"] == 3 && listed["error"] == 0, "{listed}");
    // One more: the session idle for longest is evicted.
    assert_eq!(post(&server.server, &[], &initialize()).status, 200);
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &ids[0])], &call(1, "git_status", json!({}))).status, 404);
    assert_eq!(server.get("/status")["evicted"], 1);
    let ends = |id: &str| {
        let logs = server.get(&format!("/logs?level=INFO&session={id}"));
        let all = logs["records"].as_array().cloned().unwrap_or_default();
        all.iter().filter(|one| one["message"] == "a session is closed").map(|one| one["why"].clone()).collect::<Vec<_>>()
    };
    assert_eq!((ends(&ids[0]), ends(&ids[1])), (vec![json!("evicted")], vec![]));
    let (_, reaped) = server.post("/sessions/reap", &json!({"idle": 0}));
    assert!(reaped["closed"].as_array().is_some_and(|closed| closed.len() == 3), "{reaped}");
    assert_eq!(server.get("/sessions")["total"], 0);
    assert_eq!(ends(&ids[1]), [json!("idle")]);
}

#[test]
fn the_verdict_on_idle_sessions_advises_the_duration_in_force() {
    let fixture = Fixture::new();
    // Idle after two heartbeats.
    let variables = [("MCP_GIT_HEARTBEAT_INTERVAL", "1"), ("MCP_GIT_SESSIONS_IDLE_WARN", "1")];
    let server = Administered::start(&fixture, &[], &variables);
    let ids = [session(&server.server, &[]), session(&server.server, &[])];
    let verdict = || out(&operate(&server, &["status"]));
    let advice = "  2 sessions are idle. Next: mcp-server-git sessions reap --idle 2s\n";
    wait_for("the verdict", || verdict().contains(advice));
    let listed = out(&operate(&server, &["sessions", "list"]));
    assert!(listed.contains("`mcp-server-git sessions reap --idle 2s` closes those idle for 2s."), "{listed}");
    let reaped = out(&operate(&server, &["sessions", "reap", "--idle", "2s"]));
    assert!(reaped.starts_with("Closed sessions: 2\n") && ids.iter().all(|id| reaped.contains(id)), "{reaped}");
    assert!(!verdict().contains("idle"), "{}", verdict());
}

#[test]
fn late_heartbeats_are_reported_and_touched() -> Outcome {
    let fixture = Fixture::new();
    // Late after two beats, and closed only after eight: time enough to check in between.
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_HEARTBEAT_INTERVAL", "1"), ("MCP_GIT_HEARTBEAT_MISSED", "8")]);
    let id = session(&server.server, &[]);
    let beats = server.get("/heartbeats");
    assert!(beats["running"] == true && beats["interval_ms"] == 1000 && beats["missed_threshold"] == 8, "{beats}");
    // An unread WebSocket answers no ping. Over HTTP there are no pings, and silence is no fault.
    let mut socket = server.server.websocket(&[])?;
    socket.send(tungstenite::Message::text(initialize().to_string()))?;
    let of = |kind: &str| {
        let beats = server.get("/heartbeats");
        beats["sessions"].as_array().into_iter().flatten().find(|one| one["kind"] == kind).cloned().unwrap_or_default()
    };
    wait_for("a late session", || of("websocket")["late"] == true);
    let late = of("websocket")["id"].clone();
    wait_for("the end of its lateness", || {
        assert_eq!(server.post("/sessions/touch", &json!({"id": late})).0, 200);
        of("websocket")["late"] == false
    });
    wait_for("a silent session", || server.get(&format!("/sessions/{id}"))["state"] == "paused");
    assert!(of("http")["late"] == false && of("http")["owes_beats"] == false, "{}", of("http"));
    // An unresponsive one is closed, with the reason in the close frame.
    wait_for("the end of the socket", || of("websocket").is_null());
    let mut rest = Vec::new();
    if let tungstenite::stream::MaybeTlsStream::Plain(stream) = socket.get_mut() {
        stream.read_to_end(&mut rest)?;
    }
    let close = [&1011_u16.to_be_bytes()[..], b"no answer to pings"].concat();
    assert!(rest.ends_with(&close), "{:?}", String::from_utf8_lossy(&rest));
    // A stopped heartbeat clock is restarted, and that is counted.
    let (status, done) = server.post("/recover", &json!({"component": "heartbeat"}));
    assert!(status == 200 && done["steps"][0]["ok"] == true, "{done}");
    wait_for("the clock", || server.get("/heartbeats")["running"] == true);
    assert_eq!(server.get("/heartbeats")["restarts"], 1);
    Ok(())
}

#[test]
fn session_ids_are_generated_by_the_server() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let chosen = post(&server.server, &[("Mcp-Session-Id", "mine")], &initialize());
    assert!(chosen.status == 404 && chosen.header("mcp-session-id").is_none(), "{chosen:?}");
    assert_eq!(server.get("/sessions")["total"], 0);
    let (one, other) = (session(&server.server, &[]), session(&server.server, &[]));
    assert!(one != other && one.len() >= 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one} {other}");
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", "mine")], &call(1, "git_status", json!({}))).status, 404);
}

#[test]
fn the_longest_idle_sessions_are_evicted_in_batches() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_MAX_CONCURRENT_SESSIONS", "30")]);
    let status = |id: &str| post(&server.server, &[("Mcp-Session-Id", id)], &call(1, "git_status", json!({}))).status;
    let ids: Vec<String> = (0..30).map(|_| session(&server.server, &[])).collect();
    // The oldest is in use.
    assert_eq!((server.get("/sessions")["max"].clone(), status(&ids[0])), (json!(30), 200));
    session(&server.server, &[]);
    // A tenth of them at once.
    assert_eq!((server.get("/status")["evicted"].clone(), server.get("/sessions")["total"].clone()), (json!(3), json!(28)));
    assert_eq!((status(&ids[0]), status(&ids[1]), status(&ids[29])), (200, 404, 200));
    let reaped = operate(&server, &["sessions", "reap", "--oldest", "2"]);
    assert!(reaped.status.success() && out(&reaped).starts_with("Closed sessions: 2\n"), "{reaped:?}");
    drop(server);
    let variables = [("MCP_GIT_SESSIONS_MAX", "30"), ("MCP_GIT_SESSIONS_EVICT_BATCH", "1")];
    let server = Administered::start_as("one", &fixture, &[], &variables);
    for _ in 0..31 {
        session(&server.server, &[]);
    }
    assert_eq!((server.get("/status")["evicted"].clone(), server.get("/sessions")["total"].clone()), (json!(1), json!(30)));
}

#[test]
fn an_expired_session_is_removed_from_every_table() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_SESSION_TIMEOUT", "1")]);
    let id = session(&server.server, &[]);
    wait_for("the end of the session", || server.get("/sessions")["total"] == 0);
    let listed = operate(&server, &["sessions", "list"]);
    assert!(out(&listed).starts_with("Total sessions: 0\n") && !out(&listed).contains(&id), "{listed:?}");
    wait_for("the store to forget it", || operate(&server, &["sessions", "show", &id]).status.code() == Some(3));
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &id)], &call(1, "git_status", json!({}))).status, 404);
    let figures = server.metrics();
    assert!(figures.contains("_sessions_closed_total{reason=\"idle\"} 1"), "{figures}");
}

#[test]
fn a_websocket_close_has_a_code_and_a_reason_and_is_counted() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for (args, code, reason) in [
        (&["sessions", "reap", "--idle", "0s"][..], 1001, "idle"),
        (&["sessions", "reap", "--oldest", "1"], 1013, "evicted"),
        (&["recover", "--emergency"], 1012, "recovery"),
        (&["sessions", "close"], 1001, "operator"),
    ] {
        let mut socket = server.server.websocket(&[])?;
        socket.send(tungstenite::Message::text(initialize().to_string()))?;
        socket.read()?;
        let id = server.get("/sessions")["sessions"][0]["id"].as_str().ok_or("a session")?.to_owned();
        let named = if reason == "operator" { &[id.as_str()][..] } else { &[] };
        let done = operate(&server, &[args, named].concat());
        assert!(done.status.success(), "{reason}: {done:?}");
        let closed = loop {
            if let tungstenite::Message::Close(frame) = socket.read()? {
                break frame.ok_or("a reason")?;
            }
        };
        assert_eq!(u16::from(closed.code), code, "{reason}: {closed:?}");
        let figures = server.metrics();
        assert!(figures.contains(&format!("_sessions_closed_total{{reason=\"{reason}\"}} 1")), "{reason}: {figures}");
    }
    Ok(())
}
