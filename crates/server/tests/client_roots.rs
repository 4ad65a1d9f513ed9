//! A client with roots is confined to them from its first call, and to new ones from their announcement.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use support::{
    Client, Fixture, Outcome,
    hooks::{Gate, hook},
    text_of,
    wire::{JSON, Served, call, post, wait_for},
};
use tungstenite::{Message, WebSocket, stream::MaybeTlsStream};

const OUTSIDE: &str = "outside the client's own roots";
const UNANSWERED: &str = "did not answer roots/list";

fn path(fixture: &Fixture) -> String {
    fixture.path.display().to_string()
}

fn opening() -> Value {
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": {"roots": {"listChanged": true}}, "clientInfo": {"name": "t", "version": "1"}});
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params})
}

fn initialized() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/initialized"})
}

/// `notifications/roots/list_changed`.
fn changed() -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
}

/// The answer to `roots/list`.
fn roots(question: &Value, paths: &[&str]) -> Value {
    assert_eq!(question["method"], "roots/list", "{question}");
    let roots: Vec<Value> = paths.iter().map(|path| json!({"uri": format!("file://{path}")})).collect();
    json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": roots}})
}

fn refused(question: &Value) -> Value {
    assert_eq!(question["method"], "roots/list", "{question}");
    json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -32601, "message": "Method not found"}})
}

fn status(id: u32, path: &str) -> Value {
    call(id, "git_status", json!({"repo_path": path}))
}

/// A client with roots that is about to receive `roots/list`.
fn rooted(repositories: &[&Fixture], variables: &[(&str, &str)]) -> Client {
    let named: Vec<String> = repositories.iter().flat_map(|fixture| ["-r".to_owned(), path(fixture)]).collect();
    let mut client = Client::start(&named.iter().map(String::as_str).collect::<Vec<_>>(), variables);
    client.send_json(&opening());
    client.answer_to(&json!(0));
    client.send_json(&initialized());
    client
}

fn is_refused(answer: &Value, why: &str) -> bool {
    answer["result"]["isError"] == true && text_of(&answer["result"]).contains(why)
}

fn is_done(answer: &Value) -> bool {
    answer["result"].is_object() && answer["result"]["isError"] != true
}

/// The answers to these requests, in request order.
fn answers<const N: usize>(client: &mut Client, ids: [u32; N]) -> [Value; N] {
    let mut found = vec![Value::Null; N];
    while found.contains(&Value::Null) {
        let message = client.receive();
        if let Some(at) = ids.iter().position(|id| message["id"] == *id) {
            found[at] = message;
        }
    }
    found.try_into().expect("as many")
}

#[test]
fn calls_wait_for_the_roots() {
    let (a, b) = (Fixture::new(), Fixture::new());
    let mut client = rooted(&[&a, &b], &[]);
    for id in 1..=40 {
        client.send_json(&status(id, &path(if id % 2 == 0 { &a } else { &b })));
    }
    let question = client.receive();
    // The connection stays responsive meanwhile.
    client.ping();
    client.send_json(&roots(&question, &[&path(&a)]));
    for (at, answer) in
        answers(&mut client, std::array::from_fn::<u32, 40, _>(|at| u32::try_from(at).unwrap_or_default() + 1)).iter().enumerate()
    {
        assert!(if at % 2 == 1 { is_done(answer) } else { is_refused(answer, OUTSIDE) }, "{at}: {answer}");
    }
}

#[test]
fn a_call_during_the_handshake_waits_too() {
    let (a, b) = (Fixture::new(), Fixture::new());
    let mut client = Client::start(&["-r", &path(&a), "-r", &path(&b)], &[]);
    client.send_json(&opening());
    client.answer_to(&json!(0));
    client.send_json(&status(1, &path(&b)));
    let question = client.receive();
    client.send_json(&roots(&question, &[&path(&a)]));
    let [answer] = answers(&mut client, [1]);
    assert!(is_refused(&answer, OUTSIDE), "{answer}");
}

