//! Incomplete clones, and checkouts that have to find the intended branch.

use crate::support::{
    Client, Fixture,
    hooks::script,
    remote::{beside, follow},
    shell,
};
use serde_json::json;
use std::{fs, path::PathBuf};

/// A repository beside which clones are made.
fn cloning(fixture: &Fixture, config: &str) -> (Client, PathBuf) {
    let above = fs::canonicalize(fixture.home.path()).expect("a folder");
    let global = above.join("gitconfig");
    fs::write(&global, config).expect("a configuration");
    let (above_text, global) = (above.display().to_string(), global.display().to_string());
    let mut client =
        Client::start(&["-r", &above_text, "--toolsets", "all"], &[("MCP_GIT_PROTOCOLS", "file"), ("GIT_CONFIG_GLOBAL", &global)]);
    client.initialize();
    (client, above)
}

#[test]
fn a_clone_whose_checkout_fails_is_kept_and_reported() {
    let cases = [
        ("[filter \"x\"]\nsmudge = false\nrequired = true\n", "smudge filter x failed", false),
        ("[filter \"x\"]\nprocess = no-such-program\nrequired = true\n", "filter", false),
        ("[init]\ntemplateDir = TEMPLATE\n", "`post-checkout` failed (exit code 3); it wrote:", true),
    ];
    for (config, expect, is_whole) in cases {
        let fixture = beside();
        shell(&fixture.path, "echo 'z filter=x' > .gitattributes; echo z > z; git add .; git commit -q -m z; git push -q origin main");
        let template = fixture.path.join("../template");
        script(&template.join("hooks/post-checkout"), "echo of the hook; exit 3");
        let (mut client, above) = cloning(&fixture, &config.replace("TEMPLATE", &template.display().to_string()));
        let path = above.join("clone");
        let cloned = client.text("git_clone", &json!({"url": above.join("origin.git"), "repo_path": path}));
        assert!(cloned.contains("cloned to") && cloned.contains(expect), "{cloned}");
        assert!(!cloned.contains("credential") && !cloned.contains(".clone-") && !cloned.contains("inspect"), "{cloned}");
        assert_eq!(cloned.contains("the checkout failed"), !is_whole, "{cloned}");
        assert_eq!(path.join("z").exists(), is_whole, "{cloned}");
        assert!(client.text("git_log", &json!({"repo_path": path})).contains("second"));
        if !is_whole {
            let command = cloned.split("run there: ").nth(1).and_then(|rest| rest.lines().next()).expect("a command");
            shell(&path, command);
            assert_eq!(shell(&path, "git status --porcelain"), b"");
        }
        let left: Vec<_> = fs::read_dir(&above).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".clone-")), "{left:?}");
    }
}

#[test]
fn a_clone_with_nothing_to_check_out_reports_it() {
    let fixture = beside();
    shell(
        &fixture.path,
        "git push -q origin main:b2; git -C ../origin.git symbolic-ref HEAD refs/heads/gone; git init -q --bare ../empty.git",
    );
    let (mut client, above) = cloning(&fixture, "");
    let (url, path) = (above.join("origin.git"), above.join("clone"));
    let cloned = client.text("git_clone", &json!({"url": url, "repo_path": path}));
    assert!(cloned.contains("nothing is checked out: the remote's HEAD names `gone`"), "{cloned}");
    assert!(follow(&mut client, &cloned), "{cloned}");
    assert!(path.join("a.txt").exists());
    let error = client.error("git_clone", &json!({"url": url, "repo_path": above.join("other"), "branch": "nope"}));
    assert!(error.contains("has no branch `nope`; it has `b2`, `main`") && !error.contains("credential"), "{error}");
    assert!(!error.contains(".clone-") && !above.join("other").exists(), "{error}");
    client.text("git_clone", &json!({"url": above.join("empty.git"), "repo_path": above.join("hollow")}));
}

#[test]
fn a_checkout_finds_the_intended_branch() {
    // The previous branch, by either of its names; and the upstream, if it is a branch.
    for name in ["@{-1}", "-", "side@{upstream}"] {
        let fixture = Fixture::new();
        shell(&fixture.path, "git branch other; git branch side --track other; git checkout -q other; git checkout -q main");
        fixture.serve().text("git_checkout", &json!({"branch_name": name}));
        let by_git = Fixture::new();
        shell(
            &by_git.path,
            &format!(
                "git branch other; git branch side --track other; git checkout -q other; git checkout -q main; git checkout -q '{name}'"
            ),
        );
        assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), by_git.text(&["symbolic-ref", "HEAD"]), "{name}");
    }
    let fixture = Fixture::new();
    shell(&fixture.path, "git checkout -q --detach HEAD~1; git checkout -q main");
    fixture.serve().text("git_checkout", &json!({"branch_name": "@{-1}"}));
    assert!(!fixture.try_git(&["symbolic-ref", "-q", "HEAD"]).status.success());
    // A remote's branch: of the only remote, of the configured default, and of several.
    let remotes = |names: &[&str], sets: &str| {
        let fixture = Fixture::new();
        for name in names {
            fixture.git(&["remote", "add", name, "https://example.com/r"]);
            fixture.git(&["update-ref", &format!("refs/remotes/{name}/feat"), "HEAD~1"]);
        }
        shell(&fixture.path, sets);
        fixture
    };
    let custom = "git config remote.a.fetch '+refs/heads/*:refs/remotes/up/x/*'; git update-ref refs/remotes/up/x/feat HEAD~1";
    for (fixture, upstream) in [
        (remotes(&["team/a"], ""), "refs/remotes/team/a/feat"),
        (remotes(&["a"], custom), "refs/remotes/up/x/feat"),
        (remotes(&["a", "b"], "git config checkout.defaultRemote b"), "refs/remotes/b/feat"),
    ] {
        fixture.serve().text("git_checkout", &json!({"branch_name": "feat"}));
        assert_eq!(fixture.text(&["symbolic-ref", "HEAD"]), "refs/heads/feat");
        assert_eq!(fixture.text(&["rev-parse", "--symbolic-full-name", "feat@{upstream}"]), upstream);
    }
    for names in [&["a", "b"][..], &["a", "team/b"], &["x", "y", "z"]] {
        let fixture = remotes(names, "");
        let mut client = fixture.serve();
        let error = client.error("git_checkout", &json!({"branch_name": "feat"}));
        assert!(error.contains("several remotes have a branch `feat`"), "{error}");
        assert!(follow(&mut client, &error), "{error}");
        assert_eq!(fixture.text(&["rev-parse", "--abbrev-ref", "feat@{upstream}"]), format!("{}/feat", names[0]));
    }
}
