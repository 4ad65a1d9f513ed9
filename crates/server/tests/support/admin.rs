//! A client of a server's admin channel.

use super::{
    Fixture,
    hooks::{Gate, hook},
    program, signal,
    wire::{Reply, Served, begin, call, modern, session, wait_for},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::{UnixDatagram, UnixStream},
    path::PathBuf,
    process::Output,
    time::Duration,
};

/// A server with its own admin channel, and a state folder that outlives it.
pub(crate) struct Administered {
    pub(crate) server: Served,
    pub(crate) socket: PathBuf,
}

impl Administered {
    /// Starts `serve` on the fixture's repository, with its state in the fixture's folder.
    pub(crate) fn start(fixture: &Fixture, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_as("", fixture, args, variables)
    }

    /// Starts one of several servers, distinguished by `name`.
    pub(crate) fn start_as(name: &str, fixture: &Fixture, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let socket = fixture.home.path().join(format!("admin{name}"));
        let state = fixture.home.path().join(format!("state{name}"));
        let (name, state) = (socket.display().to_string(), state.display().to_string());
        let own = ["--admin-socket", name.as_str(), "--state-dir", state.as_str()];
        Self { server: Served::start(fixture, &[&own[..], args].concat(), variables), socket }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        let mut stream = UnixStream::connect(&self.socket).expect("the admin channel");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
        let head = format!(
            "{method} /admin/v1{path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("the server reads");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        Reply::parse(&text)
    }

    /// The resource at `path`.
    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, "");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.message().expect("JSON")
    }

    /// The status and the body of the response.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = self.ask("POST", path, &body.to_string());
        (reply.status, reply.message().unwrap_or_default())
    }

    /// The server's metrics.
    pub(crate) fn metrics(&self) -> String {
        self.ask("GET", "/metrics", "").body
    }

    /// The circuit whose name ends with `ending`.
    pub(crate) fn circuit(&self, ending: &str) -> Option<Value> {
        let all = self.get("/circuits");
        let mut found = all["circuits"].as_array().expect("a list").iter();
        found.find(|circuit| circuit["name"].as_str().is_some_and(|name| name.ends_with(ending))).cloned()
    }

    /// Stops the server as a service manager does, so that it saves and exports its data.
    pub(crate) fn end(&self) {
        signal(&self.server.child.id(), "TERM");
        wait_for("the end", || !self.socket.exists());
    }
}

/// Runs an operator sub-command against a server.
pub(crate) fn operate(server: &Administered, args: &[&str]) -> Output {
    program().args(args).arg("--socket").arg(&server.socket).output().expect("the program runs")
}

/// The result of a call in the newest revision.
pub(crate) fn tool(server: &Administered, name: &str, args: Value) -> Value {
    modern(&server.server, &[], call(1, name, args)).message().expect("an answer")["result"].clone()
}

/// The error code of a result.
pub(crate) fn code(result: &Value) -> &str {
    result["structuredContent"]["code"].as_str().unwrap_or_default()
}

/// A service manager, which a server with this `NOTIFY_SOCKET` notifies of its state.
pub(crate) struct ServiceManager {
    socket: UnixDatagram,
    pub(crate) address: String,
}

impl ServiceManager {
    pub(crate) fn new(fixture: &Fixture) -> Self {
        let address = fixture.home.path().join("notify").display().to_string();
        let socket = UnixDatagram::bind(&address).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_mins(1))).expect("a socket");
        Self { socket, address }
    }

    /// The next notification.
    pub(crate) fn receive(&self) -> String {
        let mut buffer = [0; 256];
        let count = self.socket.recv(&mut buffer).expect("a notification");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }
}

/// Starts a commit whose hook hangs, and waits for the hook.
pub(crate) fn hanging_commit(fixture: &Fixture, server: &Administered) -> TcpStream {
    commit_with_hook(fixture, server, "sleep 60")
}

/// Starts a commit whose hook waits at the gate, and waits for the hook.
pub(crate) fn held_commit(fixture: &Fixture, server: &Administered) -> (Gate, TcpStream) {
    let gate = Gate::closed(fixture);
    let commit = commit_with_hook(fixture, server, &gate.wait());
    (gate, commit)
}

/// Starts a commit whose hook runs this script, and waits for the hook.
pub(crate) fn commit_with_hook(fixture: &Fixture, server: &Administered, script: &str) -> TcpStream {
    let began = fixture.home.path().join("began");
    hook(fixture, "pre-commit", &format!("touch '{}'; {script}", began.display()));
    fixture.write("a.txt", "changed\n");
    fixture.git(&["add", "a.txt"]);
    let id = session(&server.server, &[]);
    let message = call(1, "git_commit", json!({"message": "interrupted"}));
    let stream = begin(&server.server, &[("Mcp-Session-Id", &id)], &message);
    wait_for("the hook", || began.exists());
    stream
}
