//! HTTP, WebSocket and the Unix socket: sessions, unauthenticated clients, and clients that disconnect or do not read.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    time::Duration,
};
use support::{
    Fixture, Outcome,
    admin::{Administered, ServiceManager},
    descendants,
    hooks::{Gate, hook},
    program,
    remote::{Fault, OPEN, stalled},
    signal,
    wire::{JSON, NEWEST, Peer, Reply, Served, call, initialize, meta, modern, post, session, wait_for},
};
use tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

/// Sends a request and leaves the connection open, unread.
fn begin(server: &Served, headers: &[(&str, &str)], message: &Value) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    let body = message.to_string();
    let given = JSON.iter().chain(headers).fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
    let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{given}\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream
}

fn fetches(server: &Served) -> bool {
    let runs = |pid: &u32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains("fetch"));
    descendants(server.child.id()).iter().any(runs)
}

#[test]
fn a_session_can_be_ended_and_an_id_is_in_flight_once() {
    let (fixture, _remote) = stalled();
    let server = Served::start(&fixture, &[], &OPEN);
    let id = session(&server, &[]);
    let own = [("Mcp-Session-Id", id.as_str())];
    let held = begin(&server, &own, &call(1, "git_fetch", json!({})));
    wait_for("the fetch", || fetches(&server));
    let again = post(&server, &own, &call(1, "git_status", json!({})));
    assert!(again.status == 400 && again.message().is_some_and(|reply| reply["error"]["code"] == -32600), "{again:?}");
    // Other requests of the session are served, and a client that disconnects may return.
    assert!(post(&server, &own, &call(2, "git_status", json!({}))).message().is_some_and(|reply| reply["result"].is_object()));
    drop(held);
    assert!(post(&server, &own, &call(3, "git_status", json!({}))).message().is_some());
    assert!(fetches(&server), "a disconnect is no cancel in the older revisions");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(post(&server, &own, &cancel).status, 202);
    wait_for("the end of the fetch", || !fetches(&server));
    assert_eq!(server.send("DELETE", "/mcp", &own, b"").status / 100, 2);
    assert_eq!(post(&server, &own, &call(4, "git_status", json!({}))).status, 404);
    assert_eq!(post(&server, &[("Mcp-Session-Id", "none")], &call(4, "git_status", json!({}))).status, 404);
    assert_eq!(server.send("GET", "/mcp", &[("Accept", "text/event-stream"), ("Mcp-Session-Id", "none")], b"").status, 404);
}

#[test]
fn a_disconnect_cancels_in_the_newest_revision() {
    let (fixture, _remote) = stalled();
    let server = Served::start(&fixture, &[], &OPEN);
    let mut fetch = call(1, "git_fetch", json!({}));
    fetch["params"]["_meta"] = meta(&json!({}));
    let headers = [("MCP-Protocol-Version", NEWEST), ("Mcp-Method", "tools/call"), ("Mcp-Name", "git_fetch")];
    let held = begin(&server, &headers, &fetch);
    wait_for("the fetch", || fetches(&server));
    drop(held);
    wait_for("the end of the fetch", || !fetches(&server));
    assert!(modern(&server, &[], call(2, "git_status", json!({}))).message().is_some_and(|reply| reply["result"].is_object()));
}

