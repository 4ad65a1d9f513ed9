//! This machine: git, this program, limits, the clock, the sandbox.

use super::{
    Finding, Patient, child,
    finding::{self, command_on, word},
    patience,
};
use git::is_executable;
use rustix::process::{Resource, getrlimit};
use std::{
    env, fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

/// The first release of each line of git with fixes for the vulnerabilities published in July 2025: CVE-2025-27613, -27614,
/// -46835, -48384, -48385 and -48386 (git's release notes 2.50.1). Later lines have them from the start; earlier ones never get them.
const FIXED: [(u32, u32, u32); 8] = [(2, 43, 7), (2, 44, 4), (2, 45, 4), (2, 46, 4), (2, 47, 3), (2, 48, 2), (2, 49, 1), (2, 50, 1)];
/// The names of these vulnerabilities.
const VULNERABILITIES: &str = "CVE-2025-48384 and others of July 2025";
/// Package managers, and the command of each that installs git.
const INSTALLERS: [(&str, &str); 7] = [
    ("brew", "brew upgrade git || brew install git"),
    ("apt-get", "sudo apt-get update && sudo apt-get install git"),
    ("dnf", "sudo dnf install --refresh git"),
    ("apk", "sudo apk add --upgrade git"),
    ("pacman", "sudo pacman -Syu git"),
    ("zypper", "sudo zypper install git"),
    ("pkg", "sudo pkg install git"),
];
/// Open files needed by a server with a few hundred sessions.
const DESCRIPTORS: u64 = 1024;
/// Tolerated clock skew, in seconds.
const SKEW: i64 = 300;
/// 2025-01-01: this program was built later.
const BUILT: i64 = 1_735_689_600;
/// Bytes of a commit read for its times.
const MAX_COMMIT: usize = 64 << 10;

/// The commit that is checked out in a repository.
struct Head {
    top: PathBuf,
    is_bare: bool,
    /// The author time, in seconds since 1970.
    author: i64,
    /// The committer time, likewise.
    committer: i64,
}

/// The first program of this name in an absolute directory of `PATH`.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    git::on_path(&env::var_os("PATH").unwrap_or_default(), Path::new(name))
}

/// The command that installs git on this machine.
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
                    format!("{} is not executable: remove `--git`, or the key `git`, to use the git on PATH.", named.display())
                }
                Some(named) => format!("Name another program than {} with `--git`, or install git 2.40 or newer.", named.display()),
                None => install(),
            };
            return vec![Finding::problem(err.to_string(), fix).caused_by(&err)];
        }
    };
    let place = git.program().map(|path| path.display().to_string()).unwrap_or_default();
    let text = format!("git {} at {place}", version.text);
    match fixed_in(&version.text) {
        Some(fixed) => vec![
            Finding::note(
                format!(
                    "{text} is older than {fixed}, the first release without known vulnerabilities ({VULNERABILITIES}); a distribution may \
                     have backported the fixes"
                ),
                install(),
            )
            .because(format!("its version is below {fixed}")),
        ],
        None => vec![Finding::fine(text)],
    }
}

/// The release that fixes the known vulnerabilities of this version, if it has any.
fn fixed_in(text: &str) -> Option<String> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or_default());
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next().unwrap_or_default());
    let shown = |(major, minor, patch): (u32, u32, u32)| format!("{major}.{minor}.{patch}");
    match FIXED.iter().find(|line| (line.0, line.1) == (major, minor)) {
        Some(line) => (patch < line.2).then(|| shown(*line)),
        None => ((major, minor) < (FIXED[0].0, FIXED[0].1)).then(|| shown(FIXED[0])),
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

/// Why the program could not be restarted.
fn runnable(program: &Path) -> Option<Finding> {
    if program.exists() && !is_executable(program) {
        let fix = command_on(program, |path| format!("chmod +x {path}"));
        return Some(Finding::problem(format!("{} is not executable", program.display()), fix));
    }
    let dir = program.parent()?;
    is_noexec(dir).then(|| {
        let fix = "Move this program to a file system that is mounted without `noexec`, such as that of /usr/local/bin.";
        Finding::problem(format!("{} is on a file system mounted with `noexec`", dir.display()), fix)
    })
}

#[cfg(target_os = "linux")]
fn is_noexec(dir: &Path) -> bool {
    rustix::fs::statvfs(dir).is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::NOEXEC))
}

/// On other systems, this program could not have started from there.
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
    vec![Finding::problem(format!("only {soft} files can be open at a time; a busy server needs {DESCRIPTORS}"), fix)]
}

pub(super) fn clock(patient: &Patient<'_>) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let heads = patient.usable().filter_map(|repo| {
        let cancel = patience();
        let id = repo.head(&cancel).ok()??;
        let (author, committer) = times(&repo.raw_object(id, "commit", MAX_COMMIT, &cancel).ok()?)?;
        Some(Head { top: repo.top().to_owned(), is_bare: repo.worktree().is_err(), author, committer })
    });
    judge_clock(now, heads.collect())
}

