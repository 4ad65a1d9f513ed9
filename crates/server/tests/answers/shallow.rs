//! Shallow history: answers report where it limits them, with the call that fetches more.

use crate::support::{
    Client, Fixture, Outcome, call_in, next_call, parts,
    remote::{OPEN, Remote},
    shell,
};
use serde_json::{Value, json};
use std::fs;

/// A remote with a branch that diverged from `main` some commits ago, and an unrelated branch.
fn remote() -> Remote {
    let (remote, work) = (Remote::start(), Fixture::empty());
    for round in 1..=6 {
        work.write("a.txt", format!("one {round}\ntwo\n")).commit(&format!("round {round}"));
        if round == 2 {
            work.git(&["tag", "-a", "-m", "early", "early"]);
        }
    }
    work.git(&["checkout", "-q", "-b", "side", "HEAD~3"]);
    work.write("b.txt", "side\n").commit("side one").write("b.txt", "side\nmore\n").commit("side two");
    work.git(&["checkout", "-q", "--orphan", "other"]);
    work.git(&["rm", "-r", "-f", "-q", "."]);
    work.write("c.txt", "other\n").commit("another history");
    work.git(&["push", "-q", "--tags", &remote.path().display().to_string(), "main", "side", "other"]);
    remote
}

fn clone(remote: &Remote, depth: u32) -> (Fixture, Client) {
    let home = tempfile::tempdir().expect("a folder");
    let path = fs::canonicalize(home.path()).expect("its path").join("repo");
    let option = if depth == 0 { String::new() } else { format!("--depth={depth} --no-single-branch") };
    shell(home.path(), &format!("git clone -q {option} '{}' repo && cd repo && git checkout -q -b work", remote.url()));
    let fixture = Fixture { home, path };
    fixture.git(&["config", "user.name", "A U Thor"]);
    fixture.git(&["config", "user.email", "author@example.com"]);
    let client = fixture.serve_with(&["--toolsets", "all"], &OPEN);
    (fixture, client)
}

#[test]
fn shallow_history_is_reported_where_it_limits_an_answer() -> Outcome {
    let remote = remote();
    for (tool, args) in [
        ("git_log", json!({"max_count": 50})),
        ("git_log", json!({"grep": "round 2"})),
        ("git_log", json!({"rev": "origin/main..origin/side"})),
        ("git_blame", json!({"path": "a.txt"})),
        ("git_show", json!({"revision": "HEAD~1"})),
        ("git_merge_base", json!({"one": "HEAD", "other": "origin/side"})),
        ("git_range_diff", json!({"old": "origin/main..origin/side", "new": "origin/side~1..origin/side"})),
        ("git_shortlog", json!({})),
    ] {
        let (fixture, mut client) = clone(&remote, 2);
        let reply = client.text(tool, &args);
        assert!(reply.contains("history is shallow"), "{tool} {args}: {reply}");
        let (next, its) = next_call(&parts(&reply).notes).ok_or("a call")?;
        let fetched = client.text(&next, &its);
        assert!(fetched.contains("the history is complete now"), "{fetched}");
        assert_eq!(fixture.text(&["rev-parse", "--is-shallow-repository"]), "false");
        let (_whole, mut of_whole) = clone(&remote, 0);
        let (after, whole) = (client.text(tool, &args), of_whole.text(tool, &args));
        assert_eq!(parts(&after).body, parts(&whole).body, "{tool} {args}");
        assert!(!after.contains("shallow"), "{after}");
    }
    // Unlimited answers do not mention it.
    let (_fixture, mut client) = clone(&remote, 2);
    for (tool, args) in
        [("git_log", json!({"max_count": 1})), ("git_show", json!({"revision": "HEAD"})), ("git_diff", json!({"target": "HEAD~1"}))]
    {
        assert!(!client.text(tool, &args).contains("shallow"), "{tool}");
    }
    Ok(())
}

#[test]
fn unrelated_histories_are_explained() -> Outcome {
    let remote = remote();
    let calls: [(&str, Value); 6] = [
        ("git_diff", json!({"target": "HEAD...origin/side"})),
        ("git_diff", json!({"base": "HEAD", "target": "origin/side", "merge_base": true})),
        ("git_merge_preview", json!({"source_branch": "origin/side"})),
        ("git_merge", json!({"source_branch": "origin/side"})),
        ("git_rebase", json!({"target_branch": "origin/side", "confirm": true})),
        ("git_cherry_pick", json!({"commit_hash": "origin/side~1"})),
    ];
    for (tool, args) in calls {
        let (fixture, mut client) = clone(&remote, 2);
        let before = fixture.text(&["rev-parse", "HEAD"]);
        let error = client.error(tool, &args);
        assert!(error.contains("history is shallow") && error.contains("`depth`: 0"), "{tool} {args}: {error}");
        assert_eq!((fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["status", "--porcelain"])), (before, String::new()));
        client.text("git_fetch", &json!({"depth": 0}));
        client.text(tool, &args);
        // Complete histories with nothing in common.
        if tool != "git_cherry_pick" && tool != "git_rebase" {
            let (_whole, mut client) = clone(&remote, 0);
            let args: Value = serde_json::from_str(&args.to_string().replace("origin/side", "origin/other"))?;
            let error = client.error(tool, &args);
            assert!(error.contains("unrelated") && !error.contains("shallow"), "{tool} {args}: {error}");
            // Both hints work.
            client.text("git_diff", &json!({"base": "HEAD", "target": "origin/other"}));
            client.text("git_cherry_pick", &json!({"commit_hash": "origin/other"}));
        }
    }
    let (_fixture, mut client) = clone(&remote, 2);
    let error = client.error("git_describe", &json!({}));
    let (tool, args) = call_in(error.split_once("Next: ").ok_or("a call")?.1.trim());
    client.text(&tool, &args);
    assert!(client.text("git_describe", &json!({})).starts_with("early-4-"));
    Ok(())
}

