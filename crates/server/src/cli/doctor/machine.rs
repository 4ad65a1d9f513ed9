//! This machine: git, this program, limits, the clock, the sandbox.

use super::{
    Finding, Patient, child,
    finding::{self, command_on, word},
    patience,
};
use crate::config::Sandbox;
use git::LogQuery;
use rustix::process::{Resource, getrlimit};
use std::{
    env, fs,
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The first release of each line of git that mends the holes published in July 2025: CVE-2025-27613, -27614, -46835, -48384,
/// -48385 and -48386 (git's release notes 2.50.1). Later lines have it from the start; earlier ones do not get it.
const MENDED: [(u32, u32, u32); 8] = [(2, 43, 7), (2, 44, 4), (2, 45, 4), (2, 46, 4), (2, 47, 3), (2, 48, 2), (2, 49, 1), (2, 50, 1)];
/// What they are called.
const HOLES: &str = "CVE-2025-48384 and others of July 2025";
/// Programs that install git, and how they are told to.
const INSTALLERS: [(&str, &str); 7] = [
    ("brew", "brew upgrade git || brew install git"),
    ("apt-get", "sudo apt-get update && sudo apt-get install git"),
    ("dnf", "sudo dnf install --refresh git"),
    ("apk", "sudo apk add --upgrade git"),
    ("pacman", "sudo pacman -Syu git"),
    ("zypper", "sudo zypper install git"),
    ("pkg", "sudo pkg install git"),
];
/// Open files that a server with some hundred sessions needs.
const DESCRIPTORS: u64 = 1024;
/// Seconds by which a clock may be wrong.
const SKEW: i64 = 300;
/// 2025-01-01: this program was made later.
const MADE: i64 = 1_735_689_600;

/// The first program of this name in an absolute directory of `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

pub(super) fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn install() -> String {
    let found = INSTALLERS.iter().find(|(program, _)| on_path(program).is_some());
    found.map_or_else(|| "Install git 2.50.1 or newer from https://git-scm.com/downloads.".to_owned(), |(_, command)| (*command).to_owned())
}

pub(super) fn git(patient: &Patient<'_>) -> Vec<Finding> {
    let git = patient.repositories.git();
    let version = match git.version() {
        Ok(version) => version,
        Err(err) => {
            let fix = match &patient.config.git {
                Some(named) if !is_executable(named) => {
                    format!("{} is no program: remove `--git`, or the key `git`, and the one on PATH is used.", named.display())
                }
                Some(named) => format!("Name another program than {} with `--git`, or install git 2.40 or newer.", named.display()),
                None => install(),
            };
            return vec![Finding::problem(err.to_string(), fix).caused_by(&err)];
        }
    };
    let place = git.program().map(|path| path.display().to_string()).unwrap_or_default();
    let text = format!("git {} at {place}", version.text);
    match mended_in(&version.text) {
        Some(fixed) => vec![
            Finding::note(
                format!("{text} is older than {fixed}, the first release without known holes ({HOLES}); a distribution may have mended it under the old number"),
                install(),
            )
            .because(format!("its number is below {fixed}")),
        ],
        None => vec![Finding::fine(text)],
    }
}

/// The release that mends the known holes of this version, where it has them.
fn mended_in(text: &str) -> Option<String> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or_default());
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next().unwrap_or_default());
    let shown = |(major, minor, patch): (u32, u32, u32)| format!("{major}.{minor}.{patch}");
    match MENDED.iter().find(|line| (line.0, line.1) == (major, minor)) {
        Some(line) => (patch < line.2).then(|| shown(*line)),
        None => ((major, minor) < (MENDED[0].0, MENDED[0].1)).then(|| shown(MENDED[0])),
    }
}

pub(super) fn executable() -> Vec<Finding> {
    let Ok(own) = env::current_exe() else { return vec![Finding::skipped("the system does not report the path of this program")] };
    let mut findings: Vec<Finding> = runnable(&own).into_iter().collect();
    let own = fs::canonicalize(&own).unwrap_or(own);
    let first = on_path("mcp-server-git").filter(|first| fs::canonicalize(first).is_ok_and(|first| first != own));
    if let Some(first) = first {
        let version = child::version_of(&first);
        let is_same =
            version.as_deref() == Some(&*format!("mcp-server-git {} (commit {})", env!("CARGO_PKG_VERSION"), env!("BUILD_COMMIT")));
        let detail = format!(
            "a client that starts `mcp-server-git` gets {} ({}), not this program",
            first.display(),
            version.as_deref().unwrap_or("unknown version")
        );
        let fix = own.parent().map(|dir| format!("export PATH={}:\"$PATH\"", word(dir))).unwrap_or_default();
        let finding = if is_same { Finding::note(detail, fix) } else { Finding::problem(detail, fix) };
        findings.push(finding.because(format!("this program is {}", own.display())));
    }
    finding::or_fine(findings, || Finding::fine(format!("{} {} is this program", env!("CARGO_PKG_VERSION"), own.display())))
}

/// Whether the file can be started again.
fn runnable(program: &Path) -> Option<Finding> {
    if program.exists() && !is_executable(program) {
        let fix = command_on(program, |path| format!("chmod +x {path}"));
        return Some(Finding::problem(format!("{} is not executable", program.display()), fix));
    }
    let dir = program.parent()?;
    is_noexec(dir).then(|| {
        let fix = "Move this program to a folder whose file system lets programs run, such as /usr/local/bin.";
        Finding::problem(format!("{} is on a file system mounted with `noexec`", dir.display()), fix)
    })
}

