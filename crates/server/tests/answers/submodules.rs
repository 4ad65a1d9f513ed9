//! Changes inside submodules: compared as git compares them, without running their programs.

use crate::support::{Client, Fixture, Outcome, parts, shell};
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Adds a submodule at each path, and one with a nested submodule, and commits them.
const SUBMODULES: &str = "
    git init -q -b main ../library; cd ../library; git config user.name A; git config user.email a@b
    echo 1 > f; echo 1 > g; echo '*.log' > .gitignore; git add .; git commit -q -m one; echo 2 > f; git commit -q -a -m two
    L=$PWD; git clone -q . ../outer; cd ../outer; git config user.name A; git config user.email a@b
    git -c protocol.file.allow=always submodule --quiet add $L inner; git commit -q -m inner; cd ../repo
    for name in commit edited new both staged gone-file clean 'a space' dir/ünder absent missing ignored; do
        git -c protocol.file.allow=always submodule --quiet add $L \"$name\"
    done
    for name in nested-edited nested-new nested-commit; do
        git -c protocol.file.allow=always submodule --quiet add $L/../outer $name
        git -c protocol.file.allow=always -C $name submodule --quiet update --init
    done
    git clone -q ../library embedded; git add embedded 2> /dev/null
    git commit -q -m submodules";

/// Puts each into the state it is named after.
const STATES: &str = "
    git -C commit checkout -q HEAD~1; echo x >> edited/f; echo x > new/x; git -C both checkout -q HEAD~1; echo x >> both/g; echo x > both/x
    echo x >> staged/f; git -C staged add f; rm gone-file/f; echo x >> 'a space/f'; echo x > dir/ünder/x; echo x >> dir/ünder/f
    git submodule --quiet deinit -f absent; rm -r missing; echo x > ignored/x.log; echo x >> embedded/f
    echo x >> nested-edited/inner/f; echo x > nested-new/inner/x; git -C nested-commit/inner checkout -q HEAD~1
    git init -q unborn; git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),unborn; echo x > unborn/x
    git clone -q ../library added; git -C added checkout -q HEAD~1; git add added 2> /dev/null; echo x >> added/f
    echo edited > a.txt; echo untracked > untracked.txt";

fn repository() -> Fixture {
    let fixture = Fixture::new();
    shell(&fixture.path, &format!("set -e; {SUBMODULES}; {STATES}"));
    fixture
}

/// An answer without the server's own lines.
fn body(client: &mut Client, tool: &str, args: &Value) -> String {
    parts(&client.text(tool, args)).body
}

fn status_of_git(fixture: &Fixture) -> String {
    fixture.text(&["status", "--short", "--branch", "-z"]).replace('\0', "\n")
}

/// Compares with git the reads that a setting can affect.
fn compare(fixture: &Fixture, client: &mut Client, what: &str) {
    let status = body(client, "git_status", &json!({}));
    assert_eq!(status, status_of_git(fixture), "{what}");
    for (args, of_git) in [
        (json!({}), &["diff"][..]),
        (json!({"target": "HEAD~1"}), &["diff", "HEAD~1"]),
        (json!({"base": "HEAD~1", "target": "HEAD"}), &["diff", "HEAD~1", "HEAD"]),
    ] {
        let diff = body(client, "git_diff", &args);
        assert_eq!(diff.trim_end(), fixture.text(of_git), "{what}: {args}");
    }
}

/// Compares the others.
fn compare_more(fixture: &Fixture, client: &mut Client) {
    for (args, of_git) in [
        (json!({"target": "HEAD"}), &["diff", "HEAD"][..]),
        (json!({"scope": "staged"}), &["diff", "--cached"]),
        (json!({"paths": ["both", "edited", "a space", "dir"]}), &["diff", "--", "both", "edited", "a space", "dir"]),
        (json!({"exclude": ["both", "nested-edited"]}), &["diff", "--", ".", ":!both", ":!nested-edited"]),
    ] {
        let diff = body(client, "git_diff", &args);
        assert_eq!(diff.trim_end(), fixture.text(of_git), "{args}");
    }
    let shown = body(client, "git_show", &json!({"revision": "HEAD"}));
    assert_eq!(shown.trim_end(), fixture.text(&["show", "HEAD"]));
}

