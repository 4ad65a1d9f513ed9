//! The environment of hooks and filters: the same as in a terminal, except that nothing may prompt.

use crate::support::{
    Fixture,
    hooks::{hook, stage},
    remote::{beside, serve},
    text_of,
};
use serde_json::{Value, json};
use std::fs;

/// A file name that is also a pattern matching the other file.
const ODD: &str = "*.txt";

/// Pathspecs in a hook are patterns, in every change that runs hooks: with paths, without, and in nested git calls.
#[test]
fn pathspecs_of_hooks_are_patterns() {
    let calls: [(&str, &str, Value); 6] = [
        ("pre-commit", "git_commit", json!({"message": "m"})),
        ("pre-commit", "git_commit", json!({"message": "m", "paths": ["a.txt"]})),
        ("prepare-commit-msg", "git_commit", json!({"message": "m", "amend": true, "confirm": true})),
        ("pre-merge-commit", "git_merge", json!({"source_branch": "side"})),
        ("post-checkout", "git_checkout", json!({"branch_name": "side"})),
        ("pre-rebase", "git_rebase", json!({"target_branch": "side"})),
    ];
    for (name, tool, args) in calls {
        let fixture = Fixture::new();
        fixture.git(&["checkout", "-q", "-b", "side"]);
        fixture.write("side.txt", "s\n").commit("side").git(&["checkout", "-q", "main"]);
        fixture.write("main.txt", "m\n").commit("main");
        if tool == "git_commit" {
            stage(&fixture, "three\n");
        }
        let seen = fixture.path.with_file_name("seen");
        hook(&fixture, name, &format!("git ls-files -- '*.txt' > '{}'; env >> '{0}'", seen.display()));
        fixture.serve().text(tool, &args);
        let seen = fs::read_to_string(seen).expect("the hook has run");
        assert!(seen.starts_with("a.txt\n"), "{name} of {tool}: {seen}");
        for variable in ["_PATHSPECS=", "LC_ALL=", "GIT_ALLOW_PROTOCOL=", "=commit.cleanup"] {
            assert!(
                !seen.contains(variable) || variable == "=commit.cleanup" && tool == "git_rebase",
                "{name} of {tool}: {variable} {seen}"
            );
        }
    }
}

/// A hook's check sees the staged content, and a hook that stashes unstaged changes restores them.
#[test]
fn hook_checks_see_what_git_shows_them() {
    let fixture = Fixture::new();
    fixture.write("x.py", "bad\n").git(&["add", "x.py"]);
    hook(&fixture, "pre-commit", "! git diff --cached -G bad --name-only -- '*.py' | grep .");
    let error = fixture.serve().error("git_commit", &json!({"message": "m"}));
    assert!(error.contains("the hook `pre-commit` stopped the commit"), "{error}");
    let fixture = Fixture::new();
    stage(&fixture, "staged\n");
    fixture.write("new.txt", "untracked\n");
    hook(&fixture, "pre-commit", "git stash push -q -u --keep-index && git stash pop -q");
    fixture.serve().text("git_commit", &json!({"message": "m"}));
    assert_eq!(fixture.text(&["show", "--format=", "--name-only", "HEAD"]), "a.txt");
    assert_eq!((fixture.text(&["stash", "list"]), fixture.text(&["status", "--porcelain"])), (String::new(), "?? new.txt".to_owned()));
    let fixture = Fixture::new();
    stage(&fixture, "staged\n");
    hook(&fixture, "pre-commit", "echo made > made.gen; git add '*.gen'");
    fixture.serve().text("git_commit", &json!({"message": "m"}));
    assert_eq!(fixture.text(&["show", "HEAD:made.gen"]), "made");
}

