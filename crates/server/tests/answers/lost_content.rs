//! Changes whose content cannot be written: nothing is overwritten before its replacement exists, and files lost
//! nevertheless are named with the way to restore them.

use crate::support::{Client, Fixture, Outcome, shell};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

/// The working tree, the index, HEAD, and the stash.
fn state(fixture: &Fixture) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    for entry in fs::read_dir(&fixture.path).expect("a folder").flatten().filter(|entry| entry.path().is_file()) {
        state.insert(entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap_or_default());
    }
    for args in [&["symbolic-ref", "HEAD"][..], &["rev-parse", "HEAD"], &["ls-files", "--stage"], &["stash", "list", "--format=%H"]] {
        state.insert(args.join(" "), fixture.try_git(args).stdout);
    }
    state
}

/// A repository with a branch `other` that changes a.txt and b.txt, a branch `base` before that, and a change on main.
fn repository() -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "a one\n").write("b.txt", "b one\n").write("c.txt", "c one\n").commit("base").git(&["branch", "base"]);
    fixture.git(&["checkout", "-q", "-b", "other"]);
    fixture.write("a.txt", "a other\n").write("b.txt", "b other\n").commit("other").git(&["checkout", "-q", "main"]);
    fixture.write("c.txt", "c main\n").commit("main");
    fixture
}

fn edit(fixture: &Fixture) {
    fixture.write("a.txt", "a edited\n").write("b.txt", "b edited\n");
}

fn conflict(fixture: &Fixture) {
    fixture.write("a.txt", "a main\n").write("b.txt", "b main\n").commit("conflicting");
    assert!(!fixture.try_git(&["merge", "-q", "other"]).status.success());
}

struct Case {
    tool: &'static str,
    args: Value,
    prepare: fn(&Fixture),
    /// What the change has to write.
    writes: &'static str,
}

fn cases() -> Vec<Case> {
    let case = |tool, args, prepare, writes| Case { tool, args, prepare, writes };
    vec![
        case("git_restore", json!({"paths": ["a.txt", "b.txt"]}), edit, "main:b.txt"),
        case("git_restore", json!({"paths": ["."], "source": "other"}), |_| {}, "other:b.txt"),
        case("git_reset", json!({"mode": "hard", "confirm": true}), edit, "main:b.txt"),
        case("git_reset", json!({"mode": "hard", "target": "other", "confirm": true}), |_| {}, "other:b.txt"),
        case("git_checkout", json!({"branch_name": "other"}), |_| {}, "other:b.txt"),
        case("git_checkout", json!({"branch_name": "new", "create": true, "start_point": "other"}), |_| {}, "other:b.txt"),
        case("git_merge", json!({"source_branch": "other"}), |_| {}, "other:b.txt"),
        case("git_merge", json!({"source_branch": "other"}), |it| drop(it.git(&["checkout", "-q", "base"])), "other:b.txt"),
        case("git_cherry_pick", json!({"commit_hash": "other"}), |_| {}, "other:b.txt"),
        case("git_rebase", json!({"target_branch": "other"}), |_| {}, "other:b.txt"),
        case(
            "git_revert",
            json!({"commit_hash": "HEAD"}),
            |it| {
                edit(it);
                it.commit("to be reverted");
            },
            "HEAD~1:b.txt",
        ),
        case("git_stash", json!({}), edit, "main:b.txt"),
        case("git_stash", json!({"paths": ["a.txt", "b.txt"]}), edit, "main:b.txt"),
        case(
            "git_stash",
            json!({"action": "pop"}),
            |it| {
                edit(it);
                it.git(&["stash", "-q"]);
            },
            "stash@{0}:b.txt",
        ),
        case("git_abort", json!({}), conflict, "HEAD:b.txt"),
        case("git_conflicts", json!({"paths": ["."], "take": "theirs"}), conflict, "other:b.txt"),
    ]
}

#[test]
fn missing_content_stops_a_change_before_it_starts() -> Outcome {
    for Case { tool, args, prepare, writes } in cases() {
        let fixture = repository();
        prepare(&fixture);
        // A complete clone, including the stash.
        fixture.git(&["clone", "-q", "--mirror", ".", "../whole.git"]);
        fixture.git(&["remote", "add", "whole", "../whole.git"]);
        fixture.git(&["config", "remote.whole.fetch", "+refs/*:refs/whole/*"]);
        let id = fixture.text(&["rev-parse", writes]);
        fs::remove_file(fixture.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..])))?;
        let before = state(&fixture);
        let mut client = fixture.serve();
        let refused = client.error(tool, &args);
        assert!(refused.contains("nothing was changed") && refused.contains("b.txt") && refused.contains(&id), "{tool} {args}: {refused}");
        assert_eq!(state(&fixture), before, "{tool} {args}");
        // The advice works.
        assert!(refused.contains("`git fsck`") && refused.contains("`git fetch --refetch`"), "{refused}");
        assert!(String::from_utf8_lossy(&fixture.try_git(&["fsck"]).stdout).contains(&format!("missing blob {id}")), "{tool} {args}");
        fixture.git(&["fetch", "-q", "--refetch", "whole"]);
        client.text(tool, &args);
        assert_ne!(state(&fixture), before, "{tool} {args}");
    }
    Ok(())
}

