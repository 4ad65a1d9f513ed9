//! The official conformance suite: against the fixtures over the product's transport, where everything must pass, and against
//! the shipped server, where only scenarios that need fixtures may fail.

use crate::{run, tools};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
};

/// The requirement sets, one per protocol revision.
const SETS: [&str; 2] = ["2025-11-25", "2026-07-28"];

pub(crate) fn run() -> Result<()> {
    let built = run::root().join("target/debug");
    let results = run::root().join("target/conformance");
    let expected = run::root().join("tests/conformance/expected-failures.yaml").display().to_string();
    let repository = results.join("repository");
    if !repository.join(".git").exists() {
        fs::create_dir_all(&repository)?;
        let quiet = [("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")];
        let top = repository.display().to_string();
        run::program("git", &["init", "--quiet", &top], &quiet)?;
        let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
        run::program("git", &[&["-C", &top], &identity[..], &["commit", "--quiet", "--allow-empty", "-m", "first"]].concat(), &quiet)?;
    }
    let top = repository.display().to_string();
    for set in SETS {
        let fixtures = Server::start(&built.join("mcpgit-conformance"), &["0"], "")?;
        suite(&fixtures, set, &results.join(format!("fixtures-{set}")), &[])?;
        let server = Server::start(&built.join("mcp-server-git"), &["-r", &top, "serve", "--port", "0"], "/mcp")?;
        suite(&server, set, &results.join(format!("server-{set}")), &["--expected-failures", &expected])?;
    }
    Ok(())
}

fn suite(server: &Server, set: &str, results: &Path, more: &[&str]) -> Result<()> {
    if results.exists() {
        fs::remove_dir_all(results)?;
    }
    let node = tools::node().join("node_modules/node/bin/node").display().to_string();
    let program = tools::node().join("node_modules/@modelcontextprotocol/conformance/dist/index.js").display().to_string();
    let results = results.display().to_string();
    let args = [&program, "server", "--url", &server.url, "--requirements", set, "-o", &results];
    let output = run::command(&node).args(args).args(more).output().with_context(|| format!("{node} could not be started"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("{} against {set}: {}\n{text}{}", server.name, output.status, String::from_utf8_lossy(&output.stderr));
    }
    let total = text.lines().find_map(|line| line.strip_prefix("Total:")).map_or_else(|| "no total".to_owned(), as_expected);
    println!("conformance: {} {set}: {total}", server.name);
    Ok(())
}

/// Summarises the suite's total, for a run in which only scenarios that need fixtures failed.
fn as_expected(total: &str) -> String {
    let count = |what: &str| {
        let words: Vec<&str> = total.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        words.windows(2).find(|pair| pair[1] == what).map_or("0", |pair| pair[0]).to_owned()
    };
    match (count("passed"), count("failed")) {
        (passed, failed) if failed == "0" => format!("all {passed} passed"),
        (passed, failed) => format!("as expected: {passed} passed, {failed} need fixtures that only a test server has"),
    }
}

/// A server, stopped on drop.
struct Server {
    child: Child,
    name: String,
    url: String,
}

impl Server {
    /// Starts a program whose first output line ends with its address.
    fn start(program: &Path, args: &[&str], path: &str) -> Result<Self> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = run::command(&program.display().to_string());
        // The fixtures exit at the end of their input.
        let child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.with_context(|| format!("{name} could not be started"))?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.split_whitespace().last().with_context(|| format!("{name} printed no address"))?;
        let url = format!("{address}{path}");
        Ok(Self { child, name, url })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
