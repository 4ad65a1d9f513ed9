//! docs/GUIDE.md, sections 1 and 10: how a server starts, reloads its configuration, drains, resumes and ends.

use crate::support::{
    self, Client, Fixture, Outcome,
    admin::{Administered, ServiceManager, commit_with_hook, hanging_commit, held_commit, operate, tool},
    out, program, programs, signal,
    tokens::tokens,
    wire::{Served, call, initialize, modern, post, session, wait_for},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::Duration,
};

#[test]
fn sighup_reloads_the_configuration_and_an_invalid_one_changes_nothing() {
    for supervised in [false, true] {
        let fixture = Fixture::new();
        let file = fixture.home.path().join("config.toml");
        fs::write(&file, "[limits]\nmax_output_tokens = 500\n").expect("a file");
        let name = file.display().to_string();
        let args = if supervised { &["--config", &name, "--supervised"][..] } else { &["--config", &name] };
        let server = Administered::start(&fixture, args, &[]);
        let configuration = || server.get("/status")["configuration"].clone();
        let first = server.get("/status")["pid"].clone();
        let own = json!(server.server.child.id());
        assert_eq!(first == own, !supervised);
        fixture.write("long.txt", "a line of text\n".repeat(1000)).commit("long");
        let shown = || support::text_of(&tool(&server, "git_show", json!({"revision": "HEAD:long.txt"}))).len();
        let short = shown();
        fs::write(&file, "port = 1\n[limits]\nmax_output_tokens = 5000\n[log]\nlevel = \"info\"\n").expect("a file");
        signal(&own, "HUP");
        wait_for("the new level", || configuration()["log_level"] == "info");
        assert_eq!(configuration()["needs_restart"], json!(["port"]));
        assert!(shown() > 2 * short, "{} and {short}", shown());
        // An invalid file is reported, and changes nothing.
        fs::write(&file, "[limits]\nmax_output_tokens = \"many\"\n").expect("a file");
        signal(&own, "HUP");
        wait_for("the refusal", || configuration()["failed"].as_str().is_some_and(|why| why.contains("max_output_tokens")));
        assert!(shown() > 2 * short && configuration()["log_level"] == "info");
        let status = operate(&server, &["status"]);
        assert!(status.status.code() == Some(1) && out(&status).contains("Configuration not reloaded"), "{}", out(&status));
        // The named command finds the same fault.
        let next = out(&status).lines().find_map(|line| line.split_once("Next: mcp-server-git ").map(|(_, next)| next.to_owned()));
        let checked = program().args(next.expect("a command").split(' ')).output().expect("the program runs");
        assert!(checked.status.code() == Some(1) && out(&checked).contains("max_output_tokens"), "{checked:?}");
        fs::write(&file, "[limits]\nmax_output_tokens = 500\n").expect("a file");
        signal(&own, "HUP");
        wait_for("the first again", || configuration()["failed"].is_null() && configuration()["log_level"] == "warn");
        assert_eq!(shown(), short);
        assert_eq!(server.get("/status")["pid"], first, "it is the same process");
    }
}

#[test]
fn sighup_revokes_tokens() {
    let fixture = Fixture::new();
    let (config, [all, reader, _]) = tokens(&fixture);
    let server = Administered::start(&fixture, &["--config", &config], &[]);
    let (all, reader) = (format!("Bearer {all}"), format!("Bearer {reader}"));
    let status = |token: &str| modern(&server.server, &[("Authorization", token)], call(1, "git_status", json!({}))).status;
    let open = session(&server.server, &[("Authorization", &reader)]);
    assert_eq!((status(&all), status(&reader)), (200, 200));
    let text = fs::read_to_string(&config).expect("a file");
    let kept: Vec<&str> = text.split("[[auth.tokens]]").filter(|part| !part.contains("name = \"reader\"")).collect();
    fs::write(&config, kept.join("[[auth.tokens]]")).expect("a file");
    let reload = || signal(&server.server.child.id(), "HUP");
    reload();
    wait_for("the end of the token", || status(&reader) == 401);
    assert_eq!(status(&all), 200);
    let is_open = |id: &str| server.get("/sessions")["sessions"].as_array().is_some_and(|all| all.iter().any(|one| one["id"] == *id));
    wait_for("the end of its session", || !is_open(&open));
    // For existing sessions, a token with fewer scopes is another token.
    let open = session(&server.server, &[("Authorization", &all)]);
    assert!(is_open(&open));
    fs::write(&config, kept.join("[[auth.tokens]]").replace("\"read\", \"write\", \"network\"", "\"read\"")).expect("a file");
    reload();
    wait_for("the end of its session", || !is_open(&open));
    assert_eq!(status(&all), 200, "it is accepted with its remaining scopes");
    let counted = server.metrics();
    assert!(counted.contains("_sessions_closed_total{reason=\"revoked\"} 2"), "{counted}");
}

