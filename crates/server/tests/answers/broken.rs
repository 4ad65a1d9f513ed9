//! Repositories that are damaged or that git rejects: every tool fails with git's own line and a fix.

use crate::support::{
    Client, Fixture, Outcome,
    admin::{Administered, code, tool},
    out,
    parameters::{string_parameters, valid},
    program, shell, text_of,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt, path::Path};

const ZERO_PACK: &str = "git gc -q; for p in .git/objects/pack/*.pack; do chmod u+w $p; s=$(wc -c < $p); head -c $s /dev/zero > $p; done";
/// Removes the object that a revision names.
const REMOVE: &str = "remove() { id=$(git rev-parse \"$1\"); rm -f \".git/objects/$(echo $id | cut -c1-2)/$(echo $id | cut -c3-)\"; }; ";
const NOWHERE: &str = "0123456789012345678901234567890123456789";

/// A repository with two commits, a second branch and an edit, after running `plant`.
fn broken(plant: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["branch", "other"]);
    fixture.write("a.txt", "edited\n");
    shell(&fixture.path, plant);
    fixture
}

fn serve(fixture: &Fixture) -> Client {
    fixture.serve_with(&["--toolsets", "all"], &[])
}

/// git's last line that starts with `fatal: `, or else with `error: `.
fn line_of_git(fixture: &Fixture, args: &[&str]) -> String {
    let output = fixture.try_git(args);
    assert!(!output.status.success(), "git {args:?} succeeds");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let found = |start: &str| said.lines().rfind(|line| line.starts_with(start)).map(str::to_owned);
    found("fatal: ").or_else(|| found("error: ")).unwrap_or(said)
}

/// Checks that an answer is the error of an unreadable repository and quotes git.
fn is_unreadable(result: &Value, said: &str, about: &str) {
    let text = text_of(result);
    // Of the class for which a retry is useless.
    assert!(result["isError"] == true && result["structuredContent"].is_null(), "{about}: {result}");
    assert!(text.contains(said) && text.contains("the operator"), "{about}: no `{said}` in {text}");
    assert!(!text.contains("usage:") && text.len() < 1500, "{about}: {text}");
}

#[test]
fn no_tool_opens_a_repository_that_git_rejects() {
    let cycle = "printf '[include]\\npath = two\\n' > .git/one; printf '[include]\\npath = one\\n' > .git/two; git config include.path one";
    let format = "git config core.repositoryFormatVersion";
    for plant in [
        format!("{format} 2"),
        format!("{format} abc"),
        format!("{format} 1; git config extensions.unknownThing true"),
        format!("{format} 1; git config extensions.objectFormat md5"),
        format!("{format} 1; git config extensions.refStorage nothing"),
        "git config include.path config".to_owned(),
        cycle.to_owned(),
        "echo '[core' >> .git/config".to_owned(),
        "git config core.bare perhaps".to_owned(),
        "git config core.compression nine".to_owned(),
        "printf '[user]\\nname\\n' >> .git/config".to_owned(),
        "echo garbage > .git/HEAD".to_owned(),
        ": > .git/HEAD".to_owned(),
    ] {
        let fixture = broken(&plant);
        let said = line_of_git(&fixture, &["rev-parse", "--git-dir"]);
        let mut client = serve(&fixture);
        let mut seen = BTreeSet::new();
        for (name, ..) in string_parameters() {
            if !seen.insert(name) || ["git_init", "git_clone"].contains(&name) {
                continue;
            }
            is_unreadable(&client.result(name, &valid(name, &fixture.path)), said.trim_end(), &format!("{plant}: {name}"));
        }
        assert!(seen.len() > 55, "{}", seen.len());
    }
}

#[test]
fn extensions_of_the_installed_git_are_known() {
    for (version, extension) in
        [("0", "relativeWorktrees"), ("1", "relativeWorktrees"), ("0", "unknownThing"), ("1", "noop"), ("1", "preciousObjects")]
    {
        let fixture = broken(&format!("git config core.repositoryFormatVersion {version}; git config extensions.{extension} true"));
        let opens = fixture.try_git(&["rev-parse", "--git-dir"]).status.success();
        let mut client = serve(&fixture);
        for (name, args) in [
            ("git_status", json!({})),
            ("git_log", json!({})),
            ("git_diff", json!({})),
            ("git_show", json!({"revision": "HEAD"})),
            ("git_branch", json!({})),
            ("git_config", json!({})),
            ("git_create_branch", json!({"branch_name": "fresh"})),
        ] {
            let result = client.result(name, &args);
            assert_eq!(result["isError"] != true, opens, "{version} {extension} {name}: {result}");
        }
    }
}