#[test]
fn every_read_waits_for_the_roots() {
    let (a, b) = (Fixture::new(), Fixture::new());
    let mut client = rooted(&[&a, &b], &[]);
    let question = client.receive();
    let request = |id: u32, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let blob = json!({"type": "ref/resource", "uri": "git://{repo}/blob/{rev}/{+path}"});
    let there = format!("git://{}/status", path(&b).replace('/', "%2F"));
    let completed = json!({"ref": blob, "argument": {"name": "rev", "value": "ma"}, "context": {"arguments": {"repo": path(&b)}}});
    for message in [
        request(1, "resources/list", json!({})),
        request(2, "resources/read", json!({"uri": there})),
        request(3, "resources/subscribe", json!({"uri": there})),
        request(4, "prompts/get", json!({"name": "commit-message", "arguments": {"repo_path": path(&b)}})),
        request(5, "completion/complete", completed),
        // These read no repository.
        request(6, "prompts/get", json!({"name": "code-review", "arguments": {"diff": "+x"}})),
        request(7, "tools/list", json!({})),
    ] {
        client.send_json(&message);
    }
    let [prompt, tools] = answers(&mut client, [6, 7]);
    assert!(is_done(&prompt) && is_done(&tools), "{prompt} {tools}");
    client.send_json(&roots(&question, &[&path(&a)]));
    let [listed, read, subscribed, prompt, completed] = answers(&mut client, [1, 2, 3, 4, 5]);
    // Of two repositories named `repo`, the remaining one keeps that name.
    let uris: Vec<&str> = listed["result"]["resources"].as_array().into_iter().flatten().filter_map(|one| one["uri"].as_str()).collect();
    assert_eq!(uris, ["git://repo/status", "git://repo/commit/HEAD", "git://repo/tree/HEAD/"]);
    assert!(read["error"]["message"].as_str().is_some_and(|why| why.contains(OUTSIDE)), "{read}");
    assert!(subscribed["error"].is_object() && prompt["error"].is_object(), "{subscribed} {prompt}");
    assert_eq!(completed["result"]["completion"]["values"], json!([]), "{completed}");
}

#[test]
fn an_unanswered_roots_list_refuses_the_call() {
    let a = Fixture::new();
    let mut client = rooted(&[&a], &[("MCP_GIT_READ_TIMEOUT", "1")]);
    let late = client.receive();
    client.send_json(&status(1, &path(&a)));
    let [answer] = answers(&mut client, [1]);
    assert!(is_refused(&answer, UNANSWERED), "{answer}");
    let read = client.request("resources/read", &json!({"uri": "git://repo/status"}));
    assert!(read["error"]["message"].as_str().is_some_and(|why| why.contains(UNANSWERED)), "{read}");
    // A late answer applies to later calls.
    client.send_json(&roots(&late, &[&path(&a)]));
    client.send_json(&status(2, &path(&a)));
    let [answer] = answers(&mut client, [2]);
    assert!(is_done(&answer), "{answer}");
}

#[test]
fn an_error_refuses_the_call_and_the_next_call_asks_again() {
    let a = Fixture::new();
    let mut client = rooted(&[&a], &[]);
    client.send_json(&status(1, &path(&a)));
    let question = client.receive();
    client.send_json(&refused(&question));
    let [answer] = answers(&mut client, [1]);
    assert!(is_refused(&answer, UNANSWERED) && text_of(&answer["result"]).contains("Method not found"), "{answer}");
    // A result without roots counts as a failure, too.
    client.send_json(&status(2, &path(&a)));
    let question = client.receive();
    client.send_json(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {}}));
    let [answer] = answers(&mut client, [2]);
    assert!(is_refused(&answer, UNANSWERED), "{answer}");
    client.send_json(&status(3, &path(&a)));
    let question = client.receive();
    client.send_json(&roots(&question, &[&path(&a)]));
    let [answer] = answers(&mut client, [3]);
    assert!(is_done(&answer), "{answer}");
}