fn judge_clock(now: i64, heads: Vec<Head>) -> Vec<Finding> {
    if now < BUILT {
        return vec![Finding::problem("the clock is before 2025", "sudo timedatectl set-ntp true")];
    }
    let latest = now.saturating_add(SKEW);
    let ahead = heads.into_iter().filter(|head| head.committer > latest).map(|head| {
        let top = word(&head.top);
        // Keeps the author date unless it is wrong, too.
        let date = if head.author > latest { " --date=now" } else { "" };
        let rest = if head.is_bare {
            "if it is right, the clock of the machine that made the commit was fast.".to_owned()
        } else {
            let amend = format!("git -C {top} commit --amend --only --allow-empty --no-edit{date}");
            format!("if it is right and the commit was not pushed, `{amend}` corrects it.")
        };
        let minutes = (head.committer - now) / 60;
        let detail = format!("HEAD of {} was committed {} in the future", head.top.display(), finding::count(minutes, "minute"));
        Finding::problem(
            format!("{detail}: this clock is slow, or the committer's was fast"),
            format!("Set the clock with `sudo timedatectl set-ntp true`; {rest}"),
        )
    });
    finding::or_fine(ahead.collect(), || Finding::fine("no HEAD was committed in the future"))
}

/// The author and committer times of a raw commit.
fn times(commit: &[u8]) -> Option<(i64, i64)> {
    let text = String::from_utf8_lossy(commit);
    let header = text.split("\n\n").next()?;
    // `committer NAME <ADDRESS> SECONDS ZONE`
    let time_of = |who: &str| header.lines().find_map(|line| line.strip_prefix(who))?.rsplit(' ').nth(1)?.parse::<i64>().ok();
    Some((time_of("author ")?, time_of("committer ")?))
}

pub(super) fn sandbox(patient: &Patient<'_>) -> Vec<Finding> {
    let wanted = patient.config.sandbox;
    match git::sandbox_support() {
        _ if wanted == git::Sandbox::Off => vec![Finding::fine("the sandbox is switched off")],
        Ok(()) => vec![Finding::fine("the kernel enforces Landlock")],
        Err(why) if wanted == git::Sandbox::Always => {
            vec![Finding::problem(
                format!("no change can be made: {why}"),
                "Run on Linux 6.12 or newer with Landlock, or start with `--sandbox untrusted`.",
            )]
        }
        Err(why) => vec![Finding::note(
            format!("changes in repositories not named with `-r` are refused: {why}"),
            "Name each repository with `-r PATH`, run on Linux 6.12 or newer with Landlock, or start with `--sandbox off`.",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_with_known_vulnerabilities_are_reported() {
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
            assert_eq!(fixed_in(text).as_deref(), fixed, "{text}");
        }
    }

    #[test]
    fn commit_times_are_parsed_and_a_wrong_clock_is_detected() {
        let commit = b"tree 1\nparent 2\nauthor A U Thor <a@b> 5 +0100\ncommitter committer 9 <c@d> 7 -0930\n\ncommitter x <y> 8 +0000\n";
        assert_eq!(times(commit), Some((5, 7)));
        assert_eq!(times(b"tree 1\n\nauthor A <a> 5 +0000\ncommitter A <a> 5 +0000\n"), None);
        let judged =
            |now, author, committer, is_bare| judge_clock(now, vec![Head { top: "/x".into(), is_bare, author, committer }]).remove(0);
        let (right, wrong) = (BUILT + SKEW, BUILT + SKEW + 1);
        assert_eq!(judged(1_700_000_000, 0, 0, false).state, finding::State::Problem);
        assert_eq!(judged(BUILT, wrong, right, false).state, finding::State::Fine);
        for (author, is_bare, has_amend, has_date) in [(right, false, true, false), (wrong, false, true, true), (right, true, false, false)]
        {
            let finding = judged(BUILT, author, wrong, is_bare);
            let fix = finding.value("clock")["fix"].to_string();
            assert_eq!(finding.state, finding::State::Problem);
            assert_eq!((fix.contains("--amend"), fix.contains("--date")), (has_amend, has_date), "{fix}");
        }
    }

    #[test]
    fn a_program_that_is_not_executable_is_found() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let program = dir.path().join("program");
        fs::write(&program, "")?;
        assert!(runnable(&program).is_some_and(|finding| finding.state == finding::State::Problem));
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        assert!(runnable(&program).is_none());
        // Most systems mount /proc with noexec.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        if mounts.lines().any(|line| line.split(' ').nth(1) == Some("/proc") && line.contains("noexec")) {
            assert!(runnable(Path::new("/proc/program")).is_some_and(|finding| finding.state == finding::State::Problem));
        }
        Ok(())
    }
}
