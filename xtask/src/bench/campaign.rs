//! Times a server, and git, on repositories of growing size.

use super::{
    client::Client,
    growth::{Growth, Point, SCHEMA},
    metric::median,
    repository::{self, PATTERN, PLAIN, RARE, Size},
    text::release,
};
use crate::run;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

/// The sizes along each axis.
const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// The most calls of an operation, and the time after which no more are made.
const CALLS: usize = 20;
const BUDGET: Duration = Duration::from_millis(1_500);
/// First calls, each in a server of its own.
const STARTS: usize = 3;

/// A tool call, and the git command that answers the same question.
struct Operation {
    name: &'static str,
    tool: &'static str,
    arguments: Value,
    git: &'static [&'static str],
}

fn operations() -> Vec<Operation> {
    let log = &["log", "-10", "--date=short", "--format=%h %ad %an: %s"];
    let log_of_path = &["log", "-100", "--date=short", "--format=%h %ad %an: %s", "--", RARE];
    vec![
        Operation { name: "status", tool: "git_status", arguments: json!({}), git: &["status", "--short", "--branch"] },
        Operation { name: "diff", tool: "git_diff", arguments: json!({}), git: &["diff"] },
        Operation { name: "log, 10 newest", tool: "git_log", arguments: json!({"max_count": 10}), git: log },
        Operation { name: "log of a path", tool: "git_log", arguments: json!({"max_count": 100, "paths": [RARE]}), git: log_of_path },
        Operation { name: "grep", tool: "git_grep", arguments: json!({"pattern": PATTERN}), git: &["grep", "-n", "-I", PATTERN] },
    ]
}

/// Measures `server` and writes the medians to `out`.
pub(super) fn measure(server: &Path, out: &Path) -> Result<()> {
    let server = fs::canonicalize(server).with_context(|| server.display().to_string())?;
    let mut points = Vec::new();
    for (axis, sizes) in
        [("files", SIZES.map(|files| Size { files, commits: 50 })), ("commits", SIZES.map(|commits| Size { files: 1_000, commits }))]
    {
        for (size, shape) in SIZES.into_iter().zip(sizes) {
            let began = Instant::now();
            let folder = repository::made(shape)?;
            println!("{size} {axis}: made in {:.1} s", began.elapsed().as_secs_f64());
            let point = |(operation, ours_ms, git_ms)| Point { axis: axis.to_owned(), size, operation, ours_ms, git_ms };
            let mut medians = on(&server, &folder)?;
            if axis == "commits" {
                medians.extend(with_filters(&server, &folder)?);
            }
            let found = medians.into_iter().map(point).collect::<Vec<_>>();
            for point in &found {
                println!("  {}: {:.3} ms, git {:.3} ms", point.operation, point.ours_ms, point.git_ms);
            }
            points.extend(found);
        }
    }
    let git = first_line("git")?;
    let growth = Growth {
        schema: SCHEMA.to_owned(),
        date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        server: first_line(&server.display().to_string())?,
        git: git.trim_start_matches("git version ").to_owned(),
        kernel: release(&fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        points,
    };
    Ok(fs::write(out, serde_json::to_string_pretty(&growth)? + "\n")?)
}

/// The medians on one repository, in milliseconds: of the server, and of git.
fn on(server: &Path, folder: &Path) -> Result<Vec<(String, f64, f64)>> {
    let operations = operations();
    let mut found = Vec::new();
    if let Some(status) = operations.first() {
        let (mut ours, mut git) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            ours.push(Client::start(server, folder)?.call(status.tool, &status.arguments)?);
            git.push(command(folder, status.git)?);
        }
        found.push(medians("status, first call", ours, git)?);
    }
    let mut client = Client::start(server, folder)?;
    for operation in &operations {
        found.push(repeated(&mut client, folder, operation, operation.name)?);
    }
    Ok(found)
}

/// The medians of a log of a path once the commit-graph has changed paths.
fn with_filters(server: &Path, folder: &Path) -> Result<Vec<(String, f64, f64)>> {
    repository::graph(folder, true)?;
    let mut client = Client::start(server, folder)?;
    let operations = operations();
    let of_path = operations.iter().filter(|operation| operation.name == "log of a path");
    of_path.map(|operation| repeated(&mut client, folder, operation, "log of a path, Bloom filters")).collect()
}

/// Calls in turn with the command, after one call of each that does not count.
fn repeated(client: &mut Client, folder: &Path, operation: &Operation, name: &str) -> Result<(String, f64, f64)> {
    client.call(operation.tool, &operation.arguments)?;
    command(folder, operation.git)?;
    let (mut ours, mut git) = (Vec::new(), Vec::new());
    while ours.len() < CALLS && (ours.len() < 3 || ours.iter().chain(&git).sum::<Duration>() < BUDGET * 2) {
        ours.push(client.call(operation.tool, &operation.arguments)?);
        git.push(command(folder, operation.git)?);
    }
    medians(name, ours, git)
}

fn medians(name: &str, ours: Vec<Duration>, git: Vec<Duration>) -> Result<(String, f64, f64)> {
    let of = |taken: Vec<Duration>| median(taken.iter().map(|one| one.as_secs_f64() * 1000.0).collect()).context("no calls");
    Ok((name.to_owned(), of(ours)?, of(git)?))
}

/// The time of a git command, as an agent would run it.
fn command(folder: &Path, args: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    let mut command = run::command("git");
    command.args(["--no-optional-locks", "-C"]).arg(folder).args(args).envs(PLAIN).stdin(Stdio::null());
    let output = command.output().context("git could not be started")?;
    let took = start.elapsed();
    if !output.status.success() {
        bail!("git {}: {}", args.join(" "), output.status);
    }
    Ok(took)
}

/// The first line of the version of a program.
fn first_line(program: &str) -> Result<String> {
    let output = run::command(program).arg("--version").output().with_context(|| format!("{program} could not be started"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
