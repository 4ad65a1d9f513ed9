//! Worktrees and workspaces that cannot be created, contain submodules, or lost their folder; and leaving a detached HEAD.

use crate::support::{
    Client, Fixture, call_in,
    hooks::{forked, hook},
    parts, shell,
    wire::wait_for,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// References, worktrees and the folders beside the repository.
fn state(fixture: &Fixture) -> String {
    fixture.text(&["for-each-ref"])
        + &fixture.text(&["worktree", "list", "--porcelain"])
        + &String::from_utf8_lossy(&shell(&fixture.path, "ls -A ..; ls -A"))
}

fn add(branch: &str) -> Value {
    json!({"action": "add", "path": "wt", "branch": branch})
}

/// Makes the calls that an error names, one after the other.
fn follow(client: &mut Client, error: &str) {
    for step in error.split("git_worktree {").skip(1) {
        let args = step.split_once('}').map(|(args, _)| format!("{{{args}}}")).expect("arguments");
        client.text("git_worktree", &serde_json::from_str(&args).expect("JSON"));
    }
}

#[test]
fn worktrees_that_cannot_be_created_leave_nothing_behind_20() {
    let broken: [fn(&Fixture); 4] = [
        // A failing filter.
        |it| {
            it.git(&["config", "filter.x.smudge", "false"]);
            it.git(&["config", "filter.x.required", "true"]);
            fs::write(it.path.join(".git/info/attributes"), "a.txt filter=x\n").expect("attributes");
        },
        // Missing content.
        |it| {
            let id = it.text(&["rev-parse", "HEAD:a.txt"]);
            fs::remove_file(it.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]))).expect("an object");
        },
        // A hook that rejects the new worktree's HEAD.
        |it| hook(it, "reference-transaction", "if test \"$1\" = prepared && grep -q ' HEAD$'; then exit 1; fi"),
        // A folder that cannot be created: git's list of worktrees is a file.
        |it| fs::write(it.path.join(".git/worktrees"), "").expect("a file"),
    ];
    for (number, breaks) in broken.into_iter().enumerate() {
        for (tool, args) in [("git_worktree", add("fresh")), ("git_workspace", json!({"action": "open", "branch": "fresh"}))] {
            let fixture = forked();
            breaks(&fixture);
            let before = state(&fixture);
            let error = fixture.serve().error(tool, &args);
            assert_eq!(state(&fixture), before, "{number} {tool}: {error}");
            // An existing branch stays.
            let kept = if tool == "git_worktree" { add("side") } else { json!({"action": "open", "branch": "side"}) };
            fixture.serve().error(tool, &kept);
            assert_eq!(state(&fixture), before, "{number} {tool}");
        }
    }
}

#[test]
fn a_cancelled_worktree_leaves_nothing_behind_20() {
    let fixture = forked();
    let marker = fixture.path.join(".git/smudging");
    fixture.git(&["config", "filter.x.smudge", &format!("touch '{}'; sleep 1000", marker.display())]);
    fs::write(fixture.path.join(".git/info/attributes"), "a.txt filter=x\n").expect("attributes");
    let before = state(&fixture);
    let mut client = fixture.serve();
    let id = client.start_call("git_worktree", &add("fresh"));
    wait_for("the filter", || marker.exists());
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
    wait_for("the end", || state(&fixture) == before);
    client.ping();
}

/// A repository with a submodule at `lib`, and the calls that create a second worktree.
fn with_submodule() -> Fixture {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "set -e; git init -q -b main ../library; cd ../library; git config user.name A; git config user.email a@b; echo 1 > f; git add .
         git commit -q -m one; L=$PWD; cd ../repo; git -c protocol.file.allow=always submodule --quiet add $L lib; git commit -q -m lib",
    );
    fixture
}

#[test]
fn submodules_of_a_worktree_are_reported_and_block_nothing_20() {
    let fixture = with_submodule();
    let mut client = fixture.serve();
    let path = fixture.path.join("wt");
    // Not checked out there, and no obstacle.
    let made = client.text("git_worktree", &add("one"));
    assert!(made.contains("1 submodule is not checked out there: git_submodule {\"action\":\"update\"} there checks it out"), "{made}");
    let remove = |force: bool| json!({"action": "remove", "path": "wt", "force": force, "confirm": force});
    client.text("git_worktree", &remove(false));
    assert!(!path.exists());
    let opened = client.text("git_workspace", &json!({"action": "open"}));
    assert!(opened.contains("1 submodule is not checked out there"), "{opened}");
    let handle = next_workspace(&opened);
    client.text("git_workspace", &json!({"action": "close", "handle": handle}));
    // Checked out there, it is named before removal.
    client.text("git_worktree", &add("two"));
    shell(&path, "git -c protocol.file.allow=always submodule --quiet update --init");
    let error = client.error("git_worktree", &remove(false));
    assert!(error.contains("edits would be lost in lib, a submodule whose repository would be removed, too"), "{error}");
    assert!(path.join("lib/f").exists() && error.contains("`confirm`: true"), "{error}");
    client.text("git_worktree", &json!({"action": "remove", "path": "wt", "confirm": true}));
    assert!(!path.exists() && !fixture.path.join(".git/worktrees/wt").exists());
    // An edit counts as before.
    client.text("git_worktree", &add("three"));
    fs::write(path.join("a.txt"), "edited").expect("a file");
    assert!(client.error("git_worktree", &remove(false)).contains("a.txt"));
    client.text("git_worktree", &remove(true));
    assert!(!path.exists());
}

