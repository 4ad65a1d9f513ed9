//! Hooks that stop a commit, a push or a checkout. The report matches what git did, and its next steps work.

use crate::support::{
    Client, Fixture, Outcome, call_in, git_in,
    hooks::{accept, forked, hook, no_trace, ran, refuse, script, stage, state},
    remote::published,
    text_of,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn the_hook_that_stops_a_commit_is_named_12() {
    for name in ["pre-commit", "prepare-commit-msg", "commit-msg", "reference-transaction"] {
        for args in [json!({"message": "bad"}), json!({"message": "bad", "amend": true}), json!({"message": "bad", "allow_empty": true})] {
            let fixture = Fixture::new();
            let is_empty = args.get("allow_empty").is_some();
            if !is_empty {
                stage(&fixture, "three\n");
            }
            refuse(&fixture, name);
            let before = state(&fixture);
            let of_git = fixture.try_git(&["commit", "-q", "-m", "bad", "--allow-empty"]);
            assert!(!of_git.status.success() && String::from_utf8_lossy(&of_git.stderr).contains(&format!("NO-{name}")), "git stops, too");
            let mut client = fixture.serve();
            let error = client.error("git_commit", &args);
            assert!(error.contains(&format!("the hook `{name}` stopped the commit (exit code 3)")), "{error}");
            assert!(error.contains(&format!("NO-{name}")) && error.contains("HEAD did not move."), "{error}");
            let staged = if is_empty { "Nothing is staged." } else { "Staged: 1: M a.txt." };
            assert!(error.contains(staged) && !error.contains("git_conflicts") && !error.contains("verify"), "{error}");
            assert_eq!(state(&fixture), before, "{name}");
            // Its requirement is met, and it runs again.
            accept(&fixture, name);
            let step = if name == "commit-msg" {
                "Repeat the call with a `message` that it accepts."
            } else {
                "Fix what it reports. Then repeat the call."
            };
            assert!(error.contains(step), "{error}");
            client.text("git_commit", &args);
            assert!(ran(&fixture, name) > 0, "{name} has run");
            no_trace(&fixture);
        }
    }
}

#[test]
fn a_hook_that_edits_files_and_refuses_is_reported_with_the_files_12() {
    let fixture = Fixture::new();
    fixture.write("own.txt", "1\n").commit("own");
    fixture.write("own.txt", "of the user, not staged\n");
    fixture.write("b c.txt", "bad\n").git(&["add", "b c.txt"]);
    stage(&fixture, "bad\n");
    let format = "git diff --cached --name-only -z | xargs -0 grep -lZ bad | xargs -0 -r sed -i s/bad/good/ && exit 0";
    hook(&fixture, "pre-commit", &format!("if git grep -q --cached bad; then {format}; fi"));
    // It refuses after changing files, and creates one.
    hook(
        &fixture,
        "pre-commit",
        "if git grep -q --cached bad; then sed -i s/bad/good/ a.txt 'b c.txt'; touch report.log; echo formatted >&2; exit 1; fi",
    );
    let mut client = fixture.serve();
    let error = client.error("git_commit", &json!({"message": "formatted"}));
    assert!(error.contains("the hook `pre-commit` stopped the commit (exit code 1)") && error.contains("formatted"), "{error}");
    assert!(error.contains("Staged: 2: M a.txt, A b c.txt."), "{error}");
    assert!(error.contains("Edited meanwhile, not staged: a.txt, b c.txt."), "{error}");
    assert!(error.contains("untracked: report.log.") && !error.contains("own.txt"), "{error}");
    let (_, call) = error.split_once("Stage the edits to keep: ").expect("a call");
    let (tool, args) = call_in(call.split_once(". Then repeat").expect("its end").0);
    client.text(&tool, &args);
    client.text("git_commit", &json!({"message": "formatted"}));
    assert_eq!(fixture.text(&["show", "HEAD:a.txt", "HEAD:b c.txt"]), "good\ngood");
    assert!(fixture.text(&["status", "--porcelain"]).contains("M own.txt"), "the user's own edits are not committed");
    no_trace(&fixture);
}

#[test]
fn a_hook_that_unstages_and_refuses_is_reported_12() {
    for (undo, expect) in [
        ("git checkout -q HEAD -- a.txt", "Nothing is staged (1 before)."),
        ("git reset -q", "Nothing is staged (1 before)."),
        ("echo more > new.txt; git add new.txt", "Staged: 2 (1 before): M a.txt, A new.txt."),
    ] {
        let fixture = Fixture::new();
        stage(&fixture, "three\n");
        hook(&fixture, "pre-commit", &format!("if [ ! -e .git/ok ]; then {undo}; echo NO >&2; exit 1; fi"));
        let mut client = fixture.serve();
        let error = client.error("git_commit", &json!({"message": "x"}));
        assert!(error.contains("the hook `pre-commit` stopped the commit") && error.contains(expect), "{undo}: {error}");
        assert!(!error.contains("nothing is staged to commit"), "{error}");
        assert!(error.contains("Stage what is missing with git_add.") || error.contains("Stage the edits to keep"), "{error}");
        fixture.write(".git/ok", "").write("a.txt", "three\n");
        client.text("git_add", &json!({"files": ["a.txt"]}));
        client.text("git_commit", &json!({"message": "x"}));
        assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), "x");
    }
    // Reported even if no hook is to blame.
    let fixture = Fixture::new();
    accept(&fixture, "pre-commit");
    let mut client = fixture.serve();
    assert!(client.error("git_commit", &json!({"message": "x"})).contains("nothing is staged to commit"));
}

