//! Changes in an untrusted repository run none of its programs.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::{fs, os::unix::fs::PermissionsExt};
use support::{Client, Fixture, Outcome};

/// A server on the folder above the repository, and a program that creates a marker.
fn scene(fixture: &Fixture) -> (Client, String, std::path::PathBuf) {
    configured(fixture, "")
}

/// The same, with `config` in the operator's own configuration; `$T` in it is the program.
fn configured(fixture: &Fixture, config: &str) -> (Client, String, std::path::PathBuf) {
    let above = fixture.path.parent().expect("a folder").to_owned();
    let (marker, trap) = (above.join("marker"), above.join("trap"));
    fs::write(&trap, format!("#!/bin/sh\ntouch '{}'\ncat\n", marker.display())).expect("a file");
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).expect("its mode");
    let global = above.join("global");
    fs::write(&global, config.replace("$T", &trap.display().to_string())).expect("a file");
    let global = global.display().to_string();
    let mut client = Client::start(&["-r", &above.display().to_string()], &[("GIT_CONFIG_GLOBAL", &global)]);
    client.initialize();
    (client, trap.display().to_string(), marker)
}

#[test]
fn planted_steps_are_not_run() {
    let fixture = Fixture::new();
    let (mut client, trap, marker) = scene(&fixture);
    let editor = format!("printf 'break\\nexec {trap}\\n' >");
    fixture.git(&["-c", &format!("sequence.editor={editor}"), "rebase", "-q", "-i", "HEAD~1"]);
    let repo = fixture.path.display().to_string();
    for skip in [false, true] {
        let refused = client.error("git_continue", &json!({"repo_path": repo, "skip": skip, "confirm": true}));
        assert!(refused.contains("list of steps"), "{refused}");
    }
    assert!(!marker.exists());
    client.text("git_abort", &json!({"repo_path": repo}));
    assert!(!marker.exists());
}

#[test]
fn signatures_are_checked_by_no_program_of_the_repository() -> Outcome {
    let fixture = Fixture::new();
    let signing =
        "[merge]\nverifySignatures=true\n[gpg]\nprogram=$T\n[gpg \"ssh\"]\nprogram=$T\ndefaultKeyCommand=$T\n[commit]\ngpgSign=true\n";
    let (mut client, _, marker) = configured(&fixture, signing);
    let head = String::from_utf8(fixture.git(&["cat-file", "commit", "HEAD"]))?;
    let signed = head.replacen("\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n", 1);
    fixture.write("../signed", signed.replacen("second", "signed", 1));
    let id = String::from_utf8(support::shell(&fixture.path, "git hash-object -t commit -w ../signed"))?;
    fixture.git(&["update-ref", "refs/heads/signed", id.trim()]);
    let repo = fixture.path.display().to_string();
    client.text("git_merge", &json!({"repo_path": repo, "source_branch": "signed"}));
    fixture.write("a.txt", "x\n");
    client.text("git_commit", &json!({"repo_path": repo, "message": "m", "paths": ["a.txt"]}));
    assert!(!marker.exists());
    Ok(())
}

#[test]
fn a_submodule_is_not_recursed_into() {
    let fixture = Fixture::new();
    let library = Fixture::new();
    library.write(".gitattributes", "* filter=e\n").commit("attributes");
    let url = library.path.display().to_string();
    fixture.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "lib"]);
    fixture.commit("with a submodule");
    fixture.git(&["branch", "older"]);
    fixture.git(&["-C", "lib", "checkout", "-q", "HEAD~1"]);
    fixture.commit("another version");
    let (mut client, trap, marker) = configured(&fixture, "[submodule]\nrecurse=true\n");
    fixture.git(&["-C", "lib", "config", "filter.e.smudge", &trap]);
    let repo = fixture.path.display().to_string();
    let refused = client.error("git_checkout", &json!({"repo_path": repo, "branch_name": "older"}));
    assert!(refused.contains("lib is not trusted") && refused.contains("filter `e`"), "{refused}");
    fixture.git(&["-C", "lib", "config", "--unset", "filter.e.smudge"]);
    client.text("git_checkout", &json!({"repo_path": repo, "branch_name": "older"}));
    client.text("git_reset", &json!({"repo_path": repo, "mode": "hard", "target": "main", "confirm": true}));
    assert!(!marker.exists());
}

