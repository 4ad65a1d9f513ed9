//! Threads that block in the kernel, on the git program, the operator's configuration or a state file: each call
//! is answered, its permit is free again, and the server ends when signalled.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use support::{
    Fixture,
    admin::{Administered, code, operate, tool},
    out, program, text_of,
    wire::wait_for,
};

/// Number of concurrent hanging calls: more than a class may lose.
const CALLS: usize = 40;

/// A named pipe: a thread that opens it blocks until it is released.
struct Pipe(PathBuf);

impl Pipe {
    fn at(path: &Path) -> Self {
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        support::shell(Path::new("/"), &format!("mkfifo '{}'", path.display()));
        Self(path.to_owned())
    }

    /// Unblocks all threads and replaces the pipe by an empty file.
    fn release(&self) {
        let Ok(both_ends) = OpenOptions::new().read(true).write(true).open(&self.0) else { return };
        fs::remove_file(&self.0).expect("the pipe");
        fs::write(&self.0, "").expect("a file");
        drop(both_ends);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.0.exists() {
            self.release();
        }
    }
}

/// A git program that prints its version only once the pipe is released: a thread that starts the first git process blocks.
struct Hanging {
    // Dropped first: the pipe must be released before its folder is removed.
    pipe: Pipe,
    fixture: Fixture,
    git: String,
}

impl Hanging {
    fn new() -> Self {
        let fixture = Fixture::new().by_git();
        let pipe = Pipe::at(&fixture.home.path().join("hang"));
        let git = fixture.home.path().join("git");
        fs::write(&git, format!("#!/bin/sh\n[ \"$1\" = version ] && cat '{}'\nexec git \"$@\"\n", pipe.0.display())).expect("a program");
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).expect("a program");
        Self { pipe, fixture, git: git.display().to_string() }
    }

    fn serve(&self, args: &[&str], places: usize, seconds: &str) -> Administered {
        let places = places.to_string();
        let variables = [("MCP_GIT_READ_TIMEOUT", seconds), ("MCP_GIT_CHANGE_TIMEOUT", "1"), ("MCP_GIT_MAX_CONCURRENT", places.as_str())];
        Administered::start(&self.fixture, &[&["--git", self.git.as_str()], args].concat(), &variables)
    }
}

fn blame(server: &Administered) -> Value {
    tool(server, "git_blame", json!({"path": "a.txt"}))
}

/// The counts of a class in `status`.
fn class(server: &Administered, name: &str) -> Value {
    let status = server.get("/status");
    let calls = status["calls"].as_array().expect("a list");
    calls.iter().find(|one| one["class"] == name).unwrap_or_else(|| panic!("{status}")).clone()
}

/// Loses more threads than reads may.
fn lose_too_many(server: &Administered) {
    // After this the repository is open, and calls hang at once.
    assert_ne!(tool(server, "git_status", json!({}))["isError"], true);
    std::thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| blame(server));
        }
    });
}

#[test]
fn a_read_with_a_hung_thread_is_answered_and_frees_its_permit() {
    let hanging = Hanging::new();
    let server = hanging.serve(&[], 1, "1");
    let hung = blame(&server);
    assert!(code(&hung) == "timed_out" && text_of(&hung).contains("its thread hangs"), "{hung}");
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true, "the only permit is free");
    let reads = class(&server, "read");
    assert_eq!((&reads["running"], &reads["lost"], &reads["lost_since_start"]), (&json!(0), &json!(1), &json!(1)), "{reads}");
    let health = server.server.send("GET", "/readyz?verbose", &[], b"");
    assert!(health.status == 200 && health.message().is_some_and(|health| health["lost_threads"] == 1), "{health:?}");
    let shown = operate(&server, &["status"]);
    assert!(shown.status.success() && out(&shown).contains("LOST THREADS"), "{shown:?}");
    hanging.pipe.release();
    wait_for("the end of the thread", || class(&server, "read")["lost"] == 0);
    assert_eq!(class(&server, "read")["lost_since_start"], 1);
    assert_ne!(blame(&server)["isError"], true);
}

#[test]
fn an_unresponsive_configuration_file_blocks_no_call() {
    let fixture = Fixture::new();
    let pipe = Pipe::at(&fixture.home.path().join("gitconfig"));
    let variables = [
        ("GIT_CONFIG_GLOBAL", &*pipe.0.display().to_string()),
        ("MCP_GIT_READ_TIMEOUT", "1"),
        ("MCP_GIT_CHANGE_TIMEOUT", "1"),
        ("MCP_GIT_MAX_CONCURRENT", "1"),
    ];
    let server = Administered::start(&fixture, &[], &variables);
    // Either answer is fine: a reader need not block at all.
    for _ in 0..2 {
        let read = tool(&server, "git_status", json!({}));
        assert!(["", "timed_out"].contains(&code(&read)), "{read}");
    }
    fixture.write("a.txt", "changed\n");
    let added = tool(&server, "git_add", json!({"files": ["a.txt"]}));
    assert!(["", "timed_out"].contains(&code(&added)), "{added}");
    let (status, recovered) = server.post("/recover", &json!({}));
    assert!(status == 200 && recovered["ok"] == true, "{recovered}");
    pipe.release();
    wait_for("the end of the threads", || ["read", "change"].iter().all(|name| class(&server, name)["lost"] == 0));
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    assert_eq!(fixture.git(&["diff", "--cached", "--name-only"]), b"", "nothing is changed once the call is answered");
}

