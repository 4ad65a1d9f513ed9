//! Destinations of pushes and pulls that a call leaves open: as git's configuration says, or none.

use crate::support::{
    call_in,
    hooks::{hook, script},
    remote::{DATED, Fault, OPEN, Remote, beside, follow, published, serve, there},
    shell,
};
use serde_json::{Value, json};
use std::fs;

#[test]
fn a_push_goes_where_git_pushes() {
    let feat = "git checkout -q -b feat; git commit -q --allow-empty -m f; git push -q -u fork feat; git commit -q --allow-empty -m f2;
                git checkout -q main";
    let work = "git checkout -q -b work --track origin/main; git commit -q --allow-empty -m w";
    let cases: [(&str, Value, &str); 10] = [
        ("git config remote.pushDefault fork", json!({}), "git push"),
        ("git config branch.main.pushRemote fork; git config remote.pushDefault origin", json!({}), "git push"),
        ("git config remote.origin.push 'refs/heads/*:refs/for/*'", json!({}), "git push"),
        ("git config remote.origin.push '+refs/heads/main:refs/for/main'", json!({"remote": "origin"}), "git push origin main"),
        ("git config remote.origin.push HEAD", json!({}), "git push"),
        (feat, json!({"branch": "feat"}), "git checkout -q feat; git push"),
        (&format!("{work}; git config push.default upstream"), json!({}), "git push"),
        (&format!("{work}; git config push.default current"), json!({}), "git push"),
        (&format!("{work}; git config remote.pushDefault fork"), json!({}), "git push"),
        // Arguments override the configuration.
        (&format!("{work}; git config remote.pushDefault fork"), json!({"remote": "origin", "to": "x"}), "git push origin work:x"),
    ];
    for (sets, args, by_git) in cases {
        let (one, two) = (beside(), beside());
        for fixture in [&one, &two] {
            shell(&fixture.path, &format!("set -e; {DATED}; {sets} 2>&1"));
        }
        let said = serve(&one).text("git_push", &args);
        shell(&two.path, &format!("set -e; {by_git} 2>&1"));
        assert_eq!(there(&one), there(&two), "{sets}: {said}");
    }
}

#[test]
fn a_push_refused_by_configuration_names_a_working_call() {
    let work = "git checkout -q -b work --track origin/main; git commit -q --allow-empty -m w";
    let cases = [
        (work, "`work` follows origin/main"),
        ("git checkout -q -b topic --track main", "`topic` follows the local branch `main`"),
        ("git config --add branch.main.merge refs/heads/b2", "`main` follows origin/main and origin/b2"),
        ("git config push.default upstream; git config remote.pushDefault fork", "`push.default` is `upstream`"),
        ("git config push.default nothing", "`push.default` is `nothing`"),
    ];
    for (sets, expect) in cases {
        let fixture = beside();
        shell(&fixture.path, &format!("set -e; {sets}"));
        assert!(!fixture.try_git(&["push"]).status.success(), "{sets}");
        let before = there(&fixture);
        let mut client = serve(&fixture);
        let error = client.error("git_push", &json!({}));
        assert!(error.contains(expect), "{sets}: {error}");
        assert_eq!(there(&fixture), before, "{sets}");
        assert!(follow(&mut client, &error), "{error}");
        assert_ne!(there(&fixture), before, "{error}");
    }
    // A branch without an upstream is pushed under its own name, and tracks it if git is configured so.
    for (set, follows) in [("false", false), ("true", true)] {
        let fixture = beside();
        shell(&fixture.path, &format!("git checkout -q -b new; git config push.autoSetupRemote {set}"));
        let pushed = serve(&fixture).text("git_push", &json!({}));
        assert_eq!(pushed.contains("new now tracks origin/new"), follows, "{pushed}");
        assert_eq!(fixture.try_git(&["rev-parse", "-q", "--verify", "new@{upstream}"]).status.success(), follows);
        assert!(there(&fixture).contains("refs/heads/new"));
    }
}

