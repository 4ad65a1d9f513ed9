//! Authors are those of the mailmap in every tool: a name that one lists is found by `git_log`.

use crate::support::{Client, Fixture, shell};
use serde_json::{Value, json};

const MAPPING: &str = "New <new@example.com> <old@example.com>\n";
const AUTHORS: [&str; 2] = ["log", "--format=%aN <%aE>"];

/// Commits of `A U Thor` and one of `Old`, with the mailmap as `name`.
fn repository(name: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.write(name, MAPPING).commit("mailmap").write("old.txt", "old\n").git(&["add", "old.txt"]);
    fixture.git(&["-c", "user.name=Old", "-c", "user.email=old@example.com", "commit", "-q", "-m", "old"]);
    fixture
}

/// The authors that `git_log` lists, one a line, as [`AUTHORS`].
fn listed(client: &mut Client, args: &Value) -> String {
    let result = client.result("git_log", args);
    let commits = result["structuredContent"]["commits"].as_array().cloned().unwrap_or_default();
    let author = |commit: &Value| [commit["author"].as_str(), commit["email"].as_str()].map(|text| text.unwrap_or("?").to_owned());
    let authors = commits.iter().map(author).map(|[name, email]| format!("{name} <{email}>"));
    authors.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_search_finds_what_is_listed() {
    let fixture = repository(".mailmap");
    let mut client = fixture.serve();
    assert_eq!(listed(&mut client, &json!({})), fixture.text(&AUTHORS));
    for (author, count) in [("New", 1), ("new@example", 1), ("Old", 0), ("old@example", 0), ("A U Thor <author", 3)] {
        let found = listed(&mut client, &json!({"author": author}));
        let filter = format!("--author={author}");
        assert_eq!(found, fixture.text(&[&AUTHORS[..], &[filter.as_str()]].concat()), "{author}");
        assert_eq!(found.lines().filter(|line| line.contains(author)).count(), count, "{author}: {found}");
        assert_eq!(found.lines().count(), count, "{author}: {found}");
    }
    let none = client.text("git_log", &json!({"author": "Old"}));
    assert!(none.contains("no commits match") && none.contains("as the mailmap maps them"), "{none}");
    let none = client.text("git_log", &json!({"grep": "Old"}));
    assert!(!none.contains("mailmap"), "{none}");
}

#[test]
fn every_tool_lists_the_same_author() {
    for setting in ["true", "false"] {
        let fixture = repository(".mailmap");
        // `log.mailmap` is a setting of git log and git show.
        fixture.git(&["config", "log.mailmap", setting]);
        let mut client = fixture.serve_with(&["--toolsets", "all"], &[]);
        for (tool, args) in [
            ("git_log", json!({})),
            ("git_show", json!({"revision": "HEAD"})),
            ("git_blame", json!({"path": "old.txt"})),
            ("git_shortlog", json!({})),
        ] {
            let text = client.text(tool, &args);
            assert!(text.contains("New") && !text.contains("Old"), "log.mailmap={setting}: {tool}: {text}");
        }
        assert_eq!(listed(&mut client, &json!({"author": "^New <new@example.com>$"})), "New <new@example.com>", "{setting}");
    }
}

/// Compares listings with those of git, called with `args`.
fn check(client: &mut Client, fixture: &Fixture, args: &[&str]) {
    for author in [None, Some("New")] {
        let filter = author.map(|author| format!("--author={author}"));
        let gits = fixture.text(&[args, &AUTHORS[..], filter.as_deref().as_slice()].concat());
        assert!(gits.contains("New <new@example.com>"), "{args:?}: {gits}");
        assert_eq!(listed(client, &json!({"author": author})), gits, "{args:?} {author:?}");
    }
}

#[test]
fn every_place_of_a_mailmap_counts() {
    let fixture = repository(".mailmap");
    let bare = fixture.path.with_file_name("bare.git").display().to_string();
    shell(&fixture.path, "git clone -q --bare . ../bare.git");
    let mut client = Client::start(&["-r", &bare], &[]);
    client.initialize();
    check(&mut client, &fixture, &["-C", bare.as_str()]);

    let fixture = repository("authors");
    fixture.git(&["config", "mailmap.blob", "HEAD:authors"]);
    check(&mut fixture.serve(), &fixture, &[]);

    let fixture = repository("authors");
    let (file, config) = (fixture.path.join("authors").display().to_string(), fixture.path.with_file_name("config"));
    std::fs::write(&config, format!("[mailmap]\n\tfile = {file}\n")).expect("a file");
    let mut client = fixture.serve_with(&[], &[("GIT_CONFIG_GLOBAL", &config.display().to_string())]);
    let setting = format!("mailmap.file={file}");
    check(&mut client, &fixture, &["-c", setting.as_str()]);
}

/// Without a mailmap, and once it is deleted, authors are the recorded ones.
#[test]
fn a_repository_without_a_mailmap_lists_recorded_authors() {
    let fixture = repository(".mailmap");
    std::fs::remove_file(fixture.path.join(".mailmap")).expect("the mailmap");
    for fixture in [fixture, repository("authors")] {
        let mut client = fixture.serve();
        let recorded = fixture.text(&["log", "--format=%an <%ae>"]);
        assert!(recorded.contains("Old <old@example.com>"), "{recorded}");
        assert_eq!(listed(&mut client, &json!({})), recorded);
        assert_eq!(listed(&mut client, &json!({"author": "Old"})), "Old <old@example.com>");
        assert!(!client.text("git_log", &json!({"author": "New"})).contains("mailmap maps"));
    }
}
