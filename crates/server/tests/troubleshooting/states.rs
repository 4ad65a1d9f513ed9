//! The states that the pages of the guide name.

use super::scene::Scene;
use crate::support::{
    self,
    admin::{Administered, hanging_commit, tool},
    hooks::{hook, script},
    out, program, programs,
    remote::{Fault, OPEN, published},
    wire::{begin, call, initialize, modern, post, session, wait_for},
};
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpListener,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

/// A state by its name in the pages, and how it is set up.
type State = (&'static str, fn() -> Scene);

/// Each state by the name that blocks use.
pub(crate) const ALL: &[State] = &[
    ("bad-configuration", bad_configuration),
    ("breach", breach),
    ("busy", busy),
    ("circuit-open", circuit_open),
    ("client-starts-another", client_starts_another),
    ("database-damaged", database_damaged),
    ("errors-spike", errors_spike),
    ("held-call", held_call),
    ("held-resources", running_commit),
    ("idle-sessions", idle_sessions),
    ("killed", killed),
    ("late-heartbeat", late_heartbeat),
    ("leak", leak),
    ("leftover", leftover),
    ("log-file", log_file),
    ("memory-full", memory_full),
    ("no-server", no_server),
    ("old-git", old_git),
    ("port-taken", port_taken),
    ("queue", queue),
    ("rate-limited", rate_limited),
    ("refused-message", refused_message),
    ("session-used", session_used),
    ("sessions-full", sessions_full),
    ("slow-hook", slow_hook),
    ("store-blocked", store_blocked),
    ("strict", strict),
    ("supervised", supervised),
    ("used", used),
    ("wrong-token", wrong_token),
];

/// The state of this name.
pub(crate) fn create(name: &str) -> Option<Scene> {
    ALL.iter().find(|(own, _)| *own == name).map(|(_, create)| create())
}

/// A running server without calls.
fn running(variables: &[(&str, &str)]) -> Scene {
    let mut scene = Scene::new();
    scene.serve(&[], variables);
    scene
}

/// Opens a session, and names it in `$SESSION`.
fn in_session(scene: &mut Scene) -> String {
    let id = session(&scene.server().server, &[]);
    scene.set("SESSION", &id);
    id
}

/// The status and the answer of a call in a session.
fn ask(scene: &Scene, id: &str, message: &Value) -> (u16, Value) {
    let reply = post(&scene.server().server, &[("Mcp-Session-Id", id)], message);
    (reply.status, reply.message().unwrap_or_default())
}

fn fails(at: u32) -> Value {
    call(at, "git_show", json!({"revision": "nowhere"}))
}

fn port_taken() -> Scene {
    let mut scene = Scene::new();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    scene.set("PORT", other.local_addr().expect("its number").port().to_string());
    scene.keep(other);
    scene
}

fn no_server() -> Scene {
    let mut scene = Scene::new();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    scene.set("PORT", free.to_string());
    scene.on("started", move |scene| scene.serve_at(&free.to_string(), &[], &[]))
}

fn old_git() -> Scene {
    let mut scene = Scene::new();
    let git = programs::found("git").expect("git");
    scene.set("NEW_GIT", git.display().to_string());
    script(&scene.home.join("old/git"), "echo git version 2.30.0");
    scene.set("PATH", format!("{}:{}", scene.home.join("old").display(), scene.variable("PATH")));
    scene
}

/// A server that requires tokens, and a call with another one.
fn wrong_token() -> Scene {
    let mut scene = Scene::new();
    let made = out(&program().args(["token", "ci", "--scopes", "read"]).output().expect("a token"));
    scene.configure(&made);
    scene.set("TOKEN", made.lines().next().and_then(|line| line.rsplit(' ').next()).expect("the token"));
    scene.serve(&[], &[]);
    let refused = post(&scene.server().server, &[("Authorization", "Bearer wrong")], &fails(1));
    assert_eq!(refused.status, 401);
    scene
}

fn client_starts_another() -> Scene {
    let scene = Scene::new();
    let entry = json!({"mcpServers": {"git": {"command": "/old/mcp-server-git", "args": []}}});
    fs::create_dir(scene.home.join(".cursor")).expect("a folder");
    fs::write(scene.home.join(".cursor/mcp.json"), entry.to_string()).expect("a file");
    scene
}

fn errors_spike() -> Scene {
    let mut scene = running(&[]);
    let id = in_session(&mut scene);
    for at in 1..=40 {
        ask(&scene, &id, &fails(at));
    }
    scene
}

fn breach() -> Scene {
    let mut scene = running(&[]);
    let id = in_session(&mut scene);
    for at in 1..=3 {
        let mut message = call(at, "git_reset", json!({"mode": "hard"}));
        message["params"]["requestState"] = json!("forged");
        ask(&scene, &id, &message);
    }
    wait_for("the end of the session", || ask(&scene, &id, &fails(4)).0 == 404);
    scene
}

/// A repository whose commits wait for a hook.
fn slow_hook() -> Scene {
    let scene = running(&[]);
    hook(&scene.fixture, "pre-commit", "sleep 2");
    let commit = |scene: &Scene| tool(scene.server(), "git_commit", json!({"message": "made", "allow_empty": true}));
    commit(&scene);
    scene.on("commit", move |scene| drop(commit(scene)))
}

/// A commit that waits for its hook.
fn running_commit() -> Scene {
    let mut scene = running(&[]);
    let stream = hanging_commit(&scene.fixture, scene.server());
    let id = scene.server().get("/sessions")["sessions"][0]["id"].as_str().expect("a session").to_owned();
    scene.set("SESSION", id);
    let held = scene.server().get("/resources")["resources"].as_array().expect("a list").clone();
    let of = |kind: &str, key: &str| {
        let one = held.iter().find(|one| one["kind"] == kind);
        one.and_then(|one| one[key].as_str()).unwrap_or_else(|| panic!("no {kind}: {held:?}")).to_owned()
    };
    scene.set("LOCK", of("lock", "id"));
    // `git commit (pid N)`
    scene.set("CHILD", of("child", "detail").rsplit(' ').next().unwrap_or_default().trim_end_matches(')'));
    scene.on("ended", move |scene| {
        end_processes(scene);
        drop(stream);
        let none = json!([]);
        wait_for("the end of the call", || scene.server().get("/resources")["resources"] == none);
    })
}

/// Kills the processes that the server has started.
fn end_processes(scene: &Scene) {
    for pid in support::descendants(scene.server().server.child.id()) {
        support::shell(Path::new("/"), &format!("kill -KILL {pid} 2>/dev/null || true"));
    }
}

/// Changes that wait for another in their worktree.
fn queue() -> Scene {
    let mut scene = running_commit();
    let id = session(&scene.server().server, &[]);
    for at in 1..=3 {
        let message = call(at, "git_commit", json!({"message": "waits", "allow_empty": true}));
        let stream = begin(&scene.server().server, &[("Mcp-Session-Id", &id)], &message);
        scene.keep(stream);
    }
    let waiting = |one: &Value| one["class"] == "change" && one["waiting_for_worktree"] == 3;
    wait_for("the queue", || scene.server().get("/status")["calls"].as_array().into_iter().flatten().any(waiting));
    scene.on("finished", |scene| wait_for("the end of all", || scene.server().get("/status")["in_flight"] == 0))
}

fn memory_full() -> Scene {
    let mut scene = Scene::new();
    scene.configure("[memory]\nsoft_limit = 1000000\n");
    scene.serve(&[], &[]);
    let refuses = |scene: &Scene| scene.server().get("/memory")["refuses_calls"] == true;
    wait_for("the limit", || refuses(&scene));
    scene.on("reloaded", move |scene| wait_for("the new limit", || !refuses(scene)))
}

/// A server that has answered calls, one with an error.
fn used() -> Scene {
    let scene = running(&[]);
    for _ in 0..3 {
        tool(scene.server(), "git_log", json!({"max_count": "1", "start_timestamp": "10 years ago"}));
    }
    tool(scene.server(), "git_show", json!({"revision": "nowhere"}));
    scene.fixture.git(&["config", "i18n.logOutputEncoding", "UTF-8"]);
    let called = |scene: &mut Scene| drop(tool(scene.server(), "git_blame", json!({"path": "a.txt"})));
    scene.on("called", called).on("ended", Scene::ends)
}

/// A client that calls without a pause until it is dropped.
struct Caller(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Caller {
    fn start(server: Arc<Administered>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let calls = move || {
            while !ends.load(Ordering::Relaxed) {
                tool(&server, "git_log", json!({"max_count": 1}));
            }
        };
        Self(over, Some(thread::spawn(calls)))
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            thread.join().unwrap_or_default();
        }
    }
}

fn busy() -> Scene {
    let scene = running(&[("MCP_GIT_CPU_INTERVAL", "1")]);
    let callers = [(); 2].map(|()| Caller::start(Arc::clone(scene.server())));
    wait_for("a measurement", || scene.server().get("/status")["process"]["cpu_percent"].is_number());
    scene.on("calm", move |_| drop(callers))
}

fn idle_sessions() -> Scene {
    let mut scene = running(&[("MCP_GIT_SESSIONS_IDLE_WARN", "2")]);
    for _ in 0..4 {
        in_session(&mut scene);
    }
    let is_idle = |one: &Value| one["idle_ms"].as_u64() >= Some(1000);
    wait_for("the sessions to be idle", || scene.server().get("/sessions")["sessions"].as_array().into_iter().flatten().all(is_idle));
    scene
}

fn sessions_full() -> Scene {
    let mut scene = Scene::new();
    scene.configure("[sessions]\nmax = 3\n");
    scene.serve(&[], &[]);
    let first = in_session(&mut scene);
    for _ in 0..3 {
        in_session(&mut scene);
    }
    scene.set("SESSION", first);
    scene.on("reloaded", |scene| wait_for("the new limit", || scene.server().get("/sessions")["max"] == 10))
}

/// A WebSocket that answers no ping.
fn late_heartbeat() -> Scene {
    let mut scene = running(&[("MCP_GIT_HEARTBEAT_INTERVAL", "3"), ("MCP_GIT_HEARTBEAT_MISSED", "60")]);
    let mut socket = scene.server().server.websocket(&[]).expect("a WebSocket");
    socket.send(tungstenite::Message::text(initialize().to_string())).expect("the server reads");
    scene.keep(socket);
    let is_late = |one: &Value| one["late"] == true;
    wait_for("a late session", || scene.server().get("/heartbeats")["sessions"].as_array().into_iter().flatten().any(is_late));
    scene
}

/// A server that has refused a message.
fn refused_message() -> Scene {
    let mut scene = running(&[]);
    let id = in_session(&mut scene);
    let message = json!({"jsonrpc": "1.0", "id": 9, "method": "tools/call", "params": {"name": "git_status"}});
    ask(&scene, &id, &message);
    scene.fixture.write("message.json", message.to_string());
    scene
}

fn strict() -> Scene {
    let mut scene = Scene::new();
    scene.configure("[validation]\nmode = \"strict\"\n");
    scene.serve(&[], &[]);
    let message = call(1, "git_log", json!({"max_count": "1"}));
    modern(&scene.server().server, &[], message.clone());
    scene.fixture.write("message.json", message.to_string());
    scene
}

/// A server whose remote fails, until the circuit of fetches is open.
fn failing(fault: Fault) -> Scene {
    let (fixture, remote) = published();
    let mut scene = Scene::of(fixture);
    for (name, value) in OPEN {
        scene.set(name, value);
    }
    scene.serve(&[], &[]);
    remote.breaks(fault);
    wait_for("the circuit", || {
        tool(scene.server(), "git_fetch", json!({}));
        scene.server().circuit("/fetch").is_some_and(|circuit| circuit["state"] == "open")
    });
    let circuit = scene.server().circuit("/fetch").expect("a circuit");
    scene.set("CIRCUIT", circuit["name"].as_str().expect("a name"));
    let fetched = |scene: &mut Scene| drop(tool(scene.server(), "git_fetch", json!({})));
    scene.on("fetched", fetched).on("remote-repaired", move |scene| {
        remote.breaks(Fault::None);
        scene.keep(remote);
    })
}

fn circuit_open() -> Scene {
    failing(Fault::Status(503))
}

fn rate_limited() -> Scene {
    failing(Fault::Later("25".to_owned()))
}

/// A store in a folder whose place a file takes.
fn store_blocked() -> Scene {
    let mut scene = Scene::new();
    fs::write(scene.home.join("blocked"), "").expect("a file");
    scene.set("MCP_GIT_STORE_URL", format!("sqlite:{}/blocked/store.db", scene.home.display()));
    scene.serve(&[], &[]);
    scene.on("reopened", |scene| wait_for("the store", || scene.server().get("/status")["store"]["away"].is_null()))
}

/// The unfinished clone of a killed server. No process has this number.
fn leftover() -> Scene {
    let scene = running(&[]);
    fs::create_dir(scene.fixture.path.join(".clone-999999999-0123456789abcdef0123")).expect("a folder");
    scene
}

/// Clients that open sessions and do not close them.
fn leak() -> Scene {
    let full = Arc::new(AtomicU64::new(0));
    let now = Arc::clone(&full);
    let allocated = |scene: &Scene| scene.server().get("/memory")["allocated"].as_u64().unwrap_or_default();
    let load = move |scene: &mut Scene| {
        for _ in 0..150 {
            session(&scene.server().server, &[]);
        }
        full.store(allocated(scene), Ordering::Relaxed);
    };
    let is_freed = move |scene: &mut Scene| {
        wait_for("the memory of the sessions", || allocated(scene) + (1 << 20) < now.load(Ordering::Relaxed));
    };
    running(&[]).on("load", load).on("freed", is_freed)
}

fn held_call() -> Scene {
    let mut scene = running(&[("MCP_DEBUG_BREAKPOINT", "git_log")]);
    let id = in_session(&mut scene);
    let stream = begin(&scene.server().server, &[("Mcp-Session-Id", &id)], &call(7, "git_log", json!({"grep": "secret"})));
    scene.keep(stream);
    wait_for("the hold", || scene.server().get("/debug/held")["held"].as_array().is_some_and(|held| held.len() == 1));
    scene
}

fn session_used() -> Scene {
    let mut scene = running(&[]);
    let id = in_session(&mut scene);
    ask(&scene, &id, &call(7, "git_status", json!({})));
    ask(&scene, &id, &fails(8));
    scene
}

fn log_file() -> Scene {
    let mut scene = Scene::new();
    let folder = scene.home.join("log");
    fs::create_dir(&folder).expect("a folder");
    let file = folder.join("server").display().to_string();
    scene.serve(&[], &[("MCP_GIT_LOG_FILE", &file), ("MCP_GIT_LOG_LEVEL", "info")]);
    tool(scene.server(), "git_show", json!({"revision": "nowhere"}));
    let has_it = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains("\"tool\":\"git_show\""));
    wait_for("the record", || support::files(&folder).iter().any(|path| has_it(path)));
    scene
}

