//! Workspaces: calls that answers and errors name stay in the same workspace.

use crate::support::{Client, Fixture, call_in, parts, shell};
use serde_json::{Value, json};
use std::path::PathBuf;

/// A repository on its own branch, with one stash entry, and a workspace of it.
fn opened() -> (Fixture, Client, String, PathBuf) {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "own"]);
    for number in 0..2 {
        fixture.git(&["commit", "-q", "--allow-empty", "-m", &format!("own {number}")]);
    }
    shell(&fixture.path, "echo own >> a.txt; git stash -q");
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    let opened = client.text("git_workspace", &json!({"action": "open", "branch": "job"}));
    let at = opened.find("ws_").expect("a handle");
    let handle: String = opened[at..].chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
    let listed = fixture.text(&["worktree", "list", "--porcelain"]);
    let place = listed.lines().filter_map(|line| line.strip_prefix("worktree ")).find(|path| path.contains("ws_")).map(PathBuf::from);
    (fixture, client, handle, place.expect("a folder"))
}

/// The state of the repository itself.
fn state(fixture: &Fixture) -> String {
    fixture.text(&["status", "--porcelain=v1", "--branch"]) + &fixture.text(&["rev-parse", "HEAD"])
}

/// The calls that the notes of an answer name.
fn calls(text: &str) -> Vec<(String, Value)> {
    let notes = parts(text).notes;
    let call = |note: &String| {
        let start = note.find("git_").filter(|at| note[*at..].contains(" {"))?;
        Some(call_in(&note[start..=note.rfind('}')?]))
    };
    notes.iter().filter_map(call).collect()
}

/// Preparation in a workspace before a call.
type Before = fn(&PathBuf);

#[test]
fn suggested_calls_stay_in_the_workspace() {
    let edit = |place: &PathBuf| std::fs::write(place.join("a.txt"), "edited\n").expect("a file");
    let nothing = |_: &PathBuf| ();
    let all: [(&str, Value, Before); 8] = [
        ("git_commit", json!({"message": "one", "allow_empty": true}), nothing),
        ("git_stash", json!({"action": "push"}), edit),
        ("git_checkout", json!({"branch_name": "other", "create": true}), nothing),
        ("git_branch_rename", json!({"new_name": "renamed"}), nothing),
        ("git_create_branch", json!({"branch_name": "new"}), nothing),
        ("git_rm", json!({"files": ["a.txt"]}), nothing),
        ("git_restore", json!({"paths": ["a.txt"], "confirm": true}), edit),
        ("git_mv", json!({"source": "a.txt", "destination": "b.txt"}), nothing),
    ];
    for (tool, mut args, before) in all {
        let (fixture, mut client, handle, place) = opened();
        let own = state(&fixture);
        before(&place);
        let was = shell(&place, "git status --porcelain=v1 --branch; git rev-parse HEAD; cat a.txt");
        args["workspace"] = json!(handle);
        let text = client.text(tool, &args);
        let named = calls(&text);
        assert!(!named.is_empty(), "{tool}: {text}");
        for (next, mut args) in named {
            assert_eq!(args["workspace"], json!(handle), "{tool}: {text}");
            args["confirm"] = json!(true);
            let mut reply = client.text(&next, &args);
            if next == "git_undo" {
                let (again, args) = calls(&reply).pop().expect("a call");
                reply = client.text(&again, &args);
            }
            assert_eq!(state(&fixture), own, "{tool}, {next}: {reply}");
        }
        // Calls that undo or restore did so there.
        if !["git_create_branch", "git_commit"].contains(&tool) {
            assert_eq!(shell(&place, "git status --porcelain=v1 --branch; git rev-parse HEAD; cat a.txt"), was, "{tool}: {text}");
        }
        assert_eq!(fixture.text(&["stash", "list"]).lines().count(), 1, "{tool}");
    }
}

#[test]
fn a_commit_in_a_workspace_is_undone_only_there() {
    let (fixture, mut client, handle, place) = opened();
    let own = state(&fixture);
    let before = shell(&place, "git rev-parse HEAD");
    let text = client.text("git_commit", &json!({"message": "one", "allow_empty": true, "workspace": handle}));
    assert_ne!(shell(&place, "git rev-parse HEAD"), before);
    let (tool, args) = calls(&text).pop().expect("a call");
    assert_eq!((tool.as_str(), &args["mode"]), ("git_reset", &json!("soft")));
    client.text(&tool, &args);
    assert_eq!((shell(&place, "git rev-parse HEAD"), state(&fixture)), (before, own));
}

#[test]
fn a_closed_workspace_reports_its_state() {
    for (does, expect) in [
        ("true", "; the branch job stays"),
        ("git checkout -q --detach", "; it was detached at "),
        ("git checkout -q -b other", "; the branch other stays"),
    ] {
        let (_fixture, mut client, handle, place) = opened();
        shell(&place, does);
        let text = client.text("git_workspace", &json!({"action": "close", "handle": handle}));
        assert!(text.contains(expect), "{does}: {text}");
    }
}
