//! What garbage collection, a rebase and a push leave alone; a git that is none.

use super::scene::*;
use crate::support::{self, Client, Fixture, peak_kib, shell};
use serde_json::json;
use std::{fs, path::Path};

#[test]
fn garbage_is_collected_and_undo_works_on() {
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
        // The operator's own way to lose it all.
        fixture.git(&["config", "gc.pruneExpire", "now"]);
        fixture.git(&["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
        client.text("git_maintenance", &json!({"action": "gc"}));
        fixture.git(&["gc", "--quiet", "--prune=now"]);
        let said = client.text("git_undo", &json!({}));
        let (tool, args) = support::next_call(&support::parts(&said.replace("To take it back:", "Next:")).notes).expect("a call");
        client.text(&tool, &args);
        match what {
            "a branch" => drop(fixture.git(&["rev-parse", "--verify", "extra"])),
            "edits" => assert_eq!(fs::read_to_string(fixture.path.join("a.txt")).expect("a file"), "edited\n"),
            _ => assert!(fixture.path.join("dir/b.rs").exists(), "{what}"),
        }
        fixture.git(&["fsck", "--strict"]);
        // Nobody sees what is kept.
        assert!(!client.text("git_branch", &json!({"branch_type": "all"})).contains("undo"));
    }
}

#[test]
fn a_rebase_moves_the_branch_that_is_checked_out_and_no_other() {
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
fn a_push_runs_nothing_of_a_repository_on_this_machine() {
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
fn a_git_that_does_not_say_what_it_is_does_not_hold_a_call() {
    for (what, script) in [("hangs", "exec sleep 600"), ("floods", "exec yes"), ("ends badly", "exit 3"), ("says nothing", "exit 0")] {
        let fixture = Fixture::new();
        let fake = fixture.path.with_file_name("fake");
        program(&fake, script);
        let mut client = fixture.serve_with(&["--git", &fake.display().to_string()], &[]);
        let text = client.error("git_blame", &json!({"path": "a.txt"}));
        assert!(text.contains("git could not be started"), "{what}: {text}");
        assert!(peak_kib(client.pid()) < MEMORY, "{what}");
    }
}
