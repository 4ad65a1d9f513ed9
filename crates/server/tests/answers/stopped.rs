//! Stopped operations: continue, skip, and undo at the end.

use crate::support::{
    Client, Fixture, Outcome,
    remote::{OPEN, published},
    shell, undo,
};
use serde_json::{Deserializer, Value, json};
use std::fs;

/// Branches `main` and `side` that change the same line, each with one more file.
fn conflicting() -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("a.txt", "theirs\n").write("side.txt", "side\n").commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "ours\n").commit("main");
    fixture
}

/// Calls that stop at a conflict in `a.txt`, with the branch to check out for each.
fn stopping() -> [(&'static str, &'static str, Value); 4] {
    [
        ("main", "git_merge", json!({"source_branch": "side"})),
        ("main", "git_cherry_pick", json!({"commit_hash": "side"})),
        ("main", "git_revert", json!({"commit_hash": "side~1"})),
        ("side", "git_rebase", json!({"target_branch": "main"})),
    ]
}

/// The first call of `tool` that a text names, with its arguments.
fn named(text: &str, tool: &str) -> Option<Value> {
    let (_, args) = text.split_once(&format!("{tool} {{"))?;
    Deserializer::from_str(&format!("{{{args}")).into_iter().next()?.ok()
}

fn head(fixture: &Fixture) -> String {
    fixture.text(&["rev-parse", "HEAD"])
}

fn stage(client: &mut Client, fixture: &Fixture, content: &str) -> String {
    fixture.write("a.txt", content);
    client.text("git_add", &json!({"files": ["a.txt"]}))
}

/// The conflict markers that git finds, as `path:line`.
fn found_by_git(fixture: &Fixture) -> Vec<String> {
    let output = fixture.try_git(&["diff", "--cached", "--check", "HEAD"]).stdout;
    let lines = String::from_utf8_lossy(&output).into_owned();
    let found = lines.lines().filter_map(|line| line.strip_suffix(": leftover conflict marker"));
    found.map(str::to_owned).collect()
}

#[test]
fn staged_conflict_markers_are_named_and_not_committed() {
    for (branch, tool, args) in stopping() {
        let fixture = conflicting();
        fixture.git(&["checkout", "-q", branch]);
        let mut client = fixture.serve();
        client.error(tool, &args);
        let before = head(&fixture);
        // As git left it.
        let warned = client.text("git_add", &json!({"files": ["a.txt"]}));
        let found = found_by_git(&fixture).join(", ");
        assert!(found.starts_with("a.txt:1, a.txt:"), "{tool}: {found}");
        assert!(warned.contains(&format!("conflict markers are staged at {found}")), "{tool}: {warned}");
        let refused = client.error("git_continue", &json!({}));
        assert!(
            refused.contains(&format!("conflict markers are staged at {found}")) && refused.contains("`confirm`: true"),
            "{tool}: {refused}"
        );
        assert_eq!(head(&fixture), before, "{tool}");
        let refused = client.error("git_commit", &json!({"message": "resolved"}));
        assert!(refused.contains(&found), "{tool}: {refused}");
        assert!(client.text("git_status", &json!({})).contains("is in progress"), "{tool}");
        // One overlooked marker.
        let warned = stage(&mut client, &fixture, "one\n=======\ntwo\n");
        assert!(warned.contains("staged at a.txt:2:"), "{tool}: {warned}");
        assert!(client.error("git_continue", &json!({})).contains("a.txt:2"), "{tool}");
        let settled = stage(&mut client, &fixture, "resolved\n");
        assert!(!settled.contains("markers"), "{tool}: {settled}");
        client.text("git_continue", &json!({}));
        assert_ne!(head(&fixture), before, "{tool}");
        assert_eq!(fixture.text(&["status", "--porcelain"]), "", "{tool}");
    }
}

