//! Names: branches that exist only on remotes, empty arguments, repositories given by URL.

use crate::support::{Fixture, parts, text_of};
use serde_json::{Value, json};

/// A repository that tracks one remote or two, with a branch that exists only there.
fn tracking(remotes: &[&str]) -> Fixture {
    let fixture = Fixture::new();
    for remote in remotes {
        fixture.git(&["remote", "add", remote, "https://example.com/r"]);
        fixture.git(&["update-ref", &format!("refs/remotes/{remote}/topic"), "HEAD~1"]);
    }
    fixture
}

#[test]
fn branches_that_exist_only_on_remotes_are_named() {
    let calls: [(&str, Value); 12] = [
        ("git_log", json!({"rev": "topic"})),
        ("git_log", json!({"rev": "main..topic"})),
        ("git_show", json!({"revision": "topic~0"})),
        ("git_diff", json!({"target": "topic"})),
        ("git_diff", json!({"base": "topic", "merge_base": true})),
        ("git_blame", json!({"path": "a.txt", "rev": "topic"})),
        ("git_grep", json!({"pattern": "one", "rev": "topic"})),
        ("git_merge", json!({"source_branch": "topic"})),
        ("git_rebase", json!({"target_branch": "topic"})),
        ("git_cherry_pick", json!({"commit_hash": "topic"})),
        ("git_create_branch", json!({"branch_name": "x", "base_branch": "topic"})),
        ("git_merge_base", json!({"one": "topic"})),
    ];
    let (one, two) = (tracking(&["origin"]), tracking(&["fork", "origin"]));
    let (mut of_one, mut of_two) = (one.serve_with(&["--toolsets", "all"], &[]), two.serve_with(&["--toolsets", "all"], &[]));
    for (tool, args) in calls {
        assert!(!one.try_git(&["rev-parse", "--verify", "-q", "topic"]).status.success());
        let error = of_one.error(tool, &args);
        assert!(error.contains("Only a remote") && error.contains("`origin/topic`"), "{tool} {args}: {error}");
        let error = of_two.error(tool, &args);
        assert!(error.contains("Several remotes") && error.contains("`fork/topic`, `origin/topic`"), "{tool} {args}: {error}");
    }
    // The names work, and so does a branch of a single remote.
    of_two.text("git_log", &json!({"rev": "fork/topic"}));
    let error = of_two.error("git_checkout", &json!({"branch_name": "topic"}));
    assert!(error.contains("`fork/topic`, `origin/topic`"), "{error}");
    of_one.text("git_checkout", &json!({"branch_name": "topic"}));
    assert_eq!(one.text(&["symbolic-ref", "HEAD"]), "refs/heads/topic");
    let nowhere = of_one.error("git_log", &json!({"rev": "nowhere"}));
    assert!(!nowhere.contains("remote"), "{nowhere}");
}

#[test]
fn an_empty_argument_counts_as_absent_or_is_named() {
    let fixture = Fixture::new();
    let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
    for (tool, args) in [
        ("git_status", json!({})),
        ("git_log", json!({"rev": "", "author": "", "grep": "", "start_timestamp": "", "end_timestamp": "", "cursor": ""})),
        ("git_show", json!({"byte_range": "", "symbol": "", "cursor": ""})),
        ("git_diff", json!({"scope": "", "target": "", "base": "", "byte_range": "", "cursor": ""})),
        ("git_blame", json!({"path": "a.txt", "rev": ""})),
        ("git_grep", json!({"pattern": "one", "rev": ""})),
        ("git_branch", json!({"contains": "", "not_contains": "", "branch_type": ""})),
        ("git_describe", json!({"revision": "", "tags": true})),
        ("git_create_branch", json!({"branch_name": "made", "base_branch": ""})),
        ("git_stash", json!({"action": "", "message": ""})),
    ] {
        let without: serde_json::Map<String, Value> = args
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| **value != "")
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let mut with = args.clone();
        with["repo_path"] = json!("");
        with["workspace"] = json!("");
        let with = client.result(tool, &with);
        if tool == "git_create_branch" {
            fixture.git(&["branch", "-D", "made"]);
        }
        let without = client.result(tool, &Value::Object(without));
        let text = |result: &Value| parts(&text_of(result)).body;
        assert_eq!((with["isError"].clone(), text(&with)), (without["isError"].clone(), text(&without)), "{tool} {args}");
    }
    for (tool, name, args) in [
        ("git_show", "revision", json!({"revision": ""})),
        ("git_blame", "path", json!({"path": ""})),
        ("git_grep", "pattern", json!({"pattern": ""})),
        ("git_checkout", "branch_name", json!({"branch_name": ""})),
        ("git_merge", "source_branch", json!({"source_branch": ""})),
        ("git_commit", "message", json!({"message": ""})),
    ] {
        let result = client.result(tool, &args);
        let text = text_of(&result);
        assert!(result["isError"] != true || text.contains(name), "{tool} {args}: {text}");
    }
}

#[test]
fn a_repository_may_be_named_by_a_url() {
    let fixture = Fixture::new();
    let path = fixture.path.display().to_string();
    let mut client = fixture.serve();
    let mut status = |path: &str| parts(&client.text("git_status", &json!({"repo_path": path}))).body;
    let expected = status(&path);
    for url in [format!("file://{path}"), format!("file://localhost{path}"), format!("file://{}", path.replace("repo", "%72epo"))] {
        assert_eq!(status(&url), expected, "{url}");
    }
    for url in ["file://elsewhere/x", "file://", "file:///%zz"] {
        let error = client.error("git_status", &json!({"repo_path": url}));
        assert!(error.contains("`repo_path`") && error.contains("file:///PATH"), "{url}: {error}");
    }
    let outside = client.error("git_status", &json!({"repo_path": "file:///etc"}));
    assert!(!outside.contains("URL") && outside.contains("/etc"), "{outside}");
}
