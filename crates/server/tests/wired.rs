//! Each part that keeps the server up, observed through the running server.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use support::{
    Fixture, Outcome,
    admin::{Administered, code, hanging_commit, tool},
    program,
    remote::{Fault, OPEN, published, stalled},
    wire::{call, initialize, meta, modern, post, session, wait_for},
};

/// A git that writes down what it is asked to do.
fn recorded_git(fixture: &Fixture) -> (PathBuf, PathBuf) {
    let (script, record) = (fixture.home.path().join("git.sh"), fixture.home.path().join("calls"));
    fs::write(&script, format!("#!/bin/sh\necho \"$1\" >> '{}'\nexec git \"$@\"\n", record.display())).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script");
    (script, record)
}

/// Fetches until the circuit is open.
fn break_the_circuit(server: &Administered) {
    for _ in 0..5 {
        tool(server, "git_fetch", json!({}));
        if server.circuit("/fetch").is_some_and(|circuit| circuit["state"] == "open") {
            return;
        }
    }
    panic!("it stays closed: {:?}", server.circuit("/fetch"));
}

#[test]
fn circuit_stuck_open_starts_nothing() {
    let (fixture, remote) = published();
    let (git, record) = recorded_git(&fixture);
    let server = Administered::start(&fixture, &["--git", &git.display().to_string()], &OPEN);
    remote.breaks(Fault::Status(503));
    break_the_circuit(&server);
    let circuit = server.circuit("/fetch").expect("a circuit");
    assert!(circuit["failure_count"].as_u64() >= Some(5) && circuit["failure_threshold"] == 5, "{circuit}");
    let (asked, ran) = (remote.requests(), fs::read_to_string(&record).expect("a record"));
    let refused = tool(&server, "git_fetch", json!({}));
    assert!(code(&refused) == "circuit_open" && refused["structuredContent"]["retry_after_ms"].as_u64().is_some(), "{refused}");
    assert_eq!((asked, ran), (remote.requests(), fs::read_to_string(&record).expect("a record")));
}

#[test]
fn circuit_stuck_open_recovers_without_traffic() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_CIRCUIT_RECOVERY", "1")]].concat());
    remote.breaks(Fault::Status(503));
    break_the_circuit(&server);
    remote.breaks(Fault::None);
    wait_for("the circuit to close by itself", || server.circuit("/fetch").is_some_and(|circuit| circuit["state"] == "closed"));
    assert!(server.circuit("/fetch").is_some_and(|circuit| circuit["probes"].as_u64() >= Some(1)));
    assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
}

#[test]
fn circuit_of_pushes_is_not_that_of_fetches() {
    let (fixture, remote) = published();
    fixture.write("a.txt", "more\n").commit("more");
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::NoPush(503));
    for _ in 0..5 {
        assert_eq!(tool(&server, "git_push", json!({}))["isError"], true);
    }
    assert_eq!(code(&tool(&server, "git_push", json!({}))), "circuit_open");
    let fetched = tool(&server, "git_fetch", json!({}));
    assert_ne!(fetched["isError"], true, "{fetched}");
    assert_eq!(server.circuit("/fetch").expect("a circuit")["state"], "closed");
}

#[test]
fn circuit_is_not_opened_by_refusals() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    for fault in [Fault::Locked, Fault::Status(404), Fault::Status(403)] {
        remote.breaks(fault);
        for _ in 0..6 {
            assert_eq!(tool(&server, "git_fetch", json!({}))["isError"], true);
        }
    }
    let circuit = server.circuit("/fetch").expect("a circuit");
    assert!(circuit["state"] == "closed" && circuit["failure_count"] == 0, "{circuit}");
}

#[test]
fn circuit_is_reset_by_hand() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::Status(500));
    break_the_circuit(&server);
    let name = server.circuit("/fetch").expect("a circuit")["name"].clone();
    let (status, done) = server.post("/circuits/reset", &json!({"name": name}));
    assert!(status == 200 && done["reset"][0]["early"] == true, "{done}");
    assert_eq!(server.circuit("/fetch").expect("a circuit")["state"], "closed");
    assert_eq!(server.post("/circuits/reset", &json!({"name": "none"})).0, 404);
    remote.breaks(Fault::None);
    assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
}

#[test]
fn sessions_survive_the_end_of_their_server() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    let own = [("Mcp-Session-Id", id.as_str())];
    assert!(post(&server.server, &own, &call(1, "git_status", json!({}))).message().is_some());
    // Killed, not asked.
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(server.get(&format!("/sessions/{id}"))["state"], "kept");
    let answer = post(&server.server, &own, &call(2, "git_status", json!({})));
    assert!(answer.message().is_some_and(|reply| reply["result"]["isError"] != true), "{answer:?}");
    assert_eq!(server.get(&format!("/sessions/{id}"))["state"], "active");
    assert_eq!(server.server.send("DELETE", "/mcp", &own, b"").status / 100, 2);
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(post(&server.server, &own, &call(3, "git_status", json!({}))).status, 404, "an end is for good");
}

