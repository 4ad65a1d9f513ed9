//! A store lost by a running server: its file or folder removed or replaced, or locked by another process.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use support::{
    Fixture,
    admin::{Administered, operate, tool},
    out, text_of,
    wire::{call, post, session, wait_for},
};

fn state(fixture: &Fixture) -> PathBuf {
    fixture.home.path().join("state")
}

fn store(server: &Administered) -> Value {
    server.get("/status")["store"].clone()
}

fn commit(server: &Administered, message: &str) -> Value {
    tool(server, "git_commit", json!({"message": message, "allow_empty": true}))
}

/// Number of commits in the journal, and the offered undo of the last change.
fn recorded(fixture: &Fixture, server: &Administered) -> (usize, String) {
    // Also imports entries that were written to files into the store.
    let offered = text_of(&tool(server, "git_undo", json!({})));
    let listed = server.get(&format!("/operations?repository={}", fixture.path.display()));
    let list = listed["operations"].as_array().expect("a list").clone();
    let done = |one: &&Value| one["tool"] == "git_commit" && one["state"] == "done";
    (list.iter().filter(done).count(), offered)
}

fn remove(path: &Path, endings: &[&str]) {
    for ending in endings {
        fs::remove_file(path.with_extension(format!("db{ending}"))).expect("a file of the database");
    }
}

/// What happens to the database, and a path for a replacement.
type Harm = fn(&Path, &Path);

#[test]
fn a_sweep_notices_a_deleted_database_and_the_sessions_survive() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let id = session(&server.server, &[]);
    let args = json!({"message": "one", "allow_empty": true});
    post(&server.server, &[("Mcp-Session-Id", &id)], &call(1, "git_commit", args));
    let path = state(&fixture).join("store.db");
    remove(&path, &["", "-wal", "-shm"]);
    wait_for("the sweep", || store(&server)["replaced"] == 1);
    assert!(path.exists() && store(&server)["rescued"].as_u64().is_some_and(|rows| rows >= 2), "{}", store(&server));
    let shown = operate(&server, &["status"]);
    assert!(out(&shown).contains("removed or replaced in use: 1 time,"), "{shown:?}");
    drop(server);
    let server = Administered::start(&fixture, &[], &[]);
    let reply = post(&server.server, &[("Mcp-Session-Id", &id)], &call(2, "git_status", json!({})));
    assert!(reply.message().is_some_and(|message| message["result"]["isError"] == false), "{reply:?}");
    assert_eq!(recorded(&fixture, &server).0, 1);
}

#[test]
fn the_next_change_notices_a_deleted_or_replaced_database() {
    if !support::has_store_of_its_own() {
        return;
    }
    let harms: [(&str, Harm); 5] = [
        ("the file is deleted", |path, _| remove(path, &[""])),
        ("the file is deleted with its log", |path, _| remove(path, &["", "-wal", "-shm"])),
        ("the folder is removed", |path, _| fs::remove_dir_all(path.parent().expect("the folder")).expect("the folder")),
        ("another file is in its place", |path, other| {
            fs::write(other, "no database").and_then(|()| fs::rename(other, path)).expect("a file");
        }),
        ("a copy is in its place", |path, other| fs::copy(path, other).and_then(|_| fs::rename(other, path)).expect("a file")),
    ];
    for (what, harm) in harms {
        let fixture = Fixture::new();
        let server = Administered::start(&fixture, &[], &[]);
        assert_ne!(commit(&server, "before")["isError"], true, "{what}");
        harm(&state(&fixture).join("store.db"), &fixture.home.path().join("other"));
        let made = commit(&server, "after");
        assert!(made["isError"] == false && !made.to_string().contains("could not be recorded"), "{what}: {made}");
        assert_eq!(store(&server)["replaced"], 1, "{what}");
        assert_eq!(recorded(&fixture, &server).0, 2, "{what}");
        drop(server);
        let server = Administered::start(&fixture, &[], &[]);
        let (count, offered) = recorded(&fixture, &server);
        assert!(count == 2 && offered.contains("the last change is git_commit"), "{what}: {count}, {offered}");
    }
}

#[test]
fn servers_that_share_a_database_agree_on_the_new_one() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let path = fixture.home.path().join("shared/store.db");
    let url = format!("sqlite:{}", path.display());
    let [one, two] = ["one", "two"].map(|name| Administered::start_as(name, &fixture, &[], &[("MCP_GIT_STORE_URL", &url)]));
    let mut made = 0;
    for (round, endings) in (1..).zip([&[""][..], &["", "-wal", "-shm"]]) {
        for server in [&one, &two] {
            assert_ne!(commit(server, "before")["isError"], true);
        }
        remove(&path, endings);
        for server in [&one, &two, &one] {
            assert_ne!(commit(server, "after")["isError"], true);
        }
        made += 5;
        wait_for("both", || [&one, &two].iter().all(|server| store(server)["replaced"] == round));
        let counts = [&one, &two].map(|server| recorded(&fixture, server).0);
        assert_eq!(counts, [made, made], "{endings:?}");
    }
    drop((one, two));
    let check = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('PRAGMA integrity_check').fetchone()[0])";
    let checked = Command::new("python3").args(["-c", check]).arg(&path).output().expect("python");
    assert_eq!(out(&checked), "ok\n", "{checked:?}");
}

/// Another process that holds the database lock until its input ends.
struct Locked(Child);

impl Locked {
    fn hold(path: &Path) -> Self {
        let script = "import sqlite3, sys; held = sqlite3.connect(sys.argv[1], isolation_level=None); held.execute('BEGIN EXCLUSIVE'); \
                      print('held', flush=True); sys.stdin.read()";
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        Self(child)
    }

    fn is_held(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }

    fn release(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("its end");
    }
}

#[test]
fn a_locked_database_delays_one_call_and_the_journal_misses_nothing() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_CIRCUIT_RECOVERY", "3600")]);
    assert_ne!(commit(&server, "before")["isError"], true);
    let mut locked = Locked::hold(&state(&fixture).join("store.db"));
    let circuit = || server.circuit("database").expect("the circuit");
    let first = commit(&server, "first");
    assert!(first["isError"] == false && locked.is_held(), "{first}");
    let waited = circuit();
    assert!(waited["state"] == "open" && waited["failure_count"] == 1, "one call has waited: {waited}");
    for message in ["second", "third"] {
        let made = commit(&server, message);
        assert!(made["isError"] == false && locked.is_held(), "{made}");
    }
    assert_eq!(circuit()["calls"], waited["calls"], "and no other");
    assert!(store(&server)["away"].is_string(), "{}", store(&server));
    locked.release();
    wait_for("a probe", || circuit()["state"] == "closed");
    let (count, offered) = recorded(&fixture, &server);
    assert!(count == 4 && offered.contains("the last change is git_commit"), "{count}, {offered}");
    assert!(store(&server)["away"].is_null());
}
