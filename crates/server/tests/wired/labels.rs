//! The parts of each diagnosis: the guide's labels, in order.

use crate::support::{
    self, Fixture, Outcome,
    admin::{Administered, operate},
    out, program,
};
use std::fs;

/// The labels of an answer, without its tables.
fn labels(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_once(": ").map(|(label, _)| label)).collect()
}

#[test]
fn each_diagnosis_has_its_labels() {
    if !support::has_store_of_its_own() {
        return;
    }
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for (args, expect) in [
        (&["sessions", "list"][..], &["Total sessions", "Active sessions", "Idle sessions (>1h)", "Error sessions"][..]),
        (&["status", "heartbeats"], &["Heartbeat manager", "Heartbeat interval", "Missed threshold", "Last check", "Restarts"]),
        (&["status", "resources"], &["Resources"]),
        (&["status", "memory"], &["Memory in use", "At most", "Allocated", "Limit", "Growth", "New calls"]),
        (
            &["status", "memory", "--trim"],
            &["Memory before", "Memory after", "Memory recovered", "Cleared repositories", "Cleared validation", "Cleared replies"],
        ),
        (
            &["circuits", "list"],
            &[
                "Circuit names",
                "Circuits",
                "Circuit",
                "State",
                "Failure count",
                "Failure threshold",
                "Last failure",
                "Recovery timeout",
                "Half-open max calls",
                "Calls",
            ],
        ),
        (&["errors"], &["Window", "Source", "Spike threshold", "Errors"]),
        (&["cache", "stats"], &["Swept every"]),
        (&["debug", "level"], &["Log levels", "Components"]),
        (&["debug", "held"], &["Held calls", "Released automatically after"]),
        (&["operations"], &["Operations"]),
        (&["reap"], &["Reaped"]),
        (&["drain", "--timeout", "1s"], &["Calls left"]),
        (&["resume"], &["Phase"]),
    ] {
        let answer = operate(&server, args);
        assert_eq!(labels(&out(&answer)), expect, "{args:?}: {answer:?}");
    }
    let status = out(&operate(&server, &["status"]));
    for label in ["Verdict", "Server", "Phase", "Uptime", "Sessions", "Circuits not closed", "Store", "Memory", "Threads", "Runtime lag"] {
        assert!(labels(&status).contains(&label), "{label}: {status}");
    }
}

#[test]
fn both_verdicts_on_a_message_have_their_labels() -> Outcome {
    let fixture = Fixture::new();
    let file = fixture.home.path().join("message");
    fs::write(&file, "{\"type\": \"ping\", \"id\": \"test_123\"}")?;
    let output = program().args(["validate", "--strict", "--lenient"]).arg(&file).output()?;
    assert_eq!(labels(&out(&output)), ["Strict validation", "Strict errors", "Lenient validation", "Warning", "Warning"], "{output:?}");
    fs::write(&file, "{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"ping\"}")?;
    let output = program().args(["validate", "--strict", "--lenient"]).arg(&file).output()?;
    assert_eq!(labels(&out(&output)), ["Strict validation", "Strict errors", "Lenient validation", "Lenient errors"], "{output:?}");
    assert_eq!(output.status.code(), Some(1));
    Ok(())
}
