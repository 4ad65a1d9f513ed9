//! Submodules: other repositories at fixed commits.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{Mode, Process},
    remote::OnProgress,
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// A submodule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submodule {
    /// ` ` as recorded, `-` not there yet, `+` at another commit, `U` in conflict.
    pub sign: char,
    /// The commit that is there, or that is recorded.
    pub id: String,
    /// Where it is.
    pub path: Vec<u8>,
}

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
                found.push(Submodule { sign: 'U', id: recorded, path: path.to_vec() });
                continue;
            }
            let there = self.submodule_head(path, cancel)?;
            let sign = there.as_ref().map_or('-', |id| if *id == recorded { ' ' } else { '+' });
            found.push(Submodule { sign, id: there.unwrap_or(recorded), path: path.to_vec() });
        }
        Ok(found)
    }

    /// The commit that is checked out in a submodule, asked of git in the submodule itself.
    fn submodule_head(&self, path: &[u8], cancel: &Cancel) -> Result<Option<String>> {
        let folder = self.worktree()?.join(OsStr::from_bytes(path));
        if self.check_no_link_above(&RelPath::from_git(path)).is_err()
            || folder.is_symlink()
            || folder.join(".git").symlink_metadata().is_err()
        {
            return Ok(None);
        }
        let process = self.git.process(Mode::Read, &folder, &["rev-parse", "--verify", "--quiet", "HEAD"]).inside(self.domain(Mode::Read));
        let (ended, output) = process.may_die().output(cancel, 4096)?;
        Ok((ended.code == Some(0)).then(|| output.trim_ascii_end().to_str_lossy().into_owned()))
    }

    /// Fetches submodules and checks out what is recorded, never deeper than one level.
    ///
    /// # Errors
    ///
    /// As for [`Repo::fetch`].
    pub fn update_submodules(&self, paths: &[RelPath], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Vec<Submodule>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        self.check_modules(true, cancel)?;
        if let Some(module) = self.submodules(cancel)?.iter().find(|module| module.path.iter().any(u8::is_ascii_control)) {
            // git has written such names in a form that reads as another one, and checked out through a link there.
            let path = RelPath::from_git(&module.path);
            return Err(Error::bad_name(path.to_string(), "the path of a submodule", "it has control characters"));
        }
        let specs = || paths.iter().map(RelPath::literal);
        self.submodule("init").arg("--quiet").arg("--").args(specs()).success(cancel, MAX_OUTPUT)?;
        let urls = self.read(&["config", "--null", "--get-regexp", r"^submodule\..*\.url$"]).output(cancel, MAX_OUTPUT)?.1;
        let urls =
            urls.split(|&byte| byte == 0).filter_map(|entry| entry.split_once_str("\n")).map(|(_, url)| url.to_str_lossy().into_owned());
        // What is there already is fetched from where its own configuration says.
        let urls: Vec<String> = urls.chain(self.module_urls(cancel)?).collect();
        let route = self.route_to_urls(urls.into_iter(), cancel)?;
        // The way to update, which the repository may name as a command, is given here.
        let process = self.submodule("update").args(["--checkout", "--progress", "--"]).args(specs());
        let process = process.config("core.hooksPath", "/dev/null").config("submodule.recurse", "false");
        let ended = self.transferred(process, &route, on_progress, cancel)?;
        ended.require("submodule update")?;
        self.submodules(cancel)
    }

    /// Where submodules that are there would be fetched from.
    fn module_urls(&self, cancel: &Cancel) -> Result<Vec<String>> {
        let mut urls = Vec::new();
        for dir in crate::vetting::module_dirs(&self.location.common_dir.join("modules")) {
            let process = self.read(&["config", "--null", "--no-includes", "--file"]).arg(dir.join("config"));
            let listed = process.args(["--get-regexp", r"^remote\..*\.url$"]).output(cancel, MAX_OUTPUT)?.1;
            let entries = listed.split(|&byte| byte == 0).filter_map(|entry| entry.split_once_str("\n"));
            urls.extend(entries.map(|(_, url)| url.to_str_lossy().into_owned()));
        }
        Ok(urls)
    }

    /// Takes over the URLs of submodules from `.gitmodules`.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn sync_submodules(&self, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        let specs = paths.iter().map(RelPath::literal);
        self.submodule("sync").arg("--quiet").arg("--").args(specs).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// A sub-command of `git submodule`, which is a shell script around a helper: where no shell may run, the helper.
    fn submodule(&self, command: &str) -> Process<'_> {
        self.change(&[if self.is_sandboxed() && !self.location.trusted { "submodule--helper" } else { "submodule" }, command])
    }

    /// Fails for a path that is no submodule.
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
