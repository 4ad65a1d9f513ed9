//! Complete workflows through the server alone. Each ends as the same work with git by hand, and with a clean fsck.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::fs;
use support::{Fixture, Outcome, undo};

/// Two branches that conflict in `a.txt` and each add a file.
fn conflicting() -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
    fixture.write("a.txt", "one\nside\n").commit("side: a");
    fixture.write("side.txt", "s\n").commit("side: new");
    fixture.git(&["checkout", "-q", "main"]);
    fixture
}

/// A copy of the repository, for git by hand.
fn twin(fixture: &Fixture) -> Fixture {
    let twin = Fixture::empty();
    support::shell(&twin.path, &format!("rm -rf .git && cp -a '{0}/.' .", fixture.path.display()));
    twin
}

fn subjects(fixture: &Fixture) -> Vec<String> {
    String::from_utf8_lossy(&fixture.git(&["log", "--format=%s"])).lines().map(str::to_owned).collect()
}

/// Checks that files, messages and the shape of the history are equal.
#[track_caller]
fn same(ours: &Fixture, by_hand: &Fixture) {
    for args in
        [&["log", "--format=%T %s", "--graph"][..], &["status", "--porcelain"], &["for-each-ref", "--format=%(refname)", "refs/heads"]]
    {
        assert_eq!(String::from_utf8_lossy(&ours.git(args)), String::from_utf8_lossy(&by_hand.git(args)), "{args:?}");
    }
    assert!(ours.try_git(&["fsck", "--strict"]).status.success());
}

#[test]
fn a_merge_with_a_conflict_is_resolved_by_a_side_and_undone() {
    let fixture = conflicting();
    let hand = twin(&fixture);
    let before = fixture.git(&["rev-parse", "HEAD"]);
    let mut client = fixture.serve();
    let stopped = client.error("git_merge", &json!({"source_branch": "side"}));
    assert!(stopped.contains("merge has stopped at conflicts in a.txt") && stopped.contains("git_conflicts"), "{stopped}");
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("a merge is in progress, and 1 path is in conflict"), "{status}");
    let again = client.error("git_merge", &json!({"source_branch": "side"}));
    assert!(again.contains("a merge is in progress") && again.contains("git_abort"), "{again}");
    let conflicts = client.text("git_conflicts", &json!({}));
    for expect in ["a.txt", "2: <<<<<<<", "3: two", "5: side", "ours is `:2:a.txt`"] {
        assert!(conflicts.contains(expect), "{expect}: {conflicts}");
    }
    let early = client.error("git_continue", &json!({}));
    assert!(early.contains("unresolved conflicts in a.txt"), "{early}");
    fixture.write("a.txt", "by hand\n");
    let taken = client.text("git_conflicts", &json!({"take": "theirs", "paths": ["a.txt"]}));
    let (tool, args) = support::call_in(taken.lines().find_map(|line| line.split_once("previous content of a.txt: ")).expect("a call").1);
    assert_eq!(client.text(&tool, &args), "by hand\n");
    assert!(taken.contains("nothing is in conflict") && taken.contains("git_continue"), "{taken}");
    let done = client.text("git_continue", &json!({"operation": "merge"}));
    assert!(done.contains("HEAD moved from"), "{done}");
    assert!(!hand.try_git(&["merge", "--no-edit", "side"]).status.success());
    hand.git(&["checkout", "--theirs", "a.txt"]);
    hand.git(&["add", "a.txt"]);
    hand.git(&["-c", "core.editor=true", "merge", "--continue"]);
    same(&fixture, &hand);
    // A merge is one change, and undone as one, with or without a conflict.
    undo(&mut client);
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before);
    client.text("git_merge", &json!({"source_branch": "side", "strategy_option": "ours", "message": "a merge"}));
    assert_eq!(subjects(&fixture)[0], "a merge");
    undo(&mut client);
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before);
    assert!(fixture.git(&["status", "--porcelain"]).is_empty());
    client.error("git_merge", &json!({"source_branch": "side", "strategy": "ff-only"}));
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before, "nothing was merged");
}