#[test]
fn a_branch_missing_on_the_remote_is_not_reported_as_deleted() {
    let fixture = beside();
    shell(&fixture.path, "git push -q origin main:topic main:both main:refs/tags/both main:refs/tags/v1");
    let mut client = serve(&fixture);
    for (args, expect) in [
        (json!({"branch": "nope"}), "origin has no branch `nope`"),
        (json!({"tags": ["nope"]}), "origin has no tag `nope`"),
        (json!({"branch": "v1"}), "origin has no branch `v1`"),
        (json!({"branch": "topic", "tags": ["nope"]}), "origin has no tag `nope`"),
    ] {
        let mut args = args;
        (args["delete"], args["confirm"]) = (json!(true), json!(true));
        let before = there(&fixture);
        let error = client.error("git_push", &args);
        assert!(error.contains(expect) && error.contains("git_ls_remote {\"remote\":\"origin\"}"), "{error}");
        assert_eq!(there(&fixture), before, "{args}");
    }
    client.text("git_push", &json!({"branch": "both", "delete": true, "confirm": true}));
    let left = there(&fixture);
    assert!(left.contains("refs/tags/both") && !left.contains("refs/heads/both") && left.contains("refs/heads/topic"), "{left}");
    client.text("git_push", &json!({"branch": "topic", "tags": ["both", "v1"], "delete": true, "confirm": true}));
    assert!(!there(&fixture).contains("refs/tags"));
}

#[test]
fn each_url_of_a_remote_is_reported() {
    let fixture = beside();
    shell(&fixture.path, "git remote set-url --add origin $PWD/../fork.git");
    let mut client = serve(&fixture);
    let refusing = fixture.path.join("../fork.git/hooks/pre-receive");
    script(&refusing, "exit 1");
    let error = client.error("git_push", &json!({}));
    assert!(error.contains("refs/heads/main at ") && error.contains("fork.git: [remote rejected]"), "{error}");
    assert!(error.contains("took effect: refs/heads/main ") && error.contains("origin.git"), "{error}");
    fs::remove_file(&refusing).expect("a hook");
    let pushed = client.text("git_push", &json!({}));
    assert!(pushed.contains("refs/heads/main [new branch] at ") && pushed.contains("fork.git"), "{pushed}");
    // One URL accepts the push, the next is gone.
    shell(&fixture.path, "git commit -q --allow-empty -m more; printf 'broken' > ../fork.git/HEAD; rm -r ../fork.git/refs");
    let error = client.error("git_push", &json!({}));
    assert!(error.contains("took effect: refs/heads/main") && error.contains("nothing at "), "{error}");
    // For a single URL only the moved references are reported.
    let alone = beside();
    let pushed = serve(&alone).text("git_push", &json!({}));
    assert!(!pushed.contains(" at ") && pushed.contains("refs/heads/main"), "{pushed}");
}

#[test]
fn force_replaces_only_what_was_fetched() {
    let rewritten = "git commit -q --amend --allow-empty -m rewritten";
    let cases = [
        // A tag that differs on the remote.
        ("git tag v1; git push -q origin v1; git tag -f v1 HEAD~1".to_owned(), json!({"tags": ["v1"]}), None),
        // Remote-tracking branches of other names.
        (
            format!(
                "git config remote.origin.fetch '+refs/heads/*:refs/remotes/up/*'; git checkout -q -b t; git push -q origin t; {rewritten}"
            ),
            json!({}),
            None,
        ),
        // A single-branch clone: the remote's branch is here, or is not.
        (
            format!(
                "git config remote.origin.fetch '+refs/heads/main:refs/remotes/origin/main'; git checkout -q -b t; git push -q origin t; {rewritten}"
            ),
            json!({}),
            None,
        ),
        (
            "git config remote.origin.fetch '+refs/heads/main:refs/remotes/origin/main'; git checkout -q -b t; git -C ../origin.git \
             branch t $(git -C ../origin.git commit-tree -m theirs main^{tree})"
                .to_owned(),
            json!({}),
            Some("never fetched"),
        ),
        // Pushed from elsewhere, unknown to this repository.
        (format!("git checkout -q -b t; git push -q ../origin.git t; {rewritten}"), json!({}), Some("never fetched")),
    ];
    for (sets, args, refused) in cases {
        let fixture = beside();
        shell(
            &fixture.path,
            &format!("set -e; export GIT_AUTHOR_NAME=o GIT_AUTHOR_EMAIL=o@p GIT_COMMITTER_NAME=o GIT_COMMITTER_EMAIL=o@p; {sets} 2>&1"),
        );
        let mut client = serve(&fixture);
        client.error("git_push", &args);
        let mut forced = args.clone();
        (forced["force"], forced["confirm"]) = (json!(true), json!(true));
        if let Some(reply) = refused {
            let error = client.error("git_push", &forced);
            assert!(error.contains(reply) && error.contains("git_fetch {"), "{sets}: {error}");
            assert!(follow(&mut client, &error), "{error}");
        }
        let pushed = client.text("git_push", &forced);
        assert!(pushed.contains("(forced update)"), "{sets}: {pushed}");
        if let Some(at) = pushed.find("git_reflog {") {
            let (tool, call) = call_in(pushed[at..].lines().next().expect("a line"));
            client.text(&tool, &call);
        }
    }
}

