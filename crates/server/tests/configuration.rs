//! `config`, `completions`, `man`, the help, and `profile`.

#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "tests start the program and fail loudly")]

mod support;

use serde_json::{Value, json};
use std::{fs, process::Output};
use support::{
    Fixture, Outcome,
    admin::{Administered, tool},
    out, program, programs,
};

fn run(args: &[&str], variables: &[(&str, &str)]) -> Output {
    program().args(args).envs(variables.iter().copied()).output().expect("the program runs")
}

#[test]
fn each_value_is_shown_with_its_origin_and_without_secrets() -> Outcome {
    let home = tempfile::tempdir()?;
    let file = home.path().join("config.toml");
    let token = run(&["token", "me"], &[]);
    fs::write(&file, format!("[limits]\nread_timeout = 5\n[store]\nurl = \"postgres://u:s3cret@db.example/x\"\n{}", out(&token)))?;
    let name = file.display().to_string();
    let shown = run(&["config", "show", "--origin", "--config", &name, "--read-only"], &[("MCP_GIT_CHANGE_TIMEOUT", "7")]);
    let text = out(&shown);
    let has =
        |key: &str, rest: &str| text.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") == format!("{key} {rest}"));
    assert!(shown.status.success(), "{shown:?}");
    for (key, rest) in [
        ("limits.read_timeout", format!("5 ({name})")),
        ("limits.change_timeout", "7 (MCP_GIT_CHANGE_TIMEOUT)".to_owned()),
        ("limits.network_timeout", "600 (default)".to_owned()),
        ("read_only", "true (--read-only)".to_owned()),
        ("store.url", format!("postgres://db.example ({name})")),
        ("auth.tokens", format!("me ({name})")),
    ] {
        assert!(has(key, &rest), "{key} {rest}: {text}");
    }
    let hash = out(&token).lines().find_map(|line| line.strip_prefix("sha256 = ").map(|hash| hash.trim_matches('"').to_owned()));
    assert!(!text.contains("s3cret") && !text.contains(&hash.expect("a hash")), "{text}");
    let json: Value = serde_json::from_slice(&run(&["config", "show", "--json", "--config", &name], &[]).stdout)?;
    assert_eq!(json["limits.read_timeout"], "5");
    Ok(())
}

#[test]
fn a_configuration_is_checked_and_mistakes_are_named() -> Outcome {
    let home = tempfile::tempdir()?;
    let file = home.path().join("config.toml");
    let name = file.display().to_string();
    fs::write(&file, "[limits]\nread_timeout = 5\n")?;
    assert!(run(&["config", "check", "--config", &name], &[]).status.success());
    let unread = run(&["config", "check", "--config", &name], &[("MCP_GIT_READ_TIMEOOT", "5")]);
    assert!(unread.status.code() == Some(1) && out(&unread).contains("MCP_GIT_READ_TIMEOOT"), "{unread:?}");
    fs::write(&file, "\n[limits]\nread_timeoot = 5\n")?;
    let wrong = run(&["config", "check", "--config", &name], &[]);
    assert!(wrong.status.code() == Some(1) && out(&wrong).contains("line 3") && out(&wrong).contains("read_timeoot"), "{wrong:?}");
    let started = run(&["serve", "--config", &name], &[]);
    assert_eq!(started.status.code(), Some(2), "{started:?}");
    for text in [out(&wrong), String::from_utf8(started.stderr)?] {
        assert!(text.contains("line 3") && text.ends_with('\n') && !text.ends_with("\n\n"), "{text:?}");
    }
    let level = run(&["--log-level", "session=loud", "config", "check"], &[]);
    assert!(level.status.code() == Some(1) && out(&level).starts_with("--log-level cannot be used"), "{level:?}");
    let held = run(&["config", "check"], &[("MCP_DEBUG_BREAKPOINT", "git_log,git_nothing")]);
    assert!(
        held.status.code() == Some(1) && out(&held).contains("MCP_DEBUG_BREAKPOINT") && out(&held).contains("`git_nothing`"),
        "{held:?}"
    );
    fs::write(&file, "[cache.nothing]\nenabled = false\n")?;
    let cache = run(&["config", "check", "--json", "--config", &name], &[]);
    let reply: Value = serde_json::from_slice(&cache.stdout)?;
    assert!(
        reply["ok"] == false && reply["error"]["message"].as_str().is_some_and(|why| why.contains("unknown cache `nothing`")),
        "{reply}"
    );
    Ok(())
}