/// Configures a filter that fails for all files.
fn break_filter(fixture: &Fixture, smudge: &str) {
    fixture.write(".git/info/attributes", "*.txt filter=odd\n");
    fixture.git(&["config", "filter.odd.clean", "cat"]);
    fixture.git(&["config", "filter.odd.smudge", smudge]);
    fixture.git(&["config", "filter.odd.required", "true"]);
}

#[test]
fn a_failing_filter_stops_a_change_before_it_starts() {
    let patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-a one\n+a patched\n--- a/b.txt\n+++ b/b.txt\n@@ -1 +1 @@\n-b one\n+b patched\n";
    let mut all = cases();
    all.push(Case { tool: "git_apply", args: json!({"patch": patch}), prepare: |_| {}, writes: "" });
    all.push(Case {
        tool: "git_stash",
        args: json!({"staged": true}),
        prepare: |it| {
            edit(it);
            it.git(&["add", "."]);
        },
        writes: "",
    });
    for (at, Case { tool, args, prepare, .. }) in all.into_iter().enumerate() {
        let fixture = repository();
        prepare(&fixture);
        let (smudge, said) = [("exit 3", "smudge filter odd failed"), ("no-such-lfs smudge", "no-such-lfs")][at % 2];
        break_filter(&fixture, smudge);
        let before = state(&fixture);
        let mut client = fixture.serve();
        let refused = client.error(tool, &args);
        assert!(refused.contains("nothing was changed") && refused.contains(said), "{tool} {args}: {refused}");
        assert_eq!(state(&fixture), before, "{tool} {args}");
        assert!(refused.contains("Then repeat the call."), "{refused}");
        fixture.git(&["config", "filter.odd.smudge", "cat"]);
        client.text(tool, &args);
        assert_ne!(state(&fixture), before, "{tool} {args}");
    }
}

#[test]
fn a_failing_process_filter_stops_a_change_before_it_starts() {
    let fixture = repository();
    break_filter(&fixture, "cat");
    fixture.git(&["config", "filter.odd.process", "no-such-lfs filter-process"]);
    let before = state(&fixture);
    let refused = fixture.serve().error("git_checkout", &json!({"branch_name": "other"}));
    assert!(refused.contains("nothing was changed") && refused.contains("no-such-lfs"), "{refused}");
    assert_eq!(state(&fixture), before);
    // The attributes of the target branch apply.
    fs::remove_file(fixture.path.join(".git/info/attributes")).expect("a file");
    fixture.git(&["checkout", "-q", "other"]);
    fixture.write(".gitattributes", "b.txt filter=odd\n");
    fixture.git(&["-c", "filter.odd.process=cat", "-c", "filter.odd.required=false", "add", "."]);
    fixture.git(&["-c", "filter.odd.process=cat", "-c", "filter.odd.required=false", "commit", "-qm", "attributes"]);
    fixture.git(&["checkout", "-q", "-f", "main"]);
    let before = state(&fixture);
    let refused = fixture.serve().error("git_checkout", &json!({"branch_name": "other"}));
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!(state(&fixture), before);
}

/// A filter that works `times` times.
fn exhaust_filter(fixture: &Fixture, times: usize) {
    break_filter(fixture, "cd .git && echo x >> used && test $(wc -l < used) -le $(cat most) && cat");
    fixture.write(".git/most", times.to_string());
}

