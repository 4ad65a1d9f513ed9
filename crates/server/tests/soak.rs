//! The server is stopped at random moments: by SIGTERM, SIGINT and `kill -9`. The next server
//! can explain and repair whatever is left.
//!
//! A few rounds run with the other tests; `cargo xtask soak` runs `SOAK_ROUNDS`.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests fail loudly; the moment of the end is a time")]

mod support;

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use support::{
    Client, Dice, Fixture, descendants, files,
    remote::{OPEN, Remote},
};

const OPERATIONS: [&str; 6] = ["git_commit", "git_rebase", "git_merge", "git_fetch", "git_clone", "git_add"];
const SIGNALS: [&str; 3] = ["TERM", "INT", "KILL"];

/// Two branches without a conflict, six commits apart, and a remote that has moved on.
fn scene() -> (Fixture, Remote) {
    let (fixture, remote) = (Fixture::new(), Remote::start());
    let script = format!(
        "export GIT_CONFIG_GLOBAL=/dev/null; git remote add origin {url}; git push -q origin main; git checkout -q -b side HEAD~1; \
         for n in 1 2 3 4 5 6; do echo $n > s$n.txt; git add .; git commit -q -m s$n; done; git push -q '{path}' HEAD:moved; git checkout -q main; \
         for n in 1 2 3 4 5 6; do echo $n > m$n.txt; git add .; git commit -q -m m$n; done",
        url = remote.url(),
        path = remote.path().display()
    );
    support::shell(&fixture.path, &script);
    (fixture, remote)
}

fn call(operation: &str, fixture: &Fixture, remote: &Remote) -> Value {
    match operation {
        "git_commit" => {
            fixture.write("a.txt", "changed\n");
            json!({"message": "soak", "paths": ["a.txt"]})
        }
        "git_add" => {
            // Older than the index, so that the server stages in-process.
            let age = "find . -name .git -prune -o -type f -exec touch -d 2001-01-01 {} +; git update-index -q --refresh";
            support::shell(&fixture.path, age);
            let files: Vec<String> = (0..40).map(|n| format!("new{n}.txt")).collect();
            for file in &files {
                fixture.write(file, format!("{file} soak\n"));
            }
            json!({"files": files})
        }
        "git_rebase" => json!({"target_branch": "side", "confirm": true}),
        "git_merge" => json!({"source_branch": "side"}),
        "git_clone" => json!({"url": remote.url(), "repo_path": clone_of(fixture).display().to_string()}),
        _ => json!({}),
    }
}

fn clone_of(fixture: &Fixture) -> PathBuf {
    fixture.path.with_file_name("clone")
}

/// Lock files below a folder.
fn locks(path: &Path) -> Vec<PathBuf> {
    files(path).into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "lock")).collect()
}

fn serve(fixture: &Fixture) -> Client {
    let above = fixture.path.parent().expect("a folder").display().to_string();
    let path = fixture.path.display().to_string();
    let mut client = Client::start(&["-r", &path, "-r", &above], &OPEN);
    client.initialize();
    client
}

fn with_path(mut args: Value, fixture: &Fixture) -> Value {
    if args.get("repo_path").is_none() {
        args["repo_path"] = json!(fixture.path.display().to_string());
    }
    args
}

fn round(dice: &mut Dice, what: &str) {
    let operation = OPERATIONS[usize::try_from(dice.roll(6)).unwrap_or_default()];
    let signal = SIGNALS[usize::try_from(dice.roll(3)).unwrap_or_default()];
    let micros = dice.roll(if operation == "git_add" { 12_000 } else { 60_000 });
    let what = format!("{what}: {operation} {signal} after {micros} us");
    let (fixture, remote) = scene();
    let mut client = serve(&fixture);
    client.start_call(operation, &with_path(call(operation, &fixture, &remote), &fixture));
    std::thread::sleep(Duration::from_micros(micros));
    let children = descendants(client.pid());
    client.signal(signal);
    client.wait();
    if signal != "KILL" {
        assert!(children.iter().all(|pid| descendants(*pid).is_empty()), "{what}");
        assert_eq!(locks(&fixture.path.join(".git")), Vec::<PathBuf>::new(), "{what}");
        let left = fs::read_dir(fixture.path.parent().expect("a folder")).expect("a folder").flatten();
        let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().starts_with(".clone-")).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
    // The next server reports what is in progress, and works.
    let mut client = serve(&fixture);
    let path = fixture.path.display().to_string();
    let status = client.text("git_status", &json!({"repo_path": path}));
    let in_progress = status.contains("is in progress");
    if in_progress {
        let aborted = client.result("git_abort", &json!({"repo_path": path, "confirm": true}));
        // A process that outlived the killed server may have finished it meanwhile.
        let text = support::text_of(&aborted);
        assert!(aborted["isError"] != true || text.contains("no merge, rebase"), "{what}: {status} {text}");
    }
    if operation == "git_clone" {
        let target = clone_of(&fixture);
        if !target.exists() {
            client.text("git_clone", &call(operation, &fixture, &remote));
        }
        assert!(support::git_in(&target, &["fsck", "--strict"]).status.success(), "{what}");
    }
    fixture.write("after.txt", "after\n");
    client.text("git_add", &json!({"repo_path": path, "files": ["after.txt"]}));
    client.text("git_commit", &json!({"repo_path": path, "message": "after", "paths": ["after.txt"]}));
    client.text("git_fetch", &json!({"repo_path": path}));
    let fsck = fixture.try_git(&["fsck", "--strict"]);
    assert!(fsck.status.success(), "{what}: {}", String::from_utf8_lossy(&fsck.stderr));
    let status = client.text("git_status", &json!({"repo_path": path}));
    assert!(!status.contains("in progress"), "{what}: {status}");
    assert_eq!(locks(&fixture.path.join(".git")), Vec::<PathBuf>::new(), "{what}");
}

#[test]
fn it_can_be_killed_at_any_moment_79() {
    let rounds: u64 = std::env::var("SOAK_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(12);
    let mut dice = Dice(rounds);
    for at in 0..rounds {
        round(&mut dice, &format!("round {at}"));
    }
}
