//! Calls per second over each transport, compared with the SDK's own, and the cost of many requests and sessions.
//! `cargo bench --package mcpgit-mcp`; each figure is the median of five rounds, alternating the two sides.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods, missing_docs, reason = "a program for the terminal")]

#[path = "transports/client.rs"]
mod client;
#[path = "transports/echo.rs"]
mod echo;

use client::{Http, Stdio};
use std::{collections::BTreeMap, env, time::Instant};

/// Requests in flight.
const IN_FLIGHT: usize = 32;
const ROUNDS: usize = 5;

fn main() {
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if let [side, transport] = args.as_slice()
        && (side == "ours" || side == "sdk")
    {
        return echo::serve(side == "ours", transport);
    }
    throughput();
    many_in_flight();
    many_sessions();
    a_client_that_does_not_read();
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Calls per second with 32 in flight.
fn throughput() {
    let mut found: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for side in ["sdk", "ours"] {
            let mut stdio = Stdio::start(side);
            found.entry(("stdio", side)).or_default().push(stdio.calls_a_second(IN_FLIGHT, 40_000));
            let http = Http::start(side);
            found.entry(("http 2026-07-28", side)).or_default().push(http.calls_a_second(IN_FLIGHT, 40_000));
        }
    }
    for transport in ["stdio", "http 2026-07-28"] {
        let rate = |side| median(found.remove(&(transport, side)).unwrap_or_default());
        let mut rate = rate;
        let (sdk, ours) = (rate("sdk"), rate("ours"));
        println!("{transport}: {ours:.0} calls/s, the SDK's own {sdk:.0}: {:.2}", ours / sdk);
    }
}

/// 10,000 requests at once on one connection: all are answered or refused.
fn many_in_flight() {
    let mut stdio = Stdio::start("ours");
    let start = Instant::now();
    let (answered, refused) = stdio.flood(10_000);
    println!(
        "10,000 at once on stdio: {answered} answered, {refused} refused in {} ms, peak RSS {} MB",
        start.elapsed().as_millis(),
        stdio.peak()
    );
}

/// 2,000 sessions of an older revision, all open.
fn many_sessions() {
    let http = Http::start("ours");
    let before = http.resident();
    let opened = http.sessions(2_000);
    println!("{opened} sessions open: RSS {before} MB before, {} MB after", http.resident());
}

/// 99th percentile latency of other clients while one client sends without reading.
fn a_client_that_does_not_read() {
    let http = Http::start("ours");
    let quiet = http.slowest_of_a_hundred(4_000);
    let before = http.resident();
    let unread = http.unread(2_000);
    let disturbed = http.slowest_of_a_hundred(4_000);
    println!(
        "p99 {quiet:.2} ms, {disturbed:.2} ms beside a client that does not read ({:.2}); it costs {} MB",
        disturbed / quiet,
        http.resident().saturating_sub(before)
    );
    drop(unread);
}
