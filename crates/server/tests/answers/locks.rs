//! Lock files: told as what they are, and removed where no process holds them.

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

/// Makes a lock file that is so many seconds old.
fn lock(fixture: &Fixture, name: &str, seconds: u64) -> Result<std::path::PathBuf, Box<dyn std::error::Error>> {
    let path = fixture.path.join(".git").join(name);
    fs::create_dir_all(path.parent().ok_or("a folder")?)?;
    let file = fs::File::create(&path)?;
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))?;
    Ok(path)
}

/// Each lock with a change that meets it.
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
fn a_stale_lock_is_told_with_its_age_and_the_call_that_removes_it() -> Outcome {
    for (name, tool, args) in met() {
        let fixture = repository();
        let path = lock(&fixture, name, 700)?;
        let mut client = serve(&fixture);
        let told = text_of(&client.result(tool, &args));
        let said = format!("{} is a stale lock: it is 70", path.display());
        assert!(told.contains(&said) && !told.contains("Another git process"), "{name} {tool}: {told}");
        let call = told.split_once("Next: ").ok_or("a call")?.1.split(", which").next().unwrap_or_default();
        let (next, arguments) = call_in(call);
        let done = client.text(&next, &arguments);
        assert!(done.contains("removed ") && !path.exists(), "{name}: {done}");
        client.text(tool, &args);
    }
    // Also one that no change of here names.
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
fn a_lock_that_a_process_holds_or_that_is_young_stays() -> Outcome {
    let fixture = repository();
    let mut client = serve(&fixture);
    let young = lock(&fixture, "index.lock", 2)?;
    let told = client.result("git_add", &json!({"files": ["a.txt"]}));
    assert!(text_of(&told).contains("that no process holds any more") && told["structuredContent"]["recoverable"] == true, "{told}");
    assert!(client.text("git_maintenance", &json!({"action": "remove_locks"})).contains("left ") && young.exists());
    // One that a process has open, and one of a git that waits for its editor and has closed it.
    let held = lock(&fixture, "index.lock", 700)?;
    let mut holder = Command::new("sleep").arg("600").stdin(Stdio::from(fs::File::open(&held)?)).spawn()?;
    let told = text_of(&client.result("git_add", &json!({"files": ["a.txt"]})));
    let who = format!("sleep (pid {})", holder.id());
    assert!(told.contains(&who) && told.contains("Try again when that process has ended"), "{told}");
    let left = client.text("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(left.contains(&who) && held.exists(), "{left}");
    holder.kill()?;
    holder.wait()?;
    let mut git = at_work(&fixture.path)?;
    let left = client.text("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(left.contains("is at work there") && held.exists(), "{left}");
    git.kill()?;
    git.wait()?;
    assert!(client.text("git_maintenance", &json!({"action": "remove_locks"})).contains("removed ") && !held.exists());
    // What is there beyond a link is another's.
    let other = repository();
    let theirs = lock(&other, "refs/remotes/theirs.lock", 700)?;
    std::os::unix::fs::symlink(other.path.join(".git/refs/remotes"), fixture.path.join(".git/refs/remotes"))?;
    client.result("git_maintenance", &json!({"action": "remove_locks"}));
    assert!(theirs.exists());
    Ok(())
}

/// A git that works in a repository until its input ends.
fn at_work(path: &Path) -> std::io::Result<std::process::Child> {
    let mut command = Command::new("git");
    command.args(["cat-file", "--batch"]).current_dir(path).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
}
