//! Clients that starve others, send faulty messages, or are pages in a browser.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::Command,
    time::Duration,
};
use support::{
    Client, Fixture, Outcome, clean_environment, program,
    tokens::tokens,
    wire::{JSON, NEWEST, Peer, Reply, Served, call, initialize, modern, post, session, wait_for},
};
use tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A server with tokens, limited to 256 descriptors: 128 connections, 32 per principal, and half as many bodies.
fn small(fixture: &Fixture, config: &str) -> Served {
    let mut command = Command::new("sh");
    command.env_clear().envs(clean_environment()).args(["-c", "ulimit -n 256; exec \"$0\" \"$@\""]).arg(program().get_program());
    command.arg("-r").arg(&fixture.path).args(["serve", "--port", "0", "--config", config]);
    command.env("MCP_GIT_LOG_LEVEL", "warn,http=debug").stderr(File::create(log_of(fixture)).expect("a file"));
    Served::spawn(&mut command)
}

fn log_of(fixture: &Fixture) -> PathBuf {
    fixture.home.path().join("log")
}

/// Number of connections without a request that were closed for others.
fn evicted(fixture: &Fixture) -> usize {
    let log = fs::read_to_string(log_of(fixture)).expect("the log");
    log.lines().filter(|line| line.contains("made room for another")).count()
}

fn connect(server: &Served) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
    stream
}

/// Sends a request, and reads the head of the first response.
fn begin(server: &Served, request: &[u8]) -> (TcpStream, String) {
    let mut stream = connect(server);
    stream.write_all(request).expect("the server reads");
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
        head.extend_from_slice(&byte);
    }
    (stream, String::from_utf8(head).expect("text"))
}

/// Starts a request whose body stalls. The server sends `100 Continue` while it waits for the body.
fn stall(server: &Served, token: Option<&str>, framing: &str, sent: &str) -> (TcpStream, String) {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n";
    begin(server, format!("{head}{token}{framing}\r\n\r\n{sent}").as_bytes())
}

/// Repeats an attempt until it succeeds, and returns its result.
fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut given = None;
    wait_for(what, || {
        given = attempt();
        given.is_some()
    });
    given.expect("a result")
}

/// Calls `git_status` with a token, or without.
fn ask(server: &Served, token: Option<&str>) -> Reply {
    let token = token.map(bearer);
    let headers: Vec<(&str, &str)> = token.iter().map(|token| ("Authorization", token.as_str())).collect();
    modern(server, &headers, call(1, "git_status", json!({})))
}

#[test]
fn stalled_bodies_block_no_client_and_time_out() -> Outcome {
    let fixture = Fixture::new();
    let (config, [_, reader, other]) = tokens(&fixture);
    let (with, without) = (Served::start(&fixture, &["--config", &config], &[]), Served::start(&fixture, &[], &[]));
    let begun = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"#;
    let kinds = [("Content-Length: 4194304", ""), ("Transfer-Encoding: chunked", ""), ("Content-Length: 4194304", begun)];
    let mut ends = Vec::new();
    for (framing, sent) in kinds {
        for (server, attacker, others) in
            [(&with, Some(reader.as_str()), [Some(other.as_str()), Some(&reader)]), (&without, None, [None; 2])]
        {
            let mut held: Vec<_> = (0..60).map(|_| stall(server, attacker, framing, sent)).collect();
            for one in others {
                let reply = ask(server, one);
                assert_eq!(reply.status, 200, "{framing}: {reply:?}");
            }
            assert!(held.iter().all(|(_, head)| head.starts_with("HTTP/1.1 100")), "{framing}: {:?}", held.last());
            ends.push((held.swap_remove(0).0, if sent.is_empty() { Value::Null } else { json!(7) }));
        }
    }
    for (mut stream, id) in ends {
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        let reply = Reply::parse(&reply);
        let message = reply.message().ok_or("no reply")?;
        assert!(reply.status == 408 && message["id"] == id, "{reply:?}");
    }
    Ok(())
}

