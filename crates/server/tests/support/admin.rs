//! The admin channel of a server, asked directly.

use super::{
    Fixture,
    wire::{Reply, Served},
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// A server with an admin channel of its own, and a state folder that outlives it.
pub(crate) struct Administered {
    pub(crate) server: Served,
    pub(crate) socket: PathBuf,
}

impl Administered {
    /// Starts `serve` on the fixture's repository. Its state is kept in the fixture's folder.
    pub(crate) fn start(fixture: &Fixture, args: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::start_as("", fixture, args, variables)
    }

    /// The same, one of several that are told apart by `name`.
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

    /// What is at `path`.
    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.ask("GET", path, "");
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.message().expect("JSON")
    }

    /// The status and the answer of a request.
    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let reply = self.ask("POST", path, &body.to_string());
        (reply.status, reply.message().unwrap_or_default())
    }

    /// The circuit of which the name ends so.
    pub(crate) fn circuit(&self, ending: &str) -> Option<Value> {
        let all = self.get("/circuits");
        let mut found = all["circuits"].as_array().expect("a list").iter();
        found.find(|circuit| circuit["name"].as_str().is_some_and(|name| name.ends_with(ending))).cloned()
    }
}