#[test]
fn a_server_without_tokens_reports_that_new_ones_need_a_restart() {
    let fixture = Fixture::new();
    let (with_tokens, _) = tokens(&fixture);
    let file = fixture.home.path().join("open.toml");
    fs::write(&file, "").expect("a file");
    let server = Administered::start(&fixture, &["--config", &file.display().to_string()], &[]);
    fs::copy(with_tokens, &file).expect("a file");
    signal(&server.server.child.id(), "HUP");
    let waits =
        || server.get("/status")["configuration"]["needs_restart"].as_array().is_some_and(|keys| keys.contains(&json!("auth.tokens")));
    wait_for("the new configuration", waits);
    let status = operate(&server, &["status"]);
    assert!(status.status.code() == Some(1) && out(&status).contains("not required until a restart"), "{}", out(&status));
    assert_eq!(modern(&server.server, &[], call(1, "git_status", json!({}))).status, 200);
}

#[test]
fn a_drained_server_reports_it_and_resumes() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    let mut socket = server.server.websocket(&[])?;
    socket.send(tungstenite::Message::text(initialize().to_string()))?;
    socket.read()?;
    let mut stream = TcpStream::connect(("127.0.0.1", server.server.port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    write!(stream, "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {id}\r\n\r\n")?;
    let (gate, mut commit) = held_commit(&fixture, &server);
    let ask = || modern(&server.server, &[], call(1, "git_status", json!({})));
    std::thread::scope(|scope| -> Outcome {
        let draining = scope.spawn(|| server.post("/drain", &json!({"timeout": 30})));
        wait_for("the drain", || server.get("/status")["phase"] == "draining");
        // New requests are refused with the code, and before any upgrade.
        let refused = ask();
        assert!(refused.status == 503 && refused.header("retry-after") == Some("1"), "{refused:?}");
        assert_eq!(refused.message().expect("an error")["error"]["data"]["code"], "draining");
        let upgrade = server.server.websocket(&[]);
        assert!(matches!(&upgrade, Err(tungstenite::Error::Http(response)) if response.status() == 503), "{upgrade:?}");
        let own = [("Accept", "text/event-stream"), ("Mcp-Session-Id", id.as_str())];
        assert_eq!(server.server.send("GET", "/mcp", &own, b"").status, 503);
        let health = server.server.send("GET", "/health", &[], b"");
        assert!(health.status == 503 && health.body.contains("draining"), "{health:?}");
        // Running calls finish and are answered; listening streams are closed.
        gate.open();
        let (_, done) = draining.join().expect("the drain");
        assert_eq!(done["left"], 0);
        Ok(())
    })?;
    let mut answer = String::new();
    commit.set_read_timeout(Some(Duration::from_mins(1)))?;
    commit.read_to_string(&mut answer)?;
    assert!(answer.contains("\"isError\":false"), "{answer}");
    stream.read_to_string(&mut String::new())?;
    let closed = loop {
        if let tungstenite::Message::Close(frame) = socket.read()? {
            break frame.expect("a reason");
        }
    };
    assert!(u16::from(closed.code) == 1012 && closed.reason.contains("draining"), "{closed:?}");
    // `resume` ends the drain, and so does the recovery.
    let resumed = operate(&server, &["resume"]);
    assert!(resumed.status.success() && out(&resumed).contains("Phase: ready"), "{resumed:?}");
    assert_eq!(operate(&server, &["resume"]).status.code(), Some(1));
    assert_eq!((ask().status, server.server.send("GET", "/health", &[], b"").status), (200, 200));
    server.post("/drain", &json!({"timeout": 0}));
    assert_eq!(ask().status, 503);
    let recovered = operate(&server, &["recover", "--emergency"]);
    assert!(recovered.status.success() && out(&recovered).contains("resume: ok (was draining, is ready)"), "{recovered:?}");
    assert_eq!(ask().status, 200);
    Ok(())
}

#[test]
fn over_standard_input_a_drained_server_refuses_calls() {
    let fixture = Fixture::new();
    let socket = fixture.home.path().join("admin");
    let state = fixture.home.path().join("state");
    let (path, state) = (fixture.path.display().to_string(), state.display().to_string());
    let channel = socket.display().to_string();
    let mut client = Client::start(&["-r", &path, "--state-dir", &state], &[("MCP_GIT_ADMIN_SOCKET", &channel)]);
    client.initialize();
    fixture.write("a.txt", "changed\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    wait_for("the admin channel", || socket.exists());
    let operate = |args: &[&str]| program().args(args).arg("--socket").arg(&socket).output().expect("the program runs");
    assert!(operate(&["drain", "--timeout", "5s"]).status.success());
    let refused = client.result("git_status", &json!({}));
    assert!(refused["isError"] == true && refused["structuredContent"]["recoverable"] == true, "{refused}");
    assert!(operate(&["resume"]).status.success());
    client.text("git_status", &json!({}));
}

#[test]
fn emergency_recovery_counts_what_it_stops_and_raises_no_alarm() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let first = hanging_commit(&fixture, &server);
    let waiting = 40;
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..waiting)
            .map(|id| {
                let server = &server;
                scope.spawn(move || modern(&server.server, &[], call(id, "git_commit", json!({"message": "waits", "allow_empty": true}))))
            })
            .collect();
        let change = || server.get("/status")["calls"].as_array().into_iter().flatten().find(|one| one["class"] == "change").cloned();
        wait_for("the queue", || change().is_some_and(|change| change["waiting_for_worktree"] == waiting));
        let change = change().expect("changes");
        assert_eq!(change["waiting"], waiting, "{change}");
        let recovered = operate(&server, &["recover", "--emergency"]);
        let said = out(&recovered);
        assert!(recovered.status.success() && said.contains(&format!("{} running or waiting, 0 left", waiting + 1)), "{said}");
        for call in calls {
            let result = call.join().expect("a call").message().expect("an answer")["result"].clone();
            let report = &result["structuredContent"];
            assert!(report["code"] == "stopped" && report["recoverable"] == true, "{result}");
        }
    });
    drop(first);
    let errors = server.get("/errors?window=60");
    assert_eq!(errors["spikes"], json!([]), "{errors}");
    let reasons = errors["reasons"].as_array().expect("a list").clone();
    assert!(reasons.iter().any(|one| one["reason"] == "stopped" && one["count"].as_u64() >= Some(waiting.into())), "{errors}");
}

