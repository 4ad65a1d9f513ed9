//! A bisect whose checkouts run a hook that fails: the result is the state afterwards.

use crate::support::{
    Fixture, call_in,
    hooks::{hook, refuse},
};
use serde_json::json;
use std::fs;

/// Eight commits, and a failing hook.
fn repository() -> Fixture {
    let fixture = Fixture::new();
    for n in 3..9 {
        fixture.write("a.txt", format!("{n}\n")).commit(&format!("commit {n}"));
    }
    refuse(&fixture, "post-checkout");
    fixture
}

fn bisects(fixture: &Fixture) -> bool {
    fixture.path.join(".git/BISECT_LOG").exists()
}

/// git ends the bisect, and leaves the commit checked out.
#[test]
fn a_bisect_that_the_hook_ended_has_not_started() {
    let fixture = repository();
    let start = json!({"action": "start", "good": ["HEAD~7"]});
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    let error = client.error("git_bisect", &start);
    assert!(!bisects(&fixture) && fixture.text(&["branch", "--show-current"]).is_empty(), "as git leaves it");
    for part in [
        "the hook `post-checkout` stopped git bisect (exit code 3)",
        "HEAD moved from",
        "Nothing is in progress.",
        "checks the branch out again",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let at = error.find("git_checkout {").expect("the way back");
    let end = error[at..].find('}').expect("its end");
    let (tool, args) = call_in(&error[at..=at + end]);
    client.text(&tool, &args);
    assert_eq!(fixture.text(&["branch", "--show-current"]), "main");
    hook(&fixture, "post-checkout", "true");
    client.text("git_bisect", &start);
    assert!(bisects(&fixture));
}

/// The mark is recorded and the next commit checked out, although git exits with 1.
#[test]
fn a_mark_before_the_hook_failed_is_recorded() {
    for action in ["good", "bad", "skip"] {
        let fixture = repository();
        hook(&fixture, "post-checkout", "true");
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        client.text("git_bisect", &json!({"action": "start", "good": ["HEAD~7"]}));
        let tested = fixture.text(&["rev-parse", "HEAD"]);
        refuse(&fixture, "post-checkout");
        let marked = client.text("git_bisect", &json!({"action": action}));
        let next = fixture.text(&["rev-parse", "HEAD"]);
        assert_ne!(next, tested, "{action}");
        assert!(marked.contains(&format!("{next} is checked out")), "{action}: {marked}");
        assert!(marked.contains("the mark is recorded; after that the hook `post-checkout` failed (exit code 3); it wrote:"), "{marked}");
        let log = fs::read_to_string(fixture.path.join(".git/BISECT_LOG")).expect("a log");
        assert!(log.contains(&format!("git bisect {action} {tested}")), "{log}");
    }
}

/// The branch is checked out again, and the bisect still in progress.
#[test]
fn a_bisect_that_the_hook_kept_is_in_progress() {
    for (tool, args) in [("git_bisect", json!({"action": "reset"})), ("git_abort", json!({}))] {
        let fixture = repository();
        hook(&fixture, "post-checkout", "true");
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        client.text("git_bisect", &json!({"action": "start", "good": ["HEAD~7"]}));
        refuse(&fixture, "post-checkout");
        let error = client.error(tool, &args);
        assert!(bisects(&fixture) && fixture.text(&["branch", "--show-current"]) == "main", "{tool}: as git leaves it");
        assert!(error.contains("HEAD moved from") && error.contains("A bisect is in progress."), "{tool}: {error}");
        assert!(!error.contains("could not check out"), "{tool}: {error}");
        assert!(error.contains("Fix what it reports. Then repeat the call."), "{tool}: {error}");
        hook(&fixture, "post-checkout", "true");
        client.text(tool, &args);
        assert!(!bisects(&fixture), "{tool}");
    }
}

/// A hook that git asks before it moves a reference: the mark is not recorded, and the bisect is in progress.
#[test]
fn a_mark_that_a_hook_refused_leaves_the_bisect_in_progress() {
    let fixture = repository();
    hook(&fixture, "post-checkout", "true");
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    client.text("git_bisect", &json!({"action": "start", "good": ["HEAD~7"]}));
    refuse(&fixture, "reference-transaction");
    let error = client.error("git_bisect", &json!({"action": "good"}));
    assert!(error.contains("the hook `reference-transaction` stopped git bisect (exit code 3)"), "{error}");
    assert!(error.contains("A bisect is in progress.") && bisects(&fixture), "{error}");
}
