//! Operations that stop or cannot start: conflicts, hooks, signatures, files in the way.

use super::{
    collected::Advice,
    row::{Row, argument, elsewhere, followed, named, with},
};
use crate::support::{
    Client, Fixture,
    hooks::{accept, calls, forked, hook, put_files_back, refuse, stage},
    shell, text_of,
};
use serde_json::json;
use std::fs;

const HALTS: &str = "answers/halts.rs";
const HOOKS: &str = "answers/hooks.rs";
const SERIES: &str = "answers/series.rs";

/// `main` and `side` change the same line.
fn conflicting() -> Fixture {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "git checkout -qb side; echo s > a.txt; git commit -qam s; git checkout -q main; echo m > a.txt; git commit -qam m",
    );
    fixture
}

/// The same, with the merge stopped at its conflict.
pub(crate) fn conflict() -> Fixture {
    let fixture = conflicting();
    assert!(!fixture.try_git(&["merge", "-q", "side"]).status.success());
    fixture
}

/// Resolves the conflict by hand and stages the file.
fn resolve(fixture: &Fixture, client: &mut Client) {
    assert!(client.text("git_conflicts", &json!({})).contains("a.txt"));
    fixture.write("a.txt", "both\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
}

/// The two resolutions that conflicts name: taking a side, and editing.
const WAYS: [fn(&Fixture, &mut Client); 2] =
    [resolve, |_, client| drop(client.text("git_conflicts", &json!({"take": "theirs", "paths": ["a.txt"]})))];

pub(crate) const ROWS: &[Row] = &[
    followed(
        "error/advice/mod.rs",
        "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved. Then git_continue",
        |it| {
            for way in WAYS {
                let fixture = conflicting();
                let mut client = fixture.serve();
                it.printed(&mut client, ("git_merge", json!({"source_branch": "side"})));
                way(&fixture, &mut client);
                client.text("git_continue", &json!({}));
                assert_eq!(fixture.text(&["rev-list", "--merges", "--count", "HEAD"]), "1");
            }
            let fixture = conflicting();
            let mut client = fixture.serve();
            let before = fixture.text(&["rev-parse", "HEAD"]);
            it.printed(&mut client, ("git_rebase", json!({"target_branch": "side"})));
            client.text("git_abort", &json!({}));
            assert_eq!((fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["branch", "--show-current"])), (before, "main".to_owned()));
        },
    ),
    followed("error/advice/mod.rs", "git_conflicts shows them and takes a side", |it| {
        for way in WAYS {
            let fixture = conflict();
            let mut client = fixture.serve();
            let commit = ("git_commit", json!({"message": "merged"}));
            it.printed(&mut client, commit.clone());
            way(&fixture, &mut client);
            client.text(commit.0, &commit.1);
        }
    }),
    followed(
        "error/advice/operations.rs",
        "git_conflicts shows the conflicts and takes a side; git_add marks an edited file as resolved.",
        |it| {
            for way in WAYS {
                let fixture = conflicting();
                let mut client = fixture.serve();
                it.printed(&mut client, ("git_merge", json!({"source_branch": "side", "strategy": "squash"})));
                way(&fixture, &mut client);
                client.text("git_commit", &json!({"message": "squashed"}));
            }
        },
    ),
    followed("error/advice/operations.rs", "git_abort discards the incoming changes.", |it| {
        for call in [("git_stash", json!({"action": "pop"})), ("git_merge", json!({"source_branch": "side", "strategy": "squash"}))] {
            let fixture = conflicting();
            fixture.write("a.txt", "stashed\n").git(&["stash", "-q"]);
            fixture.write("a.txt", "moved on\n").commit("moved on");
            let before = fixture.text(&["rev-parse", "HEAD"]);
            let mut client = fixture.serve();
            it.printed(&mut client, call);
            client.text("git_abort", &json!({}));
            assert_eq!((fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["status", "--porcelain"])), (before, String::new()));
            assert_eq!(fixture.text(&["stash", "list"]).lines().count(), 1);
        }
    }),
    followed("error/advice/operations.rs", "{begin} There is nothing to continue", |it| {
        let fixture = conflicting();
        fixture.write("a.txt", "stashed\n").git(&["stash", "-q"]);
        fixture.write("a.txt", "moved on\n").commit("moved on");
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_stash", json!({"action": "pop"})));
        client.text("git_conflicts", &json!({"take": "theirs", "paths": ["a.txt"]}));
        let (tool, args) = named(&error, "git_stash");
        client.text(tool, &args);
        assert_eq!((fixture.text(&["stash", "list"]), fixture.text(&["ls-files", "--unmerged"])), (String::new(), String::new()));
        assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "stashed\n");
    }),
    followed("error/advice/operations.rs", "{begin} Then git_commit.", |it| {
        let fixture = conflicting();
        let mut client = fixture.serve();
        let (_, filled) = it.printed(&mut client, ("git_cherry_pick", json!({"commit_hash": "side", "no_commit": true})));
        assert!(filled[0].contains("git_conflicts shows"), "{filled:?}");
        resolve(&fixture, &mut client);
        client.text("git_commit", &json!({"message": "picked"}));
        assert_eq!(fixture.text(&["show", "HEAD:a.txt"]), "both");
    }),
    followed("error/advice/mod.rs", "Edit the files, git_add them", |it| {
        let marked = "<<<<<<< HEAD\nm\n=======\ns\n>>>>>>> side\n";
        let fixture = conflict();
        let mut client = fixture.serve();
        client.text("git_add", &json!({"files": ["a.txt"]}));
        let commit = ("git_commit", json!({"message": "merged"}));
        it.printed(&mut client, commit.clone());
        fixture.write("a.txt", "both\n");
        client.text("git_add", &json!({"files": ["a.txt"]}));
        client.text(commit.0, &commit.1);
        // The markers are intended.
        let fixture = conflict();
        let mut client = fixture.serve();
        fixture.write("a.txt", marked);
        client.text("git_add", &json!({"files": ["a.txt"]}));
        let (error, _) = it.printed(&mut client, commit.clone());
        client.text(commit.0, &with(&error, "confirm", &commit.1));
        assert_eq!(fixture.text(&["show", "HEAD:a.txt"]) + "\n", marked);
    }),
    elsewhere(
        "error/advice/mod.rs",
        "git_abort restores the state before it. Remove the cause",
        (SERIES, "a_step_that_could_not_start_is_not_reported_as_done"),
    ),
    followed("error/advice/mod.rs", "Move those files away", |it| {
        let stopped = || {
            let fixture = Fixture::empty();
            fixture.write("f", "1\n").commit("base").git(&["checkout", "-q", "-b", "side"]);
            fixture.write("g", "1\n").commit("s1").write("o", "theirs\n").commit("s2").git(&["rm", "-q", "o"]);
            fixture.git(&["commit", "-q", "-m", "s3"]);
            fixture.git(&["checkout", "-q", "main"]);
            fixture.write("m", "1\n").commit("m1").git(&["checkout", "-q", "side"]);
            fixture.write("o", "mine\n");
            fixture
        };
        let rebase = ("git_rebase", json!({"target_branch": "main"}));
        let ways: [fn(&Fixture, &mut Client); 3] = [
            |fixture, client| {
                fs::rename(fixture.path.join("o"), fixture.home.path().join("o")).expect("a file");
                client.text("git_continue", &json!({}));
            },
            |_, client| {
                client.text("git_stash", &json!({"untracked": true, "paths": ["o"]}));
                client.text("git_continue", &json!({}));
            },
            |_, client| drop(client.text("git_abort", &json!({}))),
        ];
        for way in ways {
            let fixture = stopped();
            let mut client = fixture.serve();
            it.printed(&mut client, rebase.clone());
            way(&fixture, &mut client);
            assert!(!client.text("git_status", &json!({})).contains("in progress"));
            assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), "s3");
        }
    }),
    followed("error/advice/mod.rs", "Remove the cause. Then git_continue", |it| {
        for goes_on in [true, false] {
            let fixture = forked();
            fixture.git(&["checkout", "-q", "side"]);
            assert!(!fixture.try_git(&["rebase", "-q", "-x", "test -e ok", "main"]).status.success());
            let mut client = fixture.serve();
            it.printed(&mut client, ("git_continue", json!({})));
            if goes_on {
                fixture.write("ok", "");
                client.text("git_continue", &json!({}));
                assert_eq!(fixture.text(&["merge-base", "main", "side"]), fixture.text(&["rev-parse", "main"]));
            } else {
                client.text("git_abort", &json!({}));
            }
            assert_eq!(fixture.text(&["branch", "--show-current"]), "side");
        }
    }),
    followed("error/advice/mod.rs", "git_add adds them to this commit", |it| {
        for stashes in [true, false] {
            let fixture = Fixture::empty();
            fixture.write("f", "1\n").write("o", "o\n").commit("base").git(&["checkout", "-q", "-b", "side"]);
            fixture.write("f", "side\n").commit("side").git(&["checkout", "-q", "main"]);
            fixture.write("f", "main\n").commit("m1").write("o", "o2\n").commit("m2");
            let mut client = fixture.serve();
            client.error("git_rebase", &json!({"target_branch": "side"}));
            fixture.write("f", "both\n").write("o", "o\nedit\n");
            client.text("git_add", &json!({"files": ["f"]}));
            let (error, _) = it.printed(&mut client, ("git_continue", json!({})));
            let (tool, args) = named(&error, "git_stash");
            if stashes {
                client.text(tool, &args);
                client.text("git_continue", &json!({}));
                assert_eq!(fixture.text(&["log", "-3", "--format=%s"]), "m2\nm1\nside");
            } else {
                client.text("git_add", &json!({"files": args["paths"]}));
                // The next step changes that line, too.
                let next = client.error("git_continue", &json!({}));
                assert!(next.contains("conflicts in o"), "{next}");
                assert_eq!(fixture.text(&["show", "HEAD:o"]), "o\nedit");
            }
        }
    }),
    followed("error/advice/mod.rs", "git_log shows the commits made meanwhile", |it| {
        let fixture = Fixture::new();
        hook(
            &fixture,
            "pre-commit",
            "test -n \"$INNER\" && exit 0; echo v > VERSION; git add VERSION; INNER=1 git commit -q -m bump -- VERSION",
        );
        fixture.write("a.txt", "mine\n");
        let mut client = fixture.serve();
        client.text("git_add", &json!({"files": ["."]}));
        it.printed(&mut client, ("git_commit", json!({"message": "m"})));
        assert!(client.text("git_log", &json!({})).contains("bump"));
        assert!(client.text("git_status", &json!({})).contains("a.txt"));
    }),
    elsewhere(
        "error/advice/mod.rs",
        "git_create_branch {} creates it again",
        (SERIES, "a_bisect_from_a_deleted_branch_is_ended_by_the_named_calls"),
    ),
    followed("error/advice/mod.rs", "End it with git_abort first.", |it| {
        let fixture = forked();
        let mut client = fixture.serve();
        client.text("git_bisect", &json!({"action": "start", "good": ["HEAD~2"]}));
        it.helps(&mut client, ("git_merge", json!({"source_branch": "side"})), &[("git_abort", json!({}))]);
    }),
    followed("error/advice/mod.rs", "Finish it with git_continue", |it| {
        let pick = ("git_cherry_pick", json!({"commit_hash": "extra"}));
        let made = || {
            let fixture = conflicting();
            shell(
                &fixture.path,
                "git checkout -qb extra; echo e > e; git add e; git commit -qm e; git checkout -q main; git merge -q side || true",
            );
            fixture
        };
        let fixture = made();
        it.helps(&mut fixture.serve(), pick.clone(), &[("git_abort", json!({}))]);
        let fixture = made();
        fixture.write("a.txt", "both\n").git(&["add", "a.txt"]);
        it.helps(&mut fixture.serve(), pick, &[("git_continue", json!({}))]);
    }),
    followed("error/advice/mod.rs", "git_status shows the current state.", |it| {
        for call in ["git_continue", "git_abort"] {
            let fixture = Fixture::new();
            fixture.write("a.txt", "edited\n");
            it.corrects(&fixture, (call, json!({})), &[("git_status", json!({}))]);
        }
    }),
    followed("error/advice/mod.rs", "git_conflicts without arguments", |it| {
        let fixture = conflict();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_conflicts", json!({"take": "ours", "paths": ["dir/b.rs"]})));
        assert!(client.text("git_conflicts", &json!({})).contains("a.txt"));
    }),
    followed("error/advice/mod.rs", "git_continue {\"skip\":true}", |it| {
        for skips in [true, false] {
            let fixture = forked();
            fixture.git(&["cherry-pick", "side"]);
            let before = fixture.text(&["rev-parse", "HEAD"]);
            let mut client = fixture.serve();
            let (error, _) = it.printed(&mut client, ("git_cherry_pick", json!({"commit_hash": "side"})));
            let (tool, args) = if skips { named(&error, "git_continue") } else { ("git_abort", json!({})) };
            client.text(tool, &args);
            assert_eq!(fixture.text(&["rev-parse", "HEAD"]), before);
            assert!(!client.text("git_status", &json!({})).contains("in progress"));
        }
    }),
    followed("error/advice/mod.rs", "Nothing has changed, and nothing is in progress.", |it| {
        let fixture = Fixture::new();
        fixture.write("b.txt", "b\n").commit("b");
        fixture.git(&["revert", "--no-edit", "HEAD"]);
        let before = fixture.text(&["rev-parse", "HEAD"]);
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_revert", json!({"commit_hash": "HEAD~1"})));
        assert_eq!((fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["status", "--porcelain"])), (before, String::new()));
        assert!(client.error("git_abort", &json!({})).contains("no merge, rebase"));
    }),
    followed("error/advice/operations.rs", "Ask the operator to run: git config --global user.name", introduce),
    followed("error/advice/operations.rs", "{IDENTITY}. Then repeat", introduce),
    elsewhere(
        "error/advice/operations.rs",
        "The hook cannot run: its first line",
        (HOOKS, "hooks_that_cannot_start_or_are_killed_are_reported_12"),
    ),
    elsewhere("error/advice/operations.rs", "Fix what it reports.", (HOOKS, "the_hook_that_stops_a_commit_is_named_12")),
    elsewhere(
        "error/advice/operations.rs",
        "Ask the operator to set up signing: `gpg.program`",
        (HALTS, "the_failing_signing_program_is_named_12"),
    ),
    elsewhere("tools/hooks.rs", "Stage the edits to keep", (HOOKS, "a_hook_that_edits_files_and_refuses_is_reported_with_the_files_12")),
    elsewhere("tools/hooks.rs", "{} discards the edits", (HALTS, "a_hooks_edits_are_reverted_before_a_merge_is_aborted_12")),
    followed("tools/hooks.rs", "{} lists the new files", |it| {
        let refused =
            calls().into_iter().flat_map(|call| (1..=6).map(move |nth| (nth, call.clone()))).find_map(|(nth, (branch, tool, args))| {
                let fixture = forked();
                fixture.git(&["checkout", "-q", branch]);
                let count = fixture.home.path().join("count").display().to_string();
                let counts = format!("n=$(cat '{count}' 2>/dev/null || echo 0); n=$((n+1)); echo $n > '{count}'");
                hook(&fixture, "reference-transaction", &format!("[ $1 = prepared ] || exit 0; {counts}; [ $n != {nth} ] || exit 3"));
                let error = text_of(&fixture.serve().result(tool, &args));
                error.contains("lists the new files").then_some((fixture, error, tool, args))
            });
        let (fixture, error, tool, args) = refused.expect("files that are left");
        it.read(&error);
        let untracked = || fixture.text(&["ls-files", "--others"]);
        assert_ne!(untracked(), "");
        fs::remove_file(fixture.path.join(".git/hooks/reference-transaction")).expect("a hook");
        let mut client = fixture.serve();
        put_files_back(&mut client, &error);
        assert_eq!(untracked(), "");
        if error.contains("git_abort restores the state before") {
            client.text("git_abort", &json!({}));
        }
        client.text(tool, &args);
    }),
    followed("tools/hooks.rs", "{}{new}git_abort restores", back),
    followed("tools/hooks.rs", "{back} {mend}", |it| {
        let fixture = forked();
        fixture.git(&["checkout", "-q", "side"]);
        anonymous(&fixture);
        let mut client = fixture.serve();
        let rebase = ("git_rebase", json!({"target_branch": "main"}));
        let error = client.error(rebase.0, &rebase.1);
        it.read(&error);
        if error.contains("git_abort restores the state before") {
            client.text("git_abort", &json!({}));
        }
        fixture.git(&["config", "user.name", "O"]);
        fixture.git(&["config", "user.email", "o@example.com"]);
        client.text(rebase.0, &rebase.1);
    }),
    elsewhere(
        "tools/hooks.rs",
        "git_commit with a `message` that it accepts",
        (HALTS, "a_hook_that_stops_a_continued_operation_is_named_12"),
    ),
    elsewhere("tools/hooks.rs", "{on} {edits}Then call git_continue", (HALTS, "a_hook_that_stops_a_continued_operation_is_named_12")),
    elsewhere("tools/hooks.rs", "Repeat the call with a `message`", (HOOKS, "the_hook_that_stops_a_commit_is_named_12")),
    elsewhere("tools/hooks.rs", "Stage what is missing with git_add.", (HOOKS, "a_hook_that_unstages_and_refuses_is_reported_12")),
    followed("tools/hooks.rs", "{mend}{edits}{restaged}Then repeat", |it| {
        let fixture = Fixture::new();
        stage(&fixture, "bad\n");
        hook(&fixture, "pre-commit", "grep -q bad a.txt && { sed -i s/bad/good/ a.txt; echo FORMATTED; exit 1; }; exit 0");
        let mut client = fixture.serve();
        let commit = ("git_commit", json!({"message": "formatted"}));
        let (error, _) = it.printed(&mut client, commit.clone());
        let (tool, args) = named(&error, "git_add");
        client.text(tool, &args);
        client.text(commit.0, &commit.1);
        assert_eq!(fixture.text(&["show", "HEAD:a.txt"]), "good");
    }),
    followed("error/advice/mod.rs", "Stage changes with git_add first", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        let mut client = fixture.serve();
        assert!(client.text("git_status", &json!({})).contains("a.txt"));
        it.helps(&mut client, ("git_commit", json!({"message": "m"})), &[("git_add", json!({"files": ["a.txt"]}))]);
    }),
    followed("error/advice/mod.rs", "Commit them, or stash them", |it| {
        for tool in ["git_merge", "git_checkout"] {
            let call = if tool == "git_merge" { (tool, json!({"source_branch": "side"})) } else { (tool, json!({"branch_name": "side"})) };
            let made = || {
                let fixture = Fixture::new();
                shell(
                    &fixture.path,
                    "git checkout -qb side; sed -i 's/^one/ONE/' a.txt; git commit -qam s; git checkout -q main; echo three >> a.txt",
                );
                fixture
            };
            let fixture = made();
            it.helps(&mut fixture.serve(), call.clone(), &[("git_commit", json!({"message": "mine", "paths": ["a.txt"]}))]);
            let fixture = made();
            let mut client = fixture.serve();
            let (error, _) = it.printed(&mut client, call.clone());
            client.text("git_stash", &json!({}));
            client.text(call.0, &call.1);
            let (tool, args) = named(&error, "git_stash");
            client.text(tool, &args);
            assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "ONE\ntwo\nthree\n");
        }
    }),
    followed("error/advice/mod.rs", "Move them away or stage them", |it| {
        let made = || {
            let fixture = forked();
            fixture.write("s1.txt", "s\n");
            fixture
        };
        let call = ("git_merge", json!({"source_branch": "side"}));
        let fixture = made();
        let mut client = fixture.serve();
        it.printed(&mut client, call.clone());
        fs::rename(fixture.path.join("s1.txt"), fixture.home.path().join("s1.txt")).expect("a file");
        client.text(call.0, &call.1);
        // The same content, staged.
        let fixture = made();
        it.helps(&mut fixture.serve(), ("git_checkout", json!({"branch_name": "side"})), &[("git_add", json!({"files": ["s1.txt"]}))]);
    }),
    followed("error/advice/mod.rs", "Move them elsewhere first", |it| {
        let mut moved = 0;
        for (prepare, call) in [
            ("echo edited > a.txt", ("git_rm", json!({"files": ["a.txt"]}))),
            ("git worktree add -q wt; echo edited > wt/a.txt", ("git_worktree", json!({"action": "remove", "path": "wt"}))),
        ] {
            let made = || {
                let fixture = Fixture::new();
                shell(&fixture.path, prepare);
                fixture
            };
            let fixture = made();
            let mut client = fixture.serve();
            let (error, _) = it.printed(&mut client, call.clone());
            client.text(call.0, &with(&error, "confirm", &call.1));
            let fixture = made();
            let mut client = fixture.serve();
            it.printed(&mut client, call.clone());
            let place = if call.0 == "git_rm" { "." } else { "wt" };
            shell(&fixture.path, &format!("cd {place} && git diff > ../kept.patch && git checkout -q -- ."));
            client.text(call.0, &call.1);
            moved += 1;
        }
        assert_eq!(moved, 2);
    }),
    followed("error/advice/mod.rs", "git_log and git_status show the current state", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        client.text("git_commit", &json!({"message": "mine", "allow_empty": true}));
        let shown = client.text("git_undo", &json!({}));
        fixture.git(&["commit", "-q", "--allow-empty", "-m", "of another"]);
        let (tool, args) = named(&shown, "git_undo");
        it.printed(&mut client, (tool, args));
        assert!(client.text("git_log", &json!({})).contains("of another"));
        client.text("git_status", &json!({}));
        client.text("git_reset", &json!({"mode": "soft", "target": "HEAD~2"}));
        assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), "second");
    }),
    followed("error/advice/mod.rs", "To restore all of it:", |it| {
        let fixture = Fixture::new();
        fixture.write("b.txt", "b one\n").commit("more");
        fixture.write("a.txt", "edited\n").write("b.txt", "edited\n");
        fixture.git(&["config", "filter.odd.clean", "cat"]);
        fixture.git(&["config", "filter.odd.smudge", "cd .git && echo x >> used && test $(wc -l < used) -le $(cat most) && cat"]);
        fixture.git(&["config", "filter.odd.required", "true"]);
        fixture.write(".git/info/attributes", "*.txt filter=odd\n").write(".git/most", "2");
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_stash", json!({})));
        fixture.write(".git/most", "1000");
        client.text("git_reset", &json!({"mode": argument(&error, "mode"), "confirm": true}));
        client.text("git_stash", &json!({"action": argument(&error, "action")}));
        assert_eq!(fixture.text(&["diff", "--name-only"]), "a.txt\nb.txt");
        assert_eq!(fixture.text(&["stash", "list"]), "");
    }),
];

