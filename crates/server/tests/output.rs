//! The output contract: bounded results whose pages, followed to the end, give git's bytes.

#![allow(clippy::format_push_string, clippy::expect_used, reason = "tests put small texts together")]

mod support;

use serde_json::{Value, json};
use std::{collections::BTreeMap, fmt::Write as _};
use support::{Client, Fixture, Outcome, call_in, next_call, parts, size, text_of};

/// The default limit: 8,000 tokens of four bytes.
const LIMIT: usize = 32_000;

/// Follows a call to its end and returns the repository text of all pages, unescaped. Shortened lines are completed by
/// the calls that their notes name.
fn follow(client: &mut Client, tool: &str, args: &Value) -> Vec<u8> {
    let (mut tool, mut args) = (tool.to_owned(), args.clone());
    let mut all = Vec::new();
    for page in 0.. {
        assert!(page < 2000, "{tool} {args} ends");
        let result = client.result(&tool, &args);
        assert_ne!(result["isError"], true, "{tool} {args}: {result}");
        assert!(size(&result) <= LIMIT, "{tool} {args}: {} bytes", size(&result));
        let text = text_of(&result);
        all.extend(page_bytes(client, &text));
        match next_call(&parts(&text).notes) {
            Some((next_tool, next_args)) => (tool, args) = (next_tool, next_args),
            None => return all,
        }
    }
    all
}

/// The bytes of one page, with shortened lines completed.
fn page_bytes(client: &mut Client, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.split_inclusive('\n') {
        let Some((mark, note)) = line.strip_prefix("[git:").and_then(|rest| rest.split_once("] ")) else {
            bytes.extend(mcp_server_git::unescape(line));
            continue;
        };
        if mark.ends_with('<') {
            // The line break before the note is the server's.
            assert_eq!(bytes.pop(), Some(b'\n'));
        }
        if note.starts_with("the line above continues") {
            let (tool, args) = call_in(note.split_once(": ").expect("a call").1.trim_end());
            bytes.extend(follow(client, &tool, &args));
        }
    }
    bytes
}

/// A patch split into files: text by first line.
fn files(patch: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut all: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut current = Vec::new();
    for line in patch.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b"diff --git ") {
            current = line.to_vec();
        }
        all.entry(current.clone()).or_default().extend_from_slice(line);
    }
    all
}

fn large() -> Fixture {
    let fixture = Fixture::empty();
    let file = |seed: usize, lines: usize| -> String {
        (0..lines).fold(String::new(), |mut text, n| {
            writeln!(text, "line {n} of {seed}, with ünï and \\u{{1b}} text {}", n * seed).unwrap_or_default();
            text
        })
    };
    for n in 0..40 {
        fixture.write(&format!("d{}/file{n:02}.txt", n % 5), file(n, n * 10 + 1));
    }
    fixture.write("big.txt", file(1, 4000)).write("long.txt", format!("start\n{}\nend\n", "x".repeat(50_000)));
    fixture.write("Cargo.lock", file(3, 200)).commit("first");
    for n in 0..40 {
        fixture.write(&format!("d{}/file{n:02}.txt", n % 5), file(n + 1, n * 10 + 2));
    }
    fixture.write("big.txt", file(2, 4000)).write("long.txt", format!("start\n{}\u{1b}y\nend", "xä".repeat(30_000)));
    fixture.write("Cargo.lock", file(4, 210)).write("bin", b"\0\x01").commit("second\n\nwith a body");
    fixture
}

#[test]
fn patches_are_complete_across_pages() {
    let fixture = large();
    let mut client = fixture.serve();
    let everything = ["Cargo.lock", "big.txt", "bin", "d0", "d1", "d2", "d3", "d4", "long.txt"];
    let expect = fixture.git(&["diff", "HEAD~1", "HEAD"]);
    let ours = follow(&mut client, "git_diff", &json!({"base": "HEAD~1", "target": "HEAD", "paths": everything}));
    assert_eq!(files(&ours), files(&expect));
    let shown = fixture.git(&["show", "HEAD"]);
    let ours = follow(&mut client, "git_show", &json!({"revision": "HEAD", "paths": everything}));
    let (ours, shown) = (files(&ours), files(&shown));
    assert_eq!(ours.keys().collect::<Vec<_>>(), shown.keys().collect::<Vec<_>>());
    assert_eq!(ours, shown);
    fixture.write("big.txt", "short\n").write("d1/file01.txt", "changed\n");
    let ours = follow(&mut client, "git_diff", &json!({}));
    assert_eq!(files(&ours), files(&fixture.git(&["diff"])));
}