#[test]
fn submodules_in_every_state_are_compared_as_in_git() {
    let fixture = repository();
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
    let status = client.text("git_status", &json!({}));
    for line in
        [" M commit", " m edited", " ? new", " M both", " m staged", " m nested-edited", " ? nested-new", " m nested-commit", "Am added"]
    {
        assert!(status.lines().any(|shown| shown == line), "{line}: {status}");
    }
    assert!(!status.contains("not compared"), "{status}");
    compare(&fixture, &mut client, "as they are");
    compare_more(&fixture, &mut client);
    for (key, value) in [
        ("submodule.edited.ignore", "all"),
        ("submodule.both.ignore", "dirty"),
        ("submodule.new.ignore", "untracked"),
        ("submodule.nested-new.ignore", "none"),
        ("diff.ignoreSubmodules", "all"),
        ("diff.ignoreSubmodules", "dirty"),
        ("diff.ignoreSubmodules", "untracked"),
        ("diff.ignoreSubmodules", "none"),
        ("status.showUntrackedFiles", "no"),
        ("status.showUntrackedFiles", "all"),
        ("core.quotePath", "false"),
        ("diff.mnemonicPrefix", "true"),
        ("diff.noPrefix", "true"),
    ] {
        fixture.git(&["config", key, value]);
        compare(&fixture, &mut client, &format!("{key}={value}"));
        fixture.git(&["config", "--unset", key]);
    }
    for (name, value) in [("commit", "all"), ("both", "dirty"), ("new", "untracked"), ("new", "none"), ("missing", "all")] {
        fixture.git(&["config", "-f", ".gitmodules", &format!("submodule.{name}.ignore"), value]);
        compare(&fixture, &mut client, &format!("{name}: {value}"));
    }
    // The repository's own setting wins.
    fixture.git(&["config", "submodule.commit.ignore", "none"]);
    compare(&fixture, &mut client, "both say something");
    fixture.git(&["commit", "-q", "-m", "hidden", "commit", "both"]);
    fixture.git(&["config", "--unset", "submodule.commit.ignore"]);
    compare(&fixture, &mut client, "a commit of what is hidden");
    compare_more(&fixture, &mut client);
    // The submodule's own configuration applies inside.
    fixture.git(&["-C", "dir/ünder", "config", "status.showUntrackedFiles", "no"]);
    fixture.git(&["-C", "dir/ünder", "checkout", "-q", "f"]);
    compare(&fixture, &mut client, "a submodule that shows no untracked files");
}

#[test]
fn a_submodules_patch_is_complete_in_ranges() {
    let fixture = repository();
    let mut client = fixture.serve();
    for path in ["both", "edited", "a space", "commit"] {
        let whole = fixture.text(&["diff", "--", path]);
        for start in [0, 20, 100] {
            let args = json!({"paths": [path], "byte_range": format!("{start}-100000")});
            assert_eq!(body(&mut client, "git_diff", &args).trim_end(), &whole[start..], "{args}");
        }
        let stat = client.text("git_diff", &json!({"paths": [path], "stat": true}));
        assert!(stat.contains("1 file changed, +1 -1"), "{stat}");
    }
    fixture.git(&["mv", "edited", "z moved"]);
    let diff = body(&mut client, "git_diff", &json!({"target": "HEAD", "paths": ["edited", "z moved"]}));
    assert_eq!(diff.trim_end(), fixture.text(&["diff", "HEAD", "--", "edited", "z moved"]));
    assert!(diff.contains("rename to z moved") && diff.contains("-dirty"), "{diff}");
    assert!(client.text("git_diff", &json!({"paths": ["clean", "ignored"]})).contains("no differences"));
}