#[test]
fn a_branch_that_tracks_a_url_is_pulled_and_pushed() {
    for (remote, push_remote) in [(true, false), (false, true), (true, true)] {
        let fixture = beside();
        shell(&fixture.path, "git push -q fork main:pr; git checkout -q -b pr; git config branch.pr.merge refs/heads/pr");
        let url = fixture.path.join("../fork.git").display().to_string();
        for (key, set) in [("remote", remote), ("pushRemote", push_remote)] {
            fixture.git(&["config", &format!("branch.pr.{key}"), if set { &url } else { "fork" }]);
        }
        shell(&fixture.path, "git commit -q --allow-empty -m here");
        let mut client = serve(&fixture);
        client.text("git_pull", &json!({}));
        client.text("git_fetch", &json!({}));
        if remote {
            assert!(client.text("git_ls_remote", &json!({})).contains("refs/heads/pr"));
        }
        let pushed = client.text("git_push", &json!({}));
        assert!(pushed.contains("refs/heads/pr") && there(&fixture).contains(&fixture.text(&["rev-parse", "HEAD"])), "{pushed}");
    }
    // The same checks apply to it.
    let (fixture, _remote) = published();
    for (url, protocol) in [("http://127.0.0.1:1/x", "http"), ("git://example.com/x", "git"), ("ext::sh -c x", "ext")] {
        fixture.git(&["config", "branch.main.remote", url]);
        for tool in ["git_fetch", "git_pull", "git_push"] {
            let error = fixture.serve_with(&[], &[]).error(tool, &json!({}));
            assert!(error.contains(&format!("the protocol `{protocol}` is disabled")), "{tool} {url}: {error}");
        }
    }
    // `pushInsteadOf` cannot be predicted, so the push is refused.
    fixture.git(&["config", "branch.main.remote", "http://127.0.0.1:2/x"]);
    fixture.git(&["config", "url.http://127.0.0.1:3/.pushInsteadOf", "http://127.0.0.1:2/"]);
    let error = fixture.serve_with(&[], &OPEN).error("git_push", &json!({}));
    assert!(error.contains("pushInsteadOf"), "{error}");
}

#[test]
fn a_pull_without_a_single_upstream_names_the_calls() {
    let cases = [
        (
            "git checkout -q -b topic --track main; git checkout -q main; git commit -q --allow-empty -m m; git checkout -q topic",
            "local branch `main`",
        ),
        ("git push -q origin main:b2; git config --add branch.main.merge refs/heads/b2", "`main` follows origin/main and origin/b2"),
    ];
    for (sets, expect) in cases {
        let fixture = beside();
        shell(&fixture.path, &format!("set -e; {sets} 2>&1"));
        let before = fixture.text(&["for-each-ref"]);
        let mut client = serve(&fixture);
        for args in [json!({}), json!({"how": "merge"}), json!({"how": "rebase"})] {
            let error = client.error("git_pull", &args);
            assert!(error.contains(expect), "{error}");
            assert_eq!(fixture.text(&["for-each-ref"]), before);
        }
        let error = client.error("git_pull", &json!({}));
        assert!(follow(&mut client, &error), "{error}");
    }
    // A call that names the branch succeeds.
    let fixture = beside();
    shell(&fixture.path, "git config --add branch.main.merge refs/heads/b2");
    serve(&fixture).text("git_pull", &json!({"branch": "main"}));
}

#[test]
fn a_missing_branch_is_reported_with_the_existing_ones() {
    let fixture = beside();
    shell(&fixture.path, "git push -q origin main:refs/tags/rel; git checkout -q -b other; git reset -q --hard HEAD~1");
    let mut client = serve(&fixture);
    for tool in ["git_fetch", "git_pull"] {
        let error = client.error(tool, &json!({"branch": "nope"}));
        assert!(error.contains("origin has no branch `nope`; it has `main`") && !error.contains("credential"), "{error}");
        assert!(follow(&mut client, &error), "{error}");
        let error = client.error(tool, &json!({"branch": "rel"}));
        assert!(error.contains("`rel` is a tag of origin"), "{error}");
        assert!(follow(&mut client, &error), "{error}");
        assert_eq!(error.contains("git_merge {\"source_branch\":\"rel\"}"), tool == "git_pull", "{error}");
        client.text("git_merge", &json!({"source_branch": "rel"}));
    }
}

