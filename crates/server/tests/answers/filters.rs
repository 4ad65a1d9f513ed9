//! Reads run no filters: every read names the files that only a filter could compare, and never shows them unfiltered.

use crate::support::{Client, Fixture, Outcome, call_in, parts, shell, undo};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// Older than the index, so that size and time reveal an edit.
const AGE: &str = "touch -d 2020-01-01 *.up b.txt";

/// A repository with a filter for `*.up` that records each run, its configuration, and three such files: unchanged,
/// touched, and edited.
fn repository(configure: &str) -> (Fixture, PathBuf) {
    let fixture = Fixture::empty();
    let marker = fixture.home.path().join("ran");
    let filter = fixture.home.path().join("filter");
    fs::write(&filter, format!("#!/bin/sh\necho ran >> {}\ntr \"$1\" \"$2\"\n", marker.display())).expect("a filter");
    let script = format!(
        "chmod +x {filter}; F={filter}; {configure}
         echo '*.up filter=up' > .gitattributes
         for name in same touched edited; do printf 'one\\ntwo\\n' > $name.up; done; echo b > b.txt
         {AGE}; git add .; git commit -q -m first; touch -d 2021-01-01 touched.up
         echo three >> edited.up; echo c >> b.txt",
        filter = filter.display()
    );
    shell(&fixture.path, &script);
    fs::remove_file(&marker).unwrap_or_default();
    (fixture, marker)
}