#[test]
fn sessions_are_bounded_and_silent_ones_are_evicted() {
    let (fixture, _remote) = stalled();
    let variables = [&OPEN[..], &[("MCP_GIT_SESSIONS_MAX", "2"), ("MCP_GIT_SESSIONS_IDLE", "1")]].concat();
    let administered = Administered::start(&fixture, &[], &variables);
    let server = &administered.server;
    let busy = session(server, &[]);
    let busy = [("Mcp-Session-Id", busy.as_str())];
    let _held = begin(server, &busy, &call(1, "git_fetch", json!({})));
    wait_for("the fetch", || fetches(server));
    let other = session(server, &[]);
    let mut second = begin(server, &[("Mcp-Session-Id", other.as_str())], &call(1, "git_fetch", json!({})));
    // With its answer started the session is busy, and is not evicted.
    second.read_exact(&mut [0; 12]).expect("the head of the answer");
    let refused = post(server, &[], &initialize());
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
    assert!(refused.message().is_some_and(|reply| reply["error"]["data"]["recoverable"] == true), "{refused:?}");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(post(server, &[("Mcp-Session-Id", &other)], &cancel).status, 202);
    drop(second);
    wait_for("the end of the silent session", || administered.get("/sessions")["total"] == 1);
    assert_eq!(post(server, &[("Mcp-Session-Id", &other)], &call(2, "git_status", json!({}))).status, 404);
    assert!(post(server, &busy, &call(2, "git_status", json!({}))).message().is_some_and(|reply| reply["result"].is_object()));
    session(server, &[]);
}

#[test]
fn a_missed_result_can_be_fetched_later() {
    let (fixture, remote) = stalled();
    let server = Served::start(&fixture, &[], &OPEN);
    let id = session(&server, &[]);
    let mut stream = begin(&server, &[("Mcp-Session-Id", &id)], &call(1, "git_fetch", json!({})));
    // The stream starts with an event id to resume from.
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains("id: ") || !text.ends_with('\n') {
        let count = stream.read(&mut buffer).expect("the stream");
        text.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    let event =
        text.lines().find_map(|line| line.strip_prefix("id: ").or_else(|| line.split("id: ").nth(1))).expect("an id").trim().to_owned();
    drop(stream);
    wait_for("the fetch", || fetches(&server));
    remote.breaks(Fault::None);
    // The transfer stalls until the server's git process is ended.
    for pid in descendants(server.child.id()) {
        support::shell(Path::new("/"), &format!("kill -TERM {pid} 2>/dev/null || true"));
    }
    wait_for("the end of the fetch", || !fetches(&server));
    let request = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {id}\r\nLast-Event-ID: {event}\r\n\r\n"
    );
    let resumed = server.raw(request.as_bytes(), Some("\"id\":1"));
    assert!(resumed.contains("\"id\":1") && resumed.contains("git fetch"), "{resumed}");
}

