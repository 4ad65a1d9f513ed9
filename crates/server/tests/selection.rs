//! Which tools there are: groups, names, and a server that only reads.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};
use support::{Client, Fixture, Outcome, program};

fn listed(client: &mut Client) -> Vec<String> {
    let answer = client.request("tools/list", &json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list");
    tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Every file below `path` with its content, but for the times.
fn everything(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(path).expect("a folder").flatten() {
        let name = entry.path().display().to_string();
        if entry.path().is_dir() {
            found.extend(everything(&entry.path()));
        } else {
            found.insert(name, fs::read(entry.path()).unwrap_or_default());
        }
    }
    found
}

#[test]
fn a_server_that_only_reads_changes_nothing_77() {
    let fixture = Fixture::new();
    fixture.git(&["tag", "t"]);
    fixture.write("a.txt", "edited\n").write("new.txt", "n\n");
    let before = everything(&fixture.path);
    for (args, variables) in [(&["--read-only"][..], &[][..]), (&["--toolsets", "all"], &[("MCP_GIT_READ_ONLY", "true")])] {
        let mut client = fixture.serve_with(args, variables);
        let names = listed(&mut client);
        assert!(names.contains(&"git_status".to_owned()) && !names.contains(&"git_commit".to_owned()), "{names:?}");
        for entry in mcp_server_git::tools::ALL {
            let result = client.result(entry.name, &valid(entry.name, &fixture));
            let text = support::text_of(&result);
            if entry.effect == mcp_server_git::Effect::Read {
                // There is no remote that could be asked.
                let asked = text.contains("there is no remote called");
                assert!(result["isError"] != true || asked, "{}: {text}", entry.name);
            } else {
                assert!(text.contains("this server only reads") && result["isError"] == true, "{}: {text}", entry.name);
            }
            assert_eq!(everything(&fixture.path), before, "{}", entry.name);
        }
    }
}

/// Arguments with which the tool would do something.
fn valid(tool: &str, fixture: &Fixture) -> Value {
    match tool {
        "git_show" | "git_rev_parse" | "git_cat_file" => json!({"revision": "HEAD"}),
        "git_blame" => json!({"path": "a.txt"}),
        "git_grep" => json!({"pattern": "x"}),
        "git_add" => json!({"files": ["."]}),
        "git_commit" => json!({"message": "m", "allow_empty": true}),
        "git_restore" => json!({"paths": ["."]}),
        "git_reset" => json!({"mode": "hard", "target": "HEAD~1", "confirm": true}),
        "git_create_branch" | "git_branch_delete" => json!({"branch_name": "x"}),
        "git_checkout" => json!({"branch_name": "x", "create": true}),
        "git_merge" => json!({"source_branch": "main"}),
        "git_rebase" => json!({"target_branch": "HEAD~1"}),
        "git_cherry_pick" | "git_revert" => json!({"commit_hash": "HEAD"}),
        "git_clone" => json!({"url": "https://127.0.0.1/x", "repo_path": fixture.path.join("sub").display().to_string()}),
        "git_range_diff" => json!({"old": "HEAD~1..HEAD", "new": "HEAD~1..HEAD"}),
        "git_merge_base" => json!({"one": "HEAD"}),
        "git_describe" => json!({"tags": true}),
        "git_merge_preview" => json!({"source_branch": "HEAD~1"}),
        "git_branch_rename" => json!({"new_name": "x"}),
        "git_tag" => json!({"action": "create", "name": "t2"}),
        "git_stash" => json!({"action": "push"}),
        "git_conflicts" => json!({"take": "ours", "paths": ["."]}),
        "git_worktree" => json!({"action": "add", "path": "w", "branch": "w"}),
        "git_undo" => json!({"id": "x"}),
        "git_workspace" => json!({"action": "open"}),
        "git_remote_add" | "git_remote_set_url" => json!({"name": "o", "url": "https://1.1.1.1/x"}),
        "git_remote_remove" | "git_remote_get_url" => json!({"name": "o"}),
        "git_remote_rename" => json!({"old_name": "o", "new_name": "p"}),
        "git_apply" => json!({"patch": "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-edited\n+e\n"}),
        "git_clean" => json!({"remove": true, "confirm": true}),
        "git_rm" => json!({"files": ["a.txt"], "force": true}),
        "git_mv" => json!({"source": "a.txt", "destination": "z"}),
        "git_bisect" => json!({"action": "start", "good": ["HEAD~1"]}),
        "git_submodule" => json!({"action": "update"}),
        "git_sparse_checkout" => json!({"action": "set", "paths": ["dir"]}),
        "git_notes" => json!({"action": "add", "message": "n"}),
        "git_config" => json!({"key": "user.name", "value": "x"}),
        "git_maintenance" => json!({"action": "gc"}),
        "git_diff_branches" => json!({"base_branch": "HEAD~1", "compare_branch": "HEAD"}),
        "git_init" => json!({"repo_path": fixture.path.join("sub").display().to_string()}),
        _ => json!({}),
    }
}

#[test]
fn tools_are_chosen_by_group_and_by_name() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve_with(&["--toolsets", "default,rewrite", "--exclude-tools", "git_reset,git_log"], &[]);
    let names = listed(&mut client);
    assert!(names.contains(&"git_revert".to_owned()) && !names.contains(&"git_reset".to_owned()), "{names:?}");
    let off = client.error("git_log", &json!({}));
    assert!(off.contains("git_log is switched off here"), "{off}");
    let mut client = fixture.serve_with(&["--tools", "git_status"], &[]);
    assert_eq!(listed(&mut client), ["git_status"]);
    assert!(client.error("git_add", &json!({"files": ["."]})).contains("switched off"));
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_TOOLSETS", "reference"), ("MCP_GIT_TOOLS", "git_undo")]);
    assert_eq!(listed(&mut client).len(), 13);
    let wrong = String::from_utf8(program().args(["--tools", "git_nothing", "call", "git_status"]).output()?.stderr)?;
    assert!(wrong.contains("no tool called `git_nothing`"), "{wrong}");
    Ok(())
}