#[test]
fn sessions_are_listed_reaped_and_evicted() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_SESSIONS_MAX", "3")]);
    let ids: Vec<String> = (0..3).map(|_| session(&server.server, &[])).collect();
    let listed = server.get("/sessions");
    assert!(listed["total"] == 3 && listed["active"] == 3 && listed["error"] == 0, "{listed}");
    // One more: whoever has been idle longest goes.
    assert_eq!(post(&server.server, &[], &initialize()).status, 200);
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &ids[0])], &call(1, "git_status", json!({}))).status, 404);
    assert_eq!(server.get("/status")["evicted"], 1);
    let (_, reaped) = server.post("/sessions/reap", &json!({"idle": 0}));
    assert!(reaped["closed"].as_array().is_some_and(|closed| closed.len() == 3), "{reaped}");
    assert_eq!(server.get("/sessions")["total"], 0);
}

#[test]
fn heartbeats_are_seen_late_and_touched() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_HEARTBEAT_INTERVAL", "1"), ("MCP_GIT_HEARTBEAT_MISSED", "2")]);
    let id = session(&server.server, &[]);
    let beats = server.get("/heartbeats");
    assert!(beats["running"] == true && beats["interval_ms"] == 1000 && beats["missed_threshold"] == 2, "{beats}");
    wait_for("a late session", || server.get("/heartbeats")["sessions"][0]["late"] == true);
    assert!(server.get("/sessions?state=paused")["sessions"].as_array().is_some_and(|list| list.len() <= 1));
    assert_eq!(server.post("/sessions/touch", &json!({"id": id})).0, 200);
    assert_eq!(server.get("/heartbeats")["sessions"][0]["late"], false);
    // A clock that stands still is started again, and that is counted.
    let (status, done) = server.post("/recover", &json!({"component": "heartbeat"}));
    assert!(status == 200 && done["steps"][0]["ok"] == true, "{done}");
    wait_for("the clock", || server.get("/heartbeats")["running"] == true);
    assert_eq!(server.get("/heartbeats")["restarts"], 1);
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
    let count = |class: &str| {
        let found = errors["classes"].as_array().expect("a list").iter().find(|one| one["class"] == class);
        found.map(|one| one["count"].clone()).unwrap_or_default()
    };
    assert!(count("other") == 40 && count("rate_limit_exceeded") == 1, "{errors}");
    assert!(errors["spikes"][0]["class"] == "other" && errors["burning"][0]["class"] == "other", "{errors}");
    let calm = server.get("/errors?window=60&threshold=1000");
    assert_eq!(calm["spikes"], json!([]));
}

#[test]
fn errors_are_remembered_after_the_end_of_a_server() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for _ in 0..3 {
        tool(&server, "git_show", json!({"revision": "nowhere"}));
    }
    Command::new("kill").args(["-TERM", &server.server.child.id().to_string()]).status().expect("kill");
    wait_for("the end", || !fixture.home.path().join("admin").exists());
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    let errors = server.get("/errors?window=3600");
    let other = errors["classes"].as_array().expect("a list").iter().find(|one| one["class"] == "other").cloned();
    assert_eq!(other.map(|one| one["count"].clone()), Some(json!(3)), "{errors}");
}

#[test]
fn critical_errors_close_their_session_alone() -> Outcome {
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
    let count = errors["classes"].as_array().expect("a list").iter().find(|one| one["class"] == "protocol_violation").cloned();
    assert!(count.as_ref().is_some_and(|one| one["count"] == 1 && one["critical"] == true), "{errors}");
    assert!(post(&server.server, &[("Mcp-Session-Id", &other)], &call(1, "git_status", json!({}))).message().is_some());
    Ok(())
}

#[test]
fn operations_that_were_cut_off_are_reported() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let stream = hanging_commit(&fixture, &server);
    let running = server.get("/operations");
    assert!(running["operations"][0]["tool"] == "git_commit" && running["operations"][0]["state"] == "running", "{running}");
    for pid in support::descendants(server.server.child.id()) {
        support::shell(Path::new("/"), &format!("kill -KILL {pid} 2>/dev/null || true"));
    }
    drop((stream, server));
    let server = Administered::start(&fixture, &[], &[]);
    let status = server.get("/status");
    assert!(status["interrupted"][0].as_str().is_some_and(|what| what.contains("git_commit")), "{status}");
    let listed = server.get(&format!("/operations?repository={}", fixture.path.join(".git").display()));
    assert_eq!(listed["operations"][0]["state"], "interrupted", "{listed}");
}

