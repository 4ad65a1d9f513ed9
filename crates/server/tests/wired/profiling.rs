//! docs/GUIDE.md, sections 3 and 7: which code holds the memory of a running server, and what grows.

use crate::support::{
    Fixture, Outcome,
    admin::{Administered, operate},
    out, program,
    wire::{session, wait_for},
};
use serde_json::Value;
use std::{fs, path::Path};

/// Opens this many sessions.
fn open_sessions(server: &Administered, count: usize) {
    for _ in 0..count {
        session(&server.server, &[]);
    }
}

fn heap(server: &Administered, folder: &Path, args: &[&str]) -> std::process::Output {
    operate(server, &[&["profile", "heap", "--out", &folder.display().to_string()], args].concat())
}

#[test]
fn heap_growth_is_named_by_call_stack() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let folder = fixture.home.path().join("profiles");
    let run = |args: &[&str]| heap(&server, &folder, args);
    let off = run(&["--list"]);
    assert!(off.status.success() && out(&off).starts_with("Tracking: off"), "{off:?}");

    let begun = run(&["--track", "on", "--label", "before"]);
    assert!(begun.status.success() && out(&begun).contains("Tracking: on") && out(&begun).contains("Snapshot 1 (before)"), "{begun:?}");
    open_sessions(&server, 150);
    let after = run(&["--label", "after"]);
    assert!(after.status.success() && out(&after).contains("Snapshot 2 (after)") && out(&after).contains("Top allocators"), "{after:?}");
    let grown = run(&["--diff", "before", "2"]);
    let text = out(&grown);
    // Sessions are created by the server's crates, which are among the callers.
    assert!(grown.status.success() && text.contains("Growth: ") && text.contains("mcp::"), "{text}");
    let svg = fs::read_to_string(folder.join("heap_diff_profile.svg"))?;
    assert!(svg.contains("heap growth from snapshot 1 to 2") && svg.contains("mcp::"), "{}", svg.len());
    for name in ["heap_profile.pb.gz", "heap_diff_profile.pb.gz"] {
        assert_eq!(fs::read(folder.join(name))?[..2], [0x1f, 0x8b], "{name}");
    }
    let reply: Value = serde_json::from_slice(&run(&["--diff", "before", "after", "--json"]).stdout)?;
    let growth = reply["to"]["bytes"].as_i64().unwrap_or_default() - reply["from"]["bytes"].as_i64().unwrap_or_default();
    assert!(growth > 500_000 && reply["top"][0]["bytes"].as_i64() > Some(100_000) && reply["svg"].is_null(), "{reply}");

    // The fix, and its effect.
    assert!(operate(&server, &["sessions", "reap", "--oldest", "150"]).status.success());
    let healed = || {
        let reply: Value = serde_json::from_slice(&run(&["--label", "healed", "--json"]).stdout).unwrap_or_default();
        reply["snapshot"]["bytes"].as_i64().is_some_and(|bytes| bytes < growth / 2)
    };
    wait_for("the memory of the sessions", healed);

    assert_eq!(run(&["--diff", "before", "nothing"]).status.code(), Some(3));
    let ended = run(&["--track", "off"]);
    assert!(out(&ended).starts_with("Tracking: off") && out(&ended).contains("(end)"), "{ended:?}");
    assert!(out(&run(&["--list"])).matches("Snapshot ").count() <= 5, "the last five are kept");
    Ok(())
}

#[test]
fn without_tracking_the_allocations_of_a_few_seconds_are_sampled() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let folder = fixture.home.path().join("profiles");
    let taken = std::thread::scope(|scope| {
        let taken = scope.spawn(|| heap(&server, &folder, &["--seconds", "2"]));
        wait_for("the tracking", || server.get("/profile/heap")["tracking"] == true);
        open_sessions(&server, 50);
        taken.join().expect("a thread")
    });
    let text = out(&taken);
    assert!(taken.status.success() && text.contains("were tracked for 2 s") && text.contains("mcp::"), "{taken:?}");
    assert_eq!(server.get("/profile/heap")["tracking"], false, "it ends by itself");
    // Tracking that is switched on meanwhile stays on.
    std::thread::scope(|scope| {
        let brief = scope.spawn(|| heap(&server, &folder, &["--seconds", "1"]));
        wait_for("the tracking", || server.get("/profile/heap")["tracking"] == true);
        assert!(heap(&server, &folder, &["--track", "on"]).status.success());
        assert!(brief.join().expect("a thread").status.success());
    });
    assert_eq!(server.get("/profile/heap")["tracking"], true);
}

#[test]
fn snapshots_are_taken_and_compared_if_configured() {
    let fixture = Fixture::new();
    let variables =
        [("MCP_GIT_HEAP_PROFILE", "true"), ("MCP_GIT_HEAP_INTERVAL", "1"), ("MCP_GIT_HEAP_ANALYZE_AFTER", "5"), ("MCP_GIT_HEAP_KEEP", "2")];
    let server = Administered::start(&fixture, &[], &variables);
    // Memory grows from each snapshot to the next until that is logged.
    wait_for("the comparison", || {
        open_sessions(&server, 20);
        out(&operate(&server, &["logs"])).contains("memory in use grows steadily")
    });
    // The advice works: the snapshots that it names still exist.
    let logs = out(&operate(&server, &["logs"]));
    let growth = logs.lines().find(|line| line.contains("memory in use grows steadily")).unwrap_or_default();
    let advised = growth.split("`mcp-server-git ").nth(1).and_then(|rest| rest.split('`').next()).unwrap_or_default();
    let args: Vec<&str> = advised.split(' ').chain(["--out", "profiles"]).collect();
    let mut command = program();
    let diff = command.args(args).arg("--socket").arg(&server.socket).current_dir(fixture.home.path()).output();
    assert!(diff.as_ref().is_ok_and(|diff| diff.status.success() && out(diff).contains("Growth: ")), "{advised}: {diff:?}");
    let state = server.get("/profile/heap");
    assert!(state["tracking"] == true && state["snapshots"].as_array().is_some_and(|all| all.len() <= 5), "{state}");
}
