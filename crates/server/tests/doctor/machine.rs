//! Faults of the machine: limits, folders, the database.

use super::{Outcome, Ward, is_root, write_program};
use crate::support::{
    self,
    programs::{found, not_tried},
};
use std::{fs, os::unix::fs::PermissionsExt, process::Command};

#[test]
fn too_few_descriptors_are_reported() {
    let ward = Ward::new();
    let fix = ward.heals("ulimit -Sn 256", &[], "descriptors", "only 256 files");
    assert_eq!(fix, "ulimit -n 4096");
    let report = ward.report("ulimit -n 300", &[]);
    let finding = report.find("descriptors", "only 300 files").unwrap_or_else(|| panic!("{:#?}", report.checks));
    assert!(finding["fix"].as_str().is_some_and(|fix| fix.contains("LimitNOFILE=4096")), "{finding}");
}

#[test]
fn a_missing_temporary_folder_is_reported() {
    let ward = Ward::new();
    assert_eq!(ward.heals("export TMPDIR=/nonexistent/tmp", &[], "start-up", "/nonexistent/tmp"), "export TMPDIR=/tmp");
}

#[test]
fn a_doctor_that_is_killed_leaves_no_server_running() -> Outcome {
    let ward = Ward::new();
    let git = ward.home.join("git");
    write_program(&git, "#!/bin/sh\n[ \"$*\" = version ] && sleep 1\nexec git \"$@\"\n");
    ward.config(&format!("git = \"{}\"\n", git.display()));
    let mut command = support::program();
    ward.within(&mut command);
    let mut doctor = command.arg("doctor").env("TMPDIR", &ward.home).stdout(std::process::Stdio::null()).spawn()?;
    let line = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut server = None;
    support::wire::wait_for("the temporary server", || {
        server = support::descendants(doctor.id()).into_iter().find(|pid| line(*pid).contains("--admin-socket"));
        server.is_some()
    });
    doctor.kill()?;
    doctor.wait()?;
    support::wire::wait_for("its end", || server.is_some_and(|pid| line(pid).is_empty()));
    Ok(())
}

#[test]
fn the_temporary_server_writes_no_log_and_no_telemetry() -> Outcome {
    let ward = Ward::new();
    let collector = std::net::TcpListener::bind("127.0.0.1:0")?;
    collector.set_nonblocking(true)?;
    let logs = ward.home.join("logs");
    let (file, endpoint) = (logs.join("server.log").display().to_string(), format!("http://{}", collector.local_addr()?));
    let by_variables = format!("export MCP_GIT_LOG_FILE='{file}' MCP_GIT_LOG_LEVEL=info OTEL_EXPORTER_OTLP_ENDPOINT='{endpoint}'");
    for lines in [by_variables.as_str(), ""] {
        if lines.is_empty() {
            ward.config(&format!("[log]\nlevel = \"info\"\nfile = \"{file}\"\n[telemetry]\notlp_endpoint = \"{endpoint}\"\n"));
        }
        let report = ward.report(lines, &["--latency"]);
        assert!(report.state("start-up") == ["ok"] && report.state("latency") == ["ok"], "{:#?}", report.checks);
        assert!(!logs.exists(), "a log was started: {lines}");
        let sent = collector.accept().map(drop).map_err(|err| err.kind());
        assert_eq!(sent, Err(std::io::ErrorKind::WouldBlock), "telemetry was sent: {lines}");
    }
    // A call held at a breakpoint must not block the measurement.
    assert_eq!(ward.report("export MCP_DEBUG_BREAKPOINT=git_status", &["--latency"]).state("latency"), ["ok"]);
    Ok(())
}

#[test]
fn an_unusable_state_folder_is_reported() -> Outcome {
    let ward = Ward::new();
    let state = ward.home.join("state of mine");
    let args = ["--state-dir", &state.display().to_string()].map(str::to_owned);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    fs::write(&state, "")?;
    ward.heals("", &args, "state", "is not a directory");
    assert!(!state.exists());
    fs::create_dir(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o777))?;
    ward.heals("", &args, "state", "other users can write");
    if is_root() {
        std::os::unix::fs::chown(&state, Some(1234), None)?;
        // Root needs no sudo, which may not be installed.
        ward.heals_by("", &args, "state", "belongs to another user", |fix| fix.replace("sudo ", ""));
    } else {
        not_tried("a folder of another user needs root");
        fs::set_permissions(&state, fs::Permissions::from_mode(0o500))?;
        ward.heals("export MCP_GIT_STATE_DIR=\"$HOME/locked\"; mkdir -m 500 -p \"$HOME/locked\"", &[], "state", "cannot be written to");
    }
    Ok(())
}

