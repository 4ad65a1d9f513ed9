//! Revisions, paths, branches, tags, worktrees and locks.

use super::row::{Row, argument, elsewhere, followed, named, with};
use crate::support::{
    Fixture, call_in,
    hooks::{Gate, forked, hook},
    shell,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

/// An index lock of this age in seconds, and an unstaged edit.
fn locked(seconds: u64) -> (Fixture, PathBuf) {
    let fixture = Fixture::new();
    fixture.write("a.txt", "edited\n");
    let path = fixture.path.join(".git/index.lock");
    let age = |at: &PathBuf| fs::File::create(at).and_then(|file| file.set_modified(SystemTime::now() - Duration::from_secs(seconds)));
    age(&path).expect("a lock");
    (fixture, path)
}

fn add() -> (&'static str, Value) {
    ("git_add", json!({"files": ["a.txt"]}))
}

pub(crate) const ROWS: &[Row] = &[
    followed("error/advice/mod.rs", "git_branch lists branches and git_log", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_show", json!({"revision": "nowhere"})));
        let branch = client.text("git_branch", &json!({})).split_whitespace().find(|word| *word == "main").map(str::to_owned);
        client.text("git_show", &json!({"revision": branch.expect("a branch")}));
        let listed = client.result("git_log", &json!({}));
        client.text("git_show", &json!({"revision": listed["structuredContent"]["commits"][0]["id"]}));
        // A branch without commits gets one with the first commit.
        let fixture = Fixture::empty();
        fixture.write("a.txt", "1\n").git(&["add", "."]);
        it.helps(&mut fixture.serve(), ("git_show", json!({"revision": "HEAD"})), &[("git_commit", json!({"message": "first"}))]);
    }),
    followed("error/advice/mod.rs", "Paths are relative to the repository's top", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_show", json!({"revision": "HEAD:b.rs"})));
        let directory = it.text.split('`').nth(1).expect("a form").replace("REV", "HEAD").replace("DIRECTORY", "dir");
        assert!(client.text("git_show", &json!({"revision": directory})).contains("b.rs"));
        client.text("git_show", &json!({"revision": "HEAD:dir/b.rs"}));
        // The same for changes.
        it.printed(&mut client, ("git_rm", json!({"files": ["b.rs"]})));
        client.text("git_rm", &json!({"files": ["dir/b.rs"]}));
    }),
    followed("error/advice/mod.rs", "Choose another name, or remove", |it| {
        let fixture = Fixture::new();
        fixture.write("c.txt", "c\n").commit("more").git(&["tag", "v1"]);
        let mut client = fixture.serve();
        let tag = ("git_tag", json!({"action": "create", "name": "v1", "revision": "HEAD~1"}));
        it.helps(&mut client, tag, &[("git_tag", json!({"action": "delete", "name": "v1", "confirm": true}))]);
        client.text("git_tag", &json!({"action": "create", "name": "v2"}));
        let mv = ("git_mv", json!({"source": "a.txt", "destination": "c.txt"}));
        it.printed(&mut client, mv.clone());
        it.helps(&mut client, mv, &[("git_rm", json!({"files": ["c.txt"]}))]);
        let add = |path: &str| ("git_worktree", json!({"action": "add", "path": path, "branch": "made"}));
        it.printed(&mut client, add("dir"));
        let (tool, other) = add("elsewhere");
        client.text(tool, &other);
    }),
    followed("error/advice/mod.rs", "Merge it, or repeat the call with `force`", |it| {
        let delete = json!({"branch_name": "side", "confirm": true});
        let fixture = forked();
        let mut client = fixture.serve();
        let (error, _) = it.printed(&mut client, ("git_branch_delete", delete.clone()));
        client.text("git_branch_delete", &with(&error, "force", &delete));
        it.helps(&mut forked().serve(), ("git_branch_delete", delete), &[("git_merge", json!({"source_branch": "side"}))]);
    }),
    followed("error/advice/mod.rs", "Pass \"repo_path\": {}", |it| {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "-b", "taken", "wt"]);
        let mut client = fixture.serve();
        let checkout = json!({"branch_name": "taken"});
        let (_, filled) = it.printed(&mut client, ("git_checkout", checkout.clone()));
        let place: Value = serde_json::from_str(&filled[0]).expect("a path");
        assert!(client.text("git_status", &json!({"repo_path": place})).contains("## taken"));
        client.text("git_checkout", &json!({"repo_path": place, "branch_name": "other", "create": true}));
        client.text("git_checkout", &checkout);
    }),
    followed("error/advice/mod.rs", "If it may be removed: git_worktree", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        client.text("git_worktree", &json!({"action": "add", "path": "wt", "branch": "one"}));
        client.text("git_worktree", &json!({"action": "lock", "path": "wt"}));
        let remove = json!({"action": "remove", "path": "wt"});
        let (error, _) = it.printed(&mut client, ("git_worktree", remove.clone()));
        let (tool, args) = named(&error, "git_worktree");
        client.text(tool, &args);
        client.text("git_worktree", &remove);
    }),
    followed("error/advice/worktrees.rs", "git_worktree {}, then", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve();
        client.text("git_worktree", &json!({"action": "add", "path": "wt", "branch": "one"}));
        client.text("git_worktree", &json!({"action": "lock", "path": "wt"}));
        fs::remove_dir_all(fixture.path.join("wt")).expect("a folder");
        let checkout = json!({"branch_name": "one"});
        let (error, _) = it.printed(&mut client, ("git_checkout", checkout.clone()));
        let (tool, unlock) = named(&error, "git_worktree");
        client.text(tool, &unlock);
        let (_, rest) = error.split_once(", then ").expect("another step");
        let (tool, prune) = named(rest, "git_worktree");
        client.text(tool, &prune);
        client.text("git_checkout", &checkout);
    }),
    followed("error/advice/worktrees.rs", "If the folder was moved", |it| {
        let gone = |how: &str| {
            let fixture = Fixture::new();
            let mut client = fixture.serve();
            client.text("git_worktree", &json!({"action": "add", "path": "wt", "branch": "one"}));
            shell(&fixture.path, how);
            (fixture, client)
        };
        let (fixture, mut client) = gone("mv wt moved");
        let add = |path: &str| json!({"action": "add", "path": path, "branch": "two"});
        let error = client.error("git_worktree", &add("wt"));
        it.read(&error);
        shell(&fixture.path.join("moved"), error.split('`').nth(1).expect("a command"));
        client.text("git_worktree", &add("wt"));
        assert!(client.text("git_worktree", &json!({})).contains("moved"));
        let (_fixture, mut client) = gone("rm -r wt");
        let checkout = json!({"branch_name": "one"});
        let (error, _) = it.printed(&mut client, ("git_checkout", checkout.clone()));
        let (tool, prune) = named(&error, "git_worktree");
        client.text(tool, &prune);
        client.text("git_checkout", &checkout);
    }),
    followed("error/advice/mod.rs", "git_worktree lists the worktrees.", |it| {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "wt"]);
        let mut client = fixture.serve();
        it.printed(&mut client, ("git_worktree", json!({"action": "remove", "path": "elsewhere"})));
        let listed = client.text("git_worktree", &json!({}));
        let place = listed
            .split_whitespace()
            .map(|word| word.trim_end_matches(':'))
            .find(|word| word.ends_with("/wt"))
            .unwrap_or_else(|| panic!("{listed}"));
        client.text("git_worktree", &json!({"action": "remove", "path": place}));
    }),
    followed("error/advice/mod.rs", "Ids change with the content", |it| {
        let fixture = Fixture::new();
        fixture.write("a.txt", "edited\n");
        let mut client = fixture.serve();
        let id = |listed: &str| listed.split("hunk ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id").to_owned();
        let old = id(&client.text("git_add", &json!({"list": true})));
        fixture.write("a.txt", "edited again\n");
        let (error, _) = it.printed(&mut client, ("git_add", json!({"hunks": [old]})));
        let listed = client.text("git_add", &json!({"list": argument(&error, "list")}));
        client.text("git_add", &json!({"hunks": [id(&listed)]}));
        assert_eq!(fixture.text(&["diff", "--cached", "--name-only"]), "a.txt");
    }),
    followed("error/advice/mod.rs", "Nothing has changed. Compare it", |it| {
        let fixture = Fixture::new();
        let patch = |line: &str| json!({"patch": format!("--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n-{line}\n+1\n two\n")});
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        it.printed(&mut client, ("git_apply", patch("other")));
        assert_eq!(fixture.text(&["status", "--porcelain"]), "");
        let held = client.text("git_show", &json!({"revision": "HEAD:a.txt"}));
        client.text("git_apply", &patch(held.lines().next().expect("a line")));
    }),
    followed("error/advice/mod.rs", "git_tag lists the tags", |it| {
        let fixture = Fixture::new();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        fixture.git(&["tag", "light"]);
        let (error, _) = it.printed(&mut client, ("git_describe", json!({})));
        assert!(client.text("git_tag", &json!({})).contains("light"));
        assert!(client.text("git_describe", &json!({"tags": argument(&error, "tags")})).contains("light"));
    }),
    followed("error/advice/mod.rs", "Call the tool with `repo_path`: the submodule", |it| {
        let fixture = Fixture::new();
        shell(
            &fixture.path,
            "set -e; git init -q -b main ../library; cd ../library; git config user.name A; git config user.email a@b; echo 1 > f; git add .
             git commit -q -m one; L=$PWD; cd ../repo; git -c protocol.file.allow=always submodule --quiet add $L lib; git commit -q -m lib",
        );
        let mut client = fixture.serve();
        let (_, filled) = it.printed(&mut client, ("git_show", json!({"revision": "HEAD:lib"})));
        let there = fixture.path.join(&filled[0]);
        let id = filled[1].trim_end_matches('.');
        assert!(client.text("git_show", &json!({"repo_path": there, "revision": id})).contains("one"));
    }),
    followed("error/advice/worktrees.rs", "If {} is meant to be a working tree", |it| {
        let fixture = Fixture::new();
        fixture.git(&["config", "core.bare", "true"]);
        let status = ("git_status", json!({}));
        let mut client = fixture.serve();
        let (error, filled) = it.printed(&mut client, status.clone());
        client.text("git_log", &json!({}));
        client.text("git_show", &json!({"revision": "HEAD"}));
        let command = error
            .split_once("ask the operator to run in it: ")
            .and_then(|(_, rest)| rest.split_once('.').map(|(one, rest)| format!("{one}.{}", rest.split(". ").next().unwrap_or_default())));
        shell(&PathBuf::from(&filled[0]), &command.expect("a command"));
        client.text(status.0, &status.1);
    }),
    followed("error/advice/worktrees.rs", "Use a tool that reads commits", |it| {
        let fixture = Fixture::new();
        fixture.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
        let path = fixture.path.with_file_name("bare.git").display().to_string();
        let mut client = crate::support::Client::start(&["-r", &path], &[]);
        client.initialize();
        it.printed(&mut client, ("git_status", json!({})));
        client.text("git_log", &json!({}));
        client.text("git_show", &json!({"revision": "HEAD"}));
    }),
    followed("error/advice/locks.rs", "Next: git_maintenance {\"action\"", |it| {
        let (fixture, path) = locked(700);
        let mut client = fixture.serve_with(&["--toolsets", "default,maintenance"], &[]);
        let (error, _) = it.printed(&mut client, add());
        let (tool, args) = call_in(error.split_once("Next: ").and_then(|(_, rest)| rest.split_once(", which")).expect("a call").0);
        client.text(&tool, &args);
        assert!(!path.exists());
        client.text(add().0, &add().1);
        // The operator can also remove the file.
        fixture.write(".git/index.lock", "").write("a.txt", "edited again\n");
        fs::remove_file(error.split_whitespace().next().expect("a file")).expect("a lock");
        client.text(add().0, &add().1);
    }),
    followed("error/advice/locks.rs", "Try again when that process has ended.", |it| {
        let (fixture, path) = locked(700);
        let mut holder =
            Command::new("sleep").arg("600").stdin(Stdio::from(fs::File::open(&path).expect("a lock"))).spawn().expect("a holder");
        let mut client = fixture.serve();
        it.printed(&mut client, add());
        holder.kill().expect("its end");
        holder.wait().expect("its end");
        fs::remove_file(path).expect("a lock");
        client.text(add().0, &add().1);
    }),
    followed("error/advice/locks.rs", "Try again. Once it is one minute old", |it| {
        let (fixture, path) = locked(2);
        let mut client = fixture.serve_with(&["--toolsets", "default,maintenance"], &[]);
        let (error, _) = it.printed(&mut client, add());
        let remove = json!({"action": argument(&error, "action")});
        // A younger lock stays.
        client.text("git_maintenance", &remove);
        assert!(path.exists());
        let file = fs::File::options().write(true).open(&path).expect("a lock");
        file.set_modified(SystemTime::now() - Duration::from_secs(61)).expect("a time");
        drop(file);
        client.text("git_maintenance", &remove);
        client.text(add().0, &add().1);
    }),
    followed("error/advice/mod.rs", "Try again when that change has ended.", |it| {
        let fixture = Fixture::new();
        let (gate, began) = (Gate::closed(&fixture), fixture.home.path().join("began"));
        hook(&fixture, "pre-commit", &format!("touch '{}'; {}", began.display(), gate.wait()));
        let commit = json!({"message": "m", "allow_empty": true});
        let mut first = fixture.serve();
        let running = first.start_call("git_commit", &commit);
        crate::support::wire::wait_for("the hook", || began.exists());
        let mut second = fixture.serve_with(&[], &[("MCP_GIT_CHANGE_TIMEOUT", "1")]);
        let make = ("git_create_branch", json!({"branch_name": "new"}));
        let add = ("git_commit", commit.clone());
        it.printed(&mut second, add);
        gate.open();
        first.answer_to(&running);
        second.text(make.0, &make.1);
        second.text("git_commit", &commit);
    }),
    elsewhere("pipeline/run.rs", "Only a remote has a branch", ("answers/names.rs", "branches_that_exist_only_on_remotes_are_named")),
    elsewhere("pipeline/run.rs", "Several remotes have a branch", ("answers/names.rs", "branches_that_exist_only_on_remotes_are_named")),
];