#[test]
fn files_lost_by_a_failed_change_are_named_with_the_recovery() -> Outcome {
    let patch = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-a edited\n+a patched\n";
    for (tool, args, times, lost, back) in [
        ("git_restore", json!({"paths": ["a.txt", "b.txt"]}), 3, "b.txt", "git_undo"),
        ("git_restore", json!({"paths": ["a.txt", "b.txt"]}), 2, "a.txt", "git_undo"),
        ("git_reset", json!({"mode": "hard", "confirm": true}), 2, "a.txt", "git_undo"),
        ("git_apply", json!({"patch": patch}), 1, "a.txt", "git_undo"),
        ("git_stash", json!({}), 2, "a.txt", "git_reset"),
        ("git_checkout", json!({"branch_name": "other"}), 4, "b.txt", "git_restore"),
        ("git_merge", json!({"source_branch": "other"}), 3, "b.txt", "git_restore"),
        ("git_cherry_pick", json!({"commit_hash": "other"}), 2, "a.txt", "git_restore"),
    ] {
        let fixture = repository();
        if back != "git_restore" {
            edit(&fixture);
        }
        exhaust_filter(&fixture, times);
        let before = state(&fixture);
        let mut client = fixture.serve();
        let failed = client.error(tool, &args);
        assert!(!failed.contains("nothing was changed"), "{tool} {args}: {failed}");
        assert!(failed.contains(&format!("missing or empty now: {lost}")), "{tool} {args}: {failed}");
        assert!(failed.contains(back), "{tool} {args}: {failed}");
        fixture.write(".git/most", "1000");
        way_back(&mut client, back, lost);
        if back == "git_restore" {
            assert_eq!(fs::read(fixture.path.join(lost))?, before[lost], "{tool} {args}");
        } else {
            assert_eq!(state(&fixture), before, "{tool} {args}");
        }
    }
    Ok(())
}

fn way_back(client: &mut Client, back: &str, lost: &str) {
    match back {
        "git_undo" => drop(crate::support::undo(client)),
        "git_restore" => drop(client.text("git_restore", &json!({"paths": [lost]}))),
        _ => {
            client.text("git_reset", &json!({"mode": "hard", "confirm": true}));
            client.text("git_stash", &json!({"action": "pop"}));
        }
    }
}

#[test]
fn unreadable_content_is_reported_with_the_recovery() -> Outcome {
    // Objects that a partial clone lacks are looked up before any file is touched.
    for partial in [false, true] {
        let fixture = repository();
        let before = state(&fixture);
        let id = fixture.text(&["rev-parse", "other:b.txt"]);
        let file = format!("{}/{}", &id[..2], &id[2..]);
        if partial {
            shell(&fixture.path, &format!("rm -f .git/objects/{file}"));
            fixture.git(&["config", "remote.gone.promisor", "true"]);
            fixture.git(&["config", "remote.gone.url", "/nowhere"]);
        } else {
            shell(&fixture.path, &format!("cd .git/objects && chmod u+w {file} && printf nonsense > {file}"));
        }
        let mut client = fixture.serve();
        let failed = client.error("git_checkout", &json!({"branch_name": "other"}));
        if partial {
            assert!(failed.contains("not in this partial clone"), "{failed}");
        } else {
            assert!(failed.contains("missing or empty now: b.txt") && failed.contains("git_restore"), "{failed}");
            way_back(&mut client, "git_restore", "b.txt");
        }
        assert_eq!(fs::read(fixture.path.join("b.txt"))?, before["b.txt"], "{failed}");
        assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    }
    Ok(())
}

#[test]
fn a_stash_that_would_overwrite_untracked_files_is_refused_first() -> Outcome {
    let untracked = |fixture: &Fixture| {
        edit(fixture);
        fixture.write("new/u.txt", "of the stash\n");
        fixture.git(&["stash", "-q", "--include-untracked"]);
    };
    let added = |fixture: &Fixture| {
        edit(fixture);
        fixture.write("new/u.txt", "of the stash\n");
        fixture.git(&["add", "."]);
        fixture.git(&["stash", "-q"]);
        fixture.write(".git/info/exclude", "new\n");
    };
    for (at, (args, prepare, in_the_way)) in [
        (json!({"action": "pop"}), &untracked as &dyn Fn(&Fixture), "new/u.txt"),
        (json!({"action": "apply"}), &untracked, "new"),
        (json!({"action": "pop"}), &added, "new/u.txt"),
        (json!({"action": "branch", "branch_name": "made"}), &untracked, "new/u.txt"),
    ]
    .into_iter()
    .enumerate()
    {
        let fixture = repository();
        prepare(&fixture);
        fixture.write(in_the_way, "mine\n");
        let before = state(&fixture);
        let mut client = fixture.serve();
        let refused = client.error("git_stash", &args);
        assert!(refused.contains(&format!("untracked files would be overwritten: {in_the_way}")), "{at}: {refused}");
        assert_eq!(state(&fixture), before, "{at}");
        assert_eq!(fs::read(fixture.path.join(in_the_way))?, b"mine\n", "{at}");
        assert!(!fixture.try_git(&["rev-parse", "--verify", "-q", "made"]).status.success());
        // The advice works.
        assert!(refused.contains("Move them away"), "{refused}");
        fs::rename(fixture.path.join(in_the_way), fixture.path.join("away"))?;
        client.text("git_stash", &args);
        assert_eq!(fs::read(fixture.path.join("new/u.txt"))?, b"of the stash\n", "{at}");
        assert_eq!(fs::read(fixture.path.join("a.txt"))?, b"a edited\n", "{at}");
    }
    Ok(())
}
