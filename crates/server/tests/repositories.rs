//! Repositories that are more than one folder with a `.git`, or have a hostile layout.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::{fmt::Write as _, fs, os::unix::fs::PermissionsExt};
use support::{Client, Fixture, Outcome};

#[test]
fn linked_worktrees_work_as_roots_and_below_them() {
    let fixture = Fixture::new();
    fixture.git(&["worktree", "add", "--quiet", "-b", "linked", "../linked"]);
    let linked = fixture.path.with_file_name("linked").display().to_string();
    let mut of_a_root = fixture.serve();
    assert!(of_a_root.text("git_status", &json!({"repo_path": linked})).starts_with("## linked"));
    let mut as_root = Client::start(&["-r", &linked], &[]);
    as_root.initialize();
    assert!(as_root.text("git_log", &json!({})).contains("second"));
    let main = as_root.error("git_status", &json!({"repo_path": fixture.path.display().to_string()}));
    assert!(main.contains("outside the allowed roots"), "{main}");
}

#[test]
fn reads_run_nothing_in_submodules_and_label_their_entries() -> Outcome {
    let fixture = Fixture::new();
    let library = Fixture::new();
    let url = library.path.display().to_string();
    fixture.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", &url, "lib"]);
    fixture.git(&["commit", "--quiet", "-m", "submodule"]);
    let marker = fixture.path.with_file_name("marker");
    let trap = fixture.path.with_file_name("trap");
    fs::write(&trap, format!("#!/bin/sh\ntouch '{}'\ncat\n", marker.display()))?;
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755))?;
    let trap = trap.display().to_string();
    fs::write(fixture.path.join("lib/.gitattributes"), "* filter=x diff=x\n")?;
    for (key, value) in [("core.fsmonitor", &trap), ("filter.x.clean", &trap), ("diff.external", &trap), ("diff.x.textconv", &trap)] {
        fixture.git(&["-C", "lib", "config", key, value]);
    }
    fixture.write("lib/a.txt", "one\nTWO\n").write("a.txt", "changed\n");
    let mut client = fixture.serve();
    let status = client.text("git_status", &json!({}));
    // The new `.gitattributes` is applied; no program that it names for `a.txt` runs.
    assert!(status.contains(" M a.txt") && status.contains(" ? lib"), "{status}");
    assert!(status.contains("inside submodule lib: reads do not run its filter x"), "{status}");
    let diff = client.text("git_diff", &json!({}));
    assert!(diff.contains("+changed") && !diff.contains("TWO"), "{diff}");
    client.text("git_diff", &json!({"target": "HEAD~1"}));
    client.text("git_grep", &json!({"pattern": "TWO"}));
    assert!(!marker.exists(), "a program of the submodule ran");
    let entry = client.error("git_show", &json!({"revision": "HEAD:lib"}));
    assert!(entry.contains("`lib` is a submodule, at commit"), "{entry}");
    Ok(())
}

#[test]
fn worktree_configuration_may_be_enabled_but_missing() {
    let fixture = Fixture::new();
    fixture.git(&["config", "extensions.worktreeConfig", "true"]);
    let mut client = fixture.serve();
    assert!(client.text("git_log", &json!({})).contains("second"));
    assert!(client.text("git_status", &json!({})).starts_with("## main"));
}

#[test]
fn programs_are_not_searched_for_in_the_repository() {
    let fixture = Fixture::new();
    fixture.write("git", "#!/bin/sh\ntouch ../marker\n").write("bin/git", "#!/bin/sh\ntouch ../marker\n");
    for program in ["git", "bin/git"] {
        fs::set_permissions(fixture.path.join(program), fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    let path = format!(".:bin::{}", std::env::var("PATH").unwrap_or_default());
    let mut command = support::program();
    command.args(["-r", "."]).current_dir(&fixture.path).env("PATH", path);
    let mut client = Client::spawn(&mut command);
    client.initialize();
    assert!(client.text("git_blame", &json!({"path": "a.txt"})).contains("two"));
    client.text("git_add", &json!({"files": ["bin"]}));
    client.text("git_commit", &json!({"message": "m"}));
    assert!(!fixture.path.with_file_name("marker").exists(), "a program of the repository ran");
}

/// Nested trees and their paths, deeper than any file system allows.
#[test]
fn a_tree_of_any_depth_has_a_defined_answer() -> Outcome {
    let fixture = Fixture::new();
    let blob = String::from_utf8(fixture.git(&["rev-parse", "HEAD:a.txt"]))?.trim().to_owned();
    let mut script = format!("t=$(printf '100644 blob {blob}\\ta\\n' | git mktree)\n");
    writeln!(script, "for n in $(seq 2000); do t=$(printf '040000 tree %s\\td\\n' $t | git mktree); done")?;
    script += "git update-ref refs/heads/deep $(git -c user.name=a -c user.email=b commit-tree -m deep -p HEAD $t)\n";
    support::shell(&fixture.path, &script);
    fixture.git(&["symbolic-ref", "HEAD", "refs/heads/deep"]);
    let mut client = fixture.serve();
    for (tool, args) in [
        ("git_status", json!({})),
        ("git_diff", json!({"scope": "staged"})),
        ("git_diff", json!({"base": "HEAD~1", "target": "HEAD"})),
        ("git_show", json!({"revision": "HEAD"})),
        ("git_grep", json!({"pattern": "one", "rev": "HEAD"})),
        ("git_commit", json!({"message": "all gone"})),
    ] {
        let text = support::text_of(&client.result(tool, &args));
        assert!(!text.is_empty() && text.len() <= 32_000, "{tool}: {text}");
    }
    assert!(client.text("git_log", &json!({"max_count": 3})).contains("deep"), "it keeps answering");
    Ok(())
}