/// Path arguments are literal in every tool.
#[test]
fn path_arguments_are_no_patterns() {
    let fixture = Fixture::new();
    fixture.write(ODD, "odd\n").write("b.txt", "b\n").write(":(top)b.txt", "b\n").commit("odd");
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    let status = || fixture.text(&["-c", "core.quotePath=false", "status", "--porcelain"]);
    let edit = || {
        for name in [ODD, "a.txt", "b.txt", ":(top)b.txt"] {
            fixture.write(name, "edited\n");
        }
    };
    edit();
    for name in [ODD, ":(top)b.txt"] {
        client.text("git_add", &json!({"files": [name]}));
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), name, "staged");
        client.text("git_reset", &json!({"paths": [name]}));
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "", "unstaged");
        client.text("git_restore", &json!({"paths": [name]}));
        assert!(!status().contains(name), "restored");
        edit();
        client.text("git_commit", &json!({"message": name, "paths": [name]}));
        assert_eq!(fixture.text(&["show", "--format=", "--name-only", "HEAD"]), name, "committed");
        assert!(client.text("git_log", &json!({"paths": [name], "max_count": 1})).contains(name));
        fixture.write(name, "again\n");
        let shown = client.text("git_diff", &json!({"paths": [name]}));
        assert!(shown.contains("+again") && !shown.contains("+edited"), "{shown}");
        client.text("git_stash", &json!({"action": "push", "paths": [name]}));
        assert!(!status().contains(name) && status().contains("a.txt"), "stashed: {}", status());
        client.text("git_stash", &json!({"action": "drop"}));
    }
    client.text("git_rm", &json!({"files": [ODD], "confirm": true}));
    assert!(fixture.path.join("a.txt").exists() && !fixture.path.join(ODD).exists());
    // `.` stands for everything in each of them.
    client.text("git_add", &json!({"files": ["."]}));
    assert_eq!(fixture.text(&["diff", "--name-only"]), "");
    client.text("git_reset", &json!({"paths": ["."]}));
    assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "");
    client.text("git_restore", &json!({"paths": ["."]}));
    assert_eq!(status(), "");
    edit();
    client.text("git_commit", &json!({"message": "all", "paths": ["."]}));
    fixture.write("a.txt", "once more\n");
    client.text("git_stash", &json!({"action": "push", "paths": ["."]}));
    assert_eq!(status(), "");
    let reply = client.error("git_restore", &json!({"paths": ["nothing"]}));
    assert!(reply.contains("no `nothing` in"), "{reply}");
}

/// A filter works in the operator's locale, as in a terminal, and git's own messages stay English.
#[test]
fn filters_have_the_locale_of_the_operator() {
    for variables in [
        &[("LC_ALL", "C.UTF-8"), ("LANGUAGE", "de")][..],
        &[("LANG", "C.UTF-8"), ("LC_MESSAGES", "de_DE.UTF-8")],
        &[("LC_CTYPE", "C.UTF-8"), ("LANGUAGE", "de")],
        &[],
    ] {
        let fixture = Fixture::new();
        fixture.git(&["config", "filter.x.clean", "sed s/./x/g"]);
        fixture.write(".gitattributes", "*.x filter=x\n").write("a.x", "\u{e4}\u{f6}\u{fc}\n");
        let environment = fixture.path.with_file_name("environment");
        hook(&fixture, "pre-commit", &format!("locale > '{}'", environment.display()));
        let mut client = fixture.serve_with(&[], variables);
        client.text("git_add", &json!({"files": ["a.x", ".gitattributes"]}));
        let expect = if variables.is_empty() { "xxxxxx" } else { "xxx" };
        assert_eq!(fixture.text(&["show", ":a.x"]), expect, "{variables:?}");
        client.text("git_commit", &json!({"message": "m"}));
        let seen = fs::read_to_string(environment).expect("the hook has run");
        assert!(seen.contains("LC_MESSAGES=C\n") && seen.contains("LC_ALL=\n"), "{seen}");
        let error = client.result("git_commit", &json!({"message": "m", "paths": ["a.x"], "author": "A <a@b>"}));
        assert!(text_of(&error).contains("nothing to commit") || text_of(&error).contains("nothing is staged"), "{error}");
    }
}

