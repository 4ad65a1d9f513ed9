//! Replies that are given again are those of a server that keeps none, whatever changes in between.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
};
use support::{
    Client, Fixture, Outcome,
    admin::{Administered, tool},
    parts,
};

/// Reads of every repeatable tool.
fn reads() -> Vec<(&'static str, Value)> {
    vec![
        ("git_status", json!({})),
        ("git_diff", json!({})),
        ("git_diff_staged", json!({})),
        ("git_diff", json!({"target": "HEAD~1"})),
        ("git_diff", json!({"base": "HEAD~1", "target": "HEAD"})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_show", json!({"revision": ":a.txt"})),
        ("git_log", json!({})),
        ("git_log", json!({"paths": ["dir"]})),
        ("git_blame", json!({"path": "a.txt"})),
        ("git_branch", json!({"branch_type": "all"})),
        ("git_grep", json!({"pattern": "o"})),
        ("git_ls_tree", json!({})),
    ]
}

/// The answers of a server, without its mark.
fn answers(client: &mut Client) -> Vec<(String, Value)> {
    let reads = reads().into_iter();
    let answer = |(tool, args): (&str, Value)| {
        let mut result = client.result(tool, &args);
        let text = result["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        let parts = parts(&text);
        result["content"][0]["text"] = json!(format!("{}{:?}", parts.body, parts.notes));
        (format!("{tool} {args}"), result)
    };
    reads.map(answer).collect()
}

type Change = dyn Fn(&Fixture) -> io::Result<()>;
type Step<'a> = (&'static str, &'a Change);

/// Changes by git, by editors and by hand.
fn steps() -> Vec<Step<'static>> {
    fn git(args: &'static [&'static str]) -> Box<Change> {
        Box::new(move |fixture| {
            fixture.git(args);
            Ok(())
        })
    }
    let git = |what, args| (what, &*Box::leak(git(args)));
    vec![
        ("an edit", &|f| fs::write(f.path.join("a.txt"), "one\ntwo\nthree o\n")),
        ("an edit of the same length", &|f| fs::write(f.path.join("a.txt"), "one\ntwo\nthrew o\n")),
        ("an untracked file", &|f| fs::write(f.path.join("dir/new"), "o")),
        ("a new folder", &|f| fs::create_dir(f.path.join("made"))),
        ("a file in it", &|f| fs::write(f.path.join("made/file"), "o")),
        ("a folder in it", &|f| fs::create_dir_all(f.path.join("made/deep/deeper"))),
        ("a file there", &|f| fs::write(f.path.join("made/deep/deeper/file"), "o")),
        git("all of it staged", &["add", "--all"]),
        ("an edit in a new tracked folder", &|f| fs::write(f.path.join("made/deep/deeper/file"), "oo\n")),
        ("a mode", &|f| fs::set_permissions(f.path.join("a.txt"), fs::Permissions::from_mode(0o755))),
        git("a commit", &["commit", "--quiet", "-am", "third"]),
        ("ignore rules", &|f| fs::write(f.path.join(".gitignore"), "*.log\n")),
        ("an ignored file", &|f| fs::write(f.path.join("made/x.log"), "o")),
        ("other ignore rules", &|f| fs::write(f.path.join("made/.gitignore"), "!*.log\n")),
        ("rules of this clone", &|f| fs::write(f.path.join(".git/info/exclude"), "x.log\n")),
        ("attributes", &|f| fs::write(f.path.join(".gitattributes"), "*.txt binary\n")),
        ("no attributes", &|f| fs::remove_file(f.path.join(".gitattributes"))),
        git("a setting", &["config", "diff.context", "1"]),
        git("another setting", &["config", "core.quotePath", "false"]),
        ("a file is replaced by a link", &|f| {
            fs::remove_file(f.path.join("dir/new"))?;
            symlink("../a.txt", f.path.join("dir/new"))
        }),
        ("a folder moves", &|f| fs::rename(f.path.join("made"), f.path.join("moved"))),
        ("an edit in it", &|f| fs::write(f.path.join("moved/deep/deeper/file"), "o again\n")),
        ("a folder goes", &|f| fs::remove_dir_all(f.path.join("moved"))),
        git("everything back", &["reset", "--quiet", "--hard"]),
        git("a branch", &["branch", "topic/one"]),
        git("a tag", &["tag", "v1"]),
        git("a stash", &["stash", "--include-untracked", "--quiet"]),
        git("packed references", &["pack-refs", "--all"]),
        git("another branch", &["checkout", "--quiet", "topic/one"]),
        git("a worktree", &["worktree", "add", "--quiet", "../beside", "-b", "beside"]),
        git("a replaced commit", &["replace", "HEAD", "HEAD~1"]),
        git("another one", &["replace", "HEAD~1", "HEAD~2"]),
        git("no replaced commits", &["replace", "-d", "HEAD", "HEAD~1"]),
        git("all repacked", &["gc", "--quiet", "--prune=now"]),
        ("a mailmap", &|f| fs::write(f.path.join(".mailmap"), "Other <author@example.com>\n")),
        ("a broken index", &|f| fs::write(f.path.join(".git/index"), "no index")),
        git("a new index", &["read-tree", "HEAD"]),
        ("a merge head", &|f| fs::write(f.path.join(".git/MERGE_HEAD"), f.text(&["rev-parse", "main"]))),
        ("none", &|f| fs::remove_file(f.path.join(".git/MERGE_HEAD"))),
        ("another repository in its place", &|f| {
            fs::rename(&f.path, f.path.with_extension("old"))?;
            fs::create_dir(&f.path)?;
            f.git(&["init", "--quiet"]);
            f.git(&["-c", "user.name=N", "-c", "user.email=n@example.com", "commit", "--quiet", "--allow-empty", "-m", "new"]);
            Ok(())
        }),
    ]
}

