//! Answers about cleaned, previewed, searched and ignored files, each compared with git.

use crate::support::{Fixture, Outcome, call_in, parts};
use serde_json::json;
use std::{collections::BTreeSet, fs};

/// The files that git would remove.
fn cleaned_by_git(fixture: &Fixture, options: &[&str]) -> BTreeSet<String> {
    let said = fixture.text(&[&["clean", "-n"], options].concat());
    said.lines().filter_map(|line| line.strip_prefix("Would remove ")).map(str::to_owned).collect()
}

#[test]
fn everything_that_clean_removes_is_listed_first() -> Outcome {
    for (args, options) in [
        (json!({}), &[][..]),
        (json!({"directories": true}), &["-d"]),
        (json!({"directories": true, "ignored": true}), &["-d", "-x"]),
        (json!({"directories": true, "paths": ["mixed"]}), &["-d", "--", "mixed"]),
    ] {
        let fixture = Fixture::new();
        fixture.write(".gitignore", "ignored\n").write("mixed/tracked", "t\n").commit("with more");
        fixture.write("mixed/new", "n\n").write("folder/new", "n\n").write("ignored/new", "n\n").write("top.txt", "n\n");
        for empty in ["empty/deep", "mixed/empty"] {
            fs::create_dir_all(fixture.path.join(empty))?;
        }
        let expected = cleaned_by_git(&fixture, options);
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        let listed = parts(&client.text("git_clean", &args));
        let names: BTreeSet<String> = listed.body.lines().map(str::to_owned).collect();
        assert_eq!(names, expected, "{args}");
        let mut remove = args.clone();
        (remove["remove"], remove["confirm"]) = (json!(true), json!(true));
        let removed = parts(&client.text("git_clean", &remove));
        assert_eq!(removed.body.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected, "{args}");
        assert!(cleaned_by_git(&fixture, options).is_empty());
    }
    Ok(())
}

#[test]
fn a_preview_names_the_call_of_its_merge() -> Outcome {
    for into in [None, Some("main"), Some("release"), Some("refs/heads/release")] {
        let fixture = Fixture::new();
        fixture.git(&["branch", "release"]);
        fixture.git(&["checkout", "-q", "-b", "topic"]);
        fixture.write("t.txt", "t\n").commit("topic").git(&["checkout", "-q", "main"]);
        let topic = fixture.text(&["rev-parse", "topic"]);
        let mut client = fixture.serve();
        let shown = parts(&client.text("git_merge_preview", &json!({"source_branch": "topic", "into": into})));
        let note = shown.notes.iter().find_map(|note| note.strip_prefix("to merge: ")).ok_or("a call to merge")?;
        for call in note.split(", then ") {
            let (tool, args) = call_in(call);
            client.text(&tool, &args);
        }
        let name = into.map_or("main", |into| into.trim_start_matches("refs/heads/"));
        assert_eq!(fixture.text(&["rev-parse", name]), topic, "{into:?}");
        let other = if name == "main" { "release" } else { "main" };
        assert_ne!(fixture.text(&["rev-parse", other]), topic, "{into:?}");
    }
    Ok(())
}

#[test]
fn a_bisect_with_custom_terms_is_understood() {
    let fixture = Fixture::new();
    for n in 0..6 {
        fixture.write("n.txt", format!("{n}\n")).commit("another");
    }
    fixture.git(&["bisect", "start", "--term-old=fast", "--term-new=slow"]);
    let mut client = fixture.serve();
    let said = client.text("git_bisect", &json!({}));
    assert!(said.contains("waiting for a slow or a fast commit") && said.contains("fast for `good`"), "{said}");
    fixture.git(&["bisect", "slow", "HEAD"]);
    fixture.git(&["bisect", "fast", "HEAD~5"]);
    let at = fixture.text(&["rev-parse", "HEAD"]);
    assert!(client.text("git_bisect", &json!({})).contains(&format!("{at} is checked out")));
    client.text("git_bisect", &json!({"action": "good"}));
    let mut said = client.text("git_bisect", &json!({"action": "bad"}));
    while !said.contains("is the first slow commit") {
        said = client.text("git_bisect", &json!({"action": "bad"}));
    }
    let first = fixture.text(&["rev-parse", "refs/bisect/slow"]);
    assert!(said.contains(&format!("{first} is the first slow commit")), "{said}");
    assert!(client.text("git_bisect", &json!({})).contains("is the first slow commit"));
}

#[test]
fn files_ignored_by_odd_patterns_are_neither_staged_nor_listed() {
    for pattern in ["a**/**", "a**", "a**b", "**b", "x/a**", "/a**/**", "**/ab", "!a**\nab", "a**/\n", "a***/**"] {
        for file in ["ab", "x/ab", "ac/d"] {
            let fixture = Fixture::new();
            fixture.write(".gitignore", format!("{pattern}\n")).commit("patterns");
            fixture.write(file, "f\n");
            let ignored = fixture.try_git(&["check-ignore", "-q", file]).status.success();
            let mut client = fixture.serve();
            let listed = client.text("git_status", &json!({}));
            let folder = file.split('/').next().unwrap_or(file);
            let shown = fixture.text(&["status", "--porcelain"]);
            assert_eq!(listed.contains(&format!("?? {folder}")), shown.contains(&format!("?? {folder}")), "{pattern} {file}: {listed}");
            let result = client.result("git_add", &json!({"files": [file]}));
            assert_eq!(result["isError"] == true, ignored, "{pattern} {file}: {result}");
        }
    }
}
