//! Unstaging keeps the marks of files that are not checked out: without them git counts such files as deleted.

use crate::support::{Fixture, shell};
use serde_json::json;
use std::fs;

/// Only `in` is checked out. A squashed merge has staged an edited, a deleted, a new and twice edited file in `out`.
fn squashed() -> Fixture {
    let fixture = Fixture::empty();
    let lines: String = (1..10).flat_map(|line| [line.to_string(), "\n".to_owned()]).collect();
    fixture.write("in/f", "one\n").write("out/f", "one\n").write("out/g", "one\n").write("out/h", &lines).commit("one");
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("out/f", "two\n").write("out/n", "new\n").write("out/h", format!("0\n{lines}10\n")).git(&["rm", "-q", "out/g"]);
    fixture.commit("two");
    shell(&fixture.path, "set -e; git checkout -q main; git sparse-checkout set in; git merge -q --squash side");
    fixture
}

/// The status, and the marked entries of the index.
fn state(fixture: &Fixture) -> String {
    let status = fixture.text(&["status", "--porcelain"]);
    status + "\n" + &fixture.text(&["ls-files", "-t", "--stage"])
}

/// The same in a copy, after a command that keeps marks.
fn state_after(fixture: &Fixture, args: &[&str]) -> String {
    shell(&fixture.path, "rm -rf ../copy; cp -r . ../copy");
    fixture.git(&[&["-C", "../copy"], args].concat());
    let status = fixture.text(&["-C", "../copy", "status", "--porcelain"]);
    status + "\n" + &fixture.text(&["-C", "../copy", "ls-files", "-t", "--stage"])
}

#[test]
fn a_restored_index_keeps_its_marks() {
    for paths in [&["out/f"][..], &["out/g"], &["out/n"], &["out/f", "out/g", "out/h", "out/n"], &["out"], &["."]] {
        let fixture = squashed();
        let expected = state_after(&fixture, &[&["reset", "-q", "--"], paths].concat());
        let said = fixture.serve().text("git_restore", &json!({"paths": paths, "staged": true}));
        assert_eq!(state(&fixture), expected, "{paths:?}: {said}");
        assert!(!fixture.text(&["status", "--porcelain"]).lines().any(|line| line.starts_with(" D")), "{paths:?}");
        assert!(!fixture.path.join("out").exists(), "{paths:?}");
    }
    // From a commit, too.
    let fixture = squashed();
    let expected = state_after(&fixture, &["reset", "-q", "side", "--", "out"]);
    fixture.serve().text("git_restore", &json!({"paths": ["out"], "staged": true, "source": "side"}));
    assert_eq!(state(&fixture), expected);
}

#[test]
fn a_path_that_is_neither_staged_nor_committed_is_named() {
    let fixture = squashed();
    let before = state(&fixture);
    let mut client = fixture.serve();
    for paths in [&["nothing"][..], &["out/f", "out/nothing"]] {
        let error = client.error("git_restore", &json!({"paths": paths, "staged": true}));
        assert!(error.contains("nothing") && error.contains("the index"), "{error}");
    }
    assert_eq!(state(&fixture), before);
}

#[test]
fn a_patch_of_the_index_keeps_its_marks() {
    let fixture = squashed();
    let (staged, clean) = (state(&fixture), state_after(&fixture, &["reset", "-q"]));
    let patch = fixture.text(&["diff", "--cached"]) + "\n";
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    client.text("git_apply", &json!({"patch": patch, "cached": true, "reverse": true}));
    assert_eq!(state(&fixture), clean);
    client.text("git_apply", &json!({"patch": patch, "cached": true}));
    assert_eq!(state(&fixture), staged);
    // Files that the patch writes are checked out.
    fixture.git(&["reset", "-q"]);
    client.text("git_apply", &json!({"patch": patch, "index": true}));
    assert_eq!(fs::read_to_string(fixture.path.join("out/f")).ok().as_deref(), Some("two\n"));
    let status = fixture.text(&["status", "--porcelain"]);
    assert!(status.lines().all(|line| line.as_bytes().get(1) == Some(&b' ')), "{status}");
}

#[test]
fn hunks_are_unstaged_with_their_marks() {
    let fixture = squashed();
    let clean = state_after(&fixture, &["reset", "-q"]);
    let mut client = fixture.serve();
    loop {
        let listed = client.text("git_add", &json!({"list": true, "action": "unstage"}));
        let Some(id) = listed.split("] hunk ").nth(1).and_then(|part| part.split(' ').next()) else { break };
        client.text("git_add", &json!({"hunks": [id], "action": "unstage"}));
        assert!(!fixture.text(&["status", "--porcelain"]).contains(" D"), "{}", fixture.text(&["status", "--porcelain"]));
    }
    assert_eq!(state(&fixture), clean);
}

/// A mark of a file that is checked out hides local edits of it.
#[test]
fn a_mark_outside_of_a_sparse_checkout_is_kept() {
    for (tool, args) in [
        ("git_restore", json!({"paths": ["a.txt"], "staged": true})),
        ("git_restore", json!({"paths": ["."], "staged": true})),
        ("git_apply", json!({"patch": "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1,2 @@\n one\n+two\n", "cached": true})),
    ] {
        let fixture = Fixture::new();
        fixture.git(&["update-index", "--skip-worktree", "a.txt"]);
        fixture.write("a.txt", "local\n");
        // Stages another version of it.
        shell(&fixture.path, "id=$(printf 'one\\n' | git hash-object -w --stdin); git update-index --cacheinfo 100644,$id,a.txt");
        fixture.git(&["update-index", "--skip-worktree", "a.txt"]);
        assert_eq!(fixture.text(&["status", "--porcelain"]), "M  a.txt");
        fixture.serve_with(&["--toolsets", "all"], &[]).text(tool, &args);
        assert_eq!(fixture.text(&["status", "--porcelain"]), "", "{tool} {args}");
        assert!(fixture.text(&["ls-files", "-t"]).contains("S a.txt"), "{tool} {args}");
        assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).ok().as_deref(), Some("local\n"));
    }
}

/// Without any mark, git restore does it: a file that is deleted here stays deleted.
#[test]
fn other_deletions_are_not_hidden() {
    let fixture = squashed();
    shell(&fixture.path, "set -e; git reset -q --hard; git sparse-checkout add out; rm out/f; printf '2\\n' > in/f; git add in/f");
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    client.text("git_restore", &json!({"paths": ["."], "staged": true}));
    assert_eq!(fixture.text(&["status", "--porcelain"]), " M in/f\n D out/f");
    let patch = "--- a/out/f\n+++ b/out/f\n@@ -1 +1 @@\n-one\n+two\n";
    client.text("git_apply", &json!({"patch": patch, "cached": true}));
    assert_eq!(fixture.text(&["status", "--porcelain", "out"]), "MD out/f");
}
