//! Partial clones: missing objects are fetched through the checks, in one batch, or not at all.

use crate::support::{
    Client, Fixture, Outcome, call_in, files,
    remote::{OPEN, Remote},
    shell, text_of,
    tokens::tokens,
    wire::{Served, call, modern},
};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt};

/// A remote with some history: files that change in every commit, a renamed one, and a branch.
pub(crate) fn remote() -> Remote {
    let remote = Remote::start();
    for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
        remote.git(&["config", key, "true"]);
    }
    let work = Fixture::empty();
    for round in 1..=6 {
        for name in ["a.txt", "b.txt", "dir/c.txt", "dir/d.txt"] {
            let lines: Vec<String> =
                (0..40).map(|line| if line == round * 5 { format!("{name} {round}") } else { format!("line {line}") }).collect();
            work.write(name, lines.join("\n") + "\n");
        }
        work.commit(&format!("round {round}"));
    }
    work.git(&["mv", "a.txt", "moved.txt"]);
    let text = fs::read_to_string(work.path.join("moved.txt")).expect("a file");
    work.write("moved.txt", text + "more\n").commit("rename");
    work.git(&["checkout", "-q", "-b", "topic", "HEAD~3"]);
    work.write("new.txt", "new\n").write("b.txt", "other\n").commit("topic one");
    work.write("dir/new.txt", "newer\n").commit("topic two");
    work.git(&["push", "-q", &remote.path().display().to_string(), "main", "topic"]);
    remote
}

/// A partial clone of it, without the content of old files.
fn partial(remote: &Remote) -> Fixture {
    clone(remote, "--filter=blob:none")
}

pub(crate) fn clone(remote: &Remote, option: &str) -> Fixture {
    let home = tempfile::tempdir().expect("a folder");
    let path = fs::canonicalize(home.path()).expect("its path").join("repo");
    let script = format!("git clone -q {option} '{}' repo", remote.url());
    shell(home.path(), &script);
    let fixture = Fixture { home, path };
    fixture.git(&["config", "user.name", "A U Thor"]);
    fixture.git(&["config", "user.email", "author@example.com"]);
    // The other branch is protected.
    fixture.git(&["checkout", "-q", "-b", "work"]);
    fixture
}

/// Number of fetches of missing objects.
pub(crate) fn fetched(fixture: &Fixture) -> usize {
    let packs = files(&fixture.path.join(".git/objects/pack"));
    packs.iter().filter(|path| path.extension().is_some_and(|extension| extension == "promisor")).count()
}

/// Calls that each need missing content right after a clone.
fn calls() -> Vec<(&'static str, Value)> {
    vec![
        ("git_show", json!({"revision": "HEAD~3"})),
        ("git_show", json!({"revision": "HEAD~4:dir/c.txt"})),
        ("git_diff", json!({"base": "HEAD~4", "target": "HEAD"})),
        ("git_diff", json!({"target": "HEAD~2"})),
        ("git_blame", json!({"path": "b.txt"})),
        ("git_grep", json!({"pattern": "line 3", "rev": "HEAD~3"})),
        ("git_range_diff", json!({"old": "HEAD~3..HEAD~1", "new": "origin/topic~2..origin/topic"})),
        ("git_merge_preview", json!({"source_branch": "origin/topic"})),
        ("git_checkout", json!({"branch_name": "topic"})),
        ("git_checkout", json!({"branch_name": "HEAD~4"})),
        ("git_reset", json!({"mode": "hard", "target": "HEAD~2", "confirm": true})),
        ("git_restore", json!({"paths": ["b.txt"], "source": "HEAD~2", "confirm": true})),
        ("git_merge", json!({"source_branch": "origin/topic"})),
        ("git_cherry_pick", json!({"commit_hash": "origin/topic"})),
        ("git_revert", json!({"commit_hash": "HEAD~1"})),
        ("git_rebase", json!({"target_branch": "origin/topic", "confirm": true})),
        ("git_worktree", json!({"action": "add", "path": "wt", "start_point": "HEAD~3"})),
        ("git_bisect", json!({"action": "start", "bad": "HEAD", "good": ["HEAD~5"]})),
    ]
}

fn back(fixture: &Fixture) {
    for args in [&["bisect", "reset"][..], &["rebase", "--abort"], &["merge", "--abort"], &["worktree", "remove", "--force", "wt"]] {
        fixture.try_git(args);
    }
    fixture.git(&["checkout", "-q", "-f", "work"]);
    fixture.git(&["reset", "-q", "--hard", "origin/main"]);
    fixture.try_git(&["branch", "-q", "-D", "topic"]);
}

