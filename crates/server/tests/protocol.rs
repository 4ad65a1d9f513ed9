//! One script of bytes over standard input, HTTP, WebSocket and a Unix socket, in every revision: the replies are equal.

#![allow(clippy::expect_used, clippy::panic, reason = "tests start the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use support::{
    Client, Fixture,
    wire::{LEGACY, NEWEST, Peer, Served, meta},
};

/// A message of the script.
enum Step {
    /// A request.
    Ask(&'static str, Value),
    /// Bytes, and whether they are answered.
    Raw(Vec<u8>, bool),
}

fn calls() -> Vec<Step> {
    let call = |name: &str, args: Value| Step::Ask("tools/call", json!({"name": name, "arguments": args}));
    vec![
        call("git_status", json!({})),
        call("git_status", json!({"repo_path": "/etc"})),
        call("git_status", json!({"repo_path": 7})),
        call("git_status", json!({"nope": 1})),
        call("git_diff", json!({})),
        call("git_diff", json!({"scope": "staged"})),
        call("git_diff", json!({"target": "HEAD~1..HEAD"})),
        call("git_diff", json!({"target": "none..HEAD"})),
        call("git_diff", json!({"stat": true, "context_lines": 0})),
        call("git_log", json!({})),
        call("git_log", json!({"max_count": 1})),
        call("git_log", json!({"paths": ["a.txt"]})),
        call("git_log", json!({"grep": "("})),
        call("git_show", json!({"revision": "HEAD"})),
        call("git_show", json!({"revision": "HEAD:a.txt"})),
        call("git_show", json!({"revision": "HEAD:"})),
        call("git_show", json!({"revision": "HEAD:none"})),
        call("git_show", json!({"revision": "--output=x"})),
        call("git_show", json!({})),
        call("git_show", json!({"revision": "HEAD", "max_tokens": 100})),
        call("git_blame", json!({"path": "a.txt"})),
        call("git_blame", json!({"path": "../x"})),
        call("git_grep", json!({"pattern": "fn"})),
        call("git_grep", json!({"pattern": "["})),
        call("git_branch", json!({})),
        call("git_conflicts", json!({})),
        call("git_stash", json!({"action": "list"})),
        call("git_reflog", json!({"max_count": 1})),
        call("git_undo", json!({"preview": true})),
        call("git_commit", json!({"message": "nothing"})),
        call("git_reset", json!({"mode": "hard"})),
        call("git_continue", json!({})),
        call("git_push", json!({})),
        call("git_fetch", json!({"remote": "-x"})),
        call("no_such_tool", json!({})),
        Step::Ask("tools/call", json!({"arguments": {}})),
        Step::Ask("tools/call", json!({"name": "git_status", "arguments": [1]})),
        Step::Ask("tools/call", json!({"name": "git_status", "arguments": "x"})),
    ]
}

fn features() -> Vec<Step> {
    let blob = json!({"type": "ref/resource", "uri": "git://{repo}/blob/{rev}/{+path}"});
    let mut steps = vec![
        Step::Ask("tools/list", json!({})),
        Step::Ask("tools/list", json!({"cursor": "x"})),
        Step::Ask("tools/list", json!({"cursor": 7})),
        Step::Ask("resources/list", json!({})),
        Step::Ask("resources/list", json!({"cursor": "nope"})),
        Step::Ask("resources/templates/list", json!({})),
        Step::Ask("prompts/list", json!({})),
        Step::Ask("prompts/get", json!({"name": "code-review", "arguments": {"diff": "+x"}})),
        Step::Ask("prompts/get", json!({"name": "code-review"})),
        Step::Ask("prompts/get", json!({"name": "code-review", "arguments": {"x": "y"}})),
        Step::Ask("prompts/get", json!({"name": "none"})),
        Step::Ask("prompts/get", json!({})),
        Step::Ask("completion/complete", json!({"ref": blob, "argument": {"name": "repo", "value": ""}})),
        Step::Ask(
            "completion/complete",
            json!({"ref": blob, "argument": {"name": "rev", "value": "m"}, "context": {"arguments": {"repo": "repo"}}}),
        ),
        Step::Ask("completion/complete", json!({"ref": blob, "argument": {"name": "none", "value": ""}})),
        Step::Ask(
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "commit-message"}, "argument": {"name": "type", "value": "f"}}),
        ),
        Step::Ask("completion/complete", json!({})),
        Step::Ask("no/such/method", json!({})),
        Step::Ask("tasks/get", json!({"taskId": "none"})),
        Step::Ask("ping", json!({})),
        Step::Ask("logging/setLevel", json!({"level": "error"})),
        Step::Ask("logging/setLevel", json!({"level": "loud"})),
        Step::Ask("resources/subscribe", json!({"uri": "git://none/status"})),
        Step::Ask("resources/unsubscribe", json!({"uri": "git://repo/status"})),
    ];
    for uri in [
        "git://repo/status",
        "git://repo/commit/HEAD",
        "git://repo/tree/HEAD/dir",
        "git://repo/blob/HEAD/a.txt",
        "git://repo/blob/HEAD/none",
        "git://repo/diff/HEAD~1..HEAD",
        "x:y",
        "",
    ] {
        steps.push(Step::Ask("resources/read", json!({"uri": uri})));
    }
    steps
}

