//! `cargo xtask …`: tasks for developers and CI.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program")]

mod bench;
mod clients;
mod conformance;
mod debian;
mod licences;
mod run;
mod tools;
mod wording;

use anyhow::{Result, bail};
use std::{process::ExitCode, time::Instant};

const USAGE: &str = "cargo xtask test    everything that CI runs: format, lints, licences, wording, spelling, manifests, documents, tests,
                    conformance, real clients. Installs its tools under target/ and changes nothing else on the machine
cargo xtask test --quick  the inner loop: format, lints, wording, and the tests but for the long ones
cargo xtask conformance   only the official conformance suite
cargo xtask bench   all benchmarks of the parts
cargo xtask bench --growth SERVER OUT.json   times a server on repositories of 1k to 100k files and commits
cargo xtask bench --publish RESULTS.json...  writes BENCHMARKS.md from result files of the harness and of --growth
cargo xtask soak    long tests of a release build: killed at 200 random moments (SOAK_ROUNDS), and under mixed load for 30
                    minutes (SOAK_MINUTES)
cargo xtask bless   accepts the current tool definitions and generated documents";

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let result = match given.as_slice() {
        ["test" | "ci"] => all(&ALL),
        ["test", "--quick"] => all(&QUICK),
        ["conformance"] => tools::prepare().and_then(|()| build()).and_then(|()| conformance::run()),
        ["bench"] => bench::parts(),
        ["bench", "--growth", server, out] => bench::growth(server, out),
        ["bench", "--publish", files @ ..] => bench::publish(files),
        ["soak"] => soak(),
        ["bless"] => bless(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("xtask: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// The name and the function of a step.
type Step = (&'static str, fn() -> Result<()>);

const FORMAT: Step = ("format", || run::cargo(&["fmt", "--all", "--check"], &[]));
const LINTS: Step = ("lints", || run::cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[]));
const WORDING: Step = ("wording", wording::check);
const ALL: [Step; 12] = [
    FORMAT,
    LINTS,
    WORDING,
    ("licences", licences::check),
    ("tools", tools::prepare),
    ("spelling", tools::typos),
    ("manifests", tools::manifests),
    ("documents", documents),
    ("build", build),
    ("tests", || tests(&[])),
    ("conformance", conformance::run),
    ("clients", clients::run),
];
const QUICK: [Step; 4] = [FORMAT, LINTS, WORDING, ("tests", || tests(&["-E", &format!("not binary(/^({LONG})$/)")]))];
/// The test programs that take long.
const LONG: &str = "advice|answers|attack|doctor|endurance|fields|hostile|lost_threads|multi_server|output|soak|transports";

fn all(steps: &[Step]) -> Result<()> {
    let start = Instant::now();
    for (name, step) in steps {
        println!("== {name}");
        let began = Instant::now();
        if let Err(err) = step() {
            bail!("{name}: {err:#}");
        }
        println!("== {name}: {} s", began.elapsed().as_secs());
    }
    println!("== all green in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Includes targets that enable the test features, so that no dependency is compiled in two variants.
fn documents() -> Result<()> {
    let targets = ["--lib", "--examples", "--bin", "xtask", "--bin", "mcpgit-conformance"];
    run::cargo(&[&["doc", "--workspace", "--no-deps", "--quiet"][..], &targets].concat(), &[("RUSTDOCFLAGS", "-D warnings")])
}

/// Builds the programs and the tests.
fn build() -> Result<()> {
    run::cargo(&["build", "--workspace", "--bins", "--tests", "--quiet"], &[])
}

/// Runs the tests that `filter` selects, with nextest if it is installed; all of them otherwise.
fn tests(filter: &[&str]) -> Result<()> {
    if run::exists("cargo-nextest") {
        // Most tests wait for child processes: one more thread than CPUs keeps the CPUs busy.
        let threads = (std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 1).to_string();
        let nextest = ["nextest", "run", "--workspace", "--no-fail-fast", "--test-threads", &threads];
        run::cargo(&[&nextest[..], filter].concat(), &[])?;
        return run::cargo(&["test", "--workspace", "--doc", "--quiet"], &[]);
    }
    run::cargo(&["test", "--workspace", "--no-fail-fast"], &[])
}

fn soak() -> Result<()> {
    let usual = |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let (rounds, minutes) = (usual("SOAK_ROUNDS", "200"), usual("SOAK_MINUTES", "30"));
    // Sequential, so that the tests do not disturb each other's measurements.
    let tests = ["test", "--package", "mcp-server-git", "--test", "soak", "--test", "endurance", "--", "--nocapture", "--test-threads=1"];
    let server = run::release()?;
    run::cargo(&tests, &[("SOAK_ROUNDS", &rounds), ("SOAK_MINUTES", &minutes), ("MCP_SERVER_GIT", &server)])
}

/// Writes what is generated: the documents, and the page of benchmarks from its committed results.
fn bless() -> Result<()> {
    run::cargo(&["test", "--workspace", "--test", "documents", "--test", "guide", "--test", "schemas"], &[("BLESS", "1")])?;
    bench::publish(&[])
}
