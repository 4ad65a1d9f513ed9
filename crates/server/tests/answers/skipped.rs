//! git skips commits of a rebase whose changed lines the target has, too, even elsewhere in a file: the answer names them.

use crate::support::{
    Fixture, call_in,
    remote::{beside, serve},
    shell,
};
use serde_json::{Value, json};
use std::fs;

/// Two services in one file; those in `restarting` restart.
fn services(restarting: &str) -> String {
    let service = |name: char| {
        let restarts = if restarting.contains(name) { "  restart: always\n" } else { "" };
        format!("{name}:\n  image: x\n  ports:\n    - 80\n{restarts}  env:\n    - K=1\n\n")
    };
    ['a', 'b'].map(service).concat()
}

/// `main` changes a file in one way, and the current branch `topic` in another.
fn forked(base: &str, main: &str, topic: &str) -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("f", base).commit("base").git(&["checkout", "-q", "-b", "topic"]);
    fixture.write("f", topic).commit("of topic").git(&["checkout", "-q", "main"]);
    fixture.write("f", main).commit("of main").git(&["checkout", "-q", "topic"]);
    fixture
}

/// The ids that git names as skipped, in a copy.
fn skipped_by_git(fixture: &Fixture) -> Vec<String> {
    shell(&fixture.path, "rm -rf ../copy; cp -r . ../copy");
    let said = fixture.try_git(&["-C", "../copy", "rebase", "main"]).stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    said.lines().filter_map(|line| line.strip_prefix("warning: skipped previously applied commit ")).map(str::to_owned).collect()
}

/// The call that applies the skipped commits.
fn call_of(text: &str) -> (String, Value) {
    let line = text.lines().find(|line| line.contains("git skipped ")).expect("the skipped commits");
    call_in(&line[line.find("git_cherry_pick ").expect("a call")..])
}

fn subjects(fixture: &Fixture) -> Vec<String> {
    fixture.text(&["log", "--format=%s"]).lines().map(str::to_owned).collect()
}

#[test]
fn a_commit_with_the_same_lines_elsewhere_is_named_and_can_be_applied() {
    let fixture = forked(&services(""), &services("a"), &services("b"));
    let (gits, id) = (skipped_by_git(&fixture), fixture.text(&["rev-parse", "topic"]));
    assert_eq!(gits, [fixture.text(&["rev-parse", "--short", "topic"])]);
    let mut client = fixture.serve();
    let text = client.text("git_rebase", &json!({"target_branch": "main"}));
    assert!(text.contains("git skipped 1 commit,") && text.contains(&format!("{} (of topic)", gits[0])), "{text}");
    assert_eq!(fs::read_to_string(fixture.path.join("f")).ok(), Some(services("a")));
    let (tool, args) = call_of(&text);
    assert_eq!((tool.as_str(), &args), ("git_cherry_pick", &json!({"commit_hash": id})));
    client.text(&tool, &args);
    assert_eq!(fs::read_to_string(fixture.path.join("f")).ok(), Some(services("ab")));
}

#[test]
fn a_commit_that_differs_in_blanks_is_named() {
    let script = |last: &str| format!("def f(x):\n    if x:\n        run()\n{last}");
    let fixture = forked(&script(""), &script("        stop()\n"), &script("    stop()\n"));
    assert_eq!(skipped_by_git(&fixture).len(), 1);
    let mut client = fixture.serve();
    let text = client.text("git_rebase", &json!({"target_branch": "main"}));
    let (tool, args) = call_of(&text);
    let error = client.error(&tool, &args);
    assert!(error.contains("conflict"), "{error}");
}

#[test]
fn a_commit_that_the_target_has_is_named_and_empty_ones_are_kept() {
    let fixture = forked("1\n", "1\n2\n", "1\n2\n");
    fixture.commit("empty").write("g", "1\n").commit("kept");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.commit("also empty").git(&["checkout", "-q", "topic"]);
    let gits = skipped_by_git(&fixture);
    let mut client = fixture.serve();
    let text = client.text("git_rebase", &json!({"target_branch": "main"}));
    assert_eq!(gits.len(), 1);
    assert!(text.contains("git skipped 1 commit,") && text.contains(&format!("{} (of topic)", gits[0])), "{text}");
    assert_eq!(subjects(&fixture), ["kept", "empty", "also empty", "of main", "base"]);
    // Nothing is left to skip.
    let text = client.text("git_rebase", &json!({"target_branch": "main"}));
    assert!(!text.contains("skipped"), "{text}");
}

