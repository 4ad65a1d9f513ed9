//! Changes to files that a filter, `ident` or an encoding converts: undo restores the file's content, a file that cannot be
//! converted blocks only itself, and a filter's output is passed on.

use crate::support::{Client, Fixture, Outcome, hooks::script, shell, undo};
use serde_json::{Value, json};
use std::fs;

/// Lossy conversions: the setup, the file, the committed content, an edit, and an edit that git
/// does not see.
const LOSSY: [(&str, &str, &str, &str, &str); 4] = [
    (
        "git config filter.nb.clean 'grep -v ^OUT || true'; git config filter.nb.smudge cat; echo '*.nb filter=nb' > .gitattributes",
        "n.nb",
        "code\nOUT 1\n",
        "code two\nOUT 2, longer\n",
        "code\nOUT of long work\n",
    ),
    ("echo '*.i ident' > .gitattributes", "v.i", "$Id$\nx\n", "$Id: mine $\nx\ny\n", "$Id: mine, and precious $\nx\n"),
    ("echo '*.l text working-tree-encoding=latin1' > .gitattributes", "l.l", "\u{41}\n", "\u{41}\r\nB\n", "\u{41}\r\n"),
    (
        "git config filter.up.process ''; git config filter.up.clean 'tr a-z A-Z'; echo 'f.up filter=up' > .git/info/attributes",
        "f.up",
        "ONE\n",
        "one\nTwo\n",
        "One\n",
    ),
];

/// A repository in which that file is committed.
fn converted(set_up: &str, file: &str, committed: &str) -> Fixture {
    let fixture = Fixture::new();
    shell(&fixture.path, set_up);
    fixture.write(file, committed).commit("converted");
    shell(&fixture.path, &format!("touch -d 2020-01-01 {file}; git status > ../status"));
    fixture
}

fn held(fixture: &Fixture, file: &str) -> String {
    fs::read_to_string(fixture.path.join(file)).unwrap_or_default()
}

#[test]
fn undo_restores_what_a_conversion_drops() {
    for (set_up, file, committed, edit, hidden) in LOSSY {
        for content in [edit, hidden] {
            for (tool, args) in [
                ("git_restore", json!({"paths": [file]})),
                ("git_restore", json!({"paths": ["."]})),
                ("git_reset", json!({"mode": "hard", "confirm": true})),
                ("git_rm", json!({"files": [file], "force": true, "confirm": true})),
            ] {
                let fixture = converted(set_up, file, committed);
                fixture.write(file, content);
                let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
                client.text(tool, &args);
                assert_ne!(held(&fixture, file), content, "{tool} {args} of {file}");
                undo(&mut client);
                assert_eq!(held(&fixture, file), content, "{tool} {args} of {file}");
            }
        }
    }
}

/// A failing conversion: its setup, how it breaks, and the file's content at that time.
const BROKEN: [(&str, &str, &str); 3] = [
    (
        "git config filter.j.clean 'grep -v broken'; git config filter.j.smudge cat; git config filter.j.required true; \
         echo '*.json filter=j' > .gitattributes; echo a > x.json",
        "",
        "broken\n",
    ),
    ("echo '*.json text working-tree-encoding=UTF-16LE-BOM' > .gitattributes; printf '\\377\\376a\\0\\n\\0' > x.json", "", "odd"),
    (
        "git config filter.j.clean cat; git config filter.j.smudge cat; echo '*.json filter=j' > .gitattributes; echo a > x.json",
        "git config filter.j.clean no-such-program-here; git config filter.j.required true",
        "more than that\n",
    ),
];
/// The file.
const FILE: &str = "x.json";

/// A repository with that file committed, then edited so that it cannot be converted, and another edited file.
fn broken(set_up: &str, breaks: &str, content: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write("b.txt", "b\n");
    shell(&fixture.path, set_up);
    fixture.commit("converted");
    shell(&fixture.path, &format!("touch -d 2020-01-01 *; git status -s; {breaks}"));
    fixture.write(FILE, content).write("a.txt", "edited\n");
    fixture
}

