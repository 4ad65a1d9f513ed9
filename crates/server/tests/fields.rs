//! Fields longer than any budget, and fields with secrets in addresses.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start git and fail loudly")]

#[path = "fields/addresses.rs"]
mod addresses;
mod support;

use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    fs,
    os::unix::fs::PermissionsExt,
};
use support::{
    Client, Fixture, Outcome, call_in, parts,
    remote::{OPEN, published},
    shell, size, text_of,
};

const MIB: usize = 1 << 20;
/// More than the former size limit of a record from git.
const AUTHOR: usize = MIB + 100_000;
/// In tokens of four bytes.
const BUDGETS: [usize; 3] = [500, 2000, 8000];

/// Makes the call within each budget, and returns the results.
fn within_budgets(client: &mut Client, tool: &str, args: &Value) -> Vec<Value> {
    let mut results = Vec::new();
    for tokens in BUDGETS {
        let mut args = args.clone();
        args["max_tokens"] = json!(tokens);
        let result = client.result(tool, &args);
        assert!(size(&result) <= tokens * 4, "{tool} {args}: {} bytes\n{:.3000}", size(&result), text_of(&result));
        assert!(!text_of(&result).is_empty(), "{tool} {args}");
        results.push(result);
    }
    results
}

/// Count of each letter in the results of the calls that a note names.
fn letter_counts(client: &mut Client, fixture: &Fixture, note: &str, known: &mut HashMap<String, String>) -> HashMap<char, usize> {
    let ways = note.split_once("Whole: ").expect("a way").1;
    let ways = ways.strip_prefix("the same call with a larger `max_tokens`, or ").unwrap_or(ways);
    let mut letters = HashMap::new();
    for way in ways.split(" and ") {
        let all = known.entry(way.to_owned()).or_insert_with(|| {
            if let Some(command) = way.strip_prefix('`').and_then(|way| way.strip_suffix('`')) {
                return String::from_utf8_lossy(&shell(&fixture.path, command)).into_owned();
            }
            let (tool, args) = call_in(way);
            follow(client, &tool, &args)
        });
        all.chars().for_each(|letter| *letters.entry(letter).or_default() += 1);
    }
    letters
}

/// The call that a note names after one of `tool` with `args`.
fn named(call: &str, tool: &str, args: &Value) -> (String, Value) {
    let Some(changes) = call.strip_prefix("the same call with ") else { return call_in(call) };
    let (changes, without) = changes.split_once(", without ").unwrap_or((changes, ""));
    let (changes, mut args): (Value, _) = (serde_json::from_str(changes).expect("arguments"), args.clone());
    let given: Vec<&str> = without.split('`').filter(|name| args.get(name).is_some()).collect();
    for name in given {
        args[name] = Value::Null;
    }
    for (name, value) in changes.as_object().expect("arguments") {
        args[name] = value.clone();
    }
    (tool.to_owned(), args)
}

/// The repository content of all pages, with shortened lines completed.
fn follow(client: &mut Client, tool: &str, args: &Value) -> String {
    String::from_utf8_lossy(&bytes(client, tool, args)).into_owned()
}

fn bytes(client: &mut Client, tool: &str, args: &Value) -> Vec<u8> {
    let (mut tool, mut args, mut all) = (tool.to_owned(), args.clone(), Vec::new());
    for page in 0.. {
        assert!(page < 500, "{tool} {args} ends");
        let mut next = None;
        let text = client.text(&tool, &args);
        for line in text.split_inclusive('\n') {
            let Some((mark, note)) = line.strip_prefix("[git:").and_then(|rest| rest.split_once("] ")) else {
                all.extend(mcp_server_git::unescape(line));
                continue;
            };
            if mark.ends_with('<') {
                assert_eq!(all.pop(), Some(b'\n'));
            }
            let call = note.trim_end().split_once("Next: ").map(|(_, call)| call);
            next = call.map(|call| named(call, &tool, &args)).or(next);
            if note.starts_with("the line above continues") {
                let (tool, mut rest) = named(note.trim_end().split_once(": ").expect("a call").1, &tool, &args);
                rest["max_tokens"] = args["max_tokens"].clone();
                all.extend(bytes(client, &tool, &rest));
            }
        }
        match next {
            Some(next) => (tool, args) = next,
            None => return all,
        }
    }
    all
}

/// A commit whose author and subject exceed any page, on a branch with the longest possible name.
struct Scene {
    fixture: Fixture,
    branch: String,
    path: String,
    commit: String,
}

