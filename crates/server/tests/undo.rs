//! The journal through the server: changes are undone exactly, once, and never at the cost of later work.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};
use support::{Fixture, Outcome, undo, wire::wait_for};

/// All that a user would miss: references, index, files, the stash.
fn state(fixture: &Fixture) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    for args in [
        &["symbolic-ref", "--quiet", "HEAD"][..],
        &["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", "refs/remotes", "refs/stash"],
        &["ls-files", "--stage"],
        &["status", "--porcelain", "--untracked-files=all"],
        &["stash", "list", "--format=%H"],
    ] {
        state.insert(args.join(" "), fixture.try_git(args).stdout);
    }
    for file in String::from_utf8_lossy(&fixture.git(&["ls-files", "--cached", "--others", "--exclude-standard"])).lines() {
        state.insert(file.to_owned(), fs::read(fixture.path.join(file)).unwrap_or_default());
    }
    state
}

#[test]
fn each_change_is_undone_exactly() {
    let cases: &[(&str, Value)] = &[
        ("git_commit", json!({"message": "a commit"})),
        ("git_commit", json!({"message": "amended", "amend": true})),
        ("git_commit", json!({"message": "one file", "paths": ["a.txt"]})),
        ("git_add", json!({"files": ["."]})),
        ("git_reset", json!({})),
        ("git_reset", json!({"mode": "soft", "target": "HEAD~1"})),
        ("git_reset", json!({"target": "HEAD~1"})),
        ("git_reset", json!({"mode": "hard", "target": "HEAD~1", "confirm": true})),
        ("git_reset", json!({"mode": "hard", "confirm": true})),
        ("git_restore", json!({"paths": ["dir"]})),
        ("git_restore", json!({"paths": ["."], "staged": true})),
        ("git_restore", json!({"paths": ["."]})),
        ("git_restore", json!({"paths": ["a.txt"], "source": "HEAD~1"})),
        ("git_restore", json!({"paths": ["dir/b.rs"], "source": "HEAD", "staged": true, "worktree": true})),
        ("git_stash", json!({})),
        ("git_stash", json!({"untracked": true, "message": "all of it"})),
        ("git_create_branch", json!({"branch_name": "made"})),
        ("git_checkout", json!({"branch_name": "made", "create": true})),
    ];
    for (tool, args) in cases {
        let fixture = Fixture::new();
        // A staged change, an edit and a new file.
        fixture.write("a.txt", "staged\n").git(&["add", "a.txt"]);
        fixture.write("a.txt", "staged\nand edited\n").write("dir/b.rs", "edited\n").write("new.txt", "n\n");
        let mut client = fixture.serve();
        let before = state(&fixture);
        client.text(tool, args);
        assert_ne!(state(&fixture), before, "{tool} {args} changes something");
        let text = undo(&mut client);
        assert!(text.contains(tool) && text.contains("is undone"), "{text}");
        assert_eq!(state(&fixture), before, "{tool} {args}");
        let nothing = client.error("git_undo", &json!({}));
        assert!(nothing.contains("no change of this worktree"), "once only: {nothing}");
        assert!(fixture.try_git(&["fsck", "--strict"]).status.success());
    }
}

#[test]
fn a_series_is_undone_step_by_step() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let mut states = Vec::new();
    for n in 0..4 {
        states.push(state(&fixture));
        fixture.write("a.txt", format!("{n}\n"));
        client.text("git_commit", &json!({"message": format!("commit {n}"), "paths": ["a.txt"]}));
    }
    let log = fixture.git(&["rev-list", "--count", "HEAD"]);
    for _ in 0..4 {
        undo(&mut client);
    }
    assert_eq!(log, b"6\n");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"2\n");
    assert_eq!(
        state(&fixture)["for-each-ref --format=%(refname) %(objectname) refs/heads refs/tags refs/remotes refs/stash"],
        states[0]["for-each-ref --format=%(refname) %(objectname) refs/heads refs/tags refs/remotes refs/stash"]
    );
}

