//! What a change must preserve: untracked files, unreferenced commits, unselected lines.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Client, Fixture, Outcome};

fn content(fixture: &Fixture, path: &str) -> String {
    fs::read_to_string(fixture.path.join(path)).unwrap_or_default()
}

/// Undoes the last change and returns the answer.
fn undo(client: &mut Client) -> Value {
    let preview = client.result("git_undo", &json!({}));
    let said = support::text_of(&preview);
    let Some((_, call)) = said.split_once("To undo it: ") else { return preview };
    let (tool, args) = support::call_in(call.trim_end());
    client.result(&tool, &args)
}

#[test]
fn a_selected_hunk_is_applied_in_place_among_repeated_lines() {
    let fixture = Fixture::empty();
    let mut state = 7_u64;
    let mut roll = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % sides
    };
    let mut client = fixture.serve();
    for round in 0..12 {
        // Identical blocks, edited in some places.
        let base: Vec<String> = (0..10).flat_map(|_| ["head", "a", "b", "c", "end"]).map(|line| format!("{line}\n")).collect();
        fixture.write("f", base.concat()).commit("base");
        let mut edits: Vec<(usize, u64)> = (0..4).map(|block| (block * 12 + 2, roll(3))).collect();
        edits.retain(|(at, _)| *at < base.len());
        let edited = |wanted: &dyn Fn(usize) -> bool| -> String {
            let mut lines = base.clone();
            for (nth, (at, kind)) in edits.iter().enumerate().rev().filter(|(nth, _)| wanted(*nth)) {
                match kind {
                    0 => drop(lines.remove(*at)),
                    1 => lines.insert(*at, format!("x\nx\nx {nth}\n")),
                    _ => lines[*at] = "changed\n".to_owned(),
                }
            }
            lines.concat()
        };
        fixture.write("f", edited(&|_| true));
        let listed = client.text("git_add", &json!({"list": true}));
        let ids: Vec<&str> = listed.split("] hunk ").skip(1).filter_map(|part| part.split(' ').next()).collect();
        assert_eq!(ids.len(), edits.len(), "{listed}");
        let only = usize::try_from(roll(ids.len() as u64)).unwrap_or_default();
        client.text("git_add", &json!({"hunks": [ids[only]]}));
        assert_eq!(fixture.text(&["show", ":f"]) + "\n", edited(&|nth| nth == only), "round {round}: {edits:?}, {only} staged");
        fixture.git(&["reset", "-q"]);
        client.text("git_add", &json!({"hunks": [ids[only]], "action": "discard"}));
        assert_eq!(content(&fixture, "f"), edited(&|nth| nth != only), "round {round}: {edits:?}, {only} discarded");
    }
}

#[test]
fn equal_hunks_are_not_confused_when_a_call_is_repeated() {
    let fixture = Fixture::empty();
    let base: String = (0..3).map(|_| "a\nb\nc\nd\ne\nf\n").collect();
    fixture.write("f", &base).commit("base");
    fixture.write("f", base.replace("c\n", "C\n"));
    support::shell(&fixture.path, "chmod +x f");
    let mut client = fixture.serve();
    let listed = client.text("git_add", &json!({"list": true}));
    let id = listed.split("] hunk ").nth(1).and_then(|part| part.split(' ').next()).expect("a hunk").to_owned();
    client.text("git_add", &json!({"hunks": [id]}));
    assert_eq!(fixture.text(&["show", ":f"]).matches('C').count(), 1);
    assert!(fixture.text(&["ls-files", "--stage"]).starts_with("100644"), "the mode is another change");
    assert!(client.error("git_add", &json!({"hunks": [id]})).contains("there is no hunk"));
    assert_eq!(fixture.text(&["show", ":f"]).matches('C').count(), 1);
}

