//! Locates the user's git and checks its version.

use crate::{
    error::{Error, Result},
    process::sandbox::{self, Needs},
};
use std::{
    env,
    ffi::OsStr,
    fmt::Debug,
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

/// The oldest supported git.
const OLDEST: (u32, u32) = (2, 40);

/// Variable that passes the todo list of a rebase to the sequence editor.
pub(crate) const STEPS: &str = "GIT_STEPS";

/// The user's git.
#[derive(Debug)]
pub struct Git {
    named: Option<PathBuf>,
    found: OnceLock<PathBuf>,
    version: OnceLock<Version>,
    needs: OnceLock<Needs>,
    ledger: Option<Arc<dyn Ledger>>,
}

/// Records running processes, temporary directories and pauses; an entry lasts until the returned guard is dropped.
pub trait Ledger: Debug + Send + Sync {
    /// Records a running process.
    fn child(&self, pid: u32, command: &str) -> Box<dyn Send>;
    /// Records a temporary directory.
    fn temporary(&self, path: &Path) -> Box<dyn Send>;
    /// Records a pause before a process is run again.
    fn pause(&self) -> Box<dyn Send>;
}

/// A version of git.
#[derive(Clone, Debug)]
pub struct Version {
    /// As git prints it.
    pub text: String,
    /// Major and minor.
    pub number: (u32, u32),
}

impl Git {
    /// Uses `program`, or the first `git` in an absolute directory of `PATH`.
    pub fn new(program: Option<PathBuf>) -> Self {
        Self { named: program, found: OnceLock::new(), version: OnceLock::new(), needs: OnceLock::new(), ledger: None }
    }

    /// Records processes, temporary directories and pauses in `ledger`.
    #[must_use]
    pub fn listed_in(mut self, ledger: Arc<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    pub(crate) fn ledger(&self) -> Option<&dyn Ledger> {
        self.ledger.as_deref()
    }

    /// The absolute path of the program.
    ///
    /// # Errors
    ///
    /// [`Error::GitUnusable`] if not found.
    pub fn program(&self) -> Result<&Path> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let found = match &self.named {
            Some(named) => std::path::absolute(named).map_err(|err| unusable(named, &err))?,
            None => on_path(&env::var_os("PATH").unwrap_or_default(), Path::new("git"))
                .ok_or_else(|| unusable(Path::new("git"), &"not on PATH"))?,
        };
        Ok(self.found.get_or_init(|| found))
    }

    /// The version of the program.
    ///
    /// # Errors
    ///
    /// [`Error::GitUnusable`] if it cannot be started, does not answer, or is older than 2.40.
    pub fn version(&self) -> Result<&Version> {
        if let Some(version) = self.version.get() {
            return Ok(version);
        }
        let program = self.program()?;
        let output = self.probe(None, &["version"]).map_err(|err| match err {
            Error::Io { source, .. } => unusable(program, &source),
            Error::TimedOut => Error::GitSilent(unusable(program, &"it did not answer `git version`").to_string()),
            Error::TooLarge { .. } => unusable(program, &"its version output exceeds the limit"),
            err => unusable(program, &err),
        })?;
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        let number = parse(&text).ok_or_else(|| unusable(program, &"it printed no version"))?;
        if number < OLDEST {
            return Err(Error::GitUnusable(format!("{text} is too old: version 2.40 or newer is needed")));
        }
        let text = text.trim_start_matches("git version ").to_owned();
        Ok(self.version.get_or_init(|| Version { text, number }))
    }

    /// The system files git needs, for its sandbox.
    ///
    /// # Errors
    ///
    /// As for [`Git::version`].
    pub(crate) fn needs(&self) -> Result<&Needs> {
        if let Some(needs) = self.needs.get() {
            return Ok(needs);
        }
        let program = self.program()?;
        let core = self.probe(None, &["--exec-path"])?;
        let core = PathBuf::from(OsStr::from_bytes(core.trim_ascii_end()));
        let needs = Needs::of(program, core, |loader, program| self.list(loader, program));
        Ok(self.needs.get_or_init(|| needs))
    }

    /// A program and the files its loader reads.
    pub(crate) fn needed_by(&self, program: &Path) -> Vec<PathBuf> {
        sandbox::needed_by(program, |loader, program| self.list(loader, program))
    }

    fn list(&self, loader: &Path, program: &Path) -> Option<Vec<u8>> {
        self.probe(Some(loader), &["--list", program.to_str()?]).ok()
    }
}

fn unusable(program: &Path, why: &dyn std::fmt::Display) -> Error {
    let program = program.display();
    Error::GitUnusable(format!("git could not be started ({program}: {why}). Install git 2.40 or newer, or put it on PATH"))
}

/// The first program called `name` in an absolute directory of `path`: relative ones would resolve inside a repository.
pub fn on_path(path: &OsStr, name: &Path) -> Option<PathBuf> {
    env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(name)).find(|file| is_executable(file))
}

/// Whether it is a regular file with an executable bit.
pub fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

fn parse(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("git version ")?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Writes the todo list of a rebase if git started this process as its sequence editor; returns whether it did.
///
/// # Errors
///
/// If the file cannot be written.
pub fn edit_sequence() -> io::Result<bool> {
    let mut args = std::env::args_os().skip(1);
    match (std::env::var_os(STEPS), args.next(), args.next()) {
        // A hook of that rebase may start this program for another purpose.
        (Some(steps), Some(file), None) if Path::new(&file).ends_with("git-rebase-todo") => {
            std::fs::write(file, steps.as_encoded_bytes()).map(|()| true)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_versions_are_parsed() {
        assert_eq!(parse("git version 2.47.3"), Some((2, 47)));
        assert_eq!(parse("git version 2.50.1 (Apple Git-155)"), Some((2, 50)));
        assert_eq!(parse("git version 2.49.0.windows.1"), Some((2, 49)));
        assert_eq!(parse("hg 6"), None);
    }

    #[test]
    fn a_missing_program_is_explained() {
        let err = Git::new(Some("/nonexistent/git".into())).version().map(|_| ()).map_err(|err| err.to_string());
        assert!(err.is_err_and(|text| text.contains("Install git 2.40")));
    }

    #[test]
    fn only_absolute_path_directories_are_searched() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let git = dir.path().join("git");
        std::fs::write(&git, "")?;
        let path = env::join_paths([Path::new("."), Path::new(""), dir.path()]).unwrap_or_default();
        assert_eq!(on_path(&path, Path::new("git")), None, "not executable");
        std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755))?;
        assert_eq!(on_path(&path, Path::new("git")), Some(git));
        Ok(())
    }
}
