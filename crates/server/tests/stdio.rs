//! The stdio transport with a raw byte client: every faulty frame is answered, and the connection survives.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{Client, Fixture, Outcome, descendants, program, wire::wait_for};

/// A repository in which a blame takes long.
fn slow_history() -> Fixture {
    use std::fmt::Write as _;
    let fixture = Fixture::empty().by_git();
    let mut stream = String::from("feature done\n");
    for commit in 0..3000 {
        let mut lines = String::new();
        // None of these lines ever changes: a blame walks all of the history.
        for line in 0..300 {
            writeln!(lines, "line {line}").unwrap_or_default();
        }
        writeln!(lines, "commit {commit}").unwrap_or_default();
        stream += "commit refs/heads/main\ncommitter A <a@example.com> 1700000000 +0000\ndata 1\nx\n";
        writeln!(stream, "M 100644 inline f\ndata {}\n{lines}", lines.len()).unwrap_or_default();
    }
    stream += "done\n";
    fixture.write("../stream", &stream);
    support::shell(&fixture.path, "git fast-import --quiet < ../stream && git reset --quiet --hard");
    fixture
}

#[test]
fn every_faulty_frame_is_answered_and_the_connection_survives() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let deep = |levels: usize| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    let long = format!(
        r#"{{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{{"name":"git_status","arguments":{{"p":"{}"}}}}}}"#,
        "x".repeat(9 << 20)
    );
    let huge_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "i".repeat(5000));
    let cases: Vec<(Vec<u8>, i64, Value)> = vec![
        (br#"{"jsonrpc":"2.0","id":1,"method":"tools/li"#.to_vec(), -32700, json!(1)),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\xff\"}".to_vec(), -32700, json!(1)),
        (deep(126).into_bytes(), -32700, json!(1)),
        (deep(100_000).into_bytes(), -32700, json!(1)),
        (long.into_bytes(), -32600, json!(77)),
        (huge_id.into_bytes(), -32600, Value::Null),
        (b"[]".to_vec(), -32600, Value::Null),
        (br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_vec(), -32600, Value::Null),
        (br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.to_vec(), -32600, Value::Null),
        (br#"{"jsonrpc":"1.0","id":5,"method":"ping"}"#.to_vec(), -32600, json!(5)),
        (br#"{"jsonrpc":"2.0","id":6}"#.to_vec(), -32600, json!(6)),
        (br#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#.to_vec(), -32602, json!(7)),
        (br#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{}}"#.to_vec(), -32602, json!(8)),
        (br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"git_status","arguments":[1]}}"#.to_vec(), -32602, json!(9)),
        (br#"{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":7}}"#.to_vec(), -32602, json!(10)),
        (br#"{"jsonrpc":"2.0","id":11,"method":"tools/call","params":{"name":"no_such_tool"}}"#.to_vec(), -32602, json!(11)),
        (br#"{"jsonrpc":"2.0","id":12,"method":"no/such"}"#.to_vec(), -32601, json!(12)),
        (br#"{"jsonrpc":"2.0","id":13,"method":"tools/list","params":{"cursor":"x"}}"#.to_vec(), -32602, json!(13)),
    ];
    for (mut line, code, id) in cases {
        let shown = String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
        line.push(b'\n');
        client.send(&line);
        let answer = client.receive();
        assert_eq!((answer["error"]["code"].as_i64(), &answer["id"]), (Some(code), &id), "{shown}: {answer}");
        client.ping();
    }
    for ignored in ["", "   ", r#"{"jsonrpc":"2.0","method":"notifications/none"}"#, r#"{"jsonrpc":"2.0","id":99,"result":{}}"#] {
        client.send(format!("{ignored}\n").as_bytes());
        client.ping();
    }
}

#[test]
fn both_lifecycles_can_open_the_connection() {
    let fixture = Fixture::new();
    let path = fixture.path.display().to_string();
    let meta = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }});
    let mut modern = Client::start(&["-r", &path], &[]);
    let discovered = modern.request("server/discover", &meta);
    assert!(discovered["result"]["supportedVersions"].to_string().contains("2026-07-28"), "{discovered}");
    let mut call = meta.clone();
    call["name"] = json!("git_status");
    let answer = modern.request("tools/call", &call);
    assert_eq!(answer["result"]["content"][0]["text"].as_str().map(|text| text.starts_with("## main\n")), Some(true), "{answer}");
    assert_eq!(answer["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "mcp-server-git", "{answer}");

    let mut both = Client::start(&["-r", &path], &[]);
    both.request("server/discover", &meta);
    assert_eq!(both.initialize()["protocolVersion"], "2025-06-18");
    both.text("git_status", &json!({}));

    let mut early = Client::start(&["-r", &path], &[]);
    early.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
    early.send(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}\n");
    assert!(early.request("tools/list", &json!({}))["error"]["code"].is_i64(), "a request before initialize has a defined answer");
    assert_eq!(early.initialize()["serverInfo"]["name"], "mcp-server-git");
}

#[test]
fn an_id_in_flight_is_refused_and_a_ping_overtakes_slow_calls() {
    let fixture = slow_history();
    let mut client = fixture.serve();
    for _ in 0..3 {
        client.start_call("git_blame", &json!({"path": "f"}));
    }
    client.send_json(
        &json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "git_blame", "arguments": {"path": "f"}}}),
    );
    client.send_json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
    let refused = client.receive();
    assert_eq!((refused["id"].as_i64(), refused["error"]["code"].as_i64()), (Some(1), Some(-32600)), "{refused}");
    client.send_json(&json!({"jsonrpc": "2.0", "id": 2, "method": "ping"}));
    assert_eq!(client.receive()["id"], 2, "the ping overtakes the blames");
}

#[test]
fn a_cancelled_call_has_no_answer_and_its_process_ends() {
    let fixture = slow_history();
    let mut client = fixture.serve();
    for shape in [
        |id: &Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}),
        |id: &Value| json!({"type": "notifications/cancelled", "request_id": id}),
    ] {
        let id = client.start_call("git_blame", &json!({"path": "f"}));
        wait_for("the process of the blame", || {
            client.ping();
            !descendants(client.pid()).is_empty()
        });
        let cancel = shape(&id);
        client.send_json(&cancel);
        client.send_json(&cancel);
        wait_for("the end of the process", || {
            client.ping();
            descendants(client.pid()).is_empty()
        });
    }
    for odd in [json!({}), json!({"requestId": 424_242}), json!({"requestId": []}), json!({"requestId": "x", "reason": 7})] {
        client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": odd}));
        client.ping();
    }
    let (code, rest, _) = client.end();
    assert_eq!((code, rest.len()), (Some(0), 0), "no cancelled call was answered");
}

#[test]
fn end_of_input_and_signals_end_everything() {
    let fixture = slow_history();
    for ending in ["", "TERM", "INT"] {
        let mut client = fixture.serve();
        client.start_call("git_blame", &json!({"path": "f"}));
        wait_for("the process of the blame", || !descendants(client.pid()).is_empty());
        let children = descendants(client.pid());
        let code = if ending.is_empty() {
            client.end().0
        } else {
            client.signal(ending);
            client.wait()
        };
        assert_eq!(code, Some(0), "{ending}");
        for child in children {
            assert!(!std::path::Path::new(&format!("/proc/{child}/cwd")).exists(), "{ending}: a child is left");
        }
    }
}

#[test]
fn a_dead_parent_ends_the_server_despite_an_open_pipe() -> Outcome {
    let fixture = Fixture::new();
    let server = env!("CARGO_BIN_EXE_mcp-server-git");
    let (input, output) = (fixture.path.join("../input"), fixture.path.join("../output"));
    // The shell starts the server on a pipe that this test holds open, prints its pid, and ends on request.
    let script = format!(
        "mkfifo '{0}' '{2}'; '{server}' -r '{1}' <'{0}' >'{2}' & echo $!; read end",
        input.display(),
        fixture.path.display(),
        output.display()
    );
    #[allow(clippy::disallowed_methods, reason = "the test needs a parent that dies")]
    let mut shell = std::process::Command::new("sh");
    let piped = std::process::Stdio::piped;
    let mut shell = shell.args(["-c", &script]).stdin(piped()).stdout(piped()).spawn()?;
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(shell.stdout.take().ok_or("no output")?), &mut line)?;
    let pid: u32 = line.trim().parse()?;
    let mut held = std::fs::OpenOptions::new().write(true).open(&input)?;
    let mut answers = std::io::BufReader::new(std::fs::File::open(&output)?);
    std::io::Write::write_all(&mut held, b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n")?;
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut answers, &mut answer)?;
    assert!(answer.contains("\"id\":1"), "{answer}");
    drop(shell.stdin.take());
    shell.wait()?;
    wait_for("the end of the server", || std::fs::read_link(format!("/proc/{pid}/exe")).is_err());
    drop(held);
    Ok(())
}