#[test]
fn advice_on_credentials_appears_only_where_it_applies() {
    let fixture = beside();
    let mut client = serve(&fixture);
    // A mirror pushes everything or nothing.
    shell(&fixture.path, "git remote add --mirror=push mir $PWD/../fork.git");
    for args in [json!({"remote": "mir"}), json!({"remote": "mir", "branch": "main"}), json!({"remote": "mir", "to": "x"})] {
        let error = client.error("git_push", &args);
        assert!(error.contains("`mir` is a mirror") && !error.contains("credential"), "{error}");
    }
    // A failing signing program is named.
    let gpg = fixture.path.join("../gpg");
    script(&gpg, "exit 2");
    shell(&fixture.path, &format!("git -C ../origin.git config receive.certNonceSeed x; git config gpg.program '{}'", gpg.display()));
    for value in ["true", "if-asked"] {
        fixture.git(&["config", "push.gpgSign", value]);
        let error = serve(&fixture).error("git_push", &json!({}));
        assert!(error.contains("`gpg` stopped the push") && error.contains("gpg.program") && !error.contains("credential"), "{error}");
    }
    fixture.git(&["config", "push.gpgSign", "true"]);
    let error = client.error("git_push", &json!({"remote": "fork"}));
    assert!(error.contains("--signed push") && !error.contains("credential"), "{error}");
    fixture.git(&["config", "--unset", "push.gpgSign"]);
    // A hook's output is kept apart from git's own progress.
    hook(&fixture, "pre-push", "echo Total checks are done >&2");
    for number in 0..40 {
        fixture.write(&format!("many/{number}"), format!("{number}\n"));
    }
    fixture.commit("many");
    let pushed = client.text("git_push", &json!({}));
    assert!(pushed.contains("Total checks are done") && !pushed.contains("Delta compression") && !pushed.contains("(delta "), "{pushed}");
    // If authentication is required, the advice stays.
    let remote = Remote::start();
    remote.breaks(Fault::Locked);
    fixture.git(&["remote", "add", "locked", &remote.url()]);
    let error = fixture.serve_with(&[], &OPEN).error("git_push", &json!({"remote": "locked"}));
    assert!(error.contains("credential helpers"), "{error}");
}

#[test]
fn fast_forwards_follow_gits_configuration() {
    let forward = "git checkout -q -b f; git commit -q --allow-empty -m f; git checkout -q main";
    let apart = "git checkout -q -b f; git commit -q --allow-empty -m f; git checkout -q main; git commit -q --allow-empty -m m";
    for (sets, config, parents) in [
        (forward, "merge.ff=true", Some(1)),
        (forward, "merge.ff=false", Some(2)),
        (forward, "branch.main.mergeOptions=--no-ff", Some(2)),
        (forward, "merge.ff=only", Some(1)),
        (apart, "merge.ff=only", None),
        (apart, "merge.ff=false", Some(2)),
    ] {
        let fixture = beside();
        let (key, value) = config.split_once('=').expect("a setting");
        shell(
            &fixture.path,
            &format!("set -e; {sets}; git config {key} '{value}'; git commit -q --allow-empty -m x; git reset -q --hard HEAD~1"),
        );
        let mut client = serve(&fixture);
        if parents.is_none() {
            let error = client.error("git_merge", &json!({"source_branch": "f"}));
            assert!(error.contains("`merge.ff` is `only`"), "{error}");
            client.text("git_merge", &json!({"source_branch": "f", "strategy": "no-ff"}));
            continue;
        }
        client.text("git_merge", &json!({"source_branch": "f"}));
        assert_eq!(fixture.text(&["show", "-s", "--format=%p", "HEAD"]).split(' ').count(), parents.unwrap_or_default(), "{config}");
    }
    for (config, parents) in [("pull.ff=false", 2), ("merge.ff=false", 2), ("pull.ff=only", 1), ("pull.ff=true", 1)] {
        let fixture = beside();
        let (key, value) = config.split_once('=').expect("a setting");
        shell(&fixture.path, &format!("set -e; git push -q; git reset -q --hard HEAD~1; git config {key} {value}"));
        serve(&fixture).text("git_pull", &json!({}));
        assert_eq!(fixture.text(&["show", "-s", "--format=%p", "HEAD"]).split(' ').count(), parents, "{config}");
    }
    // An explicit merge overrides `pull.ff = only`.
    let fixture = beside();
    shell(&fixture.path, "git push -q; git reset -q --hard HEAD~1; git commit -q --allow-empty -m own; git config pull.ff only");
    serve(&fixture).text("git_pull", &json!({"how": "merge"}));
}
