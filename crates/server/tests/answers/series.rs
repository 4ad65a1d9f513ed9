//! Why a multi-step operation cannot continue, and how that is reported.

use crate::support::{Client, Fixture, call_in, hooks::hook, shell, undo};
use serde_json::json;
use std::fs;

/// `main`, and a branch `side` with three commits; the second changes `e`.
fn three_steps() -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("f", "1\n").write("e", "1\n").commit("base");
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("g", "1\n").commit("s1").write("e", "2\n").commit("s2").write("h", "1\n").commit("s3");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("m", "1\n").commit("m1");
    fixture
}

fn subjects(fixture: &Fixture) -> Vec<String> {
    fixture.text(&["log", "--format=%s"]).lines().map(str::to_owned).collect()
}

#[test]
fn a_step_that_could_not_start_is_not_reported_as_done() {
    for (tool, range) in [("git_cherry_pick", "main..side"), ("git_revert", "side~3..side")] {
        let fixture = three_steps();
        if tool == "git_revert" {
            fixture.git(&["checkout", "-q", "side"]);
        }
        let begun = subjects(&fixture);
        fixture.write("e", "mine\n");
        let mut client = fixture.serve();
        let error = client.error(tool, &json!({"commit_hash": range}));
        assert!(error.contains("has stopped before `") && error.contains("s2`: uncommitted changes would be overwritten: e"), "{error}");
        assert!(error.contains("git_abort restores the state"), "{error}");
        let status = client.text("git_status", &json!({}));
        assert!(status.contains("before a commit that was not applied") && !status.contains("changes nothing"), "{status}");
        // git itself would skip the step here.
        let refused = client.error("git_continue", &json!({}));
        assert!(refused.contains("s2`: it was not applied"), "{refused}");
        client.text("git_abort", &json!({}));
        assert_eq!(subjects(&fixture), begun);
        client.text("git_stash", &json!({"action": "push"}));
        client.text(tool, &json!({"commit_hash": range}));
        assert_eq!(subjects(&fixture).len(), begun.len() + 3, "{tool}");
    }
}

#[test]
fn a_step_that_could_not_start_can_be_skipped() {
    let fixture = three_steps();
    fixture.write("e", "mine\n");
    let mut client = fixture.serve();
    client.error("git_cherry_pick", &json!({"commit_hash": "main..side"}));
    client.text("git_continue", &json!({"skip": true}));
    assert_eq!(subjects(&fixture), ["s3", "s1", "m1", "base"]);
}

#[test]
fn a_rebase_blocked_by_an_untracked_file_continues_without_it() {
    let fixture = Fixture::empty();
    fixture.write("f", "1\n").commit("base").git(&["checkout", "-q", "-b", "side"]);
    fixture.write("g", "1\n").commit("s1").write("o", "theirs\n").commit("s2").git(&["rm", "-q", "o"]);
    fixture.git(&["commit", "-q", "-m", "s3"]);
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("m", "1\n").commit("m1").git(&["checkout", "-q", "side"]);
    fixture.write("o", "mine\n");
    let mut client = fixture.serve();
    let error = client.error("git_rebase", &json!({"target_branch": "main"}));
    assert!(error.contains("s2`: untracked files would be overwritten: o") && error.contains("Then git_continue"), "{error}");
    let again = client.error("git_continue", &json!({}));
    assert!(again.contains("would be overwritten: o"), "{again}");
    fs::rename(fixture.path.join("o"), fixture.home.path().join("o")).expect("a file");
    client.text("git_continue", &json!({}));
    assert_eq!(subjects(&fixture), ["s3", "s2", "s1", "m1", "base"]);
}

#[test]
fn a_command_of_a_rebase_that_fails_is_named() {
    let fixture = three_steps();
    fixture.git(&["checkout", "-q", "side"]);
    assert!(!fixture.try_git(&["rebase", "-q", "-x", "test -e ok", "main"]).status.success());
    let mut client = fixture.serve();
    let error = client.error("git_continue", &json!({}));
    assert!(error.contains("the command of a step failed: test -e ok") && error.contains("Then git_continue"), "{error}");
    assert!(!error.contains("changes nothing"), "{error}");
    fixture.write("ok", "");
    client.text("git_continue", &json!({}));
    assert_eq!(subjects(&fixture), ["s3", "s2", "s1", "m1", "base"]);
}

