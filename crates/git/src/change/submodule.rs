//! Submodules: nested repositories at recorded commits.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, InSubmodule, Obstacle, Result},
    name::RelPath,
    process::{Mode, Process, progress::OnProgress, stderr::Ended},
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::PathBuf};

/// A submodule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submodule {
    /// ` ` at the recorded commit, `-` not initialized, `+` at another commit, `U` in conflict.
    pub sign: char,
    /// The checked-out commit, or the recorded one if none.
    pub id: String,
    /// Its path.
    pub path: Vec<u8>,
    /// Whether `.gitmodules` has an entry for it: git needs that for most of `git submodule`.
    pub is_mapped: bool,
}

/// The result of updating submodules.
#[derive(Clone, Debug)]
pub struct Updated {
    /// All submodules.
    pub modules: Vec<Submodule>,
    /// Submodules skipped by `update = none`.
    pub skipped: Vec<RelPath>,
    /// Submodules checked out despite another configured update mode, with that mode.
    pub others: Vec<(RelPath, String)>,
    /// Submodules left alone, as `.gitmodules` has no entry for them.
    pub unmapped: Vec<RelPath>,
}

/// Maximum number of files named in an error.
const MAX_NAMED: usize = 20;

impl Repo {
    /// The submodules.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn submodules(&self, cancel: &Cancel) -> Result<Vec<Submodule>> {
        self.worktree()?;
        let staged = self.read(&["ls-files", "--stage", "-z"]).success(cancel, 256 << 20)?;
        let mut found = Vec::new();
        for entry in staged.split(|&byte| byte == 0).filter(|entry| entry.starts_with(b"160000 ")) {
            let Some((meta, path)) = entry.split_once_str(b"\t") else { continue };
            let mut fields = meta.split(|&byte| byte == b' ').skip(1);
            let recorded = fields.next().unwrap_or_default().to_str_lossy().into_owned();
            if fields.next() != Some(b"0") {
                found.push(Submodule { sign: 'U', id: recorded, path: path.to_vec(), is_mapped: false });
                continue;
            }
            let there = self.submodule_head(path, cancel)?;
            let sign = there.as_ref().map_or('-', |id| if *id == recorded { ' ' } else { '+' });
            found.push(Submodule { sign, id: there.unwrap_or(recorded), path: path.to_vec(), is_mapped: false });
        }
        let entries = if found.is_empty() { Vec::new() } else { self.gitmodules("url", cancel)? };
        for module in &mut found {
            module.is_mapped = entries.iter().any(|(_, path, _)| *path == module.path);
        }
        Ok(found)
    }

    /// The folder of a submodule, if it is checked out.
    pub(crate) fn submodule_folder(&self, path: &[u8]) -> Result<Option<PathBuf>> {
        let folder = self.worktree()?.join(OsStr::from_bytes(path));
        let is_absent = self.check_no_link_above(&RelPath::from_git(path)).is_err()
            || folder.is_symlink()
            || folder.join(".git").symlink_metadata().is_err();
        Ok((!is_absent).then_some(folder))
    }

    /// The checked-out commit of a submodule, from git in the submodule itself.
    fn submodule_head(&self, path: &[u8], cancel: &Cancel) -> Result<Option<String>> {
        let Some(folder) = self.submodule_folder(path)? else { return Ok(None) };
        let process = self.git.process(Mode::Read, &folder, &["rev-parse", "--verify", "--quiet", "HEAD"]).inside(self.domain(Mode::Read));
        let (ended, output) = process.may_die().output(cancel, 4096)?;
        Ok((ended.code == Some(0)).then(|| output.trim_ascii_end().to_str_lossy().into_owned()))
    }

    /// Uninitialized submodules at `paths` of a change, where `.` means everything.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn absent_submodules_at(&self, paths: &[Vec<u8>], cancel: &Cancel) -> Result<Vec<RelPath>> {
        if paths.is_empty() || self.worktree()?.join(".gitmodules").symlink_metadata().is_err() {
            return Ok(Vec::new());
        }
        let covers = |module: &Submodule| paths.iter().any(|path| path == b"." || RelPath::from_git(path).covers(&module.path));
        let absent = self.submodules(cancel)?.into_iter().filter(|module| module.sign == '-' && module.is_mapped && covers(module));
        Ok(absent.map(|module| RelPath::from_git(&module.path)).collect())
    }

    /// Fetches submodules and checks out the recorded commits, not recursively.
    ///
    /// # Errors
    ///
    /// [`Error::InSubmodule`]; otherwise as for [`Repo::fetch`].
    pub fn update_submodules(&self, paths: &[RelPath], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Updated> {
        self.worktree()?;
        self.check_trust(cancel)?;
        self.check_modules(true, cancel)?;
        let modules = self.submodules(cancel)?;
        if let Some(module) = modules.iter().find(|module| module.path.iter().any(u8::is_ascii_control)) {
            // git has written such names in a form that parses as another name, and checked out through a link there.
            let path = RelPath::from_git(&module.path);
            return Err(Error::bad_name(path.to_string(), "the path of a submodule", "it has control characters"));
        }
        let wanted = |path: &[u8]| paths.is_empty() || paths.iter().any(|one| one.covers(path));
        let (mapped, unmapped): (Vec<_>, Vec<_>) =
            modules.iter().filter(|module| wanted(&module.path)).partition(|module| module.is_mapped);
        if let Some(named) = unmapped.iter().find(|module| paths.iter().any(|path| path.as_bytes() == module.path)) {
            let path = crate::quote::listed(&named.path);
            return Err(Error::BadPlan(format!("`{path}` has no entry in .gitmodules, so there is no URL to update it from")));
        }
        for module in &mapped {
            self.check_folder(&module.path)?;
        }
        let unmapped: Vec<RelPath> = unmapped.iter().map(|module| RelPath::from_git(&module.path)).collect();
        let mapped: Vec<RelPath> = mapped.iter().map(|module| RelPath::from_git(&module.path)).collect();
        if mapped.is_empty() && !unmapped.is_empty() {
            return Ok(Updated { modules, skipped: Vec::new(), others: Vec::new(), unmapped });
        }
        // git fails at the first one without an entry.
        let named = if unmapped.is_empty() { paths } else { &mapped };
        self.submodule("init").arg("--quiet").arg("--").args(named.iter().map(RelPath::literal)).success(cancel, MAX_OUTPUT)?;
        let urls = self.read(&["config", "--null", "--get-regexp", r"^submodule\..*\.url$"]).output(cancel, MAX_OUTPUT)?.1;
        let urls =
            urls.split(|&byte| byte == 0).filter_map(|entry| entry.split_once_str("\n")).map(|(_, url)| url.to_str_lossy().into_owned());
        // An existing submodule is fetched from the URL in its own configuration.
        let urls: Vec<String> = urls.chain(self.module_urls(cancel)?).collect();
        let route = self.route_to_urls(urls.into_iter(), cancel)?;
        let modes = self.update_modes(cancel)?;
        let (skipped, others): (Vec<_>, Vec<_>) = modes.into_iter().filter(|(path, _)| wanted(path)).partition(|(_, mode)| mode == "none");
        let skipped: Vec<RelPath> = skipped.iter().map(|(path, _)| RelPath::from_git(path)).collect();
        let others = others.into_iter().map(|(path, mode)| (RelPath::from_git(&path), mode)).collect();
        let left: Vec<RelPath> = mapped.into_iter().filter(|path| !skipped.contains(path)).collect();
        if !left.is_empty() {
            // The update mode is fixed here, since the repository may configure a command.
            let process = self.submodule("update").args(["--checkout", "--progress", "--"]);
            // Without the skipped ones.
            let named = if skipped.is_empty() && unmapped.is_empty() { paths } else { &left };
            let process = process.args(named.iter().map(|path| OsStr::from_bytes(path.pathspec())));
            let process = process.config("core.hooksPath", "/dev/null").config("submodule.recurse", "false");
            let ended = self.transferred(process, &route, on_progress, cancel)?;
            ended.require("submodule update").map_err(|error| self.in_submodule(error, &ended, cancel))?;
        }
        Ok(Updated { modules: self.submodules(cancel)?, skipped, others, unmapped })
    }

    /// Refuses a submodule whose folder is a link, or whose git directory is missing.
    fn check_folder(&self, path: &[u8]) -> Result<()> {
        let place = self.worktree()?.join(OsStr::from_bytes(path));
        let refused = |cause| Err(InSubmodule { path: crate::quote::listed(path), place: place.clone(), cause }.error());
        if place.is_symlink() {
            return refused(Obstacle::Link(place.clone()));
        }
        let line = crate::repo::roots::read_line(&place.join(".git")).unwrap_or_default();
        let dir = line.strip_prefix(b"gitdir: ").map(|dir| place.join(OsStr::from_bytes(dir)));
        match dir.filter(|dir| !dir.exists()) {
            Some(dir) => refused(Obstacle::NotARepository(dir)),
            None => Ok(()),
        }
    }

    /// Names the submodule in which a local file or lock made the update fail.
    fn in_submodule(&self, error: Error, ended: &Ended, cancel: &Cancel) -> Error {
        let Ok(top) = self.worktree() else { return error };
        let within = |module: &Submodule, cause| {
            let place = top.join(OsStr::from_bytes(&module.path));
            InSubmodule { path: crate::quote::listed(&module.path), place, cause }.error()
        };
        let modules = self.submodules(cancel).unwrap_or_default();
        let named = |module: &&Submodule| {
            let path = String::from_utf8_lossy(&module.path);
            ended.stderr.lines().any(|line| line.starts_with("fatal: ") && line.ends_with(&format!("in submodule path '{path}'")))
        };
        let held = |module: &&Submodule| module.sign == '-' && !self.held_in(&module.path).is_empty();
        match (error, modules.iter().find(named)) {
            (Error::Locked(lock), Some(module)) => within(module, Obstacle::Locked(lock)),
            (Error::Uncommitted(paths), Some(module)) => within(module, Obstacle::Uncommitted(paths)),
            (Error::WouldOverwrite(paths), Some(module)) => within(module, Obstacle::WouldOverwrite(paths)),
            (error @ Error::Failed { .. }, _) => match modules.iter().find(held) {
                // git does not clone into a non-empty folder.
                Some(module) => within(module, Obstacle::WouldOverwrite(self.held_in(&module.path))),
                None => error,
            },
            (error, _) => error,
        }
    }

    /// Some entries of the folder of an uninitialized submodule.
    fn held_in(&self, path: &[u8]) -> Vec<String> {
        let place = self.top().join(OsStr::from_bytes(path));
        let entries = std::fs::read_dir(place).into_iter().flatten().flatten().take(MAX_NAMED);
        entries.map(|entry| crate::quote::listed(entry.file_name().as_bytes())).collect()
    }

    /// Submodules with a configured update mode other than `checkout`.
    fn update_modes(&self, cancel: &Cancel) -> Result<Vec<(Vec<u8>, String)>> {
        let listed = self.read(&["config", "--null", "--get-regexp", r"^submodule\..*\.update$"]).output(cancel, MAX_OUTPUT)?.1;
        let own: Vec<(String, String)> = listed
            .split(|&byte| byte == 0)
            .filter_map(|entry| entry.split_once_str("\n"))
            .map(|(key, mode)| (key.to_str_lossy().into_owned(), mode.to_str_lossy().into_owned()))
            .collect();
        let mode = |name: &str, said: Option<String>| {
            let key = format!("submodule.{name}.update");
            own.iter().rev().find(|(known, _)| *known == key).map(|(_, mode)| mode.clone()).or(said)
        };
        let modes = self.gitmodules("update", cancel)?.into_iter().filter_map(|(name, path, said)| Some((path, mode(&name, said)?)));
        Ok(modes.filter(|(_, mode)| mode != "checkout").collect())
    }

    /// The URLs of existing submodules.
    fn module_urls(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let mut urls = Vec::new();
        for dir in crate::repo::vetting::module_dirs(&self.location.common_dir.join("modules")) {
            let process = self.read(&["config", "--null", "--no-includes", "--file"]).arg(dir.join("config"));
            let listed = process.args(["--get-regexp", r"^remote\..*\.url$"]).output(cancel, MAX_OUTPUT)?.1;
            let entries = listed.split(|&byte| byte == 0).filter_map(|entry| entry.split_once_str("\n"));
            urls.extend(entries.map(|(_, url)| url.to_str_lossy().into_owned()));
        }
        Ok(urls)
    }

    /// Copies the URLs of submodules from `.gitmodules` to the configuration.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn sync_submodules(&self, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        let specs = paths.iter().map(RelPath::literal);
        self.submodule("sync").arg("--quiet").arg("--").args(specs).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// A sub-command of `git submodule`, a shell script around a helper; the helper itself if no shell may run.
    fn submodule(&self, command: &str) -> Process<'_> {
        self.change(&[if self.is_sandboxed() && !self.location.trusted { "submodule--helper" } else { "submodule" }, command])
    }

    /// Fails for a path that is not a submodule.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`].
    pub fn check_submodules(&self, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let known = self.submodules(cancel)?;
        match paths.iter().find(|path| !known.iter().any(|module| path.covers(&module.path))) {
            Some(path) => Err(Error::NoSuchPath { path: path.to_string(), place: "the list of submodules".to_owned() }),
            None => Ok(()),
        }
    }
}