#[test]
fn an_unconvertible_file_blocks_only_itself() {
    for (set_up, breaks, content) in BROKEN {
        let calls: [(&str, Value); 5] = [
            ("git_restore", json!({"paths": ["a.txt"]})),
            ("git_restore", json!({"paths": [FILE]})),
            ("git_restore", json!({"paths": [".", FILE]})),
            ("git_rm", json!({"files": ["b.txt"], "confirm": true})),
            ("git_reset", json!({"mode": "hard", "confirm": true})),
        ];
        for (tool, args) in calls {
            let fixture = broken(set_up, breaks, content);
            assert!(!fixture.try_git(&["stash", "create"]).status.success(), "git cannot keep it");
            let before = [FILE, "a.txt", "b.txt"].map(|name| held(&fixture, name));
            let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
            client.text(tool, &args);
            assert_ne!([FILE, "a.txt", "b.txt"].map(|name| held(&fixture, name)), before, "{set_up}: {tool} {args}");
            undo(&mut client);
            assert_eq!([FILE, "a.txt", "b.txt"].map(|name| held(&fixture, name)), before, "{set_up}: {tool} {args}");
        }
        let fixture = broken(set_up, breaks, content);
        let patch = "--- a/b.txt\n+++ b/b.txt\n@@ -1 +1 @@\n-b\n+c\n";
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        client.text("git_apply", &json!({"patch": patch}));
        undo(&mut client);
        assert_eq!([FILE, "b.txt"].map(|name| held(&fixture, name)), [content, "b\n"], "{set_up}");
        for (tool, args) in
            [("git_stash", json!({})), ("git_add", json!({"files": [FILE]})), ("git_commit", json!({"message": "m", "paths": [FILE]}))]
        {
            let error = client.error(tool, &args);
            assert!(!error.contains("stash create") && !error.contains("worktree state"), "{tool}: {error}");
            assert!(error.contains("x.json"), "{tool}: {error}");
        }
    }
}

#[test]
fn a_failing_filter_is_quoted() {
    for (set_up, said, hint) in [
        ("git config filter.lfs.process 'no-such-lfs filter-process'", "not found", "PATH"),
        ("git config filter.lfs.clean 'no-such-lfs clean'", "not found", "PATH"),
        ("git config filter.lfs.clean 'echo out of order >&2; exit 3'", "out of order", "has to work here first"),
    ] {
        let fixture = Fixture::new();
        fixture.write("a.bin", "pointer\n").commit("bin");
        fixture.write(".gitattributes", "*.bin filter=lfs\n").commit("lfs");
        let global = fixture.path.with_file_name("global");
        shell(&fixture.path, &format!("export GIT_CONFIG_GLOBAL={}; {}", global.display(), set_up.replace("config", "config --global")));
        shell(
            &fixture.path,
            &format!(
                "GIT_CONFIG_GLOBAL={} git config --global filter.lfs.required true; GIT_CONFIG_GLOBAL={0} git config --global filter.lfs.smudge cat",
                global.display()
            ),
        );
        fixture.write("a.bin", "changed\n");
        let mut client = fixture.serve_with(&[], &[("GIT_CONFIG_GLOBAL", &global.display().to_string())]);
        for (tool, args) in [
            ("git_status", json!({})),
            ("git_diff", json!({})),
            ("git_diff", json!({"target": "HEAD"})),
            ("git_add", json!({"files": ["a.bin"]})),
            ("git_commit", json!({"message": "m", "paths": ["a.bin"]})),
            ("git_stash", json!({})),
        ] {
            let error = client.error(tool, &args);
            assert!(error.contains("a filter failed: ") && error.contains(said) && error.contains(hint), "{tool}: {error}");
            for wrong in ["cannot read this repository", "mv .git/index", "fsck", "credentials", "exit status"] {
                assert!(!error.contains(wrong), "{tool}: {wrong}: {error}");
            }
        }
    }
}

/// The note of an answer about the filter's output.
fn notes_filter_output(text: &str) -> bool {
    text.contains("git, its hooks and filters wrote:") && text.contains("error: external filter 'false' failed")
}

