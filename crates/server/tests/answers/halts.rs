//! Merges, picks, reverts and rebases that stop without a conflict: at a hook, the signing program, or a missing
//! identity.

use crate::support::{
    Fixture, Outcome,
    hooks::{SIGNS, accept, calls, follow, forked, hook, no_trace, put_files_back, ran, refuse, script, stage, state},
    remote::published,
    text_of,
};
use serde_json::json;
use std::fs;

#[test]
fn the_hook_that_stops_a_merge_pick_revert_or_rebase_is_named_12() {
    for name in ["pre-merge-commit", "commit-msg", "prepare-commit-msg", "pre-rebase", "reference-transaction"] {
        for (branch, tool, args) in calls() {
            let runs = match name {
                "pre-merge-commit" | "commit-msg" => tool == "git_merge",
                "pre-rebase" => tool == "git_rebase",
                _ => true,
            };
            let fixture = forked();
            fixture.git(&["checkout", "-q", branch]);
            let before = state(&fixture);
            refuse(&fixture, name);
            let mut client = fixture.serve();
            if !runs {
                client.text(tool, &args);
                continue;
            }
            let command = tool.trim_start_matches("git_").replace('_', "-");
            let error = client.error(tool, &args);
            assert!(error.contains(&format!("the hook `{name}` stopped the {command} (exit code 3)")), "{error}");
            assert!(error.contains(&format!("NO-{name}")), "{error}");
            for wrong in ["git_conflicts", "needs attention", "git commit", "--continue", "verify"] {
                assert!(!error.contains(wrong), "{name} {tool}: {error}");
            }
            let status = fixture.text(&["status", "--porcelain"]);
            let is_staged = status.lines().any(|line| !line.starts_with([' ', '?']));
            assert_eq!(error.contains("Nothing is staged."), !is_staged, "{status}: {error}");
            let in_progress = client.text("git_status", &json!({}));
            assert_eq!(
                error.contains("is in progress.") && !error.contains("Nothing is in progress."),
                in_progress.contains("in progress"),
                "{error} {in_progress}"
            );
            accept(&fixture, name);
            put_files_back(&mut client, &error);
            follow(&mut client, &error, tool, &args, &fixture, &before);
            assert!(ran(&fixture, name) > 0, "{tool}: {name} has run before anything was recorded: {error}");
            let log = fixture.text(&["log", "--format=%s", "-4"]);
            let done = match tool {
                "git_merge" => fixture.text(&["rev-list", "--count", "--merges", "HEAD"]) == "1",
                "git_cherry_pick" => log.starts_with("side 2\nside 1\nmain 1\n"),
                "git_revert" => log.starts_with("Revert \"main 1\"\nmain 1\n"),
                _ => log.starts_with("side 2\nside 1\nmain 1\n") && fixture.text(&["branch", "--show-current"]) == "side",
            };
            assert!(done, "{name} {tool}: {log}");
            no_trace(&fixture);
        }
    }
}

#[test]
fn a_stopped_merge_pick_or_rebase_can_be_aborted_12() {
    for name in ["commit-msg", "prepare-commit-msg"] {
        for (branch, tool, args) in calls() {
            let fixture = forked();
            fixture.git(&["checkout", "-q", branch]);
            let before = state(&fixture);
            refuse(&fixture, name);
            let mut client = fixture.serve();
            if name == "commit-msg" && tool != "git_merge" {
                continue;
            }
            let error = client.error(tool, &args);
            if error.contains("git_abort restores the state before") {
                client.text("git_abort", &json!({}));
            }
            assert_eq!(state(&fixture), before, "{tool}: {error}");
        }
    }
}

