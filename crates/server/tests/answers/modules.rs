//! Submodules: removed and restored, updated past obstacles, in conflict, and named where they matter.

use crate::support::{
    Client, Fixture, call_in, parts,
    remote::{OPEN, Remote},
    shell, undo,
};
use serde_json::{Value, json};
use std::{fs, path::PathBuf};

/// A repository with a submodule at `lib`, whose remote is two commits ahead; `next` records the first of them.
fn repository() -> (Fixture, Remote) {
    let (fixture, remote) = (Fixture::new(), Remote::start());
    let script = format!(
        "set -e; id() {{ git config user.name A; git config user.email a@b; }}
         git init -q -b main ../w; cd ../w; id; for n in 1 2 3; do echo $n > f; echo $n > g$n; git add .; git commit -q -m \"lib $n\"; done
         git push -q '{0}' main~2:refs/heads/main; cd ../repo; git submodule --quiet add '{1}' lib; git commit -q -m lib
         git -C ../w push -q '{0}' main; git -C lib fetch -q; cd lib; id; cd ..; git checkout -q -b next; git -C lib checkout -q origin/main
         git commit -q -a -m next; git checkout -q main; git submodule --quiet update",
        remote.path().display(),
        remote.url()
    );
    shell(&fixture.path, &script);
    (fixture, remote)
}

fn serve(fixture: &Fixture) -> Client {
    fixture.serve_with(&["--toolsets", "all"], &OPEN)
}

fn remove(path: PathBuf) {
    let is_folder = path.symlink_metadata().is_ok_and(|found| found.is_dir());
    if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it goes");
}

fn update() -> Value {
    json!({"action": "update"})
}

#[test]
fn a_removed_submodule_is_restored_as_reported() {
    for (name, args) in [
        ("lib", json!({"files": ["lib"]})),
        ("lib", json!({"files": ["lib/", "a.txt"]})),
        (".", json!({"files": ["."], "recursive": true})),
    ] {
        let (fixture, _remote) = repository();
        let before = fixture.text(&["status", "--porcelain=v1"]) + &fs::read_to_string(fixture.path.join(".gitmodules")).expect("a file");
        let mut client = serve(&fixture);
        let text = client.text("git_rm", &args);
        assert!(!fixture.path.join("lib").exists(), "{name}");
        let note = parts(&text).notes.into_iter().find(|note| note.starts_with("to restore them: ")).expect("a note");
        let update = note.split_once("submodules: ").map(|(_, call)| call_in(call)).expect("a call");
        let undone = undo(&mut client);
        assert!(undone.contains("only the index entries of submodules are restored"), "{undone}");
        client.text(&update.0, &update.1);
        assert_eq!(
            fixture.text(&["status", "--porcelain=v1"]) + &fs::read_to_string(fixture.path.join(".gitmodules")).expect("a file"),
            before
        );
        assert_eq!(fs::read_to_string(fixture.path.join("lib/f")).expect("a file"), "1\n");
    }
}

#[test]
fn work_only_in_a_submodule_is_named_before_it_is_lost() {
    for (edit, named) in [("echo x >> lib/f", "lib/f"), ("echo x > lib/new", "lib/new"), ("git -C lib rm -q g1", "lib/g1")] {
        let (fixture, _remote) = repository();
        shell(&fixture.path, edit);
        let mut client = serve(&fixture);
        for (force, confirm) in [(false, false), (false, true), (true, false)] {
            let error = client.error("git_rm", &json!({"files": ["lib"], "force": force, "confirm": confirm}));
            assert!(error.contains("would be lost permanently") && error.contains(named) && error.contains("`confirm`"), "{error}");
            assert!(fixture.path.join("lib/g1").exists() || named == "lib/g1");
        }
        client.text("git_rm", &json!({"files": ["lib"], "force": true, "confirm": true}));
        assert!(!fixture.path.join("lib").exists());
    }
    // Its section is removed with it, but no edit of that file.
    let (fixture, _remote) = repository();
    shell(&fixture.path, "echo '# mine' >> .gitmodules");
    let error = serve(&fixture).error("git_rm", &json!({"files": ["lib"]}));
    assert!(error.contains("uncommitted changes would be overwritten: .gitmodules"), "{error}");
}

#[test]
fn edited_files_are_removed_after_confirmation() {
    for edit in ["echo x >> a.txt", "echo x >> a.txt; git add a.txt", "echo x >> a.txt; git add a.txt; echo y >> a.txt"] {
        let fixture = Fixture::new();
        shell(&fixture.path, edit);
        let before = shell(&fixture.path, "git status --porcelain=v1; cat a.txt");
        let mut client = fixture.serve();
        assert!(client.error("git_rm", &json!({"files": ["a.txt"]})).contains("`confirm`: true"));
        client.text("git_rm", &json!({"files": ["a.txt"], "confirm": true}));
        assert!(!fixture.path.join("a.txt").exists());
        undo(&mut client);
        assert_eq!(shell(&fixture.path, "git status --porcelain=v1; cat a.txt"), before, "{edit}");
    }
}

