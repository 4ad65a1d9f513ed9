//! Side effects of changes: results name every reference that moved, and `git_undo` restores each one
//! or reports what it leaves alone.

use crate::support::{Client, Fixture, Outcome, shell, undo};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path};

/// Every file of the working tree, by path, and git's references, index, stash and configuration.
fn state(fixture: &Fixture) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    for file in crate::support::files(&fixture.path).iter().filter(|file| !file.starts_with(fixture.path.join(".git"))) {
        let name = file.strip_prefix(&fixture.path).unwrap_or(file).display().to_string();
        state.insert(name, fs::read(file).unwrap_or_default());
    }
    for args in [
        &["symbolic-ref", "--quiet", "HEAD"][..],
        &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/notes", "refs/stash"],
        &["ls-files", "--stage"],
        &["status", "--porcelain", "--untracked-files=all"],
        &["stash", "list", "--format=%H %gs"],
    ] {
        state.insert(args.join(" "), fixture.try_git(args).stdout);
    }
    let mut settings: Vec<String> = fixture.text(&["config", "--local", "--list"]).lines().map(str::to_owned).collect();
    settings.sort();
    state.insert("settings".to_owned(), settings.join("\n").into_bytes());
    state
}

struct Case {
    tool: &'static str,
    args: Value,
    prepare: fn(&Fixture),
}

/// Makes each change, and expects the original state after undo.
fn each_is_undone(cases: Vec<Case>) {
    for Case { tool, args, prepare } in cases {
        let fixture = Fixture::new();
        prepare(&fixture);
        let before = state(&fixture);
        let mut client = fixture.serve();
        client.text(tool, &args);
        assert_ne!(state(&fixture), before, "{tool} {args} changes something");
        let said = undo(&mut client);
        assert_eq!(state(&fixture), before, "{tool} {args}: {said}");
    }
}

fn stacked(fixture: &Fixture) {
    fixture.git(&["branch", "feat/a.b"]);
    for (key, value) in [("remote", "origin"), ("merge", "refs/heads/x"), ("merge", "refs/heads/y"), ("description", "two\nlines = 1")] {
        fixture.git(&["config", "--add", &format!("branch.feat/a.b.{key}"), value]);
    }
    fixture.git(&["config", "branch.feat/a.rebase", "true"]);
}

#[test]
fn a_deleted_or_renamed_branch_is_undone_with_its_configuration() {
    each_is_undone(vec![
        Case { tool: "git_branch_delete", args: json!({"branch_name": "feat/a.b"}), prepare: stacked },
        Case { tool: "git_branch_rename", args: json!({"branch_name": "feat/a.b", "new_name": "other"}), prepare: stacked },
        Case {
            tool: "git_branch_rename",
            args: json!({"new_name": "current"}),
            prepare: |fixture| {
                stacked(fixture);
                fixture.git(&["checkout", "-q", "feat/a.b"]);
            },
        },
    ]);
    let fixture = Fixture::new();
    stacked(&fixture);
    let mut client = fixture.serve();
    client.text("git_branch_delete", &json!({"branch_name": "feat/a.b"}));
    // Later configuration stays.
    fixture.git(&["config", "branch.feat/a.b.remote", "elsewhere"]);
    let said = undo(&mut client);
    assert!(said.contains("without its reflog") && said.contains("its configuration is restored"), "{said}");
    assert_eq!(fixture.text(&["config", "--get-all", "branch.feat/a.b.remote"]), "elsewhere");
    assert_eq!(fixture.text(&["config", "--get-all", "branch.feat/a.b.merge"]), "refs/heads/x\nrefs/heads/y");
}

#[test]
fn notes_are_undone() {
    let noted = |fixture: &Fixture| drop(fixture.git(&["notes", "add", "-m", "first", "HEAD"]));
    each_is_undone(vec![
        Case { tool: "git_notes", args: json!({"action": "add", "message": "new"}), prepare: |_| {} },
        Case { tool: "git_notes", args: json!({"action": "append", "message": "more"}), prepare: noted },
        Case { tool: "git_notes", args: json!({"action": "remove"}), prepare: noted },
    ]);
}

fn stash(fixture: &Fixture) {
    fixture.write("a.txt", "staged\n").write("added.txt", "added\n").git(&["add", "."]);
    fixture.write("a.txt", "staged\nand edited\n").write("new/deep/u.txt", "untracked\n");
    fixture.git(&["stash", "-q", "--include-untracked"]);
}

fn stash_below_edits(fixture: &Fixture) {
    stash(fixture);
    fixture.write("a.txt", "another\n").git(&["stash", "-q", "-m", "a second"]);
    fixture.write("dir/b.rs", "edited beside\n").write("mine.txt", "untracked\n");
}