#[test]
fn undo_keeps_later_work() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    client.text("git_rm", &json!({"files": ["a.txt"]}));
    fixture.write("a.txt", "made since\n");
    let refused = undo(&mut client);
    assert!(support::text_of(&refused).contains("a.txt"), "{refused}");
    assert_eq!(content(&fixture, "a.txt"), "made since\n");
    fs::remove_file(fixture.path.join("a.txt"))?;
    assert_ne!(undo(&mut client)["isError"], true);
    assert_eq!(content(&fixture, "a.txt"), "one\ntwo\n");
    // The restored index is older than the one it replaces.
    assert_eq!(client.text("git_status", &json!({})).lines().count(), 2);
    client.text("git_rm", &json!({"files": ["dir"], "recursive": true}));
    fixture.write("dir", "a file in place of the folder\n");
    assert_eq!(undo(&mut client)["isError"], true);
    assert_eq!(content(&fixture, "dir"), "a file in place of the folder\n");
    fs::remove_file(fixture.path.join("dir"))?;
    undo(&mut client);
    // A merge that untracks a file, which is then ignored and holds a secret.
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.git(&["rm", "-q", "--cached", "a.txt"]);
    fixture.write(".gitignore", "a.txt\n");
    fixture.git(&["add", ".gitignore"]);
    fixture.git(&["commit", "-q", "-m", "untracked"]);
    fixture.git(&["checkout", "-q", "-f", "main"]);
    client.text("git_merge", &json!({"source_branch": "side"}));
    fixture.write("a.txt", "secret\n");
    assert_eq!(undo(&mut client)["isError"], true);
    assert_eq!(content(&fixture, "a.txt"), "secret\n");
    Ok(())
}

#[test]
fn undo_of_a_rename_affects_no_other_branch() {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "dev"]);
    fixture.git(&["update-ref", "refs/remotes/origin/dev", "HEAD~1"]);
    fixture.git(&["remote", "add", "origin", "https://example.com/x"]);
    let at = fixture.text(&["rev-parse", "dev"]);
    let mut client = fixture.serve();
    let rename = json!({"branch_name": "dev", "new_name": "devel"});
    client.text("git_branch_rename", &rename);
    assert_ne!(undo(&mut client)["isError"], true);
    assert_eq!(
        fixture.text(&["for-each-ref", "--format=%(refname) %(objectname) %(upstream)", "refs/heads/dev*"]),
        format!("refs/heads/dev {at}")
    );
    assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), "refs/heads/dev");
    // Refused if another branch has the name by now.
    client.text("git_branch_rename", &rename);
    fixture.git(&["branch", "dev", "HEAD~1"]);
    let refused = undo(&mut client);
    assert_eq!(refused["isError"], true, "{refused}");
    assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), "refs/heads/devel");
    assert_eq!(fixture.text(&["rev-parse", "devel", "dev"]), format!("{at}\n{}", fixture.text(&["rev-parse", "HEAD~1"])));
}

#[test]
fn ignored_files_are_not_overwritten() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", ".env\n").commit("ignore");
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write(".env", "template\n");
    fixture.git(&["add", "-f", ".env"]);
    fixture.git(&["commit", "-q", "-m", "template"]);
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("m.txt", "m\n").commit("main moves on");
    fixture.write(".env", "SECRET\n");
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_cherry_pick", json!({"commit_hash": "side"})),
        ("git_rebase", json!({"target_branch": "side"})),
        ("git_merge", json!({"source_branch": "side"})),
        ("git_checkout", json!({"branch_name": "side"})),
        ("git_bisect", json!({"action": "start", "bad": "side", "good": ["HEAD~2"]})),
    ] {
        let refused = client.error(tool, &args);
        assert!(refused.contains(".env"), "{tool}: {refused}");
        assert_eq!(content(&fixture, ".env"), "SECRET\n", "{tool}");
        assert_eq!(fixture.text(&["status", "--porcelain"]), "", "{tool}");
    }
    fixture.write("wide/x.env", "SECRET\n").write("wide/w.txt", "w\n");
    fixture.write(".gitignore", ".env\n*.env\n").commit("wide");
    let refused = client.error("git_sparse_checkout", &json!({"action": "set", "paths": ["dir"]}));
    assert!(refused.contains("wide/x.env") && refused.contains("`confirm`: true"), "{refused}");
    assert_eq!(content(&fixture, "wide/x.env"), "SECRET\n");
    client.text("git_sparse_checkout", &json!({"action": "set", "paths": ["wide"]}));
    assert_eq!(content(&fixture, "wide/x.env"), "SECRET\n");
}

