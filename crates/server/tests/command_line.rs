//! The sub-commands in a user's first five minutes.

#![allow(clippy::expect_used, reason = "tests fail loudly")]

mod support;

use serde_json::{Value, json};
use std::fs;
use support::{Fixture, Outcome, program};

#[test]
fn call_prints_text_and_fails_with_the_tool() -> Outcome {
    let fixture = Fixture::new();
    let output = fixture.call("git_log", &json!({"max_count": 1}));
    assert!(output.status.success() && String::from_utf8(output.stdout)?.contains("second"));
    let output = fixture.call("git_show", &json!({"revision": "nope"}));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr)?.contains("unknown revision `nope`"));
    let output = fixture.call("git_nothing", &json!({}));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr)?.contains("git_status"));
    Ok(())
}

#[test]
fn versions_are_printed_and_a_missing_or_old_git_is_explained() -> Outcome {
    let text = String::from_utf8(program().arg("--version").output()?.stdout)?;
    assert!(text.contains("commit ") && text.contains("git 2."), "{text}");
    let fixture = Fixture::new().by_git();
    let old = fixture.path.join("../old-git");
    fs::write(&old, "#!/bin/sh\necho git version 2.39.5\n")?;
    fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    for (git, expect) in [("/nonexistent/git".to_owned(), "Install git 2.40"), (old.display().to_string(), "2.39.5 is too old")] {
        let output = program().arg("-r").arg(&fixture.path).args(["--git", &git, "call", "git_blame", r#"{"path": "a.txt"}"#]).output()?;
        let text = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && text.contains(expect), "{text}");
    }
    Ok(())
}

#[test]
fn a_faulty_configuration_is_pointed_at() -> Outcome {
    let fixture = Fixture::new();
    let file = fixture.path.join("../config.toml");
    fs::write(&file, "port = 1\n[limits]\nmax_tokens = 3\n")?;
    let output = program().arg("--config").arg(&file).args(["call", "git_status"]).output()?;
    let text = String::from_utf8(output.stderr)?;
    assert!(output.status.code() == Some(2) && text.contains("line 3") && text.contains("max_output_tokens"), "{text}");
    let output = program().args(["-r", "/nonexistent/root", "call", "git_status"]).output()?;
    assert!(String::from_utf8(output.stderr)?.contains("/nonexistent/root"));
    fs::write(&file, "repositories = [\"/nonexistent\"]\n[limits]\nmax_output_tokens = 700\n")?;
    fixture.write("a.txt", "line\n".repeat(5000));
    let output = program().arg("--config").arg(&file).arg("-r").arg(&fixture.path).args(["call", "git_diff"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    assert!(output.status.success() && text.len() <= 2800, "the flag wins for the root, the file sets the limit: {}", text.len());
    Ok(())
}

#[test]
fn setup_prints_and_merges_with_a_backup() -> Outcome {
    let fixture = Fixture::new();
    let home = fixture.path.join("../home");
    fs::create_dir_all(&home)?;
    let run = |client: &str, write: bool| {
        let mut command = program();
        command.env("HOME", &home).env("XDG_CONFIG_HOME", home.join(".config")).current_dir(&fixture.path);
        command.arg("-r").arg(&fixture.path).args(["setup", client]).args(write.then_some("--write"));
        command.output()
    };
    for client in ["claude-code", "claude-desktop", "vscode", "cursor", "zed", "codex", "gemini"] {
        let printed = String::from_utf8(run(client, false)?.stdout)?;
        let command = if ["claude-code", "vscode"].contains(&client) { "\"mcp-server-git\"" } else { env!("CARGO_BIN_EXE_mcp-server-git") };
        assert!(printed.contains(command), "{client}: {printed}");
        assert!(run(client, true)?.status.success(), "{client}");
    }
    let cursor = home.join(".cursor/mcp.json");
    fs::write(&cursor, r#"{"mcpServers": {"other": {"command": "x"}}, "kept": [1]}"#)?;
    assert!(run("cursor", true)?.status.success());
    let merged: Value = serde_json::from_slice(&fs::read(&cursor)?)?;
    assert_eq!((&merged["mcpServers"]["other"]["command"], &merged["kept"][0]), (&json!("x"), &json!(1)));
    assert_eq!(merged["mcpServers"]["git"]["args"][1], fixture.path.display().to_string());
    assert!(home.join(".cursor/mcp.json.bak").exists());
    let codex = home.join(".codex/config.toml");
    fs::write(&codex, "# mine\nmodel = \"x\"\n\n[mcp_servers.other]\ncommand = \"y\"\n")?;
    assert!(run("codex", true)?.status.success());
    let merged = fs::read_to_string(&codex)?;
    assert!(["# mine", "[mcp_servers.other]", "[mcp_servers.git]"].iter().all(|part| merged.contains(part)), "{merged}");
    let zed = home.join(".config/zed/settings.json");
    fs::write(&zed, "// a comment\n{}\n")?;
    let refused = run("zed", true)?;
    assert!(!refused.status.success() && fs::read_to_string(&zed)?.starts_with("// a comment"), "a file with comments is left alone");
    Ok(())
}

#[test]
fn stdio_mode_points_at_serve_when_a_port_is_given() -> Outcome {
    let output = program().env("MCP_GIT_PORT", "8080").stdin(std::process::Stdio::null()).output()?;
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr)?.contains("serve"));
    Ok(())
}
