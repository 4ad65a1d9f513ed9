//! Sub-commands that inspect and control a running server.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
};
use support::{
    Fixture, program,
    remote::{Fault, OPEN, published, stalled},
    wire::{Reply, Served, call, modern, post, session, wait_for},
};

/// The outcome of a sub-command.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    /// Whether each is a line of the output.
    fn says(&self, lines: &[&str]) -> bool {
        lines.iter().all(|line| self.out.lines().any(|own| own == *line))
    }
}

fn run(args: &[&str], variables: &[(&str, &str)]) -> Done {
    let output = program().args(args).envs(variables.iter().copied()).output().expect("the program runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Done { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A server, and the socket of its admin channel.
struct Running {
    server: Served,
    socket: PathBuf,
}

impl Running {
    fn start(fixture: &Fixture, variables: &[(&str, &str)]) -> Self {
        let (socket, state) = (fixture.home.path().join("admin"), fixture.home.path().join("state"));
        let (name, state) = (socket.display().to_string(), state.display().to_string());
        Self { server: Served::start(fixture, &["--admin-socket", &name, "--state-dir", &state], variables), socket }
    }

    fn run(&self, args: &[&str]) -> Done {
        run(&[args, &["--socket", &self.socket.display().to_string()]].concat(), &[])
    }

    fn json(&self, args: &[&str]) -> Value {
        let done = self.run(&[args, &["--json"]].concat());
        serde_json::from_str(&done.out).unwrap_or_else(|err| panic!("{err}: {done:?}"))
    }

    fn tool(&self, name: &str, args: Value) -> Value {
        modern(&self.server, &[], call(1, name, args)).message().expect("an answer")["result"].clone()
    }
}

#[test]
fn sessions_are_listed_shown_touched_and_closed() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    let id = session(&running.server, &[]);
    let listed = running.run(&["sessions", "list"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.says(&["Total sessions: 1", "Active sessions: 1", "Idle sessions (>1h): 0", "Error sessions: 0"]), "{listed:?}");
    assert!(listed.out.contains(&id), "{listed:?}");
    assert!(running.run(&["sessions", "list", "--idle", "2d"]).says(&["Idle sessions (>2d): 0"]));
    let broken = running.run(&["sessions", "list", "--state", "error"]);
    assert!(broken.code == Some(0) && broken.says(&["Total sessions: 1"]) && !broken.out.contains(&id), "{broken:?}");

    let shown = running.run(&["sessions", "show", &id]);
    assert!(shown.code == Some(0) && shown.says(&[&format!("Session: {id}"), "Kind: http", "Calls in flight: 0"]), "{shown:?}");
    assert_eq!(running.json(&["sessions", "show", &id])["id"], *id);
    let touched = running.run(&["sessions", "touch", &id]);
    assert!(touched.code == Some(0) && touched.says(&["Touched sessions: 1"]), "{touched:?}");
    assert!(running.run(&["sessions", "touch", "--missing"]).says(&["Touched sessions: 0"]));

    let closed = running.run(&["sessions", "close", &id]);
    assert!(closed.code == Some(0) && closed.says(&["Closed sessions: 1"]), "{closed:?}");
    assert_eq!(post(&running.server, &[("Mcp-Session-Id", &id)], &call(1, "git_status", json!({}))).status, 404);
    for gone in [&["sessions", "close", &id], &["sessions", "show", &id], &["sessions", "touch", &id], &["sessions", "show", "../a b?"]] {
        let done = running.run(gone);
        assert_eq!((done.code, done.err.as_str()), (Some(3), "there is no such session\n"), "{gone:?}: {done:?}");
    }
}

#[test]
fn sessions_reap_closes_the_idle_ones_and_the_oldest() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[("MCP_GIT_SESSIONS_IDLE_WARN", "1")]);
    let ids = [session(&running.server, &[]), session(&running.server, &[]), session(&running.server, &[])];
    let many = running.run(&["sessions", "list", "--idle", "0s"]);
    assert!(many.code == Some(1) && many.says(&["Idle sessions (>0s): 3"]) && many.out.contains("Too many idle sessions"), "{many:?}");
    assert!(many.out.contains("`mcp-server-git sessions reap --idle 0s` closes those idle for 0s."), "{many:?}");
    let oldest = running.run(&["sessions", "reap", "--oldest", "1"]);
    assert!(oldest.code == Some(0) && oldest.says(&["Closed sessions: 1", &format!("  {}", ids[0])]), "{oldest:?}");
    assert!(running.run(&["sessions", "reap", "--idle", "30m"]).says(&["Closed sessions: 0"]));
    assert!(running.run(&["sessions", "reap", "--idle", "0s"]).says(&["Closed sessions: 2"]));
}