#[test]
fn a_flood_is_read_and_refused() {
    let fixture = slow_history();
    let mut client = fixture.serve();
    for id in 0..400 {
        client.send_json(
            &json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "git_blame", "arguments": {"path": "f"}}}),
        );
    }
    client.send_json(&json!({"jsonrpc": "2.0", "id": "p", "method": "ping"}));
    let mut refused = 0;
    loop {
        let message = client.receive();
        if message["id"] == "p" {
            // The ping needs a permit, too. Refused or answered, it gets a reply.
            break;
        }
        if message["error"]["code"] == -32000 {
            assert!(message["error"]["data"]["retry_after_ms"].is_u64(), "{message}");
            refused += 1;
        }
    }
    assert!(refused >= 144, "{refused}");
}

#[test]
fn a_stalled_reader_costs_little_and_loses_nothing() -> Outcome {
    use std::io::{BufRead, BufReader, Write};
    const REQUESTS: i64 = 20_000;
    let fixture = Fixture::new();
    let piped = std::process::Stdio::piped;
    let mut child = program().arg("-r").arg(&fixture.path).stdin(piped()).stdout(piped()).spawn()?;
    let (mut stdin, stdout) = (child.stdin.take().ok_or("no input")?, child.stdout.take().ok_or("no output")?);
    let open = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    writeln!(stdin, "{}", json!({"jsonrpc": "2.0", "id": -1, "method": "initialize", "params": open}))?;
    // All requests are sent before any reply is read: the server keeps reading, and refuses the excess.
    for id in 0..REQUESTS {
        writeln!(stdin, "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\"}}")?;
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).and_then(|line| line.split_whitespace().next()).ok_or("no VmHWM")?;
    assert!(peak.parse::<u64>()? < 80 << 10, "{peak} KiB");
    drop(stdin);
    let mut seen = std::collections::HashSet::new();
    let mut answered = 0;
    for line in BufReader::new(stdout).lines() {
        let message: Value = serde_json::from_str(&line?)?;
        assert!(message["result"].is_object() || message["error"]["code"] == -32000, "{message}");
        answered += i32::from(message["result"].is_object());
        assert!(seen.insert(message["id"].as_i64().ok_or("an id")?), "answered once: {message}");
    }
    assert_eq!(seen.len(), usize::try_from(REQUESTS)? + 1, "every request has its reply");
    assert!(answered > 1, "those with a place are answered");
    Ok(())
}