#[test]
fn intended_conflict_markers_are_committed() {
    // Markers in a conflicting version, of another size, confirmed, or in a file without conflicts.
    let heading = "Title\n=======\n>>>>>>> quoted\n";
    for (ours, resolved, attributes, confirmed) in [
        (heading, format!("{heading}resolved\n"), "", false),
        ("ours\n", "resolved\n<<<<<<< seven\n".to_owned(), "a.txt conflict-marker-size=12\n", false),
        ("ours\n", "resolved\n=======\n".to_owned(), "", true),
    ] {
        let fixture = conflicting();
        fixture.git(&["checkout", "-q", "side"]);
        fixture.write("side.txt", heading).commit("with a heading");
        fixture.git(&["checkout", "-q", "main"]);
        fixture.write("a.txt", ours).write(".gitattributes", attributes).commit("more");
        let mut client = fixture.serve();
        client.error("git_merge", &json!({"source_branch": "side"}));
        stage(&mut client, &fixture, &resolved);
        client.text("git_continue", &json!({"confirm": confirmed}));
        assert_eq!(fixture.git(&["show", "HEAD:a.txt"]), resolved.as_bytes());
        assert_eq!(fixture.text(&["rev-parse", "HEAD^2"]), fixture.text(&["rev-parse", "side"]));
    }
    let fixture = conflicting();
    fixture.write(".gitattributes", "a.txt conflict-marker-size=12\n").commit("large markers");
    let mut client = fixture.serve();
    client.error("git_merge", &json!({"source_branch": "side"}));
    let warned = client.text("git_add", &json!({"files": ["a.txt"]}));
    assert!(
        warned.contains(&found_by_git(&fixture).join(", ")) && client.error("git_continue", &json!({})).contains("a.txt:1"),
        "{warned}"
    );
}

#[test]
fn a_continued_operation_is_undone_as_one_change() {
    for (branch, tool, args) in stopping() {
        for concluded_by in ["git_continue", "git_commit"] {
            if concluded_by == "git_commit" && tool == "git_rebase" {
                continue;
            }
            let fixture = conflicting();
            fixture.git(&["checkout", "-q", branch]);
            let mut client = fixture.serve();
            let first = head(&fixture);
            fixture.write("mine.txt", "mine\n");
            client.text("git_add", &json!({"files": ["mine.txt"]}));
            client.text("git_commit", &json!({"message": "before"}));
            let before = (head(&fixture), fixture.text(&["symbolic-ref", "HEAD"]));
            client.error(tool, &args);
            stage(&mut client, &fixture, "resolved\n");
            let message = if concluded_by == "git_commit" { json!({"message": "by hand"}) } else { json!({}) };
            let done = client.text(concluded_by, &message);
            assert_ne!(head(&fixture), before.0);
            let (call, none) = (named(&done, "git_undo"), named(&done, "git_reset"));
            assert!(call.is_some() && none.is_none(), "{tool} {concluded_by}: {done}");
            let preview = client.text("git_undo", &call.unwrap_or_default());
            let undone = client.text("git_undo", &named(&preview, "git_undo").unwrap_or_default());
            assert!(undone.contains("is undone"), "{undone}");
            assert_eq!((head(&fixture), fixture.text(&["symbolic-ref", "HEAD"])), before, "{tool} {concluded_by}");
            assert_eq!(fixture.text(&["status", "--porcelain"]), "", "{tool} {concluded_by}");
            // Then the change before it is the last one.
            undo(&mut client);
            assert_eq!(head(&fixture), first, "{tool} {concluded_by}");
        }
    }
}

#[test]
fn after_an_abort_the_change_before_it_can_be_undone() {
    for (branch, tool, args) in stopping() {
        for begun_by_git in [false, true] {
            let fixture = conflicting();
            fixture.git(&["checkout", "-q", branch]);
            let mut client = fixture.serve();
            let first = head(&fixture);
            fixture.write("mine.txt", "mine\n");
            client.text("git_add", &json!({"files": ["mine.txt"]}));
            client.text("git_commit", &json!({"message": "before"}));
            if begun_by_git {
                let command = tool.trim_start_matches("git_").replace('_', "-");
                let on = args.as_object().and_then(|args| args.values().next()?.as_str()).unwrap_or_default();
                assert!(!fixture.try_git(&[&command, on]).status.success(), "{command}");
            } else {
                client.error(tool, &args);
            }
            stage(&mut client, &fixture, "half\n");
            client.text("git_abort", &json!({"confirm": true}));
            let preview = client.text("git_undo", &json!({}));
            assert!(preview.contains("the last change is git_commit"), "{tool}, git began it: {begun_by_git}: {preview}");
            undo(&mut client);
            assert_eq!(head(&fixture), first, "{tool}");
        }
    }
    let fixture = conflicting();
    let mut client = fixture.serve();
    fixture.write("mine.txt", "mine\n");
    client.text("git_add", &json!({"files": ["mine.txt"]}));
    client.text("git_commit", &json!({"message": "before"}));
    client.text("git_bisect", &json!({"action": "start", "good": ["main~2"]}));
    let refused = client.error("git_undo", &json!({}));
    assert!(refused.contains("git_abort ends it") && !refused.contains("git_continue"), "{refused}");
    client.text("git_bisect", &json!({"action": "reset"}));
    assert!(client.text("git_undo", &json!({})).contains("the last change is git_commit"));
}

