//! Files planted in a git directory, or where one is to be created.

use super::scene::*;
use crate::support::{peak_kib, shell};
use serde_json::json;
use std::{fs, os::unix::fs::symlink};

/// A folder without a repository, below the roots.
fn empty(scene: &Scene) -> std::path::PathBuf {
    let place = scene.fixture.path.with_file_name("new");
    fs::create_dir(&place).expect("a folder");
    place
}

fn clear(place: &std::path::Path) {
    fs::remove_dir_all(place).expect("a folder");
    fs::create_dir(place).expect("a folder");
}

#[test]
fn git_init_completes_no_planted_repository() {
    let scene = Scene::new();
    let (place, outside) = (empty(&scene), scene.outside.path().join("git"));
    fs::create_dir(&outside).expect("a folder");
    let planted: [(&str, &dyn Fn()); 6] = [
        ("a hook", &|| {
            fs::create_dir_all(place.join(".git/hooks")).expect("a folder");
            fs::copy(&scene.trap, place.join(".git/hooks/reference-transaction")).expect("a hook");
        }),
        ("a whole repository without HEAD, with a hook", &|| {
            shell(&place, "git init -q && rm .git/HEAD");
            fs::copy(&scene.trap, place.join(".git/hooks/reference-transaction")).expect("a hook");
        }),
        ("a configuration", &|| {
            fs::create_dir(place.join(".git")).expect("a folder");
            let hooks = scene.outside.path().display();
            fs::copy(&scene.trap, scene.outside.path().join("reference-transaction")).expect("a hook");
            fs::write(place.join(".git/config"), format!("[core]\n\thooksPath = {hooks}\n")).expect("a file");
        }),
        ("a link", &|| symlink(&outside, place.join(".git")).expect("a link")),
        ("a file that names a folder", &|| {
            fs::write(place.join(".git"), format!("gitdir: {}\n", outside.display())).expect("a file");
        }),
        ("another common directory", &|| {
            fs::create_dir(place.join(".git")).expect("a folder");
            fs::write(place.join(".git/commondir"), outside.display().to_string()).expect("a file");
        }),
    ];
    for args in [&[][..], &["--sandbox", "off"]] {
        let mut client = scene.serve_with(args, &[]);
        for (what, plant) in &planted {
            clear(&place);
            plant();
            let text = client.error("git_init", &json!({"repo_path": place}));
            assert!(text.contains("is not a complete repository") || text.contains("outside the allowed roots"), "{what}: {text}");
            scene.unharmed(what);
            assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0, "{what}");
        }
        clear(&place);
        assert!(client.text("git_init", &json!({"repo_path": place})).contains("created"));
        assert!(client.text("git_init", &json!({"repo_path": place})).contains("already exists"));
        assert!(client.text("git_init", &scene.here(json!({}))).contains("already exists"));
    }
}

#[test]
fn a_change_moves_no_branch_through_a_symbolic_reference() {
    let scene = Scene::new();
    let fixture = &scene.fixture;
    let mut client = scene.serve();
    let side = shell(&fixture.path, "git rev-parse side");
    for (name, tool, args) in [
        ("ORIG_HEAD", "git_reset", json!({"target": "HEAD~1"})),
        ("refs/stash", "git_stash", json!({"action": "push"})),
        ("refs/notes/commits", "git_notes", json!({"action": "add", "message": "m"})),
    ] {
        let path = fixture.path.join(".git").join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, "ref: refs/heads/side\n").expect("a reference");
        fixture.write("a.txt", "changed\n");
        let text = client.error(tool, &scene.here(args));
        assert!(text.contains(name) && text.contains("symbolic ref"), "{name}: {text}");
        fs::remove_file(&path).expect("the reference");
    }
    assert_eq!(shell(&fixture.path, "git rev-parse side"), side);
}

#[test]
fn a_remote_in_a_separate_file_is_not_used() {
    let scene = Scene::new();
    let fixture = &scene.fixture;
    let mut client = scene.serve();
    for (folder, text) in [
        ("remotes", "URL: https://example.com/x.git\nPull: +refs/heads/main:refs/heads/side\n"),
        ("branches", "https://example.com/x.git#main\n"),
    ] {
        let path = fixture.path.join(".git").join(folder).join("legacy");
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a remote");
        let refused = client.error("git_fetch", &scene.here(json!({"remote": "legacy"})));
        assert!(refused.contains("defines a remote outside of the configuration"), "{folder}: {refused}");
        fs::remove_file(&path).expect("the remote");
    }
}

#[test]
fn links_among_references_are_not_followed_on_a_change() {
    let scene = Scene::new();
    let mut client = scene.serve();
    let notes = scene.fixture.path.join(".git/refs/notes");
    let around = || {
        fs::create_dir(&notes).expect("a folder");
        for name in ["a", "b"] {
            symlink(".", notes.join(name)).expect("a link");
        }
    };
    let out = || symlink("/", &notes).expect("a link");
    let to_a_branch = || symlink("heads", &notes).expect("a link");
    for plant in [&around as &dyn Fn(), &out, &to_a_branch] {
        plant();
        let refused = client.error("git_add", &scene.here(json!({"files": ["a.txt"]})));
        assert!(refused.contains("symbolic ref") || refused.contains("outside"), "{refused}");
        fs::remove_file(&notes).or_else(|_| fs::remove_dir_all(&notes)).expect("the links");
    }
}