#[test]
fn hooks_that_cannot_start_or_are_killed_are_reported_12() {
    for (text, expect) in [
        ("#!/nonexistent/sh\n", "failed to start"),
        ("#!/bin/sh\r\nexit 0\r\n", "failed to start"),
        ("#!/bin/sh\nkill -9 $$\n", "ended by signal 9"),
    ] {
        let fixture = Fixture::new();
        stage(&fixture, "three\n");
        accept(&fixture, "pre-commit");
        fixture.write(".git/hooks/pre-commit", text);
        assert!(!fixture.try_git(&["commit", "-q", "-m", "x"]).status.success(), "git stops, too");
        let mut client = fixture.serve();
        let error = client.error("git_commit", &json!({"message": "x"}));
        assert!(error.contains(&format!("the hook `pre-commit` stopped the commit ({expect})")), "{error}");
        assert_eq!(error.contains("its first line must name a program that exists"), expect.contains("start"), "{error}");
        accept(&fixture, "pre-commit");
        client.text("git_commit", &json!({"message": "x"}));
        assert_eq!(ran(&fixture, "pre-commit"), 1);
    }
}

#[test]
fn a_hook_that_stops_a_push_is_named_and_one_after_a_checkout_stops_nothing_12() {
    let (fixture, remote) = published();
    fixture.write("n.txt", "n\n").commit("new");
    let there = remote.git(&["rev-parse", "main"]);
    refuse(&fixture, "pre-push");
    let mut client = fixture.serve_with(&[], &crate::support::remote::OPEN);
    let error = client.error("git_push", &json!({}));
    assert!(error.contains("the hook `pre-push` stopped the push (exit code 3)") && error.contains("NO-pre-push"), "{error}");
    assert!(!error.contains("credential") && error.contains("Fix what it reports. Then repeat the call."), "{error}");
    assert_eq!(remote.git(&["rev-parse", "main"]), there);
    accept(&fixture, "pre-push");
    // The push succeeds although the local record of it is refused.
    refuse(&fixture, "reference-transaction");
    let error = client.error("git_push", &json!({}));
    assert!(error.contains("the hook `reference-transaction` stopped the push"), "{error}");
    assert!(error.contains("took effect: refs/heads/main"), "{error}");
    assert_eq!(remote.git(&["rev-parse", "main"]), fixture.text(&["rev-parse", "HEAD"]));
    accept(&fixture, "reference-transaction");
    assert!(client.text("git_push", &json!({})).contains("is up to date"));

    refuse(&fixture, "post-checkout");
    for (tool, args) in [
        ("git_checkout", json!({"branch_name": "other", "create": true})),
        ("git_worktree", json!({"action": "add", "path": "wt", "branch": "third"})),
        ("git_workspace", json!({"action": "open"})),
    ] {
        let text = client.text(tool, &args);
        assert!(
            text.contains("after that the hook `post-checkout` failed (exit code 3); it wrote:") && text.contains("NO-post-checkout"),
            "{text}"
        );
    }
    assert_eq!(fixture.text(&["branch", "--show-current"]), "other");
    assert!(fixture.path.join("wt/a.txt").exists());
    assert_eq!(git_in(&fixture.path.join("wt"), &["branch", "--show-current"]).stdout, b"third\n");
    refuse(&fixture, "reference-transaction");
    let error = client.error("git_checkout", &json!({"branch_name": "main"}));
    assert!(error.contains("the hook `reference-transaction` stopped git checkout"), "{error}");
}

