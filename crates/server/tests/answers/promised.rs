//! Partial clones: all objects that a change reads are fetched before it starts, including trees and from other remotes.

use crate::{
    partial::{clone, fetched, remote},
    support::{
        Fixture,
        remote::{OPEN, Remote},
        shell, text_of,
    },
};
use serde_json::{Value, json};

const KINDS: [&str; 2] = ["--filter=blob:none", "--filter=tree:0"];

/// The result of a change: references by content, status, files.
fn state(fixture: &Fixture) -> String {
    let script = "export GIT_NO_LAZY_FETCH=1; git status --porcelain=v1 --branch --no-renames; git symbolic-ref -q HEAD; \
        git log -8 --format='%T %s'; git for-each-ref --format='%(refname) %(tree) %(upstream)' refs/heads refs/tags; \
        ls .git | grep -E 'rebase|MERGE_HEAD'; find . -path ./.git -prune -o -name .git -prune -o -type f -print0 | sort -z | xargs -0 sha1sum";
    String::from_utf8_lossy(&shell(&fixture.path, script)).into_owned()
}

/// Makes the same call in a partial and in a full clone, both prepared by a script, and expects equal results.
fn compare(remote: &Remote, kind: &str, script: &str, tool: &str, args: &Value) {
    let [partial, whole] = [kind, "--no-tags"].map(|option| {
        let fixture = clone(remote, option);
        shell(&fixture.path, &format!("set -e; export GIT_AUTHOR_DATE=@1700000000+0000 GIT_COMMITTER_DATE=@1700000000+0000; {script}"));
        fixture
    });
    let of_whole = whole.serve_with(&["--toolsets", "all"], &OPEN).result(tool, args);
    let of_partial = partial.serve_with(&["--toolsets", "all"], &OPEN).result(tool, args);
    assert_eq!(of_partial["isError"], of_whole["isError"], "{kind} {tool} {args}: {} {}", text_of(&of_partial), text_of(&of_whole));
    assert_eq!(state(&partial), state(&whole), "{kind} {tool} {args}: {}", text_of(&of_partial));
}

/// Both sides change the same files, and others.
const OWN: &str =
    "git checkout -q -b own HEAD~3; for n in 1 2; do sed -i \"${n}s/.*/own $n/\" b.txt dir/c.txt; git commit -q -a -m \"own $n\"; done";

#[test]
fn a_rebase_starts_with_all_objects_present() {
    let remote = remote();
    for kind in KINDS {
        for (tool, args) in [
            ("git_rebase", json!({"target_branch": "origin/main", "confirm": true})),
            ("git_rebase", json!({"target_branch": "HEAD~1", "onto": "origin/main", "confirm": true})),
            ("git_rebase", json!({"target_branch": "origin/main", "plan": ["pick HEAD", "pick HEAD~1"], "confirm": true})),
            ("git_pull", json!({"remote": "origin", "branch": "main", "how": "rebase"})),
        ] {
            compare(&remote, kind, OWN, tool, &args);
        }
    }
}

#[test]
fn missing_trees_are_fetched_before_a_change_starts() {
    let remote = remote();
    // Files whose times show no change.
    let touched = "touch -d 2030-01-01 b.txt moved.txt dir/c.txt dir/d.txt";
    for (script, tool, args) in [
        ("true", "git_worktree", json!({"action": "add", "path": "wt", "start_point": "HEAD~3"})),
        ("true", "git_worktree", json!({"action": "add", "path": "wt", "branch": "fresh", "start_point": "origin/topic"})),
        ("true", "git_worktree", json!({"action": "add", "path": "wt", "branch": "topic"})),
        ("true", "git_reset", json!({"mode": "soft", "target": "HEAD~2", "confirm": true})),
        ("true", "git_reset", json!({"target": "HEAD~2", "confirm": true})),
        (touched, "git_reset", json!({"mode": "hard", "target": "HEAD~3", "confirm": true})),
        (touched, "git_restore", json!({"paths": ["b.txt"], "source": "HEAD~3", "confirm": true})),
        (touched, "git_checkout", json!({"branch_name": "topic"})),
        ("true", "git_cherry_pick", json!({"commit_hash": "origin/topic"})),
        ("true", "git_revert", json!({"commit_hash": "HEAD~2"})),
        ("true", "git_merge", json!({"source_branch": "origin/topic"})),
    ] {
        compare(&remote, KINDS[1], script, tool, &args);
    }
    let treeless = clone(&remote, KINDS[1]);
    let opened = treeless.serve_with(&[], &OPEN).text("git_workspace", &json!({"action": "open", "start_point": "origin/topic"}));
    assert!(opened.contains("opened ws_"), "{opened}");
}