/// Removes the identity from the configuration.
fn anonymous(fixture: &Fixture) {
    for key in ["user.name", "user.email"] {
        fixture.git(&["config", "--unset", key]);
    }
    fixture.git(&["config", "user.useConfigOnly", "true"]);
}

/// The operator configures an identity.
fn introduce(it: &Advice) {
    let fixture = forked();
    stage(&fixture, "mine\n");
    anonymous(&fixture);
    let global = fixture.home.path().join("gitconfig").display().to_string();
    let mut client = fixture.serve_with(&[], &[("GIT_CONFIG_GLOBAL", &global)]);
    let commit = ("git_commit", json!({"message": "mine"}));
    let (error, _) = it.printed(&mut client, commit.clone());
    let commands = error.split_once("Ask the operator to run: ").and_then(|(_, rest)| rest.split_once(". Then")).expect("commands").0;
    let commands = commands.replace("NAME", "'O P Erator'").replace("ADDRESS", "o@example.com");
    shell(&fixture.path, &format!("export GIT_CONFIG_GLOBAL='{global}'; {commands}"));
    client.text(commit.0, &commit.1);
    assert_eq!(fixture.text(&["log", "-1", "--format=%an %ae"]), "O P Erator o@example.com");
}

/// Aborts a merge that a hook stopped, and repeats it once the hook accepts.
fn back(it: &Advice) {
    let fixture = forked();
    let before = fixture.text(&["rev-parse", "HEAD"]);
    refuse(&fixture, "pre-merge-commit");
    let mut client = fixture.serve();
    let merge = ("git_merge", json!({"source_branch": "side"}));
    it.printed(&mut client, merge.clone());
    client.text("git_abort", &json!({}));
    assert_eq!((fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["status", "--porcelain"])), (before, String::new()));
    accept(&fixture, "pre-merge-commit");
    client.text(merge.0, &merge.1);
}
