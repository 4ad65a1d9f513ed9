//! Repositories and hooks that exhaust resources. The numbers are rows of docs/THREATS.md.

#![allow(clippy::format_collect, clippy::expect_used, reason = "tests put small texts together")]

mod support;

use serde_json::json;
use std::fs;
use support::{Fixture, Outcome, text_of};

#[test]
fn a_tree_bomb_61_a_long_line_62_and_a_stale_lock_66() -> Outcome {
    let fixture = Fixture::empty();
    // Ten levels of ten names for the same tree: 10^9 files.
    fixture.write("f", "bomb\n");
    let blob = String::from_utf8(fixture.git(&["hash-object", "-w", "f"]))?.trim().to_owned();
    let mut listing = format!("100644 blob {blob}\tf\n");
    let mut tree = String::new();
    for _ in 0..9 {
        fs::write(fixture.path.join("../tree"), &listing)?;
        tree = String::from_utf8(support::shell(&fixture.path, "git mktree < ../tree"))?.trim().to_owned();
        listing = (0..10).map(|n| format!("040000 tree {tree}\td{n}\n")).collect();
    }
    let commit = String::from_utf8(fixture.git(&["commit-tree", &tree, "-m", "bomb"]))?.trim().to_owned();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_READ_TIMEOUT", "3")]);
    client.text("git_show", &json!({"revision": format!("{commit}:d1/d2")}));
    for (tool, args) in [
        ("git_show", json!({"revision": commit})),
        ("git_grep", json!({"pattern": "nothing", "rev": commit})),
        ("git_diff", json!({"base": "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "target": commit, "stat": true})),
    ] {
        let result = client.result(tool, &args);
        assert!(text_of(&result).len() < 33_000, "{tool}");
        let peak = support::peak_kib(client.pid());
        assert!(peak < 256 << 10, "{tool}: {peak} KiB");
    }
    client.ping();
    let locked = Fixture::new();
    locked.write(".git/index.lock", "").write("a.txt", "x\n");
    let mut client = locked.serve();
    let result = client.result("git_add", &json!({"files": ["a.txt"]}));
    assert_eq!(result["structuredContent"]["code"], "overloaded", "{result}");
    assert!(text_of(&result).contains("index.lock"), "{result}");
    assert!(locked.path.join(".git/index.lock").exists(), "another process's lock stays");
    Ok(())
}

fn hook(fixture: &Fixture, text: &str) -> Outcome {
    fixture.write(".git/hooks/pre-commit", format!("#!/bin/sh\n{text}\n"));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    Ok(fs::set_permissions(fixture.path.join(".git/hooks/pre-commit"), mode)?)
}

#[test]
fn a_lock_released_soon_is_awaited() -> Outcome {
    let fixture = Fixture::new();
    fixture.write("a.txt", "x\n").write(".git/HEAD.lock", "");
    // The first commit runs into the lock; before the second attempt it is released.
    hook(&fixture, "if [ -e .git/tried ]; then rm -f .git/HEAD.lock; else touch .git/tried; fi")?;
    let mut client = fixture.serve();
    client.text("git_add", &json!({"files": ["a.txt"]}));
    client.text("git_commit", &json!({"message": "late"}));
    assert_eq!(fixture.git(&["log", "-1", "--format=%s"]), b"late\n");
    assert!(fixture.path.join(".git/tried").exists());
    Ok(())
}

#[test]
fn hooks_that_never_end_64_or_hold_the_output_65() -> Outcome {
    let fixture = Fixture::new();
    let hook = |text: &str| hook(&fixture, text);
    hook("echo from the hook; sleep 1000 &")?;
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_CHANGE_TIMEOUT", "4")]);
    fixture.write("a.txt", "background\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    let text = client.text("git_commit", &json!({"message": "with a background child"}));
    assert!(text.contains("committed"), "{text}");
    assert!(support::descendants(client.pid()).is_empty(), "the child ended with the call");
    hook("trap '' TERM; while true; do sleep 1; done")?;
    fixture.write("a.txt", "endless\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    let before = fixture.git(&["rev-parse", "HEAD"]);
    let result = client.result("git_commit", &json!({"message": "never"}));
    assert_eq!(result["structuredContent"]["code"], "timed_out", "{result}");
    assert!(support::descendants(client.pid()).is_empty(), "nothing is left running");
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before, "nothing was committed");
    hook("echo NO-WAY >&2; exit 1")?;
    let refused = client.error("git_commit", &json!({"message": "refused"}));
    assert!(refused.contains("NO-WAY"), "{refused}");
    assert!(!fixture.path.join(".git/index.lock").exists(), "no lock is left");
    Ok(())
}

#[test]
fn patterns_that_explode_63() {
    let fixture = Fixture::new();
    fixture.write("long.txt", "a".repeat(200_000)).commit(&format!("a subject\n\n{}", "a".repeat(50_000)));
    let mut client = fixture.serve();
    for pattern in
        ["(a*)*b", "(a|aa)+$x", "(a?){200}a{200}b", "((a{1,100}){1,100}){1,100}", "(x{0,5000}){0,5000}", "\\pL{1000000}", "(((((("]
    {
        for (tool, args) in [
            ("git_grep", json!({"pattern": pattern})),
            ("git_grep", json!({"pattern": pattern, "rev": "HEAD"})),
            ("git_log", json!({"author": pattern})),
            ("git_log", json!({"grep": pattern})),
        ] {
            let result = client.result(tool, &args);
            assert_ne!(result["structuredContent"]["code"], "timed_out", "{tool} {pattern}: {result}");
            let explained = text_of(&result).contains("not a regular expression") || result["isError"] != true;
            assert!(explained, "{tool} {pattern}: {result}");
        }
        let peak = support::peak_kib(client.pid());
        assert!(peak < 150 << 10, "{pattern}: {peak} KiB");
    }
    client.ping();
}
