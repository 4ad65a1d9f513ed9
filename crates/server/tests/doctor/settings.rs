//! Faults of the configuration, the environment, and the configurations of clients.

use super::{Outcome, Ward, write, write_program};
use std::fs;

#[test]
fn unread_variables_are_reported() {
    let ward = Ward::new();
    let fix = ward.heals("export MCP_GIT_PROT=0", &[], "environment", "MCP_GIT_PORT is");
    assert_eq!(fix, "export MCP_GIT_PORT=\"$MCP_GIT_PROT\"; unset MCP_GIT_PROT");
    ward.heals("export MCP_GIT_FAVOURITE_COLOUR=1", &[], "environment", "MCP_GIT_FAVOURITE_COLOUR");
    ward.heals("export MCP_GIT_PORT=1", &["--port", "0"], "overrides", "--port overrides");
}

#[test]
fn an_unusable_configuration_is_reported() {
    let ward = Ward::new();
    ward.heals("export MCP_GIT_PORT=x", &[], "configuration", "MCP_GIT_PORT");
    ward.heals("export MCP_GIT_HOST=0.0.0.0", &[], "configuration", "can be reached from other machines");
    // The flag overrides the variable, so unsetting the variable would change nothing.
    let lines = "export MCP_GIT_HOST=0.0.0.0";
    ward.heals_by(lines, &["--host", "0.0.0.0"], "configuration", "can be reached from other machines", |fix| {
        assert!(fix.starts_with("Remove `--host`"), "{fix}");
        "set -- doctor --json; unset MCP_GIT_HOST".to_owned()
    });
    assert_eq!(ward.heals("export MCP_GIT_RATE=5", &[], "configuration", "http.rate"), "unset MCP_GIT_RATE");
    ward.heals("export MCP_GIT_LOG_LEVEL=git=loud", &[], "configuration", "MCP_GIT_LOG_LEVEL");
    ward.heals_by("export MCP_GIT_TOOLS=git_nothing", &[], "configuration", "git_nothing", |fix| {
        assert!(fix.contains("MCP_GIT_TOOLS"), "{fix}");
        "unset MCP_GIT_TOOLS".to_owned()
    });
    let file = ward.config("port = 0\n[limits]\nmax_tokens = 3\n");
    let report = ward.report("", &[]);
    assert!(report.state("git") == ["skipped"] && report.state("environment") == ["ok"], "{:#?}", report.checks);
    ward.heals_by("", &[], "configuration", "line 3", |fix| {
        assert!(fix.contains(&file.display().to_string()), "{fix}");
        format!("sed -i 3d '{}'", file.display())
    });
    ward.heals_by("", &["--config", "/nonexistent/x.toml"], "configuration", "/nonexistent/x.toml", |_| {
        format!("set -- doctor --json --config '{}'", file.display())
    });
}