#[test]
fn a_rebase_with_a_conflict_is_continued_skipped_and_aborted() {
    let fixture = conflicting();
    fixture.git(&["checkout", "-q", "side"]);
    let (hand, before) = (twin(&fixture), fixture.git(&["rev-parse", "HEAD"]));
    let mut client = fixture.serve();
    let stopped = client.error("git_rebase", &json!({"target_branch": "main"}));
    assert!(stopped.contains("rebase (1 of 2) has stopped at conflicts in a.txt"), "{stopped}");
    fixture.write("dir/b.rs", "unrelated\n");
    for (tool, args) in [("git_abort", json!({})), ("git_continue", json!({"skip": true}))] {
        let refused = client.error(tool, &args);
        assert!(refused.contains("edits would be lost in dir/b.rs"), "{refused}");
    }
    fixture.git(&["checkout", "-q", "dir/b.rs"]);
    let wrong = client.error("git_abort", &json!({"operation": "merge"}));
    assert!(wrong.contains("in progress is `rebase`"), "{wrong}");
    let back = client.text("git_abort", &json!({"operation": "rebase"}));
    assert!(back.contains("the rebase is aborted") && back.contains("on branch side"), "{back}");
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before);
    let nothing = client.error("git_continue", &json!({}));
    assert!(nothing.contains("no merge, rebase"), "{nothing}");
    client.error("git_rebase", &json!({"target_branch": "main"}));
    fixture.write("a.txt", "one\ntwo\nside\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    let done = client.text("git_continue", &json!({}));
    assert!(done.contains("on branch side"), "{done}");
    assert!(!hand.try_git(&["rebase", "main"]).status.success());
    hand.write("a.txt", "one\ntwo\nside\n").git(&["add", "a.txt"]);
    hand.git(&["-c", "core.editor=true", "rebase", "--continue"]);
    same(&fixture, &hand);
    // An interrupted one: its server is gone, and the next one reports it and continues.
    fixture.git(&["reset", "-q", "--hard", "ORIG_HEAD"]);
    fixture.serve().error("git_rebase", &json!({"target_branch": "main"}));
    let mut client = fixture.serve();
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("a rebase (1 of 2) is in progress"), "{status}");
    client.text("git_continue", &json!({"skip": true}));
    assert_eq!(subjects(&fixture), ["side: new", "second", "first"]);
}

#[test]
fn a_plan_squashes_rewords_reorders_and_drops() -> Outcome {
    let fixture = Fixture::new();
    for n in 1..=6 {
        fixture.write(&format!("f{n}.txt"), format!("{n}\n")).commit(&format!("c{n}"));
    }
    let hand = twin(&fixture);
    let mut client = fixture.serve();
    let plan = [
        "pick HEAD~5",
        "fixup HEAD~4",
        "reword HEAD~2 four, and better\n\nwith a # body",
        "pick HEAD~3",
        "drop HEAD~1",
        "squash HEAD both of them",
    ];
    client.text("git_rebase", &json!({"target_branch": "HEAD~6", "plan": plan}));
    let todo = "pick HEAD~5\nfixup HEAD~4\npick HEAD~2\nexec git commit -q --amend -m 'four, and better' -m 'with a # body'\npick HEAD~3\ndrop HEAD~1\n\
        fixup HEAD\nexec git commit -q --amend -m 'both of them'\n";
    let todo = String::from_utf8(support::shell(
        &hand.path,
        &format!(
            "printf '%s' \"{todo}\" | while read -r a b c; do case $a in exec) echo \"$a $b $c\";; *) echo \"$a $(git rev-parse $b)\";; esac; done"
        ),
    ))?;
    hand.write("../todo", todo);
    hand.git(&["-c", "sequence.editor=cp ../todo", "-c", "core.editor=true", "rebase", "-i", "HEAD~6"]);
    same(&fixture, &hand);
    assert_eq!(subjects(&fixture), ["both of them", "four, and better", "c1", "second", "first"]);
    assert!(String::from_utf8(fixture.git(&["log", "-1", "--format=%b", "HEAD~1"]))?.contains("with a # body"));
    undo(&mut client);
    assert_eq!(subjects(&fixture), ["c6", "c5", "c4", "c3", "c2", "c1", "second", "first"]);
    for (plan, why) in [
        (&["pick HEAD"][..], "in none of the 1 steps"),
        (&["fixup HEAD~1", "pick HEAD"], "no commit before"),
        (&["drop HEAD", "drop HEAD~1"], "every commit would be dropped"),
        (&["pick HEAD", "pick HEAD"], "named twice"),
        (&["pick HEAD~1", "pick HEAD~5"], "not among the commits"),
        (&["pick HEAD~1", "reword HEAD"], "needs a message"),
        (&["exec touch x", "pick HEAD"], "is not a step"),
    ] {
        let refused = client.error("git_rebase", &json!({"target_branch": "HEAD~2", "plan": plan}));
        assert!(refused.contains(why), "{plan:?}: {refused}");
    }
    assert!(fixture.git(&["status", "--porcelain"]).is_empty());
    Ok(())
}

