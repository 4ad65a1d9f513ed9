//! Tool selection: groups, names, and a read-only server.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::json;
use std::{collections::BTreeMap, fs, path::Path};
use support::{Client, Fixture, Outcome, parameters::valid, program};

fn listed(client: &mut Client) -> Vec<String> {
    let answer = client.request("tools/list", &json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list");
    tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Every file below `path` with its content, ignoring times.
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
fn a_read_only_server_changes_nothing_77() {
    let fixture = Fixture::new();
    fixture.git(&["tag", "t"]);
    fixture.write("a.txt", "edited\n").write("new.txt", "n\n");
    let before = everything(&fixture.path);
    for (args, variables) in [(&["--read-only"][..], &[][..]), (&["--toolsets", "all"], &[("MCP_GIT_READ_ONLY", "true")])] {
        let mut client = fixture.serve_with(args, variables);
        let names = listed(&mut client);
        assert!(names.contains(&"git_status".to_owned()) && !names.contains(&"git_commit".to_owned()), "{names:?}");
        for entry in mcp_server_git::tools::ALL {
            let result = client.result(entry.name, &valid(entry.name, &fixture.path));
            let text = support::text_of(&result);
            if entry.effect == mcp_server_git::Effect::Read {
                // No remote is reachable.
                let asked = text.contains("there is no remote called");
                assert!(result["isError"] != true || asked, "{}: {text}", entry.name);
            } else {
                assert!(text.contains("this server is read-only") && result["isError"] == true, "{}: {text}", entry.name);
            }
            assert_eq!(everything(&fixture.path), before, "{}", entry.name);
        }
    }
}

#[test]
fn tools_are_chosen_by_group_and_by_name() -> Outcome {
    let fixture = Fixture::new();
    let mut client = fixture.serve_with(&["--toolsets", "default,rewrite", "--exclude-tools", "git_reset,git_log"], &[]);
    let names = listed(&mut client);
    assert!(names.contains(&"git_revert".to_owned()) && !names.contains(&"git_reset".to_owned()), "{names:?}");
    let off = client.error("git_log", &json!({}));
    assert!(off.contains("git_log is disabled here"), "{off}");
    let mut client = fixture.serve_with(&["--tools", "git_status"], &[]);
    assert_eq!(listed(&mut client), ["git_status"]);
    assert!(client.error("git_add", &json!({"files": ["."]})).contains("disabled"));
    let mut client = fixture.serve_with(&[], &[("MCP_GIT_TOOLSETS", "reference"), ("MCP_GIT_TOOLS", "git_undo")]);
    assert_eq!(listed(&mut client).len(), 13);
    let wrong = String::from_utf8(program().args(["--tools", "git_nothing", "call", "git_status"]).output()?.stderr)?;
    assert!(wrong.contains("no tool called `git_nothing`"), "{wrong}");
    Ok(())
}
