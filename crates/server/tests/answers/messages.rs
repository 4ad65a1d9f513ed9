//! Users' messages are recorded byte for byte, whatever looks like a comment in them and whatever is configured.

use crate::support::{Client, Fixture, shell, undo};
use serde_json::{Value, json};

/// Messages of which git would drop a part after an editor.
const MESSAGES: [&str; 9] = [
    "#99 fix",
    "# a\n\n#b\n# c\n",
    "subject\n\n; semicolon\n// slashes\n# hash\n",
    "subject  \n\n\n\nbody\t\n\n# tail\n\n\n",
    "subject\n\n# Conflicts:\n#\ta.txt\n",
    "subject\n\nbody\n\n# ------------------------ >8 ------------------------\nbelow\n",
    "amend! subject\n\n# more\n",
    "squash! subject\n\nReviewed-by: A <a@b>\n# note\n",
    "#1 Ärger mit „Zeichen“",
];

/// Settings for comment characters, cleanup, and the encoding of commits.
const SETTINGS: [&[(&str, &str)]; 8] = [
    &[],
    &[("core.commentChar", ";")],
    &[("core.commentChar", "auto")],
    &[("core.commentString", "//")],
    &[("commit.cleanup", "strip")],
    &[("commit.cleanup", "scissors"), ("commit.verbose", "true")],
    &[("commit.template", ".git/template"), ("commit.cleanup", "default")],
    &[("i18n.commitEncoding", "ISO-8859-1"), ("trailer.ifexists", "replace"), ("format.signOff", "true")],
];

/// All messages for the first setting, and some for each other one.
fn some(nth: usize) -> impl Iterator<Item = &'static str> {
    MESSAGES.into_iter().enumerate().filter(move |(at, _)| nth == 0 || at % 4 == nth % 4).map(|(_, message)| message)
}

/// `message` as it must be recorded.
fn recorded(message: &str) -> String {
    if message.ends_with('\n') { message.to_owned() } else { format!("{message}\n") }
}

/// The message of `object`, byte for byte.
fn message_of(fixture: &Fixture, object: &str) -> String {
    let kind = fixture.text(&["cat-file", "-t", object]);
    let text = String::from_utf8_lossy(&fixture.git(&["cat-file", &kind, object])).into_owned();
    let (header, message) = text.split_once("\n\n").unwrap_or_default();
    assert!(!header.contains("\nencoding "), "{text}");
    message.to_owned()
}

/// A repository whose branches `main` and `side` change the same line, with these settings.
fn conflicting(settings: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "side"]);
    fixture.write("a.txt", "theirs\n").commit("side");
    fixture.git(&["checkout", "-q", "main"]);
    fixture.write("a.txt", "ours\n").commit("main");
    fixture.write(".git/template", "# a template\n\nto be filled in\n");
    for (key, value) in settings {
        fixture.git(&["config", key, value]);
    }
    fixture
}

/// A commit at the tip of `side`, with this message, that changes nothing else in the conflict.
fn with_message_on_side(fixture: &Fixture, message: &str) {
    fixture.write(".git/message", recorded(message));
    shell(
        &fixture.path,
        "git checkout -q side && git -c i18n.commitEncoding=UTF-8 -c commit.verbose=false commit -q --amend --cleanup=verbatim -F .git/message && git checkout -q main",
    );
}

/// Resolves the conflict and continues.
fn resolve(client: &mut Client, fixture: &Fixture) -> String {
    fixture.write("a.txt", "resolved\n");
    client.text("git_add", &json!({"files": ["a.txt"]}));
    client.text("git_continue", &json!({}))
}

#[test]
fn messages_of_commits_tags_and_notes_are_recorded_byte_for_byte() {
    for (nth, settings) in SETTINGS.into_iter().enumerate() {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        for (at, message) in some(nth).enumerate() {
            let case = format!("{settings:?} {message:?}");
            client.text("git_commit", &json!({"message": message, "allow_empty": true}));
            assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}");
            fixture.write("new.txt", format!("{case}\n"));
            client.text("git_add", &json!({"files": ["new.txt"]}));
            client.text("git_commit", &json!({"amend": true}));
            assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}, amended as it is");
            client.text("git_commit", &json!({"amend": true, "message": format!("{message}\n#more")}));
            assert_eq!(message_of(&fixture, "HEAD"), recorded(&format!("{message}\n#more")), "{case}, amended");
            client.text("git_commit", &json!({"message": message, "allow_empty": true, "sign_off": true}));
            let signed = message_of(&fixture, "HEAD");
            assert!(signed.starts_with(&recorded(message.trim_end())), "{case}: {signed:?}");
            assert!(signed.ends_with("\nSigned-off-by: A U Thor <author@example.com>\n"), "{case}: {signed:?}");
            let tag = format!("v{at}");
            client.text("git_tag", &json!({"action": "create", "name": tag, "message": message}));
            assert_eq!(message_of(&fixture, &tag), recorded(message), "{case}");
            client.text("git_notes", &json!({"action": "add", "message": message}));
            client.text("git_notes", &json!({"action": "append", "message": "# appended"}));
            let note = String::from_utf8_lossy(&fixture.git(&["cat-file", "blob", &fixture.text(&["notes", "list", "HEAD"])])).into_owned();
            assert_eq!(note, format!("{}\n# appended\n", recorded(message)), "{case}");
        }
    }
}