#[test]
fn hook_output_is_bounded_and_leaves_nothing_behind_12() {
    let fixture = Fixture::new();
    stage(&fixture, "three\n");
    // Many git processes write to the trace.
    hook(
        &fixture,
        "pre-commit",
        "i=0; while [ $i -lt 40 ]; do git status > /dev/null; i=$((i+1)); done; yes 'a long line of a hook' | head -c 2000000 >&2; exit 1",
    );
    let mut client = fixture.serve();
    for tokens in [500, 8000] {
        let result = client.result("git_commit", &json!({"message": "x", "max_tokens": tokens}));
        let text = text_of(&result);
        assert!(text.len() <= tokens * 4 && text.contains("the hook `pre-commit` stopped the commit (exit code 1)"), "{text}");
        assert!(text.contains("Staged: 1: M a.txt.") && text.contains("Fix what it reports. Then repeat the call."), "{text}");
    }
    no_trace(&fixture);
}

/// Every hook that a change of this server can run, except `post-index-change`, which git runs only sometimes.
const ALL: [&str; 12] = [
    "pre-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-merge-commit",
    "post-merge",
    "pre-rebase",
    "post-rewrite",
    "post-checkout",
    "pre-push",
    "reference-transaction",
    "pre-auto-gc",
];

/// The hooks that a text names between these marks.
fn named(text: &str, marks: [char; 2]) -> BTreeSet<String> {
    text.split(marks).filter(|word| ALL.contains(word)).map(str::to_owned).collect()
}

#[test]
fn hooks_that_are_not_executable_are_reported_as_in_git_18() -> Outcome {
    let calls: [(&str, &str, Value, &str); 9] = [
        ("main", "git_commit", json!({"message": "x", "allow_empty": true}), "commit --allow-empty -m x"),
        ("main", "git_commit", json!({"message": "x", "amend": true}), "commit --amend -m x"),
        ("main", "git_merge", json!({"source_branch": "side"}), "merge --no-edit side"),
        ("old", "git_merge", json!({"source_branch": "side"}), "merge --no-edit side"),
        ("main", "git_cherry_pick", json!({"commit_hash": "side"}), "cherry-pick side"),
        ("main", "git_revert", json!({"commit_hash": "HEAD"}), "revert --no-edit HEAD"),
        ("side", "git_rebase", json!({"target_branch": "main"}), "rebase main"),
        ("main", "git_checkout", json!({"branch_name": "side"}), "checkout side"),
        ("main", "git_worktree", json!({"action": "add", "path": "wt", "branch": "third"}), "worktree add -b third wt"),
    ];
    for (branch, tool, args, of_git) in calls {
        let mut found = Vec::new();
        for ours in [false, true] {
            let fixture = forked();
            fixture.git(&["branch", "old", "side~1"]);
            fixture.git(&["checkout", "-q", branch]);
            for name in ALL {
                fixture.write(&format!(".git/hooks/{name}"), "#!/bin/sh\nexit 1\n");
            }
            if ours {
                let mut client = fixture.serve();
                let text = client.text(tool, &args);
                assert!(text.contains("did not run: are not executable. To have hooks run: `chmod +x` in "), "{text}");
                let line = text.lines().find(|line| line.contains("did not run")).ok_or("a line")?;
                found.push(named(line, ['`', '`']));
            } else {
                let quiet = ["-c", "maintenance.auto=false", "-c", "gc.auto=0"];
                let output = fixture.try_git(&[&quiet[..], &of_git.split(' ').collect::<Vec<_>>()].concat());
                found.push(named(&String::from_utf8_lossy(&output.stderr), ['/', '\'']));
            }
        }
        assert_eq!(found[0], found[1], "{tool} {args}");
        assert!(!found[0].is_empty());
    }
    let (fixture, _remote) = published();
    fixture.write("n.txt", "n\n").commit("new").write(".git/hooks/pre-push", "#!/bin/sh\nexit 1\n");
    let mut client = fixture.serve_with(&[], &crate::support::remote::OPEN);
    let text = client.text("git_push", &json!({}));
    assert!(text.contains("the hook `pre-push` did not run: is not executable"), "{text}");
    // The named fix works.
    let folder = text.split_once("`chmod +x` in ").and_then(|(_, rest)| rest.lines().next()).ok_or("a folder")?;
    crate::support::shell(&fixture.path, &format!("chmod +x '{folder}/pre-push'"));
    fixture.commit("newer");
    assert!(client.error("git_push", &json!({})).contains("the hook `pre-push` stopped the push"));
    Ok(())
}