/// A path of fourteen folders, or a name of fourteen parts.
fn long(letter: &str) -> String {
    vec![letter.repeat(250); 14].join("/")
}

/// Nearly the longest name that an argument accepts.
fn name(letter: &str) -> String {
    vec![letter.repeat(250); 4].join("/")
}

impl Scene {
    fn new() -> Self {
        let fixture = Fixture::new();
        let text = |args: &[&str]| String::from_utf8_lossy(&fixture.git(args)).trim().to_owned();
        let path = format!("{}.txt", long("p"));
        fixture.write(&path, "one\ntwo\n").git(&["add", "--all"]);
        let (tree, parent) = (text(&["write-tree"]), text(&["rev-parse", "HEAD"]));
        let who = |author: &str, email: &str| format!("{author} <{email}> 1700000000 +0000");
        let commit = format!(
            "tree {tree}\nparent {parent}\nauthor {}\ncommitter {}\n\n{}\n\nbody\n",
            who(&"A".repeat(AUTHOR), &"E".repeat(20_000)),
            who("C", "c@example.com"),
            "S".repeat(MIB)
        );
        fixture.write("../commit", commit);
        let commit = shell(&fixture.path, "git hash-object -t commit -w --stdin --literally < ../commit");
        let commit = String::from_utf8_lossy(&commit).trim().to_owned();
        let branch = long("b");
        fixture.git(&["update-ref", &format!("refs/heads/{branch}"), &commit]);
        fixture.git(&["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
        Self { fixture, branch, path, commit }
    }

    /// A tag, a note, a stash, a reflog, remotes and settings with long texts.
    fn decorated(self) -> Self {
        let fixture = &self.fixture;
        let config = format!(
            "[remote \"big\"]\n\turl = https://example.com/{}\n\tpushurl = https://example.com/p\n[demo]\n\tvalue = {}\n[demo \"{}\"]\n\tx = y\n",
            "U".repeat(MIB),
            "V".repeat(MIB),
            "K".repeat(20_000)
        );
        let present = fs::read_to_string(fixture.path.join(".git/config")).expect("the configuration");
        fixture.write(".git/config", present + &config);
        fixture.write("../message", format!("{}\n", "T".repeat(MIB))).write("../note", "N".repeat(MIB));
        fixture.git(&["tag", "--annotate", "--file=../message", "v1", "main"]);
        fixture.git(&["tag", "light"]);
        fixture.git(&["notes", "add", "--file=../note", "main"]);
        fixture.write("a.txt", "stashed\n").git(&["stash", "push", "--quiet"]);
        for (log, letter) in [("logs/refs/stash", "W"), ("logs/HEAD", "R")] {
            let line = format!("{0} {0} A <a@example.com> 1700000000 +0000\t{1}\n", self.commit, letter.repeat(MIB));
            let line = if letter == "W" { line.replace(&self.commit, &self.id("refs/stash")) } else { line };
            fixture.write(&format!(".git/{log}"), line);
        }
        fixture.write("a.txt", "changed\n").write(&self.path, "one\nchanged\n");
        fixture.git(&["worktree", "add", "--quiet", "--lock", "../linked", "main"]);
        fixture.write(".git/worktrees/linked/locked", "L".repeat(MIB));
        self
    }

    fn id(&self, rev: &str) -> String {
        String::from_utf8_lossy(&self.fixture.git(&["rev-parse", rev])).trim().to_owned()
    }
}

#[test]
fn a_long_field_is_cut_with_a_call_for_all_of_it() -> Outcome {
    let scene = Scene::new().decorated();
    let fixture = &scene.fixture;
    let mut client = fixture.serve();
    let lengths = [("author", 'A', AUTHOR), ("subject", 'S', MIB), ("url", 'U', MIB), ("value", 'V', MIB), ("key", 'K', 20_000)];
    let (mut seen, mut known) = (HashSet::new(), HashMap::new());
    for (tool, args, letters) in [
        ("git_status", json!({}), ""),
        ("git_log", json!({"max_count": 5}), "AS"),
        ("git_log", json!({"max_count": 5, "author": "."}), "AS"),
        ("git_log", json!({"max_count": 5, "paths": [scene.path]}), "AS"),
        ("git_branch", json!({"branch_type": "all"}), "S"),
        ("git_blame", json!({"path": scene.path}), "AS"),
        ("git_show", json!({"revision": "HEAD"}), ""),
        ("git_show", json!({"revision": "HEAD", "stat": true}), ""),
        ("git_show", json!({"revision": format!("HEAD:{}", &scene.path[..scene.path.len() - 255])}), ""),
        ("git_show", json!({"revision": "v1"}), ""),
        ("git_diff", json!({}), ""),
        ("git_diff", json!({"target": "HEAD~1"}), ""),
        ("git_diff", json!({"target": "HEAD~1", "stat": true}), ""),
        ("git_diff_unstaged", json!({}), ""),
        ("git_grep", json!({"pattern": "one", "rev": "HEAD"}), ""),
        ("git_add", json!({"list": true}), ""),
        ("git_cat_file", json!({"revision": "HEAD"}), ""),
        ("git_cat_file", json!({"revision": "v1"}), ""),
        ("git_ls_tree", json!({"recursive": true}), ""),
        ("git_tag", json!({}), "TS"),
        ("git_notes", json!({"revision": "main"}), ""),
        ("git_stash", json!({"action": "list"}), "W"),
        ("git_reflog", json!({}), "R"),
        ("git_remote_list", json!({}), "U"),
        ("git_remote_get_url", json!({"name": "big"}), "U"),
        ("git_config", json!({}), "VUK"),
        ("git_config", json!({"key": "demo.value"}), "V"),
        ("git_shortlog", json!({}), "A"),
        ("git_worktree", json!({}), "L"),
        ("git_describe", json!({}), ""),
        ("git_range_diff", json!({"old": "HEAD~1..HEAD", "new": "HEAD~1..HEAD"}), ""),
        ("git_merge_preview", json!({"source_branch": "main"}), ""),
        ("git_undo", json!({}), ""),
        ("git_create_branch", json!({"branch_name": name("c")}), ""),
        ("git_branch_rename", json!({"branch_name": name("c"), "new_name": name("d")}), ""),
        ("git_stash", json!({}), ""),
        ("git_stash", json!({"action": "pop"}), ""),
        ("git_remote_set_url", json!({"name": "big", "url": "https://1.1.1.1/x"}), ""),
    ] {
        let mut notes = Vec::new();
        for result in within_budgets(&mut client, tool, &args) {
            notes.extend(parts(&text_of(&result)).notes);
            let peak = support::peak_kib(client.pid());
            assert!(peak < 200 << 10, "{tool} {args}: {peak} KiB");
        }
        for note in notes.iter().filter(|note| note.contains("cut above: ")) {
            let all = letter_counts(&mut client, fixture, note, &mut known);
            let many = |letter: char| all.get(&letter).copied().unwrap_or_default();
            for (what, letter, len) in lengths {
                let is_it = note.contains(&format!(" {what} ")) && letters.contains(letter);
                assert!(!is_it || many(letter) == 0 || many(letter) >= len, "{tool}: {note}");
            }
            seen.extend(letters.chars().filter(|letter| many(*letter) >= 20_000).map(|letter| (tool, letter)));
        }
        for letter in letters.chars() {
            assert!(seen.contains(&(tool, letter)), "{tool} {args}: {letter}\n{notes:#?}");
        }
    }
    // A long field hides no other row, and structured rows report what was cut.
    let log = follow(&mut client, "git_log", &json!({"max_count": 5, "max_tokens": 500}));
    assert!(log.contains("second") && log.contains("first"), "{log:.2000}");
    for args in [json!({}), json!({"author": "."})] {
        let commit = client.result("git_log", &args)["structuredContent"]["commits"][0].clone();
        assert_eq!(commit["id"], scene.commit.as_str(), "{args}");
        assert!(commit["cut"]["author"].as_u64() >= Some(8192) && commit["cut"]["subject"].as_u64() >= Some(2048), "{args}");
        assert!(commit["author"].as_str().map_or(0, str::len) <= 200 && commit["subject"].as_str().map_or(0, str::len) <= 400);
    }
    // Paged content is read to its end.
    assert_eq!(follow(&mut client, "git_notes", &json!({"revision": "main"})).matches('N').count(), MIB);
    let way = format!("git_show {}", json!({"revision": scene.commit}));
    let shown = known.get(&way).ok_or("notes name it")?;
    assert_eq!(['A', 'E', 'S'].map(|letter| shown.matches(letter).count()), [AUTHOR + 1, 20_000, MIB]);
    let branches = client.result("git_branch", &json!({}));
    assert!(branches["structuredContent"].to_string().contains(&scene.branch), "a usable name is not cut");
    Ok(())
}

#[test]
fn a_changes_report_stays_within_its_budget() -> Outcome {
    let scene = Scene::new();
    let fixture = &scene.fixture;
    let above = fs::canonicalize(fixture.home.path())?;
    for n in 0..60 {
        fixture.write(&format!("{}{n}", &scene.path[..scene.path.len() - 40]), "x\n");
    }
    fixture.write(".git/hooks/pre-commit", "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' 'h' >&2\n[ ! -e ../refuse ]\n");
    fs::set_permissions(fixture.path.join(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755))?;
    let mut client = fixture.serve();
    let mut check = |tool: &str, mut args: Value| {
        args["max_tokens"] = json!(500);
        let result = client.result(tool, &args);
        assert!(size(&result) <= 2000, "{tool} {args:.100}: {} bytes\n{:.3000}", size(&result), text_of(&result));
        result
    };
    for (tool, args) in [
        ("git_add", json!({"files": ["."]})),
        ("git_status", json!({})),
        ("git_diff_staged", json!({})),
        ("git_commit", json!({"message": "s".repeat(MIB / 2)})),
        ("git_checkout", json!({"branch_name": "main"})),
        ("git_checkout", json!({"branch_name": scene.branch})),
        ("git_tag", json!({"action": "create", "name": name("t"), "message": "m".repeat(10_000)})),
        ("git_mv", json!({"source": scene.path, "destination": format!("{}.mv", long("p"))})),
        ("git_worktree", json!({"action": "add", "path": "other", "branch": name("w")})),
        ("git_reset", json!({"mode": "hard", "confirm": true})),
        ("git_undo", json!({})),
        ("git_clean", json!({})),
    ] {
        let result = check(tool, args.clone());
        assert!(result["isError"] != true, "{tool}: {}", text_of(&result));
    }
    // Errors quote names, paths and hook output.
    fixture.write("../refuse", "").write("a.txt", "again\n");
    let long_name = "x".repeat(4000);
    for (tool, args) in [
        ("git_commit", json!({"message": "refused", "paths": ["a.txt"]})),
        ("git_show", json!({"revision": long_name})),
        ("git_show", json!({"revision": "y".repeat(MIB)})),
        ("git_checkout", json!({"branch_name": long_name})),
        ("git_blame", json!({"path": long_name})),
        ("git_create_branch", json!({"branch_name": "b".repeat(MIB)})),
        ("git_range_diff", json!({"old": long_name, "new": long_name})),
        ("git_config", json!({"key": format!("a.{long_name}"), "value": "x"})),
    ] {
        let result = check(tool, args);
        let text = text_of(&result);
        assert!(result["isError"] == true && text.contains("left out"), "{tool}: {text:.3000}");
    }
    drop(above);
    Ok(())
}

#[test]
fn all_conflicts_with_long_paths_are_reachable() {
    let fixture = Fixture::new();
    let path = |n: usize| format!("{}/{n:02}.txt", long("p"));
    let write = |text: &str| (0..12).fold(&fixture, |fixture, n| fixture.write(&path(n), format!("{text} {n}\n")));
    write("base").commit("base").git(&["branch", "other"]);
    write("ours").commit("ours").git(&["checkout", "--quiet", "other"]);
    write("theirs").commit("theirs");
    let mut client = fixture.serve();
    let previewed = within_budgets(&mut client, "git_merge_preview", &json!({"source_branch": "main"}));
    assert!(text_of(&previewed[0]).contains("it would conflict in 12 paths"), "{previewed:?}");
    let stopped = client.result("git_merge", &json!({"source_branch": "main", "max_tokens": 500}));
    assert!(stopped["isError"] == true && size(&stopped) <= 2000, "{} bytes", size(&stopped));
    within_budgets(&mut client, "git_conflicts", &json!({}));
    for tokens in BUDGETS {
        let status = follow(&mut client, "git_status", &json!({"max_tokens": tokens}));
        assert_eq!(status.lines().filter(|line| line.starts_with("AA ") || line.starts_with("UU ")).count(), 12, "{tokens}");
    }
}

#[test]
fn references_longer_than_any_argument_are_cut_and_not_offered() {
    let fixture = Fixture::new();
    let head = String::from_utf8_lossy(&fixture.git(&["rev-parse", "HEAD"])).trim().to_owned();
    let name = "r".repeat(MIB);
    let packed = format!("# pack-refs with: peeled fully-peeled sorted \n{head} refs/heads/{name}\n{head} refs/tags/{name}\n");
    fixture.write(".git/packed-refs", packed);
    for n in 0..30 {
        fixture.git(&["config", "--add", "remote.many.url", &format!("https://example.com/{n}/{}", "u".repeat(3000))]);
    }
    let mut client = fixture.serve();
    for tool in ["git_branch", "git_tag", "git_remote_list"] {
        let results = within_budgets(&mut client, tool, &json!({}));
        let notes = parts(&text_of(&results[2])).notes;
        let note = notes.iter().find(|note| note.contains("cut above: ")).unwrap_or_else(|| panic!("{tool}: {notes:#?}"));
        let letters = letter_counts(&mut client, &fixture, note, &mut HashMap::new());
        assert!(tool == "git_remote_list" || letters.get(&'r') >= Some(&MIB), "{note}");
    }
    let reference = json!({"type": "ref/resource", "uri": "git://{repo}/blob/{rev}/{+path}"});
    let context = json!({"arguments": {"repo": "repo"}});
    let params = json!({"ref": reference, "argument": {"name": "rev", "value": ""}, "context": context});
    let completed = client.request("completion/complete", &params);
    assert_eq!(completed["result"]["completion"]["values"], json!(["HEAD", "main"]), "{completed:.2000}");
    for uri in ["git://repo/remote/many", "git://repo/status", "git://repo/commit/HEAD"] {
        let read = client.request("resources/read", &json!({"uri": uri}));
        let text = read["result"]["contents"][0]["text"].as_str().unwrap_or_default();
        assert!((1..=32_000).contains(&text.len()), "{uri}: {} bytes", text.len());
    }
}

#[test]
fn remotes_and_submodules_stay_within_their_budget() {
    let (fixture, remote) = published();
    let id = remote.git(&["rev-parse", "main"]);
    for n in 0..40 {
        remote.git(&["update-ref", &format!("refs/heads/{n:02}/{}", name("f")), &id]);
        fixture.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{id},{n:02}/{}", long("m"))]);
    }
    fixture.git(&["sparse-checkout", "set", "--cone", &long("q")]);
    let hook = remote.path().join("hooks/pre-receive");
    fs::write(&hook, "#!/bin/sh\nseq -f 'line %g of a hook that says very much' 1 5000 >&2\n[ ! -e refuse ]\n").expect("a hook");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("its mode");
    let mut client = fixture.serve_with(&[], &OPEN);
    for (tool, args) in [
        ("git_ls_remote", json!({})),
        ("git_fetch", json!({})),
        ("git_submodule", json!({})),
        ("git_sparse_checkout", json!({})),
        ("git_branch", json!({"branch_type": "remote"})),
        ("git_push", json!({"branch": "main", "to": name("n")})),
        ("git_push", json!({"branch": "main", "to": "other"})),
    ] {
        for result in within_budgets(&mut client, tool, &args) {
            assert!(result["isError"] != true, "{tool}: {}", text_of(&result));
        }
    }
    fs::write(remote.path().join("refuse"), "").expect("a file");
    let refused = within_budgets(&mut client, "git_push", &json!({"branch": "main", "to": "third"}));
    assert!(refused.iter().all(|result| text_of(result).contains("pre-receive hook declined")), "{refused:?}");
    let listed = follow(&mut client, "git_branch", &json!({"branch_type": "remote", "max_tokens": 500}));
    assert_eq!(listed.matches("origin/").count(), 43);
}

#[test]
fn a_small_budget_keeps_long_lines_and_odd_bytes_complete() {
    let fixture = Fixture::empty();
    let odd: Vec<u8> = (0..3000_u32).map(|n| [0x1b, 0xff, b'a', 0x07][n as usize % 4]).collect();
    let path = format!("{}/odd.txt", vec!["q".repeat(30); 3].join("/"));
    fixture.write(&path, [b"first\n", odd.as_slice(), b"\nlast\n"].concat()).commit("odd");
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_show", json!({"revision": format!("HEAD:{path}")})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_diff", json!({"base": "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "target": "HEAD"})),
        ("git_grep", json!({"pattern": "last", "rev": "HEAD"})),
        ("git_blame", json!({"path": path})),
        ("git_status", json!({})),
    ] {
        within_budgets(&mut client, tool, &args);
        let mut args = args;
        args["max_tokens"] = json!(500);
        let all = follow(&mut client, tool, &args);
        assert!(tool == "git_status" || all.contains("last"), "{tool} {args}: {all}");
    }
    let revision = format!("HEAD:{path}");
    assert!(bytes(&mut client, "git_show", &json!({"revision": revision, "max_tokens": 500})) == fixture.git(&["show", &revision]));
    let commit = bytes(&mut client, "git_show", &json!({"revision": "HEAD", "max_tokens": 500}));
    assert!(commit == fixture.git(&["show", "HEAD"]), "{}", String::from_utf8_lossy(&commit));
}