#[test]
fn later_work_is_not_lost() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    fixture.write("a.txt", "mine\n");
    client.text("git_commit", &json!({"message": "through the server", "paths": ["a.txt"]}));
    fixture.write("dir/b.rs", "outside\n").commit("by hand");
    let refused = client.error("git_undo", &json!({}));
    assert!(refused.contains("HEAD has moved since"), "{refused}");
    fixture.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    fixture.write("new.txt", "n\n").git(&["add", "new.txt"]);
    let refused = client.error("git_undo", &json!({}));
    assert!(refused.contains("something else has been staged since"), "{refused}");
    fixture.git(&["reset", "--quiet"]);
    client.text("git_undo", &json!({}));
    let wrong = client.error("git_undo", &json!({"id": "1-1"}));
    assert!(wrong.contains("no longer the last change"), "{wrong}");
    // A file edited after a hard reset stays.
    fixture.write("a.txt", "lost?\n");
    client.text("git_reset", &json!({"mode": "hard", "confirm": true}));
    fixture.write("a.txt", "later\n");
    let refused = client.error("git_undo", &json!({}));
    assert!(refused.contains("edited since"), "{refused}");
    assert_eq!(fs::read(fixture.path.join("a.txt")).unwrap_or_default(), b"later\n");
}

#[test]
fn a_hard_reset_asks_first_and_undo_reaches_the_unborn_branch() {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let asked = client.error("git_reset", &json!({"mode": "hard"}));
    assert!(asked.contains("`confirm`: true"), "{asked}");
    let empty = Fixture::empty();
    empty.write("a.txt", "a\n").git(&["add", "a.txt"]);
    let mut client = empty.serve();
    let before = state(&empty);
    client.text("git_commit", &json!({"message": "the first"}));
    undo(&mut client);
    assert_eq!(state(&empty), before);
}

#[test]
fn a_key_commits_once_also_across_servers_78() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "x\n");
    let call = json!({"message": "once", "paths": ["a.txt"], "idempotency_key": "k-1"});
    let first = fixture.serve().text("git_commit", &call);
    fixture.write("a.txt", "y\n");
    let mut client = fixture.serve();
    assert_eq!(client.text("git_commit", &call), first);
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"3\n");
    let other = client.error("git_commit", &json!({"message": "another", "idempotency_key": "k-1"}));
    assert!(other.contains("other arguments"), "{other}");
    client.error("git_commit", &json!({"message": "m", "idempotency_key": ""}));
}

/// Kills a server in the middle of a commit, which continues without it.
fn interrupt(fixture: &Fixture, arguments: &[&str], args: &Value) -> Outcome {
    let hook = fixture.path.join(".git/hooks/pre-commit");
    fixture.write(".git/hooks/pre-commit", "#!/bin/sh\ntouch .git/reached\nsleep 2\n");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    fixture.write("a.txt", "x\n");
    let mut client = fixture.serve_with(arguments, &[]);
    client.start_call("git_commit", args);
    wait_for("the hook", || fixture.path.join(".git/reached").exists());
    client.signal("KILL");
    client.wait();
    Ok(fs::remove_file(&hook)?)
}

#[test]
fn an_interrupted_change_is_reported() -> Outcome {
    let fixture = Fixture::new();
    let again = json!({"message": "m", "paths": ["a.txt"], "idempotency_key": "k"});
    interrupt(&fixture, &[], &again)?;
    // The next change waits for it.
    fixture.write("dir/b.rs", "y\n");
    let mut client = fixture.serve();
    let unknown = client.error("git_commit", &again);
    assert!(unknown.contains("the change may or may not have been made"), "{unknown}");
    let text = client.text("git_commit", &json!({"message": "next", "paths": ["dir/b.rs"]}));
    assert!(text.contains("the server was killed during an earlier git_commit"), "{text}");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"4\n", "both commits are there");
    assert!(fixture.try_git(&["fsck", "--strict"]).status.success());
    Ok(())
}