#[test]
fn unstaged_edits_that_stop_a_rebase_are_named() {
    let fixture = Fixture::empty();
    fixture.write("f", "1\n").write("o", "o\n").commit("base").git(&["checkout", "-q", "-b", "side"]);
    fixture.write("f", "side\n").commit("side").git(&["checkout", "-q", "main"]);
    fixture.write("f", "main\n").commit("m1").write("o", "o2\n").commit("m2");
    let mut client = fixture.serve();
    client.error("git_rebase", &json!({"target_branch": "side"}));
    fixture.write("f", "both\n").write("o", "o\nedit\n");
    client.text("git_add", &json!({"files": ["f"]}));
    let error = client.error("git_continue", &json!({}));
    assert!(error.contains("cannot continue with unstaged changes: o"), "{error}");
    let (_, call) = error.split_once("git_stash ").expect("a call");
    let (tool, args) = call_in(&format!("git_stash {}", call.split_once('}').map(|(args, _)| format!("{args}}}")).expect("arguments")));
    client.text(&tool, &args);
    client.text("git_continue", &json!({}));
    assert_eq!(subjects(&fixture), ["m2", "m1", "side", "base"]);
    assert_eq!(fixture.text(&["stash", "list"]).lines().count(), 1);
}

/// A series of picks stopped at a conflict that was resolved and committed by hand.
fn committed_by_hand() -> (Fixture, Client) {
    let fixture = three_steps();
    fixture.write("e", "other\n").commit("m2");
    let mut client = fixture.serve();
    client.error("git_cherry_pick", &json!({"commit_hash": "main..side"}));
    fixture.write("e", "resolved\n");
    client.text("git_add", &json!({"files": ["e"]}));
    client.text("git_commit", &json!({"message": "by hand"}));
    (fixture, client)
}

#[test]
fn a_step_committed_by_hand_continues() {
    let (fixture, mut client) = committed_by_hand();
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("git_continue continues it") && !status.contains("changes nothing"), "{status}");
    client.text("git_continue", &json!({}));
    assert_eq!(subjects(&fixture), ["s3", "by hand", "s1", "m2", "m1", "base"]);
}

#[test]
fn an_abort_that_keeps_head_reports_it() {
    let (fixture, mut client) = committed_by_hand();
    let text = client.text("git_abort", &json!({}));
    assert!(text.contains("the cherry-pick has ended; HEAD stays at ") && !text.contains("is aborted"), "{text}");
    assert_eq!(subjects(&fixture)[0], "by hand");
}

#[test]
fn a_patch_that_does_not_apply_is_reported() {
    let fixture = three_steps();
    fixture.write("e", "other\n").commit("m2");
    shell(&fixture.path, "git format-patch -q -o ../patches side~2..side~1; git am -q ../patches/* 2> /dev/null || true");
    let mut client = fixture.serve();
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("a series of patches (1 of 1) is in progress, and its patch is not applied: git_add its changes"), "{status}");
    let error = client.error("git_continue", &json!({}));
    assert!(error.contains("No changes") && !error.contains("no reason"), "{error}");
    fixture.write("e", "2\n");
    client.text("git_add", &json!({"files": ["e"]}));
    client.text("git_continue", &json!({}));
    assert_eq!(subjects(&fixture), ["s2", "m2", "m1", "base"]);
}

#[test]
fn a_bisect_from_a_deleted_branch_is_ended_by_the_named_calls() {
    let fixture = three_steps();
    fixture.git(&["checkout", "-q", "side"]);
    let mut client = fixture.serve();
    client.text("git_bisect", &json!({"action": "start", "bad": "side", "good": ["side~3"]}));
    fixture.git(&["update-ref", "-d", "refs/heads/side"]);
    let error = client.error("git_abort", &json!({}));
    assert!(error.contains("the bisect started on `side`, which no longer exists"), "{error}");
    let (_, args) = error.split_once("git_create_branch ").expect("a call");
    let (args, _) = args.split_once('}').expect("arguments");
    let (tool, args) = call_in(&format!("git_create_branch {args}}}"));
    client.text(&tool, &args);
    client.text("git_abort", &json!({}));
    assert_eq!(fixture.text(&["branch", "--show-current"]), "side");
}

