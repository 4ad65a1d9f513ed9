//! Changes in a repository that nobody has named run none of its programs.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};
use support::{Client, Fixture, Outcome};

/// A server on the folder above the repository, and a program that leaves a marker.
fn scene(fixture: &Fixture) -> (Client, String, std::path::PathBuf) {
    let above = fixture.path.parent().expect("a folder").to_owned();
    let (marker, trap) = (above.join("marker"), above.join("trap"));
    fs::write(&trap, format!("#!/bin/sh\ntouch '{}'\ncat\n", marker.display())).expect("a file");
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).expect("its mode");
    let mut client = Client::start(&["-r", &above.display().to_string()], &[]);
    client.initialize();
    (client, trap.display().to_string(), marker)
}

#[test]
fn planted_steps_are_not_run() {
    let fixture = Fixture::new();
    let (mut client, trap, marker) = scene(&fixture);
    let editor = format!("printf 'break\\nexec {trap}\\n' >");
    fixture.git(&["-c", &format!("sequence.editor={editor}"), "rebase", "-q", "-i", "HEAD~1"]);
    let repo = fixture.path.display().to_string();
    for skip in [false, true] {
        let refused = client.error("git_continue", &json!({"repo_path": repo, "skip": skip, "confirm": true}));
        assert!(refused.contains("list of steps"), "{refused}");
    }
    assert!(!marker.exists());
    client.text("git_abort", &json!({"repo_path": repo}));
    assert!(!marker.exists());
}

#[test]
fn signatures_are_checked_by_no_program_of_the_repository() -> Outcome {
    let fixture = Fixture::new();
    let (mut client, trap, marker) = scene(&fixture);
    for (key, value) in [("merge.verifySignatures", "true"), ("gpg.program", &trap), ("gpg.ssh.program", &trap), ("commit.gpgSign", "true")]
    {
        fixture.git(&["config", key, value]);
    }
    let head = String::from_utf8(fixture.git(&["cat-file", "commit", "HEAD"]))?;
    let signed = head.replacen("\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n", 1);
    fixture.write("../signed", signed.replacen("second", "signed", 1));
    let id = String::from_utf8(support::shell(&fixture.path, "git hash-object -t commit -w ../signed"))?;
    fixture.git(&["update-ref", "refs/heads/signed", id.trim()]);
    let repo = fixture.path.display().to_string();
    client.text("git_merge", &json!({"repo_path": repo, "source_branch": "signed"}));
    fixture.write("a.txt", "x\n");
    client.text("git_commit", &json!({"repo_path": repo, "message": "m", "paths": ["a.txt"]}));
    assert!(!marker.exists());
    Ok(())
}

#[test]
fn a_submodule_is_not_recursed_into() {
    let fixture = Fixture::new();
    let library = Fixture::new();
    library.write(".gitattributes", "* filter=e\n").commit("attributes");
    let url = library.path.display().to_string();
    fixture.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "lib"]);
    fixture.commit("with a submodule");
    fixture.git(&["branch", "older"]);
    fixture.git(&["-C", "lib", "checkout", "-q", "HEAD~1"]);
    fixture.commit("another version");
    let (mut client, trap, marker) = scene(&fixture);
    fixture.git(&["config", "submodule.recurse", "true"]);
    fixture.git(&["-C", "lib", "config", "filter.e.smudge", &trap]);
    let repo = fixture.path.display().to_string();
    client.text("git_checkout", &json!({"repo_path": repo, "branch_name": "older"}));
    client.text("git_reset", &json!({"repo_path": repo, "mode": "hard", "target": "main", "confirm": true}));
    assert!(!marker.exists());
}
