//! Worktrees and workspaces on branches of remotes, in folders as git accepts them, and damaged ones.

use crate::support::{Client, Fixture, call_in, next_call, parts, remote::published, shell};
use serde_json::{Value, json};
use std::fs;

/// A repository whose remotes have branches that it lacks: `rem` on one remote, `both` on two.
fn with_remotes() -> Fixture {
    let (fixture, remote) = published();
    let script = format!(
        "set -e; git tag v1 HEAD~1; git checkout -q -b rem; git commit -q --allow-empty -m rem; git push -q '{0}' rem rem:both
         git checkout -q main; git branch -q -D rem; git remote add up '{1}'; git fetch -q; git update-ref refs/remotes/up/both main",
        remote.path().display(),
        remote.url()
    );
    shell(&fixture.path, &script);
    fixture
}

/// The two ways to create a worktree of a branch.
fn ways(branch: &str) -> [(&'static str, Value); 2] {
    [
        ("git_worktree", json!({"action": "add", "path": "wt", "branch": branch})),
        ("git_workspace", json!({"action": "open", "branch": branch})),
    ]
}

#[test]
fn a_branch_of_a_single_remote_is_tracked() {
    for at in 0..2 {
        let fixture = with_remotes();
        let (tool, args) = &ways("rem")[at];
        let text = fixture.serve().text(tool, args);
        assert!(text.contains("branch rem") && text.contains(", which tracks origin/rem"), "{text}");
        assert_eq!(fixture.text(&["rev-parse", "rem"]), fixture.text(&["rev-parse", "origin/rem"]));
        assert_eq!(fixture.text(&["rev-parse", "--abbrev-ref", "rem@{upstream}"]), "origin/rem");
        // A local branch, or one with a start point, tracks nothing.
        fixture.git(&["branch", "here", "main"]);
        for (branch, start) in [("here", None), ("fresh", None), ("from", Some("origin/rem"))] {
            let mut args = ways(branch)[1].1.clone();
            args["start_point"] = json!(start);
            let text = fixture.serve().text("git_workspace", &args);
            assert!(!text.contains("tracks"), "{branch}: {text}");
        }
    }
}

#[test]
fn a_name_of_another_kind_creates_no_branch() {
    for at in 0..2 {
        let fixture = with_remotes();
        for (name, expect) in [
            ("v1", "it is a tag: pass it as `start_point`"),
            ("origin/rem", "it is a branch of a remote: pass it as `start_point`"),
            ("both", "several remotes have a branch `both`: pass one of them as `start_point`: origin/both, up/both"),
        ] {
            let before = fixture.text(&["for-each-ref"]) + &fixture.text(&["worktree", "list"]);
            let (tool, args) = &ways(name)[at];
            let error = fixture.serve().error(tool, args);
            assert!(error.contains(expect), "{name}: {error}");
            assert_eq!(fixture.text(&["for-each-ref"]) + &fixture.text(&["worktree", "list"]), before);
            // Following the hint.
            let start = if name == "both" { "up/both" } else { name };
            let named = if name == "both" { json!("both") } else { Value::Null };
            let mut client = fixture.serve();
            client.text("git_worktree", &json!({"action": "add", "path": "advised", "branch": named, "start_point": start}));
            let head = shell(&fixture.path.join("advised"), "git rev-parse HEAD");
            assert_eq!(String::from_utf8_lossy(&head).trim(), fixture.text(&["rev-parse", &format!("{start}^{{commit}}")]));
            client.text("git_worktree", &json!({"action": "remove", "path": "advised"}));
        }
    }
}

#[test]
fn a_branch_that_cannot_be_tracked_leaves_nothing_behind() {
    let fixture = with_remotes();
    fixture.git(&["config", "filter.x.smudge", "false"]);
    fixture.git(&["config", "filter.x.required", "true"]);
    fs::write(fixture.path.join(".git/info/attributes"), "a.txt filter=x\n").expect("attributes");
    fs::create_dir(fixture.path.join("wt")).expect("a folder");
    let state = || fixture.text(&["for-each-ref"]) + &fixture.text(&["worktree", "list"]) + &fixture.text(&["config", "--local", "--list"]);
    let before = state();
    for (tool, args) in ways("rem") {
        fixture.serve().error(tool, &args);
        assert_eq!(state(), before, "{tool}");
        assert!(fixture.path.join("wt").is_dir());
    }
}

#[test]
fn a_folder_is_interpreted_as_by_git() {
    let fixture = Fixture::new();
    let above = fixture.path.parent().expect("a parent").to_owned();
    let mut client = Client::start(&["-r", &fixture.path.display().to_string(), "-r", &above.display().to_string()], &[]);
    client.initialize();
    let repo = fixture.path.display().to_string();
    fs::create_dir(fixture.path.join("empty")).expect("a folder");
    let add = |path: &str, branch: &str| json!({"repo_path": repo, "action": "add", "path": path, "branch": branch});
    for (path, place) in [
        ("empty", fixture.path.join("empty")),
        ("../beside", above.join("beside")),
        ("dir/../within", fixture.path.join("within")),
        ("../repo/./again", fixture.path.join("again")),
    ] {
        client.text("git_worktree", &add(path, path.rsplit('/').next().expect("a name")));
        assert!(place.join("a.txt").exists(), "{path}");
        client.text("git_worktree", &json!({"repo_path": repo, "action": "remove", "path": path}));
        assert!(!place.exists(), "{path}");
    }
    fs::create_dir(fixture.path.join("full")).expect("a folder");
    fixture.write("full/file", "x");
    std::os::unix::fs::symlink("dir", fixture.path.join("link")).expect("a link");
    for (path, expect) in
        [("full", "exists already"), ("link", "exists already"), ("../../outside", "is outside the allowed roots"), ("/etc", "is outside")]
    {
        let error = client.error("git_worktree", &add(path, "none"));
        assert!(error.contains(expect), "{path}: {error}");
    }
}

#[test]
fn a_worktree_with_a_broken_link_is_repaired_as_advised() {
    type Break = fn(&Fixture);
    let breaks: [(Break, &str); 3] = [
        (|it| fs::remove_file(it.path.join("wt/.git")).expect("a file"), "/wt/.git is missing"),
        (|it| fs::write(it.path.join("wt/.git"), "junk\n").expect("a file"), "/wt/.git does not point to this repository"),
        (|it| fs::write(it.path.join("wt/.git"), "gitdir: /nowhere/.git/worktrees/wt\n").expect("a file"), "/wt/.git does not point"),
    ];
    for (breaks, expect) in breaks {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "-b", "side", "wt"]);
        breaks(&fixture);
        let mut client = fixture.serve();
        for force in [false, true] {
            let error = client.error("git_worktree", &json!({"action": "remove", "path": "wt", "force": force, "confirm": force}));
            assert!(error.contains(expect), "{error}");
            let command = error.split('`').nth(1).expect("a command");
            if force {
                shell(&fixture.path, command);
            }
        }
        client.text("git_worktree", &json!({"action": "remove", "path": "wt"}));
        assert!(!fixture.path.join("wt").exists());
    }
    // Or its record is removed.
    let fixture = Fixture::new();
    fixture.git(&["worktree", "add", "-q", "-b", "side", "wt"]);
    fs::remove_file(fixture.path.join("wt/.git")).expect("a file");
    let mut client = fixture.serve();
    client.text("git_worktree", &json!({"action": "prune"}));
    assert_eq!(fixture.text(&["worktree", "list"]).lines().count(), 1);
}