#[test]
fn a_generated_file_is_named_with_the_call_that_shows_it() {
    let fixture = large();
    let mut client = fixture.serve();
    let text = client.text("git_diff", &json!({"base": "HEAD~1", "target": "HEAD", "paths": ["d0"], "max_tokens": 8000}));
    assert!(!text.contains("generated"), "{text}");
    let text = client.text("git_diff", &json!({"base": "HEAD~1", "target": "HEAD", "exclude": ["big.txt", "long.txt"]}));
    let notes = parts(&text).notes;
    let note = notes.iter().find(|note| note.starts_with("generated, not shown: Cargo.lock")).expect("a note");
    let (tool, args) = call_in(note.split_once("To see them: ").expect("a call").1);
    let shown = follow(&mut client, &tool, &args);
    assert_eq!(files(&shown), files(&fixture.git(&["diff", "HEAD~1", "HEAD", "--", "Cargo.lock"])));
}

#[test]
fn files_are_complete_across_pages() {
    let fixture = large();
    let mut client = fixture.serve();
    for path in ["big.txt", "long.txt", "Cargo.lock"] {
        for rev in ["HEAD", "HEAD~1"] {
            let revision = format!("{rev}:{path}");
            let ours = follow(&mut client, "git_show", &json!({"revision": revision}));
            assert!(ours == fixture.git(&["show", &revision]), "{revision}");
        }
    }
    let bytes = follow(&mut client, "git_show", &json!({"revision": "HEAD:bin", "byte_range": "0-2"}));
    assert_eq!(bytes, b"\0\x01");
    assert_eq!(client.text("git_show", &json!({"revision": "HEAD:big.txt", "start_line": 3, "end_line": 4})).lines().count(), 2);
}

#[test]
fn long_lines_of_messages_and_binary_files_are_complete() {
    let fixture = Fixture::new();
    let line = "wörds, a \\u{1b} and a \u{1b}[31m ".repeat(900);
    let bytes: Vec<u8> = (0..90_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    fixture.write("bin", &bytes).write("a.txt", "changed\n").commit(&format!("subject\n\n{line}\n\nlast"));
    let mut client = fixture.serve();
    let ours = follow(&mut client, "git_show", &json!({"revision": "HEAD"}));
    assert!(files(&ours) == files(&fixture.git(&["show", "HEAD"])));
    let text = client.text("git_show", &json!({"revision": "HEAD:bin"}));
    let (tool, args) = call_in(text.split_once("90000 bytes: ").expect("a call").1.trim_end());
    assert!(follow(&mut client, &tool, &args) == bytes);
}

#[test]
fn subjects_are_escaped_once() -> Outcome {
    let fixture = Fixture::new();
    fixture.write("a.txt", "x\n").commit("a \u{1b} and a \\u{1b} and \u{202e}more");
    let mut client = fixture.serve();
    let log = String::from_utf8(follow(&mut client, "git_log", &json!({"max_count": 1})))?;
    assert_eq!(log, String::from_utf8(fixture.git(&["log", "-1", "--date=short", "--format=%h %ad %an: %s"]))?);
    let branches = String::from_utf8(follow(&mut client, "git_branch", &json!({})))?;
    assert!(branches.contains("a \u{1b} and a \\u{1b} and \u{202e}more"), "{branches}");
    Ok(())
}

#[test]
fn a_cursor_expires_with_its_content() {
    let fixture = Fixture::new();
    for n in 0..600 {
        fixture.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("commit {n} with a subject that fills its line to the end")]);
    }
    fixture.write("many.txt", (0..3000).fold(String::new(), |text, n| text + &format!("match {n}\n"))).commit("many");
    let mut client = fixture.serve();
    let mut next = |tool: &str, args: &Value| {
        let text = client.text(tool, args);
        (client.pid(), next_call(&parts(&text).notes).expect("a further page"))
    };
    let (_, log) = next("git_log", &json!({"max_count": 1000}));
    let (_, grep) = next("git_grep", &json!({"pattern": "match"}));
    fixture.write("many.txt", (0..3000).fold(String::new(), |text, n| text + &format!("match {}\n", n + 1)));
    fixture.git(&["commit", "--quiet", "--amend", "--allow-empty", "-m", "another history"]);
    for (tool, args) in [log, grep] {
        let text = client.error(&tool, &args);
        assert!(text.contains("stale"), "{tool} {args}: {text}");
    }
}

