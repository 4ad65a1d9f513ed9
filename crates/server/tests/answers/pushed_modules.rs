//! Submodules of a push: `push.recurseSubmodules` and `submodule.recurse`, compared with git.

use crate::support::{
    Fixture,
    remote::{beside, serve, there},
    shell,
};
use serde_json::json;

/// A repository with a submodule at `sub`, and an unpushed commit that records an unpushed commit of it.
fn repository() -> Fixture {
    let fixture = beside();
    shell(
        &fixture.path,
        "set -e; id() { git config user.name A; git config user.email a@b; }
         git init -q --bare -b main ../lib.git; git init -q -b main ../w; cd ../w; id; git commit -q --allow-empty -m lib
         git push -q ../lib.git main; cd ../repo; git -c protocol.file.allow=always submodule --quiet add $PWD/../lib.git sub
         git commit -q -m sub; git push -q origin main
         cd sub; id; git commit -q --allow-empty -m inner; cd ..; git add sub; git commit -q -m outer",
    );
    fixture
}

#[test]
fn a_push_waits_for_the_submodules_that_it_records() {
    for (key, value, setting) in [
        ("push.recurseSubmodules", "check", "`push.recurseSubmodules` is `check`"),
        ("push.recurseSubmodules", "on-demand", "`push.recurseSubmodules` is `on-demand`"),
        ("submodule.recurse", "true", "`submodule.recurse` is true"),
    ] {
        let fixture = repository();
        fixture.git(&["config", key, value]);
        let before = there(&fixture);
        let refused_by_git =
            !fixture.try_git(&["push", "-q", "--dry-run", "--recurse-submodules=check", "origin", "main"]).status.success();
        assert!(refused_by_git);
        let mut client = serve(&fixture);
        let error = client.error("git_push", &json!({}));
        let inner = fixture.text(&["-C", "sub", "rev-parse", "HEAD"]);
        assert!(error.contains(&format!("{setting}, and these submodules have commits")), "{error}");
        assert!(error.contains(&format!("`sub` at {inner}")), "{error}");
        let folder = fixture.path.join("sub").display().to_string();
        assert!(error.contains(&format!("git_push {}", json!({"repo_path": folder}))), "{error}");
        assert_eq!(there(&fixture), before, "{key}={value}");
        fixture.git(&["-C", "sub", "push", "-q", "origin", "HEAD:main"]);
        client.text("git_push", &json!({}));
        assert_eq!(fixture.text(&["rev-parse", "origin/main"]), fixture.text(&["rev-parse", "main"]), "{key}={value}");
    }
}

/// Only what git considers counts: the setting that comes last, commits that the remote lacks, and submodules that are there.
#[test]
fn a_push_does_not_wait_for_other_submodules() {
    for script in [
        "true",
        "git config push.recurseSubmodules no",
        "git config submodule.recurse true; git config push.recurseSubmodules no",
        "git config push.recurseSubmodules check; git submodule --quiet deinit -f sub",
        "git config push.recurseSubmodules check; git -C sub update-ref -d refs/remotes/origin/main
         git -C sub symbolic-ref -d refs/remotes/origin/HEAD",
    ] {
        let fixture = repository();
        shell(&fixture.path, &format!("set -e; {script}; git push -q --dry-run origin main"));
        serve(&fixture).text("git_push", &json!({}));
    }
    // A deleted branch records nothing.
    let fixture = repository();
    fixture.git(&["push", "-q", "origin", "main~1:refs/heads/gone"]);
    fixture.git(&["config", "push.recurseSubmodules", "check"]);
    serve(&fixture).text("git_push", &json!({"branch": "gone", "delete": true, "confirm": true}));
}

/// Other changes leave submodules where they are, whatever is configured.
#[test]
fn a_setting_to_recurse_moves_no_submodule() {
    for (tool, args) in
        [("git_checkout", json!({"branch_name": "other"})), ("git_reset", json!({"mode": "hard", "target": "other", "confirm": true}))]
    {
        let fixture = repository();
        fixture.git(&["branch", "other", "main~1"]);
        fixture.git(&["config", "submodule.recurse", "true"]);
        let before = fixture.text(&["-C", "sub", "rev-parse", "HEAD"]);
        serve(&fixture).text(tool, &args);
        assert_eq!(fixture.text(&["-C", "sub", "rev-parse", "HEAD"]), before, "{tool}");
        assert_eq!(fixture.text(&["rev-parse", "HEAD"]), fixture.text(&["rev-parse", "other"]), "{tool}");
        // git itself would move it.
        fixture.git(&["reset", "-q", "--hard", "other"]);
        assert_ne!(fixture.text(&["-C", "sub", "rev-parse", "HEAD"]), before, "{tool}");
    }
}

/// git aborts and skips with a reset of its own.
#[test]
fn a_setting_to_recurse_moves_no_submodule_at_the_end_of_an_operation() {
    for (command, tool) in [("merge side", "git_abort"), ("cherry-pick side", "git_abort"), ("cherry-pick side", "git_continue")] {
        let fixture = repository();
        let script = format!(
            "set -e; git checkout -q -b side main~1; echo side > a.txt; git commit -q -m side a.txt; git checkout -q main
             echo main > a.txt; git commit -q -m main a.txt; git -C sub checkout -q HEAD~1; git config submodule.recurse true
             ! git {command} > /dev/null 2>&1"
        );
        shell(&fixture.path, &script);
        let before = fixture.text(&["-C", "sub", "rev-parse", "HEAD"]);
        let args = if tool == "git_abort" { json!({}) } else { json!({"skip": true}) };
        serve(&fixture).text(tool, &args);
        assert_eq!(fixture.text(&["-C", "sub", "rev-parse", "HEAD"]), before, "{command}, {tool}");
    }
}

#[test]
fn a_push_of_submodules_only_is_refused() {
    let fixture = repository();
    fixture.git(&["config", "push.recurseSubmodules", "only"]);
    let before = there(&fixture);
    let mut client = serve(&fixture);
    let error = client.error("git_push", &json!({}));
    assert!(error.contains("`push.recurseSubmodules` is `only`: git would push the submodules, and not this repository"), "{error}");
    assert_eq!(there(&fixture), before);
    // As advised.
    fixture.git(&["-C", "sub", "push", "-q", "origin", "HEAD:main"]);
    fixture.git(&["config", "push.recurseSubmodules", "check"]);
    client.text("git_push", &json!({}));
}