#[test]
fn after_an_aborted_stash_or_squash_the_change_before_it_can_be_undone() {
    let fixture = conflicting();
    fixture.write("a.txt", "stashed\n");
    fixture.git(&["stash", "-q"]);
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_stash", json!({"action": "pop"})),
        ("git_merge", json!({"source_branch": "side", "strategy": "squash"})),
        ("git_cherry_pick", json!({"commit_hash": "side", "no_commit": true})),
    ] {
        let first = head(&fixture);
        stage(&mut client, &fixture, "moved on\n");
        client.text("git_commit", &json!({"message": "before"}));
        client.error(tool, &args);
        stage(&mut client, &fixture, "half\n");
        fixture.git(&["update-index", "--unresolve", "a.txt"]);
        client.text("git_abort", &json!({"confirm": true}));
        let preview = client.text("git_undo", &json!({}));
        assert!(preview.contains("the last change is git_commit"), "{tool}: {preview}");
        undo(&mut client);
        assert_eq!(head(&fixture), first, "{tool}");
        fixture.git(&["reset", "-q", "--hard"]);
    }
}

#[test]
fn changes_during_conflicts_are_undone_separately() -> Outcome {
    for (branch, tool, args) in stopping() {
        let fixture = conflicting();
        fixture.git(&["checkout", "-q", branch]);
        let mut client = fixture.serve();
        let before = head(&fixture);
        client.error(tool, &args);
        let conflict = fixture.text(&["status", "--porcelain"]);
        stage(&mut client, &fixture, "resolved\n");
        undo(&mut client);
        assert_eq!(fixture.text(&["status", "--porcelain"]), conflict, "{tool}");
        stage(&mut client, &fixture, "resolved\n");
        fixture.write("a.txt", "edited\n");
        let restored = client.text("git_restore", &json!({"paths": ["a.txt"], "confirm": true}));
        assert!(named(&restored, "git_undo").is_some(), "{tool}: {restored}");
        undo(&mut client);
        assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "edited\n", "{tool}");
        // Then all of it can still continue, and be undone.
        stage(&mut client, &fixture, "resolved\n");
        client.text("git_continue", &json!({}));
        undo(&mut client);
        assert_eq!(head(&fixture), before, "{tool}");
        assert_eq!(fixture.text(&["status", "--porcelain"]), "", "{tool}");
    }
    Ok(())
}

#[test]
fn a_continued_pull_is_undone_as_one_change() {
    for how in ["merge", "rebase"] {
        let (fixture, remote) = published();
        fixture.write("a.txt", "theirs\n").commit("theirs").git(&["push", "-q", "origin", "main"]);
        fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
        fixture.write("a.txt", "ours\n").commit("# ours");
        let before = head(&fixture);
        let mut client = fixture.serve_with(&[], &OPEN);
        client.error("git_pull", &json!({"how": how}));
        stage(&mut client, &fixture, "resolved\n");
        client.text("git_continue", &json!({}));
        let subject = if how == "merge" { "Merge remote-tracking branch 'origin/main'" } else { "# ours" };
        assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), subject);
        assert_eq!(fixture.text(&["merge-base", "HEAD", "origin/main"]), remote.git(&["rev-parse", "main"]));
        undo(&mut client);
        assert_eq!((head(&fixture), fixture.text(&["status", "--porcelain"])), (before, String::new()), "{how}");
    }
}