#[test]
fn a_missing_hooks_folder_is_reported_18() {
    for (value, is_there) in [(".husky/_", true), ("hooks-of-us", false), ("/nonexistent/hooks", false)] {
        let fixture = Fixture::new();
        fixture.git(&["config", "core.hooksPath", value]);
        fixture.write(".gitignore", ".husky/\nwt/\n").commit("ignore");
        if is_there {
            script(&fixture.path.join(value).join("pre-commit"), "echo NO >&2; exit 1");
        }
        let mut client = fixture.serve();
        fixture.write("a.txt", "main\n");
        client.text("git_add", &json!({"files": ["a.txt"]}));
        if is_there {
            assert!(client.error("git_commit", &json!({"message": "x"})).contains("the hook `pre-commit` stopped the commit"));
        } else {
            let text = client.text("git_commit", &json!({"message": "x"}));
            assert!(text.contains("no hook ran: `core.hooksPath` is ") && text.contains(value), "{text}");
        }
        // A relative path differs in each worktree.
        let made = client.text("git_worktree", &json!({"action": "add", "path": "wt", "branch": "third"}));
        assert_eq!(made.contains("no hook ran"), !is_there, "{made}");
        fixture.write("wt/a.txt", "third\n");
        let there = fixture.path.join("wt").display().to_string();
        client.text("git_add", &json!({"repo_path": there, "files": ["a.txt"]}));
        let text = client.text("git_commit", &json!({"repo_path": there, "message": "x"}));
        let expected = if value.starts_with('/') { value.to_owned() } else { format!("{there}/{value}") };
        assert!(text.contains(&format!("no hook ran: `core.hooksPath` is {expected}, which does not exist")), "{text}");
        // The named fix works.
        let folder = if value.starts_with('/') { continue } else { fixture.path.join("wt").join(value) };
        script(&folder.join("pre-commit"), "echo NO >&2; exit 1");
        fixture.write("wt/a.txt", "fourth\n");
        client.text("git_add", &json!({"repo_path": there, "files": ["a.txt"]}));
        let error = client.error("git_commit", &json!({"repo_path": there, "message": "x"}));
        assert!(error.contains("the hook `pre-commit` stopped the commit"), "{error}");
    }
}

#[test]
fn hooks_disabled_by_the_operator_are_reported_18() -> Outcome {
    let fixture = Fixture::new();
    refuse(&fixture, "pre-commit");
    let path = fixture.path.display().to_string();
    let above = fixture.path.join("..").canonicalize()?.display().to_string();
    for (root, variables, expect) in [
        (&above, &[][..], "the operator has not named this repository"),
        (&path, &[("MCP_GIT_HOOKS", "deny")][..], "the operator has disabled hooks"),
        (&path, &[("MCP_GIT_TRUST", "untrusted")][..], "the operator has disabled hooks"),
    ] {
        stage(&fixture, &format!("{root} {variables:?}\n"));
        let mut client = Client::start(&["-r", root], variables);
        client.initialize();
        let text = client.text("git_commit", &json!({"repo_path": path, "message": "x"}));
        assert!(text.contains(&format!("the hook `pre-commit` did not run: {expect}")), "{text}");
        if let Some((_, named)) = text.split_once("start the server with `-r ") {
            assert_eq!(named.split('`').next(), Some(path.as_str()));
        }
    }
    // If all hooks run, or none exists, nothing is reported.
    accept(&fixture, "pre-commit");
    stage(&fixture, "more\n");
    assert!(!fixture.serve().text("git_commit", &json!({"message": "x"})).contains("did not run"));
    assert_eq!(ran(&fixture, "pre-commit"), 1);
    Ok(())
}