#[test]
fn obstacles_of_an_update_are_named_and_do_not_blame_the_remote() {
    type Mend = fn(&mut Client, PathBuf);
    let all: [(&str, &str, Mend); 6] = [
        ("echo x >> lib/f", "uncommitted changes would be overwritten: f", |client, lib| {
            client.text("git_stash", &json!({"action": "push", "repo_path": lib}));
        }),
        ("echo x > lib/g2", "untracked files would be overwritten: g2", |_, lib| remove(lib.join("g2"))),
        ("touch -d 2020-01-01 .git/modules/lib/index.lock", "index.lock is a stale lock", |client, lib| {
            client.text("git_maintenance", &json!({"action": "remove_locks", "repo_path": lib}));
        }),
        ("rm -r lib; ln -s dir lib", "is a link", |_, lib| remove(lib)),
        ("rm -rf .git/modules/lib", "not a git repository", |_, lib| remove(lib)),
        ("git submodule --quiet deinit -f lib; rm -rf .git/modules/lib; echo x > lib/stray", "stray", |_, lib| remove(lib.join("stray"))),
    ];
    for (breaks, expect, mend) in all {
        let (fixture, _remote) = repository();
        shell(&fixture.path, &format!("set -e; git checkout -q next; {breaks}"));
        let mut client = serve(&fixture);
        for _ in 0..6 {
            let error = client.error("git_submodule", &update());
            assert!(error.starts_with("the submodule `lib` was not updated: ") && error.contains(expect), "{breaks}: {error}");
            assert!(!error.contains("remote") && !error.contains("credentials"), "{error}");
        }
        mend(&mut client, fixture.path.join("lib"));
        // The host is asked as before.
        client.text("git_submodule", &update());
        assert_eq!(fs::read_to_string(fixture.path.join("lib/f")).expect("a file"), "3\n", "{breaks}");
    }
}

#[test]
fn the_update_setting_none_is_honoured() {
    for (way, note) in [
        ("none", Some("lib is skipped: its setting `update` is none")),
        ("rebase", Some("its setting `update` is rebase")),
        ("merge", Some("its setting `update` is merge")),
        ("checkout", None),
    ] {
        for place in ["-f .gitmodules", ""] {
            let (fixture, _remote) = repository();
            shell(&fixture.path, &format!("set -e; git checkout -q next; git config {place} submodule.lib.update {way}"));
            for paths in [json!([]), json!(["lib"])] {
                let text = serve(&fixture).text("git_submodule", &json!({"action": "update", "paths": paths}));
                assert_eq!(note.is_some_and(|note| text.contains(note)), note.is_some(), "{way} {place}: {text}");
                let expected = if way == "none" { "1\n" } else { "3\n" };
                assert_eq!(fs::read_to_string(fixture.path.join("lib/f")).expect("a file"), expected, "{way}");
            }
        }
    }
}

#[test]
fn a_side_of_a_submodule_is_taken_in_every_kind_of_conflict() {
    for side in ["ours", "theirs"] {
        for other in ["git -C lib checkout -q -b own; git -C lib commit -q --allow-empty -m own", "git rm -q lib"] {
            let (fixture, _remote) = repository();
            shell(&fixture.path, &format!("set -e; {other}; git commit -q -a -m own; ! git merge -q next 2> /dev/null"));
            let entry = |stage: &str| {
                let listed = fixture.text(&["ls-files", "--stage", "lib"]);
                listed.lines().find(|line| line.contains(&format!(" {stage}\t"))).map(|line| line[7..47].to_owned())
            };
            let wanted = entry(if side == "ours" { "2" } else { "3" });
            let mut client = serve(&fixture);
            let shown = client.text("git_conflicts", &json!({}));
            assert!(shown.contains("lib is a submodule") && wanted.iter().all(|id| shown.contains(id.as_str())), "{shown}");
            let text = client.text("git_conflicts", &json!({"paths": ["lib"], "take": side}));
            assert_eq!(entry("0"), wanted, "{side} {other}: {text}");
            client.text("git_continue", &json!({}));
            if let Some(id) = wanted {
                let note = parts(&text).notes.into_iter().find(|note| note.contains("To check out its files: ")).expect("a note");
                let (tool, args) = call_in(note.split_once("its files: ").expect("a call").1);
                assert_eq!(fixture.text(&["rev-parse", "HEAD:lib"]), id);
                if other.starts_with("git rm") {
                    // Without its section in .gitmodules git no longer knows its path.
                    continue;
                }
                client.text(&tool, &args);
                assert_eq!(String::from_utf8_lossy(&shell(&fixture.path.join("lib"), "git rev-parse HEAD")).trim(), id);
            }
        }
    }
}

#[test]
fn a_submodule_and_untracked_files_are_no_damage() {
    let (fixture, _remote) = repository();
    fixture.write("untracked", "x\n").write("staged", "x\n");
    fixture.git(&["add", "staged"]);
    let id = fixture.text(&["rev-parse", "HEAD:lib"]);
    let mut client = serve(&fixture);
    for rev in ["HEAD:lib", ":lib", ":0:lib"] {
        let text = client.text("git_rev_parse", &json!({"revision": rev}));
        assert_eq!(text.trim(), format!("{id} commit of a submodule"));
        for tool in ["git_cat_file", "git_show"] {
            let error = client.error(tool, &json!({"revision": rev}));
            assert!(
                error.contains("`lib` is a submodule") && error.contains(&id) && error.contains("`repo_path`"),
                "{tool} {rev}: {error}"
            );
        }
    }
    for (path, expect) in [
        ("untracked", "no `untracked` in the tracked files"),
        ("lib/f", "`lib` is a submodule"),
        ("lib", "`lib` is a submodule"),
        ("none", "no `none` in"),
    ] {
        let error = client.error("git_blame", &json!({"path": path}));
        assert!(error.contains(expect) && !error.contains("fsck"), "{path}: {error}");
    }
    assert!(client.text("git_blame", &json!({"path": "staged"})).contains("not committed yet"));
}