#[test]
fn a_rebase_that_stops_again_is_not_reported_as_finished() {
    let fixture = conflicting();
    fixture.git(&["checkout", "-q", "side"]);
    fixture.write("more.txt", "more\n").commit("more");
    shell(&fixture.path, "GIT_SEQUENCE_EDITOR='sed -i /more/ibreak' git rebase -q -i main || true");
    let mut client = fixture.serve();
    stage(&mut client, &fixture, "resolved\n");
    let stopped = client.text("git_continue", &json!({}));
    assert!(stopped.contains("not finished yet") && stopped.contains("a rebase (2 of 3) is in progress"), "{stopped}");
    assert!(!stopped.contains("git_undo"), "{stopped}");
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("nothing is in conflict: git_continue continues it"), "{status}");
    client.text("git_continue", &json!({}));
    assert_eq!(fixture.text(&["log", "--format=%s", "main..side"]), "more\nside");
}

#[test]
fn no_undo_is_offered_for_operations_started_elsewhere() {
    for (branch, tool, args) in stopping() {
        let fixture = conflicting();
        fixture.git(&["checkout", "-q", branch]);
        let mut client = fixture.serve();
        let command = tool.trim_start_matches("git_").replace('_', "-");
        let on = args.as_object().and_then(|args| args.values().next()?.as_str()).unwrap_or_default();
        assert!(!fixture.try_git(&[&command, on]).status.success(), "{command}");
        stage(&mut client, &fixture, "resolved\n");
        let done = client.text("git_continue", &json!({}));
        assert!(done.contains("HEAD moved from") && !done.contains("git_undo"), "{tool}: {done}");
        let refused = client.error("git_undo", &json!({}));
        assert!(refused.contains("started elsewhere"), "{tool}: {refused}");
    }
}

#[test]
fn an_empty_commit_is_skipped_as_advised() -> Outcome {
    // Picked already, alone and in a series; a conflict resolved to nothing; reverted already, in a series.
    let pick = |what: &str| ("git_cherry_pick", "cherry-pick", what.to_owned());
    for (case, (tool, command, what), resolves) in [
        ("one", pick("side"), false),
        ("first", pick("side side~1"), false),
        ("last", pick("side~1 side"), false),
        ("conflict", pick("other"), true),
        ("revert first", ("git_revert", "revert", "main~2 main~4".to_owned()), false),
        ("revert last", ("git_revert", "revert", "main~4 main~2".to_owned()), false),
        ("revert conflict", ("git_revert", "revert", "main~4".to_owned()), true),
    ] {
        let fixture = Fixture::new();
        fixture.git(&["checkout", "-q", "-b", "other"]);
        fixture.write("a.txt", "other\n").commit("other");
        fixture.git(&["checkout", "-q", "-b", "side", "main"]);
        fixture.write("new.txt", "new\n").commit("new");
        fixture.write("side.txt", "side\n").commit("side");
        fixture.git(&["checkout", "-q", "main"]);
        fixture.write("b.txt", "b\n").commit("b").write("c.txt", "c\n").commit("c").write("d.txt", "d\n").commit("d");
        fixture.git(&["revert", "--no-edit", "HEAD~1"]);
        fixture.git(&["cherry-pick", "side"]);
        if resolves {
            fixture.write("a.txt", "ours\n").write("b.txt", "other b\n").commit("ours");
        }
        let what = if resolves { what.replace("main~4", "main~5") } else { what.replace("main~2", "main~3") };
        let start = head(&fixture);
        let by_git = shell(
            &fixture.path,
            &format!("git {command} {} {what} >out 2>&1; cat out; rm out", if command == "revert" { "--no-edit" } else { "" }),
        );
        if resolves {
            shell(&fixture.path, "git checkout -q --ours . && git add .");
        }
        assert!(fixture.try_git(&[command, "--skip"]).status.success(), "{case}: {}", String::from_utf8_lossy(&by_git));
        let expected = fixture.text(&["log", "--format=%T %s"]);
        fixture.git(&["reset", "-q", "--hard", &start]);
        let mut client = fixture.serve();
        let mut stopped = client.error(tool, &json!({"commit_hash": what}));
        if resolves {
            client.text("git_conflicts", &json!({"take": "ours", "paths": ["."]}));
            stopped = client.error("git_continue", &json!({}));
        }
        assert!(stopped.contains("at a commit that changes nothing here") && !stopped.contains("git_conflicts"), "{case}: {stopped}");
        let status = client.text("git_status", &json!({}));
        assert_eq!(named(&status, "git_continue"), Some(json!({"skip": true})), "{case}: {status}");
        let call = named(&stopped, "git_continue").ok_or("a call")?;
        client.text("git_continue", &call);
        assert_eq!(fixture.text(&["log", "--format=%T %s"]), expected, "{case}");
        assert!(!client.text("git_status", &json!({})).contains("in progress"), "{case}");
    }
    Ok(())
}

