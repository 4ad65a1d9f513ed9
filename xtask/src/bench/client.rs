//! A client of one server over standard input and output.

use super::repository::PLAIN;
use crate::run;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

/// A running server, killed on drop.
pub(super) struct Client {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    requests: u64,
}

impl Client {
    /// Starts `server` for `repository` and initializes it.
    pub(super) fn start(server: &Path, repository: &Path) -> Result<Self> {
        let state = run::root().join("target/bench/state");
        let mut command = run::command(&server.display().to_string());
        command.arg("--repository").arg(repository).envs(PLAIN).env("XDG_STATE_HOME", &state).env("XDG_CONFIG_HOME", &state);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.with_context(|| format!("{} could not be started", server.display()))?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut client = Self { child, input, output, requests: 0 };
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "growth", "version": "1"}});
        client.request("initialize", &hello)?;
        client.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        Ok(client)
    }

    /// Calls a tool, and returns how long it took until the answer was read.
    pub(super) fn call(&mut self, tool: &str, arguments: &Value) -> Result<Duration> {
        let start = Instant::now();
        let answer = self.request("tools/call", &json!({"name": tool, "arguments": arguments}))?;
        let elapsed = start.elapsed();
        let answer: Value = serde_json::from_str(&answer)?;
        if answer["error"].is_object() || answer["result"]["isError"] == true {
            bail!("{tool} {arguments}: {answer}");
        }
        Ok(elapsed)
    }

    /// The line of the answer; it is parsed outside of what is timed.
    fn request(&mut self, method: &str, params: &Value) -> Result<String> {
        self.requests += 1;
        let id = format!("\"id\":{}", self.requests);
        self.send(&json!({"jsonrpc": "2.0", "id": self.requests, "method": method, "params": params}))?;
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line)? == 0 {
                bail!("the server ended during {method}");
            }
            // Notifications have no id, and requests of the server have a method.
            if line.contains(&id) && !line.contains("\"method\"") {
                return Ok(line);
            }
        }
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        Ok(writeln!(self.input, "{message}")?)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