/// Malformed or unusual messages.
fn faults() -> Vec<Step> {
    let answered = |bytes: &[u8]| Step::Raw(bytes.to_vec(), true);
    let silent = |bytes: &[u8]| Step::Raw(bytes.to_vec(), false);
    let deep = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
    vec![
        answered(b"{"),
        answered(b"nonsense"),
        answered(b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"\xff\"}"),
        answered(b"[]"),
        answered(b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]"),
        answered(b"7"),
        answered(b"null"),
        answered(b"{}"),
        answered(b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}"),
        answered(b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}"),
        answered(b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}"),
        answered(b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}"),
        answered(b"{\"jsonrpc\":\"2.0\",\"id\":1}"),
        answered(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}"),
        answered(b"{\"id\":1,\"method\":7}"),
        answered(format!("{{\"jsonrpc\":\"2.0\",\"id\":\"{}\",\"method\":\"ping\"}}", "x".repeat(300)).as_bytes()),
        answered(format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{{\"a\":{}}}}}", deep(126)).as_bytes()),
        answered(format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{{\"a\":{}}}}}", deep(100_000)).as_bytes()),
        // The guide's forms.
        answered(b"{\"type\":\"ping\",\"id\":\"test_123\"}"),
        silent(b"{\"type\":\"notifications/cancelled\",\"request_id\":\"none\"}"),
        silent(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"none\"}}"),
        silent(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":7}"),
        silent(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/none\"}"),
        silent(b"{\"jsonrpc\":\"2.0\",\"id\":99,\"error\":7}"),
    ]
}

/// A reply without the marks that differ in each result.
fn without_marks(reply: &Value) -> String {
    let mut text = reply.to_string();
    let mut from = 0;
    while let Some(at) = text[from..].find("[git:") {
        from += at + 5;
        text.replace_range(from..from + 6, "------");
    }
    text
}

/// Plays the script in one revision, and returns the requests and replies.
fn play(peer: &mut Peer<'_>, revision: &'static str) -> Vec<(String, String)> {
    let newest = revision == NEWEST;
    let mut script = Vec::new();
    if newest {
        script.push(Step::Ask("server/discover", json!({})));
    } else {
        let info = json!({"name": "test", "version": "1"});
        script.push(Step::Ask("initialize", json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": info})));
        script.push(Step::Raw(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}".to_vec(), false));
        // The newest revision has no requests from the server, and so no answers to them.
        script.push(Step::Raw(b"{\"jsonrpc\":\"2.0\",\"id\":99,\"result\":{}}".to_vec(), false));
    }
    script.extend(calls().into_iter().chain(features()).chain(faults()));
    script.push(Step::Ask("tools/call", json!({"name": "git_status", "arguments": {}})));
    assert!(script.len() >= 80, "{}", script.len());
    let mut exchanged = Vec::new();
    for (id, step) in script.into_iter().enumerate() {
        let (bytes, answered) = match step {
            Step::Ask(method, mut params) => {
                if newest {
                    params["_meta"] = meta(&json!({}));
                }
                (json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string().into_bytes(), true)
            }
            Step::Raw(bytes, answered) => (bytes, answered),
        };
        let reply = peer.exchange(&bytes, answered).as_ref().map(without_marks).unwrap_or_default();
        let sent: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        exchanged.push((sent, reply));
    }
    exchanged
}

#[test]
fn every_transport_gives_equal_replies_in_every_revision() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "dirty\n");
    let socket = fixture.home.path().join("socket").display().to_string();
    let (tcp, unix) = (Served::start(&fixture, &[], &[]), Served::start(&fixture, &["--socket", &socket], &[]));
    for revision in LEGACY.into_iter().chain([NEWEST]) {
        let stdio = Client::start(&["-r", &fixture.path.display().to_string()], &[]);
        let expect = play(&mut Peer::Stdio(Box::new(stdio)), revision);
        let websocket = tcp.websocket(&[]).expect("a socket");
        for (name, mut peer) in [
            ("websocket", Peer::Socket(Box::new(websocket))),
            ("http", Peer::Http { server: &tcp, session: None, revision }),
            ("unix socket", Peer::Http { server: &unix, session: None, revision }),
        ] {
            let found = play(&mut peer, revision);
            assert_eq!(found.len(), expect.len(), "{name} in {revision}");
            for ((sent, expect), (_, found)) in expect.iter().zip(&found) {
                assert_eq!(found, expect, "{name} in {revision}: {sent}");
            }
        }
    }
}