#[test]
fn the_main_worktree_is_never_removed() {
    let fixture = Fixture::new();
    fixture.git(&["worktree", "add", "-q", "-b", "side", "wt"]);
    let mut client = fixture.serve();
    let (main, linked) = (fixture.path.display().to_string(), fixture.path.join("wt").display().to_string());
    for (repo, confirm) in [(&linked, false), (&linked, true), (&main, false)] {
        let error = client.error("git_worktree", &json!({"action": "remove", "path": main, "repo_path": repo, "confirm": confirm}));
        assert!(error.contains("it is the main worktree") && !error.contains("`confirm`"), "{error}");
    }
}

#[test]
fn stale_locks_of_every_worktree_are_removed() {
    for name in ["wt/index.lock", "wt/HEAD.lock", "other/index.lock"] {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "-b", "side", "wt"]);
        fixture.git(&["worktree", "add", "-q", "-b", "third", "other"]);
        shell(&fixture.path, &format!("touch -d 2020-01-01 .git/worktrees/{name}"));
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        let (folder, _) = name.split_once('/').expect("a folder");
        let change = json!({"repo_path": fixture.path.join(folder), "branch_name": "HEAD~1"});
        let error = client.error("git_checkout", &change);
        let call =
            next_call(&[error.replace("}, which", "}\n, which").lines().find(|line| line.contains("Next: ")).expect("a call").to_owned()]);
        let (tool, args) = call.expect("a call");
        let text = client.text(&tool, &args);
        assert!(text.contains("removed"), "{text}");
        client.text("git_checkout", &change);
    }
}

#[test]
fn a_nested_repository_is_named_when_staged() {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "set -e; git worktree add -q -b side wt; git init -q inner; cd inner; git config user.name A; git config user.email a@b
         git commit -q --allow-empty -m one; cp -r ../inner '../with space'",
    );
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    let before = fixture.text(&["status", "--porcelain=v1"]);
    let text = client.text("git_add", &json!({"files": ["."]}));
    let notes: Vec<String> = parts(&text).notes.into_iter().filter(|note| note.contains("is an embedded repository")).collect();
    assert_eq!(notes.len(), 3, "{text}");
    for note in notes {
        let (tool, args) = call_in(note.split_once("unstage it: ").expect("a call").1);
        client.text(&tool, &args);
    }
    assert_eq!(fixture.text(&["status", "--porcelain=v1"]), before);
    // A repository committed this way is known already, and a submodule is intended.
    fixture.git(&["add", "inner"]);
    fixture.git(&["commit", "-q", "-m", "inner"]);
    shell(
        &fixture.path,
        "git -C inner commit -q --allow-empty -m two; git -c protocol.file.allow=always submodule --quiet add ./inner sub",
    );
    let text = client.text("git_add", &json!({"files": ["inner", "sub"]}));
    assert!(!text.contains("embedded"), "{text}");
}
