//! Repository hooks, and recovery after one stops a change.

use super::{Client, Fixture, call_in};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Writes an executable script.
pub(crate) fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("executable");
}

pub(crate) fn hook(fixture: &Fixture, name: &str, text: &str) {
    script(&fixture.path.join(".git/hooks").join(name), text);
}

/// A gate at which scripts wait: a lock that the test holds until it opens the gate.
pub(crate) struct Gate(PathBuf, File);

impl Gate {
    /// A closed gate beside the repository.
    pub(crate) fn closed(fixture: &Fixture) -> Self {
        let path = fixture.home.path().join("gate");
        let file = File::create(&path).expect("a gate");
        file.lock().expect("its lock");
        Self(path, file)
    }

    /// The shell command that waits until the gate is open.
    pub(crate) fn wait(&self) -> String {
        format!("flock '{}' true", self.0.display())
    }

    pub(crate) fn open(self) {
        self.1.unlock().expect("its lock");
    }
}

/// A hook that refuses; [`accept`] adds one that records its run in a file.
pub(crate) fn refuse(fixture: &Fixture, name: &str) {
    hook(fixture, name, &format!("echo NO-{name} >&2; exit 3"));
}

pub(crate) fn accept(fixture: &Fixture, name: &str) {
    hook(fixture, name, &format!("echo {name} >> '{}'", fixture.path.join("../ran").display()));
}

/// Number of runs of an accepting hook since the last call.
pub(crate) fn ran(fixture: &Fixture, name: &str) -> usize {
    let log = fixture.path.join("../ran");
    let text = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(log).unwrap_or_default();
    text.lines().filter(|line| *line == name).count()
}

/// A repository whose branches `main` and `side` have diverged.
pub(crate) fn forked() -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("s1.txt", "s\n").commit("side 1").write("s2.txt", "s\n").commit("side 2");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("m.txt", "m\n").commit("main 1");
    fixture
}

/// All state that a change could affect.
pub(crate) fn state(fixture: &Fixture) -> [String; 4] {
    [&["rev-parse", "HEAD"][..], &["branch", "--show-current"], &["status", "--porcelain"], &["stash", "list"]]
        .map(|args| fixture.text(args))
}

pub(crate) fn no_trace(fixture: &Fixture) {
    let left = fs::read_dir(fixture.path.join(".git")).expect("a folder").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains(".mcp-")).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Calls that a hook can stop, each with its branch in the repository of [`forked`].
pub(crate) fn calls() -> [(&'static str, &'static str, Value); 4] {
    [
        ("main", "git_merge", json!({"source_branch": "side"})),
        ("main", "git_cherry_pick", json!({"commit_hash": "side~1 side"})),
        ("main", "git_revert", json!({"commit_hash": "HEAD"})),
        ("side", "git_rebase", json!({"target_branch": "main"})),
    ]
}

/// Makes the calls named in the error to undo files that git had written.
pub(crate) fn put_files_back(client: &mut Client, error: &str) {
    if let Some((call, _)) = error.split_once(" discards the edits") {
        let (tool, args) = call_in(call.rsplit_once('\n').expect("a hint").1);
        client.text(&tool, &args);
    }
    if let Some((call, _)) = error.split_once(" lists the new files") {
        let (tool, args) = call_in(&call[call.rfind("git_clean").expect("a call")..]);
        let listed = client.text(&tool, &args);
        let (_, call) = listed.split_once("To remove them: ").expect("a call");
        let (tool, mut args) = call_in(call.trim_end());
        args["confirm"] = json!(true);
        client.text(&tool, &args);
    }
}

/// Follows the error's advice once its cause is fixed: continues, or aborts and repeats the call.
pub(crate) fn follow(client: &mut Client, error: &str, tool: &str, args: &Value, fixture: &Fixture, before: &[String; 4]) {
    if error.contains("git_abort restores the state before") {
        if error.contains("Then call git_continue") {
            client.text("git_continue", &json!({}));
            return;
        }
        if error.contains("git_commit with a `message`") {
            client.text("git_commit", &json!({"message": "accepted"}));
            return;
        }
        client.text("git_abort", &json!({}));
        assert_eq!(state(fixture), *before, "{tool}: {error}");
    } else {
        assert_eq!(state(fixture), *before, "{tool}: {error}");
    }
    client.text(tool, args);
}

pub(crate) fn stage(fixture: &Fixture, content: &str) {
    fixture.write("a.txt", content).git(&["add", "a.txt"]);
}

/// A fake signing program: git only checks for the status line of a created signature.
pub(crate) const SIGNS: &str =
    "cat > /dev/null; echo '[GNUPG:] SIG_CREATED D 1 2 00 1 X' >&2; echo '-----BEGIN PGP SIGNATURE-----'; echo x";
