//! An agent's day through the server alone: work with a remote, many worktrees or a long
//! history. Each ends as the same work with git by hand, and with a clean fsck.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{
    Client, Fixture, Outcome,
    remote::{OPEN, Remote, published},
};

#[track_caller]
fn sound(fixture: &Fixture) {
    let output = fixture.try_git(&["fsck", "--strict"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Commits on the remote's `main` from another clone.
fn push_elsewhere(remote: &Remote, script: &str) {
    let elsewhere = tempfile::tempdir().expect("a folder");
    let script = format!(
        "git clone -q '{}' w && cd w && git config user.name O && git config user.email o@example.com && {script} && git push -q",
        remote.path().display()
    );
    support::shell(elsewhere.path(), &script);
}

/// The ids of the listed hunks, with their text.
fn listed(client: &mut Client, args: &Value) -> Vec<(String, String)> {
    let text = client.text("git_add", args);
    let parts = text.split("] hunk ").skip(1);
    parts.map(|part| (part.split(' ').next().unwrap_or_default().to_owned(), part.to_owned())).collect()
}

#[test]
fn a_feature_branch_with_staged_hunks_is_pushed_with_its_upstream() {
    let (fixture, remote) = published();
    let lines: Vec<String> = (1..=40).map(|n| format!("line {n}\n")).collect();
    fixture.write("long.txt", lines.concat()).commit("long");
    let mut client = fixture.serve_with(&[], &OPEN);
    client.text("git_checkout", &json!({"branch_name": "feature", "create": true}));
    let edit = |at: &[(usize, &str)]| -> String {
        lines
            .iter()
            .enumerate()
            .map(|(n, line)| at.iter().find(|(at, _)| *at == n + 1).map_or(line.clone(), |(_, new)| format!("{new}\n")))
            .collect()
    };
    fixture.write("long.txt", edit(&[(3, "wanted one"), (20, "debugging"), (38, "wanted two")]));
    fixture.write("a.txt", "one\ntwo\nthree\n");
    let hunks = listed(&mut client, &json!({"list": true}));
    assert_eq!(hunks.len(), 4, "{hunks:?}");
    let wanted: Vec<&str> = hunks.iter().filter(|(_, text)| text.contains("+wanted")).map(|(id, _)| id.as_str()).collect();
    let staged = client.text("git_add", &json!({"hunks": wanted}));
    assert!(staged.contains("2 hunks staged") && staged.contains("M long.txt"), "{staged}");
    assert_eq!(fixture.text(&["show", ":long.txt"]) + "\n", edit(&[(3, "wanted one"), (38, "wanted two")]));
    client.text("git_commit", &json!({"message": "wanted"}));
    // One staged hunk is unstaged again, and the rest of the edits discarded and restored.
    fixture.write("long.txt", edit(&[(3, "wanted one"), (20, "debugging"), (38, "wanted two"), (30, "late")]));
    let late: Vec<(String, String)> = listed(&mut client, &json!({"list": true, "files": ["long.txt"]}));
    client.text("git_add", &json!({"hunks": late.iter().map(|(id, _)| id).collect::<Vec<_>>()}));
    let unstage = listed(&mut client, &json!({"list": true, "action": "unstage"}));
    let debugging = unstage.iter().find(|(_, text)| text.contains("+debugging")).expect("the hunk");
    client.text("git_add", &json!({"hunks": [debugging.0], "action": "unstage"}));
    client.text("git_commit", &json!({"message": "late"}));
    let left = listed(&mut client, &json!({"list": true, "action": "discard"}));
    let before = fs::read(fixture.path.join("long.txt")).expect("the file");
    let ids: Vec<&String> = left.iter().filter(|(_, text)| text.contains("+debugging")).map(|(id, _)| id).collect();
    client.text("git_add", &json!({"hunks": ids, "action": "discard"}));
    assert_eq!(
        fs::read_to_string(fixture.path.join("long.txt")).unwrap_or_default(),
        edit(&[(3, "wanted one"), (38, "wanted two"), (30, "late")])
    );
    let gone = client.error("git_add", &json!({"hunks": [debugging.0], "action": "discard"}));
    assert!(gone.contains("there is no hunk") && gone.contains("`list`: true"), "{gone}");
    let preview = client.text("git_undo", &json!({}));
    let (tool, args) = support::call_in(preview.split_once("To undo it: ").expect("a call").1.trim_end());
    client.text(&tool, &args);
    assert_eq!(fs::read(fixture.path.join("long.txt")).expect("the file"), before);
    client.text("git_push", &json!({"set_upstream": true}));
    assert_eq!(remote.git(&["log", "--format=%s", "feature"]), "late\nwanted\nlong\nsecond\nfirst");
    assert_eq!(fixture.text(&["rev-parse", "--abbrev-ref", "feature@{upstream}"]), "origin/feature");
    sound(&fixture);
}

#[test]
fn a_rebase_onto_fetched_commits_stops_and_continues() {
    let (fixture, remote) = published();
    fixture.git(&["checkout", "-q", "-b", "feature"]);
    fixture.write("a.txt", "one\nours\n").commit("ours");
    fixture.write("b.txt", "b\n").commit("ours too");
    push_elsewhere(&remote, "printf 'one\\ntheirs\\n' > a.txt && git commit -qam theirs");
    let mut client = fixture.serve_with(&[], &OPEN);
    client.text("git_fetch", &json!({}));
    let stopped = client.error("git_rebase", &json!({"target_branch": "origin/main"}));
    assert!(stopped.contains("conflicts in a.txt"), "{stopped}");
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("rebase"), "{status}");
    fixture.write("a.txt", "one\ntheirs\nours\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    client.text("git_continue", &json!({"operation": "rebase"}));
    assert_eq!(fixture.text(&["log", "--format=%s"]), "ours too\nours\ntheirs\nsecond\nfirst");
    assert_eq!(fixture.text(&["show", "HEAD:a.txt"]), "one\ntheirs\nours");
    assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    sound(&fixture);
}

#[test]
fn a_merge_is_previewed_then_resolved_with_theirs() {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side", "HEAD~1"]);
    fixture.write("a.txt", "one\nside\n").commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    let mut client = fixture.serve();
    let before = support::shell(&fixture.path, "find .git -type f | sort | xargs sha1sum");
    let preview = client.text("git_merge_preview", &json!({"source_branch": "side"}));
    assert!(preview.contains("it would conflict in 1 path") && preview.contains("a.txt"), "{preview}");
    assert_eq!(support::shell(&fixture.path, "find .git -type f | sort | xargs sha1sum"), before);
    client.error("git_merge", &json!({"source_branch": "side"}));
    client.text("git_conflicts", &json!({"take": "theirs", "paths": ["a.txt"]}));
    client.text("git_commit", &json!({"message": "merged"}));
    assert_eq!(fixture.text(&["show", "HEAD:a.txt"]), "one\nside");
    assert_eq!(fixture.text(&["rev-list", "--parents", "-1", "HEAD"]).split(' ').count(), 3);
    fixture.write("c.txt", "c\n").commit("c");
    fixture.git(&["checkout", "-q", "-b", "clean", "HEAD~1"]);
    fixture.write("d.txt", "d\n").commit("d");
    assert!(client.text("git_merge_preview", &json!({"source_branch": "main"})).contains("without conflicts"));
    sound(&fixture);
}

#[test]
fn work_in_progress_is_stashed_around_a_pull() {
    let (fixture, remote) = published();
    push_elsewhere(&remote, "echo theirs > t.txt && git add . && git commit -qm theirs");
    fixture.write("a.txt", "one\ntwo\nin progress\n").write("new.txt", "n\n");
    let mut client = fixture.serve_with(&[], &OPEN);
    client.text("git_stash", &json!({"untracked": true, "message": "wip"}));
    client.text("git_pull", &json!({}));
    assert!(client.text("git_stash", &json!({"action": "list"})).contains("wip"));
    client.text("git_stash", &json!({"action": "pop"}));
    assert_eq!(fixture.text(&["rev-parse", "HEAD"]), remote.git(&["rev-parse", "main"]));
    assert_eq!(fixture.text(&["status", "--porcelain"]), " M a.txt\n?? new.txt");
    sound(&fixture);
}

#[test]
fn the_bad_commit_of_sixty_is_found() {
    let fixture = Fixture::empty();
    let script = "for n in $(seq 60); do echo $n > n.txt; [ $n -lt 41 ] || echo broken > bug.txt; git add .; git commit -q -m c$n; done";
    support::shell(&fixture.path, &format!("export GIT_CONFIG_GLOBAL=/dev/null; {script}"));
    let guilty = fixture.text(&["log", "--format=%H", "--diff-filter=A", "--", "bug.txt"]);
    let first = fixture.text(&["rev-list", "--max-parents=0", "HEAD"]);
    let mut client = fixture.serve();
    let mut said = client.text("git_bisect", &json!({"action": "start", "good": [first]}));
    let mut looks = 0;
    while said.contains("is checked out") {
        assert!(client.text("git_status", &json!({})).contains("bisect"));
        let verdict = if fixture.path.join("bug.txt").exists() { "bad" } else { "good" };
        said = client.text("git_bisect", &json!({"action": verdict}));
        looks += 1;
        assert!(looks < 10, "{said}");
    }
    assert!(said.contains(&format!("{guilty} is the first bad commit")), "{said}");
    client.text("git_bisect", &json!({"action": "reset"}));
    assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert!(client.error("git_bisect", &json!({"action": "good"})).contains("bisect"));
    sound(&fixture);
}

#[test]
fn eight_agents_have_worktrees_and_twelve_more_are_added_at_once() -> Outcome {
    let fixture = Fixture::new();
    let above = fs::canonicalize(fixture.home.path())?.display().to_string();
    let repo = fixture.path.display().to_string();
    let agents: Vec<_> = (0..8)
        .map(|n| {
            let (above, repo) = (above.clone(), repo.clone());
            std::thread::spawn(move || {
                let mut client = Client::start(&["-r", &above], &[]);
                client.initialize();
                let place = format!("{above}/task-{n}");
                let add = json!({"repo_path": repo, "action": "add", "path": place, "branch": format!("task/{n}")});
                client.text("git_worktree", &add);
                for step in 0..3 {
                    fs::write(format!("{place}/step-{step}.txt"), format!("{n}\n")).expect("a file");
                    client.text("git_add", &json!({"repo_path": place, "files": ["."]}));
                    client.text("git_commit", &json!({"repo_path": place, "message": format!("task {n} step {step}")}));
                }
            })
        })
        .collect();
    for agent in agents {
        agent.join().expect("an agent");
    }
    for n in 0..8 {
        assert_eq!(fixture.text(&["rev-list", "--count", &format!("main..task/{n}")]), "3");
    }
    let mut servers = [Client::start(&["-r", &above], &[]), Client::start(&["-r", &above], &[])];
    let mut waiting = Vec::new();
    for (at, client) in servers.iter_mut().enumerate() {
        client.initialize();
        for n in 0..6 {
            let args =
                json!({"repo_path": repo, "action": "add", "path": format!("{above}/more-{at}-{n}"), "branch": format!("more/{at}/{n}")});
            waiting.push((at, client.start_call("git_worktree", &args)));
        }
    }
    let mut answers = 0;
    for (at, client) in servers.iter_mut().enumerate() {
        let mut ids: Vec<Value> = waiting.iter().filter(|(server, _)| *server == at).map(|(_, id)| id.clone()).collect();
        while !ids.is_empty() {
            let message = client.receive();
            if let Some(place) = ids.iter().position(|id| *id == message["id"]) {
                assert_ne!(message["result"]["isError"], true, "{message}");
                ids.remove(place);
                answers += 1;
            }
        }
    }
    assert_eq!((answers, fixture.text(&["worktree", "list"]).lines().count()), (12, 21));
    // Removed: refused with work in it, then forced.
    let [client, _] = &mut servers;
    let place = format!("{above}/task-0");
    fs::write(format!("{place}/left.txt"), "x\n")?;
    let remove = |more: Value| {
        let mut args = json!({"repo_path": repo, "action": "remove", "path": place});
        args.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        args
    };
    assert!(client.error("git_worktree", &remove(json!({}))).contains("left.txt"));
    assert!(client.error("git_worktree", &remove(json!({"force": true}))).contains("`confirm`: true"));
    client.text("git_worktree", &remove(json!({"force": true, "confirm": true})));
    let taken = json!({"repo_path": repo, "action": "add", "path": format!("{above}/again"), "branch": "task/1"});
    assert!(client.error("git_worktree", &taken).contains("task-1"));
    sound(&fixture);
    Ok(())
}

#[test]
fn deleted_branches_and_tags_are_restored() {
    let fixture = Fixture::new();
    fixture.git(&["branch", "merged"]);
    fixture.git(&["checkout", "-q", "-b", "own"]);
    fixture.write("o.txt", "o\n").commit("own");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.git(&["tag", "-a", "-m", "t", "v1"]);
    let refs = fixture.text(&["for-each-ref", "refs/heads", "refs/tags"]);
    let mut client = fixture.serve();
    assert!(client.error("git_branch_delete", &json!({"branch_name": "own"})).contains("neither in its upstream nor in HEAD"));
    assert!(client.error("git_branch_delete", &json!({"branch_name": "own", "force": true})).contains("`confirm`: true"));
    for (tool, args) in [
        ("git_branch_delete", json!({"branch_name": "merged"})),
        ("git_branch_delete", json!({"branch_name": "own", "force": true, "confirm": true})),
        ("git_tag", json!({"action": "delete", "name": "v1", "confirm": true})),
        ("git_tag", json!({"action": "create", "name": "v2", "message": "two"})),
    ] {
        client.text(tool, &args);
        assert_ne!(fixture.text(&["for-each-ref", "refs/heads", "refs/tags"]), refs);
        let preview = client.text("git_undo", &json!({}));
        let (undo, args) = support::call_in(preview.split_once("To undo it: ").expect("a call").1.trim_end());
        client.text(&undo, &args);
        assert_eq!(fixture.text(&["for-each-ref", "refs/heads", "refs/tags"]), refs);
    }
    assert!(client.error("git_branch_delete", &json!({"branch_name": "main"})).contains("is protected"));
    client.text("git_branch_rename", &json!({"branch_name": "own", "new_name": "mine"}));
    assert!(client.error("git_branch_rename", &json!({"branch_name": "mine", "new_name": "merged"})).contains("already exists"));
    client.text("git_branch_upstream", &json!({"branch_name": "mine", "upstream": "main"}));
    assert_eq!(fixture.text(&["rev-parse", "--abbrev-ref", "mine@{upstream}"]), "main");
    client.text("git_branch_upstream", &json!({"branch_name": "mine"}));
    assert!(!fixture.try_git(&["rev-parse", "mine@{upstream}"]).status.success());
    sound(&fixture);
}

#[test]
fn workspaces_isolate_agents_by_handle() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    let open = |client: &mut Client, args: Value| -> (String, String) {
        let text = client.text("git_workspace", &args);
        let handle = text.split("pass \"workspace\": \"").nth(1).and_then(|rest| rest.split('"').next()).expect("a handle").to_owned();
        let place = text.split("files at ").nth(1).and_then(|rest| rest.lines().next()).expect("a place").to_owned();
        (handle, place)
    };
    let (one, place) = open(&mut client, json!({"action": "open", "branch": "task/one"}));
    let (two, _) = open(&mut client, json!({"action": "open", "start_point": "HEAD~1"}));
    assert_ne!(one, two);
    fs::write(format!("{place}/a.txt"), "in the workspace\n")?;
    client.text("git_add", &json!({"workspace": one, "files": ["a.txt"]}));
    assert!(client.text("git_commit", &json!({"workspace": one, "message": "there"})).contains("on branch task/one"));
    assert_eq!(fixture.text(&["log", "-1", "--format=%s", "task/one"]), "there");
    assert_eq!(fixture.text(&["status", "--porcelain"]), "");
    assert!(client.text("git_log", &json!({"workspace": two})).lines().count() == 1);
    let listed = client.text("git_workspace", &json!({}));
    assert!(listed.contains(&format!("{one} task/one")) && listed.contains(&two), "{listed}");
    // A handle works in another server, too, and a made-up one is rejected.
    let mut other = fixture.serve();
    assert!(other.text("git_status", &json!({"workspace": one})).contains("task/one"));
    for wrong in ["ws_00000000000000000000000000000000", "ws_", "../..", "/etc"] {
        assert!(other.error("git_status", &json!({"workspace": wrong})).contains("no such workspace"), "{wrong}");
    }
    assert!(other.error("git_status", &json!({"workspace": one, "repo_path": "x"})).contains("either"));
    fs::write(format!("{place}/left.txt"), "x\n")?;
    assert!(client.error("git_workspace", &json!({"action": "close", "handle": one})).contains("left.txt"));
    client.text("git_workspace", &json!({"action": "close", "handle": one, "force": true, "confirm": true}));
    assert!(client.error("git_status", &json!({"workspace": one})).contains("no such workspace"));
    assert_eq!(fixture.text(&["log", "-1", "--format=%s", "task/one"]), "there");
    sound(&fixture);
    Ok(())
}
