//! docs/GUIDE.md, section 6: a circuit that is stuck open.

use crate::support::{
    Fixture,
    admin::{Administered, code, operate, tool},
    out,
    remote::{Fault, OPEN, published},
    wire::{call, modern, wait_for},
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Barrier},
    time::{Duration, SystemTime},
};

/// A git that records its commands.
fn recorded_git(fixture: &Fixture) -> (PathBuf, PathBuf) {
    let (script, record) = (fixture.home.path().join("git.sh"), fixture.home.path().join("calls"));
    fs::write(&script, format!("#!/bin/sh\necho \"$1\" >> '{}'\nexec git \"$@\"\n", record.display())).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script");
    (script, record)
}

/// Fetches until the circuit is open.
fn open_circuit(server: &Administered) {
    for _ in 0..5 {
        tool(server, "git_fetch", json!({}));
        if server.circuit("/fetch").is_some_and(|circuit| circuit["state"] == "open") {
            return;
        }
    }
    panic!("it stays closed: {:?}", server.circuit("/fetch"));
}

#[test]
fn circuit_stuck_open_starts_nothing() {
    let (fixture, remote) = published();
    let (git, record) = recorded_git(&fixture);
    let server = Administered::start(&fixture, &["--git", &git.display().to_string()], &OPEN);
    remote.breaks(Fault::Status(503));
    open_circuit(&server);
    let circuit = server.circuit("/fetch").expect("a circuit");
    assert!(circuit["failure_count"].as_u64() >= Some(5) && circuit["failure_threshold"] == 5, "{circuit}");
    let (asked, ran) = (remote.requests(), fs::read_to_string(&record).expect("a record"));
    let refused = tool(&server, "git_fetch", json!({}));
    assert!(code(&refused) == "circuit_open" && refused["structuredContent"]["retry_after_ms"].as_u64().is_some(), "{refused}");
    assert_eq!((asked, ran), (remote.requests(), fs::read_to_string(&record).expect("a record")));
}

#[test]
fn circuit_stuck_open_recovers_without_traffic() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_CIRCUIT_RECOVERY", "1")]].concat());
    remote.breaks(Fault::Status(503));
    open_circuit(&server);
    remote.breaks(Fault::None);
    wait_for("the circuit to close by itself", || server.circuit("/fetch").is_some_and(|circuit| circuit["state"] == "closed"));
    assert!(server.circuit("/fetch").is_some_and(|circuit| circuit["probes"].as_u64() >= Some(1)));
    assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
}

#[test]
fn circuit_is_paused_until_the_date_that_the_remote_names() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::Later(httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90))));
    let limited = tool(&server, "git_fetch", json!({}));
    let wait = limited["structuredContent"]["retry_after_ms"].as_u64().unwrap_or_default();
    assert!(code(&limited) == "rate_limited" && (60_000..=90_000).contains(&wait), "{limited}");
    let circuit = server.circuit("/fetch").expect("a circuit");
    assert!(circuit["state"] == "open" && circuit["paused_ms"].as_u64() > Some(30_000), "{circuit}");
}

#[test]
fn circuit_of_pushes_is_separate_from_fetches() {
    let (fixture, remote) = published();
    fixture.write("a.txt", "more\n").commit("more");
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::NoPush(503));
    for _ in 0..5 {
        assert_eq!(tool(&server, "git_push", json!({}))["isError"], true);
    }
    assert_eq!(code(&tool(&server, "git_push", json!({}))), "circuit_open");
    let fetched = tool(&server, "git_fetch", json!({}));
    assert_ne!(fetched["isError"], true, "{fetched}");
    assert_eq!(server.circuit("/fetch").expect("a circuit")["state"], "closed");
}

#[test]
fn circuit_is_not_opened_by_refusals() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    for fault in [Fault::Locked, Fault::Status(404), Fault::Status(403)] {
        remote.breaks(fault);
        for _ in 0..6 {
            assert_eq!(tool(&server, "git_fetch", json!({}))["isError"], true);
        }
    }
    let circuit = server.circuit("/fetch").expect("a circuit");
    assert!(circuit["state"] == "closed" && circuit["failure_count"] == 0, "{circuit}");
}

#[test]
fn circuit_paused_by_the_remote_reports_the_time_of_the_pause() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::Later("25".to_owned()));
    let limited = tool(&server, "git_fetch", json!({}));
    let wait = |result: &serde_json::Value| result["structuredContent"]["retry_after_ms"].as_u64().unwrap_or_default();
    assert!(code(&limited) == "rate_limited" && wait(&limited) == 25_000, "{limited}");
    for _ in 0..3 {
        let paused = tool(&server, "git_fetch", json!({}));
        assert!(code(&paused) == "rate_limited" && (1..=25_000).contains(&wait(&paused)), "{paused}");
        assert!(crate::support::text_of(&paused).contains("the remote rate limits requests"), "{paused}");
    }
    let circuit = server.circuit("/fetch").expect("a circuit");
    assert!(circuit["state"] == "open" && circuit["rejected"] == 3 && circuit["paused_ms"].as_u64() > Some(0), "{circuit}");
    let name = circuit["name"].clone();
    assert_eq!(server.post("/circuits/reset", &json!({"name": name})).0, 200);
    remote.breaks(Fault::None);
    assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
}