#[test]
fn a_flood_of_changes_is_seen_in_status() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let _first = hanging_commit(&fixture, &server);
    let change = || server.get("/status")["calls"].as_array().into_iter().flatten().find(|one| one["class"] == "change").cloned();
    std::thread::scope(|scope| {
        for id in 0..150 {
            let server = &server;
            scope.spawn(move || modern(&server.server, &[], call(id, "git_commit", json!({"message": "waits", "allow_empty": true}))));
        }
        wait_for("the flood", || change().is_some_and(|change| change["waiting"] == 128 && change["rejected"].as_u64() >= Some(22)));
        let said = out(&operate(&server, &["status"]));
        assert!(said.contains("128 of the waiting change calls queue behind another change in their worktree."), "{said}");
        server.post("/recover", &json!({}));
    });
}

#[test]
fn the_service_manager_is_notified() {
    for supervised in [false, true] {
        let fixture = Fixture::new();
        let manager = ServiceManager::new(&fixture);
        let args = if supervised { &["--supervised"][..] } else { &[] };
        let server = Administered::start(&fixture, args, &[("NOTIFY_SOCKET", &manager.address)]);
        assert_eq!(manager.receive(), "READY=1");
        if !supervised {
            signal(&server.server.child.id(), "HUP");
            assert!(manager.receive().starts_with("RELOADING=1\nMONOTONIC_USEC="));
            assert_eq!(manager.receive(), "READY=1");
        }
        signal(&server.server.child.id(), "TERM");
        assert_eq!(manager.receive(), "STOPPING=1");
    }
}