#[test]
fn circuits_are_listed_and_reset() {
    let (fixture, remote) = published();
    let running = Running::start(&fixture, &OPEN);
    let none = running.run(&["circuits", "list"]);
    assert!(none.code == Some(0) && none.out.contains("HOST:PORT/fetch") && !none.out.contains("127.0.0.1"), "{none:?}");
    remote.breaks(Fault::Status(503));
    let is_open = |result: Value| result["structuredContent"]["code"] == "circuit_open";
    assert!((0..6).any(|_| is_open(running.tool("git_fetch", json!({})))));
    let open = running.run(&["circuits", "list"]);
    assert_eq!(open.code, Some(1), "{open:?}");
    assert!(open.says(&["State: open", "Failure threshold: 5", "Recovery timeout: 30s"]), "{open:?}");
    for label in ["Circuit: 127.0.0.1:", "Failure count: ", "Last failure: ", "Next trial: in "] {
        assert!(open.out.lines().any(|line| line.starts_with(label)), "{label}: {open:?}");
    }
    let listed = running.json(&["circuits", "list"]);
    let open = listed["circuits"].as_array().into_iter().flatten().find(|circuit| circuit["state"] == "open");
    let name = open.and_then(|circuit| circuit["name"].as_str()).expect("a name");
    assert!(running.run(&["circuits", "reset", "--stuck"]).says(&["Reset circuits: 0"]));
    let reset = running.run(&["circuits", "reset", name]);
    assert!(reset.code == Some(0) && reset.says(&["Reset circuits: 1", &format!("  {name} (was open)")]), "{reset:?}");
    assert!(reset.out.contains("Warning: it was reset before twice its recovery timeout"), "{reset:?}");
    assert_eq!(running.run(&["circuits", "list"]).code, Some(0));
    assert!(running.run(&["circuits", "reset", "--all"]).out.contains(&format!("  {name} (was closed)")));
    let unknown = running.run(&["circuits", "reset", "none"]);
    assert_eq!((unknown.code, unknown.err.as_str()), (Some(3), "there is no such circuit\n"));
}

#[test]
fn errors_are_counted_by_class() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    let none = running.run(&["errors"]);
    assert!(none.code == Some(0) && none.says(&["Window: 1h", "Errors: 0"]), "{none:?}");
    assert_eq!(running.tool("git_show", json!({"rev": "no-such-branch"}))["isError"], true);
    let one = running.run(&["errors", "--window", "10m"]);
    let row: Vec<&str> = one.out.lines().find(|line| line.starts_with("other")).unwrap_or_default().split_whitespace().take(4).collect();
    assert_eq!((one.code, row), (Some(0), vec!["other", "1", "0.10", "1"]), "{one:?}");
    let spike = running.run(&["errors", "--window", "10m", "--threshold", "0.05"]);
    assert!(spike.code == Some(1) && spike.says(&["Spike: other, 0.10 per minute"]), "{spike:?}");
    assert_eq!(running.json(&["errors", "--window", "10m"])["window_ms"], 600_000);
}