#[test]
fn missing_objects_are_fetched_only_through_the_checks_38() -> Outcome {
    let remote = remote();
    let original = partial(&remote);
    // git itself does contact it.
    let copy = partial(&remote);
    let before = remote.requests();
    copy.git(&["checkout", "-q", "topic"]);
    assert!(remote.requests() > before);
    let old = old_git(&original);
    let open_port = [("MCP_GIT_PROTOCOLS", "https,http")];
    let open_host = [("MCP_GIT_ALLOW_HOSTS", "127.0.0.1")];
    for (refusal, args, variables) in [
        ("is not an address of the public internet", vec![], open_port),
        ("the protocol `http` is disabled", vec![], open_host),
        ("is not an address of the public internet", vec!["--git", &old], open_port),
    ] {
        let mut client = original.serve_with(&args, &variables);
        let before = remote.requests();
        let fetch = client.error("git_fetch", &json!({}));
        assert!(fetch.contains(refusal), "{fetch}");
        for (tool, args) in calls() {
            let status = original.text(&["status", "--porcelain=v1", "--branch"]);
            let error = client.error(tool, &args);
            assert!(error.contains(refusal) && error.contains("not in this partial clone"), "{tool} {args}: {error}");
            assert_eq!(original.text(&["status", "--porcelain=v1", "--branch"]), status, "{tool} {args} has begun");
            assert!(original.path.join("b.txt").exists() && !original.path.join("wt").exists(), "{tool} {args}");
        }
        assert_eq!(remote.requests(), before, "no request reached the remote");
        assert_eq!(fetched(&original), fetched(&copy) - 1);
    }
    // Nor in an untrusted one.
    let root = original.path.parent().ok_or("a parent")?.display().to_string();
    let mut client = Client::start(&["-r", &root], &[]);
    client.initialize();
    let before = remote.requests();
    for (tool, mut args) in calls() {
        args["repo_path"] = json!(original.path);
        client.error(tool, &args);
    }
    assert_eq!(remote.requests(), before);
    Ok(())
}

/// A git that reports an older version and knows only that version's ways to prevent a fetch.
fn old_git(fixture: &Fixture) -> String {
    let program = fixture.home.path().join("git-2.40");
    let script = "#!/bin/sh\nif [ \"$1\" = version ]; then echo git version 2.40.1; exit; fi\nunset GIT_NO_LAZY_FETCH\nexec git \"$@\"\n";
    fs::write(&program, script).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    program.display().to_string()
}

#[test]
fn a_partial_clone_answers_like_a_full_one() {
    let remote = remote();
    let whole = clone(&remote, "--no-tags");
    let place = |fixture: &Fixture, text: &str| text.replace(&fixture.home.path().display().to_string(), "HOME");
    for (tool, args) in calls() {
        let partial = partial(&remote);
        let before = fetched(&partial);
        let of_whole = whole.serve_with(&[], &OPEN).result(tool, &args);
        let of_partial = partial.serve_with(&[], &OPEN).result(tool, &args);
        let shown = |fixture: &Fixture, result: &Value| {
            let text = place(fixture, &text_of(result));
            // Each answer has its own mark, and changes create commits at another time.
            let lines: Vec<String> = text.lines().map(|line| line.split_once("] ").map_or(line, |(_, rest)| rest).to_owned()).collect();
            lines.join("\n")
        };
        if ["git_show", "git_diff", "git_blame", "git_grep", "git_range_diff", "git_checkout", "git_reset"].contains(&tool) {
            assert_eq!(shown(&partial, &of_partial), shown(&whole, &of_whole), "{tool} {args}");
        }
        assert_eq!(of_partial["isError"], of_whole["isError"], "{tool} {args}: {of_partial} {of_whole}");
        for fixture in [&partial, &whole] {
            assert_eq!(fixture.text(&["status", "--porcelain=v1"]), whole.text(&["status", "--porcelain=v1"]), "{tool} {args}");
        }
        assert_eq!(fetched(&partial), before + 1, "{tool} {args}: one batch");
        back(&whole);
    }
    // A renamed file: its old name is found only if the content is here.
    let partial = partial(&remote);
    let mut client = partial.serve_with(&[], &OPEN);
    let before = fetched(&partial);
    let blamed = client.text("git_blame", &json!({"path": "moved.txt"}));
    assert_eq!(blamed, whole.serve_with(&[], &OPEN).text("git_blame", &json!({"path": "moved.txt"})));
    assert!(fetched(&partial) <= before + 2, "a batch for each name");
    // A change that needs no content is made without fetching, and reported.
    let before = fetched(&partial);
    client.text("git_reset", &json!({"mode": "soft", "target": "HEAD~3", "confirm": true}));
    assert_eq!(fetched(&partial), before);
    whole.git(&["reset", "-q", "--soft", "HEAD~3"]);
    assert_eq!(client.text("git_status", &json!({})), whole.serve_with(&[], &OPEN).text("git_status", &json!({})));
    back(&whole);
    // Trees can be missing, too, and a sparse working tree needs only its own.
    let treeless = clone(&remote, "--filter=tree:0");
    for (tool, args) in &calls()[..6] {
        let of_whole = whole.serve_with(&[], &OPEN).result(tool, args);
        assert_eq!(treeless.serve_with(&[], &OPEN).result(tool, args)["isError"], of_whole["isError"], "{tool} {args}");
    }
    let sparse = clone(&remote, "--filter=blob:none --sparse");
    let mut client = sparse.serve_with(&[], &OPEN);
    client.text("git_checkout", &json!({"branch_name": "HEAD~3"}));
    let missing = |rev: &str| sparse.try_git(&["cat-file", "-e", rev]);
    sparse.git(&["config", "remote.origin.url", "/nowhere"]);
    assert!(missing("HEAD:b.txt").status.success() && !missing("HEAD:dir/c.txt").status.success());
    sparse.git(&["config", "remote.origin.url", &remote.url()]);
    client.text("git_sparse_checkout", &json!({"action": "set", "paths": ["dir"]}));
    assert!(sparse.path.join("dir/c.txt").exists() && sparse.text(&["status", "--porcelain=v1"]).is_empty());
    // End to end: the server clones, and works in the clone.
    let place = partial.home.path().join("cloned").display().to_string();
    let root = partial.home.path().display().to_string();
    let mut client = Client::start(&["-r", &root], &OPEN);
    client.initialize();
    client.text("git_clone", &json!({"url": remote.url(), "repo_path": place, "blobless": true}));
    for (tool, args) in [
        ("git_show", json!({"repo_path": place, "revision": "HEAD~3"})),
        ("git_blame", json!({"repo_path": place, "path": "moved.txt"})),
        ("git_checkout", json!({"repo_path": place, "branch_name": "topic"})),
        ("git_fetch", json!({"repo_path": place})),
    ] {
        client.text(tool, &args);
    }
}