#[test]
fn the_schema_of_the_file_documents_each_key() -> Outcome {
    let schema: Value = serde_json::from_slice(&run(&["config", "schema"], &[]).stdout)?;
    assert_eq!(schema["properties"]["port"]["description"].as_str().map(|text| text.starts_with("The port of `serve`")), Some(true));
    assert!(schema["additionalProperties"] == json!(false), "{schema}");
    Ok(())
}

#[test]
fn completions_and_manual_pages_match_the_command_line() -> Outcome {
    for (shell, words) in [("bash", "_mcp__server__git()"), ("zsh", "#compdef mcp-server-git"), ("fish", "complete -c mcp-server-git")] {
        let made = run(&["completions", shell], &[]);
        assert!(made.status.success() && out(&made).contains(words) && out(&made).contains("circuits"), "{shell}");
    }
    assert!(out(&run(&["man"], &[])).contains(".TH mcp-server-git 1"));
    let folder = tempfile::tempdir()?;
    assert!(run(&["man", "--out", &folder.path().display().to_string()], &[]).status.success());
    for page in ["mcp-server-git.1", "mcp-server-git-serve.1", "mcp-server-git-sessions-list.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
    Ok(())
}

#[test]
fn the_help_of_a_sub_command_has_its_own_options() {
    let own = out(&run(&["circuits", "list", "--help"], &[]));
    assert!(own.contains("--json") && own.contains("--pid") && own.contains("--help-all") && !own.contains("--toolsets"), "{own}");
    assert!(out(&run(&["circuits", "list", "--help-all"], &[])).contains("--toolsets"));
    for args in [&["--help"][..], &["serve", "--help"]] {
        assert!(out(&run(args, &[])).contains("--toolsets"), "{args:?}");
    }
    for (args, option) in [
        (&["operations", "--help"][..], "--repository"),
        (&["setup", "--help"], "--repository"),
        (&["config", "show", "--help"], "--config"),
    ] {
        assert!(out(&run(args, &[])).contains(option), "{args:?}");
    }
    // An option's value is no sub-command, and `help` describes the sub-command after it.
    assert!(out(&run(&["-r", "config", "serve", "--help"], &[])).contains("--port"));
    assert!(out(&run(&["help", "circuits"], &[])).contains("reset"));
    // They are accepted anyway.
    assert!(run(&["--log-level", "warn", "config", "show", "--read-only"], &[]).status.success());
}

#[test]
fn the_processors_are_profiled_while_the_server_runs() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let folder = fixture.home.path().join("profiles");
    let over = std::sync::atomic::AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                tool(&server, "git_log", json!({"max_count": 5}));
            }
        });
        let mut profile = program();
        profile.args(["profile", "cpu", "--seconds", "2", "--out"]).arg(&folder).arg("--socket").arg(&server.socket);
        let taken = profile.output();
        over.store(true, std::sync::atomic::Ordering::SeqCst);
        taken
    })?;
    assert!(taken.status.success() && out(&taken).contains("Samples: "), "{taken:?}");
    let svg = fs::read_to_string(folder.join("cpu_profile.svg"))?;
    assert!(svg.starts_with("<svg") && svg.contains("samples"), "{svg}");
    assert_eq!(fs::read(folder.join("cpu_profile.pb.gz"))?[..2], [0x1f, 0x8b]);
    Ok(())
}

#[test]
fn a_check_finds_what_stops_a_server() -> Outcome {
    for args in [["-r", "/no/such/place"], ["--git", "/no/such/git"]] {
        let checked = program().args(["config", "check"]).args(args).output()?;
        assert!(checked.status.code() == Some(1) && out(&checked).contains("/no/such"), "{checked:?}");
    }
    let misspelt = program().args(["config", "check"]).env("MCP_DEBUG_BREAKPOIN", "1").output()?;
    assert!(misspelt.status.code() == Some(1) && out(&misspelt).contains("MCP_DEBUG_BREAKPOIN"), "{misspelt:?}");
    let unreadable = program().args(["config", "show", "--config", "/no/such/file"]).output()?;
    assert_eq!(unreadable.status.code(), Some(2), "{unreadable:?}");
    Ok(())
}

#[test]
fn the_shown_configuration_is_in_force() -> Outcome {
    let fixture = Fixture::new();
    let file = fixture.home.path().join("config.toml");
    fs::write(&file, "read_only = true\n")?;
    let mut show = program();
    show.args(["config", "show", "--origin", "--config"]).arg(&file).env("MCP_GIT_READ_ONLY", "false").env("RUST_LOG", "debug");
    let shown = out(&show.output()?);
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("read_only").contains("true") && line("read_only").contains("config.toml"), "{}", line("read_only"));
    assert!(line("log.level").contains("debug") && line("log.level").contains("RUST_LOG"), "{}", line("log.level"));
    Ok(())
}

