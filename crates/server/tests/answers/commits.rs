//! Commits with unusual headers, written by other programs, are shown as git shows them.

use crate::support::{Fixture, Outcome, text_of};
use serde_json::json;
use std::{
    io::Write,
    process::{Command, Stdio},
};

/// The headers between the parent and the message of each commit.
const HEADERS: [&[u8]; 15] = [
    b"author A <a@b>\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> 1700000000 EST\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> 99999999999999999999 +0000\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> 99999999999999 +0000\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A a@b> 1700000000 +0000\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b 1700000000 +0000\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> 1700000000 +9999\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> 1700000000 -1130\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> -5 +0000\ncommitter C <c@d> 1700000000 +0000\n",
    b"author  <> 1700000000 +0000\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a <x> b> 1700000000 +0100\ncommitter C <c@d> 1700000000 +0000\n",
    b"author A <a@b> 1700000000\ncommitter C <c@d>\n",
    b"author A <a@b> 1700000000 +0100\ncommitter C <c@d> never\n",
    b"author A <a@b> 1700000000 +0100\ncommitter C <c@d> 1700000000 +0000\nunknown header\nHG:extra x\n",
    b"author L\xe4 <a@b> 1700000000 +0100\ncommitter C <c@d> 1700000000 +0000\nencoding ISO-8859-1\n",
];

/// A repository with one commit of each kind, in a row. Each changes a line of a file.
fn repository() -> Result<Fixture, Box<dyn std::error::Error>> {
    let fixture = Fixture::new();
    for (at, header) in HEADERS.iter().enumerate() {
        let lines: Vec<String> = (0..=at).map(|line| format!("line {line}")).collect();
        fixture.write("odd.txt", lines.join("\n") + "\n");
        fixture.git(&["add", "odd.txt"]);
        let (tree, parent) = (fixture.text(&["write-tree"]), fixture.text(&["rev-parse", "HEAD"]));
        let mut command = Command::new("git");
        command.args(["hash-object", "-t", "commit", "-w", "--literally", "--stdin"]).current_dir(&fixture.path);
        let mut git = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let start = format!("tree {tree}\nparent {parent}\n");
        let message = format!("\nodd {at}\n\nbody\n");
        git.stdin.take().ok_or("an input")?.write_all(&[start.as_bytes(), header, message.as_bytes()].concat())?;
        let id = String::from_utf8(git.wait_with_output()?.stdout)?;
        fixture.git(&["update-ref", "refs/heads/main", id.trim()]);
    }
    Ok(fixture)
}

/// Rows of a log as `git log` shows its commits: abbreviated id, day, author and subject.
fn rows_of_git(fixture: &Fixture, args: &[&str]) -> Vec<String> {
    let shown = fixture.text(&[&["log", "--date=short", "--abbrev-commit", "--encoding=UTF-8"], args].concat());
    let mut rows = Vec::new();
    for commit in format!("\n{shown}").split("\ncommit ").skip(1) {
        let lines: Vec<&str> = commit.lines().collect();
        let of = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let author = of("Author:").split('<').next().unwrap_or_default().trim();
        // Without an author git shows no time, or 1970 if a format asks for one.
        let day = Some(of("Date:")).filter(|day| !day.is_empty()).unwrap_or("1970-01-01");
        let subject = lines.iter().find_map(|line| line.strip_prefix("    ")).unwrap_or_default();
        rows.push(format!("{} {day} {author}: {subject}", lines[0]));
    }
    rows
}

#[test]
fn commits_with_odd_headers_are_listed_as_git_shows_them() -> Outcome {
    let fixture = repository()?;
    let mut client = fixture.serve();
    for (args, of_git) in [
        (json!({"max_count": 50}), &[][..]),
        (json!({"max_count": 50, "paths": ["odd.txt"]}), &["--", "odd.txt"]),
        (json!({"max_count": 50, "grep": "odd"}), &["--grep=odd"]),
    ] {
        let rows = text_of(&client.result("git_log", &args));
        let rows: Vec<&str> = rows.lines().filter(|line| !line.starts_with("[git:")).collect();
        assert_eq!(rows, rows_of_git(&fixture, of_git), "{args}");
    }
    for at in 0..HEADERS.len() {
        let revision = format!("HEAD~{at}");
        let shown = text_of(&client.result("git_show", &json!({"revision": revision})));
        let header: Vec<&str> = shown.lines().filter(|line| line.starts_with("Author:") || line.starts_with("Date:")).collect();
        let expected = fixture.text(&["show", "-s", "--encoding=UTF-8", &revision]);
        let expected: Vec<&str> = expected.lines().filter(|line| line.starts_with("Author:") || line.starts_with("Date:")).collect();
        assert_eq!(header, expected, "{revision}");
    }
    assert!(client.text("git_branch", &json!({})).contains("odd 14"));
    Ok(())
}

#[test]
fn blame_counts_days_in_the_zone_of_the_author() -> Outcome {
    let fixture = Fixture::new();
    for (at, (date, day)) in
        [("2024-01-01T00:30:00+0900", "2024-01-01"), ("2023-12-31T23:30:00-0800", "2023-12-31"), ("2024-02-29T12:00:00+0000", "2024-02-29")]
            .into_iter()
            .enumerate()
    {
        let name = format!("zone{at}.txt");
        fixture.write(&name, "line\n").git(&["add", "."]);
        fixture.git(&["commit", "-q", "-m", "zone", &format!("--date={date}")]);
        assert_eq!(fixture.text(&["log", "-1", "--format=%ad", "--date=short"]), day, "git says the same");
        let mut client = fixture.serve();
        let blamed = client.text("git_blame", &json!({"path": name}));
        let logged = client.text("git_log", &json!({"max_count": 1}));
        assert!(blamed.contains(&format!(" {day} ")) && logged.contains(&format!(" {day} ")), "{date}: {blamed} {logged}");
    }
    let odd = repository()?;
    let blamed = odd.serve().text("git_blame", &json!({"path": "odd.txt"}));
    let days: Vec<&str> = blamed.lines().filter_map(|line| line.split(' ').nth(1)).filter(|word| word.starts_with(['1', '2'])).collect();
    assert!(days.contains(&"1970-01-01") && days.contains(&"2023-11-19"), "{blamed}");
    Ok(())
}