#[test]
fn circuit_is_reset_by_hand() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &OPEN);
    remote.breaks(Fault::Status(500));
    open_circuit(&server);
    let name = server.circuit("/fetch").expect("a circuit")["name"].clone();
    let (status, done) = server.post("/circuits/reset", &json!({"name": name}));
    assert!(status == 200 && done["reset"][0]["early"] == true, "{done}");
    assert_eq!(server.circuit("/fetch").expect("a circuit")["state"], "closed");
    assert_eq!(server.post("/circuits/reset", &json!({"name": "none"})).0, 404);
    remote.breaks(Fault::None);
    assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
}

#[test]
fn circuit_half_open_lets_three_of_a_hundred_through() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_CIRCUIT_RECOVERY", "2")]].concat());
    remote.breaks(Fault::Status(503));
    open_circuit(&server);
    remote.breaks(Fault::Held);
    wait_for("the time of trials", || server.circuit("/fetch").is_some_and(|circuit| circuit["state"] == "half_open"));
    let (before, together) = (remote.requests(), Arc::new(Barrier::new(100)));
    let results = std::thread::scope(|scope| {
        let burst: Vec<_> = (0..100)
            .map(|id| {
                let (server, together) = (&server, Arc::clone(&together));
                scope.spawn(move || {
                    together.wait();
                    modern(&server.server, &[], call(id, "git_ls_remote", json!({}))).message().expect("an answer")["result"].clone()
                })
            })
            .collect();
        wait_for("all others to be refused", || burst.iter().filter(|one| one.is_finished()).count() >= 97);
        assert_eq!(remote.requests(), before + 3, "three are permitted");
        remote.breaks(Fault::None);
        burst.into_iter().map(|one| one.join().expect("a call")).collect::<Vec<_>>()
    });
    let done = results.iter().filter(|result| result["isError"] != true).count();
    let refused = results.iter().filter(|result| matches!(code(result), "circuit_open" | "overloaded")).count();
    assert_eq!((done, refused), (3, 97), "{results:?}");
    assert_eq!(server.circuit("/fetch").expect("a circuit")["state"], "closed");
}

#[test]
fn circuit_parameters_are_overridden_by_its_name() {
    let (fixture, remote) = published();
    fixture.write("a.txt", "more\n").commit("more");
    let url = remote.url();
    let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let file = fixture.home.path().join("config.toml");
    let own = format!("[circuits.\"{host}/fetch\"]\nfailure_threshold = 1\nhalf_open_max_calls = 2\n");
    fs::write(&file, format!("[circuits]\nrecovery_timeout = 60\n{own}")).expect("a file");
    let server = Administered::start(&fixture, &["--config", &file.display().to_string()], &OPEN);
    remote.breaks(Fault::Status(503));
    for name in ["git_fetch", "git_push"] {
        assert_eq!(tool(&server, name, json!({}))["isError"], true, "{name}");
    }
    let of = |ending: &str| {
        let circuit = server.circuit(ending).expect("a circuit");
        ["state", "failure_threshold", "half_open_max_calls", "recovery_timeout_ms"].map(|key| circuit[key].clone())
    };
    assert_eq!(of("/fetch"), [json!("open"), json!(1), json!(2), json!(60_000)]);
    assert_eq!(of("/push"), [json!("closed"), json!(5), json!(3), json!(60_000)]);
    let listed = operate(&server, &["circuits", "list"]);
    assert!(listed.status.code() == Some(1) && out(&listed).contains("Failure threshold: 1\n"), "{listed:?}");
}

#[test]
fn circuit_recovers_while_it_refuses_calls() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_CIRCUIT_RECOVERY", "3")]].concat());
    remote.breaks(Fault::Status(503));
    open_circuit(&server);
    remote.breaks(Fault::None);
    // Without waiting: call after call is refused, until one is permitted.
    let mut refused = 0;
    wait_for("a permitted call", || {
        let fetched = tool(&server, "git_fetch", json!({}));
        refused += u32::from(code(&fetched) == "circuit_open");
        fetched["isError"] != true
    });
    assert!(refused > 0, "none was refused");
    wait_for("the circuit to close", || server.circuit("/fetch").is_some_and(|circuit| circuit["state"] == "closed"));
}

#[test]
fn circuit_that_is_stuck_is_reported_and_reset() {
    let (fixture, remote) = published();
    let server = Administered::start(&fixture, &[], &[&OPEN[..], &[("MCP_GIT_CIRCUIT_RECOVERY", "1")]].concat());
    remote.breaks(Fault::Status(503));
    open_circuit(&server);
    // A circuit counts as stuck after twice its recovery timeout, until the server's probe succeeds.
    wait_for("the advice", || out(&operate(&server, &["circuits", "list"])).contains("`mcp-server-git circuits reset --stuck` closes it"));
    wait_for("the reset", || {
        let reset = operate(&server, &["circuits", "reset", "--stuck"]);
        out(&reset).starts_with("Reset circuits: 1\n") && !out(&reset).contains("Warning")
    });
    assert_eq!(server.circuit("/fetch").expect("a circuit")["state"], "closed");
    remote.breaks(Fault::None);
    assert_ne!(tool(&server, "git_fetch", json!({}))["isError"], true);
}
