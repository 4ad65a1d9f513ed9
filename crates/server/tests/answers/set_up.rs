//! `setup` writes an entry no weaker than what was requested or present.

use crate::support::{Fixture, Outcome, program};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

/// A home folder with the configurations of clients.
struct Home {
    fixture: Fixture,
    path: PathBuf,
}

impl Home {
    fn new() -> Self {
        let fixture = Fixture::new();
        let path = fixture.path.with_file_name("home");
        fs::create_dir_all(&path).expect("a folder");
        Self { fixture, path }
    }

    fn run_in(&self, folder: &Path, args: &[&str]) -> Output {
        let mut command = program();
        command.env("HOME", &self.path).env("XDG_CONFIG_HOME", self.path.join(".config")).env_remove("CODEX_HOME");
        command.current_dir(folder).args(args).output().expect("the program")
    }

    fn set_up(&self, args: &[&str]) -> Output {
        let output = self.run_in(&self.fixture.path, args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    fn entry(&self, file: &str, key: &str) -> Value {
        let text = fs::read_to_string(self.path.join(file)).expect("a configuration");
        let whole: Value = if key == "mcp_servers" {
            let table: toml::Table = toml::from_str(&text).expect("TOML");
            serde_json::to_value(table).expect("JSON")
        } else {
            serde_json::from_str(&text).expect("JSON")
        };
        whole[key]["git"].clone()
    }
}

/// General options, with values, that change what a server may do or where it works.
fn options(home: &Home) -> Vec<(&'static str, Option<String>)> {
    let config = home.fixture.path.with_file_name("settings.toml");
    fs::write(&config, "[limits]\nread_timeout = 5\n").expect("a file");
    let state = home.fixture.path.with_file_name("state");
    vec![
        ("--config", Some(config.display().to_string())),
        ("--toolsets", Some("default,history".to_owned())),
        ("--tools", Some("git_push".to_owned())),
        ("--exclude-tools", Some("git_clean,git_reset".to_owned())),
        ("--read-only", None),
        ("--trust", Some("untrusted".to_owned())),
        ("--sandbox", Some("untrusted".to_owned())),
        ("--git", Some("git".to_owned())),
        ("--state-dir", Some(state.display().to_string())),
        ("--log-level", Some("warn".to_owned())),
        ("--log-format", Some("json".to_owned())),
        ("--max-output-tokens", Some("900".to_owned())),
    ]
}

#[test]
fn setup_preserves_every_general_option() -> Outcome {
    let home = Home::new();
    let help = String::from_utf8(home.set_up(&["--help"]).stdout)?;
    let options = options(&home);
    let own = ["--repository", "--help", "--version", "--help-all"];
    let listed = help.lines().map(str::trim).filter(|line| line.starts_with('-'));
    for named in listed.flat_map(str::split_whitespace).filter(|word| word.starts_with("--")) {
        let name = named.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        assert!(own.contains(&name) || options.iter().any(|(option, _)| *option == name), "`{name}` is not tried");
    }
    for (client, file, key) in [
        ("codex", ".codex/config.toml", "mcp_servers"),
        ("cursor", ".cursor/mcp.json", "mcpServers"),
        ("zed", ".config/zed/settings.json", "context_servers"),
    ] {
        let mut args: Vec<&str> = Vec::new();
        for (name, value) in &options {
            args.push(name);
            args.extend(value.as_deref());
        }
        let wanted: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        args.extend(["setup", client, "--write"]);
        home.set_up(&args);
        let entry = home.entry(file, key);
        let written: Vec<String> = serde_json::from_value(entry["args"].clone())?;
        assert_eq!(written, [vec!["-r".to_owned(), home.fixture.path.display().to_string()], wanted].concat(), "{client}");
    }
    // The written entry starts a server that obeys it.
    let entry = home.entry(".cursor/mcp.json", "mcpServers");
    let args: Vec<String> = serde_json::from_value(entry["args"].clone())?;
    let call: Vec<&str> = args.iter().map(String::as_str).chain(["call", "git_commit", r#"{"message": "x"}"#]).collect();
    let refused = home.run_in(Path::new("/"), &call);
    assert!(!refused.status.success(), "{}", String::from_utf8_lossy(&refused.stdout));
    Ok(())
}

#[test]
fn repeated_setup_adds_and_never_removes() -> Outcome {
    let home = Home::new();
    let second = home.fixture.path.with_file_name("second");
    fs::create_dir_all(&second)?;
    assert!(crate::support::git_in(&second, &["init", "-q"]).status.success());
    let (first, second) = (home.fixture.path.display().to_string(), second.display().to_string());
    for (client, file, key) in [("cursor", ".cursor/mcp.json", "mcpServers"), ("codex", ".codex/config.toml", "mcp_servers")] {
        home.set_up(&["-r", &first, "--read-only", "setup", client, "--write"]);
        // The user's additions to the entry stay, too.
        let path = home.path.join(file);
        let text = fs::read_to_string(&path)?;
        let more = if client == "codex" {
            text + "\n[mcp_servers.git.env]\nSSH_AUTH_SOCK = \"/run/agent\"\n"
        } else {
            text.replacen("\"command\"", "\"env\": {\"SSH_AUTH_SOCK\": \"/run/agent\"},\n      \"command\"", 1)
        };
        fs::write(&path, more)?;
        let reply = String::from_utf8(home.set_up(&["-r", &second, "setup", client, "--write"]).stderr)?;
        assert!(reply.contains("--read-only"), "{reply}");
        let entry = home.entry(file, key);
        assert_eq!(entry["args"], json!(["-r", first, "-r", second, "--read-only"]), "{client}");
        assert_eq!(entry["env"]["SSH_AUTH_SOCK"], "/run/agent", "{client}: {entry}");
        // Repeated: nothing is written, and no further backup is kept.
        let before = fs::read_to_string(&path)?;
        let answer = String::from_utf8(home.set_up(&["-r", &second, "setup", client, "--write"]).stdout)?;
        assert!(answer.contains("already has this entry") && fs::read_to_string(&path)? == before, "{answer}");
        let backups =
            fs::read_dir(path.parent().ok_or("a folder")?)?.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(".bak"));
        assert_eq!(backups.count(), 1, "{client}");
    }
    // Another program of that name is replaced, and reported; unknown arguments stop it.
    let gemini = home.path.join(".gemini/settings.json");
    fs::create_dir_all(gemini.parent().ok_or("a folder")?)?;
    fs::write(&gemini, r#"{"mcpServers": {"git": {"command": "npx", "args": ["other"], "env": {"A": "b"}}}}"#)?;
    assert!(String::from_utf8(home.set_up(&["setup", "gemini", "--write"]).stderr)?.contains("`npx`"));
    assert_eq!(home.entry(".gemini/settings.json", "mcpServers").get("env"), None);
    let odd = r#"{"mcpServers": {"git": {"command": "mcp-server-git", "args": ["--from-the-future"]}}}"#;
    fs::write(&gemini, odd)?;
    let refused = home.run_in(&home.fixture.path, &["setup", "gemini", "--write"]);
    assert!(!refused.status.success() && String::from_utf8(refused.stderr)?.contains("--from-the-future"));
    assert_eq!(fs::read_to_string(&gemini)?, odd);
    Ok(())
}

#[test]
fn setup_refuses_a_folder_without_a_repository() -> Outcome {
    let home = Home::new();
    let empty = home.fixture.path.with_file_name("empty");
    fs::create_dir_all(&empty)?;
    let file = empty.join("file");
    fs::write(&file, "")?;
    for path in [empty.display().to_string(), file.display().to_string(), empty.join("absent").display().to_string()] {
        let refused = home.run_in(&home.fixture.path, &["-r", &path, "setup", "cursor", "--write"]);
        let said = String::from_utf8(refused.stderr)?;
        assert!(refused.status.code() == Some(2) && said.contains(&path), "{said}");
    }
    assert_eq!(home.run_in(&empty, &["setup", "cursor", "--write"]).status.code(), Some(2));
    assert!(!home.path.join(".cursor").exists());
    // A folder of repositories, and a folder inside one.
    let below = home.fixture.path.join("below");
    fs::create_dir_all(&below)?;
    for path in [home.fixture.path.parent().ok_or("a folder")?, &below] {
        home.set_up(&["-r", &path.display().to_string(), "setup", "cursor", "--write"]);
    }
    Ok(())
}

#[test]
fn a_shared_file_contains_no_local_path() -> Outcome {
    let home = Home::new();
    let project = &home.fixture.path;
    let part = project.join("part");
    fs::create_dir_all(&part)?;
    assert!(crate::support::git_in(&part, &["init", "-q"]).status.success());
    fs::write(project.join("agents.toml"), "")?;
    for (client, file, key, top) in
        [("claude-code", ".mcp.json", "mcpServers", "."), ("vscode", ".vscode/mcp.json", "servers", "${workspaceFolder}")]
    {
        let reply = String::from_utf8(home.set_up(&["setup", client, "--write"]).stderr)?;
        let entry = |home: &Home| home.entry(&project.join(file).display().to_string(), key);
        assert_eq!((&entry(&home)["command"], &entry(&home)["args"]), (&json!("mcp-server-git"), &json!([])), "{client}");
        // This program is not on the path; the named command puts it there.
        assert!(reply.contains("on PATH"), "{reply}");
        home.set_up(&["-r", ".", "-r", "part", "--config", "agents.toml", "setup", client, "--write"]);
        let args = json!(["-r", top, "-r", format!("{top}/part"), "--config", format!("{top}/agents.toml")]);
        assert_eq!(entry(&home)["args"], args, "{client}");
        let other = Fixture::new();
        let far = other.path.display().to_string();
        let answer = String::from_utf8(home.set_up(&["-r", &far, "setup", client, "--write"]).stderr)?;
        assert!(answer.contains("exists only on this machine") && answer.contains(&far), "{answer}");
    }
    Ok(())
}