#[test]
fn an_empty_step_of_a_plan_is_skipped_as_advised() -> Outcome {
    let fixture = conflicting();
    fixture.git(&["checkout", "-q", "side"]);
    fixture.write("more.txt", "more\n").commit("more");
    let steps = ["side~1", "side"].map(|rev| format!("pick {}", fixture.text(&["rev-parse", rev])));
    let mut client = fixture.serve();
    // With its conflict resolved as on the branch, the first commit becomes empty.
    client.error("git_rebase", &json!({"target_branch": "main", "plan": steps}));
    fixture.git(&["rm", "-q", "--cached", "side.txt"]);
    fs::remove_file(fixture.path.join("side.txt"))?;
    client.text("git_conflicts", &json!({"take": "ours", "paths": ["a.txt"]}));
    client.text("git_continue", &json!({}));
    assert_eq!(fixture.text(&["log", "--format=%s", "main..side"]), "more");
    // A step that git itself finds to be applied already.
    fixture.git(&["checkout", "-q", "-b", "again", "side~1"]);
    fixture.write("a.txt", "other\n").commit("other");
    fixture.git(&["checkout", "-q", "-b", "twice", "again~1"]);
    fixture
        .write("a.txt", "half\n")
        .commit("half")
        .write("a.txt", "other\n")
        .commit("to the same")
        .write("last.txt", "last\n")
        .commit("last");
    let steps = ["twice~2", "twice~1", "twice"].map(|rev| format!("pick {}", fixture.text(&["rev-parse", rev])));
    client.error("git_rebase", &json!({"target_branch": "again", "plan": steps}));
    client.text("git_conflicts", &json!({"take": "ours", "paths": ["a.txt"]}));
    let stopped = client.error("git_continue", &json!({}));
    let call = named(&stopped, "git_continue").ok_or_else(|| stopped.clone())?;
    assert!(stopped.contains("changes nothing here"), "{stopped}");
    client.text("git_continue", &call);
    assert_eq!(fixture.text(&["log", "--format=%s", "again..twice"]), "last");
    Ok(())
}

#[test]
fn a_repeated_revert_changes_nothing_and_reports_it() {
    let fixture = Fixture::new();
    fixture.write("b.txt", "b\n").commit("b");
    fixture.git(&["revert", "--no-edit", "HEAD"]);
    let before = head(&fixture);
    let mut client = fixture.serve();
    let refused = client.error("git_revert", &json!({"commit_hash": "HEAD~1"}));
    assert!(refused.contains("changes nothing here") && refused.contains("nothing is in progress"), "{refused}");
    assert!(!refused.contains("git_continue"), "{refused}");
    assert_eq!(head(&fixture), before);
    assert!(client.error("git_continue", &json!({"skip": true})).contains("no merge, rebase"));
}