#[test]
fn programs_named_indirectly_are_not_run() {
    for (name, script, calls) in [
        (
            "a text conversion in a process that git starts itself",
            "git config diff.evil.textconv '$T'; echo '* diff=evil' > .gitattributes",
            &[("git_range_diff", json!({"old": "HEAD~1..HEAD", "new": "HEAD~1..HEAD"}))][..],
        ),
        (
            "a merge driver and a filter in included configuration",
            "git checkout -q -b side HEAD~1; echo s > a.txt; git commit -qam s; git checkout -q main; echo '* merge=evil filter=evil' > .gitattributes; \
             printf '[merge \"evil\"]\\ndriver=$T\\n[filter \"evil\"]\\nclean=$T\\nsmudge=$T\\n' > .git/evil; git config includeIf.onbranch:main.path evil",
            &[
                ("git_merge_preview", json!({"source_branch": "side"})),
                ("git_merge", json!({"source_branch": "side"})),
                ("git_reset", json!({})),
                ("git_add", json!({"files": ["."]})),
            ],
        ),
        (
            "a hook of garbage collection",
            "git config gc.recentObjectsHook '$T'; echo x | git hash-object -w --stdin | sed 's,^..,&/,' | xargs -I{} touch -d '60 days ago' .git/objects/{}",
            &[("git_maintenance", json!({"action": "gc"}))],
        ),
        (
            "a hook that runs before git knows where hooks are",
            "cp '$T' .git/hooks/reference-transaction; chmod +x .git/hooks/reference-transaction; git -c core.hooksPath=/dev/null remote add o https://1.1.1.1/x; \
             git -c core.hooksPath=/dev/null update-ref refs/remotes/o/x HEAD; rm -f '$M'",
            &[
                ("git_bisect", json!({"action": "start", "good": ["HEAD~1"]})),
                ("git_remote_rename", json!({"old_name": "o", "new_name": "p"})),
                ("git_remote_remove", json!({"name": "o"})),
            ],
        ),
        (
            "filters of a nested repository",
            "git init -q sub; cd sub; git config user.name S; git config user.email s@s; echo s > s.txt; git add .; git commit -qm s; cd ..; git add sub 2>/dev/null; \
             git commit -qm sub; cd sub; git config filter.evil.clean '$T'; echo '* filter=evil' > .git/info/attributes; touch s.txt; echo t >> s.txt",
            &[
                ("git_add", json!({"files": ["."]})),
                ("git_add", json!({"files": ["sub"]})),
                ("git_rm", json!({"files": ["sub"]})),
                ("git_commit", json!({"message": "m", "allow_empty": true})),
            ],
        ),
    ] {
        let fixture = Fixture::new();
        let (mut client, trap, marker) = scene(&fixture);
        support::shell(&fixture.path, &script.replace("$T", &trap).replace("$M", &marker.display().to_string()));
        fs::remove_file(&marker).unwrap_or_default();
        let repo = fixture.path.display().to_string();
        for (tool, args) in calls {
            let mut args = args.clone();
            args["repo_path"] = json!(repo);
            let refused = client.error(tool, &args);
            assert!(refused.contains("is not trusted"), "{name}: {tool}: {refused}");
            assert!(!marker.exists(), "{name}: {tool}");
        }
        if name.contains("inside") {
            // Not even in a named repository: a nested one is untrusted.
            let mut client = fixture.serve();
            client.error("git_add", &json!({"files": ["."]}));
            assert!(!marker.exists(), "{name}");
        }
    }
}

#[test]
fn nothing_is_written_or_read_through_links_in_the_git_directory() -> Outcome {
    for link in ["COMMIT_EDITMSG", "logs/HEAD", "FETCH_HEAD", "info/sparse-checkout", "MERGE_MSG", "logs/refs/heads/main"] {
        let fixture = Fixture::new();
        let (mut client, _, _) = scene(&fixture);
        let outside = tempfile::tempdir()?;
        let secret = outside.path().join("secret");
        fs::write(&secret, "TOP-SECRET\n")?;
        let place = fixture.path.join(".git").join(link);
        fs::remove_file(&place).unwrap_or_default();
        std::os::unix::fs::symlink(&secret, &place)?;
        let repo = fixture.path.display().to_string();
        for (tool, args) in [
            ("git_commit", json!({"repo_path": repo, "message": "m", "allow_empty": true})),
            ("git_sparse_checkout", json!({"repo_path": repo, "action": "set", "paths": ["dir"]})),
            ("git_reflog", json!({"repo_path": repo, "name": "main"})),
        ] {
            let refused = client.error(tool, &args);
            assert!(refused.contains("outside the allowed roots") && !refused.contains("TOP-SECRET"), "{link}: {tool}: {refused}");
        }
        assert_eq!(fs::read_to_string(&secret)?, "TOP-SECRET\n", "{link}");
    }
    Ok(())
}

#[test]
fn endless_files_are_not_read() {
    for name in ["objects/info/alternates", "config", "HEAD", "index", "packed-refs", "shallow"] {
        let fixture = Fixture::new();
        let (mut client, _, _) = scene(&fixture);
        support::shell(&fixture.path, &format!("rm -f '.git/{name}'; mkdir -p .git/objects/info; mkfifo '.git/{name}'"));
        client.error("git_log", &json!({"repo_path": fixture.path.display().to_string()}));
        client.ping();
    }
}

#[test]
fn odd_arguments_do_not_bypass_read_only() {
    let fixture = Fixture::new();
    fixture.git(&["tag", "v1"]);
    let mut client = fixture.serve_with(&["--read-only"], &[]);
    for (tool, args) in [
        ("git_tag", json!({"action": {"delete": null}, "name": "v1", "confirm": true})),
        ("git_notes", json!({"action": {"add": null}, "message": "n"})),
        ("git_worktree", json!({"action": {"add": null}, "path": "w", "branch": "w"})),
        ("git_conflicts", json!({"take": {"ours": null}, "paths": ["."]})),
        ("git_stash", json!({"action": {"push": null}})),
        ("git_undo", json!({"id": {"x": 1}})),
    ] {
        assert!(client.error(tool, &args).contains("this server is read-only"), "{tool}");
    }
    fixture.git(&["rev-parse", "v1"]);
}