#[test]
fn a_stash_pop_is_undone_with_its_new_files() -> Outcome {
    each_is_undone(vec![
        Case { tool: "git_stash", args: json!({"action": "pop"}), prepare: stash },
        Case { tool: "git_stash", args: json!({"action": "apply"}), prepare: stash },
        Case { tool: "git_stash", args: json!({"action": "apply", "number": 1}), prepare: stash_below_edits },
        Case { tool: "git_stash", args: json!({"action": "pop"}), prepare: stash_below_edits },
        Case { tool: "git_stash", args: json!({"action": "drop"}), prepare: stash_below_edits },
    ]);
    // A restored entry becomes the newest, which is reported.
    for action in ["pop", "drop"] {
        let fixture = Fixture::new();
        stash_below_edits(&fixture);
        let id = fixture.text(&["rev-parse", "stash@{1}"]);
        let mut client = fixture.serve();
        client.text("git_stash", &json!({"action": action, "number": 1}));
        assert!(undo(&mut client).contains("is restored as the newest stash entry"));
        assert_eq!(fixture.text(&["rev-parse", "stash@{0}"]), id);
        assert!(!fixture.path.join("new/deep/u.txt").exists());
    }
    // An edit to a restored file stays.
    let fixture = Fixture::new();
    stash(&fixture);
    let mut client = fixture.serve();
    client.text("git_stash", &json!({"action": "pop"}));
    fixture.write("new/deep/u.txt", "edited since\n");
    assert!(client.error("git_undo", &json!({})).contains("new/deep/u.txt has been edited since"));
    assert_eq!(fs::read(fixture.path.join("new/deep/u.txt"))?, b"edited since\n");
    Ok(())
}

#[test]
fn new_files_of_a_patch_are_undone() -> Outcome {
    let new = "diff --git a/n/x.txt b/n/x.txt\nnew file mode 100644\n--- /dev/null\n+++ b/n/x.txt\n@@ -0,0 +1 @@\n+new\n";
    let edit = "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+patched\n";
    let untracked = "diff --git a/u.txt b/u.txt\n--- a/u.txt\n+++ b/u.txt\n@@ -1 +1 @@\n-mine\n+patched\n";
    let with_untracked = |fixture: &Fixture| {
        fixture.write("u.txt", "mine\n");
    };
    each_is_undone(vec![
        Case { tool: "git_apply", args: json!({"patch": new}), prepare: |_| {} },
        Case { tool: "git_apply", args: json!({"patch": format!("{edit}{new}")}), prepare: |_| {} },
        Case { tool: "git_apply", args: json!({"patch": format!("{edit}{new}"), "index": true}), prepare: |_| {} },
        Case { tool: "git_apply", args: json!({"patch": format!("{edit}{new}"), "three_way": true}), prepare: |_| {} },
        Case { tool: "git_apply", args: json!({"patch": format!("{untracked}{new}")}), prepare: with_untracked },
        Case {
            tool: "git_restore",
            args: json!({"paths": ["."], "source": "HEAD~1"}),
            prepare: |fixture| {
                fixture.git(&["rm", "-q", "-r", "dir", "a.txt"]);
                fixture.commit("without a");
                fixture.write("kept.txt", "k\n").commit("with another");
                fixture.git(&["update-ref", "refs/heads/main", "HEAD"]);
                fixture.git(&["revert", "--no-edit", "HEAD~1"]);
                fixture.git(&["rm", "-q", "-r", "dir"]);
                fixture.commit("without dir");
            },
        },
    ]);
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    client.text("git_apply", &json!({"patch": new}));
    fixture.write("n/x.txt", "edited since\n");
    assert!(client.error("git_undo", &json!({})).contains("n/x.txt has been edited since"));
    assert_eq!(fs::read(fixture.path.join("n/x.txt"))?, b"edited since\n");
    Ok(())
}

fn other_branch(fixture: &Fixture) {
    fixture.git(&["checkout", "-q", "-b", "other"]);
    fixture.write("dir/b.rs", "of the other\n").write("more/new.txt", "new\n").commit("of the other").git(&["checkout", "-q", "main"]);
    fixture.write("c.txt", "c\n").commit("own");
}

fn other_branch_beside_edits(fixture: &Fixture) {
    other_branch(fixture);
    fixture.write("a.txt", "edited\n");
}