#[test]
fn a_hook_that_stops_a_continued_operation_is_named_12() {
    for (tool, name) in [
        ("git_merge", "pre-commit"),
        ("git_merge", "commit-msg"),
        ("git_cherry_pick", "pre-commit"),
        ("git_cherry_pick", "prepare-commit-msg"),
        ("git_rebase", "prepare-commit-msg"),
    ] {
        let fixture = forked();
        fixture.git(&["checkout", "-q", "main"]);
        fixture.write("s1.txt", "other\n").commit("main 2");
        let (_, _, args) = calls().into_iter().find(|(_, one, _)| *one == tool).expect("a call");
        if tool == "git_rebase" {
            fixture.git(&["checkout", "-q", "side"]);
        }
        let mut client = fixture.serve();
        let conflict = client.error(tool, &args);
        assert!(conflict.contains("conflicts in s1.txt") && conflict.contains("git_conflicts"), "{conflict}");
        fixture.write("s1.txt", "both\n");
        client.text("git_add", &json!({"files": ["s1.txt"]}));
        refuse(&fixture, name);
        let error = client.error("git_continue", &json!({}));
        assert!(error.contains(&format!("the hook `{name}` stopped the")) && error.contains(&format!("NO-{name}")), "{error}");
        assert!(error.contains("is in progress") && error.contains("M s1.txt"), "{error}");
        accept(&fixture, name);
        if error.contains("git_commit with a `message`") {
            client.text("git_commit", &json!({"message": "accepted"}));
        } else {
            assert!(error.contains("Then call git_continue"), "{error}");
            client.text("git_continue", &json!({}));
        }
        assert!(ran(&fixture, name) > 0, "{tool} {name}");
        assert!(client.text("git_status", &json!({})).contains("nothing to commit") || fixture.text(&["status", "--porcelain"]).is_empty());
    }
}

#[test]
fn the_failing_signing_program_is_named_12() {
    let commit = ("main", "git_commit", json!({"message": "x"}));
    let tag = ("main", "git_tag", json!({"action": "create", "name": "v1", "message": "x", "sign": true}));
    for broken in ["echo 'gpg: no secret key' >&2; exit 2", ""] {
        for (branch, tool, args) in calls().into_iter().chain([commit.clone(), tag.clone()]) {
            let fixture = forked();
            fixture.git(&["checkout", "-q", branch]);
            if tool == "git_commit" {
                stage(&fixture, "signed\n");
            }
            let before = state(&fixture);
            let program = fixture.path.join("../my gpg");
            if !broken.is_empty() {
                script(&program, broken);
            }
            fixture.git(&["config", "gpg.program", &program.display().to_string()]);
            fixture.git(&["config", "commit.gpgSign", "true"]);
            let mut client = fixture.serve();
            let error = client.error(tool, &args);
            let expect = if broken.is_empty() { "failed to start" } else { "exit code 2" };
            let command = tool.trim_start_matches("git_").replace('_', "-");
            assert!(error.contains(&format!("the signing program `mygpg` stopped the {command} ({expect})")), "{error}");
            assert!(broken.is_empty() || error.contains("gpg: no secret key"), "{error}");
            assert!(error.contains("`gpg.program` and `user.signingKey`") && !error.contains("git_conflicts"), "{error}");
            assert!(!error.contains("gpgSign=false") && !error.contains("no-gpg-sign"), "no bypass is advised: {error}");
            script(&program, SIGNS);
            follow(&mut client, &error, tool, &args, &fixture, &before);
            let signed =
                if tool == "git_tag" { fixture.text(&["cat-file", "-p", "v1"]) } else { fixture.text(&["cat-file", "-p", "HEAD"]) };
            assert!(signed.contains("BEGIN PGP SIGNATURE"), "{tool}: {signed}");
            no_trace(&fixture);
        }
    }
}

#[test]
fn a_missing_identity_is_reported_with_a_fix_12() {
    for (branch, tool, args) in calls().into_iter().chain([("main", "git_commit", json!({"message": "x"}))]) {
        let fixture = forked();
        fixture.git(&["checkout", "-q", branch]);
        if tool == "git_commit" {
            stage(&fixture, "mine\n");
        }
        let before = state(&fixture);
        for key in ["user.name", "user.email"] {
            fixture.git(&["config", "--unset", key]);
        }
        fixture.git(&["config", "user.useConfigOnly", "true"]);
        let mut client = fixture.serve();
        let error = client.error(tool, &args);
        assert!(error.contains("no identity is configured for commits"), "{tool}: {error}");
        assert!(error.contains("git config --global user.name NAME") && !error.contains("git_conflicts"), "{error}");
        fixture.git(&["config", "user.name", "A U Thor"]);
        fixture.git(&["config", "user.email", "author@example.com"]);
        follow(&mut client, &error, tool, &args, &fixture, &before);
        assert!(fixture.text(&["log", "-1", "--format=%cn"]).contains("A U Thor"));
    }
}