#[cfg(target_os = "linux")]
fn is_noexec(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// Elsewhere this program could not have been started.
#[cfg(not(target_os = "linux"))]
fn is_noexec(_: &Path) -> bool {
    false
}

pub(super) fn descriptors() -> Vec<Finding> {
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft >= DESCRIPTORS {
        return vec![Finding::fine(format!(
            "{} files can be open at a time",
            limit.current.map_or("any number of".to_owned(), |soft| soft.to_string())
        ))];
    }
    let fix = match limit.maximum {
        Some(hard) if hard < DESCRIPTORS => {
            format!("Raise the hard limit of {hard}: `LimitNOFILE=4096` in the service's unit, or `nofile` in /etc/security/limits.conf.")
        }
        Some(hard) if hard < 4096 => format!("ulimit -n {hard}"),
        _ => "ulimit -n 4096".to_owned(),
    };
    vec![Finding::problem(format!("only {soft} files can be open at a time, fewer than {DESCRIPTORS}"), fix)]
}

pub(super) fn clock(patient: &Patient<'_>) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let heads = patient.usable().filter_map(|repo| {
        let mut date = None;
        let query = LogQuery { max_count: 1, ..LogQuery::default() };
        let mut take = |commit: git::Commit| {
            date = seconds(&commit.date);
            ControlFlow::Break(())
        };
        repo.log(&query, &patience(), &mut take).ok()?;
        Some((repo.top().to_owned(), date?))
    });
    judge_clock(now, heads.collect())
}

fn judge_clock(now: i64, heads: Vec<(PathBuf, i64)>) -> Vec<Finding> {
    if now < MADE {
        return vec![Finding::problem("the clock is before 2025", "sudo timedatectl set-ntp true")];
    }
    let ahead = heads.into_iter().filter(|(_, date)| *date > now.saturating_add(SKEW)).map(|(top, date)| {
        let minutes = (date - now) / 60;
        Finding::problem(
            format!("HEAD of {} was written {minutes} minutes in the future: this clock is slow, or that of its author was fast", top.display()),
            format!("Set the clock with `sudo timedatectl set-ntp true`; if it is right, `git -C {} commit --amend --allow-empty --no-edit --date=now` corrects the commit.", word(&top)),
        )
    });
    finding::or_fine(ahead.collect(), || Finding::fine("no HEAD is from the future"))
}

/// The seconds since 1970 of `2026-01-31T23:59:59+00:00`.
fn seconds(date: &str) -> Option<i64> {
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let time = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let zone = date.get(19..)?;
    let offset = match zone.strip_prefix(['+', '-']) {
        Some(rest) => {
            let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
            let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if zone.starts_with('-') { -offset } else { offset }
        }
        None => 0,
    };
    // Days of the Gregorian calendar, counted from March so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + time - offset)
}

pub(super) fn sandbox(patient: &Patient<'_>) -> Vec<Finding> {
    let wanted = patient.config.sandbox;
    match git::sandbox_support() {
        _ if wanted == Sandbox::Off => vec![Finding::fine("it is switched off")],
        Ok(()) => vec![Finding::fine("the kernel enforces Landlock")],
        Err(why) if wanted == Sandbox::Always => {
            vec![Finding::problem(
                format!("no change can be made: {why}"),
                "Run on Linux 6.12 or newer with Landlock, or start with `--sandbox untrusted`.",
            )]
        }
        Err(why) => vec![Finding::note(
            format!("changes in repositories that are not named themselves are refused: {why}"),
            "Name each repository with `-r PATH`, run on Linux 6.12 or newer with Landlock, or start with `--sandbox off`.",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_known_holes_are_told() {
        for (text, fixed) in [
            ("2.40.1", Some("2.43.7")),
            ("2.43.0", Some("2.43.7")),
            ("2.43.7", None),
            ("2.47.2.windows.1", Some("2.47.3")),
            ("2.47.3", None),
            ("2.50.1 (Apple Git-155)", None),
            ("2.50.0", Some("2.50.1")),
            ("2.51.0.rc1", None),
            ("3.0.0", None),
        ] {
            assert_eq!(mended_in(text).as_deref(), fixed, "{text}");
        }
    }

    #[test]
    fn dates_are_read_and_a_wrong_clock_is_seen() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2023-11-14T22:13:20+00:00"), Some(1_700_000_000));
        assert_eq!(seconds("2024-02-29T23:30:00-01:00"), Some(1_709_253_000));
        assert_eq!(seconds("never"), None);
        let state = |now, date| judge_clock(now, vec![("/x".into(), date)])[0].state;
        assert_eq!(state(1_700_000_000, 0), finding::State::Problem);
        assert_eq!(state(MADE, MADE + SKEW), finding::State::Fine);
        assert_eq!(state(MADE, MADE + SKEW + 1), finding::State::Problem);
    }

    #[test]
    fn a_program_that_is_not_executable_is_found() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("program");
        fs::write(&program, "")?;
        assert!(runnable(&program).is_some_and(|finding| finding.state == finding::State::Problem));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        assert!(runnable(&program).is_none());
        // Most systems mount it so.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        if mounts.lines().any(|line| line.split(' ').nth(1) == Some("/proc") && line.contains("noexec")) {
            assert!(runnable(Path::new("/proc/program")).is_some_and(|finding| finding.state == finding::State::Problem));
        }
        Ok(())
    }
}
