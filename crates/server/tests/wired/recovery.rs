//! docs/GUIDE.md, section 10: emergencies, restarts, and leftovers of a killed server.

use crate::support::{
    self, Fixture,
    admin::{Administered, code, hanging_commit, operate, tool},
    out,
    remote::{Fault, OPEN, published, stalled},
    text_of,
    wire::{call, meta, modern, post, session, wait_for},
};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

#[test]
fn interrupted_operations_are_reported() {
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
    let listed = server.get(&format!("/operations?repository={}", fixture.path.display()));
    assert_eq!(listed["operations"][0]["state"], "interrupted", "{listed}");
    let next = format!("mcp-server-git operations --repository {}", fixture.path.display());
    assert_eq!(problem(&server, "1 change was interrupted when a previous server exited"), Some(json!(next)), "{status}");
    // Until the same change is made again.
    fs::remove_file(fixture.path.join(".git/hooks/pre-commit")).expect("a hook");
    assert_ne!(tool(&server, "git_commit", json!({"message": "again"}))["isError"], true);
    assert_eq!(problem(&server, "interrupted"), None);
    assert_eq!(server.get("/status")["interrupted_count"], 0);
}

/// The command that the verdict names for the problem with these words.
fn problem(server: &Administered, words: &str) -> Option<Value> {
    let status = server.get("/status");
    let mut all = status["problems"].as_array().expect("a list").iter();
    all.find(|one| one["what"].as_str().is_some_and(|what| what.contains(words))).map(|one| one["next"].clone())
}

#[test]
fn emergency_recovery_runs_five_steps_and_the_server_continues() {
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
fn a_damaged_store_is_set_aside_and_a_newer_one_refused() {
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
    assert_eq!(fs::read(&aside).expect("what was damaged"), vec![7; 8192]);
    let words = format!("a damaged database was set aside: {}", aside.display());
    assert_eq!(problem(&server, &words), Some(json!("mcp-server-git logs --level error")));
    assert_eq!(operate(&server, &["status"]).status.code(), Some(1));
    let logged = out(&operate(&server, &["logs", "--level", "error"]));
    assert!(logged.contains("the database was damaged") && logged.contains(&aside.display().to_string()), "{logged}");
    fs::remove_file(&aside).expect("a file");
    assert_eq!(problem(&server, &words), None, "it was removed");
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
}

#[test]
fn without_its_store_the_server_continues() {
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
    assert_eq!(code(&undone), "unavailable", "the last change is unknown: {undone}");
    wait_for("the circuit", || server.circuit("database").is_some_and(|circuit| circuit["state"] == "open"));
    let listed = operate(&server, &["circuits", "list"]);
    assert!(listed.status.code() == Some(1) && out(&listed).contains("Next trial: by the server itself, every 1s\n"), "{listed:?}");
    drop(server);
    // The restored store receives the missed changes.
    let server = Administered::start(&fixture, &[], &[]);
    let offered = text_of(&tool(&server, "git_undo", json!({})));
    let (name, args) = support::call_in(offered.split("To undo it: ").nth(1).expect("a call"));
    let undone = tool(&server, &name, args);
    assert_ne!(undone["isError"], true, "{undone}");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"2\n", "{undone}");
    let listed = server.get(&format!("/operations?repository={}", fixture.path.join(".git").display()));
    assert!(listed["operations"].as_array().is_some_and(|list| list.iter().any(|one| one["tool"] == "git_commit")), "{listed}");
}

#[test]
fn a_drained_server_finishes_running_calls() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    assert_eq!(server.server.send("GET", "/health", &[], b"").status, 200);
    let (status, done) = server.post("/drain", &json!({"timeout": 5}));
    assert!(status == 200 && done["left"] == 0, "{done}");
    assert_eq!(server.get("/status")["phase"], "draining");
    assert_eq!(server.server.send("GET", "/health", &[], b"").status, 503, "it still answers, with 503");
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
            // A WebSocket cannot be handed over: its client reconnects, and then every call is answered.
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
    // The supervisor restarts a killed server.
    support::signal(&server.get("/status")["pid"], "KILL");
    wait_for("another server", || post(&server.server, &[("Mcp-Session-Id", &ids[0])], &call(1, "git_status", json!({}))).status == 200);
}

/// An id that no other request of the session has.
fn fresh(made: &AtomicUsize) -> u32 {
    u32::try_from(made.fetch_add(1, Ordering::SeqCst)).unwrap_or_default() + 10
}

