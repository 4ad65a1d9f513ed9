//! Lock files: reported as such, and removed if no process holds them.

use crate::support::{Client, Fixture, Outcome, call_in, shell, text_of};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};

fn serve(fixture: &Fixture) -> Client {
    fixture.serve_with(&["--toolsets", "all"], &[])
}

/// A repository with a second branch, packed references and an edit.
fn repository() -> Fixture {
    let fixture = Fixture::new();
    shell(&fixture.path, "git branch other; git tag old; git pack-refs --all; echo edited > a.txt");
    fixture
}

/// Creates a lock file of this age in seconds.
fn lock(fixture: &Fixture, name: &str, seconds: u64) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let path = fixture.path.join(".git").join(name);
    fs::create_dir_all(path.parent().ok_or("a folder")?)?;
    let file = fs::File::create(&path)?;
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))?;
    Ok(path)
}

/// Each lock with a change that runs into it.
fn met() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("index.lock", "git_add", json!({"files": ["a.txt"]})),
        ("index.lock", "git_reset", json!({"mode": "hard", "confirm": true})),
        ("HEAD.lock", "git_checkout", json!({"branch_name": "other"})),
        ("HEAD.lock", "git_commit", json!({"message": "m", "allow_empty": true})),
        ("refs/heads/main.lock", "git_commit", json!({"message": "m", "allow_empty": true})),
        ("refs/heads/fresh.lock", "git_create_branch", json!({"branch_name": "fresh"})),
        ("refs/heads/other.lock", "git_branch_delete", json!({"branch_name": "other", "confirm": true})),
        ("refs/tags/t.lock", "git_tag", json!({"action": "create", "name": "t"})),
        ("packed-refs.lock", "git_branch_delete", json!({"branch_name": "other", "confirm": true})),
        ("refs/stash.lock", "git_stash", json!({})),
        ("config.lock", "git_config", json!({"key": "user.name", "value": "B"})),
        ("config.lock", "git_remote_add", json!({"name": "fresh", "url": "https://1.1.1.1/x"})),
    ]
}

#[test]
fn a_stale_lock_is_reported_with_its_age_and_the_call_that_removes_it() -> Outcome {
    for (name, tool, args) in met() {
        let fixture = repository();
        let path = lock(&fixture, name, 700)?;
        let mut client = serve(&fixture);
        let reply = text_of(&client.result(tool, &args));
        let said = format!("{} is a stale lock: it is 70", path.display());
        assert!(reply.contains(&said) && !reply.contains("Another git process"), "{name} {tool}: {reply}");
        let call = reply.split_once("Next: ").ok_or("a call")?.1.split(", which").next().unwrap_or_default();
        let (next, arguments) = call_in(call);
        let done = client.text(&next, &arguments);
        assert!(done.contains("removed ") && !path.exists(), "{name}: {done}");
        client.text(tool, &args);
    }
    // Including one that no change names.
    let fixture = repository();
    let paths =
        ["shallow.lock", "logs/HEAD.lock", "objects/info/commit-graph.lock", "refs/remotes/o/b.lock"].map(|name| lock(&fixture, name, 700));
    let paths = paths.into_iter().collect::<Result<Vec<_>, _>>()?;
    serve(&fixture).text("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(paths.iter().all(|path| !path.exists()), "{paths:?}");
    assert!(serve(&fixture).text("git_maintenance", &json!({"action": "remove_locks"})).contains("there are no lock files"));
    assert!(fixture.try_git(&["fsck"]).status.success());
    Ok(())
}

#[test]
fn a_held_or_recent_lock_stays() -> Outcome {
    let fixture = repository();
    let mut client = serve(&fixture);
    let young = lock(&fixture, "index.lock", 2)?;
    let reply = client.result("git_add", &json!({"files": ["a.txt"]}));
    assert!(text_of(&reply).contains("that no process holds; it is ") && reply["structuredContent"]["recoverable"] == true, "{reply}");
    assert!(client.text("git_maintenance", &json!({"action": "remove_locks"})).contains("kept ") && young.exists());
    // One open in a process, and one closed by a git that waits for its editor.
    let held = lock(&fixture, "index.lock", 700)?;
    let mut holder = Command::new("sleep").arg("600").stdin(Stdio::from(fs::File::open(&held)?)).spawn()?;
    let reply = text_of(&client.result("git_add", &json!({"files": ["a.txt"]})));
    let who = format!("sleep (pid {})", holder.id());
    assert!(reply.contains(&who) && reply.contains("Try again when that process has ended"), "{reply}");
    let left = client.text("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(left.contains(&who) && held.exists(), "{left}");
    holder.kill()?;
    holder.wait()?;
    let mut git = busy_git(&fixture.path)?;
    let left = client.text("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(left.contains("is using it") && held.exists(), "{left}");
    git.kill()?;
    git.wait()?;
    assert!(client.text("git_maintenance", &json!({"action": "remove_locks"})).contains("removed ") && !held.exists());
    // A file behind a link belongs to others.
    let other = repository();
    let theirs = lock(&other, "refs/remotes/theirs.lock", 700)?;
    std::os::unix::fs::symlink(other.path.join(".git/refs/remotes"), fixture.path.join(".git/refs/remotes"))?;
    client.result("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(theirs.exists());
    Ok(())
}

/// A git that holds the lock until its input ends.
fn busy_git(path: &Path) -> std::io::Result<std::process::Child> {
    let mut command = Command::new("git");
    command.args(["cat-file", "--batch"]).current_dir(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
}
