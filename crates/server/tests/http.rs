//! `serve`: the same bytes get the same replies as on stdio, and strangers are turned away.

#![allow(clippy::expect_used, clippy::panic, clippy::format_push_string, reason = "tests start the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
};
use support::{Fixture, Outcome, program};

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(fixture: &Fixture) -> Self {
        let spawned = program().arg("-r").arg(&fixture.path).args(["serve", "--port", "0"]).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it says where it listens");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        Self { child, port }
    }

    /// Sends a request and gives the status and the body.
    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: 127.0.0.1:{}\r\n", self.port);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("the server reads");
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).expect("the server answers");
        let reply = String::from_utf8_lossy(&reply).into_owned();
        let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    /// Posts a message of the stateless revision and gives the reply.
    fn post(&self, message: &Value) -> Value {
        let method = message["method"].as_str().unwrap_or_default().to_owned();
        let name = message["params"]["name"].as_str().unwrap_or_default().to_owned();
        let mut headers = vec![
            ("Content-Type", "application/json"),
            ("Accept", "application/json, text/event-stream"),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Method", method.as_str()),
        ];
        if !name.is_empty() {
            headers.push(("Mcp-Name", &name));
        }
        let (status, body) = self.send("POST", "/mcp", &headers, &message.to_string());
        // A JSON body, or one event of a stream, in chunks or not.
        let start = body.find('{').unwrap_or_else(|| panic!("{status} {body}"));
        let mut values = serde_json::Deserializer::from_str(&body[start..]).into_iter::<Value>();
        values.next().and_then(Result::ok).unwrap_or_else(|| panic!("{status} {body}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
        self.child.wait().map(drop).unwrap_or_default();
    }
}

fn meta() -> Value {
    json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    })
}

/// Replies are the same but for the marks that are new in each result.
fn without_marks(reply: &Value) -> String {
    let mut text = reply.to_string();
    let mut from = 0;
    while let Some(at) = text[from..].find("[git:") {
        from += at + 5;
        text.replace_range(from..from + 6, "------");
    }
    text
}

#[test]
fn the_same_script_gets_the_same_replies_on_stdio_and_http() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "dirty\n");
    let server = Server::start(&fixture);
    let mut stdio = support::Client::start(&["-r", &fixture.path.display().to_string()], &[]);
    let script = [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("tools/list", json!({"cursor": "x"})),
        ("tools/call", json!({"name": "git_status", "arguments": {}})),
        ("tools/call", json!({"name": "git_diff", "arguments": {}})),
        ("tools/call", json!({"name": "git_log", "arguments": {"max_count": 1}})),
        ("tools/call", json!({"name": "git_show", "arguments": {"revision": "HEAD"}})),
        ("tools/call", json!({"name": "git_show", "arguments": {"revision": "--output=x"}})),
        ("tools/call", json!({"name": "git_show", "arguments": {}})),
        ("tools/call", json!({"name": "git_blame", "arguments": {"path": "a.txt"}})),
        ("tools/call", json!({"name": "git_grep", "arguments": {"pattern": "("}})),
        ("tools/call", json!({"name": "git_status", "arguments": {"repo_path": "/etc"}})),
        ("tools/call", json!({"name": "no_such_tool", "arguments": {}})),
        ("no/such", json!({})),
    ];
    for (id, (method, mut params)) in script.into_iter().enumerate() {
        params["_meta"] = meta();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        stdio.send_json(&message);
        let on_stdio = stdio.answer_to(&json!(id));
        let on_http = server.post(&message);
        assert_eq!(without_marks(&on_stdio), without_marks(&on_http), "{message}");
    }
}

#[test]
fn foreign_hosts_and_origins_are_turned_away_46_47() {
    let server = Server::start(&Fixture::new());
    assert_eq!(server.send("GET", "/health", &[], "").0, 200);
    for (name, value) in [
        ("Host", "evil.example"),
        ("Host", "127.0.0.1.evil.example:80"),
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost.evil.example"),
    ] {
        for (method, path) in [("GET", "/health"), ("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp")] {
            let (status, body) = server.send(method, path, &[(name, value)], "");
            assert_eq!(status, 403, "{method} {path} {name}: {value}: {body}");
        }
    }
    assert_eq!(server.send("GET", "/health", &[("Origin", "http://localhost:3000")], "").0, 200);
}

#[test]
fn a_taken_port_names_its_owner_and_the_way_out() -> Outcome {
    let fixture = Fixture::new();
    let server = Server::start(&fixture);
    let output = program().arg("-r").arg(&fixture.path).args(["serve", "--port", &server.port.to_string()]).output()?;
    let text = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{text}");
    let expect = [format!("port {}", server.port), format!("pid {}", server.child.id()), "--port N".to_owned(), "MCP_GIT_PORT".to_owned()];
    assert!(expect.iter().all(|part| text.contains(part)), "{text}");
    Ok(())
}

#[test]
fn a_signal_ends_the_server() -> Outcome {
    let mut server = Server::start(&Fixture::new());
    support::shell(std::path::Path::new("/"), &format!("kill -TERM {}", server.child.id()));
    assert!(server.child.wait()?.success());
    Ok(())
}
