//! Untracked files are shown as in git: a folder without tracked files is one row.

use crate::support::{Fixture, parts, shell, text_of};
use serde_json::json;

/// The rows of untracked paths, ours and git's.
fn rows(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with("?? ")).map(str::to_owned).collect()
}

#[test]
fn folders_without_tracked_files_are_one_row() {
    let layout = "mkdir -p a/b a/c t/v/w n && echo 1 | tee a/b/f a/g a/c/f t/v/w/x t/v/y n/z t/k > /dev/null && git add t/k";
    for ignored in
        ["f", "b/", "b/**", "a/b/*", "a/b/**", "*/b/*", "**/b/f", "a/*/f", "a/*\n!a/g", "x", "w", "*", "/a\n!/a/b", "t/v/*\n!t/v/w", ""]
    {
        let fixture = Fixture::new();
        shell(&fixture.path, layout);
        fixture.write(".git/info/exclude", format!("{ignored}\n"));
        let mut client = fixture.serve();
        let shown = parts(&text_of(&client.result("git_status", &json!({})))).body;
        assert_eq!(rows(&shown), rows(&fixture.text(&["status", "--short"])), "{ignored}");
    }
}

#[test]
fn nested_repositories_are_part_of_untracked_folders() {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "mkdir -p d e n && git init -q d/one && git init -q e/two && git -C e/two -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && \
         git init -q n/three && echo 1 > n/z && git init -q four && mkdir -p dir/five && git init -q dir/five",
    );
    let mut client = fixture.serve();
    let shown = parts(&text_of(&client.result("git_status", &json!({})))).body;
    assert_eq!(rows(&shown), rows(&fixture.text(&["status", "--short"])), "{shown}");
}

#[test]
fn commits_of_one_second_are_ordered_as_in_git() {
    let fixture = Fixture::new();
    for (branch, base) in [("one", "main"), ("two", "main"), ("three", "one")] {
        fixture.git(&["checkout", "-q", "-b", branch, base]);
        for at in 0..3 {
            fixture.git(&["commit", "-q", "--allow-empty", "-m", &format!("{branch} {at}")]);
        }
    }
    let mut client = fixture.serve();
    for range in ["one...two", "two...one", "three...two", "two...three", "one..two", "two..three", "main..three", "three..main", "three"] {
        let shown = parts(&text_of(&client.result("git_log", &json!({"rev": range})))).body;
        let ids: Vec<&str> = shown.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(ids, fixture.text(&["log", "--format=%h", range]).lines().collect::<Vec<_>>(), "{range}");
    }
}