#[test]
fn an_untrusted_repository_with_submodules_is_compared_as_well() {
    let fixture = repository();
    let above = fixture.path.parent().expect("a parent").display().to_string();
    let mut client = Client::start(&["-r", &above], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
    client.initialize();
    let repo = fixture.path.display().to_string();
    let status = body(&mut client, "git_status", &json!({"repo_path": repo}));
    assert_eq!(status, status_of_git(&fixture));
    let diff = body(&mut client, "git_diff", &json!({"repo_path": repo}));
    assert_eq!(diff.trim_end(), fixture.text(&["diff"]));
}

/// Runs `script` in a fresh repository with submodules and expects reads to name this one as not compared, for this
/// reason, and to compare the others.
fn is_named(script: &str, path: &str, why: &str) {
    let fixture = Fixture::new();
    shell(&fixture.path, &format!("set -e; {SUBMODULES}; {script}; echo x >> edited/f"));
    let mut client = fixture.serve();
    for (tool, args) in [("git_status", json!({})), ("git_diff", json!({})), ("git_diff", json!({"target": "HEAD", "stat": true}))] {
        let answer = client.text(tool, &args);
        let shown = parts(&answer);
        let notes: Vec<&String> = shown.notes.iter().filter(|note| note.contains("not compared")).collect();
        assert_eq!(notes.len(), 1, "{script}: {answer}");
        let note = notes[0];
        let expected = format!("not compared: changes inside submodule {path}: ");
        assert!(note.starts_with(&expected) && note.contains(why), "{script}: {note}");
        assert!(answer.contains("edited"), "{script}: {answer}");
    }
}

#[test]
fn skipped_submodules_are_named_with_the_reason() {
    // Its git directory is outside the roots.
    is_named(
        "mv commit/.git ../elsewhere-file; mv .git/modules/commit ../elsewhere; git config -f ../elsewhere/config core.worktree \"$PWD/commit\"; \
         echo \"gitdir: $PWD/../elsewhere\" > commit/.git",
        "commit",
        "outside the allowed roots",
    );
    // It is the worktree of another repository below the roots.
    is_named(
        "git clone -q ../library tool; rm -rf commit; git -C tool worktree add -q ../commit; echo tool > .git/info/exclude",
        "commit",
        "its git directory is outside both it",
    );
    // It is no repository.
    is_named("echo 'gitdir: ../nowhere' > commit/.git", "commit", "not a git repository");
    is_named("rm commit/.git; mkdir commit/.git", "commit", "not a git repository");
    // A filter would have to run.
    is_named(
        "git -C commit config filter.x.clean cat; echo '* filter=x' > .git/modules/commit/info/attributes; touch -d 2020-01-01 commit/f",
        "commit",
        "reads do not run its filter x",
    );
    // Its index is unreadable.
    is_named("echo broken > .git/modules/commit/index", "commit", "");
}

#[test]
fn the_number_and_depth_of_compared_submodules_are_bounded() -> Outcome {
    let fixture = Fixture::new();
    shell(
        &fixture.path,
        "git init -q one; git -C one -c user.name=A -c user.email=a@b commit -q --allow-empty -m one
         for at in $(seq 2 112); do cp -r one m$at; done; git add one m* 2> /dev/null; git commit -q -m many; for at in $(seq 2 112); do echo x > m$at/x; done",
    );
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
    let answer = client.text("git_status", &json!({}));
    let compared = answer.lines().filter(|line| line.starts_with(" ? m")).count();
    let notes = parts(&answer).notes;
    let named: Vec<&String> = notes.iter().filter(|note| note.contains("pass its path as `repo_path`")).collect();
    assert_eq!((compared, named.len()), (100, 8), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("inside 4 more submodules")), "{notes:?}");
    // The fix works.
    let name = named[0].split("submodule ").nth(1).and_then(|rest| rest.split(':').next()).ok_or("a name")?;
    let inside = client.text("git_status", &json!({"repo_path": fixture.path.join(name).display().to_string()}));
    assert!(inside.contains("?? x"), "{inside}");

    let deep = Fixture::new();
    shell(
        &deep.path,
        "for at in 1 2 3 4 5; do git init -q d; cd d; git -c user.name=A -c user.email=a@b commit -q --allow-empty -m d; done; echo x > x
         for at in 1 2 3 4; do cd ..; git add d 2> /dev/null; git -c user.name=A -c user.email=a@b commit -q -m deeper; done
         cd ..; git add d 2> /dev/null; git commit -q -m deep",
    );
    assert_eq!(deep.text(&["status", "--short"]), " ? d");
    let answer = deep.serve().text("git_status", &json!({}));
    assert!(
        answer.contains("inside submodule d: d in it: d in it: d in it: the submodule limit is reached; pass its path as `repo_path`"),
        "{answer}"
    );
    Ok(())
}

