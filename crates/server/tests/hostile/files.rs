//! Files that lead outside, block, or never end.

use super::scene::*;
use crate::support::{Fixture, peak_kib, shell};
use serde_json::{Value, json};
use std::{fs, os::unix::fs::symlink};

#[test]
fn no_call_follows_a_link_outside() {
    for link in [
        ".gitattributes",
        ".gitignore",
        ".gitmodules",
        ".mailmap",
        "dir/.gitattributes",
        "dir/.gitignore",
        ".git/shallow",
        ".git/MERGE_HEAD",
        ".git/MERGE_MSG",
        ".git/FETCH_HEAD",
        ".git/ORIG_HEAD",
        ".git/BISECT_LOG",
        ".git/sequencer/todo",
        ".git/rebase-apply/next",
        ".git/rebase-merge/msgnum",
        ".git/refs/heads/linked",
        ".git/refs/tags/linked",
        ".git/packed-refs",
        ".git/info/exclude",
        ".git/info/attributes",
        ".git/info/grafts",
        ".git/worktrees/w/gitdir",
        ".git/objects/info/alternates",
        ".git/objects/info/commit-graph",
        ".git/logs/HEAD",
        ".git/config.worktree",
        ".git/index",
    ] {
        let scene = Scene::new();
        let place = scene.fixture.path.join(link);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        fs::remove_file(&place).unwrap_or_default();
        symlink(scene.secret(), &place).expect("a link");
        let mut client = scene.serve();
        for (tool, args) in every_tool() {
            let result = client.result(tool, &scene.here(args));
            assert!(!result.to_string().contains(SECRET), "{link}: {tool}: {result}");
        }
        let held = fs::read_to_string(scene.secret()).expect("the secret");
        assert!(held.ends_with(&format!("{SECRET}\n{SECRET}\n")), "{link}: it was written to");
        let pid = client.pid();
        assert!(peak_kib(pid) < MEMORY, "{link}: {} KiB", peak_kib(pid));
    }
}

#[test]
fn blocking_files_hold_no_permit() {
    for pipe in [".gitmodules", ".git/refs/heads/pipe", ".git/objects/info/commit-graph", ".git/worktrees/w/gitdir"] {
        let scene = Scene::new();
        let place = scene.fixture.path.join(pipe);
        fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
        shell(&scene.fixture.path, &format!("mkfifo '{pipe}'"));
        let mut client = scene.serve();
        let calls: Vec<Value> = (0..100).map(|_| client.start_call("git_status", &scene.here(json!({})))).collect();
        let mut answers: Vec<Value> = (0..calls.len()).map(|_| client.receive()).collect();
        answers.retain(|answer| calls.contains(&answer["id"]));
        assert_eq!(answers.len(), calls.len(), "{pipe}");
        if pipe == ".gitmodules" {
            // git skips it.
            assert!(answers.iter().all(|answer| answer["result"]["isError"] != true), "{pipe}: {}", answers[0]);
        }
        // More calls than permits.
        let other = Fixture::new();
        fs::rename(&other.path, scene.fixture.path.with_file_name("other")).expect("a move");
        for _ in 0..12 {
            client.text("git_status", &json!({"repo_path": scene.fixture.path.with_file_name("other")}));
        }
    }
}

#[test]
fn endless_files_are_not_read_into_memory() {
    for (name, size) in [
        (".gitattributes", 1_u64 << 40),
        (".gitignore", 1 << 40),
        (".git/refs/heads/huge", 100 << 10),
        (".git/info/exclude", 2 << 20),
        (".git/objects/info/alternates", 1 << 40),
        (".git/shallow", 1 << 40),
        (".git/config", 3 << 20),
    ] {
        let scene = Scene::new();
        let place = scene.fixture.path.join(name);
        let file = fs::File::options().create(true).append(true).open(&place).expect("a file");
        let mut client = scene.serve();
        // Sparse: it takes no disk space.
        file.set_len(size).expect("its size");
        let tools: &[&str] =
            if size > 1 << 30 && name.starts_with(".gita") { &["git_log"] } else { &["git_status", "git_log", "git_show"] };
        for tool in tools {
            let args = if *tool == "git_show" { json!({"revision": "HEAD"}) } else { json!({}) };
            client.result(tool, &scene.here(args));
        }
        assert!(peak_kib(client.pid()) < MEMORY, "{name}: {} KiB", peak_kib(client.pid()));
    }
}