/// The client's answer to `roots/list`.
fn listed(client: &mut Client, given: &Value) {
    let question = client.receive();
    assert_eq!(question["method"], "roots/list", "{question}");
    client.send_json(&json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": given}}));
}

#[test]
fn roots_without_a_directory_allow_no_repository() {
    let a = Fixture::new();
    let (elsewhere, missing) = (json!({"uri": "https://example.com/"}), json!({"uri": "file:///nonexistent/folder"}));
    for given in [json!([elsewhere]), json!([missing]), json!([elsewhere, missing])] {
        let mut client = rooted(&[&a], &[]);
        listed(&mut client, &given);
        for args in [json!({}), json!({"repo_path": path(&a)})] {
            let text = client.error("git_status", &args);
            assert!(text.contains("roots allow no repository") && text.contains("roots/list"), "{given} {args}: {text}");
        }
        assert_eq!(client.request("resources/list", &json!({}))["result"]["resources"], json!([]));
        assert!(client.request("resources/read", &json!({"uri": "git://repo/status"}))["error"].is_object());
    }
}

#[test]
fn an_empty_list_of_roots_keeps_the_operators_roots() {
    let (a, outside) = (Fixture::new(), Fixture::new());
    let mut client = rooted(&[&a], &[]);
    listed(&mut client, &json!([]));
    assert!(client.text("git_status", &json!({})).starts_with("## main"));
    assert!(client.error("git_status", &json!({"repo_path": path(&outside)})).contains("outside"));
    assert_eq!(client.request("resources/list", &json!({}))["result"]["resources"].as_array().map(Vec::len), Some(3));
    // The client opens a folder, and closes it again.
    for (given, is_allowed) in [(json!([{"uri": "file:///nonexistent/folder"}]), false), (json!([]), true)] {
        client.send_json(&changed());
        listed(&mut client, &given);
        client.send_json(&status(7, &path(&a)));
        let [answer] = answers(&mut client, [7]);
        assert_eq!(is_done(&answer), is_allowed, "{given}: {answer}");
    }
}

/// A connection over one of two transports.
enum Line {
    Stdio(Box<Client>),
    Socket(Box<WebSocket<MaybeTlsStream<TcpStream>>>),
}

impl Line {
    fn send(&mut self, message: &Value) {
        match self {
            Self::Stdio(client) => client.send_json(message),
            Self::Socket(socket) => socket.send(Message::text(message.to_string())).expect("the server reads"),
        }
    }

    fn receive(&mut self) -> Value {
        match self {
            Self::Stdio(client) => client.receive(),
            Self::Socket(socket) => loop {
                if let Message::Text(text) = socket.read().expect("a message") {
                    return serde_json::from_str(&text).expect("JSON");
                }
            },
        }
    }
}

#[test]
fn new_roots_apply_to_each_call_after_their_announcement() {
    let (a, b) = (Fixture::new(), Fixture::new());
    let server = Served::start(&a, &["-r", &path(&a), "-r", &path(&b)], &[]);
    let stdio = Client::start(&["-r", &path(&a), "-r", &path(&b)], &[]);
    for mut line in [Line::Stdio(Box::new(stdio)), Line::Socket(Box::new(server.websocket(&[]).expect("a socket")))] {
        line.send(&opening());
        assert_eq!(line.receive()["id"], 0);
        line.send(&initialized());
        let question = line.receive();
        line.send(&roots(&question, &[&path(&a)]));
        for round in 1..=30 {
            // Each time the repository leaves the roots, and a call to it follows at once.
            let (now, before) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
            line.send(&changed());
            line.send(&status(round, &path(before)));
            let question = line.receive();
            assert_eq!(question["method"], "roots/list", "{round}: {question}");
            line.send(&roots(&question, &[&path(now)]));
            let answer = line.receive();
            assert!(answer["id"] == round && is_refused(&answer, OUTSIDE), "{round}: {answer}");
        }
    }
}

#[test]
fn a_running_call_is_not_disturbed_by_new_roots() {
    let (a, b) = (Fixture::new(), Fixture::new());
    let (gate, began) = (Gate::closed(&a), a.path.join(".git/began"));
    hook(&a, "pre-commit", &format!("touch '{}'; {}", began.display(), gate.wait()));
    a.write("a.txt", "changed\n").git(&["add", "a.txt"]);
    let mut client = rooted(&[&a, &b], &[]);
    let question = client.receive();
    client.send_json(&roots(&question, &[&path(&a)]));
    client.send_json(&call(1, "git_commit", json!({"repo_path": path(&a), "message": "in time"})));
    wait_for("the hook", || began.exists());
    client.send_json(&changed());
    let question = client.receive();
    client.send_json(&roots(&question, &[&path(&b)]));
    client.send_json(&status(2, &path(&a)));
    let [answer] = answers(&mut client, [2]);
    assert!(is_refused(&answer, OUTSIDE), "{answer}");
    gate.open();
    let [answer] = answers(&mut client, [1]);
    assert!(is_done(&answer), "{answer}");
}

/// The messages received on an event stream.
fn events(text: &str) -> Vec<Value> {
    let texts = text.lines().filter_map(|line| line.strip_prefix("data: "));
    texts.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

#[test]
fn a_session_over_http_is_asked_on_the_stream_of_the_call() -> Outcome {
    let (a, b) = (Fixture::new(), Fixture::new());
    let server = Served::start(&a, &["-r", &path(&a), "-r", &path(&b)], &[]);
    let reply = post(&server, &[], &opening());
    let id = reply.header("mcp-session-id").ok_or("a session")?.to_owned();
    let own = [("Mcp-Session-Id", id.as_str())];
    assert_eq!(post(&server, &own, &initialized()).status, 202);
    for (round, inside, outside) in [(1, &a, &b), (2, &b, &a)] {
        let body = status(round, &path(outside)).to_string();
        let given = JSON.iter().chain(&own).fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
        let head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{given}\r\n{body}", body.len());
        let mut stream = TcpStream::connect(("127.0.0.1", server.port))?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        stream.write_all(head.as_bytes())?;
        let (mut text, mut is_answered) = (String::new(), false);
        let result = loop {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer)?;
            assert!(count > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
            let found = events(&text);
            if let Some(question) = found.iter().find(|message| message["method"] == "roots/list").filter(|_| !is_answered) {
                assert_eq!(post(&server, &own, &roots(question, &[&path(inside)])).status, 202);
                is_answered = true;
            }
            if let Some(result) = found.into_iter().find(|message| message["id"] == round && message["method"].is_null()) {
                break result;
            }
        };
        assert!(is_answered && is_refused(&result, OUTSIDE), "{text}");
        assert_eq!(post(&server, &own, &changed()).status, 202);
    }
    Ok(())
}