#[test]
fn a_hook_that_rejects_references_midway_is_reported_with_the_state_12() -> Outcome {
    for (branch, tool, args) in calls().into_iter().chain([("main", "git_checkout", json!({"branch_name": "side"}))]) {
        for nth in 1..=6 {
            let fixture = forked();
            fixture.git(&["checkout", "-q", branch]);
            let count = fixture.path.join("../count");
            let counts = format!("n=$(cat '{0}' 2>/dev/null || echo 0); n=$((n+1)); echo $n > '{0}'", count.display());
            hook(
                &fixture,
                "reference-transaction",
                &format!("[ $1 = prepared ] || exit 0; {counts}; [ $n != {nth} ] || {{ echo NO >&2; exit 3; }}"),
            );
            let before = state(&fixture);
            let mut client = fixture.serve();
            let result = client.result(tool, &args);
            if result["isError"] != true {
                continue;
            }
            let error = text_of(&result);
            assert!(error.contains("the hook `reference-transaction` stopped") && error.contains("It wrote:\nNO"), "{nth}: {error}");
            let after = state(&fixture);
            assert_eq!(error.contains("HEAD did not move."), before[0] == after[0], "{tool} {nth}: {error}");
            for line in after[2].lines() {
                let (sign, path) = line.split_at(3);
                let named = match sign {
                    "?? " => error.contains("untracked: ") && error.contains(path),
                    " D " | " M " => error.contains("Edited meanwhile, not staged: ") && error.contains(path),
                    staged => error.contains(&format!("{} {path}", &staged[..1])),
                };
                assert!(named, "{tool} {nth}: {line}: {error}");
            }
            fs::remove_file(fixture.path.join(".git/hooks/reference-transaction"))?;
            put_files_back(&mut client, &error);
            if error.contains("git_abort restores the state before") {
                client.text("git_abort", &json!({}));
            }
            let again = client.result(tool, &args);
            let text = text_of(&again);
            // Some steps may be done already.
            assert!(again["isError"] != true || before[0] != after[0], "{tool} {nth}: {text} after {error}");
        }
    }
    Ok(())
}

#[test]
fn a_hooks_edits_are_reverted_before_a_merge_is_aborted_12() {
    let fixture = forked();
    let before = state(&fixture);
    hook(&fixture, "pre-merge-commit", "echo formatted >> s1.txt; echo NO >&2; exit 1");
    let mut client = fixture.serve();
    let error = client.error("git_merge", &json!({"source_branch": "side"}));
    assert!(error.contains("Edited meanwhile, not staged: s1.txt."), "{error}");
    put_files_back(&mut client, &error);
    assert!(error.contains("discards the edits. Then git_abort restores the state before the merge."), "{error}");
    client.text("git_abort", &json!({}));
    assert_eq!(state(&fixture), before);
}