#[test]
fn conflicts_without_an_operation_are_not_continued() -> Outcome {
    let fixture = conflicting();
    fixture.write("a.txt", "stashed\n");
    fixture.git(&["stash", "-q"]);
    fixture.write("a.txt", "moved on\n").commit("moved on");
    let mut client = fixture.serve();
    for number in [0, 0] {
        let stopped = client.error("git_stash", &json!({"action": "pop", "number": number}));
        assert!(stopped.contains("conflicts in a.txt") && stopped.contains("is kept as stash@{0}"), "{stopped}");
        assert!(!stopped.contains("git_continue"), "{stopped}");
        let status = client.text("git_status", &json!({}));
        assert!(status.contains("1 path is in conflict") && !status.contains("git_continue"), "{status}");
        // Undone, and then run once more to the end.
        client.text("git_abort", &json!({}));
        assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "moved on\n");
        assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    }
    fixture.write("staged.txt", "staged\n");
    client.text("git_add", &json!({"files": ["staged.txt"]}));
    let stopped = client.error("git_stash", &json!({"action": "apply"}));
    let asked = client.error("git_abort", &json!({}));
    assert!(asked.contains("edits would be lost in staged.txt"), "{asked}");
    client.text("git_conflicts", &json!({"take": "theirs", "paths": ["a.txt"]}));
    client.text("git_stash", &named(&stopped, "git_stash").ok_or("a call")?);
    assert_eq!(fixture.text(&["stash", "list"]), "");
    assert_eq!(fs::read_to_string(fixture.path.join("a.txt"))?, "stashed\n");
    client.text("git_commit", &json!({"message": "with what was stashed"}));
    for (tool, args) in [
        ("git_merge", json!({"source_branch": "side", "strategy": "squash"})),
        ("git_cherry_pick", json!({"commit_hash": "side", "no_commit": true})),
    ] {
        let start = head(&fixture);
        let stopped = client.error(tool, &args);
        // git takes a file named as a path as resolved, as it is.
        let refused = client.error("git_commit", &json!({"message": "half", "paths": ["a.txt"]}));
        assert!(refused.contains("unresolved conflicts in a.txt"), "{refused}");
        assert!(stopped.contains("has left conflicts in a.txt") && !stopped.contains("git_continue"), "{stopped}");
        stage(&mut client, &fixture, "resolved\n");
        client.text("git_commit", &json!({"message": "resolved"}));
        assert_eq!(fixture.text(&["rev-parse", "HEAD~1"]), start, "{tool}");
        fixture.git(&["reset", "-q", "--hard", &start]);
    }
    Ok(())
}

#[test]
fn a_bisect_is_not_reported_as_a_conflict() {
    let fixture = conflicting();
    let mut client = fixture.serve();
    client.text("git_bisect", &json!({"action": "start", "good": ["main~2"]}));
    let status = client.text("git_status", &json!({}));
    assert!(
        status.contains("a bisect is in progress: git_bisect") && !status.contains("conflict") && !status.contains("git_continue"),
        "{status}"
    );
    let conflicts = client.text("git_conflicts", &json!({}));
    assert!(!conflicts.contains("git_continue"), "{conflicts}");
    for (tool, args) in
        [("git_merge", json!({"source_branch": "side"})), ("git_continue", json!({})), ("git_continue", json!({"skip": true}))]
    {
        let refused = client.error(tool, &args);
        assert!(refused.contains("git_abort") && !refused.contains("git_continue"), "{tool}: {refused}");
    }
    client.text("git_bisect", &json!({}));
    client.text("git_abort", &json!({}));
    assert!(!fixture.path.join(".git/BISECT_LOG").exists());
}

#[test]
fn a_tag_rejected_by_a_fetch_is_replaced_as_advised() {
    let (fixture, remote) = published();
    remote.git(&["tag", "v1", "main"]);
    fixture.write("b.txt", "b\n").commit("another").git(&["tag", "v1"]);
    let mut client = fixture.serve_with(&[], &OPEN);
    let refused = client.error("git_fetch", &json!({"tags": true}));
    assert!(refused.contains("refused: refs/tags/v1"), "{refused}");
    assert!(!refused.contains("`force`") && !refused.contains("git_pull"), "{refused}");
    assert!(refused.contains("git_tag with `action`: \"delete\""), "{refused}");
    client.text("git_tag", &json!({"action": "delete", "name": "v1", "confirm": true}));
    client.text("git_fetch", &json!({"tags": true}));
    assert_eq!(fixture.text(&["rev-parse", "v1"]), remote.git(&["rev-parse", "v1"]));
    // A deleted branch that blocks one below its name.
    remote.git(&["branch", "topic", "main"]);
    client.text("git_fetch", &json!({}));
    remote.git(&["branch", "-D", "topic"]);
    remote.git(&["branch", "topic/one", "main"]);
    let refused = client.error("git_fetch", &json!({}));
    assert!(refused.contains("git_fetch with `prune`: true"), "{refused}");
    client.text("git_fetch", &json!({"prune": true}));
    assert_eq!(fixture.text(&["rev-parse", "origin/topic/one"]), remote.git(&["rev-parse", "main"]));
}