#[test]
fn status_shows_the_server_its_heartbeats_and_what_it_holds() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    let id = session(&running.server, &[]);
    let status = running.run(&["status"]);
    let pid = running.server.child.id();
    assert!(status.code == Some(0) && status.says(&["Phase: ready", "Circuits not closed: 0"]), "{status:?}");
    assert!(status.out.contains(&format!("pid {pid}")), "{status:?}");
    assert_eq!(running.json(&["status"])["pid"], pid);
    let beats = running.run(&["status", "heartbeats"]);
    assert_eq!(beats.code, Some(0), "{beats:?}");
    assert!(beats.says(&["Heartbeat manager: running", "Heartbeat interval: 30s", "Missed threshold: 3"]), "{beats:?}");
    assert!(beats.out.contains(&id) && !beats.out.contains("LATE"), "{beats:?}");
    let held = running.run(&["status", "resources"]);
    assert!(held.code == Some(0) && held.out.starts_with("Resources: "), "{held:?}");
    let unknown = running.run(&["resources", "release", "child_99"]);
    assert!(unknown.code == Some(3) && unknown.err.contains("not found for release"), "{unknown:?}");
    let reaped = running.run(&["reap"]);
    assert!(reaped.code == Some(0) && reaped.says(&["Reaped: 0"]), "{reaped:?}");
}

#[test]
fn late_sessions_are_marked() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[("MCP_GIT_HEARTBEAT_INTERVAL", "1"), ("MCP_GIT_HEARTBEAT_MISSED", "60")]);
    let id = session(&running.server, &[]);
    // Never read, so pings go unanswered.
    let mut socket = running.server.websocket(&[]).expect("a WebSocket");
    socket.send(tungstenite::Message::text(support::wire::initialize().to_string())).expect("the server reads");
    let line = |done: &Done, start: &str| done.out.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned();
    wait_for("a late session", || {
        let beats = running.run(&["status", "heartbeats"]);
        beats.code == Some(1) && line(&beats, "ws-").ends_with("an answer to pings  LATE")
    });
    // On a slow machine a touched session may be late again before the check.
    wait_for("no late session", || {
        assert!(running.run(&["sessions", "touch", "--missing"]).out.starts_with("Touched sessions: "));
        let beats = running.run(&["status", "heartbeats"]);
        assert!(line(&beats, &id).ends_with("nothing"), "HTTP owes nothing: {beats:?}");
        beats.code == Some(0)
    });
}

#[test]
fn recovery_reports_five_steps_and_the_server_continues() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    let id = session(&running.server, &[]);
    let recovered = running.run(&["recover", "--emergency"]);
    assert_eq!(recovered.code, Some(0), "{recovered:?}");
    let steps: Vec<&str> = recovered.out.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())).collect();
    let names =
        ["1. stop operations: ok", "2. clear caches: ok", "3. reset circuits: ok", "4. close sessions: ok", "5. restart components: ok"];
    assert!(steps.len() == 5 && names.iter().zip(&steps).all(|(name, step)| step.starts_with(name)), "{recovered:?}");
    assert_eq!(post(&running.server, &[("Mcp-Session-Id", &id)], &call(1, "git_status", json!({}))).status, 404);
    assert_ne!(running.tool("git_status", json!({}))["isError"], true);
    let one = running.run(&["recover", "--component", "heartbeat"]);
    assert!(one.code == Some(0) && one.out.starts_with("restart heartbeat: ok"), "{one:?}");
    let unknown = running.run(&["recover", "--component", "none"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("there is no such component"), "{unknown:?}");
}

