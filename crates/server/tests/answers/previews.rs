//! The preview of `git_undo` offers only what `git_undo` then does.

use crate::support::{Client, Fixture, shell};
use serde_json::{Value, json};

/// A change that cannot be undone: how to make it, and why not.
struct Case {
    tool: &'static str,
    args: Value,
    before: &'static str,
    after: &'static str,
    why: &'static str,
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            tool: "git_mv",
            args: json!({"source": "a.txt", "destination": "moved.txt"}),
            before: "true",
            after: "true",
            why: "it only changed the index and files",
        },
        Case {
            tool: "git_stash",
            args: json!({"action": "branch", "branch_name": "taken-up"}),
            before: "echo stashed > a.txt; git stash -q",
            after: "true",
            why: "the applied changes are already in the files; the entry is kept as",
        },
        Case {
            tool: "git_merge",
            args: json!({"source_branch": "without"}),
            before: "git checkout -q -b without; git rm -q dir/b.rs; git commit -q -m without; git checkout -q main",
            after: "mkdir dir; echo mine > dir/b.rs",
            why: "untracked files are in the way: dir/b.rs",
        },
        // The entry can no longer be popped.
        Case {
            tool: "git_stash",
            args: json!({"action": "push", "untracked": true}),
            before: "echo new > new.txt; echo edited > a.txt",
            after: "echo mine > new.txt",
            why: "new.txt",
        },
    ]
}

fn call(client: &mut Client, case: &Case) {
    client.text(case.tool, &case.args);
}

#[test]
fn the_preview_refuses_what_an_undo_would_refuse() {
    for case in cases() {
        let fixture = Fixture::new();
        shell(&fixture.path, &format!("set -e; {}", case.before));
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        call(&mut client, &case);
        shell(&fixture.path, &format!("set -e; {}", case.after));
        let state = || [&["status", "--porcelain"][..], &["log", "--format=%H"], &["stash", "list"]].map(|args| fixture.text(args));
        let before = state();
        let refused = client.error("git_undo", &json!({}));
        assert!(refused.contains(case.why), "{}: {refused}", case.tool);
        assert_eq!(state(), before, "{}", case.tool);
    }
}

/// The same changes are offered and undone if nothing is in the way.
#[test]
fn what_the_preview_offers_is_undone() {
    for case in cases().into_iter().filter(|case| case.after != "true") {
        let fixture = Fixture::new();
        shell(&fixture.path, &format!("set -e; {}", case.before));
        let state = || [&["status", "--porcelain"][..], &["log", "--format=%H"], &["stash", "list"]].map(|args| fixture.text(args));
        let before = state();
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        call(&mut client, &case);
        assert_ne!(state(), before, "{}", case.tool);
        crate::support::undo(&mut client);
        assert_eq!(state(), before, "{}", case.tool);
    }
}