fn supervised() -> Scene {
    let mut scene = Scene::new();
    scene.serve(&["--supervised"], &[]);
    in_session(&mut scene);
    scene
}

fn database_damaged() -> Scene {
    let scene = Scene::new();
    let state = scene.home.join(".state/mcp-server-git");
    fs::create_dir_all(&state).expect("a folder");
    fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("a folder");
    fs::write(state.join("store.db"), "no database at all ".repeat(500)).expect("a file");
    scene.on("started", |scene| scene.serve(&[], &[]))
}

/// A server started after another was killed during a commit.
fn killed() -> Scene {
    let mut scene = running_commit();
    end_processes(&scene);
    fs::remove_file(scene.fixture.path.join(".git/hooks/pre-commit")).expect("a hook");
    scene.kill();
    scene.serve(&[], &[]);
    scene
}

/// A server whose changed configuration file is invalid.
fn bad_configuration() -> Scene {
    let mut scene = Scene::new();
    scene.configure("[limits]\nmax_output_tokens = 5000\n");
    scene.serve(&[], &[]);
    scene.configure("[limits]\nmax_output_tokens = \"many\"\n");
    support::signal(&scene.variable("PID"), "HUP");
    let failed = |scene: &Scene| scene.server().get("/status")["configuration"]["failed"].is_string();
    wait_for("the refusal", || failed(&scene));
    scene.on("reloaded", move |scene| wait_for("the valid one", || !failed(scene)))
}