#[test]
fn a_reply_given_again_is_that_of_a_server_that_keeps_none() -> Outcome {
    let fixture = Fixture::new();
    let mut keeping = fixture.serve();
    let mut fresh = fixture.serve_with(&[], &[("MCP_GIT_REPLY_BYTES", "0")]);
    for (what, step) in steps() {
        step(&fixture)?;
        // Read, watched, kept, and given again.
        for round in 0..4 {
            let (ours, expect) = (answers(&mut keeping), answers(&mut fresh));
            for (ours, expect) in ours.iter().zip(&expect) {
                assert_eq!(ours, expect, "after {what}, round {round}");
            }
        }
    }
    Ok(())
}

fn replies(server: &Administered) -> Value {
    let all = server.get("/caches");
    let mut caches = all["caches"].as_array().expect("a list").iter();
    caches.find(|cache| cache["name"] == "replies").cloned().unwrap_or_default()
}

#[test]
fn what_is_read_again_is_found_until_something_changes() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let read = || {
        for (name, args) in reads() {
            tool(&server, name, args);
        }
    };
    let hits = || replies(&server)["hits"].as_u64().expect("a number");
    (0..3).for_each(|_| read());
    let before = hits();
    read();
    assert_eq!(hits() - before, reads().len() as u64, "{}", replies(&server));
    fixture.write("a.txt", "changed\n");
    let before = hits();
    assert!(tool(&server, "git_status", json!({}))["content"][0]["text"].as_str().is_some_and(|text| text.contains(" M a.txt")));
    assert_eq!(hits(), before);
    // Calls whose answer depends on the time are never kept.
    for args in [json!({"start_timestamp": "2 weeks ago"}), json!({"rev": "HEAD@{0}"})] {
        (0..3).for_each(|_| drop(tool(&server, "git_log", args.clone())));
    }
    assert_eq!(hits(), before);
}

#[test]
fn the_cache_stays_within_its_bytes_and_can_be_disabled() {
    let fixture = Fixture::new();
    fixture.write("long.txt", "a line of text\n".repeat(2000)).commit("long");
    let server = Administered::start(&fixture, &[], &[("MCP_GIT_REPLY_BYTES", "65536")]);
    for lines in (1..200).chain(1..200) {
        tool(&server, "git_show", json!({"revision": "HEAD:long.txt", "start_line": 1, "end_line": lines}));
    }
    let state = replies(&server);
    let entries = state["entries"].as_u64().expect("a number");
    assert!((1..100).contains(&entries), "{state}");
    assert_eq!(server.post("/caches/clear", &json!({"name": "replies"})).0, 200);
    assert_eq!(replies(&server)["entries"], 0);
    let off = Administered::start_as("off", &fixture, &[], &[("MCP_GIT_REPLY_BYTES", "0")]);
    for _ in 0..4 {
        tool(&off, "git_status", json!({}));
    }
    assert_eq!((&replies(&off)["entries"], &replies(&off)["enabled"]), (&json!(0), &json!(false)));
}