#[test]
fn a_worktree_with_work_in_it_is_not_removed() {
    let fixture = Fixture::new();
    fixture.write(".gitignore", "*.env\n").commit("ignore");
    fixture.git(&["branch", "there"]);
    let above = fs::canonicalize(fixture.home.path()).expect("its path").display().to_string();
    let mut client = Client::start(&["-r", &above], &[]);
    client.initialize();
    let call = |more: Value| {
        let mut args = json!({"repo_path": fixture.path.display().to_string()});
        args.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        args
    };
    // On an existing branch, on none, and from a start point.
    client.text("git_worktree", &call(json!({"action": "add", "path": format!("{above}/one"), "branch": "there"})));
    client.text("git_worktree", &call(json!({"action": "add", "path": format!("{above}/two")})));
    client.text("git_worktree", &call(json!({"action": "add", "path": format!("{above}/three"), "start_point": "HEAD~1"})));
    fs::write(format!("{above}/one/x.env"), "SECRET\n").expect("a file");
    let remove = |name: &str| call(json!({"action": "remove", "path": format!("{above}/{name}")}));
    assert!(client.error("git_worktree", &remove("one")).contains("x.env"));
    let two = json!({"repo_path": format!("{above}/two"), "message": "only here", "allow_empty": true});
    client.text("git_commit", &two);
    assert!(client.error("git_worktree", &remove("two")).contains("which is on no branch"));
    client.text("git_worktree", &remove("three"));
    assert_eq!(fixture.text(&["worktree", "list"]).lines().count(), 3);
}

#[test]
fn a_bisect_ends_where_git_ends_it() {
    let fixture = Fixture::empty();
    fixture.write("f", "a\n").commit("A");
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("s", "s\n").commit("C");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("m", "m\n").commit("B");
    let mut client = fixture.serve();
    let begun = client.text("git_bisect", &json!({"action": "start", "bad": "main", "good": ["side"]}));
    let base = fixture.text(&["rev-parse", "main~1"]);
    assert!(begun.contains(&format!("{base} is checked out")), "a merge base is tested first: {begun}");
    let fixed = client.error("git_bisect", &json!({"action": "bad"}));
    assert!(fixed.contains("merge base") && fixed.contains("fixed between"), "{fixed}");
    assert!(client.error("git_bisect", &json!({})).contains("came and went"));
    client.text("git_bisect", &json!({"action": "reset"}));
    client.text("git_bisect", &json!({"action": "start", "bad": "main", "good": ["side"]}));
    let found = client.text("git_bisect", &json!({"action": "good"}));
    assert!(found.contains(&format!("{} is the first bad commit", fixture.text(&["rev-parse", "main"]))), "{found}");
}

#[test]
fn clean_removes_what_its_preview_lists() {
    let fixture = Fixture::new();
    fixture.write("loose.txt", "x\n").write("out/inner.txt", "x\n").write(".gitignore", "*.log\n").write("kept.log", "x\n");
    let mut client = fixture.serve();
    let listed = client.text("git_clean", &json!({}));
    assert!(listed.contains("2 would be removed") && !listed.contains("out"), "{listed}");
    assert!(client.error("git_clean", &json!({"remove": true})).contains("`confirm`: true"));
    let done = client.text("git_clean", &json!({"remove": true, "confirm": true}));
    assert!(done.contains("2 of 2 removed"), "{done}");
    assert!(fixture.path.join("out/inner.txt").exists() && fixture.path.join("kept.log").exists());
    client.text("git_clean", &json!({"remove": true, "directories": true, "ignored": true, "confirm": true}));
    assert!(!fixture.path.join("out").exists() && !fixture.path.join("kept.log").exists());
}

#[test]
fn unfinished_writes_of_a_killed_server_are_removed() -> Outcome {
    let fixture = Fixture::new();
    let state = tempfile::tempdir()?;
    let folder = state.path().display().to_string();
    let mut client = fixture.serve_with(&["--state-dir", &folder], &[]);
    fixture.write("a.txt", "staged\n").write("b.txt", "by another\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    // A server killed while it held the worktree's lock and the index lock.
    let gone = client.pid();
    drop(client);
    let lock = fs::read_dir(state.path().join("locks"))?.flatten().find(|entry| entry.path().extension().is_some_and(|end| end == "lock"));
    fs::write(lock.ok_or("a lock")?.path(), format!("{gone}\n1\ngit_add\n"))?;
    let git = |name: String| fixture.path.join(".git").join(name);
    let (ours, index_lock) = (git(format!("index.mcp-{gone}-0")), git("index.lock".to_owned()));
    fs::write(&ours, "half an index")?;
    fs::hard_link(&ours, &index_lock)?;
    let mut client = fixture.serve_with(&["--state-dir", &folder], &[]);
    client.text("git_add", &json!({"files": ["b.txt"]}));
    assert!(!ours.exists() && !index_lock.exists());
    assert_eq!(fixture.git(&["diff", "--cached", "--name-only"]), b"a.txt\nb.txt\n");
    Ok(())
}
