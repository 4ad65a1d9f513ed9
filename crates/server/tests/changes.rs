//! Changes through the server: their reports, and the state after a failure.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::fs;
use support::{Fixture, Outcome};

#[test]
fn a_change_is_added_committed_and_reset() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    fixture.write("new.txt", "n\n").write("a.txt", "changed\n");
    let staged = client.text("git_add", &json!({"files": ["new.txt", "a.txt"]}));
    assert!(["2 paths are staged:", "M a.txt", "A new.txt"].iter().all(|part| staged.contains(part)), "{staged}");
    let text = client.text("git_commit", &json!({"message": "# not a comment\n\nbody"}));
    assert!(text.contains("# not a comment") && text.contains("2 files changed") && text.contains("on branch main"), "{text}");
    assert_eq!(fixture.git(&["log", "-1", "--format=%B"]), b"# not a comment\n\nbody\n\n");
    let (tool, args) = support::call_in(text.lines().find_map(|line| line.split_once("staged: ")).ok_or("an undo")?.1);
    let undone = client.text(&tool, &args);
    assert!(undone.contains("moved from") && undone.contains("2 paths are staged"), "{undone}");
    let unstaged = client.text("git_reset", &json!({"paths": ["new.txt"]}));
    assert!(unstaged.contains("1 path is staged"), "{unstaged}");
    client.text("git_reset", &json!({}));
    assert!(fixture.git(&["diff", "--cached", "--name-only"]).is_empty());
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "changed\n", "files are never touched");
    Ok(())
}

#[test]
fn branches_are_created_and_checked_out() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    client.text("git_create_branch", &json!({"branch_name": "feature/x", "base_branch": "HEAD~1"}));
    let exists = client.error("git_create_branch", &json!({"branch_name": "feature/x"}));
    assert!(exists.contains("already exists"), "{exists}");
    let text = client.text("git_checkout", &json!({"branch_name": "feature/x"}));
    assert!(text.contains("on branch feature/x") && text.contains("to switch back"), "{text}");
    fixture.write("a.txt", "in the way\n");
    let refused = client.error("git_checkout", &json!({"branch_name": "main"}));
    assert!(refused.contains("a.txt"), "{refused}");
    assert_eq!(fixture.git(&["branch", "--show-current"]), b"feature/x\n");
    let listed = client.text("git_branch", &json!({}));
    assert!(listed.contains("* feature/x ") && listed.contains("  main "), "{listed}");
}

#[test]
fn failed_commits_leave_nothing_behind() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let state =
        || (fixture.git(&["status", "--porcelain"]), fs::read_dir(fixture.path.join(".git")).map(Iterator::count).unwrap_or_default());
    let before = state();
    let nothing = client.error("git_commit", &json!({"message": "m"}));
    assert!(nothing.contains("nothing is staged") && nothing.contains("git_add"), "{nothing}");
    let empty = client.error("git_commit", &json!({"message": "  \n"}));
    assert!(empty.contains("message is empty"), "{empty}");
    assert_eq!(state(), before);
    fixture.git(&["config", "--unset", "user.name"]);
    fixture.git(&["config", "--unset", "user.email"]);
    fixture.git(&["config", "user.useConfigOnly", "true"]);
    fixture.write("a.txt", "x\n");
    client.text("git_add", &json!({"files": ["."]}));
    let nobody = client.error("git_commit", &json!({"message": "m"}));
    assert!(nobody.contains("user.name"), "{nobody}");
    assert!(!fixture.path.join(".git/index.lock").exists());
}

#[test]
fn a_commit_during_a_merge_keeps_both_parents_and_conflicts_are_named() -> Outcome {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
    fixture.write("a.txt", "side\n").commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    assert!(!fixture.try_git(&["merge", "side"]).status.success());
    let mut client = fixture.serve();
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("UU a.txt") && status.contains("a merge is in progress"), "{status}");
    let refused = client.error("git_commit", &json!({"message": "too early"}));
    assert!(refused.contains("a.txt"), "{refused}");
    let refused = client.error("git_reset", &json!({}));
    assert!(refused.contains("a merge is in progress"), "{refused}");
    for (stage, text) in [(1, "one\n"), (2, "one\ntwo\n"), (3, "side\n")] {
        assert_eq!(client.text("git_show", &json!({"revision": format!(":{stage}:a.txt")})), text);
    }
    client.error("git_show", &json!({"revision": ":a.txt"}));
    fixture.write("a.txt", "resolved\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    client.text("git_commit", &json!({"message": "merged"}));
    let parents = String::from_utf8(fixture.git(&["log", "-1", "--format=%P"]))?;
    assert_eq!(parents.split_whitespace().count(), 2);
    Ok(())
}

#[test]
fn concurrent_commits_are_serialized() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    for n in 0..20 {
        fixture.write(&format!("f{n}"), "x\n");
        client.start_call("git_add", &json!({"files": [format!("f{n}")]}));
    }
    for _ in 0..20 {
        let answer = client.receive();
        assert_ne!(answer["result"]["isError"], true, "{answer}");
    }
    client.text("git_commit", &json!({"message": "all"}));
    assert_eq!(String::from_utf8(fixture.git(&["show", "--name-only", "--format=", "HEAD"]))?.lines().count(), 20);
    Ok(())
}

#[test]
fn init_stays_inside_the_roots() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let inside = fixture.path.join("sub/new");
    let text = client.text("git_init", &json!({"repo_path": inside.display().to_string(), "initial_branch": "trunk"}));
    assert!(text.contains("created"), "{text}");
    assert_eq!(fs::read_to_string(inside.join(".git/HEAD"))?, "ref: refs/heads/trunk\n");
    std::os::unix::fs::symlink("/tmp", fixture.path.join("out"))?;
    for outside in [
        "/tmp/never-made-here",
        &fixture.path.join("out/x").display().to_string(),
        "../x",
        &fixture.path.join(".git/x").display().to_string(),
    ] {
        client.error("git_init", &json!({"repo_path": outside}));
    }
    assert!(!std::path::Path::new("/tmp/never-made-here").exists() && !std::path::Path::new("/tmp/x/.git").exists());
    Ok(())
}