#[test]
fn a_fetch_that_deepens_reports_it() {
    let remote = remote();
    let (fixture, mut client) = clone(&remote, 2);
    let deeper = client.text("git_fetch", &json!({"depth": 3}));
    assert!(deeper.contains("history is deeper now") && !deeper.contains("nothing new"), "{deeper}");
    assert_eq!(fixture.text(&["rev-list", "--count", "HEAD"]), "3");
    let same = client.text("git_fetch", &json!({"depth": 3}));
    assert!(same.contains("nothing new") && !same.contains("deeper"), "{same}");
    let shorter = client.text("git_fetch", &json!({"depth": 1}));
    assert!(shorter.contains("shallow now") && fixture.text(&["rev-list", "--count", "HEAD"]) == "1", "{shorter}");
    let whole = client.text("git_fetch", &json!({"depth": 0}));
    assert!(whole.contains("the history is complete now") && fixture.text(&["rev-list", "--count", "HEAD"]) == "6", "{whole}");
}

#[test]
fn the_shallow_boundary_commit_is_not_amended() {
    let remote = remote();
    for (depth, refused) in [(1, true), (2, false), (0, false)] {
        for args in [
            json!({"amend": true, "message": "other"}),
            json!({"amend": true, "message": "other", "allow_empty": true, "confirm": true}),
            json!({"amend": true, "message": "other", "sign_off": true}),
        ] {
            let (fixture, mut client) = clone(&remote, depth);
            // A commit on no remote, so that only its missing parents forbid amending it.
            let before = fixture.text(&["rev-parse", "HEAD"]);
            let mut args = args;
            args["confirm"] = json!(true);
            if refused {
                let error = client.error("git_commit", &args);
                assert!(error.contains("history is shallow and ends at ") && error.contains("`depth`: 0"), "{error}");
                assert_eq!(fixture.text(&["rev-parse", "HEAD"]), before);
                client.text("git_fetch", &json!({"depth": 0}));
            }
            client.text("git_commit", &args);
            assert_eq!(fixture.text(&["log", "-1", "--format=%p"]).split(' ').filter(|id| !id.is_empty()).count(), 1);
        }
    }
    // A root commit is no shallow boundary, whatever a remote says.
    let (small, one) = (Remote::start(), Fixture::empty());
    one.write("a", "1\n").commit("one");
    one.git(&["push", "-q", &small.path().display().to_string(), "main"]);
    let (fixture, mut client) = clone(&small, 1);
    client.text("git_commit", &json!({"amend": true, "message": "other", "confirm": true}));
    assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), "other");
}

#[test]
fn a_revision_beyond_the_boundary_names_the_call_that_fetches_it() {
    let remote = remote();
    for (tool, args) in [
        ("git_show", json!({"revision": "HEAD~3"})),
        ("git_diff", json!({"base": "HEAD~4", "target": "HEAD"})),
        ("git_log", json!({"rev": "HEAD^^^..HEAD"})),
        ("git_create_branch", json!({"branch_name": "old", "base_branch": "HEAD~3"})),
    ] {
        let (_fixture, mut client) = clone(&remote, 2);
        let error = client.error(tool, &args);
        assert!(error.contains("History is shallow and ends before it: git_fetch with `depth`: 0"), "{tool}: {error}");
        client.text("git_fetch", &json!({"depth": 0}));
        client.text(tool, &args);
        // Missing revisions are reported as before.
        for rev in ["nothing~3", "HEAD~30"] {
            let error = client.error("git_show", &json!({"revision": rev}));
            assert!(!error.contains("shallow"), "{error}");
        }
    }
}

#[test]
fn a_depth_of_0_fetches_all_history() {
    let remote = remote();
    let home = tempfile::tempdir().expect("a folder");
    let root = fs::canonicalize(home.path()).expect("its path");
    let mut client = Client::start(&["-r", &root.display().to_string(), "--toolsets", "all"], &OPEN);
    client.initialize();
    for (depth, commits) in [(0, "6"), (2, "2")] {
        let place = root.join(format!("clone-{depth}"));
        client.text("git_clone", &json!({"url": remote.url(), "repo_path": place, "depth": depth}));
        assert_eq!(String::from_utf8_lossy(&shell(&place, "git rev-list --count HEAD")).trim(), commits);
    }
    // If the remote itself has no more, that is reported.
    shell(&remote.path(), "git clone -q --bare --depth=2 file://$PWD ../short.git");
    shell(&root, &format!("git clone -q '{}' short", remote.url().replace("repo.git", "short.git")));
    let text = client.text("git_fetch", &json!({"repo_path": root.join("short"), "depth": 0}));
    assert!(text.contains("history still ends at 1 commit: origin itself is shallow"), "{text}");
    assert!(!client.text("git_fetch", &json!({"repo_path": root.join("clone-2"), "depth": 0})).contains("still ends"));
}