#[test]
fn a_principal_has_a_share_of_the_connections_and_of_the_bodies() {
    let fixture = Fixture::new();
    let (config, [_, reader, other]) = tokens(&fixture);
    let server = small(&fixture, &config);
    let authorization = bearer(&reader);
    let own = [("Authorization", authorization.as_str())];
    let is_refused = |what: &str| {
        let reply = ask(&server, Some(&reader));
        let message = reply.message().unwrap_or_default();
        let is_refused = reply.status == 429 && message["error"]["message"].as_str().is_some_and(|text| text.contains(what));
        assert!(!is_refused || reply.header("retry-after") == Some("1") && message["error"]["data"]["recoverable"] == true, "{reply:?}");
        is_refused
    };
    let others_are_served = || {
        let reply = ask(&server, Some(&other));
        assert_eq!(reply.status, 200, "{reply:?}");
    };
    let is_served_again = || wait_for("room for the reader", || ask(&server, Some(&reader)).status == 200);

    let bodies: Vec<_> = (0..16).map(|_| stall(&server, Some(&reader), "Content-Length: 9", "")).collect();
    assert!(bodies.iter().all(|(_, head)| head.starts_with("HTTP/1.1 100")) && is_refused("request bodies in progress"));
    others_are_served();
    drop(bodies);
    is_served_again();

    let sent = " ".repeat((4 << 20) - 1);
    let stalls =
        || Some(stall(&server, Some(&reader), "Content-Length: 4194304", &sent)).filter(|(_, head)| head.starts_with("HTTP/1.1 100"));
    let bytes: Vec<_> = (0..8).map(|_| eventually("a body", stalls)).collect();
    wait_for("the arrival of all bytes", || is_refused("bytes of request bodies in progress"));
    others_are_served();
    drop(bytes);
    is_served_again();

    // Permits of earlier connections are released one after the other.
    let sockets: Vec<_> = (0..32).map(|_| eventually("a socket", || server.websocket(&own).ok())).collect();
    let refused = server.websocket(&own).err().map(|err| err.to_string()).unwrap_or_default();
    assert!(refused.contains("429") && is_refused("connections in use"), "{refused}");
    assert!(server.websocket(&[("Authorization", &bearer(&other))]).is_ok());
    others_are_served();
    drop(sockets);
    is_served_again();

    let mut streams = Vec::new();
    for _ in 0..4 {
        let id = session(&server, &own);
        let listen = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: {authorization}\r\nMcp-Session-Id: {id}\r\n\r\n"
        );
        let listens = || Some(begin(&server, listen.as_bytes())).filter(|(_, head)| head.starts_with("HTTP/1.1 200"));
        streams.extend((0..8).map(|_| eventually("a stream", listens)));
    }
    assert!(is_refused("connections in use"), "{streams:?}");
    others_are_served();
    drop(streams);
    is_served_again();
}

#[test]
fn fragments_of_websocket_messages_count_as_bodies() -> Outcome {
    let fixture = Fixture::new();
    let (config, [_, reader, other]) = tokens(&fixture);
    let server = small(&fixture, &config);
    let authorization = bearer(&reader);
    let part = "x".repeat(5 << 20);
    let mut sockets = Vec::new();
    // One principal has a quarter of the 128 MiB of all clients.
    for _ in 0..6 {
        let mut socket = server.websocket(&[("Authorization", &authorization)])?;
        socket.send(Message::Frame(Frame::message(part.clone(), OpCode::Data(Data::Text), false)))?;
        sockets.push(socket);
    }
    let mut last = server.websocket(&[("Authorization", &authorization)])?;
    // The server may close it while it still sends.
    last.send(Message::Frame(Frame::message(part, OpCode::Data(Data::Text), false))).ok();
    let end = loop {
        match last.read() {
            Ok(Message::Close(frame)) => break frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
            Ok(_) => {}
            Err(err) => break err.to_string(),
        }
    };
    assert!(end.contains("too many bytes") || end.contains("reset") || end.contains("Broken pipe"), "{end}");
    assert_eq!(ask(&server, Some(&other)).status, 200);
    assert_eq!(ask(&server, Some(&reader)).status, 200, "a small body still has room");
    // The others continue: the rest of their message is answered.
    let mut first = sockets.remove(0);
    first.send(Message::Frame(Frame::message("", OpCode::Data(Data::Continue), true)))?;
    let answer: Value = serde_json::from_str(first.read()?.to_text()?)?;
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    drop((sockets, first));
    let mut again = eventually("a socket", || server.websocket(&[("Authorization", &authorization)]).ok());
    again.send(Message::text(initialize().to_string()))?;
    assert!(again.read()?.to_text()?.contains("serverInfo"));
    Ok(())
}