#[test]
fn a_rebase_that_stops_names_them_too() {
    let fixture = forked(&services(""), &services("a"), &services("b"));
    fixture.write("g", "mine\n").commit("mine").git(&["checkout", "-q", "main"]);
    fixture.write("g", "theirs\n").commit("theirs").git(&["checkout", "-q", "topic"]);
    let mut client = fixture.serve();
    let error = client.error("git_rebase", &json!({"target_branch": "main"}));
    assert!(error.contains("git skipped 1 commit,") && error.contains("once the rebase is finished: git_cherry_pick {"), "{error}");
    fixture.write("g", "both\n").git(&["add", "g"]);
    client.text("git_continue", &json!({}));
    let (tool, args) = call_of(&error);
    client.text(&tool, &args);
    assert_eq!(subjects(&fixture), ["of topic", "mine", "theirs", "of main", "base"]);
    assert_eq!(fs::read_to_string(fixture.path.join("f")).ok(), Some(services("ab")));
    // A refused rebase has skipped nothing.
    fixture.write("f", "edited\n");
    let error = client.error("git_rebase", &json!({"target_branch": "main~1"}));
    assert!(!error.contains("skipped"), "{error}");
}

#[test]
fn a_plan_skips_nothing_and_another_base_does() {
    let fixture = forked(&services(""), &services("a"), &services("b"));
    let pick = format!("pick {}", fixture.text(&["rev-parse", "topic"]));
    let mut client = fixture.serve();
    fixture.git(&["branch", "other"]);
    let text = client.text("git_rebase", &json!({"target_branch": "main", "plan": [pick]}));
    assert!(!text.contains("skipped"), "{text}");
    assert_eq!(fs::read_to_string(fixture.path.join("f")).ok(), Some(services("ab")));
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("g", "1\n").commit("later").git(&["checkout", "-q", "other"]);
    // Onto its own base the branch is up to date.
    let text = client.text("git_rebase", &json!({"target_branch": "main~1", "onto": "main~2"}));
    assert!(!text.contains("skipped"), "{text}");
    let text = client.text("git_rebase", &json!({"target_branch": "main~1", "onto": "main"}));
    assert!(text.contains("git skipped 1 commit,"), "{text}");
    assert_eq!(subjects(&fixture), ["later", "of main", "base"]);
}

#[test]
fn a_pull_that_rebases_names_them() {
    let fixture = beside();
    shell(
        &fixture.path,
        "set -e; git push -q origin main; printf 'x\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n' > p; git add p; git commit -q -m base-of-p; git push -q origin main
         git clone -q ../origin.git ../w; cd ../w; git config user.name O; git config user.email o@example.com
         printf 'new\\nx\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n' > p; git commit -q -a -m theirs; git push -q origin main
         cd ../repo; printf 'new\\nx\\n1\\n2\\n3\\n4\\n5\\n6\\n7\\n' > p; git commit -q -a -m ours",
    );
    let mut client = serve(&fixture);
    let pulled = client.text("git_pull", &json!({"how": "rebase"}));
    assert!(pulled.contains("git skipped 1 commit,") && pulled.contains("(ours)"), "{pulled}");
    assert_eq!(subjects(&fixture).first().map(String::as_str), Some("theirs"));
}

#[test]
fn many_are_counted() {
    let fixture = Fixture::empty();
    fixture.write("f", "0\n").commit("base").git(&["checkout", "-q", "-b", "topic"]);
    for branch in ["topic", "main"] {
        fixture.git(&["checkout", "-q", branch]);
        for number in 0..12 {
            fixture.write(&format!("{number}"), "1\n").commit(&format!("{branch} {number}"));
        }
    }
    fixture.git(&["checkout", "-q", "topic"]);
    let (main, topic) = (fixture.text(&["rev-parse", "main"]), fixture.text(&["rev-parse", "topic"]));
    let text = fixture.serve().text("git_rebase", &json!({"target_branch": "main"}));
    assert!(text.contains("git skipped 12 commits,") && text.contains("(topic 9) and 2 more."), "{text}");
    assert!(!text.contains("(topic 10)") && text.contains(&format!("`git cherry -v {} {}`", &main[..12], &topic[..12])), "{text}");
    assert_eq!(fixture.text(&["cherry", &main, &topic]).lines().filter(|line| line.starts_with('-')).count(), 12);
}