#[test]
fn clients_that_start_another_program_are_reported() -> Outcome {
    let ward = Ward::new();
    let gone = ward.home.join("gone/mcp-server-git");
    let roots = ward.fixture.path.display().to_string();
    let cursor = ward.home.join(".cursor/mcp.json");
    write(&cursor, &format!(r#"{{"mcpServers": {{"git": {{"command": "{}", "args": ["-r", "{roots}"]}}}}}}"#, gone.display()));
    let fix = ward.heals("", &[], "clients", "cursor");
    assert!(fix.contains("setup cursor --write"), "{fix}");
    assert!(fs::read_to_string(&cursor)?.contains(&roots));
    // The rest of the entry stays.
    for (rest, kept) in [
        (format!(r#""args": ["-r", "{roots}", "--read-only"]"#), "--read-only"),
        (format!(r#""args": ["-r", "{roots}"], "env": {{"MCP_GIT_PORT": "1"}}"#), "MCP_GIT_PORT"),
    ] {
        write(&cursor, &format!(r#"{{"mcpServers": {{"git": {{"command": "{}", {rest}}}}}}}"#, gone.display()));
        ward.heals("", &[], "clients", "cursor");
        let text = fs::read_to_string(&cursor)?;
        assert!(text.contains(kept) && text.contains(&roots), "{text}");
    }
    // Entries that `setup` would not write are edited by hand.
    let changed = |file: &std::path::Path, fix: &str| {
        assert!(fix.starts_with("Change `command` of "), "{fix}");
        let own = fix.trim_end_matches('.').rsplit(' ').next().unwrap_or_default().to_owned();
        format!("sed -i 's|{}|{own}|' '{}'", gone.display(), file.display())
    };
    for rest in [r#""args": ["-r", "${workspaceFolder}"]"#, r#""args": ["--from-the-future"]"#, r#""args": []"#] {
        write(&cursor, &format!(r#"{{"mcpServers": {{"git": {{"command": "{}", {rest}}}}}}}"#, gone.display()));
        ward.heals_by("", &[], "clients", "cursor", |fix| changed(&cursor, fix));
        assert!(fs::read_to_string(&cursor)?.contains(rest), "{rest}");
    }
    // An entry not named `git`, in a file with comments.
    let zed = ward.home.join(".config/zed/settings.json");
    write(&zed, &format!("// mine\n{{\"context_servers\": {{\"mine\": {{\"command\": \"{}\",}},}},}}\n", gone.display()));
    ward.heals_by("", &[], "clients", "`mine`", |fix| changed(&zed, fix));
    write(&zed, &format!("// mine\n{{\"context_servers\": {{\"git\": {{\"command\": \"{}\"}}}}}}\n", gone.display()));
    ward.heals_by("", &[], "clients", "zed", |fix| changed(&zed, fix));
    // A program that exists but cannot be started; then another program.
    let codex = ward.home.join(".codex/config.toml");
    write(&gone, "#!/bin/sh\necho other\n");
    write(&codex, &format!("[mcp_servers.git]\ncommand = \"{}\"\n", gone.display()));
    ward.heals("", &[], "clients", "which is not executable");
    ward.heals_by("", &[], "clients", "codex", |fix| changed(&codex, fix));
    // The package of the same name.
    write(&ward.home.join(".gemini/settings.json"), r#"{"mcpServers": {"git": {"command": "uvx", "args": ["mcp-server-git"]}}}"#);
    ward.heals("", &[], "clients", "uvx");
    let unreadable = ward.home.join(".claude.json");
    write(&unreadable, &format!(r#"{{"projects": {{"/x": {{"mcpServers": {{"mine": {{"command": "{}"}}}}}}}}}}"#, gone.display()));
    assert!(ward.report("", &[]).find("clients", "`mine` of claude-code").is_some());
    write(&unreadable, "{");
    ward.heals_by("", &[], "clients", "cannot be read", |_| format!("echo '{{}}' > '{}'", unreadable.display()));
    assert_eq!(ward.report("", &[]).state("clients"), ["ok"]);
    Ok(())
}

#[test]
fn another_program_of_the_same_name_on_the_path_is_reported() {
    let ward = Ward::new();
    let bin = ward.home.join("bin");
    write_program(&bin.join("mcp-server-git"), "#!/bin/sh\necho mcp-server-git 0.0.1\n");
    ward.heals(&format!("export PATH='{}':\"$PATH\"", bin.display()), &[], "executable", "mcp-server-git 0.0.1");
}

#[test]
fn an_unusable_git_is_reported() {
    let ward = Ward::new();
    ward.heals_by("old=$PATH; export PATH=/nonexistent", &[], "git", "could not be started", |fix| {
        assert!(fix.contains("git"), "{fix}");
        "export PATH=$old".to_owned()
    });
    let program = ward.home.join("git");
    let of_version = |version: &str| {
        write_program(&program, &format!("#!/bin/sh\n[ \"$*\" = version ] && exec echo git version {version}\nexec git \"$@\"\n"));
    };
    let config = ward.config(&format!("git = \"{}\"\n", program.display()));
    let cure = |_: &str| format!("rm '{}'", config.display());
    write(&program, "not executable");
    assert!(ward.report("", &[]).find("git", "could not be started").is_some());
    of_version("2.30.0");
    let report = ward.report("", &[]);
    assert!(report.find("git", "2.30.0 is too old").is_some() && report.state("start-up") == ["skipped"], "{:#?}", report.checks);
    of_version("2.43.0");
    let report = ward.report("", &[]);
    assert!(report.find("git", "older than 2.43.7").is_some_and(|one| one["state"] == "note"), "{:#?}", report.checks);
    of_version("2.50.1");
    assert!(ward.report("", &[]).state("git") == ["ok"]);
    of_version("2.30.0");
    ward.heals_by("", &[], "git", "too old", cure);
}
