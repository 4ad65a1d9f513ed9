//! Hints for operators and callers lead to a working setup: which file, which variable, which call.

use crate::support::{Client, Fixture, Outcome, program, wire::Served};
use serde_json::{Value, json};
use std::{fs, process::Stdio};

#[test]
fn hints_about_the_configuration_name_its_file_and_help() -> Outcome {
    let fixture = Fixture::new();
    fixture.git(&["remote", "add", "origin", "http://127.0.0.1:9/x.git"]);
    let config = fixture.path.with_file_name("settings.toml");
    fs::write(&config, "")?;
    let place = config.display().to_string();
    let fetch = || -> String { fixture.serve_with(&["--config", &place], &[]).error("git_fetch", &json!({})) };
    // Each hint, followed, leads to the next fault, until nothing is refused.
    let mut settings = String::from("[network]\n");
    for expect in ["protocols", "allow_hosts"] {
        let refused = fetch();
        assert!(refused.contains(&place) && refused.contains(expect), "{refused}");
        let line = refused.split('`').find(|part| part.starts_with(expect)).ok_or("a setting")?;
        settings = format!("{settings}{line}\n");
        fs::write(&config, &settings)?;
    }
    let refused = fetch();
    assert!(!refused.contains(&place) && refused.contains("could not be reached"), "{refused}");
    // Without a file, the hint names the default one.
    let home = fixture.path.with_file_name("config");
    let mut client = Client::start(&["-r", &fixture.path.display().to_string()], &[("XDG_CONFIG_HOME", &home.display().to_string())]);
    client.initialize();
    let refused = client.error("git_fetch", &json!({}));
    assert!(refused.contains(&home.join("mcp-server-git/config.toml").display().to_string()), "{refused}");
    Ok(())
}

#[test]
fn a_configurations_effects_are_reported_with_its_file() -> Outcome {
    let fixture = Fixture::new();
    let config = fixture.path.with_file_name("settings.toml");
    let place = config.display().to_string();
    for (text, expect) in [
        ("repositories = [\"/nonexistent/root\"]\n", "/nonexistent/root"),
        ("tools = [\"git_nothing\"]\n", "git_nothing"),
        ("[http]\nhost = \"0.0.0.0\"\n", "token"),
    ] {
        fs::write(&config, text)?;
        for args in [&["serve", "--port", "0"][..], &["config", "check"], &["call", "git_status"]] {
            let output = program().args(["--config", &place]).args(args).stdin(Stdio::null()).output()?;
            let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
            assert!(!output.status.success() && said.contains(&place) && said.contains(expect), "{args:?}: {said}");
        }
    }
    // A root from the command line does not come from the file.
    fs::write(&config, "repositories = [\"/nonexistent/root\"]\n")?;
    let output = program().args(["--config", &place, "-r", "/nonexistent/other", "call", "git_status"]).output()?;
    let said = String::from_utf8(output.stderr)?;
    assert!(said.contains("/nonexistent/other") && !said.contains(&place), "{said}");
    Ok(())
}

#[test]
fn unread_variables_are_reported_at_the_start() -> Outcome {
    let fixture = Fixture::new();
    let variable = ("MCP_GIT_MAX_TOKENS", "5");
    let mut client = fixture.serve_with(&[], &[variable]);
    client.ping();
    let (_, _, said) = client.end();
    assert!(said.contains("MCP_GIT_MAX_TOKENS"), "{said}");
    let output = program().arg("-r").arg(&fixture.path).args(["call", "git_status"]).env(variable.0, variable.1).output()?;
    assert!(output.status.success() && String::from_utf8(output.stderr)?.contains("MCP_GIT_MAX_TOKENS"));
    let log = fixture.path.with_file_name("log");
    let mut command = program();
    command.arg("-r").arg(&fixture.path).args(["serve", "--port", "0"]).env(variable.0, variable.1).stderr(fs::File::create(&log)?);
    drop(Served::spawn(&mut command));
    assert!(fs::read_to_string(&log)?.contains("MCP_GIT_MAX_TOKENS"));
    Ok(())
}

#[test]
fn a_message_without_jsonrpc_is_accepted_leniently_and_refused_strictly() {
    let fixture = Fixture::new();
    let call = json!({"id": 5, "method": "tools/call", "params": {"name": "git_status", "arguments": {}}});
    for (mode, is_answered) in [("lenient", true), ("strict", false)] {
        let mut client = fixture.serve_with(&[], &[("MCP_GIT_VALIDATION", mode)]);
        client.send_json(&call);
        let answer: Value = client.answer_to(&json!(5));
        assert_eq!(answer.get("error").is_none(), is_answered, "{mode}: {answer}");
        let reply = if is_answered { &answer["result"]["_meta"] } else { &answer["error"] };
        assert!(reply.to_string().contains("/jsonrpc is missing"), "{mode}: {answer}");
        client.send_json(&json!({"id": 6, "method": "ping"}));
        assert_eq!(client.answer_to(&json!(6)).get("error").is_none(), is_answered, "{mode}");
        // Another version is another protocol.
        client.send_json(&json!({"jsonrpc": "1.0", "id": 7, "method": "ping"}));
        assert!(client.answer_to(&json!(7)).get("error").is_some(), "{mode}");
    }
}

#[test]
fn a_checkout_that_would_overwrite_names_the_files_and_a_fix() -> Outcome {
    let fixture = Fixture::new();
    fixture.git(&["checkout", "-q", "-b", "other"]);
    fixture.write("a.txt", "theirs\n").write("new.txt", "theirs\n").commit("other");
    fixture.git(&["checkout", "-q", "main"]);
    let mut client = fixture.serve();
    let checkout = json!({"branch_name": "other"});
    for (path, staged) in [("a.txt", false), ("a.txt", true)] {
        fixture.write(path, "mine\n");
        if staged {
            fixture.git(&["add", path]);
        }
        let refused = client.error("git_checkout", &checkout);
        assert!(refused.contains("uncommitted changes would be overwritten: a.txt") && !refused.contains("exit status"), "{refused}");
        assert_eq!(fs::read_to_string(fixture.path.join(path))?, "mine\n");
        // Following the hint.
        client.text("git_stash", &json!({}));
        client.text("git_checkout", &checkout);
        client.text("git_checkout", &json!({"branch_name": "main"}));
        client.text("git_stash", &json!({"action": "pop"}));
        assert_eq!(fs::read_to_string(fixture.path.join(path))?, "mine\n");
        fixture.git(&["reset", "-q", "--hard"]);
    }
    fixture.write("new.txt", "mine\n");
    let refused = client.error("git_checkout", &checkout);
    assert!(refused.contains("untracked files would be overwritten: new.txt"), "{refused}");
    client.text("git_add", &json!({"files": ["new.txt"]}));
    client.text("git_stash", &json!({}));
    client.text("git_checkout", &checkout);
    Ok(())
}