#[test]
fn merges_and_picks_without_a_commit_are_undone() {
    each_is_undone(vec![
        Case { tool: "git_merge", args: json!({"source_branch": "other", "strategy": "squash"}), prepare: other_branch },
        Case { tool: "git_merge", args: json!({"source_branch": "other", "strategy": "squash"}), prepare: other_branch_beside_edits },
        Case { tool: "git_cherry_pick", args: json!({"commit_hash": "other", "no_commit": true}), prepare: other_branch },
        Case { tool: "git_cherry_pick", args: json!({"commit_hash": "other", "no_commit": true}), prepare: other_branch_beside_edits },
    ]);
    // git sees a revert in progress, whose own abort is named.
    let fixture = Fixture::new();
    let before = state(&fixture);
    let mut client = fixture.serve();
    client.text("git_revert", &json!({"commit_hash": "HEAD", "no_commit": true}));
    assert!(client.error("git_undo", &json!({})).contains("git_abort"));
    client.text("git_abort", &json!({}));
    assert_eq!(state(&fixture), before);
}

/// Files with line endings that git would not check out.
fn with_line_endings(fixture: &Fixture) {
    fixture.git(&["config", "core.autocrlf", "input"]);
    fixture.write("crlf.txt", "one\r\ntwo\r\n").write("mixed.txt", "one\r\ntwo\n").write("plain.txt", "one\n").commit("endings");
}

fn with_edited_line_endings(fixture: &Fixture) {
    with_line_endings(fixture);
    fixture.write("crlf.txt", "one\r\nedited\r\n").write("mixed.txt", "one\r\nedited\n");
}

#[test]
fn line_endings_are_undone_byte_for_byte() {
    let files = json!(["crlf.txt", "mixed.txt", "plain.txt"]);
    each_is_undone(vec![
        Case { tool: "git_rm", args: json!({"files": files}), prepare: with_line_endings },
        Case { tool: "git_rm", args: json!({"files": files, "force": true}), prepare: with_edited_line_endings },
        Case { tool: "git_restore", args: json!({"paths": ["crlf.txt", "mixed.txt"]}), prepare: with_edited_line_endings },
        Case { tool: "git_reset", args: json!({"mode": "hard", "confirm": true}), prepare: with_edited_line_endings },
        Case {
            tool: "git_rm",
            args: json!({"files": ["attr.txt"]}),
            prepare: |fixture| {
                fixture.write(".gitattributes", "*.txt text=auto eol=lf\n").write("attr.txt", "a\r\nb\r\n").commit("attributes");
            },
        },
    ]);
}

fn hook(fixture: &Fixture, name: &str, script: &str) -> Outcome {
    fixture.write(&format!(".git/hooks/{name}"), format!("#!/bin/sh\n{script}\n"));
    Ok(fs::set_permissions(fixture.path.join(".git/hooks").join(name), fs::Permissions::from_mode(0o755))?)
}

#[test]
fn references_that_a_hook_moves_are_named_and_left_alone() -> Outcome {
    for (name, tool, args) in [
        ("post-commit", "git_commit", json!({"message": "m", "paths": ["a.txt"]})),
        ("post-merge", "git_merge", json!({"source_branch": "other"})),
    ] {
        let fixture = Fixture::new();
        other_branch(&fixture);
        fixture.git(&["branch", "moves", "HEAD~1"]);
        fixture.git(&["branch", "goes", "HEAD~1"]);
        fixture.write("a.txt", "edited\n");
        hook(&fixture, name, "git tag of-hook; git branch -qf moves HEAD; git branch -qD goes")?;
        let mut client = fixture.serve();
        let said = client.text(tool, &args);
        let line = said.lines().find(|line| line.contains("moved meanwhile")).ok_or(said.clone())?;
        for part in ["refs/tags/of-hook created at", "refs/heads/moves from", "refs/heads/goes deleted, was at", "not undone by git_undo"] {
            assert!(line.contains(part), "{name}: {line}");
        }
        let preview = client.text("git_undo", &json!({}));
        assert!(preview.contains("not restored, as they moved independently: "), "{preview}");
        undo(&mut client);
        fixture.git(&["rev-parse", "--verify", "refs/tags/of-hook"]);
        assert!(!fixture.try_git(&["rev-parse", "--verify", "refs/heads/goes"]).status.success());
    }
    Ok(())
}

#[test]
fn references_that_a_hook_creates_during_a_checkout_are_named_and_undone() -> Outcome {
    let fixture = Fixture::new();
    fixture.git(&["branch", "goes", "HEAD~1"]);
    hook(&fixture, "post-checkout", "git tag of-hook; git branch -qD goes; exit 0")?;
    let before = state(&fixture);
    let mut client = fixture.serve();
    let said = client.text("git_checkout", &json!({"branch_name": "new", "create": true}));
    let line = said.lines().find(|line| line.contains("also moved: ")).ok_or(said.clone())?;
    assert!(line.contains("refs/tags/of-hook created at") && line.contains("refs/heads/goes deleted"), "{line}");
    assert!(!line.contains("refs/heads/new"), "{line}");
    undo(&mut client);
    assert_eq!(state(&fixture), before);
    Ok(())
}

