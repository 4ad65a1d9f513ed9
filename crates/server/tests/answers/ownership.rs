//! A repository that belongs to another user: the advice makes every tool open it.

use crate::support::{Client, Fixture, Outcome, programs::not_tried, shell};
use serde_json::json;
use std::{fs, os::unix::fs::chown, path::Path};

/// The user `nobody`.
const NOBODY: u32 = 65534;

fn client(path: &Path, global: &str) -> Client {
    let mut client = Client::start(&["-r", &path.display().to_string()], &[("GIT_CONFIG_GLOBAL", global)]);
    client.initialize();
    client
}

#[test]
fn the_advised_safe_directory_is_the_one_that_git_checks() -> Outcome {
    if !rustix::process::geteuid().is_root() {
        not_tried("a repository of another user, which only root can make");
        return Ok(());
    }
    // Which path below the repository has the wrong owner, and which repository is called.
    for (owned, called) in [("repo", "repo"), ("repo/.git", "repo"), ("linked/.git", "linked"), ("bare.git", "bare.git")] {
        let fixture = Fixture::new();
        fixture.git(&["worktree", "add", "-q", "../linked"]);
        fixture.git(&["clone", "-q", "--bare", ".", "../bare.git"]);
        let home = fs::canonicalize(fixture.home.path())?;
        chown(home.join(owned), Some(NOBODY), Some(NOBODY))?;
        let global = home.join("global");
        fs::write(&global, "")?;
        let (path, global) = (home.join(called), global.display().to_string());
        let calls = [("git_log", json!({})), ("git_show", json!({"revision": "HEAD"})), ("git_branch", json!({}))];
        let mut client = client(&path, &global);
        let mut advised = Vec::new();
        for (tool, args) in &calls {
            let refused = client.error(tool, args);
            let (_, command) = refused.split_once("ask the operator to run: ").ok_or(refused.clone())?;
            advised.push(command.lines().next().unwrap_or_default().to_owned());
        }
        assert!(advised[0].starts_with("git config --global --add safe.directory /"), "{owned}: {advised:?}");
        assert!(advised.iter().all(|command| *command == advised[0]), "{owned}: {advised:?}");
        shell(&home, &format!("GIT_CONFIG_GLOBAL='{global}' {}", advised[0]));
        // git itself accepts it, and so does each tool.
        shell(&path, &format!("GIT_CONFIG_GLOBAL='{global}' git log -1"));
        for (tool, args) in &calls {
            client.text(tool, args);
        }
    }
    Ok(())
}
