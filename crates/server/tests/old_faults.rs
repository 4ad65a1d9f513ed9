//! Faults of the previous package of this name: none returns.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start git and the server, and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};
use support::{
    Fixture, Outcome, files,
    parameters::string_parameters,
    remote::{OPEN, published},
};

/// A program that records its run, and does not end soon.
fn trap(path: &Path, ran: &Path) -> String {
    fs::write(path, format!("#!/bin/sh\ntouch '{}'\nsleep 600\n", ran.display())).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
    path.display().to_string()
}

/// A repository whose two branches conflict.
fn conflicting() -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("a.txt", "side\n").commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "main\n").commit("main");
    fixture
}

#[test]
fn continue_opens_no_editor() {
    for (tool, args) in [
        ("git_merge", json!({"source_branch": "side"})),
        ("git_rebase", json!({"target_branch": "side"})),
        ("git_cherry_pick", json!({"commit_hash": "side"})),
        ("git_revert", json!({"commit_hash": "HEAD~1"})),
    ] {
        let fixture = conflicting();
        let opened = fixture.home.path().join("opened");
        let editor = trap(&fixture.home.path().join("editor"), &opened);
        for key in ["core.editor", "sequence.editor"] {
            fixture.git(&["config", key, &editor]);
        }
        let variables = ["GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "EDITOR", "VISUAL"].map(|name| (name, editor.as_str()));
        let mut client = fixture.serve_with(&[], &variables);
        let stopped = client.error(tool, &args);
        assert!(stopped.contains("has stopped at conflicts in a.txt"), "{tool}: {stopped}");
        fixture.write("a.txt", "both\n");
        client.text("git_add", &json!({"files": ["a.txt"]}));
        let done = client.text("git_continue", &json!({}));
        assert!(done.contains("finished"), "{tool}: {done}");
        assert!(!opened.exists(), "{tool}: an editor was opened");
        assert_eq!(fixture.text(&["show", "HEAD:a.txt"]), "both", "{tool}");
        assert!(client.error("git_continue", &json!({})).contains("no merge, rebase"), "{tool}");
    }
}

#[test]
fn a_failure_is_never_reported_as_success() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    // Every tool without a repository.
    let tools: BTreeMap<&str, Value> = string_parameters().into_iter().map(|(tool, _, valid)| (tool, valid)).collect();
    assert!(tools.len() > 50, "{}", tools.len());
    for (tool, mut args) in tools {
        args["repo_path"] = json!("/nonexistent/repository");
        client.error(tool, &args);
    }
    // With a repository, and git refuses.
    let before = fixture.text(&["for-each-ref"]) + &fixture.text(&["status", "--porcelain"]);
    for (tool, args) in [
        ("git_add", json!({"files": ["none"]})),
        ("git_blame", json!({"path": "none"})),
        ("git_branch_delete", json!({"branch_name": "none"})),
        ("git_checkout", json!({"branch_name": "none"})),
        ("git_cherry_pick", json!({"commit_hash": "none"})),
        ("git_commit", json!({"message": "nothing is staged"})),
        ("git_create_branch", json!({"branch_name": "main"})),
        ("git_create_branch", json!({"branch_name": "a..b"})),
        ("git_diff", json!({"target": "none..HEAD"})),
        ("git_fetch", json!({})),
        ("git_log", json!({"rev": "none"})),
        ("git_merge", json!({"source_branch": "none"})),
        ("git_pull", json!({})),
        ("git_push", json!({})),
        ("git_rebase", json!({"target_branch": "none"})),
        ("git_reset", json!({"target": "none"})),
        ("git_restore", json!({"paths": ["none"]})),
        ("git_revert", json!({"commit_hash": "none"})),
        ("git_show", json!({"revision": "none"})),
        ("git_stash", json!({"action": "drop"})),
        ("git_continue", json!({})),
        ("git_abort", json!({})),
    ] {
        let reply = client.error(tool, &args);
        assert!(!reply.is_empty(), "{tool} {args} says nothing");
        assert_eq!(fixture.call(tool, &args).status.code(), Some(1), "{tool} {args}");
    }
    assert_eq!(fixture.text(&["for-each-ref"]) + &fixture.text(&["status", "--porcelain"]), before);
}

#[test]
fn nothing_is_signed_unasked_and_no_configuration_is_rewritten() -> Outcome {
    let (fixture, _remote) = published();
    let signed = fixture.home.path().join("signed");
    let program = trap(&fixture.home.path().join("signer"), &signed);
    for (key, value) in [("gpg.program", program.as_str()), ("gpg.ssh.program", program.as_str()), ("user.signingKey", "0123456789ABCDEF")]
    {
        fixture.git(&["config", key, value]);
    }
    let config = || fs::read(fixture.path.join(".git/config"));
    let before = config()?;
    let mut client = fixture.serve_with(&[], &OPEN);
    fixture.write("a.txt", "changed\n");
    for (tool, args) in [
        ("git_add", json!({"files": ["a.txt"]})),
        ("git_commit", json!({"message": "one"})),
        ("git_create_branch", json!({"branch_name": "side", "base_branch": "HEAD~1"})),
        ("git_checkout", json!({"branch_name": "side"})),
        ("git_commit", json!({"message": "two", "allow_empty": true})),
        ("git_merge", json!({"source_branch": "main"})),
        ("git_tag", json!({"action": "create", "name": "v1", "message": "one"})),
        ("git_push", json!({"branch": "main"})),
        ("git_fetch", json!({})),
        ("git_reset", json!({"mode": "soft", "target": "HEAD~1", "confirm": true})),
    ] {
        client.text(tool, &args);
    }
    assert!(!signed.exists(), "something was signed");
    assert!(fixture.text(&["log", "--all", "--format=%G?"]).lines().all(|mark| mark == "N"));
    assert_eq!(config()?, before, "the configuration is unchanged");
    Ok(())
}

#[test]
fn a_commit_that_fails_leaves_no_lock() {
    let fixture = Fixture::new();
    let hook = fixture.path.join(".git/hooks/pre-commit");
    fixture.write("a.txt", "changed\n");
    fixture.git(&["add", "a.txt"]);
    for (script, timeout) in [("exit 1", "60"), ("sleep 600", "1")] {
        fs::write(&hook, format!("#!/bin/sh\n{script}\n")).expect("a hook");
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a hook");
        let mut client = fixture.serve_with(&[], &[("MCP_GIT_CHANGE_TIMEOUT", timeout)]);
        client.error("git_commit", &json!({"message": "refused"}));
        let locks: Vec<_> =
            files(&fixture.path.join(".git")).into_iter().filter(|path| path.extension().is_some_and(|end| end == "lock")).collect();
        assert!(locks.is_empty(), "{script}: {locks:?}");
    }
    fs::remove_file(&hook).expect("a hook");
    fixture.serve().text("git_commit", &json!({"message": "made"}));
    assert_eq!(fixture.text(&["rev-list", "--count", "HEAD"]), "3");
}