#[test]
fn resources_are_listed_while_they_are_held() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let _stream = hanging_commit(&fixture, &server);
    let held = server.get("/resources");
    let kinds: Vec<&str> = held["resources"].as_array().expect("a list").iter().filter_map(|one| one["kind"].as_str()).collect();
    assert!(kinds.contains(&"lock") && kinds.contains(&"child"), "{held}");
    let lock = held["resources"].as_array().expect("a list").iter().find(|one| one["kind"] == "lock").expect("a lock").clone();
    assert_eq!(server.post("/resources/release", &json!({"id": lock["id"]})).0, 409, "it is in use");
    let (status, why) = server.post("/resources/release", &json!({"id": "lock_999"}));
    assert!(status == 404 && why["error"].as_str().is_some_and(|why| why.contains("not found for release")), "{why}");
    assert_eq!(server.post("/reap", &json!({"age": 0})).1["reaped"], 0, "what is in flight stays");
}

#[test]
fn emergency_recovery_does_its_five_steps_and_the_server_goes_on() {
    let (fixture, _remote) = stalled();
    let server = Administered::start(&fixture, &[], &OPEN);
    let _commit = hanging_commit(&fixture, &server);
    let (status, done) = server.post("/recover", &json!({}));
    let steps: Vec<&str> = done["steps"].as_array().expect("steps").iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!(steps[..4], ["stop operations", "clear caches", "reset circuits", "close sessions"]);
    assert!(status == 200 && done["ok"] == true && steps.contains(&"restart heartbeat"), "{done}");
    assert_eq!(server.get("/sessions")["total"], 0);
    assert!(server.get("/operations")["operations"].as_array().is_some_and(Vec::is_empty));
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    assert!(!fixture.path.join(".git/index.lock").exists());
}

#[test]
fn a_damaged_store_is_put_aside_and_a_newer_one_refused() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    session(&server.server, &[]);
    drop(server);
    let path = fixture.home.path().join("state/store.db");
    for ending in ["-wal", "-shm"] {
        fs::remove_file(path.with_extension(format!("db{ending}"))).unwrap_or_default();
    }
    fs::write(&path, vec![7; 8192]).expect("a file");
    let server = Administered::start(&fixture, &[], &[]);
    let aside = server.get("/status")["store"]["quarantined"].as_str().map(PathBuf::from).expect("a place");
    assert_eq!(fs::read(aside).expect("what was damaged"), vec![7; 8192]);
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
}

#[test]
fn without_its_store_the_server_goes_on() {
    let fixture = Fixture::new();
    fixture.write("../blocked", "a file, and no folder");
    let store = format!("sqlite:{}", fixture.home.path().join("blocked/store.db").display());
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_STORE_URL", &store)]);
    let health = server.server.send("GET", "/readyz?verbose", &[], b"");
    assert!(health.status == 200 && health.message().is_some_and(|health| health["status"] == "degraded"), "{health:?}");
    let id = session(&server.server, &[]);
    fixture.write("a.txt", "changed\n");
    let added = post(&server.server, &[("Mcp-Session-Id", &id)], &call(1, "git_add", json!({"files": ["a.txt"]})));
    assert!(added.message().is_some_and(|reply| reply["result"]["isError"] != true), "{added:?}");
    assert_ne!(tool(&server, "git_commit", json!({"message": "without a store"}))["isError"], true);
    let undone = tool(&server, "git_undo", json!({}));
    assert_eq!(code(&undone), "unavailable", "what was last cannot be told: {undone}");
    drop(server);
    // When it is back it learns what it has missed.
    let server = Administered::start(&fixture, &[], &[]);
    let offered = support::text_of(&tool(&server, "git_undo", json!({})));
    let (name, args) = support::call_in(offered.split("take it back: ").nth(1).expect("a call"));
    let undone = tool(&server, &name, args);
    assert_ne!(undone["isError"], true, "{undone}");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"2\n", "{undone}");
    let listed = server.get(&format!("/operations?repository={}", fixture.path.join(".git").display()));
    assert!(listed["operations"].as_array().is_some_and(|list| list.iter().any(|one| one["tool"] == "git_commit")), "{listed}");
}

#[test]
fn a_drained_server_finishes_what_it_has_and_takes_nothing_new() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(server.server.send("GET", "/health", &[], b"").status, 200);
    let (status, done) = server.post("/drain", &json!({"timeout": 5}));
    assert!(status == 200 && done["left"] == 0, "{done}");
    assert_eq!(server.get("/status")["phase"], "draining");
    wait_for("the end of the listening", || std::net::TcpStream::connect(("127.0.0.1", server.server.port)).is_err());
}