#[test]
fn unauthenticated_requests_are_rejected_on_every_route_46_47_48() {
    let server = Served::start(
        &Fixture::new(),
        &[],
        &[("MCP_GIT_ALLOWED_HOSTS", "git.example"), ("MCP_GIT_ALLOWED_ORIGINS", "https://app.example")],
    );
    let upgrade = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (name, value) in [
        ("Host", "evil.example"),
        ("Host", "127.0.0.1.evil.example:80"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost.evil.example"),
        ("Origin", "https://app.example.evil.example"),
    ] {
        for (method, path) in [
            ("GET", "/health"),
            ("POST", "/mcp"),
            ("GET", "/mcp"),
            ("DELETE", "/mcp"),
            ("GET", "/"),
            ("GET", "/ws"),
            ("GET", "/.well-known/oauth-protected-resource"),
        ] {
            let reply = server.send(method, path, &[&[(name, value)], &upgrade[1..]].concat(), b"");
            // Load balancers request health by any name, pages do not.
            let expect = if path == "/health" && name == "Host" { 200 } else { 403 };
            assert_eq!(reply.status, expect, "{method} {path} {name}: {value}: {reply:?}");
        }
        if name == "Origin" {
            assert!(server.websocket(&[(name, value)]).is_err(), "{value}");
        }
    }
    for own in
        [("Host", "git.example"), ("Host", "git.example:443"), ("Origin", "https://app.example"), ("Origin", "http://localhost:3000")]
    {
        assert_eq!(server.send("GET", "/health", &[own], b"").status, 200, "{own:?}");
    }
    assert_eq!(server.send("GET", "/", &[], b"").status, 426);
}

#[test]
fn mismatched_and_slow_headers_are_refused_52_53() {
    let server = Served::start(&Fixture::new(), &[], &[]);
    let mut message = call(1, "git_status", json!({}));
    message["params"]["_meta"] = meta(&json!({}));
    for (name, value) in [("Mcp-Method", "tools/list"), ("Mcp-Name", "git_log"), ("MCP-Protocol-Version", "2025-11-25")] {
        let own = [("MCP-Protocol-Version", NEWEST), ("Mcp-Method", "tools/call"), ("Mcp-Name", "git_status")];
        let headers: Vec<(&str, &str)> = own.into_iter().map(|(key, usual)| (key, if key == name { value } else { usual })).collect();
        let reply = post(&server, &headers, &message);
        assert!(reply.status == 400 && reply.message().is_some_and(|reply| reply["error"]["code"] == -32020), "{name}: {reply:?}");
    }
    let plain = server.send("POST", "/mcp", &[("Content-Type", "text/plain"), ("Accept", "*/*")], b"{}");
    assert_eq!(plain.status, 415);
    let large = vec![b' '; (4 << 20) + 1];
    assert_eq!(server.send("POST", "/mcp", &JSON, &large).status, 413);
    let chunked = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n500000\r\n{}",
        " ".repeat(0x50_0000)
    );
    let reply = Reply::parse(&server.raw(chunked.as_bytes(), Some("\r\n\r\n")));
    assert_eq!(reply.status, 413, "{reply:?}");
    // An incomplete request times out.
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    slow.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
    slow.write_all(b"POST /mcp HTTP/1.1\r\nHost: loc").expect("the server reads");
    let mut ended = String::new();
    slow.read_to_string(&mut ended).expect("the server closes the connection");
    assert!(!ended.contains("200"), "{ended}");
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
}