#[test]
fn an_index_with_new_times_alone_starts_nothing() {
    let remote = remote();
    let staged = "git restore --source=HEAD~3 --staged b.txt dir/c.txt; rm b.txt; touch -d 2030-01-01 dir/d.txt";
    for (script, tool, args) in [
        (staged, "git_restore", json!({"paths": ["b.txt"], "confirm": true})),
        ("git reset -q HEAD~3; touch -d 2030-01-01 dir/d.txt", "git_restore", json!({"paths": ["b.txt"], "confirm": true})),
        ("touch -d 2030-01-01 b.txt dir/c.txt", "git_reset", json!({"mode": "hard", "target": "HEAD~3", "confirm": true})),
        ("touch -d 2030-01-01 b.txt dir/c.txt", "git_restore", json!({"paths": ["."], "source": "HEAD~4", "confirm": true})),
    ] {
        compare(&remote, KINDS[0], script, tool, &args);
    }
}

/// A second repository of the remote, empty or with its own branch.
fn fork(remote: &Remote, script: &str) -> String {
    shell(remote.home.path(), &format!("set -e; {script}; git -C fork.git config http.receivepack true"));
    remote.url().replace("repo.git", "fork.git")
}

#[test]
fn a_push_elsewhere_fetches_missing_objects_in_one_batch() {
    let remote = remote();
    let url = fork(&remote, "git init -q --bare fork.git");
    for (number, kind) in KINDS.into_iter().enumerate() {
        let partial = clone(&remote, kind);
        let name = format!("work-{number}");
        partial.git(&["branch", "-m", &name]);
        partial.git(&["remote", "add", "fork", &url]);
        let before = fetched(&partial);
        let text = partial.serve_with(&["--toolsets", "all"], &OPEN).text("git_push", &json!({"remote": "fork"}));
        assert_eq!(partial.text(&["rev-parse", "HEAD"]), remote.git(&["--git-dir=../fork.git", "rev-parse", &name]), "{kind}: {text}");
        // Trees first, then their blobs.
        assert!(fetched(&partial) <= before + 1 + number, "{kind}: {} batches", fetched(&partial) - before);
    }
}

#[test]
fn data_of_another_remote_may_depend_on_missing_objects() {
    let remote = remote();
    let script = "git clone -q --bare repo.git fork.git; git clone -q repo.git w; cd w; git config user.name F; git config user.email f@example.com
        git checkout -q -b feat HEAD~3; for n in 1 2 3; do sed -i \"$((n + 30))s/.*/feat $n/\" a.txt b.txt dir/c.txt; git commit -q -a -m \"feat $n\"; done
        git push -q ../fork.git feat; cd ..";
    let url = fork(&remote, script);
    for (tool, args) in [
        ("git_fetch", json!({"remote": "fork"})),
        ("git_fetch", json!({"remote": "fork", "branch": "feat"})),
        ("git_pull", json!({"remote": "fork", "branch": "feat", "how": "merge"})),
    ] {
        for kind in KINDS {
            compare(&remote, kind, &format!("git remote add fork {url}"), tool, &args);
        }
    }
    // Its remote is unreachable: it is not contacted, and complete data is accepted.
    let partial = clone(&remote, KINDS[0]);
    shell(&partial.path, &format!("git config remote.origin.url http://localhost:1/repo.git; git remote add fork {url}"));
    shell(remote.home.path(), "git -C fork.git branch again main");
    let text = partial.serve_with(&[], &OPEN).text("git_fetch", &json!({"remote": "fork", "branch": "again"}));
    assert!(text.contains("1 reference moved") || text.contains("references moved"), "{text}");
}

#[test]
fn undo_restores_the_promisor_remote() {
    let remote = remote();
    let partial = clone(&remote, KINDS[0]);
    let mut client = partial.serve_with(&["--toolsets", "all"], &OPEN);
    let before = partial.text(&["config", "--get-regexp", "^remote[.]origin"]);
    let text = client.text("git_remote_remove", &json!({"name": "origin", "confirm": true}));
    client.text("git_remote_add", &json!({"name": "origin", "url": remote.url()}));
    let commands: Vec<&str> = text.split('`').filter(|part| part.starts_with("git -C ")).collect();
    assert_eq!(commands.len(), 2, "{text}");
    shell(&partial.path, &commands.join(" && "));
    let mut after: Vec<String> = partial.text(&["config", "--get-regexp", "^remote[.]origin"]).lines().map(str::to_owned).collect();
    let mut before: Vec<String> = before.lines().map(str::to_owned).collect();
    after.sort();
    before.sort();
    assert_eq!(after, before);
    client.text("git_fetch", &json!({}));
    client.text("git_show", &json!({"revision": "HEAD~3"}));
    // A remote that is no promisor is added again, and nothing else happens.
    partial.git(&["remote", "add", "other", &remote.url()]);
    assert!(!client.text("git_remote_remove", &json!({"name": "other", "confirm": true})).contains("promisor"));
}