#[test]
fn an_open_stream_does_not_delay_a_restart() {
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
    let restarted = operate(&server, &["restart", "--drain", "1s"]);
    assert!(restarted.status.success() && out(&restarted).contains(&old.to_string()), "{restarted:?}");
    wait_for("the end of the old one", || !Path::new("/proc").join(old.to_string()).exists());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end of the stream");
    assert!(post(&server.server, &[("Mcp-Session-Id", &id)], &call(1, "git_status", json!({}))).message().is_some());
}

#[test]
fn without_a_supervisor_there_is_no_restart() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let (status, why) = server.post("/restart", &json!({}));
    assert!(status == 409 && why["error"].as_str().is_some_and(|why| why.contains("--supervised")), "{why}");
}

#[test]
fn orphaned_worktrees_are_adopted_or_reported() {
    if !support::has_store_of_its_own() {
        return;
    }
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let roots = [&fixture.path, &other.path].map(|path| path.display().to_string());
    let server = Administered::start(&fixture, &["-r", &roots[0], "-r", &roots[1]], &[]);
    let open = |fixture: &Fixture| {
        let text = text_of(&tool(&server, "git_workspace", json!({"action": "open", "repo_path": fixture.path})));
        text.split_whitespace().find(|word| word.starts_with("ws_")).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    let (unknown, orphaned) = (open(&fixture), open(&other));
    drop(server);
    // The store no longer knows either, and the repository of one is gone.
    for entry in fs::read_dir(fixture.home.path().join("state")).expect("the state").flatten() {
        if entry.file_name().to_string_lossy().contains(".db") {
            fs::remove_file(entry.path()).expect("a file");
        }
    }
    fs::remove_dir_all(other.path.join(".git")).expect("a repository");
    let server = Administered::start(&fixture, &[], &[]);
    let status = server.get("/status");
    let left = status["orphaned"].as_array().expect("a list");
    assert!(left.len() == 1 && left[0].as_str().is_some_and(|path| path.ends_with(&orphaned)), "{status}");
    let shown = operate(&server, &["status"]);
    assert!(out(&shown).contains("Worktrees whose repository is gone"), "{shown:?}");
    let folder = fixture.home.path().join("state/workspaces");
    assert!(folder.join(&orphaned).is_dir(), "nothing is removed");
    assert_eq!(tool(&server, "git_status", json!({"workspace": unknown}))["isError"], false);
    let listed = text_of(&tool(&server, "git_workspace", json!({})));
    assert!(listed.contains(&unknown), "{listed}");
}

#[test]
fn emergency_recovery_continues_after_a_failed_step() {
    let (fixture, remote) = published();
    let fixture = fixture.by_git();
    // A commit that ignores the signal to end delays the first step while another call starts.
    let (git, began) = (fixture.home.path().join("git.sh"), fixture.home.path().join("began"));
    let waits = format!("trap '' TERM; touch '{}'; sleep 60", began.display());
    fs::write(&git, format!("#!/bin/sh\ncase \" $* \" in *\" commit \"*) {waits};; esac\nexec git \"$@\"\n")).expect("a script");
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).expect("a script");
    let server = Administered::start(&fixture, &["--git", &git.display().to_string()], &OPEN);
    std::thread::scope(|scope| {
        let server = &server;
        let commit = scope.spawn(move || tool(server, "git_commit", json!({"message": "waits", "allow_empty": true})));
        wait_for("the commit", || began.exists());
        remote.breaks(Fault::Held);
        let before = remote.requests();
        // A stopped caller retries.
        let fetch = scope.spawn(move || {
            loop {
                let fetched = tool(server, "git_fetch", json!({}));
                if code(&fetched) != "stopped" {
                    break fetched;
                }
            }
        });
        wait_for("the fetch", || remote.requests() > before);
        let recovered = operate(server, &["recover", "--emergency"]);
        let said = out(&recovered);
        assert!(
            recovered.status.code() == Some(1) && said.starts_with("1. stop operations: FAILED (2 running or waiting, 1 left)"),
            "{said}"
        );
        for (at, step) in ["clear caches", "reset circuits", "close sessions", "restart components"].iter().enumerate() {
            assert!(said.contains(&format!("{}. {step}: ok", at + 2)), "{step}: {said}");
        }
        assert_eq!(code(&commit.join().expect("a call")), "stopped");
        remote.breaks(Fault::None);
        let fetched = fetch.join().expect("a call");
        assert_ne!(fetched["isError"], true, "a call started afterwards continues: {fetched}");
    });
    assert!(operate(&server, &["recover", "--emergency"]).status.success());
}

#[test]
fn validation_is_a_recoverable_component() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let checked = operate(&server, &["recover", "--component", "validation"]);
    assert!(checked.status.success() && out(&checked).starts_with("restart validation: ok ("), "{checked:?}");
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
}
