//! State that survives a server, observed through the next one.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use support::{
    Fixture,
    admin::{Administered, ServiceManager, code, held_commit, tool},
    program,
    remote::{OPEN, published},
    wire::{NEWEST, meta, post, session, wait_for},
};

#[test]
fn a_key_is_not_used_twice_while_the_store_is_unavailable() {
    let fixture = Fixture::new();
    fixture.write("../blocked", "a file, and no folder");
    let commit = || json!({"message": "once", "allow_empty": true, "idempotency_key": "k"});
    let server = Administered::start(&fixture, &[], &[]);
    let first = tool(&server, "git_commit", commit());
    assert_ne!(first["isError"], true, "{first}");
    drop(server);
    let store = format!("sqlite:{}", fixture.home.path().join("blocked/store.db").display());
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_STORE_URL", &store)]);
    let refused = tool(&server, "git_commit", commit());
    assert!(code(&refused) == "unavailable" && refused["structuredContent"]["retry_after_ms"].as_u64().is_some(), "{refused}");
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(tool(&server, "git_commit", commit())["content"], first["content"]);
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"3\n");
}

#[test]
fn tasks_survive_their_server() {
    let (fixture, _remote) = published();
    let hook = fixture.path.join(".git/hooks/pre-push");
    fs::write(&hook, "#!/bin/sh\nsleep \"$(cat .git/wait)\"\n").expect("a hook");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a hook");
    fixture.write(".git/wait", "3").write("a.txt", "more\n").commit("more");
    let server = Administered::start(&fixture, &[], &OPEN);
    let begin = |server: &Administered| {
        let begun = as_task(server, "tools/call", json!({"name": "git_push", "arguments": {}}));
        begun["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{begun}")).to_owned()
    };
    let state = |server: &Administered, id: &str| as_task(server, "tasks/get", json!({"taskId": id}));
    let finished = begin(&server);
    wait_for("its end", || state(&server, &finished)["result"]["status"] == "completed");
    let result = state(&server, &finished)["result"]["result"].clone();
    assert!(result["isError"] == false && result["content"][0]["text"].as_str().is_some_and(|text| text.contains("main")), "{result}");
    fixture.write(".git/wait", "60").write("a.txt", "and more\n").commit("and more");
    let pending = begin(&server);
    let children = support::descendants(server.server.child.id());
    drop(server);
    for pid in children {
        support::shell(Path::new("/"), &format!("kill -KILL {pid} 2>/dev/null || true"));
    }
    let server = Administered::start(&fixture, &[], &OPEN);
    assert_eq!(state(&server, &finished)["result"]["result"], result);
    let lost = state(&server, &pending);
    assert!(lost["result"]["status"] == "failed" && lost["result"]["error"]["data"]["code"] == "interrupted", "{lost}");
    assert!(state(&server, "none")["error"].is_object());
}

/// A request from a client that supports tasks.
fn as_task(server: &Administered, method: &str, mut params: Value) -> Value {
    params["_meta"] = meta(&json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}));
    let name = ["name", "taskId"].iter().find_map(|key| params[*key].as_str()).unwrap_or_default().to_owned();
    let own = [("MCP-Protocol-Version", NEWEST), ("Mcp-Method", method), ("Mcp-Name", &name)];
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    post(&server.server, &own, &message).message().expect("an answer")
}