/// git in a hook reaches the remotes that the operator allows; in an untrusted repository it reaches none.
#[test]
fn a_hook_of_a_named_repository_fetches_as_in_a_terminal() {
    let fixture = Fixture::new();
    let other = Fixture::new();
    other.git(&["tag", "of-other"]);
    hook(&fixture, "post-commit", &format!("git fetch -q --tags '{}'", other.path.display()));
    fixture.serve().text("git_commit", &json!({"message": "m", "allow_empty": true}));
    assert_eq!(fixture.text(&["tag", "--list"]), "of-other");
}

/// The operator's git-lfs settings reach it.
#[test]
fn variables_of_git_lfs_reach_filters() {
    let fixture = Fixture::new();
    let seen = fixture.path.with_file_name("seen");
    fixture.git(&["config", "filter.x.clean", &format!("env > '{}'; cat", seen.display())]);
    fixture.write(".gitattributes", "*.x filter=x\n").write("a.x", "x\n");
    let variables = [("GIT_LFS_SKIP_SMUDGE", "1"), ("GIT_LFS_PROGRESS", "/dev/null"), ("GIT_LFSX", "no"), ("GIT_WORK_TREE", "/no")];
    fixture.serve_with(&[], &variables).text("git_add", &json!({"files": ["a.x"]}));
    let seen = fs::read_to_string(seen).expect("the filter has run");
    for (name, value) in variables {
        assert_eq!(seen.contains(&format!("{name}={value}\n")), value != "no" && value != "/no", "{name}: {seen}");
    }
}

/// The rebase hook receives the branch's name, as from git, or the id of a commit without one.
#[test]
fn pre_rebase_receives_the_callers_argument() {
    for (target, is_name) in [("side", true), ("refs/heads/side", true), ("side~1", false)] {
        let fixture = crate::support::hooks::forked();
        let seen = fixture.path.with_file_name("seen");
        hook(&fixture, "pre-rebase", &format!("echo \"$1\" > '{}'", seen.display()));
        let expect = if is_name { target.to_owned() } else { fixture.text(&["rev-parse", target]) };
        fixture.serve().text("git_rebase", &json!({"target_branch": target}));
        assert_eq!(fs::read_to_string(seen).expect("the hook has run").trim_end(), expect);
    }
}

/// Hooks see the user's settings, not those of the server's own git processes; a commit only disables background maintenance.
#[test]
fn hooks_see_the_settings_of_the_user() {
    const KEYS: [(&str, &str); 3] = [("gc.auto", "123"), ("submodule.recurse", "true"), ("maintenance.auto", "true")];
    let fixture = beside();
    for (key, value) in KEYS {
        fixture.git(&["config", key, value]);
    }
    let seen = fixture.path.with_file_name("seen");
    let print: Vec<String> = KEYS.iter().map(|(key, _)| format!("git config {key}")).collect();
    for name in ["pre-commit", "post-checkout", "pre-push", "reference-transaction"] {
        hook(&fixture, name, &format!("( {} ) > '{}-{name}'", print.join("; "), seen.display()));
    }
    let calls = [
        ("post-checkout", "git_checkout", json!({"branch_name": "other", "create": true}), "123\ntrue\ntrue\n"),
        ("pre-push", "git_push", json!({"branch": "main"}), "123\ntrue\ntrue\n"),
        ("reference-transaction", "git_reset", json!({"mode": "soft", "target": "HEAD~1", "confirm": true}), "123\ntrue\ntrue\n"),
        ("pre-commit", "git_commit", json!({"message": "m", "allow_empty": true}), "123\ntrue\nfalse\n"),
    ];
    let mut client = serve(&fixture);
    for (name, tool, args, expect) in calls {
        let file = format!("{}-{name}", seen.display());
        fs::remove_file(&file).unwrap_or_default();
        client.text(tool, &args);
        assert_eq!(fs::read_to_string(file).expect("the hook has run"), expect, "{name} of {tool}");
    }
}