#[test]
fn lists_are_complete_across_cursors() -> Outcome {
    let fixture = Fixture::new();
    for n in 0..700 {
        fixture.write(&format!("untracked/../u{n:04} with a longer name than needed.txt"), "u");
        if n % 2 == 0 {
            fixture.git(&["commit", "--quiet", "--allow-empty", "-m", &format!("commit number {n} with some words to fill the line up")]);
            fixture.git(&["branch", &format!("branch-{n:04}-with-a-long-name")]);
        }
    }
    let mut client = fixture.serve();
    let log = String::from_utf8(follow(&mut client, "git_log", &json!({"max_count": 5000})))?;
    let expect = String::from_utf8(fixture.git(&["log", "--date=short", "--format=%h %ad %an: %s"]))?;
    assert_eq!(log, expect);
    let branches = String::from_utf8(follow(&mut client, "git_branch", &json!({})))?;
    let expect = String::from_utf8(fixture.git(&["branch", "--format=%(HEAD) %(refname:short) %(objectname:short) %(contents:subject)"]))?;
    assert_eq!(branches, expect);
    let status = String::from_utf8(follow(&mut client, "git_status", &json!({})))?;
    let expect = String::from_utf8(fixture.git(&["status", "--short", "--branch", "-z"]))?.replace('\0', "\n");
    assert_eq!(status.lines().filter(|line| !line.starts_with("##")).collect::<Vec<_>>(), expect.lines().skip(1).collect::<Vec<_>>());
    fixture.write("many.txt", (0..3000).fold(String::new(), |text, n| text + &format!("match {n}\n"))).git(&["add", "many.txt"]);
    let found = follow(&mut client, "git_grep", &json!({"pattern": "match"}));
    assert!(found == fixture.git(&["grep", "-n", "match"]));
    let blamed = String::from_utf8(follow(&mut client, "git_blame", &json!({"path": "many.txt"})))?;
    let lines: Vec<&str> = blamed.lines().filter_map(|line| line.split_once('\t').map(|(_, text)| text)).collect();
    assert_eq!(lines.len(), 3000);
    let stale = client.error("git_grep", &json!({"pattern": "other", "cursor": "5.0.00000000"}));
    assert!(stale.contains("stale"), "{stale}");
    Ok(())
}

#[test]
fn hostile_sizes_stay_bounded_a5() -> Outcome {
    let fixture = Fixture::empty();
    fixture.write("huge.txt", "y".repeat(300 << 20)).commit("one line of 300 MB");
    let mut stream = String::new();
    for n in 0..50_000 {
        writeln!(stream, "commit refs/heads/long\ncommitter A <a@example.com> {} +0000\ndata 8\nsubject\n", 1_600_000_000 + n)?;
    }
    fixture.write("../stream", stream);
    support::shell(&fixture.path, "git fast-import --quiet < ../stream");
    support::shell(&fixture.path, "mkdir u && cd u && seq -f '%06.0f' 1 100000 | xargs touch && mv u . 2>/dev/null || true");
    support::shell(&fixture.path, "find u -type f -exec mv -t . {} + && rmdir u && printf z >> huge.txt");
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_log", json!({"rev": "long", "max_count": 50_000})),
        ("git_show", json!({"revision": "HEAD:huge.txt"})),
        ("git_show", json!({"revision": "HEAD:huge.txt", "byte_range": "299000000-314572800"})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_diff", json!({})),
        ("git_status", json!({})),
        ("git_grep", json!({"pattern": "y"})),
        ("git_blame", json!({"path": "huge.txt"})),
    ] {
        let result = client.result(tool, &args);
        assert!(size(&result) <= LIMIT, "{tool} {args}: {} bytes", size(&result));
        assert!(!text_of(&result).is_empty(), "{tool} {args}");
        let peak = support::peak_kib(client.pid());
        assert!(peak < 150 << 10, "{tool} {args}: {peak} KiB");
        assert!(support::descendants(client.pid()).is_empty(), "{tool}: nothing is left running");
    }
    Ok(())
}

#[test]
fn a_byte_range_shows_no_part_of_a_credential() {
    let fixture = Fixture::new();
    fixture.write("u.txt", "see https://user:s3cret@host/x\n").commit("url");
    let mut client = fixture.serve();
    for (start, end) in (0..31).flat_map(|start| (start + 1..32).map(move |end| (start, end))) {
        let text = client.text("git_show", &json!({"revision": "HEAD:u.txt", "byte_range": format!("{start}-{end}")}));
        // The first and the last letter of the secret stand for any part of it.
        assert!(!support::parts(&text).body.contains(['3', 'c', 'u']), "{start}-{end}: {text}");
    }
}