/// A call, and whether its answer shows the change of `b.txt`, which has no filter.
fn reads() -> [(&'static str, Value, bool); 9] {
    [
        ("git_status", json!({}), true),
        ("git_diff", json!({}), true),
        ("git_diff", json!({"stat": true}), true),
        ("git_diff", json!({"outline": true}), true),
        ("git_diff", json!({"target": "HEAD"}), true),
        ("git_diff", json!({"target": "HEAD", "paths": ["edited.up", "touched.up"]}), false),
        ("git_diff_unstaged", json!({}), true),
        ("git_add", json!({"list": true}), true),
        ("git_add", json!({"list": true, "action": "discard"}), true),
    ]
}

/// Every read names the two files that it cannot compare, without showing their content or calling them changed.
fn reads_skip_them(client: &mut Client, repo: &str, with_hunks: bool) {
    for (tool, mut args, shows_b) in reads().into_iter().filter(|(tool, ..)| with_hunks || *tool != "git_add") {
        args["repo_path"] = json!(repo);
        let answer = client.text(tool, &args);
        let shown = parts(&answer);
        let note = shown.notes.iter().find(|note| note.contains("not compared")).map(String::as_str).unwrap_or_default();
        assert!(note.contains("edited.up, touched.up: reads do not run filter up"), "{tool} {args}: {note}");
        assert!(!note.contains("same.up") && !note.contains("b.txt"), "{tool} {args}: {note}");
        assert!(!shown.body.contains(".up") && !shown.body.contains("two"), "{tool} {args}: {}", shown.body);
        assert_eq!(answer.contains("b.txt"), shows_b, "{tool} {args}: {answer}");
        assert!(!answer.contains("working tree clean"), "{answer}");
    }
    // Lines of an unchanged file are known.
    let blamed = client.text("git_blame", &json!({"repo_path": repo, "path": "same.up"}));
    assert!(blamed.contains("first") && blamed.contains("ONE") && !blamed.contains("not committed"), "{blamed}");
    let refused = client.error("git_blame", &json!({"repo_path": repo, "path": "edited.up"}));
    assert!(refused.contains("reads do not run its filter up") && refused.contains("Name a revision, such as HEAD"), "{refused}");
    client.text("git_blame", &json!({"repo_path": repo, "path": "edited.up", "rev": "HEAD"}));
    let refused = client.error("git_diff", &json!({"repo_path": repo, "paths": ["edited.up"], "byte_range": "0-10"}));
    assert!(refused.contains("reads do not run its filter up"), "{refused}");
}

#[test]
fn every_read_names_files_that_only_a_filter_could_compare() -> Outcome {
    for configure in [
        "git config filter.up.clean \"$F a-z A-Z\"; git config filter.up.smudge \"$F A-Z a-z\"",
        "git config filter.up.clean \"$F a-z A-Z\"; git config filter.up.required true",
        "printf '[filter \"up\"]\\nclean = %s a-z A-Z\\n' \"$F\" > .git/more; git config include.path more",
        "printf '[filter \"up\"]\\nclean = %s a-z A-Z\\n' \"$F\" > .git/more; git config includeIf.onbranch:main.path more",
    ] {
        let (fixture, marker) = repository(configure);
        let mut client = fixture.serve();
        let repo = fixture.path.display().to_string();
        reads_skip_them(&mut client, &repo, true);
        assert!(!marker.exists(), "{configure}: a read has run the filter");
        // The note's advice compares them as git does.
        let status = parts(&client.text("git_status", &json!({})));
        let note = status.notes.iter().find(|note| note.contains("not compared")).ok_or("a note")?;
        let (tool, args) = call_in(note.split_once("and then ").ok_or("a call")?.1.trim_end_matches(" compares"));
        client.text("git_add", &json!({"files": ["edited.up", "touched.up"]}));
        assert!(marker.exists(), "{configure}: a change runs it");
        let compared = client.text(&tool, &args);
        let expected = fixture.text(&["diff", "--cached"]);
        assert!(expected.contains("+THREE") && !expected.contains("touched.up"), "{expected}");
        assert!(compared.contains(&expected), "{configure}: {compared}");
        // Staged content needs no filter.
        let hunks = client.text("git_add", &json!({"list": true, "action": "unstage"}));
        assert!(hunks.contains("+THREE") && !hunks.contains("not compared"), "{hunks}");
    }
    Ok(())
}

#[test]
fn operator_filters_do_not_run_in_untrusted_repositories() -> Outcome {
    for program in ["filter", "vanished"] {
        let (fixture, marker) = repository("true");
        let configuration = fixture.home.path().join("operator");
        let place = fixture.home.path().join(program).display().to_string();
        fs::write(&configuration, format!("[filter \"up\"]\nclean = {place} a-z A-Z\nprocess = {place}\nrequired = true\n"))?;
        let above = fixture.home.path().display().to_string();
        let mut client = Client::start(&["-r", &above], &[("GIT_CONFIG_GLOBAL", &configuration.display().to_string())]);
        client.initialize();
        let repo = fixture.path.display().to_string();
        for (tool, mut args, shows_b) in reads().into_iter().filter(|(tool, ..)| *tool != "git_add") {
            args["repo_path"] = json!(repo);
            let answer = client.text(tool, &args);
            assert!(answer.contains("not compared: edited.up, touched.up: reads do not run filter up"), "{tool} {args}: {answer}");
            assert_eq!(answer.contains("b.txt"), shows_b, "{tool} {args}: {answer}");
            assert!(!answer.contains("git_add does"), "{answer}");
        }
        assert!(!marker.exists(), "{program}");
    }
    Ok(())
}

#[test]
fn a_conflict_and_a_new_file_with_a_filter_are_not_shown_unfiltered() {
    let (fixture, marker) = repository("git config filter.up.clean \"$F a-z A-Z\"; git config filter.up.smudge \"$F A-Z a-z\"");
    shell(
        &fixture.path,
        "git checkout -q -f .; git checkout -q -b side; echo side > same.up; git commit -q -a -m side
         git checkout -q main; echo main > same.up; git commit -q -a -m main; git merge -q side || true
         touch -d 2020-01-01 *.up; git update-index -q --refresh || true; echo new > new.up; git add -N new.up",
    );
    fs::remove_file(&marker).unwrap_or_default();
    let mut client = fixture.serve();
    for args in [json!({}), json!({"target": "HEAD"})] {
        let answer = client.text("git_diff", &args);
        assert!(answer.contains("not compared: new.up, same.up: reads do not run filter up"), "{answer}");
        assert!(!parts(&answer).body.contains("main"), "{answer}");
    }
    let status = client.text("git_status", &json!({}));
    assert!(status.contains("UU same.up") && status.contains(" A new.up"), "{status}");
    assert!(client.text("git_conflicts", &json!({})).contains("same.up"));
    assert!(!marker.exists());
}

#[test]
fn changes_in_a_named_repository_compare_with_filters_as_git_does() -> Outcome {
    let (fixture, _) = repository("git config filter.up.clean \"$F a-z A-Z\"; git config filter.up.smudge \"$F A-Z a-z\"");
    let mut client = fixture.serve();
    let content = || fs::read_to_string(fixture.path.join("edited.up"));
    client.text("git_restore", &json!({"paths": ["edited.up"], "confirm": true}));
    assert_eq!(content()?, "one\ntwo\n");
    undo(&mut client);
    assert_eq!(content()?, "one\ntwo\nthree\n");
    client.text("git_stash", &json!({"action": "push"}));
    assert_eq!(content()?, "one\ntwo\n");
    assert!(fixture.text(&["stash", "show", "-p"]).contains("+THREE"));
    client.text("git_stash", &json!({"action": "pop"}));
    assert_eq!(content()?, "one\ntwo\nthree\n");
    client.text("git_commit", &json!({"message": "all", "paths": ["edited.up"]}));
    assert_eq!(fixture.text(&["show", "HEAD:edited.up"]), "ONE\nTWO\nTHREE");
    Ok(())
}
