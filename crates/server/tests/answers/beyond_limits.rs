//! Edits that `git_undo` cannot restore byte for byte, since git converts them and they exceed what is kept.

use crate::support::{Fixture, undo};
use serde_json::json;
use std::fs;

/// The last of more edited files than are kept, in git's order.
const LAST: &str = "f99.x";
/// What git would restore differently.
const EDIT: &str = "$Id: mine $\nedited\n";
const ASKED: &str = "nothing was changed: git_undo cannot restore the exact bytes of ";

/// 203 edited files that git converts.
fn many() -> Fixture {
    let fixture = Fixture::new();
    let write = |content: &str| {
        for n in 1..=203 {
            fixture.write(&format!("f{n}.x"), content);
        }
    };
    write("$Id$\n");
    fixture.write(".gitattributes", "*.x ident\n").commit("converted");
    write(EDIT);
    fixture
}

/// One edited file that is too large.
fn large() -> Fixture {
    let fixture = Fixture::new();
    fixture.write(".gitattributes", "*.x ident\n").write(LAST, "$Id$\n").commit("converted");
    fixture.write(LAST, EDIT.to_owned() + &"x".repeat(65 << 20));
    fixture
}

#[test]
fn a_change_asks_before_it_overwrites_them() {
    let cases = [
        (many as fn() -> Fixture, "git_restore", json!({"paths": ["."]})),
        (many, "git_reset", json!({"mode": "hard"})),
        (large, "git_restore", json!({"paths": [LAST]})),
    ];
    for (made, tool, args) in cases {
        let fixture = made();
        let content = || fs::read(fixture.path.join(LAST)).expect("a file");
        let before = content();
        let mut client = fixture.serve();
        let asked = client.error(tool, &args);
        assert!(asked.contains(ASKED) && asked.contains("`confirm`: true"), "{tool}: {asked}");
        assert!(content() == before, "{tool}");
        // A refused call is no change to undo.
        let nothing = client.error("git_undo", &json!({}));
        assert!(nothing.contains("no change of this worktree is recorded"), "{tool}: {nothing}");
        let mut confirmed = args.clone();
        confirmed["confirm"] = json!(true);
        let done = client.text(tool, &confirmed);
        assert!(done.contains("git_undo cannot restore the exact bytes of "), "{tool}: {done}");
        assert!(content() != before, "{tool}");
        undo(&mut client);
        let restored = String::from_utf8_lossy(&content()).into_owned();
        let is_edit = restored.starts_with("$Id: ") && restored[..restored.len().min(80)].contains("\nedited\n");
        assert!(is_edit && content() != before, "{tool}: the edit without its own id");
    }
}

/// Within the limits nothing is asked, and each byte is restored.
#[test]
fn edits_within_the_limits_are_restored_exactly() {
    let fixture = many();
    let mut client = fixture.serve();
    let paths: Vec<String> = (4..=203).map(|n| format!("f{n}.x")).collect();
    let done = client.text("git_restore", &json!({"paths": paths}));
    assert!(!done.contains("only as git checks them out"), "{done}");
    undo(&mut client);
    assert_eq!(fs::read(fixture.path.join(LAST)).expect("a file"), EDIT.as_bytes());
}

#[test]
fn a_reset_that_the_operator_denies_asks_nothing() {
    let error = large().serve_with(&[], &[("MCP_GIT_HARD_RESET", "deny")]).error("git_reset", &json!({"mode": "hard"}));
    assert!(error.contains("`policy.hard_reset` is \"deny\"") && !error.contains("`confirm`"), "{error}");
}

/// New files are none that git converts: an undo removes as many as it keeps.
#[test]
fn new_files_beyond_the_limits_are_named_as_new() {
    let fixture = Fixture::new();
    for n in 1..=203 {
        fixture.write(&format!("new{n}.txt"), "new\n");
    }
    let mut client = fixture.serve();
    client.text("git_stash", &json!({"untracked": true}));
    let popped = client.text("git_stash", &json!({"action": "pop"}));
    assert!(popped.contains("git_undo does not remove new97.txt, new98.txt, new99.txt: it removes 200 new files"), "{popped}");
    assert!(!popped.contains("exact bytes") && !popped.contains("64 MiB"), "{popped}");
    let undone = undo(&mut client);
    assert!(undone.contains("200 files that it created are removed"), "{undone}");
    let left = fixture.text(&["ls-files", "--others"]);
    assert_eq!(left.lines().collect::<Vec<_>>(), ["new97.txt", "new98.txt", "new99.txt"]);
    assert_eq!(fixture.text(&["stash", "list"]).lines().count(), 1);
}
