//! Submodules without an entry in `.gitmodules`: listed with that fact, and left out of updates.

use crate::support::{
    Client, Fixture,
    remote::{OPEN, Remote},
    shell,
};
use serde_json::json;

/// A repository with a submodule at `good`, an embedded clone at `plain`, and `absent`, which is only recorded.
fn repository() -> (Fixture, Remote) {
    let (fixture, remote) = (Fixture::new(), Remote::start());
    fixture.git(&["push", "-q", &remote.url(), "main"]);
    let script = format!(
        "set -e; git clone -q '{url}' plain; git add plain 2> /dev/null; git submodule --quiet add '{url}' good
         git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),absent; git commit -q -m submodules",
        url = remote.url()
    );
    shell(&fixture.path, &script);
    (fixture, remote)
}

fn serve(fixture: &Fixture) -> Client {
    fixture.serve_with(&["--toolsets", "all"], &OPEN)
}

#[test]
fn a_listing_shows_which_have_no_entry() {
    let (fixture, _remote) = repository();
    let id = fixture.text(&["rev-parse", "HEAD~1"]);
    // git stops at the first one.
    assert_eq!(fixture.try_git(&["submodule", "status"]).status.code(), Some(128));
    let mut client = serve(&fixture);
    for args in [json!({}), json!({"action": "sync"})] {
        let listed = client.text("git_submodule", &args);
        for row in
            [format!("-{id} absent (no entry in .gitmodules)"), format!(" {id} plain (no entry in .gitmodules)"), format!(" {id} good\n")]
        {
            assert!(listed.contains(&row), "{row}: {listed}");
        }
    }
}

/// Without the file, git reads the staged one, or else the committed one.
#[test]
fn an_entry_may_be_staged_or_committed() {
    for remove in ["rm .gitmodules", "git rm -q --cached .gitmodules; rm .gitmodules"] {
        let (fixture, _remote) = repository();
        shell(&fixture.path, &format!("{remove}; git submodule status good"));
        let listed = serve(&fixture).text("git_submodule", &json!({}));
        assert!(!listed.contains("good (no entry") && listed.contains("plain (no entry"), "{remove}: {listed}");
    }
    let (fixture, _remote) = repository();
    shell(&fixture.path, "git rm -q --cached .gitmodules; rm .gitmodules; git commit -q -m without");
    assert!(!fixture.try_git(&["submodule", "status", "good"]).status.success());
    let listed = serve(&fixture).text("git_submodule", &json!({}));
    assert!(listed.contains("good (no entry in .gitmodules)"), "{listed}");
}

#[test]
fn an_update_leaves_them_out() {
    let (fixture, _remote) = repository();
    fixture.git(&["submodule", "--quiet", "deinit", "-f", "good"]);
    assert!(!fixture.try_git(&["submodule", "update", "--init"]).status.success(), "git fails at the first one");
    let mut client = serve(&fixture);
    for paths in [json!([]), json!(["."])] {
        let updated = client.text("git_submodule", &json!({"action": "update", "paths": paths}));
        for name in ["absent", "plain"] {
            assert!(updated.contains(&format!("{name} is skipped: it has no entry in .gitmodules, so there is no URL")), "{updated}");
        }
        assert!(fixture.path.join("good/a.txt").exists(), "{updated}");
    }
    let error = client.error("git_submodule", &json!({"action": "update", "paths": ["plain"]}));
    assert!(error.contains("`plain` has no entry in .gitmodules, so there is no URL to update it from"), "{error}");
}