/// Whether the server has closed a connection.
fn is_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let mut buffer = [0; 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(err) => return err.kind() != ErrorKind::WouldBlock,
        }
    }
}

#[test]
fn connections_without_a_request_make_room_for_a_newcomer_53() {
    let fixture = Fixture::new();
    let (config, [_, reader, other]) = tokens(&fixture);
    let server = small(&fixture, &config);
    let get = |token: &str| format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    for (kind, request, is_answered) in [
        ("silent", String::new(), false),
        ("half of the headers", "POST /mcp HTTP/1.1\r\nHost: loc".to_owned(), false),
        ("a wrong token", get("wrong"), true),
        ("idle", get(&reader), true),
    ] {
        let before = evicted(&fixture);
        let streams: Vec<TcpStream> = (0..300)
            .map(|_| {
                if is_answered {
                    return begin(&server, request.as_bytes()).0;
                }
                let mut stream = connect(&server);
                // A connection that is already closed may refuse the bytes.
                stream.write_all(request.as_bytes()).unwrap_or_default();
                stream
            })
            .collect();
        let reply = ask(&server, Some(&other));
        assert_eq!(reply.status, 200, "{kind}: {reply:?}");
        assert!(evicted(&fixture) > before, "{kind}: the newcomer waited for the timeout of the others");
        let (Some(first), Some(last)) = (streams.first(), streams.last()) else { panic!("no connections") };
        assert!(!is_closed(last), "{kind}: the oldest is closed first");
        wait_for("the end of the oldest connection", || is_closed(first));
    }
}

