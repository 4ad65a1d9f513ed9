//! What garbage collection, a rebase and a push leave alone; a git that hangs.

use super::scene::*;
use crate::support::{self, Client, Fixture, peak_kib, shell};
use serde_json::json;
use std::{fs, path::Path};

#[test]
fn undo_still_works_after_garbage_collection() {
    for (what, call) in [
        ("a reset", ("git_reset", json!({"mode": "hard", "target": "HEAD~1", "confirm": true}))),
        ("edits", ("git_restore", json!({"paths": ["a.txt"]}))),
        ("a branch", ("git_branch_delete", json!({"branch_name": "extra", "force": true, "confirm": true}))),
    ] {
        let fixture = Fixture::new();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        fixture.git(&["checkout", "-q", "-b", "extra"]);
        fixture.write("extra.txt", "x\n").commit("extra");
        fixture.git(&["checkout", "-q", "main"]);
        fixture.write("a.txt", "edited\n");
        client.text(call.0, &call.1);
        // The operator's own commands would drop all of it.
        fixture.git(&["config", "gc.pruneExpire", "now"]);
        fixture.git(&["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
        client.text("git_maintenance", &json!({"action": "gc"}));
        fixture.git(&["gc", "--quiet", "--prune=now"]);
        let said = client.text("git_undo", &json!({}));
        let (tool, args) = support::next_call(&support::parts(&said.replace("To undo it:", "Next:")).notes).expect("a call");
        client.text(&tool, &args);
        match what {
            "a branch" => drop(fixture.git(&["rev-parse", "--verify", "extra"])),
            "edits" => assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "edited\n"),
            _ => assert!(fixture.path.join("dir/b.rs").exists(), "{what}"),
        }
        fixture.git(&["fsck", "--strict"]);
        // The kept references are hidden.
        assert!(!client.text("git_branch", &json!({"branch_type": "all"})).contains("undo"));
    }
}

#[test]
fn a_rebase_moves_only_the_checked_out_branch() {
    for place in ["--local", "global"] {
        let fixture = Fixture::new();
        fixture.git(&["checkout", "-q", "-b", "work", "HEAD~1"]);
        fixture.write("w.txt", "1\n").commit("w1");
        fixture.git(&["branch", "release"]);
        fixture.write("w.txt", "2\n").commit("w2");
        let global = fixture.path.with_file_name("global");
        fs::write(&global, "[rebase]\nupdateRefs = true\n").expect("a file");
        let variables = [("GIT_CONFIG_GLOBAL", global.display().to_string())];
        let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if place == "--local" {
            fixture.git(&["config", "rebase.updateRefs", "true"]);
        }
        let before = fixture.git(&["rev-parse", "release"]);
        let mut client = fixture.serve_with(&[], if place == "global" { &variables } else { &[] });
        client.text("git_rebase", &json!({"target_branch": "main"}));
        assert_eq!(fixture.git(&["rev-parse", "release"]), before, "{place}");
    }
}

#[test]
fn a_push_runs_no_program_of_a_local_receiver() {
    for hook in ["pre-receive", "update", "post-receive"] {
        let scene = Scene::new();
        let bare = Path::new(&scene.above()).join("bare.git");
        shell(Path::new(&scene.above()), "git init -q --bare bare.git");
        fs::copy(&scene.trap, bare.join("hooks").join(hook)).expect("a hook");
        scene.fixture.git(&["remote", "add", "origin", &bare.display().to_string()]);
        let path = scene.fixture.path.display().to_string();
        let mut client = Client::start(&["-r", &path, "-r", &scene.above()], &[("MCP_GIT_PROTOCOLS", "file,https")]);
        client.initialize();
        let refused = client.error("git_push", &scene.here(json!({"remote": "origin", "branch": "main"})));
        assert!(refused.contains("bare.git is not trusted") && refused.contains("hooks"), "{hook}: {refused}");
        scene.unharmed(hook);
    }
}

#[test]
fn a_git_that_hangs_on_its_version_does_not_block_a_call() {
    for (what, script) in [("hangs", "exec sleep 600"), ("floods", "exec yes"), ("ends badly", "exit 3"), ("says nothing", "exit 0")] {
        let fixture = Fixture::new().by_git();
        let fake = fixture.path.with_file_name("fake");
        program(&fake, script);
        let mut client = fixture.serve_with(&["--git", &fake.display().to_string()], &[]);
        let text = client.error("git_blame", &json!({"path": "a.txt"}));
        assert!(text.contains("git could not be started"), "{what}: {text}");
        assert!(peak_kib(client.pid()) < MEMORY, "{what}");
    }
}

#[test]
fn hooks_see_none_of_the_servers_variables() {
    let fixture = Fixture::new();
    let seen = fixture.path.with_file_name("seen");
    program(&fixture.path.join(".git/hooks/pre-commit"), &format!("env > '{}'", seen.display()));
    let variables =
        [("MCP_GIT_SECRET", SECRET), ("MCP_GIT_LOG_LEVEL", "error"), ("NOTIFY_SOCKET", "/run/secret"), ("GIT_WORK_TREE", "/secret")];
    let mut client = fixture.serve_with(&[], &variables);
    client.text("git_commit", &json!({"message": "m", "allow_empty": true}));
    let seen = fs::read_to_string(seen).expect("the environment");
    for (name, _) in variables {
        assert!(!seen.contains(name), "{name}: {seen}");
    }
}

#[test]
fn a_worktree_with_hidden_untracked_files_is_not_removed() {
    for value in ["no", "normal", "all"] {
        let fixture = Fixture::new();
        fixture.git(&["config", "status.showUntrackedFiles", value]);
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        let place = fixture.path.join("linked");
        client.text("git_worktree", &json!({"action": "add", "path": "linked", "branch": "fresh"}));
        fs::write(place.join("work.txt"), "nowhere else\n").expect("a file");
        let refused = client.error("git_worktree", &json!({"action": "remove", "path": "linked"}));
        assert!(refused.contains("work.txt"), "{value}: {refused}");
        assert!(place.join("work.txt").exists(), "{value}");
    }
}

#[test]
fn planted_sparse_patterns_remove_no_ignored_files() {
    for (action, paths) in [("set", json!(["dir"])), ("add", json!(["dir"])), ("reapply", json!([]))] {
        let fixture = Fixture::new();
        fixture.write("other/c.txt", "c\n").write(".gitignore", "*.key\n").commit("more");
        fixture.git(&["sparse-checkout", "set", "dir", "other"]);
        fixture.write("other/own.key", "nowhere else\n");
        fs::write(fixture.path.join(".git/info/sparse-checkout"), "/*\n!/*/\n/dir/\n").expect("a file");
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        let refused = client.error("git_sparse_checkout", &json!({"action": action, "paths": paths}));
        assert!(refused.contains("own.key"), "{action}: {refused}");
        assert!(fixture.path.join("other/own.key").exists(), "{action}");
    }
}

#[test]
fn excessive_sizes_are_not_kept_in_memory() {
    let long = Fixture::new();
    let message = "a line of a message that has no end\n".repeat(1_200_000);
    fs::write(long.path.with_file_name("message"), format!("subject\n\n{message}")).expect("a file");
    long.git(&["commit", "-q", "--allow-empty", "-F", "../message"]);
    let many = Fixture::new();
    let id = String::from_utf8(many.git(&["rev-parse", "HEAD"])).expect("an id");
    let mut packed = "# pack-refs with: peeled fully-peeled sorted \n".to_owned();
    (0..300_000).for_each(|at| packed.extend([id.trim(), " refs/heads/b", &format!("{at:07}\n")]));
    fs::write(many.path.join(".git/packed-refs"), packed).expect("a file");
    for (fixture, tool, args) in [
        (&long, "git_log", json!({})),
        (&long, "git_show", json!({"revision": "HEAD"})),
        (&long, "git_log", json!({"grep": "nothing like it"})),
        (&many, "git_branch", json!({})),
        (&many, "git_branch", json!({"contains": "HEAD~1"})),
        (&many, "git_create_branch", json!({"branch_name": "made"})),
    ] {
        let mut client = fixture.serve();
        let text = client.text(tool, &args);
        assert!(text.len() < 64 << 10, "{tool}");
        assert!(peak_kib(client.pid()) < MEMORY, "{tool}: {} KiB", peak_kib(client.pid()));
        if tool == "git_branch" {
            assert!(text.contains("of 300001 branches shown"), "{tool}: {}", &text[text.len() - 300..]);
        }
    }
}