#[test]
fn a_change_interrupted_before_it_was_stored_is_reported() -> Outcome {
    let (fixture, state) = (Fixture::new(), tempfile::tempdir()?);
    let folder = state.path().display().to_string();
    let arguments = ["--state-dir", folder.as_str()];
    let before = String::from_utf8(fixture.git(&["rev-parse", "HEAD"]))?;
    interrupt(&fixture, &arguments, &json!({"message": "m", "paths": ["a.txt"]}))?;
    for entry in fs::read_dir(state.path())?.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(".db")) {
        fs::remove_file(entry.path())?;
    }
    fixture.write("dir/b.rs", "y\n");
    let mut client = fixture.serve_with(&arguments, &[]);
    let text = client.text("git_add", &json!({"files": ["dir/b.rs"]}));
    assert!(text.contains("the server was killed during an earlier git_commit") && text.contains(&before[..12]), "{text}");
    let text = client.text("git_commit", &json!({"message": "next"}));
    assert!(!text.contains("killed"), "it is reported once: {text}");
    Ok(())
}

#[test]
fn two_servers_and_eight_writers_lose_no_commit() -> Outcome {
    let fixture = Fixture::new();
    let mut clients = [fixture.serve(), fixture.serve()];
    for writer in 0..8 {
        for n in 0..15 {
            fixture.write(&format!("w{writer}-{n}.txt"), "x\n");
        }
    }
    fixture.git(&["add", "--all", "--intent-to-add"]);
    let mut sent = 0;
    for n in 0..15 {
        for writer in 0..8 {
            let file = format!("w{writer}-{n}.txt");
            clients[writer % 2].start_call("git_commit", &json!({"message": file, "paths": [file]}));
            sent += 1;
        }
    }
    for _ in 0..sent / 2 {
        for client in &mut clients {
            let answer = client.receive();
            assert_ne!(answer["result"]["isError"], true, "{answer}");
        }
    }
    assert_eq!(sent, 120);
    assert_eq!(String::from_utf8(fixture.git(&["rev-list", "--count", "HEAD"]))?.trim(), "122");
    assert!(fixture.try_git(&["fsck", "--strict"]).status.success());
    Ok(())
}

#[test]
fn an_unusable_state_folder_refuses_changes() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "x\n").write("../file", "");
    let file = fixture.path.with_file_name("file").display().to_string();
    let mut client = fixture.serve_with(&["--state-dir", &file], &[]);
    let refused = client.error("git_add", &json!({"files": ["a.txt"]}));
    assert!(refused.contains("state folder") && refused.contains("--state-dir"), "{refused}");
    assert!(fixture.git(&["diff", "--cached", "--name-only"]).is_empty());
}

#[test]
fn work_after_a_restore_stays() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "staged\n").git(&["add", "a.txt"]);
    fixture.write("a.txt", "edited\n");
    let mut client = fixture.serve();
    client.text("git_restore", &json!({"paths": ["a.txt"], "staged": true, "worktree": true}));
    fixture.write("a.txt", "later\n");
    assert!(client.error("git_undo", &json!({})).contains("edited since"));
    assert_eq!(fs::read(fixture.path.join("a.txt")).unwrap_or_default(), b"later\n");
}

#[test]
fn a_restored_index_hides_no_edit() {
    let fixture = Fixture::new();
    fixture.write("a.txt", "aaaa\n").write("o.txt", "o\n").commit("same size");
    fixture.write("a.txt", "bbbb\n").write("o.txt", "p\n");
    let mut client = fixture.serve();
    client.text("git_add", &json!({"files": ["o.txt"]}));
    undo(&mut client);
    assert_eq!(fixture.git(&["diff", "--name-only"]), b"a.txt\no.txt\n");
}