#[test]
fn a_full_file_system_is_reported() {
    let ward = Ward::new();
    let can_mount =
        Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).status().is_ok_and(|status| status.success());
    if !can_mount {
        not_tried("a file system of its own cannot be mounted here");
        return;
    }
    for (options, words) in [("size=20m", "MiB are free"), ("size=300m,nr_inodes=20", "inodes are free")] {
        let mount = format!(
            "mkdir -p \"$HOME/full\"; mount -t tmpfs -o {options} none \"$HOME/full\"; export MCP_GIT_STATE_DIR=\"$HOME/full\"; chmod 700 \"$HOME/full\""
        );
        let run = |lines: &str| {
            ward.report_in(lines, &[], |command| {
                let mut outer = Command::new("unshare");
                outer.arg("-m").arg(command.get_program()).args(command.get_args()).env_clear();
                outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
                outer.current_dir(command.get_current_dir().expect("a folder"));
                *command = outer;
            })
        };
        let report = run(&mount);
        let finding = report.find("state", words).unwrap_or_else(|| panic!("{words}: {:#?}", report.checks));
        assert!(finding["fix"].as_str().is_some_and(|fix| fix.contains("--state-dir")), "{finding}");
        assert!(run(&format!("{mount}; export MCP_GIT_STATE_DIR=\"$HOME/roomy\"")).find("state", words).is_none());
    }
}

#[test]
fn an_unusable_database_is_reported() -> Outcome {
    let ward = Ward::new();
    let state = ward.home.join("state");
    let named = state.display().to_string();
    let args = ["--state-dir", named.as_str()];
    let store = state.join("store.db");
    fs::create_dir(&state)?;
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700))?;
    let garbage = "no database at all ".repeat(500);
    fs::write(&store, &garbage)?;
    let report = ward.report("", &args);
    assert!(report.find("database", "is damaged").is_some(), "{:#?}", report.checks);
    assert_eq!(fs::read_to_string(&store)?, garbage, "the doctor does not touch it");
    // A process with the file open would keep using it. The system lists its path with links resolved.
    let link = ward.home.join("link");
    std::os::unix::fs::symlink(&state, &link)?;
    let held = fs::File::open(&store)?;
    let report = ward.report("", &["--state-dir", &link.display().to_string()]);
    let finding = report.find("database", "is damaged, in use by").unwrap_or_else(|| panic!("{:#?}", report.checks));
    assert!(finding["fix"].as_str().is_some_and(|fix| fix.contains(&format!("`kill {}`", std::process::id()))), "{finding}");
    drop(held);
    // The fix removes its log as well, and nothing else.
    let (log, other) = (state.join("store.db-wal"), state.join("store.db.bak"));
    fs::write(&log, "")?;
    fs::write(&other, "")?;
    ward.heals("", &args, "database", "is damaged");
    assert!(!log.exists() && other.exists());
    fs::create_dir(&store)?;
    ward.heals("", &args, "database", "is not a regular file");
    // A server creates the database, and the doctor finds the server.
    let server = support::wire::Served::start(&ward.fixture, &["--state-dir", &named], &[("MCP_GIT_STORE_URL", "")]);
    let report = ward.report("", &args);
    let used = report.checks.iter().find(|one| one["name"] == "database").map(|one| one["detail"].to_string()).unwrap_or_default();
    assert!(report.state("database") == ["ok"] && used.contains(&format!("(pid {})", server.child.id())), "{used}");
    drop(server);
    if found("python3").is_some() {
        ward.sh(&format!("python3 -c \"import sqlite3; c = sqlite3.connect('{named}/store.db'); c.execute(\\\"UPDATE mcpgit_meta SET value = '999' WHERE name = 'schema'\\\"); c.commit()\""));
        ward.heals_by("", &args, "database", "version 999", |fix| fix.split('`').nth(1).unwrap_or_default().to_owned());
    }
    Ok(())
}

#[test]
fn an_unreachable_database_is_reported_without_its_password() {
    let ward = Ward::new();
    let lines = "export MCP_GIT_STORE_URL=postgres://user:hunter2@127.0.0.1:1/database";
    let output = ward.output_in(lines, &["--verbose"], |_| {});
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("Connection refused") && !text.contains("hunter2"), "{text}");
    ward.heals_by(lines, &[], "database", "cannot be reached", |fix| fix.split('`').nth(3).unwrap_or_default().to_owned());
}

#[test]
fn a_kernel_without_landlock_is_reported() {
    let ward = Ward::new();
    let run = |lines: &str| ward.report_in(lines, &[], support::without_landlock);
    let report = run("");
    let finding = report.find("sandbox", "Landlock").unwrap_or_else(|| panic!("{:#?}", report.checks));
    assert!(finding["state"] == "note" && finding["fix"].as_str().is_some_and(|fix| fix.contains("--sandbox off")), "{finding}");
    assert!(run("export MCP_GIT_SANDBOX=always").find("sandbox", "no change can be made").is_some_and(|one| one["state"] == "problem"));
    assert_eq!(run("export MCP_GIT_SANDBOX=off").state("sandbox"), ["ok"]);
}
