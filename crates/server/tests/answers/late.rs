//! Changes that time out: what ran, what took effect, and what to do.

use crate::support::{
    Fixture, descendants,
    hooks::{accept, forked, hook, no_trace, ran, stage, state},
    remote::{OPEN, published},
};
use serde_json::{Value, json};

/// A hook that does not end by itself.
const HANGS: &str = "sleep 1000";

fn times_out(fixture: &Fixture, (tool, args): (&str, &Value), variables: &[(&str, &str)]) -> String {
    let mut client = fixture.serve_with(&[], variables);
    let result = client.result(tool, args);
    assert_eq!(result["structuredContent"]["code"], "timed_out", "{result}");
    let error = crate::support::text_of(&result);
    assert!(!error.contains("fewer commits"), "{error}");
    assert!(descendants(client.pid()).is_empty(), "nothing is left running");
    no_trace(fixture);
    error
}

const SOON: [(&str, &str); 1] = [("MCP_GIT_CHANGE_TIMEOUT", "2")];

#[test]
fn a_timed_out_change_without_effect_is_reported_and_can_be_repeated_13() {
    for (name, branch, tool, args) in [
        ("pre-commit", "main", "git_commit", json!({"message": "x"})),
        ("pre-rebase", "side", "git_rebase", json!({"target_branch": "main"})),
        ("reference-transaction", "main", "git_create_branch", json!({"branch_name": "new"})),
    ] {
        let fixture = forked();
        fixture.git(&["checkout", "-q", branch]);
        if tool == "git_commit" {
            stage(&fixture, "new\n");
        }
        let before = state(&fixture);
        hook(&fixture, name, HANGS);
        let error = times_out(&fixture, (tool, &args), &SOON);
        assert!(error.contains(&format!("the hook `{name}` was running")) && error.contains("HEAD did not move"), "{error}");
        assert!(error.contains("Check git_status, then repeat the call.") && error.contains("`limits.change_timeout`"), "{error}");
        assert_eq!(state(&fixture), before);
        accept(&fixture, name);
        fixture.serve().text(tool, &args);
        assert!(ran(&fixture, name) > 0);
    }
}

#[test]
fn a_timed_out_change_that_took_effect_is_reported_13() {
    for (name, tool, args, effect) in [
        ("post-commit", "git_commit", json!({"message": "x"}), "HEAD moved from "),
        ("post-checkout", "git_checkout", json!({"branch_name": "side"}), "side is checked out now; HEAD moved from "),
        ("post-commit", "git_cherry_pick", json!({"commit_hash": "side~1"}), "HEAD moved from "),
        ("post-merge", "git_merge", json!({"source_branch": "side"}), "HEAD moved from "),
    ] {
        let fixture = forked();
        if tool == "git_commit" {
            stage(&fixture, "new\n");
        }
        let before = state(&fixture);
        hook(&fixture, name, HANGS);
        let error = times_out(&fixture, (tool, &args), &SOON);
        assert!(error.contains(&format!("the hook `{name}` was running")) && error.contains(effect), "{error}");
        assert!(error.contains("do not repeat it") && !error.contains("then repeat the call"), "{error}");
        let after = state(&fixture);
        assert_ne!(after[0], before[0], "{tool} took effect");
        if error.contains("git_abort aborts the rest") {
            fixture.serve().text("git_abort", &json!({}));
            assert_eq!(state(&fixture), after, "completed work stays");
        }
        assert!(!fixture.serve().text("git_status", &json!({})).contains("in progress"));
        assert!(fixture.text(&["status", "--porcelain"]).is_empty());
    }
    // A half-finished one can be aborted.
    let fixture = forked();
    fixture.git(&["checkout", "-q", "side"]);
    let before = state(&fixture);
    hook(&fixture, "prepare-commit-msg", HANGS);
    let args = json!({"target_branch": "main"});
    let error = times_out(&fixture, ("git_rebase", &args), &SOON);
    assert!(error.contains("the hook `prepare-commit-msg` was running") && error.contains("a rebase is in progress"), "{error}");
    assert!(error.contains("git_abort restores the state before the rebase. Then repeat the call."), "{error}");
    let mut client = fixture.serve();
    client.text("git_abort", &json!({}));
    assert_eq!(state(&fixture), before);
    accept(&fixture, "prepare-commit-msg");
    client.text("git_rebase", &args);
}

#[test]
fn a_push_that_times_out_in_a_local_hook_does_not_blame_the_remote_13() {
    let (fixture, remote) = published();
    fixture.write("n.txt", "n\n").commit("new");
    let there = remote.git(&["rev-parse", "main"]);
    hook(&fixture, "pre-push", HANGS);
    let variables = [&OPEN[..], &[("MCP_GIT_NETWORK_TIMEOUT", "2")]].concat();
    let error = times_out(&fixture, ("git_push", &json!({})), &variables);
    assert!(error.contains("the hook `pre-push` was running") && error.contains("git_ls_remote shows the remote's references"), "{error}");
    assert_eq!(remote.git(&["rev-parse", "main"]), there);
    accept(&fixture, "pre-push");
    let mut client = fixture.serve_with(&[], &OPEN);
    assert!(client.text("git_ls_remote", &json!({})).contains(&there[..7]));
    client.text("git_push", &json!({}));
    assert_eq!(remote.git(&["rev-parse", "main"]), fixture.text(&["rev-parse", "HEAD"]));
}