#[test]
fn input_that_would_exhaust_memory_is_refused() {
    let scene = Scene::new();
    let fixture = &scene.fixture;
    let mut client = scene.serve();
    let log = fixture.path.join(".git/logs/HEAD");
    let kept = fs::read(&log).expect("a reflog");
    fs::File::options().append(true).open(&log).expect("the reflog").set_len(6 << 30).expect("a sparse file");
    let text = client.error("git_reflog", &scene.here(json!({})));
    assert!(text.contains("size limit of a reflog"), "{text}");
    fs::write(&log, kept).expect("the reflog");
    // Each name repeats the previous one and extends it.
    let id = shell(&fixture.path, "git rev-parse HEAD:a.txt");
    assert_eq!(id.len(), 41);
    let mut index = [&b"DIRC\0\0\0\x04"[..], &200_u32.to_be_bytes()].concat();
    for _ in 0..200 {
        index.extend_from_slice(&[0; 24]);
        index.extend_from_slice(&0o100_644_u32.to_be_bytes());
        index.extend_from_slice(&[0; 12 + 20]);
        index.extend_from_slice(&0xfff_u16.to_be_bytes());
        index.push(0);
        index.extend_from_slice(&[b'z'; 40]);
        index.push(0);
    }
    index.extend_from_slice(&[0; 20]);
    // The shared part of a split index, beside a valid index.
    let part = fixture.path.join(".git/sharedindex.0000000000000000000000000000000000000000");
    fs::write(&part, &index).expect("a part of an index");
    let text = client.error("git_status", &scene.here(json!({})));
    assert!(text.contains("path names over the size limit"), "{text}");
    fs::remove_file(&part).expect("the part");
    fs::write(fixture.path.join(".git/index"), index).expect("an index");
    for tool in ["git_status", "git_diff", "git_add"] {
        let args = if tool == "git_add" { json!({"files": ["a.txt"]}) } else { json!({}) };
        let text = client.error(tool, &scene.here(args));
        assert!(text.contains("path names over the size limit"), "{tool}: {text}");
    }
    // A message of many values.
    for part in ["{\"\":0},", "0,", "[],"] {
        let list = part.repeat((3 << 20) / part.len());
        let list = list.trim_end_matches(',');
        client.send(format!("{{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{{\"name\":\"git_diff\",\"arguments\":{{\"paths\":[{list}]}}}},\"id\":77}}\n").as_bytes());
        let answer = client.answer_to(&json!(77));
        assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("more than 50000 values")), "{answer}");
    }
    let peak = peak_kib(client.pid());
    assert!(peak < MEMORY, "{peak} KiB");
}

#[test]
fn a_setting_written_with_the_old_mtime_is_noticed() {
    let scene = Scene::new();
    let config = scene.fixture.path.join(".git/config");
    let mut text = fs::read_to_string(&config).expect("the configuration");
    text.push_str("# 3456789 123456789 123456789 1234567890\n");
    fs::write(&config, &text).expect("the configuration");
    let mut client = scene.serve();
    client.text("git_create_branch", &scene.here(json!({"branch_name": "before"})));
    let times = fs::metadata(&config).and_then(|meta| meta.modified()).expect("a time");
    let planted = text.replace("# 3456789 123456789 123456789 1234567890", "[core]\n\tlogAllRefUpdates = false        ");
    assert_eq!(planted.len(), text.len());
    let file = fs::File::options().write(true).open(&config).expect("the configuration");
    std::io::Write::write_all(&mut &file, planted.as_bytes()).expect("the configuration");
    file.set_modified(times).expect("a time");
    drop(file);
    let refused = client.error("git_create_branch", &scene.here(json!({"branch_name": "after"})));
    assert!(refused.to_lowercase().contains("core.logallrefupdates"), "{refused}");
}

#[test]
fn a_merge_is_previewed_inside_the_sandbox() {
    let scene = Scene::new();
    let mut client = scene.serve();
    shell(
        &scene.fixture.path,
        "git checkout -q side && echo other >other.txt && git add other.txt && git commit -q -m other && git checkout -q main",
    );
    let text = client.text("git_merge_preview", &scene.here(json!({"source_branch": "side"})));
    assert!(!text.contains("permission"), "{text}");
}

#[test]
fn errors_do_not_reveal_files_outside() {
    let scene = Scene::new();
    let mut client = scene.serve();
    for path in ["/etc/shadow", "/etc/no-such-file"] {
        let text = client.error("git_worktree", &scene.here(json!({"action": "add", "path": path, "branch": "side"})));
        assert!(text.contains("outside the allowed roots"), "{path}: {text}");
    }
}
