//! Tools outside the default set answer as git does.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::fs;
use support::{Fixture, parts};

/// Three commits on `main`, a side branch, and tags of both kinds.
fn scene() -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["tag", "-a", "-m", "the first", "v1", "HEAD~1"]);
    fixture.git(&["tag", "light"]);
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("s.txt", "s\n").commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "one\ntwo\nthree\n").commit("third");
    fixture
}

#[test]
fn revisions_are_named_resolved_and_compared_as_git_does() {
    let fixture = scene();
    let mut client = fixture.serve();
    let mut body = |tool: &str, args: serde_json::Value| parts(&client.text(tool, &args)).body.trim_end().to_owned();
    assert_eq!(body("git_describe", json!({})), fixture.text(&["describe", "--long", "--abbrev=12"]));
    assert_eq!(body("git_describe", json!({"tags": true})), fixture.text(&["describe", "--tags", "--long", "--abbrev=12"]));
    assert_eq!(body("git_rev_parse", json!({"revision": "v1"})), format!("{} tag", fixture.text(&["rev-parse", "v1"])));
    assert_eq!(body("git_merge_base", json!({"one": "side"})), fixture.text(&["merge-base", "side", "HEAD"]));
    assert_eq!(body("git_cat_file", json!({"revision": "v1"})), fixture.text(&["cat-file", "tag", "v1"]));
    let shortlog = fixture.text(&["shortlog", "-sne", "HEAD"]);
    assert_eq!(body("git_shortlog", json!({})), shortlog.trim_start());
    let listed = body("git_ls_tree", json!({"recursive": true}));
    let paths: Vec<&str> = listed.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(paths.join("\n"), fixture.text(&["ls-tree", "-r", "--name-only", "HEAD"]));
    let reflog = body("git_reflog", json!({"max_count": 2}));
    let reasons = fixture.text(&["log", "-g", "-2", "--format=%gs"]);
    assert_eq!((reflog.lines().count(), reasons.lines().count()), (2, 2), "{reflog}");
    assert!(reflog.lines().zip(reasons.lines()).all(|(ours, reason)| ours.ends_with(reason)) && reflog.starts_with("HEAD@{0}"), "{reflog}");
    let range = body("git_range_diff", json!({"old": "main~1..main", "new": "main~1..side"}));
    assert_eq!(range, fixture.text(&["range-diff", "--no-color", "main~1..main", "main~1..side"]));
    assert!(body("git_diff_branches", json!({"base_branch": "main", "compare_branch": "side"})).contains("+s"));
    assert!(client.error("git_describe", &json!({"revision": "HEAD", "exact": true})).contains("no tag leads to"));
    assert!(client.error("git_log", &json!({"graph": true})).contains("not supported"));
}

#[test]
fn files_are_moved_and_patched_and_noted() {
    let fixture = scene();
    let mut client = fixture.serve();
    client.text("git_mv", &json!({"source": "a.txt", "destination": "moved.txt"}));
    assert_eq!(fixture.text(&["status", "--porcelain"]), "R  a.txt -> moved.txt");
    client.text("git_mv", &json!({"source": "moved.txt", "destination": "dir"}));
    assert!(fixture.path.join("dir/moved.txt").exists());
    client.text("git_commit", &json!({"message": "moved"}));
    let patch = "--- a/dir/moved.txt\n+++ b/dir/moved.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n";
    assert!(client.text("git_apply", &json!({"patch": patch, "check": true})).contains("the patch applies"));
    assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    client.text("git_apply", &json!({"patch": patch, "index": true}));
    assert_eq!(fixture.text(&["status", "--porcelain"]), "M  dir/moved.txt");
    assert!(client.error("git_apply", &json!({"patch": patch})).contains("does not apply"));
    client.text("git_apply", &json!({"patch": patch, "reverse": true, "index": true}));
    assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    client.text("git_notes", &json!({"action": "add", "message": "seen"}));
    client.text("git_notes", &json!({"action": "append", "message": "again"}));
    assert_eq!(fixture.text(&["notes", "show"]), "seen\n\nagain");
    assert!(client.text("git_notes", &json!({})).contains("again"));
    client.text("git_notes", &json!({"action": "remove"}));
    assert!(!fixture.try_git(&["notes", "show"]).status.success());
}

#[test]
fn settings_are_shown_and_only_harmless_ones_are_written() {
    let fixture = scene();
    fixture.git(&["config", "http.extraHeader", "Authorization: secret"]);
    let mut client = fixture.serve();
    assert!(client.text("git_config", &json!({"key": "user.name"})).contains("local user.name=A U Thor"));
    assert!(!client.text("git_config", &json!({})).contains("secret"));
    client.text("git_config", &json!({"key": "pull.rebase", "value": "true"}));
    assert_eq!(fixture.text(&["config", "pull.rebase"]), "true");
    client.text("git_config", &json!({"key": "pull.rebase", "unset": true}));
    assert!(!fixture.try_git(&["config", "pull.rebase"]).status.success());
    assert!(client.error("git_config", &json!({"key": "core.sshCommand", "value": "x"})).contains("cannot be written through this server"));
    client.text("git_maintenance", &json!({"action": "commit_graph"}));
    assert!(fixture.path.join(".git/objects/info/commit-graph").exists());
    assert!(client.text("git_maintenance", &json!({})).contains("count: "));
}

#[test]
fn commits_are_signed_as_configured() {
    let fixture = scene();
    let log = fixture.path.with_file_name("signed");
    let program = fixture.path.with_file_name("signer");
    fs::write(&program, format!("#!/bin/sh\necho x >> '{}'\nexit 1\n", log.display())).expect("a file");
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    fixture.git(&["config", "gpg.program", &program.display().to_string()]);
    let args = json!({"message": "m", "allow_empty": true});
    fixture.serve().text("git_commit", &args);
    assert!(!log.exists());
    fixture.serve_with(&[], &[("MCP_GIT_SIGNING", "require")]).error("git_commit", &args);
    assert!(log.exists(), "what cannot be signed is not made");
    fs::remove_file(&log).expect("the file");
    fixture.git(&["config", "commit.gpgSign", "true"]);
    fixture.serve().error("git_commit", &args);
    fs::remove_file(&log).expect("signing was tried");
    fixture.serve_with(&[], &[("MCP_GIT_SIGNING", "never")]).text("git_commit", &args);
    assert!(!log.exists());
}