#[test]
fn a_faulty_requests_id_is_returned_on_every_transport_56() {
    let fixture = Fixture::new();
    let server = Served::start(&fixture, &[], &[]);
    let request = |id: &str, rest: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#).into_bytes();
    let call = |args: &str| format!(r#""method":"tools/call","params":{{"name":"git_status","arguments":{args}}}"#);
    let cases = [
        (request("11", &call(r#"{"repo_path":"\ud800"}"#)), json!(11)),
        (request("12", &call(r#"{"a":[{"b":["\udc00\ud800"]}]}"#)), json!(12)),
        (request("13", &call(r#"{"\ud800":1}"#)), json!(13)),
        (request("\"a\"", r#""method":"tools/\ud800""#), json!("a")),
        (request("15", r#""\ud800":[],"method":"ping""#), json!(15)),
        (br#"{"params":{"id":1,"x":"\ud800"},"method":"ping","id":16,"jsonrpc":"2.0"}"#.to_vec(), json!(16)),
        (request("17", &call(r#"{"n":1e999}"#)), json!(17)),
        (request("18", &call(&format!("{{\"a\":{}1{}}}", "[".repeat(200), "]".repeat(200)))), json!(18)),
        ([&b"{\"jsonrpc\":\"2.0\",\"id\":19,\"method\":\"x\",\"params\":{\"a\":\"\xff\"}}"[..]].concat(), json!(19)),
        (request("20", "\"method\":\"x\",\"params\":{\"a\":\"\t\"}"), json!(20)),
        (br#"{"jsonrpc":"2.0","id":21,"method":"tools/call","params":{"name":"#.to_vec(), json!(21)),
        // An answer's id belongs to a request of the server: an error with it would end a request of the client.
        (request("22", r#""result":{"a":"\ud800"}"#), Value::Null),
        (request(r#""\ud800""#, r#""method":"ping""#), Value::Null),
    ];
    let mut stdio = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
    stdio.initialize();
    let mut socket = Peer::Socket(Box::new(server.websocket(&[]).expect("a socket")));
    socket.exchange(initialize().to_string().as_bytes(), true).expect("a reply");
    for (name, mut peer) in [
        ("stdio", Peer::Stdio(Box::new(stdio))),
        ("websocket", socket),
        ("http", Peer::Http { server: &server, session: None, revision: NEWEST }),
        ("a session over http", Peer::Http { server: &server, session: Some(session(&server, &[])), revision: "2025-11-25" }),
    ] {
        for (message, id) in &cases {
            let reply = peer.exchange(message, true).unwrap_or_default();
            assert!(reply["error"]["code"] == -32700 && reply["id"] == *id, "{name}: {}: {reply}", String::from_utf8_lossy(message));
        }
    }
    // With the matching headers, and one body that is too long.
    let headers = [&JSON[..], &[("MCP-Protocol-Version", NEWEST), ("Mcp-Method", "tools/call"), ("Mcp-Name", "git_status")]].concat();
    let reply = server.send("POST", "/mcp", &headers, &cases[0].0);
    assert!(reply.status == 400 && reply.message().is_some_and(|message| message["id"] == 11), "{reply:?}");
    let long = request("23", &call(&format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20))));
    let reply = server.send("POST", "/mcp", &headers, &long);
    assert!(reply.status == 413 && reply.message().is_some_and(|message| message["id"] == 23), "{reply:?}");
}

#[test]
fn only_pages_of_allowed_origins_may_call_47() -> Outcome {
    let fixture = Fixture::new();
    let (config, [all, reader, _]) = tokens(&fixture);
    let variables = [("MCP_GIT_ALLOWED_ORIGINS", "https://app.example, https://b.example:8443"), ("MCP_GIT_RATE", "1")];
    let server = Served::start(&fixture, &["--config", &config], &variables);
    let ours = ["https://app.example", "https://b.example:8443", "http://localhost:6274"];
    let is_shared = |reply: &Reply, origin: &str| {
        let named: Vec<&str> =
            reply.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("access-control-allow-origin")).collect();
        let exposed = reply.header("access-control-expose-headers").unwrap_or_default();
        let is_exposed =
            ["mcp-session-id", "mcp-protocol-version", "www-authenticate", "retry-after"].iter().all(|name| exposed.contains(name));
        named.len() == 1
            && reply.header("access-control-allow-origin") == Some(origin)
            && is_exposed
            && reply.header("vary") == Some("Origin")
    };
    for path in ["/mcp", "/", "/ws", "/health", "/.well-known/oauth-protected-resource"] {
        let asked = |origin| {
            let headers =
                [("Origin", origin), ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")];
            server.send("OPTIONS", path, &headers, b"")
        };
        for origin in ours {
            let reply = asked(origin);
            assert!(reply.status == 204 && is_shared(&reply, origin) && reply.body.is_empty(), "{path} {origin}: {reply:?}");
            assert_eq!(reply.header("access-control-allow-methods"), Some("GET, POST, DELETE"));
            assert!(reply.header("access-control-max-age").is_some_and(|age| age.parse::<u32>().is_ok()), "{reply:?}");
            let named = reply.header("access-control-allow-headers").unwrap_or_default().to_owned();
            let read = [
                "content-type",
                "authorization",
                "accept",
                "mcp-protocol-version",
                "mcp-session-id",
                "last-event-id",
                "mcp-method",
                "mcp-name",
            ];
            assert!(read.iter().all(|name| named.split(", ").any(|one| one == *name)), "{named}");
        }
        for origin in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null", "*"] {
            let reply = asked(origin);
            assert!(reply.status == 403 && !reply.head.to_ascii_lowercase().contains("access-control-"), "{path} {origin}: {reply:?}");
        }
    }
    // Only a preflight needs no token.
    assert_eq!(server.send("OPTIONS", "/mcp", &[("Origin", ours[0])], b"").status, 401);
    assert_eq!(server.send("OPTIONS", "/mcp", &[("Access-Control-Request-Method", "POST")], b"").status, 401);
    let (all, reader) = (bearer(&all), bearer(&reader));
    let from = ("Origin", ours[0]);
    let opened = post(&server, &[from, ("Authorization", &all)], &initialize());
    assert!(opened.status == 200 && opened.header("mcp-session-id").is_some() && is_shared(&opened, ours[0]), "{opened:?}");
    let missing = modern(&server, &[from], call(1, "git_status", json!({})));
    assert!(missing.status == 401 && is_shared(&missing, ours[0]), "{missing:?}");
    let forbidden = modern(&server, &[from, ("Authorization", &reader)], call(1, "git_commit", json!({"message": "m"})));
    assert!(forbidden.status == 403 && is_shared(&forbidden, ours[0]), "{forbidden:?}");
    let ask = |headers: &[(&str, &str)]| modern(&server, headers, call(1, "git_status", json!({})));
    let often = (0..20).map(|_| ask(&[from, ("Authorization", &reader)])).find(|reply| reply.status == 429).ok_or("no refusal")?;
    assert!(is_shared(&often, ours[0]), "{often:?}");
    let plain = server.send("GET", "/health", &[], b"");
    assert!(plain.status == 200 && !plain.head.to_ascii_lowercase().contains("access-control-"), "{plain:?}");
    Ok(())
}
