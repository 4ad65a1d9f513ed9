//! The effect of the configuration of a repository, and of the operator's.

use super::scene::*;
use crate::support::shell;
use serde_json::json;
use std::{fs, path::Path};

#[test]
fn an_unlisted_setting_is_named_and_refused() {
    for (key, value, tool, args) in [
        ("rebase.instructionformat", "%(trailers)", "git_rebase", json!({"target_branch": "side"})),
        ("gpg.ssh.defaultkeycommand", "$T", "git_commit", json!({"message": "m", "allow_empty": true})),
        ("branch.main.mergeoptions", "--gpg-sign", "git_merge", json!({"source_branch": "side"})),
        ("merge.evil.driver", "$T", "git_cherry_pick", json!({"commit_hash": "side"})),
        ("checkout.workers", "500", "git_checkout", json!({"branch_name": "side"})),
        ("fetch.fsck.skiplist", "/etc/passwd", "git_tag", json!({"action": "create", "name": "t"})),
        ("gc.pruneexpire", "now", "git_maintenance", json!({"action": "gc"})),
        ("rebase.updaterefs", "true", "git_stash", json!({"action": "push"})),
        ("a.key.nobody.knows", "1", "git_add", json!({"files": ["a.txt"]})),
    ] {
        let scene = Scene::new();
        scene.fixture.git(&["config", key, &value.replace("$T", &scene.trap)]);
        let refused = scene.serve().error(tool, &scene.here(args));
        assert!(refused.contains("is not trusted") && refused.contains(key), "{key}: {refused}");
        scene.unharmed(key);
    }
}

#[test]
fn settings_written_by_git_itself_block_no_change() {
    let scene = Scene::new();
    let source = scene.fixture.path.display().to_string();
    for (name, how) in [
        ("plain", "git clone -q \"$S\" x"),
        ("shallow", "git clone -q --depth 1 \"file://$S\" x"),
        ("one branch", "git clone -q --single-branch \"$S\" x && git -C x branch -q -f --track t origin/main"),
        ("sparse", "git clone -q --sparse \"$S\" x && git -C x sparse-checkout -q set dir"),
        ("new", "git init -q x && cp -r \"$S/a.txt\" x/ && git -C x config user.name A"),
    ] {
        shell(
            Path::new(&scene.above()),
            &format!("rm -rf x; S='{source}'; {how}; git -C x config user.name A; git -C x config user.email a@b"),
        );
        let repo = Path::new(&scene.above()).join("x");
        fs::write(repo.join("new.txt"), "n\n").expect("a file");
        let mut client = scene.serve();
        client.text("git_add", &json!({"repo_path": repo, "files": ["new.txt"]}));
        let made = client.text("git_commit", &json!({"repo_path": repo, "message": "made"}));
        assert!(made.contains("made"), "{name}: {made}");
    }
}

#[test]
fn operator_programs_do_not_run_in_untrusted_repositories() {
    let scene = Scene::new();
    let fixture = &scene.fixture;
    fixture.git(&["checkout", "-q", "side"]);
    fixture.write("a.txt", "other\n").write(".gitattributes", "*.txt merge=own\n").commit("other");
    fixture.git(&["checkout", "-q", "main"]);
    let global = scene.outside.path().join("config");
    fs::write(
        &global,
        format!(
            "[user]\nname=A\nemail=a@b\n[merge \"own\"]\ndriver={0}\n[core]\nhooksPath={1}\n[alias]\ncommit=!{0}\n[diff]\nexternal={0}\n",
            scene.trap,
            scene.outside.path().display()
        ),
    )
    .expect("a file");
    for hook in ["pre-merge-commit", "pre-commit", "post-checkout", "pre-rebase"] {
        fs::copy(&scene.trap, scene.outside.path().join(hook)).expect("a hook");
    }
    let mut client = scene.serve_with(&[], &[("GIT_CONFIG_GLOBAL", &global.display().to_string())]);
    for (tool, args) in [
        ("git_merge", json!({"source_branch": "side"})),
        ("git_abort", json!({})),
        ("git_rebase", json!({"target_branch": "side"})),
        ("git_abort", json!({})),
        ("git_cherry_pick", json!({"commit_hash": "side"})),
        ("git_abort", json!({})),
        ("git_checkout", json!({"branch_name": "side"})),
    ] {
        client.result(tool, &scene.here(args));
        scene.unharmed(tool);
    }
    // A filter that cannot start must not let raw content into the repository.
    fs::write(&global, format!("[user]\nname=A\nemail=a@b\n[filter \"own\"]\nclean={}\n", scene.trap)).expect("a file");
    fixture.git(&["reset", "-q", "--hard"]);
    fixture.write(".gitattributes", "*.txt filter=own\n").write("raw.txt", "raw\n");
    let mut client = scene.serve_with(&[], &[("GIT_CONFIG_GLOBAL", &global.display().to_string())]);
    let refused = client.error("git_add", &scene.here(json!({"files": ["raw.txt"]})));
    assert!(refused.contains("filter `own`"), "{refused}");
    scene.unharmed("a filter of the operator's");
    assert!(fixture.git(&["ls-files", "raw.txt"]).is_empty());
}
