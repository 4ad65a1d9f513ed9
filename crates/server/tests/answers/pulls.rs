//! How pulls rebase and fast-forward: as configured, compared with `git pull`.

use crate::support::{
    Fixture,
    remote::{beside, serve},
    shell,
};
use serde_json::json;

/// A branch with a merge of its own, and a remote with another commit; and a copy, in which git pulls.
fn diverged() -> Fixture {
    let fixture = beside();
    shell(
        &fixture.path,
        "set -e; git checkout -q -b topic; echo t > t.txt; git add t.txt; git commit -q -m topic; git checkout -q main
         git merge -q --no-ff -m merged topic; git branch -q -D topic
         git clone -q ../origin.git ../w; cd ../w; git config user.name O; git config user.email o@example.com
         echo w > w.txt; git add w.txt; git commit -q -m theirs; git push -q origin main; cp -r ../repo ../copy",
    );
    fixture
}

#[test]
fn a_pull_keeps_merges_as_configured() {
    for (key, value, merges, said) in [
        ("pull.rebase", "merges", 1, "merge commits are kept"),
        ("branch.main.rebase", "m", 1, "merge commits are kept"),
        ("pull.rebase", "interactive", 0, "git would open an editor; here all steps are kept"),
        ("pull.rebase", "true", 0, "pulled: HEAD moved from"),
    ] {
        let fixture = diverged();
        for path in [".", "../copy"] {
            fixture.git(&["-C", path, "config", key, value]);
        }
        shell(&fixture.path, "cd ../copy; GIT_SEQUENCE_EDITOR=: git pull -q 2> /dev/null");
        let pulled = serve(&fixture).text("git_pull", &json!({"how": "rebase"}));
        assert!(pulled.contains(said), "{key}={value}: {pulled}");
        assert_eq!(pulled.contains("merge commits are kept"), merges == 1, "{key}={value}: {pulled}");
        assert_eq!(fixture.text(&["rev-list", "--count", "--merges", "HEAD"]), merges.to_string(), "{key}={value}");
        let history = ["log", "--graph", "--format=%s"];
        assert_eq!(fixture.text(&history), fixture.text(&[&["-C", "../copy"][..], &history].concat()), "{key}={value}");
    }
}

/// The setting of the branch wins over that of all pulls.
#[test]
fn a_branch_may_drop_merges_that_others_keep() {
    let fixture = diverged();
    fixture.git(&["config", "pull.rebase", "merges"]);
    fixture.git(&["config", "branch.main.rebase", "true"]);
    let pulled = serve(&fixture).text("git_pull", &json!({"how": "rebase"}));
    assert!(!pulled.contains("merge commits are kept"), "{pulled}");
    assert_eq!(fixture.text(&["rev-list", "--count", "--merges", "HEAD"]), "0");
}

/// A pull that is configured to rebase and has nothing to rebase makes no merge commit, whatever `pull.ff` is.
#[test]
fn a_configured_rebase_without_own_commits_is_a_fast_forward() {
    for (rebase, merges) in [("true", "0"), ("merges", "0"), ("false", "1")] {
        let fixture = diverged();
        for path in [".", "../copy"] {
            fixture.git(&["-C", path, "reset", "-q", "--hard", "origin/main"]);
            fixture.git(&["-C", path, "config", "pull.ff", "false"]);
            fixture.git(&["-C", path, "config", "pull.rebase", rebase]);
        }
        shell(&fixture.path, "cd ../copy; git pull -q --no-edit");
        serve(&fixture).text("git_pull", &json!({}));
        assert_eq!(fixture.text(&["rev-list", "--count", "--merges", "HEAD"]), merges, "{rebase}");
        let shape = ["log", "--graph", "--format=tformat:-"];
        assert_eq!(fixture.text(&shape), fixture.text(&[&["-C", "../copy"][..], &shape].concat()), "{rebase}");
    }
}

/// An invalid value fails before anything is fetched, unless the caller chooses a merge.
#[test]
fn an_invalid_rebase_setting_is_named_with_its_value() {
    for (key, value) in [("pull.rebase", "bogus"), ("pull.rebase", "3000000000"), ("branch.main.rebase", "not at all")] {
        let fixture = diverged();
        for path in [".", "../copy"] {
            fixture.git(&["-C", path, "config", key, value]);
        }
        let before = fixture.text(&["rev-parse", "origin/main"]);
        let of_git = fixture.try_git(&["-C", "../copy", "pull"]);
        let said = format!("invalid value for '{key}': '{value}'");
        assert!(String::from_utf8_lossy(&of_git.stderr).contains(&said), "{of_git:?}");
        let mut client = serve(&fixture);
        for args in [json!({}), json!({"how": "rebase"})] {
            let error = client.error("git_pull", &args);
            assert!(error.contains(&said) && error.starts_with("a setting of git's configuration is wrong"), "{args}: {error}");
        }
        assert_eq!(fixture.text(&["rev-parse", "origin/main"]), before);
        client.text("git_pull", &json!({"how": "merge"}));
        assert_eq!(fixture.text(&["rev-list", "--count", "--merges", "HEAD"]), "2", "{key}={value}");
    }
    // A number is a boolean value, and so is a key without one.
    for text in ["[pull]\\n\\trebase = 2", "[pull]\\n\\trebase"] {
        let fixture = diverged();
        shell(
            &fixture.path,
            &format!("for at in . ../copy; do printf '{text}\\n' >> $at/.git/config; done; cd ../copy; git pull -q 2> /dev/null"),
        );
        serve(&fixture).text("git_pull", &json!({"how": "rebase"}));
        let history = ["log", "--graph", "--format=%s"];
        assert_eq!(fixture.text(&history), fixture.text(&[&["-C", "../copy"][..], &history].concat()), "{text}");
    }
}
