//! `doctor`: each fault is planted, found, fixed by the printed fix, and gone.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start programs, and fail loudly")]

#[path = "doctor/machine.rs"]
mod machine;
#[path = "doctor/network.rs"]
mod network;
#[path = "doctor/proxies.rs"]
mod proxies;
#[path = "doctor/repositories.rs"]
mod repositories;
#[path = "doctor/settings.rs"]
mod settings;
mod support;

use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use support::{Fixture, Outcome, program};

/// A user with a home folder and a repository.
pub(crate) struct Ward {
    pub(crate) fixture: Fixture,
    pub(crate) home: PathBuf,
}

/// The output of a doctor run.
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) checks: Vec<Value>,
}

impl Report {
    /// The finding of this check that contains these words.
    pub(crate) fn find(&self, check: &str, words: &str) -> Option<&Value> {
        let bad = self.checks.iter().filter(|one| one["state"] == "problem" || one["state"] == "note");
        bad.into_iter().find(|one| one["name"] == check && one["detail"].as_str().is_some_and(|detail| detail.contains(words)))
    }

    pub(crate) fn state(&self, check: &str) -> Vec<&str> {
        self.checks.iter().filter(|one| one["name"] == check).filter_map(|one| one["state"].as_str()).collect()
    }
}

impl Ward {
    pub(crate) fn new() -> Self {
        let fixture = Fixture::new();
        let home = fixture.path.with_file_name("home");
        fs::create_dir_all(&home).expect("a home");
        // A free port, not one that another test or the machine may use.
        Self { fixture, home }
    }

    /// The environment of every command.
    pub(crate) fn within(&self, command: &mut Command) {
        command.env("HOME", &self.home).env("XDG_CONFIG_HOME", self.home.join(".config")).env("XDG_STATE_HOME", self.home.join(".state"));
        command.env("GIT_CONFIG_GLOBAL", self.home.join("gitconfig")).env_remove("MCP_GIT_STORE_URL").current_dir(&self.fixture.path);
    }

    /// Runs these lines of shell and then the doctor in the same shell, wrapped by `wrap`.
    pub(crate) fn output_in(&self, lines: &str, args: &[&str], wrap: impl FnOnce(&mut Command)) -> Output {
        let own = program();
        let mut command = Command::new("/bin/sh");
        let script =
            if lines.is_empty() { "exec \"$0\" \"$@\"".to_owned() } else { format!("{{ {lines}\n}} >/dev/null && exec \"$0\" \"$@\"") };
        command.args(["-c", &script]).arg(own.get_program()).arg("doctor").args(args).env_clear();
        command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.within(&mut command);
        wrap(&mut command);
        command.output().expect("a shell")
    }

    /// The same, as JSON.
    pub(crate) fn report_in(&self, lines: &str, args: &[&str], wrap: impl FnOnce(&mut Command)) -> Report {
        let output = self.output_in(lines, &[&["--json"], args].concat(), wrap);
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|err| {
            panic!("{err}: {lines}: {} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
        });
        let checks = value["checks"].as_array().expect("a list").clone();
        let has_problem = checks.iter().any(|one| one["state"] == "problem");
        assert_eq!(value["ok"], !has_problem, "{value:#}");
        assert_eq!(output.status.code(), Some(i32::from(has_problem)), "{value:#}");
        Report { code: output.status.code(), checks }
    }

    pub(crate) fn report(&self, lines: &str, args: &[&str]) -> Report {
        self.report_in(lines, args, |_| {})
    }

    /// Checks that `check` finds the fault planted by `lines` and that the printed fix clears it. Returns the fix.
    pub(crate) fn heals(&self, lines: &str, args: &[&str], check: &str, words: &str) -> String {
        self.heals_by(lines, args, check, words, str::to_owned)
    }

    /// The same for a fix in prose: `cure` returns its command.
    pub(crate) fn heals_by(&self, lines: &str, args: &[&str], check: &str, words: &str, cure: impl FnOnce(&str) -> String) -> String {
        let sick = self.report(lines, args);
        let finding = sick.find(check, words).unwrap_or_else(|| panic!("{check} does not report {words}: {:#?}", sick.checks));
        let fix = finding["fix"].as_str().expect("a fix").to_owned();
        let both = [lines, &cure(&fix)].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("\n");
        let well = self.report(&both, args);
        assert!(well.find(check, words).is_none(), "{check}: still {words} after {fix}: {:#?}", well.checks);
        fix
    }

    /// Runs a line of shell that must succeed.
    pub(crate) fn sh(&self, script: &str) {
        let mut command = Command::new("sh");
        command.args(["-ec", script]).env_clear().envs(support::clean_environment());
        self.within(&mut command);
        let output = command.output().expect("a shell");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn config(&self, text: &str) -> PathBuf {
        let path = self.home.join(".config/mcp-server-git/config.toml");
        write(&path, text);
        path
    }
}

/// Writes a file and its parent folders.
pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// Writes a program.
pub(crate) fn write_program(path: &Path, script: &str) {
    write(path, script);
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_healthy_machine_has_no_problem_and_nothing_is_left_behind() -> Outcome {
    let ward = Ward::new();
    let before = listing(&ward.home);
    let report = ward.report("export MCP_GIT_PORT=0", &["--verbose", "--latency"]);
    assert_eq!(report.code, Some(0), "{:#?}", report.checks);
    let names = ["configuration", "environment", "executable", "git", "start-up", "state", "database", "roots", "locks", "port", "latency"];
    for name in names {
        assert!(report.state(name) == ["ok"], "{name}: {:#?}", report.checks);
    }
    let steps = report.checks.iter().find(|one| one["name"] == "start-up").map(|one| one["causes"].to_string()).unwrap_or_default();
    assert!(["start:", "health:", "initialize:", "ping:", "stop: ok"].iter().all(|step| steps.contains(step)), "{steps}");
    assert_eq!(listing(&ward.home), before, "the doctor creates nothing");
    let text = String::from_utf8(ward.output_in("export MCP_GIT_PORT=0", &[], |_| {}).stdout)?;
    assert!(text.contains("\nok       start-up: ") && text.trim_end().ends_with("notes") && !text.contains("PROBLEM"), "{text}");
    Ok(())
}

fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}