#[test]
fn a_pick_without_a_commit_works_during_a_bisect() {
    let fixture = three_steps();
    fixture.git(&["checkout", "-q", "side"]);
    let mut client = fixture.serve();
    client.text("git_bisect", &json!({"action": "start", "bad": "side", "good": ["side~3"]}));
    client.text("git_cherry_pick", &json!({"commit_hash": "main", "no_commit": true}));
    assert!(fixture.path.join("m").exists());
    assert!(client.error("git_cherry_pick", &json!({"commit_hash": "main"})).contains("a bisect is in progress"));
    client.text("git_reset", &json!({"paths": ["m"]}));
    assert!(client.text("git_bisect", &json!({})).contains("bisect"));
}

#[test]
fn an_autostash_that_conflicts_is_reported_when_a_rebase_ends() {
    let fixture = Fixture::empty();
    fixture.write("f", "1\n").write("e", "1\n").commit("base").git(&["checkout", "-q", "-b", "side"]);
    fixture.write("e", "side\n").write("f", "side\n").commit("side").git(&["checkout", "-q", "main"]);
    fixture.write("e", "main\n").commit("m1").write("f", "edit\n");
    assert!(!fixture.try_git(&["rebase", "-q", "--autostash", "side"]).status.success());
    fixture.write("e", "both\n");
    let mut client = fixture.serve();
    client.text("git_add", &json!({"files": ["e"]}));
    let error = client.error("git_continue", &json!({}));
    assert!(error.contains("the rebase is finished; its autostash has left conflicts in f; the entry is kept"), "{error}");
    assert_eq!(subjects(&fixture), ["m1", "side", "base"]);
}

#[test]
fn leftovers_of_an_interrupted_rebase_are_removed() {
    let fixture = three_steps();
    fixture.write("e", "edit\n");
    let stash = fixture.text(&["stash", "create"]);
    fs::create_dir(fixture.path.join(".git/rebase-merge")).expect("a folder");
    fs::write(fixture.path.join(".git/rebase-merge/autostash"), format!("{stash}\n")).expect("a file");
    fixture.git(&["checkout", "-q", "--", "e"]);
    let mut client = fixture.serve();
    assert!(client.text("git_status", &json!({})).contains("a rebase is in progress"));
    client.text("git_abort", &json!({}));
    assert!(!client.text("git_status", &json!({})).contains("in progress"));
    // git keeps or restores it.
    let kept = fixture.text(&["stash", "list"]).lines().count() == 1;
    assert!(kept || fs::read_to_string(fixture.path.join("e")).is_ok_and(|text| text == "edit\n"));
}

#[test]
fn a_hook_that_commits_is_reported() {
    let fixture = Fixture::new();
    hook(&fixture, "pre-commit", "test -n \"$INNER\" && exit 0; echo v > VERSION; git add VERSION; INNER=1 git commit -q -m bump");
    fixture.write("a.txt", "mine\n");
    let mut client = fixture.serve();
    client.text("git_add", &json!({"files": ["."]}));
    let error = client.error("git_commit", &json!({"message": "m"}));
    assert!(error.contains("HEAD moved from ") && !error.contains("nothing is staged"), "{error}");
    assert_eq!(subjects(&fixture)[0], "bump");
}

#[test]
fn a_failing_post_checkout_hook_leaves_nothing_half_done() {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "1\n").commit("base").git(&["checkout", "-q", "-b", "side"]);
    fixture.write("a.txt", "side\n").commit("side").git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "main\n").commit("main");
    hook(&fixture, "post-checkout", "echo PC-FAILED >&2; exit 1");
    let mut client = fixture.serve();
    // Restoring files.
    fixture.write("a.txt", "edited\n");
    let text = client.text("git_restore", &json!({"paths": ["a.txt"]}));
    assert!(text.contains("restored") && text.contains("post-checkout"), "{text}");
    // Taking a side.
    client.error("git_merge", &json!({"source_branch": "side"}));
    client.text("git_conflicts", &json!({"paths": ["a.txt"], "take": "theirs"}));
    assert!(fixture.text(&["ls-files", "--unmerged"]).is_empty());
    client.text("git_continue", &json!({}));
    // Undoing a checkout.
    client.text("git_checkout", &json!({"branch_name": "side"}));
    let undone = undo(&mut client);
    assert!(undone.contains("checked out main") && undone.contains("PC-FAILED"), "{undone}");
    assert_eq!(fixture.text(&["branch", "--show-current"]), "main");
}