#[test]
fn without_the_permission_to_fetch_the_error_names_who_has_it() -> Outcome {
    let remote = remote();
    let partial = partial(&remote);
    // A token without the scope: the named call fetches for one that has it, and then for both.
    let (config, [all, reader, _]) = tokens(&partial);
    let served = Served::start(&partial, &["--config", &config], &OPEN);
    let (all, reader) = (format!("Bearer {all}"), format!("Bearer {reader}"));
    let ask = |token: &str, tool: &str, args: Value| {
        modern(&served, &[("Authorization", token)], call(1, tool, args)).message().map(|reply| reply["result"].clone()).expect("a result")
    };
    for (tool, args) in [
        ("git_show", json!({"revision": "HEAD~5"})),
        ("git_diff", json!({"target": "HEAD~4"})),
        ("git_blame", json!({"path": "dir/c.txt"})),
    ] {
        let before = fetched(&partial);
        let refused = ask(&reader, tool, args.clone());
        let text = text_of(&refused);
        assert!(refused["isError"] == true && text.contains("`network`") && fetched(&partial) == before, "{refused}");
        let (named, its) = call_in(text.split_once("A caller with that scope fetches them with: ").ok_or("a call")?.1.trim());
        assert_ne!(ask(&all, &named, its)["isError"], true);
        assert_ne!(ask(&reader, tool, args)["isError"], true);
    }
    // A read-only server names the operator's command, which works.
    let mut client = partial.serve_with(&["--read-only"], &OPEN);
    let before = fetched(&partial);
    for (tool, args) in [
        ("git_show", json!({"revision": "HEAD~3:dir/d.txt"})),
        ("git_blame", json!({"path": "b.txt"})),
        ("git_diff", json!({"base": "HEAD~5", "target": "HEAD~3"})),
    ] {
        let error = client.error(tool, &args);
        let command = error.split_once("fetch all of them with: ").ok_or("a command")?.1.trim();
        assert!(command.starts_with("git -C ") && fetched(&partial) == before, "{error}");
        if tool == "git_diff" {
            shell(&partial.path, command);
            client.text(tool, &args);
        }
    }
    Ok(())
}

#[test]
fn a_bisect_with_custom_terms_fetches_its_next_commit() {
    let remote = remote();
    let (whole, fixture) = (clone(&remote, ""), partial(&remote));
    for repository in [&whole, &fixture] {
        repository.git(&["bisect", "start", "--term-old=fast", "--term-new=slow"]);
        repository.git(&["bisect", "slow", "HEAD"]);
        repository.git(&["bisect", "fast", "HEAD~6"]);
    }
    let mut client = fixture.serve_with(&["--toolsets", "all"], &OPEN);
    client.text("git_bisect", &json!({"action": "bad"}));
    whole.git(&["bisect", "slow"]);
    assert_eq!(fixture.text(&["rev-parse", "HEAD"]), whole.text(&["rev-parse", "HEAD"]));
    assert_eq!(fixture.text(&["status", "--short"]), "");
}