#[test]
fn no_profile_reaches_a_remote_or_another_worktree() -> Outcome {
    let fixture = Fixture::new();
    let bare = fixture.home.path().join("bare.git");
    fixture.git(&["clone", "--quiet", "--bare", ".", &bare.display().to_string()]);
    fixture.git(&["remote", "add", "origin", &bare.display().to_string()]);
    fixture.git(&["branch", "new"]);
    let linked = fixture.home.path().join("linked").display().to_string();
    fixture.git(&["worktree", "add", "--quiet", "--detach", &linked]);
    let profile = |args: &[&str], repo: &str| program().args(["profile", "op"]).args(args).args(["--repo", repo, "--runs", "1"]).output();
    let pushed = profile(&["git_push", r#"{"remote": "origin", "branch": "new"}"#], &fixture.path.display().to_string())?;
    assert!(pushed.status.code() == Some(2) && format!("{pushed:?}").contains("changes a remote"), "{pushed:?}");
    assert!(!String::from_utf8_lossy(&support::git_in(&bare, &["branch"]).stdout).contains("new"));
    let added = profile(&["git_add", r#"{"files": ["a.txt"]}"#], &linked)?;
    assert!(added.status.code() == Some(2) && format!("{added:?}").contains("linked worktree"), "{added:?}");
    Ok(())
}

#[test]
fn long_commands_show_progress_only_on_a_terminal() -> Outcome {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let folder = fixture.home.path().join("profiles").display().to_string();
    let (socket, repo) = (server.socket.display().to_string(), fixture.path.display().to_string());
    let script = programs::found("script");
    for (args, shown) in [
        (["profile", "cpu", "--seconds", "1", "--out", &folder, "--socket", &socket].as_slice(), "sampling: "),
        (&["profile", "op", "git_log", "--runs", "300", "--out", &folder, "--repo", &repo], "runs: "),
    ] {
        let piped = program().args(args).output()?;
        assert!(piped.status.success() && !format!("{piped:?}").contains(shown), "{piped:?}");
        let Some(script) = &script else { continue };
        // A terminal of its own shows both outputs.
        let line = format!("{} '{}'", program().get_program().display(), args.join("' '"));
        let mut terminal = std::process::Command::new(script);
        terminal.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "xterm").stdin(std::process::Stdio::null());
        let seen = terminal.output()?;
        assert!(seen.status.success() && out(&seen).contains(shown) && out(&seen).contains("Written: "), "{seen:?}");
    }
    Ok(())
}

#[test]
fn one_operation_is_profiled_and_changes_are_made_in_a_copy() -> Outcome {
    let fixture = Fixture::new();
    let (repo, folder) = (fixture.path.display().to_string(), fixture.home.path().join("profiles"));
    let profile = |args: &[&str]| {
        let mut command = program();
        command.args(["profile", "op"]).args(args).args(["--repo", &repo, "--json", "--out"]).arg(&folder).output()
    };
    let read = profile(&["git_log", "{\"max_count\": 2}", "--runs", "20"])?;
    let reply: Value = serde_json::from_slice(&read.stdout)?;
    assert!(reply["runs"] == 20 && reply["failures"] == 0 && reply["ms"]["p50"].as_f64() > Some(0.0), "{reply}");
    assert!(reply["ms"]["max"].as_f64() >= reply["ms"]["p50"].as_f64() && folder.join("git_log_profile.svg").is_file(), "{reply}");
    let input = fixture.home.path().join("batch.jsonl");
    fs::write(&input, "{\"message\": \"one\", \"allow_empty\": true}\n{\"message\": \"two\", \"allow_empty\": true}\n")?;
    let before = fixture.git(&["rev-parse", "HEAD"]);
    let change = profile(&["git_commit", "--runs", "4", "--input", &input.display().to_string()])?;
    let reply: Value = serde_json::from_slice(&change.stdout)?;
    assert!(reply["failures"] == 0, "{reply}");
    assert_eq!(fixture.git(&["rev-parse", "HEAD"]), before, "the repository itself is unchanged");
    // A failing operation is profiled, too.
    let failed = profile(&["git_show", "{\"revision\": \"nowhere\"}", "--runs", "3"])?;
    let reply: Value = serde_json::from_slice(&failed.stdout)?;
    assert!(failed.status.code() == Some(1) && reply["failures"] == 3 && folder.join("git_show_profile.pb.gz").is_file(), "{reply}");
    Ok(())
}