/// A stash in conflict in `a.txt`, and an edit of `b.txt`.
fn stash_in_conflict() -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "1\n").write("b.txt", "1\n").commit("base").write("a.txt", "stashed\n").git(&["stash", "-q"]);
    fixture.write("a.txt", "main\n").commit("main");
    assert!(!fixture.try_git(&["stash", "pop", "-q"]).status.success());
    fixture.write("b.txt", "edited\n");
    fixture
}

#[test]
fn files_are_restored_reset_and_undone_during_conflicts() {
    let state = |fixture: &Fixture| {
        let files = ["a.txt", "b.txt"].map(|name| fs::read_to_string(fixture.path.join(name)).unwrap_or_default());
        (files, fixture.text(&["ls-files", "--stage"]))
    };
    for (tool, args) in [
        ("git_restore", json!({"paths": ["b.txt"]})),
        ("git_reset", json!({"mode": "hard", "confirm": true})),
        ("git_reset", json!({"mode": "hard", "target": "HEAD~1", "confirm": true})),
        ("git_rm", json!({"files": ["b.txt"], "force": true, "confirm": true})),
    ] {
        let fixture = stash_in_conflict();
        let before = state(&fixture);
        let mut client = fixture.serve();
        client.text(tool, &args);
        assert_ne!(state(&fixture), before, "{tool}");
        undo(&mut client);
        assert_eq!(state(&fixture), before, "{tool} {args}");
    }
    // Operations that cannot start during conflicts report it, and cause no conflict themselves.
    for (tool, args) in [
        ("git_restore", json!({"paths": ["."]})),
        ("git_stash", json!({})),
        ("git_stash", json!({"action": "pop"})),
        ("git_merge", json!({"source_branch": "HEAD~1"})),
        ("git_cherry_pick", json!({"commit_hash": "HEAD~1"})),
        ("git_revert", json!({"commit_hash": "HEAD"})),
        ("git_rebase", json!({"target_branch": "HEAD~1"})),
        ("git_checkout", json!({"branch_name": "HEAD~1"})),
        ("git_mv", json!({"source": "a.txt", "destination": "c.txt"})),
    ] {
        let fixture = stash_in_conflict();
        let before = state(&fixture);
        let error = fixture.serve().error(tool, &args);
        assert!(error.contains("unresolved conflicts in a.txt"), "{tool}: {error}");
        assert_eq!(state(&fixture), before, "{tool}");
    }
}

#[test]
fn before_the_first_commit_files_are_restored_and_unstaged() {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "staged\n").git(&["add", "a.txt"]);
    fixture.write("a.txt", "edited\n");
    let mut client = fixture.serve();
    client.text("git_restore", &json!({"paths": ["a.txt"]}));
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "staged\n");
    undo(&mut client);
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "edited\n");
    client.text("git_restore", &json!({"paths": ["a.txt"], "staged": true}));
    assert!(fixture.text(&["ls-files"]).is_empty());
}

#[test]
fn an_edit_as_old_as_the_index_is_restored() {
    let fixture = Fixture::empty();
    fixture.git(&["config", "core.trustctime", "false"]);
    let file = fixture.path.join("a.txt");
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let at_that_moment = |path: &std::path::Path| {
        fs::File::options().write(true).open(path).and_then(|file| file.set_modified(moment)).expect("a file's time");
    };
    fixture.write("a.txt", "staged\n");
    at_that_moment(&file);
    fixture.git(&["add", "a.txt"]);
    // Size and time are those of the staged file: only the time of the index makes git compare the content.
    fixture.write("a.txt", "edited\n");
    at_that_moment(&file);
    at_that_moment(&fixture.path.join(".git/index"));
    let mut client = fixture.serve();
    client.text("git_restore", &json!({"paths": ["a.txt"]}));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "staged\n");
    undo(&mut client);
    assert_eq!(fs::read_to_string(&file).expect("a file"), "edited\n");
}