#[test]
fn restarts_under_load_lose_no_call_and_no_session() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &["--supervised"], &[]);
    let (failed, made, over) = (Mutex::new(Vec::new()), AtomicUsize::new(0), AtomicBool::new(false));
    let reconnected = AtomicUsize::new(0);
    let ids: Vec<String> = (0..8).map(|_| session(&server.server, &[])).collect();
    std::thread::scope(|scope| {
        for id in &ids {
            let (server, over, failed, made) = (&server, &over, &failed, &made);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let newest = modern(&server.server, &[], call(1, "git_status", json!({})));
                    let older = post(&server.server, &[("Mcp-Session-Id", id)], &call(fresh(made), "git_status", json!({})));
                    for reply in [newest, older] {
                        if !reply.message().is_some_and(|message| message["result"]["isError"] == false) {
                            failed.lock().expect("the failures").push(format!("{reply:?}"));
                        }
                    }
                }
            });
            // A WebSocket cannot be handed over: its client connects again, and then every call is answered.
            let reconnected = &reconnected;
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    let mut socket = match server.server.websocket(&[]) {
                        Ok(socket) => socket,
                        Err(err) => return failed.lock().expect("the failures").push(format!("no WebSocket: {err}")),
                    };
                    reconnected.fetch_add(1, Ordering::SeqCst);
                    let mut message = call(1, "git_status", json!({}));
                    message["params"]["_meta"] = meta(&json!({}));
                    while !over.load(Ordering::SeqCst) && socket.send(tungstenite::Message::text(message.to_string())).is_ok() {
                        match socket.read() {
                            Ok(tungstenite::Message::Text(text)) if !text.contains("\"isError\":false") => {
                                failed.lock().expect("the failures").push(text.to_string());
                            }
                            Ok(tungstenite::Message::Close(_)) | Err(_) => break,
                            Ok(_) => {}
                        }
                    }
                }
            });
        }
        let mut pids = vec![server.get("/status")["pid"].clone()];
        for round in 1..=5 {
            wait_for("every WebSocket", || reconnected.load(Ordering::SeqCst) >= 8 * round);
            let (status, done) = server.post("/restart", &json!({"timeout": 10}));
            assert_eq!(status, 200, "{done}");
            pids.push(done["successor"].clone());
            assert_eq!(server.get("/status")["pid"], done["successor"]);
            let calls = made.load(Ordering::SeqCst);
            wait_for("calls of the successor", || made.load(Ordering::SeqCst) > calls + 8);
        }
        pids.dedup();
        assert_eq!(pids.len(), 6);
        over.store(true, Ordering::SeqCst);
    });
    let failed = failed.into_inner().expect("the failures");
    assert!(failed.is_empty(), "{} of {} calls, as {:?}", failed.len(), made.load(Ordering::SeqCst), failed.first());
    // Killed, it is started again.
    Command::new("kill").args(["-KILL", &server.get("/status")["pid"].to_string()]).status().expect("kill");
    wait_for("another server", || post(&server.server, &[("Mcp-Session-Id", &ids[0])], &call(1, "git_status", json!({}))).status == 200);
}

/// An id that no other request of the session has.
fn fresh(made: &AtomicUsize) -> u32 {
    u32::try_from(made.fetch_add(1, Ordering::SeqCst)).unwrap_or_default() + 10
}

#[test]
fn an_open_stream_does_not_hold_a_restart() {
    use std::io::{Read, Write};
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &["--supervised"], &[]);
    let id = session(&server.server, &[]);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.server.port)).expect("a connection");
    let head = format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {id}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("the server reads");
    let mut first = [0; 16];
    stream.read_exact(&mut first).expect("the stream");
    let old = server.get("/status")["pid"].clone();
    let restarted = program().args(["restart", "--drain", "1s", "--socket"]).arg(&server.socket).output().expect("the program");
    assert!(restarted.status.success() && String::from_utf8_lossy(&restarted.stdout).contains(&old.to_string()), "{restarted:?}");
    wait_for("the end of the old one", || !Path::new("/proc").join(old.to_string()).exists());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end of the stream");
    assert!(post(&server.server, &[("Mcp-Session-Id", &id)], &call(1, "git_status", json!({}))).message().is_some());
}

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

#[test]
fn without_a_supervisor_there_is_no_restart() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let (status, why) = server.post("/restart", &json!({}));
    assert!(status == 409 && why["error"].as_str().is_some_and(|why| why.contains("--supervised")), "{why}");
}