#[test]
fn messages_of_merges_are_recorded_byte_for_byte_with_and_without_conflicts() {
    for (nth, settings) in SETTINGS.into_iter().enumerate() {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        for message in some(nth) {
            let case = format!("{settings:?} {message:?}");
            fixture.git(&["reset", "-q", "--hard", "side~1"]);
            client.text("git_merge", &json!({"source_branch": "side", "strategy": "no-ff", "message": message}));
            assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}");
            fixture.git(&["reset", "-q", "--hard", "side~1"]);
            fixture.write("a.txt", "ours\n").commit("main");
            client.error("git_merge", &json!({"source_branch": "side", "message": message}));
            resolve(&mut client, &fixture);
            assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}, continued");
            assert_eq!(fixture.text(&["rev-list", "--parents", "-1", "HEAD"]).split(' ').count(), 3, "{case}");
            // In operations that git started, only git's own additions are dropped.
            fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
            assert!(!fixture.try_git(&["merge", "-q", "-m", message, "side"]).status.success());
            resolve(&mut client, &fixture);
            assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}, begun by git");
        }
        fixture.git(&["reset", "-q", "--hard", "HEAD~1"]);
        client.error("git_merge", &json!({"source_branch": "side"}));
        resolve(&mut client, &fixture);
        assert_eq!(message_of(&fixture, "HEAD"), "Merge branch 'side'\n", "{settings:?}");
    }
}

#[test]
fn messages_of_picked_and_rebased_commits_are_kept() {
    for (nth, settings) in SETTINGS.into_iter().enumerate() {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        let (main, base) = (fixture.text(&["rev-parse", "main"]), fixture.text(&["rev-parse", "main~1"]));
        for message in some(nth) {
            let case = format!("{settings:?} {message:?}");
            with_message_on_side(&fixture, message);
            fixture.git(&["reset", "-q", "--hard", &base]);
            fixture.write("other.txt", &case).commit("other");
            client.text("git_cherry_pick", &json!({"commit_hash": "side"}));
            assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}");
            for begun_by_git in [false, true] {
                fixture.git(&["reset", "-q", "--hard", &main]);
                if begun_by_git {
                    assert!(!fixture.try_git(&["cherry-pick", "side"]).status.success());
                } else {
                    client.error("git_cherry_pick", &json!({"commit_hash": "side"}));
                }
                resolve(&mut client, &fixture);
                assert_eq!(message_of(&fixture, "HEAD"), recorded(message), "{case}, continued, git began it: {begun_by_git}");
                fixture.git(&["checkout", "-q", "-B", "moved", "side"]);
                if begun_by_git {
                    assert!(!fixture.try_git(&["rebase", &main]).status.success());
                } else {
                    client.error("git_rebase", &json!({"target_branch": main}));
                }
                resolve(&mut client, &fixture);
                assert_eq!(message_of(&fixture, "moved"), recorded(message), "{case}, rebased, git began it: {begun_by_git}");
                fixture.git(&["checkout", "-q", "main"]);
            }
        }
        fixture.git(&["reset", "-q", "--hard", &main]);
        client.error("git_revert", &json!({"commit_hash": "side"}));
        resolve(&mut client, &fixture);
        let side = fixture.text(&["rev-parse", "side"]);
        let expected = format!("Revert \"{}\"\n\nThis reverts commit {side}.\n", fixture.text(&["log", "-1", "--format=%s", "side"]));
        assert_eq!(message_of(&fixture, "HEAD"), expected, "{settings:?}");
    }
}