#[test]
fn a_restart_reports_its_steps() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &["--supervised"], &[]);
    let id = session(&server.server, &[]);
    // The restart waits for it.
    let _commit = commit_with_hook(&fixture, &server, "sleep 2");
    let restarted = operate(&server, &["restart", "--drain", "20s"]);
    let said = out(&restarted);
    assert!(restarted.status.success(), "{said}");
    for (at, step) in ["start the successor", "stop accepting", "drain", "save", "shut down", "restore"].iter().enumerate() {
        assert!(said.contains(&format!("{}. {step}: ok", at + 1)), "{step}: {said}");
    }
    let has_own = support::has_store_of_its_own();
    if has_own {
        assert!(
            said.contains("(0 sessions restored by process ") && said.contains(" so far, 2 kept until their clients' next requests)"),
            "{said}"
        );
        assert_eq!(server.get("/sessions")["kept"], 2);
    }
    assert_eq!(post(&server.server, &[("Mcp-Session-Id", &id)], &call(2, "git_status", json!({}))).status, 200);
    if has_own {
        let listed = out(&operate(&server, &["sessions", "list"]));
        assert!(listed.starts_with("Total sessions: 1\n") && listed.contains("next request: 1\n"), "{listed}");
    }
    let alone = Administered::start_as("alone", &fixture, &[], &[]);
    let refused = operate(&alone, &["restart", "--json"]);
    let report: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert!(refused.status.code() == Some(1) && report["error"]["code"] == "refused", "{report}");
}

#[test]
fn missing_requirements_are_explained_at_the_start() -> Outcome {
    let fixture = Fixture::new();
    let started = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = program();
        command.arg("-r").arg(&fixture.path).args(["serve", "--port", "0"]).args(args).envs(variables.iter().copied());
        let output = command.output().expect("the program runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let old = fixture.home.path().join("old-git");
    fs::write(&old, "#!/bin/sh\necho git version 2.30.0\n")?;
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755))?;
    let file = fixture.home.path().join("file");
    fs::write(&file, "")?;
    let (old, file) = (old.display().to_string(), file.display().to_string());
    for (args, variables, words) in [
        (&["--git", &old][..], &[][..], "2.40 or newer"),
        (&["--git", "/nonexistent/git"], &[], "Install git"),
        (&[], &[("PATH", "/nonexistent")], "Install git"),
        (&["--state-dir", &file], &[], "state folder"),
        (&["--supervised", "--git", &old], &[], "2.40 or newer"),
    ] {
        let (code, said) = started(args, variables);
        assert!(code == Some(2) && said.contains(words), "{args:?} {variables:?}: {code:?} {said}");
    }
    Ok(())
}

#[test]
fn a_port_is_bound_on_both_loopback_addresses_or_on_neither() -> Outcome {
    let Ok(other) = TcpListener::bind("[::1]:0") else {
        programs::not_tried("[::1] is no address of this machine");
        return Ok(());
    };
    let port = other.local_addr()?.port().to_string();
    let fixture = Fixture::new();
    let output = program().arg("-r").arg(&fixture.path).args(["serve", "--port", &port]).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(2) && said.contains(&format!("port {port} of [::1] is in use")), "{said}");
    assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
    Ok(())
}