#[test]
fn an_invalid_configuration_stops_no_command_for_a_running_server() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    let (file, socket) = (fixture.home.path().join("config.toml").display().to_string(), running.socket.display().to_string());
    let named = format!("[admin]\nsocket = \"{socket}\"\n");
    for (text, why) in [
        (format!("port = \"many\"\n{named}"), "line 1"),
        (format!("[http]\nhost = \"0.0.0.0\"\n{named}"), "has no authentication"),
        (format!("[log]\nlevel = \"session=loud\"\n{named}"), "log.level cannot be used"),
        ("port =\n".to_owned(), "TOML parse error"),
    ] {
        fs::write(&file, &text).expect("a file");
        // The file names the socket, as far as it is readable.
        let reach = if text.contains(&named) { vec![] } else { vec!["--socket", socket.as_str()] };
        for args in [&["status"][..], &["recover", "--emergency"], &["logs"], &["sessions", "list"], &["profile", "heap", "--list"]] {
            let done = run(&[&["--config", file.as_str()][..], args, &reach[..]].concat(), &[]);
            assert!(done.code == Some(0) && !done.out.is_empty(), "{text} {args:?}: {done:?}");
            let warns = done.err.starts_with("mcp-server-git: warning: ") && done.err.contains(why);
            assert!(warns && done.err.ends_with("The command continues: it needs only `state_dir` and `admin.socket`.\n"), "{done:?}");
        }
        let json = run(&[&["--config", file.as_str(), "status", "--json"][..], &reach[..]].concat(), &[]);
        assert!(serde_json::from_str::<Value>(&json.out).is_ok_and(|status| status["pid"].is_number()), "{json:?}");
        let missing = run(&[&["--config", file.as_str(), "sessions", "show", "none"][..], &reach[..]].concat(), &[]);
        assert!(missing.code == Some(3) && missing.err.ends_with("there is no such session\n"), "{missing:?}");
        for (args, code) in [(&[][..], 2), (&["serve"], 2), (&["profile", "op", "git_status"], 2), (&["config", "check"], 1)] {
            let refused = run(&[&["--config", file.as_str()][..], args].concat(), &[]);
            assert!(refused.code == Some(code) && format!("{refused:?}").contains(why), "{text} {args:?}: {refused:?}");
            assert!(!refused.err.contains("warning"), "{refused:?}");
        }
    }
    let doctor = run(&["--config", &file, "doctor"], &[]);
    assert!(doctor.code == Some(1) && doctor.out.contains("PROBLEM  configuration: "), "{doctor:?}");
    let flag = run(&["--log-level", "session=loud", "status", "--socket", &socket], &[]);
    assert!(flag.code == Some(2) && flag.err.contains("--log-level cannot be used"), "{flag:?}");
}

/// Requests `/health` on a kept-alive connection.
fn health(connection: &mut TcpStream) -> u16 {
    connection.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("the server reads");
    let mut reply = [0; 4096];
    let count = connection.read(&mut reply).expect("an answer");
    Reply::parse(&String::from_utf8_lossy(&reply[..count])).status
}

#[test]
fn drain_ends_readiness_and_counts_remaining_calls() {
    let (fixture, _remote) = stalled();
    let running = Running::start(&fixture, &OPEN);
    let mut kept = TcpStream::connect(("127.0.0.1", running.server.port)).expect("a connection");
    assert_eq!(health(&mut kept), 200);
    std::thread::scope(|threads| {
        let held = threads.spawn(|| running.tool("git_fetch", json!({})));
        wait_for("the fetch", || running.json(&["status"])["calls"].to_string().contains("\"running\":1"));
        let drained = running.run(&["drain", "--timeout", "0s"]);
        assert!(drained.code == Some(1) && drained.says(&["Calls left: 1"]), "{drained:?}");
        assert_eq!(health(&mut kept), 503);
        running.run(&["recover", "--emergency"]);
        assert_eq!(held.join().expect("an answer")["isError"], true);
    });
}

#[test]
fn drain_of_a_quiet_server_leaves_nothing() {
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    let drained = running.run(&["drain", "--timeout", "5s"]);
    assert!(drained.code == Some(0) && drained.says(&["Calls left: 0"]), "{drained:?}");
}