#[test]
fn the_hook_that_stops_a_pull_or_a_smaller_change_is_named_12() -> Outcome {
    for (how, name) in [("merge", "pre-merge-commit"), ("merge", "commit-msg"), ("rebase", "pre-rebase"), ("rebase", "prepare-commit-msg")]
    {
        let (fixture, remote) = published();
        let elsewhere = tempfile::tempdir()?;
        let script = format!(
            "git clone -q '{}' w && cd w && git config user.name O && git config user.email o@example.com && echo other > o.txt && \
             git add . && git commit -q -m 'of another' && git push -q origin main",
            remote.path().display()
        );
        crate::support::shell(elsewhere.path(), &script);
        fixture.write("n.txt", "n\n").commit("new");
        let before = state(&fixture);
        refuse(&fixture, name);
        let mut client = fixture.serve_with(&[], &crate::support::remote::OPEN);
        let args = json!({"how": how});
        let error = client.error("git_pull", &args);
        assert!(
            error.contains(&format!("the hook `{name}` stopped the {how} (exit code 3)")) && !error.contains("git_conflicts"),
            "{error}"
        );
        accept(&fixture, name);
        follow(&mut client, &error, "git_pull", &args, &fixture, &before);
        assert!(ran(&fixture, name) > 0, "{how} {name}");
        assert!(fixture.path.join("o.txt").exists() && fixture.text(&["status", "--porcelain"]).is_empty());
    }
    for (tool, args) in [
        ("git_stash", json!({"action": "push"})),
        ("git_create_branch", json!({"branch_name": "new"})),
        ("git_tag", json!({"action": "create", "name": "v1"})),
        ("git_reset", json!({"mode": "soft", "target": "HEAD~1"})),
        ("git_worktree", json!({"action": "add", "path": "wt", "branch": "third"})),
    ] {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        refuse(&fixture, "reference-transaction");
        let before = state(&fixture);
        let mut client = fixture.serve();
        let error = client.error(tool, &args);
        assert!(
            error.contains("the hook `reference-transaction` stopped ") && error.contains("(exit code 3); it wrote:"),
            "{tool}: {error}"
        );
        assert!(error.contains("NO-reference-transaction") && error.contains("Fix what it reports. Then repeat the call."), "{error}");
        assert_eq!(state(&fixture), before, "{tool}");
        accept(&fixture, "reference-transaction");
        client.text(tool, &args);
        assert!(ran(&fixture, "reference-transaction") > 0);
    }
    Ok(())
}

#[test]
fn a_pop_whose_entry_cannot_be_dropped_must_not_be_repeated_12() {
    // For older entries git runs no hook.
    for (older, edit) in [(0, "a.txt"), (0, "new.txt"), (0, "dir/b.rs")] {
        let fixture = Fixture::new();
        for at in 0..older {
            fixture.write("dir/b.rs", format!("{at}\n")).git(&["stash", "-q"]);
        }
        fixture.write(edit, "stashed\n").git(&["stash", "-q", "-u"]);
        let entry = fixture.text(&["rev-parse", "refs/stash"]);
        hook(&fixture, "reference-transaction", "grep -q refs/stash && [ \"$1\" = prepared ] && { echo KEPT >&2; exit 3; }; exit 0");
        let mut client = fixture.serve();
        let error = client.error("git_stash", &json!({"action": "pop"}));
        assert!(error.contains(&format!("stash entry {entry} was applied but not dropped: ")), "{error}");
        assert!(error.contains("KEPT") && error.contains("do not apply them again") && !error.contains("repeat the call"), "{error}");
        assert_eq!(std::fs::read_to_string(fixture.path.join(edit)).expect("a file"), "stashed\n");
        std::fs::remove_file(fixture.path.join(".git/hooks/reference-transaction")).expect("the hook");
        if error.contains("`git update-ref -d refs/stash`") {
            assert_eq!((fixture.text(&["stash", "list"]), older), (String::new(), 0));
            fixture.git(&["update-ref", "-d", "refs/stash"]);
        } else {
            client.text("git_stash", &json!({"action": "drop", "number": 0}));
        }
        assert_eq!(fixture.text(&["stash", "list"]).lines().count(), older);
    }
}

#[test]
fn exit_codes_that_are_no_signals_are_reported_unchanged_12() {
    for (code, expect) in
        [(3, "exit code 3"), (137, "ended by signal 9"), (192, "ended by signal 64"), (193, "exit code 193"), (255, "exit code 255")]
    {
        let fixture = Fixture::new();
        stage(&fixture, "x\n");
        hook(&fixture, "pre-commit", &format!("exit {code}"));
        let error = fixture.serve().error("git_commit", &json!({"message": "m"}));
        assert!(error.contains(&format!("({expect})")), "{code}: {error}");
    }
}