#[test]
fn filter_output_is_passed_on_if_git_continues() {
    let fixture = Fixture::new();
    fixture.git(&["config", "filter.k.clean", "false"]);
    fixture.write(".gitattributes", "*.k filter=k\n").write("x.k", "secret\n");
    let mut client = fixture.serve();
    assert!(notes_filter_output(&client.text("git_add", &json!({"files": ["x.k", ".gitattributes"]}))), "add");
    fixture.git(&["commit", "-q", "-m", "k"]);
    fixture.write("x.k", "other\n");
    let committed = client.text("git_commit", &json!({"message": "m", "paths": ["x.k"]}));
    assert!(notes_filter_output(&committed) && !committed.contains("hooks wrote:\n"), "{committed}");
    fixture.git(&["config", "filter.k.smudge", "false"]);
    fixture.write("x.k", "edited\n");
    assert!(notes_filter_output(&client.text("git_restore", &json!({"paths": ["x.k"]}))), "restore");
    fixture.write("x.k", "edited\n");
    assert!(notes_filter_output(&client.text("git_reset", &json!({"mode": "hard", "confirm": true}))), "reset");
    assert!(notes_filter_output(&client.text("git_checkout", &json!({"branch_name": "HEAD~1", "detach": true}))), "checkout");
    // Without output there is no note.
    let fixture = Fixture::new();
    let mut client = fixture.serve();
    fixture.write("plain.txt", "x\n");
    assert!(!client.text("git_add", &json!({"files": ["plain.txt"]})).contains("wrote:"));
}

#[test]
fn a_preview_is_refused_only_if_a_driver_may_run() -> Outcome {
    let marker = |fixture: &Fixture| fixture.path.with_file_name("ran");
    let forked = |attributes: &str| {
        let fixture = Fixture::new();
        let driver = fixture.path.with_file_name("driver");
        script(&driver, &format!("touch '{}'", marker(&fixture).display()));
        fixture.git(&["config", "merge.mine.driver", &driver.display().to_string()]);
        fixture.write(".gitattributes", attributes).write("p.lock", "1\n").commit("lock");
        fixture.git(&["checkout", "-q", "-b", "side"]);
        fixture.write("p.lock", "2\n").commit("side").git(&["checkout", "-q", "main"]);
        fixture.write("p.lock", "3\n").commit("main");
        fixture
    };
    let args = json!({"source_branch": "side"});
    let preview = |fixture: &Fixture| fixture.serve().result("git_merge_preview", &args).to_string();
    for attributes in ["*.lock merge=mine\n", "p.lock merge=mine\n*.txt merge=mine\n"] {
        let fixture = forked(attributes);
        let reply = preview(&fixture);
        assert!(reply.contains("a preview runs no merge driver, and `p.lock` is merged by `mine`"), "{reply}");
        assert!(!reply.contains("not trusted") && reply.contains("git_merge runs it") && !marker(&fixture).exists(), "{reply}");
        fixture.serve().text("git_merge", &args);
        assert!(marker(&fixture).exists(), "{attributes}");
    }
    for attributes in ["", "*.txt merge=mine\n", "*.lock merge=union\n"] {
        let fixture = forked(attributes);
        let reply = preview(&fixture);
        assert!(
            !reply.contains("driver") && reply.contains(if attributes.contains("union") { "without conflicts" } else { "p.lock" }),
            "{reply}"
        );
        assert!(!marker(&fixture).exists(), "{attributes}");
    }
    // In an untrusted repository the driver is one more reason to name it.
    let fixture = forked("*.lock merge=mine\n");
    let above = fixture.path.parent().ok_or("a folder")?.display().to_string();
    let mut client = Client::start(&["-r", &above], &[]);
    client.initialize();
    let reply = client.error("git_merge_preview", &json!({"source_branch": "side", "repo_path": fixture.path}));
    assert!(reply.contains("is not trusted") && !marker(&fixture).exists(), "{reply}");
    Ok(())
}