#[test]
fn a_websocket_is_bounded_and_survives_oversized_messages_54_55() -> Outcome {
    let server = Served::start(&Fixture::new(), &[], &[]);
    let mut socket = server.websocket(&[])?;
    let large = format!("{{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"{}\"}}", "x".repeat(5 << 20));
    socket.send(Message::text(large))?;
    let refused: Value = serde_json::from_str(socket.read()?.to_text()?)?;
    assert!(refused["id"] == 5 && refused["error"]["code"] == -32600, "{refused}");
    // Split over several lines, in a binary frame: still one message.
    let mut peer = Peer::Socket(Box::new(socket));
    let discover = json!({"jsonrpc": "2.0", "id": 6, "method": "server/discover", "params": {"_meta": meta(&json!({}))}});
    assert_eq!(peer.exchange(format!("{discover:#}").as_bytes(), true).ok_or("no reply")?["id"], 6);
    let Peer::Socket(mut socket) = peer else { return Err("a socket".into()) };
    socket.send(Message::text("x".repeat(9 << 20))).ok();
    let end = loop {
        match socket.read() {
            Ok(message) => assert!(matches!(message, Message::Close(_)), "{message:?}"),
            Err(err) => break err,
        }
    };
    let is_silence = matches!(&end, tungstenite::Error::Io(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(!is_silence, "the server closes the connection: {end}");
    assert_eq!(server.send("GET", "/health", &[], b"").status, 200);
    Ok(())
}

#[test]
fn a_close_frame_is_answered() -> Outcome {
    let server = Served::start(&Fixture::new(), &[], &[]);
    for code in [CloseCode::Normal, CloseCode::Away, CloseCode::Library(4000)] {
        let mut socket = server.websocket(&[])?;
        socket.send(Message::text(initialize().to_string()))?;
        socket.read()?;
        socket.close(Some(CloseFrame { code, reason: "done".into() }))?;
        let mut answered = None;
        let end = loop {
            match socket.read() {
                Ok(Message::Close(frame)) => answered = frame.map(|frame| frame.code),
                Ok(_) => {}
                Err(err) => break err,
            }
        };
        assert!(answered == Some(code) && matches!(end, tungstenite::Error::ConnectionClosed), "{answered:?} {end}");
    }
    Ok(())
}

#[test]
fn a_websocket_that_misses_pings_is_closed() -> Outcome {
    let server = Served::start(&Fixture::new(), &[], &[("MCP_GIT_HEARTBEAT_INTERVAL", "1"), ("MCP_GIT_HEARTBEAT_MISSED", "1")]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    write!(
        stream,
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mcp\r\n\r\n"
    )?;
    let mut received = Vec::new();
    stream.read_to_end(&mut received)?;
    let text = String::from_utf8_lossy(&received);
    assert!(text.contains("sec-websocket-protocol: mcp") && text.contains("no answer to pings"), "{text}");
    Ok(())
}

#[test]
fn a_unix_socket_is_private_to_its_owner() -> Outcome {
    let fixture = Fixture::new();
    let path = fixture.home.path().join("socket");
    let name = path.display().to_string();
    let server = Served::start(&fixture, &["--socket", &name], &[]);
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    assert!(
        modern(&server, &[("Host", "localhost")], call(1, "git_status", json!({})))
            .message()
            .is_some_and(|reply| reply["result"].is_object())
    );
    let second = program().arg("-r").arg(&fixture.path).args(["serve", "--socket", &name]).output()?;
    assert!(second.status.code() == Some(2) && String::from_utf8_lossy(&second.stderr).contains("another server listens"), "{second:?}");
    // A socket left by a crashed server is replaced; any other file stays.
    drop(server);
    assert!(path.exists());
    let server = Served::start(&fixture, &["--socket", &name], &[]);
    signal(&server.child.id(), "TERM");
    wait_for("the end of the socket", || !path.exists());
    fs::write(&path, "precious")?;
    let refused = program().arg("-r").arg(&fixture.path).args(["serve", "--socket", &name]).output()?;
    assert!(refused.status.code() == Some(2) && fs::read_to_string(&path)? == "precious", "{refused:?}");
    Ok(())
}

#[test]
fn a_confirmation_over_http_counts_once_76() -> Outcome {
    let fixture = Fixture::new();
    fixture.write("a.txt", "edited\n");
    let server = Served::start(&fixture, &[], &[]);
    let ask = |more: Value| {
        let mut message = call(1, "git_reset", json!({"mode": "hard"}));
        message["params"]["_meta"] = meta(&json!({"elicitation": {"form": {}}}));
        for (key, value) in more.as_object().into_iter().flatten() {
            message["params"][key] = value.clone();
        }
        let headers = [("MCP-Protocol-Version", NEWEST), ("Mcp-Method", "tools/call"), ("Mcp-Name", "git_reset")];
        post(&server, &headers, &message).message().unwrap_or_default()
    };
    let state = ask(json!({}))["result"]["requestState"].clone();
    let answer = json!({"requestState": state, "inputResponses": {"confirm": {"action": "accept", "content": {"confirm": true}}}});
    assert!(ask(answer.clone())["result"]["isError"] != true);
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "one\ntwo\n");
    fixture.write("a.txt", "edited again\n");
    assert_eq!(ask(answer)["error"]["code"], -32602);
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "edited again\n");
    Ok(())
}

#[test]
fn a_change_running_at_shutdown_finishes_and_is_answered() -> Outcome {
    for transport in ["newest", "session", "websocket"] {
        let fixture = Fixture::new();
        let (gate, manager, began) = (Gate::closed(&fixture), ServiceManager::new(&fixture), fixture.path.join(".git/began"));
        hook(&fixture, "pre-commit", &format!("touch '{}'; {}", began.display(), gate.wait()));
        fixture.write("a.txt", "changed\n");
        fixture.git(&["add", "a.txt"]);
        let mut server = Served::start(&fixture, &[], &[("NOTIFY_SOCKET", &manager.address)]);
        let id = if transport == "session" { session(&server, &[]) } else { String::new() };
        let mut commit = call(1, "git_commit", json!({"message": "in time"}));
        if transport != "session" {
            commit["params"]["_meta"] = meta(&json!({}));
        }
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| match transport {
                "newest" => modern(&server, &[], commit.clone()).message(),
                "session" => post(&server, &[("Mcp-Session-Id", &id)], &commit).message(),
                _ => Peer::Socket(Box::new(server.websocket(&[]).expect("a socket"))).exchange(commit.to_string().as_bytes(), true),
            });
            wait_for("the hook", || began.exists());
            signal(&server.child.id(), "TERM");
            while manager.receive() != "STOPPING=1" {}
            gate.open();
            asking.join().expect("an answer")
        });
        let text = answer.as_ref().map(|answer| answer["result"].to_string()).unwrap_or_default();
        assert!(text.contains("committed"), "{transport}: {answer:?}");
        assert!(server.child.wait()?.success(), "{transport}");
        assert!(String::from_utf8(fixture.git(&["log", "-1", "--format=%s"]))?.contains("in time"), "{transport}");
    }
    Ok(())
}

