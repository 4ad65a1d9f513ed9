//! A preview of a merge into another branch has the attributes of that branch, as a merge there would.

use super::partial::{clone, fetched};
use crate::support::{
    Client, Fixture, git_in,
    hooks::script,
    remote::{OPEN, Remote},
    shell,
};
use serde_json::json;

/// The branches `union` and `plain`, which differ in the attributes of `CHANGES`, and `side`, which edits the same line.
fn forked() -> Fixture {
    let fixture = Fixture::empty();
    shell(
        &fixture.path,
        "set -e; commit() { git add .; git commit -q -m \"$1\"; }
         echo one > CHANGES; commit base
         git checkout -q -b side; echo side >> CHANGES; commit side
         git checkout -q -b plain main; echo plain >> CHANGES; commit plain
         git checkout -q -b union; echo 'CHANGES merge=union' > .gitattributes; commit union; git checkout -q main",
    );
    fixture
}

/// True if git merges `side` into a fresh checkout of `into`.
fn merges(fixture: &Fixture, into: &str) -> bool {
    let home = tempfile::tempdir().expect("a folder");
    shell(home.path(), &format!("git clone -q -b {into} '{}' copy 2> /dev/null", fixture.path.display()));
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    let merge = ["merge", "--quiet", "--no-edit", "origin/side"];
    git_in(&home.path().join("copy"), &[&identity[..], &merge].concat()).status.success()
}

fn preview(client: &mut Client, into: &str) -> String {
    client.text("git_merge_preview", &json!({"source_branch": "side", "into": into}))
}

#[test]
fn a_preview_does_not_depend_on_the_checked_out_branch() {
    let fixture = forked();
    assert!(merges(&fixture, "union") && !merges(&fixture, "plain"));
    for at in ["main", "plain", "union", "side"] {
        fixture.git(&["checkout", "-q", at]);
        let mut client = fixture.serve();
        for into in ["union", "plain", "refs/heads/union", "union~1"] {
            let merges = into.ends_with("union");
            let said = preview(&mut client, into);
            assert_eq!(said.contains("without conflicts"), merges, "at {at}, into {into}: {said}");
            assert_eq!(said.contains("would conflict"), !merges, "at {at}, into {into}: {said}");
            assert!(!said.contains("attributes"), "{said}");
        }
    }
}

#[test]
fn a_preview_ignores_uncommitted_attributes_unless_its_target_is_checked_out() {
    let fixture = forked();
    fixture.write(".gitattributes", "CHANGES merge=union\n");
    assert!(preview(&mut fixture.serve(), "plain").contains("would conflict"));
    fixture.git(&["checkout", "-q", "plain"]);
    for into in ["plain", "HEAD"] {
        assert!(preview(&mut fixture.serve(), into).contains("without conflicts"), "{into}");
    }
    // git merges here with the same attributes.
    fixture.git(&["merge", "-q", "--no-edit", "side"]);
}

#[test]
fn a_bare_repository_previews_with_the_attributes_of_the_target() {
    let fixture = forked();
    let bare = fixture.path.with_file_name("bare.git");
    shell(&fixture.path, "git clone -q --bare . ../bare.git");
    let mut client = Client::start(&["-r", &bare.display().to_string()], &[]);
    client.initialize();
    assert!(preview(&mut client, "union").contains("without conflicts"));
    assert!(preview(&mut client, "plain").contains("would conflict"));
}

/// git 2.40 has no way to choose attributes: the answer reports those that it used.
#[test]
fn an_old_git_previews_with_a_note() {
    let fixture = forked();
    let old = fixture.home.path().join("old/git");
    script(&old, "[ \"$1\" = version ] && exec echo git version 2.40.1\nunset GIT_ATTR_SOURCE\nexec git \"$@\"");
    let old = old.display().to_string();
    let said = |into: &str| preview(&mut fixture.serve_with(&["--git", &old], &[]), into);
    let note = "the attributes of the working tree, which differ from those of";
    for (into, differ) in [("union", true), ("plain", false), ("HEAD", false)] {
        assert_eq!(said(into).contains(note), differ, "{into}");
    }
    fixture.write("dir/.gitattributes", "* merge=union\n");
    assert!(said("plain").contains(note));
    fixture.git(&["checkout", "-q", "union"]);
    assert!(said("plain").contains(note) && !said("union").contains(note));
}

/// In a partial clone git counts attributes that are not here as absent.
#[test]
fn missing_attributes_are_fetched_with_the_files() {
    let (fixture, remote) = (forked(), Remote::start());
    for key in ["uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"] {
        remote.git(&["config", key, "true"]);
    }
    fixture.git(&["push", "-q", &remote.path().display().to_string(), "main", "side", "plain", "union"]);
    let partial = clone(&remote, "--filter=blob:none");
    let before = fetched(&partial);
    let mut client = partial.serve_with(&[], &OPEN);
    let said = client.text("git_merge_preview", &json!({"source_branch": "origin/side", "into": "origin/union"}));
    assert!(said.contains("without conflicts"), "{said}");
    assert_eq!(fetched(&partial), before + 1, "one batch");
}