#[test]
fn workspaces_survive_their_server_and_expire_when_unused() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let open = |server: &Administered| {
        let opened = tool(server, "git_workspace", json!({"action": "open"}));
        let text = opened["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        let handle = text.split("pass \"workspace\": \"").nth(1).and_then(|rest| rest.split('"').next());
        handle.unwrap_or_else(|| panic!("{opened}")).to_owned()
    };
    let (unused, edited) = (open(&server), open(&server));
    let place = |handle: &str| fixture.home.path().join("state/workspaces").join(handle);
    fs::write(place(&edited).join("new.txt"), "not to be lost").expect("a file");
    drop(server);
    // A file records the owner if the store did not.
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_WORKSPACE_TTL", "2"), ("MCP_GIT_SESSIONS_SWEEP", "1")]);
    assert_ne!(tool(&server, "git_status", json!({"workspace": unused}))["isError"], true);
    assert_ne!(tool(&server, "git_status", json!({"workspace": edited}))["isError"], true);
    wait_for("the end of the unused one", || !place(&unused).exists());
    let gone = tool(&server, "git_status", json!({"workspace": unused}));
    assert!(support::text_of(&gone).starts_with("there is no such workspace"), "{gone}");
    assert!(place(&edited).join("new.txt").exists());
    assert_ne!(tool(&server, "git_status", json!({"workspace": edited}))["isError"], true);
    assert!(String::from_utf8_lossy(&fixture.git(&["branch", "--list", "workspace/*"])).lines().count() == 2, "branches stay");
}

#[test]
fn subscriptions_survive_their_server() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    let own = [("Mcp-Session-Id", id.as_str())];
    for (at, method, params) in
        [(1, "resources/subscribe", json!({"uri": "git://repo/status"})), (2, "logging/setLevel", json!({"level": "info"}))]
    {
        let message = json!({"jsonrpc": "2.0", "id": at, "method": method, "params": params});
        assert_eq!(post(&server.server, &own, &message).message().expect("an answer")["result"], json!({}));
    }
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    let request = format!("GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nMcp-Session-Id: {id}\r\n\r\n");
    std::thread::scope(|scope| {
        let stream = scope.spawn(|| server.server.raw(request.as_bytes(), Some("resources/updated")));
        wait_for("the watch", || server.get("/resources").to_string().contains("git://repo/status"));
        fixture.git(&["branch", "new"]);
        let events = stream.join().expect("the stream");
        assert!(events.contains("git://repo/status"), "{events}");
    });
}

#[test]
fn a_stdio_server_is_found_after_its_first_change() {
    let fixture = Fixture::new();
    let state = fixture.home.path().join("state").display().to_string();
    let mut client = fixture.serve_with(&["--state-dir", &state], &[]);
    client.text("git_status", &json!({}));
    let status = |pid: u32| {
        let output = program().args(["status", "--json", "--state-dir", &state, "--pid", &pid.to_string()]).output();
        output.expect("the program")
    };
    assert_eq!(status(client.pid()).status.code(), Some(2));
    fixture.write("a.txt", "changed\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    wait_for("the admin channel", || status(client.pid()).status.success());
    let shown: Value = serde_json::from_slice(&status(client.pid()).stdout).expect("JSON");
    assert_eq!((&shown["pid"], &shown["phase"]), (&json!(client.pid()), &json!("ready")));
    let socket = Path::new(&state).join(format!("run/{}.sock", client.pid()));
    assert!(socket.exists());
    client.end();
    assert!(!socket.exists());
}

#[test]
fn a_signal_to_the_process_group_does_not_interrupt_a_change() {
    let fixture = Fixture::new();
    let manager = ServiceManager::new(&fixture);
    let mut server = Administered::start(&fixture, &["--supervised"], &[("NOTIFY_SOCKET", &manager.address)]);
    let (gate, stream) = held_commit(&fixture, &server);
    let supervisor = server.server.child.id();
    let worker = server.get("/status")["pid"].to_string();
    support::shell(Path::new("/"), &format!("kill -INT {supervisor} {worker}"));
    while manager.receive() != "STOPPING=1" {}
    gate.open();
    let status = server.server.child.wait().expect("its end");
    assert!(status.success(), "{status}");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"3\n", "the commit is made");
    assert!(!Path::new("/proc").join(worker).exists());
    drop(stream);
}

#[test]
fn a_stdio_server_opens_nothing_before_the_first_change() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let state = fixture.home.path().join("state");
    let mut client = fixture.serve_with(&["--state-dir", &state.display().to_string()], &[]);
    client.text("git_status", &json!({}));
    assert!(!state.exists());
    fixture.write("a.txt", "changed\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    assert!(state.join("store.db").exists());
    drop(client);
    let output = program().args(["--version"]).output().expect("the program");
    assert!(output.status.success());
}