#[test]
fn notes_copied_to_rewritten_commits_are_named_and_undone() {
    let fixture = Fixture::new();
    fixture.git(&["notes", "add", "-m", "on second", "HEAD"]);
    fixture.git(&["config", "notes.rewriteRef", "refs/notes/*"]);
    let before = state(&fixture);
    let mut client = fixture.serve();
    let said = client.text("git_commit", &json!({"message": "amended", "amend": true}));
    assert!(said.contains("also moved: refs/notes/commits from"), "{said}");
    assert_eq!(fixture.text(&["notes", "show", "HEAD"]), "on second");
    undo(&mut client);
    assert_eq!(state(&fixture), before);
}

/// Two stacked branches on a commit, and a `main` that moved on.
fn stack(fixture: &Fixture) {
    fixture.git(&["checkout", "-q", "-b", "low"]);
    fixture.write("low.txt", "low\n").commit("low").git(&["checkout", "-q", "-b", "high"]);
    fixture.write("a.txt", "high\n").commit("high").git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "main\n").commit("main").git(&["checkout", "-q", "high"]);
}

#[test]
fn branches_that_a_rebase_updates_are_named() {
    let fixture = Fixture::new();
    stack(&fixture);
    let low = fixture.text(&["rev-parse", "low"]);
    assert!(!fixture.try_git(&["rebase", "--update-refs", "main"]).status.success());
    fixture.write("a.txt", "resolved\n").git(&["add", "a.txt"]);
    let mut client = fixture.serve();
    let said = client.text("git_continue", &json!({}));
    let moved = fixture.text(&["rev-parse", "low"]);
    assert_ne!(moved, low);
    assert!(said.contains(&format!("also moved: refs/heads/low from {} to {}", &low[..12], &moved[..12])), "{said}");
    // git_rebase leaves these branches in place, whatever is configured, and reports it.
    let fixture = Fixture::new();
    stack(&fixture);
    fixture.git(&["config", "rebase.updateRefs", "true"]);
    shell(&fixture.path, "git reset -q --hard HEAD~1 && git commit -q --allow-empty -m high");
    let low = fixture.text(&["rev-parse", "low"]);
    let said = fixture.serve().text("git_rebase", &json!({"target_branch": "main"}));
    assert_eq!(fixture.text(&["rev-parse", "low"]), low);
    assert!(said.contains("not moved, although rebase.updateRefs is set: low"), "{said}");
}

/// A client with one root.
fn with_root(fixture: &Fixture, root: &Path) -> Client {
    let served = fixture.path.parent().unwrap_or(&fixture.path).display().to_string();
    let mut client = Client::start(&["-r", &served, "--sandbox", "off"], &[]);
    let capabilities = json!({"roots": {"listChanged": true}});
    let params = json!({"protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}});
    client.request("initialize", &params);
    client.send_json(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    let asked = client.receive();
    assert_eq!(asked["method"], "roots/list", "{asked}");
    let roots = json!([{"uri": format!("file://{}", root.display())}]);
    client.send_json(&json!({"jsonrpc": "2.0", "id": asked["id"], "result": {"roots": roots}}));
    client
}

#[test]
fn worktrees_stay_inside_the_clients_roots() {
    let fixture = Fixture::new();
    let mut client = with_root(&fixture, &fixture.path);
    let top = fixture.path.display().to_string();
    let add = |path: &str| json!({"repo_path": top, "action": "add", "path": path, "branch": "made"});
    fixture.git(&["worktree", "add", "-q", "--detach", "../there"]);
    let outside = fixture.path.with_file_name("linked");
    for path in [outside.display().to_string(), "../linked".to_owned()] {
        let refused = client.error("git_worktree", &add(&path));
        assert!(refused.contains("outside"), "{refused}");
    }
    for action in ["remove", "lock", "unlock"] {
        let refused = client.error("git_worktree", &json!({"repo_path": top, "action": action, "path": "../there"}));
        assert!(refused.contains("outside the client's own roots"), "{action}: {refused}");
    }
    assert!(!outside.exists() && fixture.path.with_file_name("there").exists());
    assert!(!fixture.try_git(&["rev-parse", "--verify", "refs/heads/made"]).status.success());
    client.text("git_worktree", &add("inside"));
    assert!(fixture.path.join("inside/a.txt").exists());
}