fn next_workspace(opened: &str) -> String {
    let at = opened.find("ws_").expect("a handle");
    opened[at..].chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

#[test]
fn the_advice_to_update_submodules_works_in_a_worktree_20() {
    let fixture = with_submodule();
    let above = fixture.path.parent().expect("a parent").display().to_string();
    let mut client = Client::start(&["-r", &fixture.path.display().to_string(), "-r", &above], &[("MCP_GIT_PROTOCOLS", "file")]);
    client.initialize();
    let repo = fixture.path.display().to_string();
    client.text("git_worktree", &json!({"repo_path": repo, "action": "add", "path": "wt", "branch": "one"}));
    let there = fixture.path.join("wt").display().to_string();
    client.text("git_submodule", &json!({"repo_path": there, "action": "update"}));
    assert!(fixture.path.join("wt/lib/f").exists());
}

#[test]
fn a_worktree_without_its_folder_names_a_working_call_20() {
    // Each failing call, and its error.
    let calls = [
        ("git_worktree", add("again"), "is a registered worktree "),
        ("git_worktree", json!({"action": "add", "path": "other", "branch": "taken"}), "`taken` is checked out at "),
        ("git_workspace", json!({"action": "open", "branch": "taken"}), "`taken` is checked out at "),
        ("git_checkout", json!({"branch_name": "taken"}), "`taken` is checked out at "),
        ("git_branch_delete", json!({"branch_name": "taken"}), "`taken` is checked out at "),
    ];
    for locked in [false, true] {
        for (tool, args, expected) in &calls {
            let fixture = Fixture::new();
            let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
            client.text("git_worktree", &add("taken"));
            if locked {
                client.text("git_worktree", &json!({"action": "lock", "path": "wt"}));
            }
            fs::remove_dir_all(fixture.path.join("wt")).expect("a folder");
            let error = client.error(tool, args);
            assert!(error.contains(expected) && error.contains("whose folder is gone"), "{tool} {args}: {error}");
            assert_eq!(error.contains("unlock"), locked, "{error}");
            follow(&mut client, &error);
            client.text(tool, args);
        }
    }
    // It can be removed like any other.
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    client.text("git_worktree", &add("taken"));
    fs::remove_dir_all(fixture.path.join("wt")).expect("a folder");
    let listed = client.text("git_worktree", &json!({}));
    assert!(listed.contains("prunable"), "{listed}");
    client.text("git_worktree", &json!({"action": "remove", "path": "wt"}));
    assert_eq!(fixture.text(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn a_locked_worktree_is_removed_by_the_named_calls_20() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    client.text("git_worktree", &add("one"));
    client.text("git_worktree", &json!({"action": "lock", "path": "wt", "reason": "on a stick"}));
    for force in [false, true] {
        let remove = json!({"action": "remove", "path": "wt", "force": force, "confirm": force});
        let error = client.error("git_worktree", &remove);
        assert!(error.contains("is locked: on a stick"), "{error}");
        follow(&mut client, &error);
        client.text("git_worktree", &json!({"action": "lock", "path": "wt", "reason": "on a stick"}));
    }
    let error = client.error("git_worktree", &json!({"action": "remove", "path": "wt"}));
    follow(&mut client, &error);
    client.text("git_worktree", &json!({"action": "remove", "path": "wt"}));
    // Checked out in an existing folder: the call continues there.
    client.text("git_worktree", &add("one"));
    let error = client.error("git_checkout", &json!({"branch_name": "one"}));
    let place = error.split("\"repo_path\": ").nth(1).and_then(|rest| rest.split(" to work").next()).expect("a place");
    let place: PathBuf = serde_json::from_str(place).expect("a path");
    assert!(client.text("git_status", &json!({"repo_path": place})).contains("## one"));
}

#[test]
fn commits_only_on_a_detached_head_are_counted_and_can_be_kept_20() {
    let fixture = forked();
    let mut client = fixture.serve();
    for (commits, expect) in [(0, None), (1, Some("1 commit ")), (3, Some("3 commits "))] {
        fixture.git(&["checkout", "-q", "--detach", "main"]);
        for number in 0..commits {
            fixture.git(&["commit", "-q", "--allow-empty", "-m", &format!("{commits} {number}")]);
        }
        let left = fixture.text(&["rev-parse", "HEAD"]);
        let text = client.text("git_checkout", &json!({"branch_name": "side"}));
        let note = parts(&text).notes.into_iter().find(|note| note.contains("detached HEAD"));
        assert_eq!(note.is_some(), expect.is_some(), "{text}");
        let (Some(note), Some(expect)) = (note, expect) else { continue };
        assert!(note.starts_with(expect), "{note}");
        let (_, call) = note.split_once("to keep ").and_then(|(_, rest)| rest.split_once(": ")).expect("a call");
        let (tool, mut args) = call_in(call);
        args["branch_name"] = json!(format!("kept-{commits}"));
        client.text(&tool, &args);
        assert_eq!(fixture.text(&["rev-parse", &format!("kept-{commits}")]), left);
    }
    // Commits on a tag or another branch are not counted, and a new branch keeps all of them.
    for keep in [&["tag", "kept"][..], &["branch", "kept"]] {
        fixture.git(&["checkout", "-q", "--detach", "main"]);
        fixture.git(&["commit", "-q", "--allow-empty", "-m", keep[0]]);
        fixture.git(keep);
        let text = client.text("git_checkout", &json!({"branch_name": "side"}));
        assert!(!text.contains("detached HEAD"), "{text}");
    }
    fixture.git(&["checkout", "-q", "--detach", "main"]);
    fixture.git(&["commit", "-q", "--allow-empty", "-m", "new"]);
    let text = client.text("git_checkout", &json!({"branch_name": "from-here", "create": true}));
    assert!(!text.contains("detached HEAD"), "{text}");
}