/// Every configuration key of a submodule that can name a program, with a program that leaves a mark.
fn arm(folder: &Path, trap: &str) {
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.editor",
        "diff.external",
        "diff.x.textconv",
        "diff.x.command",
        "filter.x.clean",
        "filter.x.smudge",
        "filter.x.process",
        "gpg.program",
        "core.sshCommand",
        "credential.helper",
        "core.askPass",
        "alias.status",
        "core.hooksPath",
    ] {
        let value = if key == "core.hooksPath" { folder.join(".armed").display().to_string() } else { trap.to_owned() };
        shell(folder, &format!("git config {key} '{value}'"));
    }
    shell(
        folder,
        &format!(
            "G=$(git rev-parse --absolute-git-dir); mkdir -p $G/hooks .armed; for hook in post-index-change fsmonitor-watchman pre-commit reference-transaction; do \
             cp '{trap}' $G/hooks/$hook; cp '{trap}' .armed/$hook; done; echo '* filter=x diff=x' > $G/info/attributes; \
             printf '[include]\\npath = more\\n' >> $G/config; printf '[filter \"y\"]\\nclean = {trap}\\n' > $G/more"
        ),
    );
}

#[test]
fn no_program_of_a_submodule_runs_in_any_read_96() -> Outcome {
    for (named, is_partial) in [(true, false), (false, false), (true, true)] {
        let fixture = repository();
        if is_partial {
            // Missing objects of such a clone are looked up before each read.
            shell(&fixture.path, "git config remote.origin.url ../library; git config remote.origin.promisor true");
        }
        let marker = fixture.home.path().join("ran");
        let trap = fixture.home.path().join("trap");
        fs::write(&trap, format!("#!/bin/sh\necho \"$0\" >> '{}'\ncat\n", marker.display()))?;
        shell(&fixture.path, &format!("chmod +x '{}'", trap.display()));
        for name in ["edited", "new", "embedded", "nested-edited", "nested-edited/inner", "unborn"] {
            arm(&fixture.path.join(name), &trap.display().to_string());
        }
        fs::remove_file(&marker).unwrap_or_default();
        let root = if named { fixture.path.clone() } else { fixture.path.parent().ok_or("a parent")?.to_owned() };
        let mut client = Client::start(&["-r", &root.display().to_string()], &[("MCP_GIT_MAX_OUTPUT_TOKENS", "0")]);
        client.initialize();
        let repo = fixture.path.display().to_string();
        for (tool, mut args) in [
            ("git_status", json!({})),
            ("git_diff", json!({})),
            ("git_diff", json!({"target": "HEAD~1"})),
            ("git_diff", json!({"scope": "staged"})),
            ("git_show", json!({"revision": "HEAD"})),
            ("git_grep", json!({"pattern": "x"})),
            ("git_submodule", json!({})),
        ] {
            args["repo_path"] = json!(repo);
            client.result(tool, &args);
        }
        let status = client.text("git_status", &json!({"repo_path": repo}));
        assert!(status.contains("inside submodule edited: reads do not run its filter x"), "{status}");
        let ran = fs::read_to_string(&marker).unwrap_or_default();
        assert!(ran.is_empty(), "named: {named}, partial: {is_partial}: {ran}");
        // git itself would have run them.
        fixture.try_git(&["status"]);
        assert!(marker.exists(), "the traps work");
    }
    Ok(())
}
