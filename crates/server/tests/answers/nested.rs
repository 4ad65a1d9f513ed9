//! An operation started while another one was stopped: the inner one is continued and aborted first, as by git.

use crate::support::{Fixture, shell};
use serde_json::json;

/// A rebase stopped at its only commit, and a command that stopped at a conflict in `a.txt` meanwhile.
fn stopped_in_rebase(command: &str) -> Fixture {
    let fixture = Fixture::new();
    let script = format!(
        "set -e; git checkout -q -b other HEAD~1; echo other > a.txt; git commit -q -a -m other; git checkout -q main
         GIT_SEQUENCE_EDITOR='sed -i 1s/^pick/edit/' git rebase -q -i HEAD~1 2> /dev/null; ! git {command} > /dev/null 2>&1"
    );
    shell(&fixture.path, &script);
    fixture
}

const INNER: [(&str, &str); 4] = [
    ("cherry-pick other", "cherry-pick"),
    ("cherry-pick other main~1", "cherry-pick"),
    ("revert --no-edit HEAD~1", "revert"),
    ("merge other", "merge"),
];

fn rebases(fixture: &Fixture) -> bool {
    fixture.path.join(".git/rebase-merge").exists()
}

#[test]
fn an_abort_ends_the_inner_operation_first() {
    for (command, name) in INNER {
        let fixture = stopped_in_rebase(command);
        let head = fixture.text(&["rev-parse", "HEAD"]);
        let mut client = fixture.serve();
        let status = client.text("git_status", &json!({}));
        assert!(status.contains(&format!("a {name} inside a rebase (1 of 1) is in progress, and 1 path is in conflict")), "{status}");
        let wrong = client.error("git_abort", &json!({"operation": "rebase"}));
        assert!(wrong.contains(&format!("the operation in progress is `{name}`")), "{wrong}");
        let aborted = client.text("git_abort", &json!({}));
        assert!(aborted.contains(&format!("the {name} is aborted")) && aborted.contains("a rebase (1 of 1) is in progress"), "{aborted}");
        assert!(rebases(&fixture), "{command}");
        assert_eq!((fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["status", "--porcelain"])), (head, String::new()), "{command}");
        assert!(client.text("git_abort", &json!({})).contains("the rebase is aborted"), "{command}");
        assert!(!rebases(&fixture) && fixture.text(&["branch", "--show-current"]) == "main", "{command}");
    }
}

#[test]
fn a_revert_of_the_commit_at_which_a_rebase_stopped_is_an_operation_of_its_own() {
    let fixture = stopped_in_rebase("rev-parse --verify none");
    let stopped = fixture.text(&["rev-parse", "HEAD"]);
    fixture.write("a.txt", "later\n").commit("later");
    assert!(!fixture.try_git(&["revert", "--no-edit", &stopped]).status.success());
    let mut client = fixture.serve();
    let aborted = client.text("git_abort", &json!({}));
    assert!(aborted.contains("the revert is aborted") && rebases(&fixture), "{aborted}");
    assert_eq!(fixture.text(&["log", "-1", "--format=%s"]), "later");
}

#[test]
fn a_continue_ends_the_inner_operation_first() {
    for (command, name) in INNER.into_iter().filter(|(command, _)| !command.ends_with("main~1")) {
        let fixture = stopped_in_rebase(command);
        let head = fixture.text(&["rev-parse", "HEAD"]);
        let mut client = fixture.serve();
        fixture.write("a.txt", "resolved\n");
        client.text("git_add", &json!({"files": ["a.txt"]}));
        let done = client.text("git_continue", &json!({}));
        assert!(done.contains("finished: HEAD moved from"), "{done}");
        assert!(done.contains(&format!("this was the {name}, which was started inside the rebase")), "{done}");
        assert!(done.contains("a rebase (1 of 1) is in progress") && rebases(&fixture), "{done}");
        assert_eq!(fixture.text(&["rev-parse", "HEAD~1"]), head, "{command}");
        let done = client.text("git_continue", &json!({}));
        assert!(!done.contains("which was started inside") && !rebases(&fixture), "{done}");
        assert_eq!(fixture.text(&["show", "main:a.txt"]), "resolved", "{command}");
    }
}

/// git leaves the same files for the steps of a rebase itself.
#[test]
fn a_step_of_a_rebase_is_no_inner_operation() {
    for (script, options) in [
        // A picked commit, and a merge that is made again.
        ("", ""),
        ("git checkout -q -b t HEAD~1; echo t > a.txt; git commit -q -a -m t; git checkout -q main; git merge -q t > /dev/null 2>&1 || true
          echo both > a.txt; git commit -q -a -m merged; git checkout -q -b base HEAD~2; echo b > b.txt; git add b.txt; git commit -q -m base
          git checkout -q main; git branch -q -f other base", "--rebase-merges"),
    ] {
        let fixture = Fixture::new();
        let script = format!(
            "set -e; git checkout -q -b other HEAD~1; echo other > a.txt; git commit -q -a -m other; git checkout -q main; {script}
             ! git rebase -q {options} other > /dev/null 2>&1"
        );
        shell(&fixture.path, &script);
        assert_eq!(fixture.path.join(".git/MERGE_HEAD").exists(), !options.is_empty(), "{options}");
        let mut client = fixture.serve();
        let status = client.text("git_status", &json!({}));
        assert!(status.contains("a rebase (") && !status.contains("inside"), "{status}");
        assert!(client.text("git_abort", &json!({})).contains("the rebase is aborted"), "{options}");
        assert!(!rebases(&fixture));
    }
}

/// A series between two of its commits has no other sign than its list.
#[test]
fn an_abort_of_a_series_leaves_the_bisect_around_it() {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "set -e; git checkout -q -b other HEAD~1; for n in 1 2; do echo $n > a.txt; git commit -q -a -m $n; done; git checkout -q main
         git bisect start > /dev/null; ! git cherry-pick other~1 other > /dev/null 2>&1
         echo resolved > a.txt; git commit -q -a -m resolved",
    );
    assert!(!fixture.path.join(".git/CHERRY_PICK_HEAD").exists() && fixture.path.join(".git/BISECT_LOG").exists());
    let mut client = fixture.serve();
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("a cherry-pick inside a bisect is in progress"), "{status}");
    client.text("git_abort", &json!({}));
    assert!(fixture.path.join(".git/BISECT_LOG").exists() && !fixture.path.join(".git/sequencer").exists());
}