#[test]
fn a_client_that_reconnects_its_stream_gets_events_again() {
    let fixture = Fixture::new();
    let server = Served::start(&fixture, &[], &[]);
    let id = session(&server, &[]);
    let own = [("Mcp-Session-Id", id.as_str())];
    let watch = json!({"jsonrpc": "2.0", "id": 1, "method": "resources/subscribe", "params": {"uri": "git://repo/status"}});
    assert!(post(&server, &own, &watch).message().is_some_and(|reply| reply["result"].is_object()));
    let listen = format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {id}\r\n\r\n");
    let mut last = Vec::new();
    for round in 0..3 {
        let events = std::thread::scope(|scope| {
            let listener = scope.spawn(|| server.raw(listen.as_bytes(), Some("resources/updated")));
            let mut branch = 0;
            // The server sends events to the previous stream until it notices that this is closed.
            wait_for("an event", || {
                branch += 1;
                fixture.git(&["branch", &format!("new-{round}-{branch}")]);
                listener.is_finished()
            });
            listener.join().expect("a stream")
        });
        assert!(events.contains("git://repo/status"), "round {round}: {events}");
        last = events.lines().filter_map(|line| Some(line.split_once("id: ")?.1.to_owned())).collect();
    }
    // Events after the last received one are replayed: a stream's first event is an id to resume from.
    let [place, event, ..] = &last[..] else { panic!("two events: {last:?}") };
    let back = listen.replace("\r\n\r\n", &format!("\r\nLast-Event-ID: {place}\r\n\r\n"));
    let again = server.raw(back.as_bytes(), Some("resources/updated"));
    assert!(again.contains(&format!("id: {event}")), "{event}: {again}");
}

