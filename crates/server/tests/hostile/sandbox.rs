//! Work inside the sandbox, without it, and hooks in it.

use super::scene::*;
use crate::support::{self, Client, Fixture};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn changes_work_inside_the_sandbox() {
    let scene = Scene::new();
    let (fixture, mut client) = (&scene.fixture, scene.serve());
    let linked = fixture.path.with_file_name("linked");
    let mut call = |tool: &str, args: Value| client.text(tool, &scene.here(args));
    fixture.write("a.txt", "changed\n").write("new/file", "n\n");
    call("git_stash", json!({"action": "push"}));
    call("git_stash", json!({"action": "pop"}));
    call("git_add", json!({"files": ["."]}));
    call("git_commit", json!({"message": "one"}));
    call("git_create_branch", json!({"branch_name": "b"}));
    call("git_checkout", json!({"branch_name": "b"}));
    fixture.write("b.txt", "b\n");
    call("git_add", json!({"files": ["b.txt"]}));
    call("git_commit", json!({"message": "two"}));
    call("git_commit", json!({"message": "two again", "amend": true}));
    call("git_checkout", json!({"branch_name": "main"}));
    call("git_merge", json!({"source_branch": "b", "strategy": "no-ff"}));
    call("git_tag", json!({"action": "create", "name": "v1", "message": "m"}));
    call("git_notes", json!({"action": "add", "message": "n"}));
    call("git_revert", json!({"commit_hash": "b"}));
    call("git_undo", json!({}));
    call("git_checkout", json!({"branch_name": "b"}));
    let ids = String::from_utf8(fixture.git(&["rev-list", "--reverse", "main~2..b"])).expect("ids");
    let plan: Vec<String> = ids.lines().map(|id| format!("reword {id} planned")).collect();
    call("git_rebase", json!({"target_branch": "main~2", "plan": plan, "confirm": true}));
    assert!(call("git_log", json!({"max_count": 1})).contains("planned"));
    call("git_checkout", json!({"branch_name": "main"}));
    call("git_worktree", json!({"action": "add", "path": linked, "branch": "fresh"}));
    assert!(linked.join("a.txt").exists());
    call("git_worktree", json!({"action": "remove", "path": linked}));
    assert!(!linked.exists());
    call("git_sparse_checkout", json!({"action": "set", "paths": ["dir"]}));
    call("git_sparse_checkout", json!({"action": "disable"}));
    call("git_mv", json!({"source": "a.txt", "destination": "c.txt"}));
    call("git_reset", json!({"mode": "hard", "target": "HEAD", "confirm": true}));
    call("git_bisect", json!({"action": "start", "good": ["HEAD~2"]}));
    call("git_bisect", json!({"action": "reset"}));
    call("git_maintenance", json!({"action": "gc"}));
    let status = call("git_status", json!({}));
    assert!(status.contains("main"), "{status}");
    fixture.git(&["fsck", "--strict"]);
}

#[test]
fn without_landlock_changes_are_refused_unless_configured() {
    let scene = Scene::new();
    let masked = |args: &[&str]| {
        let mut command = support::program();
        command.args(["-r", &scene.above()]).args(args).current_dir("/");
        support::without_landlock(&mut command);
        let mut client = Client::spawn(&mut command);
        client.initialize();
        client
    };
    scene.fixture.write("a.txt", "changed\n");
    let mut client = masked(&[]);
    let refused = client.error("git_add", &scene.here(json!({"files": ["a.txt"]})));
    assert!(refused.contains("need a sandbox") && refused.contains("MCP_GIT_SANDBOX=off"), "{refused}");
    client.text("git_status", &scene.here(json!({})));
    client.text("git_log", &scene.here(json!({})));
    let mut client = masked(&["--sandbox", "off"]);
    client.text("git_add", &scene.here(json!({"files": ["a.txt"]})));
    // A named repository needs no sandbox.
    let mut command = support::program();
    command.arg("-r").arg(&scene.fixture.path).current_dir("/");
    support::without_landlock(&mut command);
    let mut client = Client::spawn(&mut command);
    client.initialize();
    client.text("git_commit", &json!({"message": "m"}));
}

#[test]
fn hooks_of_a_named_repository_are_confined_if_configured() {
    let fixture = Fixture::new();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("secret"), SECRET).expect("a file");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let script = format!(
        "cat '{0}/secret' >>seen 2>&1; touch '{0}/made' 2>/dev/null; (exec 3<>/dev/tcp/127.0.0.1/{port} && echo CONNECTED >>seen) 2>/dev/null; git status >>seen; ls / >>seen; true",
        outside.path().display()
    );
    let hook = fixture.path.join(".git/hooks/pre-commit");
    fs::write(&hook, format!("#!/bin/bash\n{script}\n")).expect("a hook");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("its mode");
    let mut client = fixture.serve_with(&["--sandbox", "always"], &[]);
    client.text("git_commit", &json!({"message": "m", "allow_empty": true}));
    let seen = fs::read_to_string(fixture.path.join("seen")).expect("the hook ran");
    assert!(seen.contains("On branch main") && !seen.contains(SECRET) && !seen.contains("CONNECTED"), "{seen}");
    assert!(!outside.path().join("made").exists());
    // Without the setting, as before.
    let mut client = fixture.serve();
    client.text("git_commit", &json!({"message": "m", "allow_empty": true}));
    let seen = fs::read_to_string(fixture.path.join("seen")).expect("the hook ran");
    assert!(seen.contains(SECRET) && seen.contains("CONNECTED"), "{seen}");
}