#[test]
fn a_range_is_picked_and_a_merge_reverted() {
    let fixture = conflicting();
    fixture.git(&["checkout", "-q", "side"]);
    for n in 1..=3 {
        fixture.write(&format!("s{n}.txt"), "s\n").commit(&format!("s{n}"));
    }
    fixture.git(&["checkout", "-q", "main"]);
    let hand = twin(&fixture);
    let mut client = fixture.serve();
    client.text("git_cherry_pick", &json!({"commit_hash": "side~3..side"}));
    hand.git(&["cherry-pick", "side~3..side"]);
    same(&fixture, &hand);
    let stopped = client.error("git_cherry_pick", &json!({"commit_hash": "side~4"}));
    assert!(stopped.contains("cherry-pick has stopped at conflicts in a.txt"), "{stopped}");
    assert!(client.error("git_undo", &json!({})).contains("still in progress"));
    client.text("git_abort", &json!({}));
    same(&fixture, &hand);
    for repo in [&fixture, &hand] {
        repo.git(&["merge", "-q", "-X", "theirs", "--no-edit", "side"]);
    }
    client.text("git_revert", &json!({"commit_hash": "HEAD", "mainline": 1}));
    hand.git(&["revert", "--no-edit", "-m", "1", "HEAD"]);
    same(&fixture, &hand);
    let refused = client.error("git_revert", &json!({"commit_hash": "HEAD~1"}));
    assert!(refused.contains("mainline") || refused.contains("-m option"), "{refused}");
    let series = client.error("git_cherry_pick", &json!({"commit_hash": "HEAD~3..HEAD"}));
    assert!(series.contains("is a merge"), "{series}");
    let nothing = client.error("git_revert", &json!({"commit_hash": "HEAD HEAD~1", "mainline": 9}));
    assert!(nothing.contains("does not have parent 9"), "{nothing}");
    assert!(fixture.git(&["status", "--porcelain"]).is_empty());
}

#[test]
fn a_deletion_against_an_edit_is_resolved_both_ways() {
    for (side, there) in [("ours", false), ("theirs", true)] {
        let fixture = Fixture::new();
        fixture.git(&["checkout", "-q", "-b", "side"]);
        fixture.write("a.txt", "edited\n").commit("edit");
        fixture.git(&["checkout", "-q", "main"]);
        fixture.git(&["rm", "-q", "a.txt"]);
        fixture.git(&["commit", "-qm", "delete"]);
        let mut client = fixture.serve();
        client.error("git_merge", &json!({"source_branch": "side"}));
        let shown = client.text("git_conflicts", &json!({}));
        assert!(shown.contains("not in ours"), "{shown}");
        client.text("git_conflicts", &json!({"take": side, "paths": ["."]}));
        client.text("git_continue", &json!({}));
        assert_eq!(fixture.path.join("a.txt").exists(), there);
        assert!(fixture.git(&["status", "--porcelain"]).is_empty());
        let none = client.error("git_conflicts", &json!({"take": side, "paths": ["dir"]}));
        assert!(none.contains("not in conflict"), "{none}");
    }
}

#[test]
fn stashes_are_listed_applied_dropped_and_turned_into_a_branch() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    for n in 1..=3 {
        fixture.write("a.txt", format!("one\n{n}\n"));
        client.text("git_stash", &json!({"message": format!("work {n}")}));
    }
    let list = client.text("git_stash", &json!({"action": "list"}));
    assert_eq!(list, "stash@{0} On main: work 3\nstash@{1} On main: work 2\nstash@{2} On main: work 1\n");
    let shown = client.text("git_diff", &json!({"base": "stash@{1}^1", "target": "stash@{1}"}));
    assert!(shown.contains("+2"), "{shown}");
    client.text("git_stash", &json!({"action": "apply", "number": 1}));
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "one\n2\n");
    let in_the_way = client.error("git_stash", &json!({"action": "pop"}));
    assert!(in_the_way.contains("a.txt"), "{in_the_way}");
    client.text("git_restore", &json!({"paths": ["a.txt"]}));
    client.text("git_stash", &json!({"action": "drop"}));
    undo(&mut client);
    assert!(client.text("git_stash", &json!({"action": "list"})).starts_with("stash@{0} On main: work 3"));
    client.text("git_stash", &json!({"action": "branch", "branch_name": "taken-up"}));
    assert_eq!(fixture.git(&["branch", "--show-current"]), b"taken-up\n");
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "one\n3\n");
    let none = client.error("git_stash", &json!({"action": "pop", "number": 9}));
    assert!(none.contains("unknown revision `stash@{9}`"), "{none}");
    Ok(())
}

#[test]
fn a_conflicting_squash_can_be_aborted() {
    let fixture = conflicting();
    let mut client = fixture.serve();
    client.error("git_merge", &json!({"source_branch": "side", "strategy": "squash"}));
    let refused = client.error("git_continue", &json!({}));
    assert!(refused.contains("unresolved") || refused.contains("resolve the conflicts"), "{refused}");
    client.text("git_abort", &json!({}));
    assert!(fixture.git(&["status", "--porcelain"]).is_empty());
}

#[test]
fn a_series_that_git_forgot_is_still_in_progress() {
    let fixture = conflicting();
    let mut client = fixture.serve();
    client.error("git_cherry_pick", &json!({"commit_hash": "side~2..side"}));
    fixture.write("a.txt", "resolved\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    client.text("git_commit", &json!({"message": "by hand"}));
    assert!(client.text("git_status", &json!({})).contains("a cherry-pick is in progress"));
    client.text("git_continue", &json!({}));
    assert_eq!(subjects(&fixture)[0], "side: new");
}