#[test]
fn both_loopback_addresses_are_listened_on() -> Outcome {
    if TcpListener::bind("[::1]:0").is_err() {
        programs::not_tried("[::1] is no address of this machine");
        return Ok(());
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for host in ["127.0.0.1", "[::1]"] {
        let mut stream = TcpStream::connect(format!("{host}:{}", server.server.port))?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        write!(stream, "GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        assert!(reply.starts_with("HTTP/1.1 200"), "{host}: {reply}");
    }
    Ok(())
}

/// The value and the origin of a key in `config show`.
fn of_key(shown: &str, key: &str) -> String {
    let line = shown.lines().find(|line| line.split_whitespace().next() == Some(key)).unwrap_or_default();
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_variable_of_the_guide_is_a_key_of_the_configuration() -> Outcome {
    const NAMES: [(&str, &str, &str, &str); 6] = [
        ("port", "MCP_GIT_PORT", "8080", "8443"),
        ("debug.breakpoint", "MCP_DEBUG_BREAKPOINT", "-", "git_tag"),
        ("log.level", "MCP_GIT_LOG_LEVEL", "warn", "info"),
        ("sessions.idle", "MCP_GIT_SESSION_TIMEOUT", "3600", "77"),
        ("heartbeat.interval", "MCP_GIT_HEARTBEAT_INTERVAL", "30", "7"),
        ("sessions.max", "MCP_GIT_MAX_CONCURRENT_SESSIONS", "1000", "9"),
    ];
    let variables = NAMES.map(|(_, name, _, value)| (name, value));
    let shown = |variables: &[(&str, &str)]| program().args(["config", "show", "--origin"]).envs(variables.iter().copied()).output();
    let (usual, given) = (out(&shown(&[])?), out(&shown(&variables)?));
    for (key, name, default, value) in NAMES {
        assert_eq!(of_key(&usual, key), format!("{default} (default)"), "{key}");
        assert_eq!(of_key(&given, key), format!("{value} ({name})"), "{key}");
    }
    // As in the running server.
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &variables);
    let sessions = server.get("/sessions");
    assert!(sessions["max"] == 9 && sessions["idle_longer_than_ms"] == 77_000, "{sessions}");
    assert_eq!(
        (server.get("/heartbeats")["interval_ms"].clone(), server.get("/debug/level")["level"].clone()),
        (json!(7000), json!("info"))
    );
    std::thread::scope(|scope| {
        let held = scope.spawn(|| tool(&server, "git_tag", json!({})));
        wait_for("the hold", || server.get("/debug/held")["held"][0]["tool"] == "git_tag");
        assert!(operate(&server, &["debug", "resume"]).status.success());
        assert_ne!(held.join().expect("a call")["isError"], true);
    });
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = program();
    command.arg("-r").arg(&fixture.path).arg("serve").env("MCP_GIT_PORT", port.to_string());
    assert_eq!(Served::spawn(&mut command).port, port);
    Ok(())
}

#[test]
fn intervals_and_thresholds_are_those_of_the_guide() -> Outcome {
    let shown = out(&program().args(["config", "show", "--origin"]).output()?);
    for (key, default) in [
        ("memory.sample_interval", "300"),
        ("cache.sweep_interval", "3600"),
        ("sessions.sweep_interval", "300"),
        ("sessions.idle_warn", "100"),
        ("sessions.evict_batch", "100"),
        ("heartbeat.missed", "3"),
        ("cpu.warn_percent", "80"),
        ("cpu.sample_interval", "10"),
        ("perf.slow_ms", "1000"),
        ("errors.spike_per_minute", "5"),
        ("limits.max_concurrent", "10"),
        ("circuits.failure_threshold", "5"),
        ("circuits.recovery_timeout", "30"),
        ("circuits.half_open_max_calls", "3"),
        ("profile.heap.interval", "600"),
        ("profile.heap.analyze_after", "10"),
        ("profile.heap.keep", "5"),
        ("restart.drain", "300"),
    ] {
        assert_eq!(of_key(&shown, key), format!("{default} (default)"), "{key}");
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let beats = server.get("/heartbeats");
    assert!(beats["interval_ms"] == 30_000 && beats["missed_threshold"] == 3, "{beats}");
    let sessions = server.get("/sessions");
    assert!(sessions["max"] == 1000 && sessions["idle_warn"] == 100 && sessions["idle_longer_than_ms"] == 3_600_000, "{sessions}");
    assert_eq!(server.get("/caches")["sweep_interval_ms"], 3_600_000);
    assert_eq!(server.get("/status")["process"]["cpu_warn_percent"], 80.0);
    assert_eq!(server.get("/errors")["threshold_per_minute"], 5.0);
    assert_eq!(server.get("/profile/heap")["interval_ms"], 600_000);
    let swept = operate(&server, &["recover", "--component", "sweep"]);
    assert!(out(&swept).contains("it runs every 300s"), "{swept:?}");
    Ok(())
}