#[test]
fn a_thousand_mutated_frames_leave_the_server_answering() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let seeds = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"git_log","arguments":{"max_count":3}}}"#,
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below as u64).unwrap_or_default()
    };
    for round in 0..1000 {
        let mut frame = seeds[round % seeds.len()].as_bytes().to_vec();
        for _ in 0..=next(4) {
            let at = next(frame.len());
            match next(3) {
                0 => frame[at] = u8::try_from(next(256)).unwrap_or_default(),
                1 => drop(frame.remove(at)),
                _ => frame.insert(at, b"{}[]\",:0\\"[next(9)]),
            }
        }
        frame.retain(|&byte| byte != b'\n');
        frame.push(b'\n');
        client.send(&frame);
        if round % 50 == 0 {
            client.ping();
        }
    }
    client.ping();
    assert!(client.text("git_status", &json!({})).starts_with("## main"));
}

#[test]
fn nothing_but_json_rpc_is_written_at_any_log_level() {
    let fixture = Fixture::new();
    for level in ["trace", "debug", "warn"] {
        let mut client = fixture.serve_with(&["--log-level", level, "--log-format", "json"], &[]);
        client.text("git_log", &json!({"author": "SECRET-ARGUMENT"}));
        client.error("git_show", &json!({"revision": "SECRET-ARGUMENT"}));
        client.send(b"not json\n");
        client.receive();
        let (code, rest, errors) = client.end();
        assert_eq!((code, rest.len()), (Some(0), 0), "{level}");
        assert!(level == "warn" || !errors.is_empty(), "{level}: nothing is logged");
        assert!(!errors.contains("SECRET-ARGUMENT"), "{level}: arguments are not logged:\n{errors}");
        for line in errors.lines() {
            assert!(serde_json::from_str::<Value>(line).is_ok(), "{level}: {line}");
        }
    }
}

#[test]
fn socket_pairs_work_as_in_node() -> Outcome {
    use std::{
        io::{BufRead, BufReader, Write},
        os::{fd::OwnedFd, unix::net::UnixStream},
    };
    let fixture = Fixture::new();
    let (ours, theirs) = UnixStream::pair()?;
    let input: OwnedFd = theirs.try_clone()?.into();
    let output: OwnedFd = theirs.into();
    let mut child = program().arg("-r").arg(&fixture.path).stdin(input).stdout(output).spawn()?;
    (&ours).write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n")?;
    let mut line = String::new();
    BufReader::new(&ours).read_line(&mut line)?;
    assert!(line.contains("\"result\":{}"), "{line}");
    ours.shutdown(std::net::Shutdown::Write)?;
    assert!(child.wait()?.success());
    Ok(())
}

#[test]
fn outside_a_repository_each_call_explains_what_is_missing() {
    let mut client = Client::start(&[], &[]);
    client.initialize();
    let text = client.error("git_status", &json!({"repo_path": "/tmp"}));
    assert!(text.contains("-r PATH"), "{text}");
}

#[test]
fn a_clients_roots_only_narrow() {
    let (one, other) = (Fixture::new(), Fixture::new());
    let (a, b) = (one.path.display().to_string(), other.path.display().to_string());
    let mut client = Client::start(&["-r", &a, "-r", &b], &[]);
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {"roots": {}}, "clientInfo": {"name": "t", "version": "1"}});
    client.request("initialize", &params);
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let asked = client.receive();
    assert_eq!(asked["method"], "roots/list", "{asked}");
    let roots = json!([{"uri": format!("file://{a}")}, {"uri": "file:///etc"}]);
    client.send_json(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": roots}}));
    let text = client.error("git_status", &json!({"repo_path": b}));
    assert!(text.contains("outside the client's own roots"), "{text}");
    client.text("git_status", &json!({"repo_path": a}));
    let text = client.error("git_status", &json!({"repo_path": "/etc"}));
    assert!(text.contains("outside the allowed roots"), "{text}");
}