/// Tools that read the checked-out commit, with arguments.
fn readers_of_head() -> Vec<(&'static str, Value)> {
    vec![
        ("git_status", json!({})),
        ("git_diff", json!({"scope": "staged"})),
        ("git_diff", json!({"target": "HEAD"})),
        ("git_log", json!({})),
        ("git_log", json!({"paths": ["a.txt"], "grep": "x"})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_show", json!({"revision": "HEAD:a.txt"})),
        ("git_blame", json!({"path": "a.txt"})),
        ("git_grep", json!({"pattern": "x", "rev": "HEAD"})),
        ("git_branch", json!({"contains": "HEAD"})),
        ("git_reflog", json!({})),
        ("git_describe", json!({"tags": true})),
        ("git_merge_base", json!({"one": "HEAD", "other": "HEAD"})),
        ("git_range_diff", json!({"old": "HEAD~1..HEAD", "new": "HEAD~1..HEAD"})),
        ("git_rev_parse", json!({"revision": "HEAD"})),
        ("git_ls_tree", json!({})),
        ("git_cat_file", json!({"revision": "HEAD"})),
        ("git_shortlog", json!({})),
        ("git_merge_preview", json!({"source_branch": "HEAD"})),
        ("git_conflicts", json!({})),
        ("git_notes", json!({})),
        // Changes, which are refused before they start.
        ("git_add", json!({"files": ["a.txt"]})),
        ("git_commit", json!({"message": "m"})),
        ("git_reset", json!({})),
        ("git_stash", json!({})),
        ("git_create_branch", json!({"branch_name": "fresh"})),
        ("git_checkout", json!({"branch_name": "other"})),
        ("git_merge", json!({"source_branch": "other"})),
        ("git_tag", json!({"action": "create", "name": "t"})),
        ("git_maintenance", json!({"action": "commit_graph"})),
    ]
}

#[test]
fn an_unreadable_head_is_no_unborn_branch() -> Outcome {
    for plant in [
        "echo garbage > .git/refs/heads/main".to_owned(),
        ": > .git/refs/heads/main".to_owned(),
        "head -c 41 /dev/zero > .git/refs/heads/main".to_owned(),
        "git checkout -q --detach; echo 'ref: refs/heads/ma..in' > .git/HEAD".to_owned(),
        "echo 'ref: refs/heads/other' > .git/refs/heads/main; echo 'ref: refs/heads/main' > .git/refs/heads/other".to_owned(),
        "git pack-refs --all; echo garbage > .git/packed-refs".to_owned(),
        format!("echo {NOWHERE} > .git/refs/heads/main"),
        format!("echo {NOWHERE} > .git/HEAD"),
        ZERO_PACK.to_owned(),
        "git gc -q; rm -f .git/objects/pack/*.idx".to_owned(),
        "rm -rf .git/objects/??".to_owned(),
        format!("{REMOVE} remove HEAD"),
        "f=.git/objects/$(git rev-parse HEAD | sed 's|^..|&/|'); chmod u+w $f; : > $f".to_owned(),
        "f=.git/objects/$(git rev-parse HEAD | sed 's|^..|&/|'); chmod u+w $f; echo garbage > $f".to_owned(),
    ] {
        let fixture = broken(&plant);
        let index = fs::read(fixture.path.join(".git/index"))?;
        let mut client = serve(&fixture);
        for (name, args) in readers_of_head() {
            is_unreadable(&client.result(name, &args), "git cannot read this repository: ", &format!("{plant}: {name} {args}"));
        }
        let reply = client.error("git_log", &json!({}));
        let said = line_of_git(&fixture, &["log", "--max-count=1"]);
        assert!(reply.contains(&said), "{plant}: no `{said}` in {reply}");
        assert_eq!(fs::read(fixture.path.join(".git/index"))?, index, "{plant}");
    }
    // For a branch that names a blob git lists nothing and reports nothing.
    let fixture = broken("id=$(git rev-parse HEAD:a.txt); echo $id > .git/refs/heads/main");
    let mut client = serve(&fixture);
    for (name, args) in [
        ("git_log", json!({})),
        ("git_status", json!({})),
        ("git_blame", json!({"path": "a.txt"})),
        ("git_commit", json!({"message": "m"})),
    ] {
        is_unreadable(&client.result(name, &args), "git cannot read this repository: ", name);
    }
    // A branch without commits is no damage, with or without a list of references.
    for plant in [
        "git checkout -q --orphan fresh",
        "git pack-refs --all; git checkout -q --orphan fresh",
        "rm .git/refs/heads/main; mkdir -p .git/refs/heads/main/x",
    ] {
        let fixture = broken(plant);
        let mut client = serve(&fixture);
        assert!(client.text("git_log", &json!({})).contains("no commits yet"), "{plant}");
        assert!(client.text("git_status", &json!({})).contains("No commits yet on "), "{plant}");
        assert!(client.error("git_show", &json!({"revision": "HEAD"})).contains("has no revision yet"), "{plant}");
        assert!(client.error("git_stash", &json!({})).contains("unknown revision `HEAD`"), "{plant}");
    }
    Ok(())
}

#[test]
fn damage_is_reported_with_gits_line() {
    let remove = |what: &str| format!("{REMOVE} remove {what}");
    let history = ["log", "--oneline"];
    for (plant, name, args, of_git) in [
        (remove("HEAD~1"), "git_log", json!({}), &history[..]),
        (remove("HEAD~1"), "git_log", json!({"paths": ["a.txt"]}), &["log", "--", "a.txt"]),
        (remove("HEAD~1"), "git_shortlog", json!({}), &["shortlog", "-s", "HEAD"]),
        (remove("HEAD~1"), "git_show", json!({"revision": "HEAD"}), &["show", "HEAD"]),
        (remove("HEAD~1"), "git_diff", json!({"base": "HEAD~1", "target": "HEAD"}), &["diff", "HEAD~1", "HEAD"]),
        (remove("HEAD~1"), "git_maintenance", json!({"action": "gc"}), &["gc", "-q"]),
        (remove("HEAD^{tree}"), "git_status", json!({}), &["status"]),
        (remove("HEAD^{tree}"), "git_show", json!({"revision": "HEAD"}), &["show", "HEAD"]),
        (remove("HEAD^{tree}"), "git_ls_tree", json!({}), &["ls-tree", "HEAD"]),
        (remove("HEAD^{tree}"), "git_grep", json!({"pattern": "x", "rev": "HEAD"}), &["ls-tree", "HEAD"]),
        (remove("HEAD^{tree}"), "git_reset", json!({}), &["reset", "-q"]),
        (remove("HEAD^{tree}"), "git_stash", json!({}), &["reset", "-q"]),
        (
            remove("HEAD^{tree}"),
            "git_merge_preview",
            json!({"source_branch": "HEAD~1", "into": "HEAD"}),
            &["merge-tree", "--write-tree", "HEAD", "HEAD~1"],
        ),
        (remove("HEAD:a.txt"), "git_diff", json!({}), &["diff"]),
        (remove("HEAD:a.txt"), "git_show", json!({"revision": "HEAD"}), &["show", "HEAD"]),
        ("echo garbage > .git/index".to_owned(), "git_status", json!({}), &["status"]),
        ("echo garbage > .git/index".to_owned(), "git_diff", json!({}), &["diff"]),
        ("echo garbage > .git/index".to_owned(), "git_grep", json!({"pattern": "x"}), &["grep", "x"]),
        ("echo garbage > .git/index".to_owned(), "git_clean", json!({}), &["clean", "-n"]),
        (": > .git/index".to_owned(), "git_add", json!({"files": ["a.txt"]}), &["add", "a.txt"]),
        ("echo garbage > .git/shallow".to_owned(), "git_log", json!({}), &history),
        ("echo garbage > .git/shallow".to_owned(), "git_diff", json!({"base": "HEAD~1", "target": "HEAD"}), &history),
        (format!("echo {NOWHERE} > .git/refs/heads/other"), "git_log", json!({"rev": "other"}), &["log", "other"]),
        (format!("echo {NOWHERE} > .git/refs/heads/other"), "git_show", json!({"revision": "other"}), &["show", "other"]),
    ] {
        let fixture = broken(&plant);
        let said = line_of_git(&fixture, of_git);
        // git's line without its prefix: the part that names the object or the file.
        let said = said.split_once(": ").map_or(said.as_str(), |(_, rest)| rest).split(" (").next().unwrap_or_default().to_owned();
        let fixture = broken(&plant);
        is_unreadable(&serve(&fixture).result(name, &args), &said, &format!("{plant}: {name} {args}"));
    }
    // The rest of a repository stays readable, and the skipped part is named.
    let fixture = broken("echo garbage > .git/refs/heads/other");
    let mut client = serve(&fixture);
    assert!(client.text("git_branch", &json!({})).contains("ignoring broken ref refs/heads/other"));
    let reply = client.error("git_log", &json!({"rev": "other"}));
    assert!(reply.contains("the reference refs/heads/other is broken"), "{reply}");
    assert!(client.error("git_branch_delete", &json!({"branch_name": "other", "confirm": true})).contains("is broken"));
    // An id that no reference names is no damage.
    let reply = client.result("git_show", &json!({"revision": NOWHERE}));
    assert!(reply["isError"] == true && text_of(&reply).contains("git_log lists commits"), "{reply}");
}

#[test]
fn a_setting_that_fails_git_is_no_damage() {
    for (setting, name, args, of_git) in [
        ("diff.algorithm foo", "git_diff", json!({}), &["diff"][..]),
        ("diff.rust.xfuncname (", "git_diff", json!({"paths": ["x.rs"]}), &["diff"]),
        ("diff.context abc", "git_diff", json!({}), &["diff"]),
        ("core.notesRef refs/heads/notes", "git_notes", json!({}), &["notes", "list"]),
    ] {
        let fixture = broken("echo '*.rs diff=rust' > .git/info/attributes; echo 'fn f() {}' > x.rs; git add x.rs; echo more >> x.rs");
        let (key, value) = setting.split_once(' ').expect("a setting");
        fixture.git(&["config", key, value]);
        let said = line_of_git(&fixture, of_git);
        let reply = serve(&fixture).result(name, &args);
        is_unreadable(&reply, said.trim_end(), setting);
        let text = text_of(&reply);
        assert!(text.starts_with("a setting of git's configuration is wrong: "), "{setting}: {text}");
        assert!(!text.contains("fsck") && !text.contains("git reset") && text.contains("--show-origin"), "{setting}: {text}");
    }
    // An unknown error is not called damage, and the index is named only if git names it.
    let fixture = broken("true").by_git();
    let git = failing_git(fixture.home.path(), "blame) echo 'fatal: something that nobody has met yet' >&2; exit 128;;");
    let mut client = fixture.serve_with(&["--git", &git], &[]);
    let reply = client.error("git_blame", &json!({"path": "a.txt"}));
    assert!(reply.contains("nobody has met yet") && reply.contains("the operator") && !reply.contains("git reset"), "{reply}");
    let fixture = broken("echo garbage > .git/refs/heads/main");
    let reply = serve(&fixture).error("git_log", &json!({}));
    assert!(reply.contains("--refetch") && !reply.contains("mv .git/index"), "{reply}");
}

/// Runs the doctor's fix.
fn doctor(fixture: &Fixture) -> String {
    let output = program().arg("-r").arg(&fixture.path).arg("doctor").output().expect("the program runs");
    let said = out(&output);
    let fix = said.lines().find_map(|line| line.trim_start().strip_prefix("Fix: ")).map(str::to_owned);
    fix.expect(&said)
}

#[test]
fn advice_for_a_broken_repository_repairs_it() {
    let advice = |fixture: &Fixture, name: &str, args: Value| serve(fixture).error(name, &args);
    let works = |fixture: &Fixture| {
        let mut client = serve(fixture);
        assert!(client.text("git_log", &json!({})).contains("second"));
        client.text("git_status", &json!({}));
        client.text("git_diff", &json!({}));
    };
    for plant in ["echo garbage > .git/refs/heads/main", ": > .git/refs/heads/main", "echo garbage > .git/HEAD"] {
        let fixture = broken(plant);
        assert!(advice(&fixture, "git_log", json!({})).contains("`mcp-server-git doctor`"), "{plant}");
        shell(&fixture.path, &doctor(&fixture));
        works(&fixture);
    }
    let fixture = broken("git clone -q --bare . ../origin.git; git remote add origin ../origin.git; git fetch -q");
    shell(&fixture.path, &format!("{REMOVE} remove HEAD~1; remove HEAD:a.txt"));
    let reply = advice(&fixture, "git_log", json!({}));
    assert!(reply.contains("`git fetch --refetch`") && reply.contains("`git fsck`"), "{reply}");
    assert!(!fixture.try_git(&["fsck"]).status.success(), "it lists what is missing");
    fixture.git(&["fetch", "-q", "--refetch"]);
    works(&fixture);
    let fixture = broken("echo garbage > .git/index");
    assert!(advice(&fixture, "git_status", json!({})).contains("`mv .git/index .git/index.old && git reset`"));
    shell(&fixture.path, "mv .git/index .git/index.old && git reset -q");
    works(&fixture);
    let fixture = broken("git config include.path config");
    assert!(advice(&fixture, "git_status", json!({})).contains("correct the configuration"));
    assert!(doctor(&fixture).contains("correct the configuration"));
    shell(&fixture.path, "sed -i '/^.include/,$d' .git/config");
    works(&fixture);
}

/// A git that fails some commands with these words.
fn failing_git(home: &Path, cases: &str) -> String {
    let script = home.join("git.sh");
    fs::write(&script, format!("#!/bin/sh\ncase \"$1\" in\n{cases}\nesac\nexec git \"$@\"\n")).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("a script");
    script.display().to_string()
}

#[test]
fn disk_errors_count_in_reads_and_from_git() {
    let fixture = broken("true").by_git();
    let git = failing_git(
        fixture.home.path(),
        "blame) echo 'error: read error: Input/output error' >&2; echo 'fatal: unable to read tree' >&2; exit 128;;
         tag) echo 'fatal: could not write: No space left on device' >&2; exit 128;;",
    );
    let storage = |server: &Administered| server.circuit("repo/.git");
    let server = Administered::start(&fixture, &["--git", &git], &[]);
    for _ in 0..5 {
        let failed = tool(&server, "git_blame", json!({"path": "a.txt"}));
        assert!(code(&failed) == "unavailable" && text_of(&failed).contains("Input/output error"), "{failed}");
        assert!(text_of(&failed).contains("ask the operator to fix it"), "{failed}");
    }
    assert_eq!(storage(&server).expect("a circuit")["state"], "open");
    assert_eq!(code(&tool(&server, "git_create_branch", json!({"branch_name": "fresh"}))), "circuit_open");
    assert_ne!(tool(&server, "git_log", json!({}))["isError"], true, "reads still work");
    // A change during which git meets a full disk.
    let other = broken("true");
    let server = Administered::start(&other, &["--git", &git, "--toolsets", "all"], &[]);
    for _ in 0..5 {
        let failed = tool(&server, "git_tag", json!({"action": "create", "name": "t", "message": "m"}));
        assert!(code(&failed) == "unavailable" && text_of(&failed).contains("No space left on device"), "{failed}");
    }
    assert_eq!(storage(&server).expect("a circuit")["state"], "open");
    // Neither a hook's words nor damage count as a fault of the disk.
    let hooked = broken(
        "printf '#!/bin/sh\\necho No space left on device >&2; exit 1\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit; git add .",
    );
    let server = Administered::start(&hooked, &[], &[]);
    for _ in 0..6 {
        let refused = tool(&server, "git_commit", json!({"message": "m"}));
        assert!(refused["isError"] == true && code(&refused).is_empty(), "{refused}");
    }
    shell(&hooked.path, "echo garbage > .git/index");
    for _ in 0..6 {
        is_unreadable(&tool(&server, "git_status", json!({})), "index file smaller than expected", "an index");
    }
    assert!(storage(&server).is_none());
}