#[test]
fn untracked_files_are_not_overwritten() {
    let fixture = Fixture::new();
    fixture.write("u.txt", "tracked\n").commit("with u");
    fixture.git(&["rm", "-q", "u.txt"]);
    fixture.commit("without u");
    fixture.write("u.txt", "precious\n");
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_restore", json!({"paths": ["u.txt"], "source": "HEAD~1"})),
        ("git_reset", json!({"mode": "hard", "target": "HEAD~1", "confirm": true})),
    ] {
        let refused = client.error(tool, &args);
        assert!(refused.contains("untracked files would be overwritten: u.txt"), "{refused}");
    }
    // A folder in place of a file.
    fixture.git(&["rm", "-q", "--cached", "-f", "--ignore-unmatch", "u.txt"]);
    fs::remove_file(fixture.path.join("a.txt")).expect("a file");
    fixture.write("a.txt/inside", "precious\n");
    let refused = client.error("git_reset", &json!({"mode": "hard", "confirm": true}));
    assert!(refused.contains("a.txt/inside"), "{refused}");
    assert_eq!(fs::read(fixture.path.join("u.txt")).unwrap_or_default(), b"precious\n");
}

#[test]
fn linked_worktrees_have_separate_journals() -> Outcome {
    let fixture = Fixture::new();
    fixture.git(&["worktree", "add", "--quiet", "-b", "other", "../linked"]);
    let linked = fixture.path.with_file_name("linked");
    let hook = "#!/bin/sh\ntest -e ../go && exit\ntouch ../go\nunset GIT_DIR GIT_INDEX_FILE\ncd ../linked\n\
        git commit -q --allow-empty -m meanwhile && echo s > a.txt && git stash -q && git branch made-there\n";
    fixture.write(".git/hooks/pre-commit", hook);
    fs::set_permissions(fixture.path.join(".git/hooks/pre-commit"), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let mut client = fixture.serve();
    fixture.write("a.txt", "x\n");
    client.text("git_commit", &json!({"message": "here", "paths": ["a.txt"], "idempotency_key": "k"}));
    let meanwhile = fixture.git(&["rev-parse", "other"]);
    assert_eq!(fixture.git(&["log", "-1", "--format=%s", "other"]), b"meanwhile\n");
    undo(&mut client);
    assert_eq!(fixture.git(&["rev-parse", "other"]), meanwhile, "the other worktree's commit stays");
    assert_eq!(fixture.git(&["rev-list", "--count", "HEAD"]), b"2\n", "and this one's is undone");
    assert_eq!(String::from_utf8(fixture.git(&["stash", "list"]))?.lines().count(), 1);
    fixture.git(&["rev-parse", "--verify", "made-there"]);
    // The key was for an undone commit, and for one worktree.
    client.text("git_commit", &json!({"message": "here", "paths": ["a.txt"], "idempotency_key": "k"}));
    fs::write(linked.join("a.txt"), "y\n")?;
    let there = json!({"repo_path": linked.display().to_string(), "message": "here", "paths": ["a.txt"], "idempotency_key": "k"});
    assert!(client.text("git_commit", &there).contains("on branch other"));
    Ok(())
}

#[test]
fn a_branch_that_looks_like_an_option_is_not_checked_out_again() {
    let fixture = Fixture::new();
    fixture.git(&["update-ref", "refs/heads/-f", "HEAD"]);
    fixture.git(&["symbolic-ref", "HEAD", "refs/heads/-f"]);
    let mut client = fixture.serve();
    client.text("git_checkout", &json!({"branch_name": "main"}));
    fixture.write("a.txt", "mine\n");
    let preview = client.text("git_undo", &json!({}));
    let (tool, args) = support::call_in(preview.split_once("To undo it: ").expect("a call").1.trim_end());
    client.error(&tool, &args);
    assert_eq!(fs::read(fixture.path.join("a.txt")).unwrap_or_default(), b"mine\n");
}