#[test]
fn operations_are_those_of_the_repository() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let running = Running::start(&fixture, &[]);
    fixture.write("a.txt", "more\n");
    let added = running.tool("git_add", json!({"files": ["a.txt"]}));
    assert_ne!(added["isError"], true, "{added}");
    let none = running.run(&["operations"]);
    assert!(none.code == Some(0) && none.says(&["Operations: 0"]), "{none:?}");
    let done = running.run(&["operations", "--repository", &fixture.path.join("dir").display().to_string()]);
    assert!(done.code == Some(0) && done.says(&["Operations: 1"]) && done.out.contains("git_add"), "{done:?}");
    let outside = running.run(&["operations", "--repository", "/"]);
    assert_eq!(outside.code, Some(2), "{outside:?}");
}

#[test]
fn without_a_choice_there_must_be_one_server() {
    let fixture = Fixture::new();
    let runtime = tempfile::tempdir().expect("a folder");
    // A separate server: counts of other servers are remembered.
    let state = fixture.home.path().join("state").display().to_string();
    let variables = [("XDG_RUNTIME_DIR", runtime.path().to_str().expect("text")), ("MCP_GIT_STATE_DIR", &state)];
    let folder = runtime.path().join("mcp-server-git");
    let none = run(&["status"], &variables);
    let looked = format!("mcp-server-git: no server is running (looked in {})\n", folder.display());
    assert_eq!((none.code, none.err), (Some(2), looked));

    let first = Served::start(&fixture, &[], &variables);
    let alone = run(&["status"], &variables);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    let second = Served::start(&fixture, &[], &variables);
    let several = run(&["status"], &variables);
    assert!(several.code == Some(2) && several.out.is_empty(), "{several:?}");
    for server in [&first, &second] {
        let pid = server.child.id();
        let socket = folder.join(format!("{pid}.sock")).display().to_string();
        assert!(several.err.contains(&format!("--pid {pid}  --socket {socket}")), "{several:?}");
        let by_pid = run(&["status", "--json", "--pid", &pid.to_string()], &variables);
        let by_socket = run(&["--log-level", "warn", "status", "--socket", &socket], &[]);
        assert!(by_pid.code == Some(0) && by_pid.out.contains(&format!("\"pid\": {pid}")), "{by_pid:?}");
        assert!(by_socket.code == Some(0) && by_socket.out.contains(&format!("pid {pid}")), "{by_socket:?}");
    }
    let unknown = run(&["status", "--pid", "1"], &variables);
    assert!(unknown.code == Some(2) && unknown.err.contains("no server with process ID 1"), "{unknown:?}");
}

#[test]
fn nonsensical_arguments_are_refused() {
    let absent = Path::new("/nonexistent/admin").display().to_string();
    let unreachable = run(&["status", "--socket", &absent], &[]);
    assert!(unreachable.code == Some(2) && unreachable.err.contains("cannot be reached"), "{unreachable:?}");
    for args in [
        &["recover"][..],
        &["recover", "--emergency", "--component", "heartbeat"],
        &["sessions", "reap"],
        &["sessions", "reap", "--idle", "1h", "--oldest", "1"],
        &["sessions", "touch"],
        &["sessions", "touch", "a", "--missing"],
        &["circuits", "reset"],
        &["circuits", "reset", "a", "--all"],
        &["status", "--socket", "a", "--pid", "1"],
    ] {
        let refused = run(args, &[]);
        assert!(refused.code == Some(2) && refused.err.contains("Usage:"), "{args:?}: {refused:?}");
    }
    let state = run(&["sessions", "list", "--state", "none"], &[]);
    assert!(state.code == Some(2) && state.err.contains("created, active, paused, error, closing, closed"), "{state:?}");
    let duration = run(&["reap", "--age", "1w"], &[]);
    assert!(duration.code == Some(2) && duration.err.contains("`1w` is not a duration such as 30s, 5m, 1h or 2d"), "{duration:?}");
}