#[test]
fn messages_of_a_series_are_kept_before_and_after_a_conflict() {
    for settings in SETTINGS {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        fixture.git(&["checkout", "-q", "-b", "series", "main~1"]);
        for (at, message) in MESSAGES[..4].iter().enumerate() {
            let path = if at == 1 { "a.txt".to_owned() } else { format!("{at}.txt") };
            fixture.write(&path, "series\n").write(".git/message", recorded(message));
            shell(&fixture.path, "git add . && git commit -q --cleanup=verbatim -F .git/message");
        }
        fixture.git(&["checkout", "-q", "main"]);
        client.error("git_cherry_pick", &json!({"commit_hash": "main~1..series"}));
        resolve(&mut client, &fixture);
        for (at, message) in MESSAGES[..4].iter().rev().enumerate() {
            assert_eq!(message_of(&fixture, &format!("HEAD~{at}")), recorded(message), "{settings:?}");
        }
        fixture.git(&["checkout", "-q", "series"]);
        client.error("git_rebase", &json!({"target_branch": "main~4"}));
        resolve(&mut client, &fixture);
        for (at, message) in MESSAGES[..4].iter().rev().enumerate() {
            assert_eq!(message_of(&fixture, &format!("series~{at}")), recorded(message), "{settings:?}");
        }
    }
}

#[test]
fn plans_combine_messages_without_losing_a_line() {
    for settings in SETTINGS {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        let base = fixture.text(&["rev-parse", "main"]);
        for (at, message) in ["#1 one\n\n# body", "#2 two", "squash! #1 one\n\n#3 three\n", "#4 four\n"].iter().enumerate() {
            fixture.write(&format!("{at}.txt"), "new\n").write(".git/message", recorded(message));
            shell(&fixture.path, "git add . && git commit -q --cleanup=verbatim -F .git/message");
        }
        let tip = fixture.text(&["rev-parse", "main"]);
        let [one, two, three, four] = &[3, 2, 1, 0].map(|at| fixture.text(&["rev-parse", &format!("main~{at}")]));
        let mut plan = |steps: &Value, expected: &[&str]| {
            fixture.git(&["reset", "-q", "--hard", &tip]);
            client.text("git_rebase", &json!({"target_branch": base, "plan": steps}));
            let messages: Vec<String> = (0..expected.len()).rev().map(|at| message_of(&fixture, &format!("HEAD~{at}"))).collect();
            assert_eq!(messages, expected, "{settings:?} {steps}");
            assert_eq!(fixture.text(&["rev-parse", &format!("HEAD~{}", expected.len())]), base, "{settings:?} {steps}");
            assert_eq!(fixture.text(&["diff", "--name-only", &tip, "HEAD"]), "", "{settings:?} {steps}");
        };
        let squash = |id: &str| format!("squash {id}");
        plan(
            &json!([format!("pick {one}"), squash(two), squash(three), format!("pick {four}")]),
            &["#1 one\n\n# body\n\n#2 two\n\n#3 three\n", "#4 four\n"],
        );
        plan(
            &json!([
                format!("reword {one} #new\n\n# more"),
                squash(two),
                format!("fixup {three}"),
                format!("reword {four} amend! #x\n\n;y")
            ]),
            &["#new\n\n# more\n\n#2 two\n", "amend! #x\n\n;y\n"],
        );
        plan(
            &json!([format!("pick {two}"), format!("fixup {one}"), format!("squash {three} #all\n\n# of it"), squash(four)]),
            &["#all\n\n# of it\n\n#4 four\n"],
        );
    }
}

#[test]
fn a_plan_that_stops_at_a_conflict_keeps_its_messages() {
    for settings in SETTINGS {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        for (at, message) in ["#1 one\n\n# body\n", "#2 two\n", "#3 three\n"].iter().enumerate() {
            fixture.write("a.txt", format!("{at}\n")).write(".git/message", message);
            shell(&fixture.path, "git add . && git commit -q --cleanup=verbatim -F .git/message");
        }
        let base = fixture.text(&["rev-parse", "main~3"]);
        let [one, two, three] = [2, 1, 0].map(|at| fixture.text(&["rev-parse", &format!("main~{at}")]));
        let steps = json!([format!("pick {one}"), format!("squash {three}"), format!("fixup {two}")]);
        let mut answer = client.result("git_rebase", &json!({"target_branch": base, "plan": steps}));
        for _ in 0..4 {
            if answer["isError"] != true {
                break;
            }
            fixture.write("a.txt", "resolved\n");
            client.text("git_add", &json!({"files": ["a.txt"]}));
            answer = client.result("git_continue", &json!({}));
        }
        assert_ne!(answer["isError"], true, "{settings:?}: {answer}");
        assert_eq!(message_of(&fixture, "HEAD"), "#1 one\n\n# body\n\n#3 three\n", "{settings:?}");
        assert_eq!(fixture.text(&["rev-parse", "HEAD~1"]), base, "{settings:?}");
    }
}