/// A server that inherits a socket. As systemd does: the first one is descriptor 3, and the variables name the receiver.
fn inheriting(fixture: &Fixture, socket: std::os::fd::OwnedFd) -> Command {
    use command_fds::{CommandFdExt, FdMapping};
    let mut command = Command::new("sh");
    command.env_clear().envs(support::clean_environment());
    command.args(["-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]).arg(program().get_program());
    command.args(["serve", "-r"]).arg(&fixture.path);
    command.fd_mappings(vec![FdMapping { parent_fd: socket, child_fd: 3 }]).expect("a descriptor");
    command
}

#[test]
fn inherited_sockets_are_used() {
    let fixture = Fixture::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut command = inheriting(&fixture, listener.into());
    let server = Served::spawn(&mut command);
    drop(command);
    assert_eq!(server.port, port);
    assert!(modern(&server, &[], call(1, "git_status", json!({}))).message().is_some_and(|reply| reply["result"]["isError"] == false));
}

#[test]
fn an_inherited_socket_that_others_can_reach_needs_tokens() -> Outcome {
    use std::os::unix::{fs::PermissionsExt, net::UnixListener};
    let fixture = Fixture::new();
    let address = std::net::TcpListener::bind("0.0.0.0:0")?;
    let path = fixture.home.path().join("socket");
    let socket = UnixListener::bind(&path)?;
    fs::set_permissions(fixture.home.path(), PermissionsExt::from_mode(0o755))?;
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?;
    for socket in [address.into(), socket.into()] {
        let output = inheriting(&fixture, socket).output()?;
        let text = String::from_utf8(output.stderr)?;
        assert!(output.status.code() == Some(2) && text.contains("no token is required"), "{text}");
    }
    let private = UnixListener::bind(fixture.home.path().join("private"))?;
    fs::set_permissions(fixture.home.path().join("private"), PermissionsExt::from_mode(0o600))?;
    let mut child = inheriting(&fixture, private.into()).stdout(std::process::Stdio::piped()).spawn()?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().ok_or("no output")?), &mut line)?;
    signal(&child.id(), "TERM");
    assert!(line.contains("private") && child.wait()?.success(), "{line}");
    Ok(())
}

#[test]
fn a_kernel_on_which_no_repository_can_be_opened_is_named_at_the_start() -> Outcome {
    let fixture = Fixture::new();
    let mut command = program();
    command.arg("-r").arg(&fixture.path).args(["serve", "--port", "0"]);
    // openat2, on all architectures.
    support::without_call(&mut command, 437);
    let output = command.output()?;
    let text = String::from_utf8(output.stderr)?;
    assert!(output.status.code() == Some(2) && text.contains("openat2") && text.contains("RestrictSUIDSGID"), "{text}");
    Ok(())
}

#[test]
fn a_taken_port_names_its_owner_and_a_fix() -> Outcome {
    let fixture = Fixture::new();
    let server = Served::start(&fixture, &[], &[]);
    let output = program().arg("-r").arg(&fixture.path).args(["serve", "--port", &server.port.to_string()]).output()?;
    let text = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{text}");
    let expect = [format!("port {}", server.port), format!("pid {}", server.child.id()), "--port N".to_owned(), "MCP_GIT_PORT".to_owned()];
    assert!(expect.iter().all(|part| text.contains(part)), "{text}");
    Ok(())
}

#[test]
fn a_signal_ends_the_server() -> Outcome {
    let mut server = Served::start(&Fixture::new(), &[], &[]);
    signal(&server.child.id(), "TERM");
    assert!(server.child.wait()?.success());
    Ok(())
}

#[test]
fn websockets_are_limited_like_sessions() -> Outcome {
    let (fixture, _remote) = stalled();
    let server = Served::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_SESSIONS_MAX", "1")]].concat());
    let mut first = server.websocket(&[])?;
    first.send(Message::text(initialize().to_string()))?;
    first.read()?;
    first.send(Message::text(call(1, "git_fetch", json!({})).to_string()))?;
    wait_for("the fetch", || fetches(&server));
    // A busy one keeps its permit; an idle one is evicted.
    let refused = server.websocket(&[]).err().map(|err| err.to_string()).unwrap_or_default();
    assert!(refused.contains("503"), "{refused}");
    drop(first);
    let mut second = None;
    wait_for("room for another", || {
        second = server.websocket(&[]).ok();
        second.is_some()
    });
    // One that is still connecting keeps its permit, too.
    let mut third = None;
    wait_for("the permit of the second", || {
        third = server.websocket(&[]).ok();
        third.is_some()
    });
    let mut second = second.expect("a socket");
    let closed = loop {
        match second.read() {
            Ok(Message::Close(frame)) => break frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
            Ok(_) => {}
            Err(err) => break err.to_string(),
        }
    };
    assert!(closed.contains("session limit reached"), "{closed}");
    Ok(())
}