#[test]
fn a_change_with_a_hung_journal_keeps_its_worktree_not_its_permit() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    fixture.write("../blocked", "a file, and no folder");
    let journal = fixture.home.path().join("state/journal").join(git::key(&fixture.path.join(".git")));
    let pipe = Pipe::at(&journal.with_extension("jsonl"));
    let store = format!("sqlite:{}", fixture.home.path().join("blocked/store.db").display());
    let variables = [("MCP_GIT_STORE_URL", store.as_str()), ("MCP_GIT_CHANGE_TIMEOUT", "1"), ("MCP_GIT_MAX_CONCURRENT", "1")];
    let roots = [&fixture.path, &other.path].map(|path| path.display().to_string());
    let server = Administered::start(&fixture, &["-r", &roots[0], "-r", &roots[1]], &variables);
    fixture.write("a.txt", "changed\n");
    let hung = tool(&server, "git_add", json!({"repo_path": roots[0], "files": ["a.txt"]}));
    assert!(code(&hung) == "timed_out" && text_of(&hung).contains("may or may not have been made"), "{hung}");
    other.write("a.txt", "changed\n");
    let added = tool(&server, "git_add", json!({"repo_path": roots[1], "files": ["a.txt"]}));
    assert_ne!(added["isError"], true, "the only permit is free: {added}");
    assert_eq!(class(&server, "change")["lost"], 1);
    let is_locked = || server.get("/resources")["resources"].to_string().contains(&format!("git_add in {}", roots[0]));
    assert!(is_locked(), "the thread may still write");
    pipe.release();
    wait_for("the end of the thread", || class(&server, "change")["lost"] == 0);
    wait_for("the end of the lock", || !is_locked());
    fixture.write("a.txt", "changed again\n");
    assert_ne!(tool(&server, "git_add", json!({"repo_path": roots[0], "files": ["a.txt"]}))["isError"], true);
}

#[test]
fn beyond_the_limit_reads_are_refused_and_changes_are_not() {
    let hanging = Hanging::new();
    let server = hanging.serve(&[], CALLS, "3");
    lose_too_many(&server);
    let refused = tool(&server, "git_status", json!({}));
    assert!(code(&refused) == "unavailable" && refused["structuredContent"]["retry_after_ms"].is_u64(), "{refused}");
    let health = server.server.send("GET", "/readyz", &[], b"");
    assert!(health.status == 503 && health.message().is_some_and(|health| health["status"] == "threads_lost"), "{health:?}");
    let shown = operate(&server, &["status"]);
    assert!(shown.status.code() == Some(1) && out(&shown).contains("are refused while 32"), "{shown:?}");
    hanging.fixture.write("a.txt", "changed\n");
    let tried = tool(&server, "git_add", json!({"files": ["a.txt"]}));
    // It starts. Whether it also needs the hanging git depends on the age of the index.
    assert!(["", "timed_out"].contains(&code(&tried)), "{tried}");
    hanging.pipe.release();
    wait_for("the end of the threads", || server.server.send("GET", "/readyz", &[], b"").status == 200);
    assert_ne!(blame(&server)["isError"], true);
}

#[test]
fn beyond_the_limit_a_supervised_server_is_replaced() {
    let hanging = Hanging::new();
    let server = hanging.serve(&["--supervised"], CALLS, "3");
    let old = server.get("/status")["pid"].clone();
    lose_too_many(&server);
    wait_for("a successor", || server.get("/status")["pid"] != old);
    wait_for("the end of the old one", || !Path::new("/proc").join(old.to_string()).exists());
    assert_ne!(tool(&server, "git_status", json!({}))["isError"], true);
    assert_eq!(class(&server, "read")["lost"], 0);
}

#[test]
fn lost_threads_do_not_delay_the_exit() {
    let hanging = Hanging::new();
    let variables = [("MCP_GIT_READ_TIMEOUT", "1")];
    let mut client = hanging.fixture.serve_with(&["--git", &hanging.git], &variables);
    assert!(client.error("git_blame", &json!({"path": "a.txt"})).contains("its thread hangs"));
    client.signal("TERM");
    assert_eq!(client.wait(), Some(0));
    let mut call = program();
    call.arg("-r").arg(&hanging.fixture.path).args(["--git", &hanging.git, "call", "git_blame", r#"{"path": "a.txt"}"#]).envs(variables);
    let output = call.output().expect("the program runs");
    assert!(output.status.code() == Some(1) && String::from_utf8_lossy(&output.stderr).contains("its thread hangs"), "{output:?}");
}