#[test]
fn an_unused_message_is_not_dropped_silently() {
    let fixture = conflicting(&[]);
    let mut client = fixture.serve();
    for strategy in ["squash", "ff-only"] {
        let refused = client.error("git_merge", &json!({"source_branch": "side", "strategy": strategy, "message": "#1"}));
        assert!(refused.contains("the message would be unused"), "{refused}");
    }
    fixture.git(&["reset", "-q", "--hard", "side~1"]);
    let merged = client.text("git_merge", &json!({"source_branch": "side", "message": "#1"}));
    assert!(merged.contains("the message is not recorded") && merged.contains("`strategy`: \"no-ff\""), "{merged}");
    undo(&mut client);
    let merged = client.text("git_merge", &json!({"source_branch": "side", "message": "#1", "strategy": "no-ff"}));
    assert!(!merged.contains("not recorded"), "{merged}");
    assert_eq!(message_of(&fixture, "HEAD"), "#1\n");
}

#[test]
fn no_step_is_misread_as_a_comment() {
    for sign in ["p", "pick", "r", "auto", ";"] {
        let key = if sign.len() == 1 || sign == "auto" { "core.commentChar" } else { "core.commentString" };
        let fixture = conflicting(&[(key, sign)]);
        fixture.git(&["checkout", "-q", "side"]);
        for at in 0..3 {
            fixture.write(&format!("{at}.txt"), "new\n").commit(&format!("pick {at}"));
        }
        let subjects = "pick 2\npick 1\npick 0\nside";
        let mut client = fixture.serve();
        fixture.git(&["checkout", "-q", "-b", "picked", "main"]);
        client.error("git_cherry_pick", &json!({"commit_hash": "main~1..side"}));
        resolve(&mut client, &fixture);
        assert_eq!(fixture.text(&["log", "--format=%s", "main..picked"]), subjects, "{sign}");
        fixture.git(&["checkout", "-q", "side"]);
        client.error("git_rebase", &json!({"target_branch": "main"}));
        resolve(&mut client, &fixture);
        assert_eq!(fixture.text(&["log", "--format=%s", "main..side"]), subjects, "{sign}");
    }
}

#[test]
fn a_stash_keeps_its_message() {
    for settings in SETTINGS {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        for message in ["#99 fix", "; x", "// # y"] {
            fixture.write("a.txt", message);
            client.text("git_stash", &json!({"message": message}));
            let expected = format!("stash@{{0}}: On main: {message}");
            assert_eq!(fixture.text(&["stash", "list", "-1"]), expected);
            assert_eq!(fixture.text(&["log", "-1", "--format=%B", "stash"]), format!("On main: {message}"));
            client.text("git_stash", &json!({"action": "drop"}));
            undo(&mut client);
            assert_eq!(fixture.text(&["stash", "list", "-1"]), expected, "{settings:?}");
        }
    }
}

#[test]
fn a_rebase_started_by_git_squashes_messages_without_losing_a_line() {
    for settings in SETTINGS {
        let fixture = conflicting(settings);
        let mut client = fixture.serve();
        for (at, message) in ["#1 one\n\n# body\n", "#2 two\n", "#3 three\n", "#4 four\n"].iter().enumerate() {
            let path = if at < 3 { "a.txt" } else { "four.txt" };
            fixture.write(path, format!("{at}\n")).write(".git/message", message);
            shell(&fixture.path, "git add . && git commit -q --cleanup=verbatim -F .git/message");
        }
        let [one, two, three, four] = [3, 2, 1, 0].map(|at| fixture.text(&["rev-parse", &format!("main~{at}")]));
        fixture.write(".git/steps", format!("pick {one}\nsquash {three}\nfixup {two}\nsquash {four}\n"));
        let begun = "export GIT_EDITOR=:; GIT_SEQUENCE_EDITOR='cp .git/steps' git rebase -q -i main~4 && exit 1 || true";
        shell(&fixture.path, begun);
        let mut answer = json!({"isError": true});
        for _ in 0..3 {
            if answer["isError"] == true {
                fixture.write("a.txt", "2\n");
                client.text("git_add", &json!({"files": ["a.txt"]}));
                answer = client.result("git_continue", &json!({}));
            }
        }
        assert_ne!(answer["isError"], true, "{settings:?}: {answer}");
        assert_eq!(message_of(&fixture, "HEAD"), "#1 one\n\n# body\n\n#3 three\n\n#4 four\n", "{settings:?}");
        assert_eq!(fixture.text(&["status", "--porcelain"]), "", "{settings:?}");
    }
}
