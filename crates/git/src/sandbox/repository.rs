//! The domains that the work on a repository is done in.

use super::{Domain, Rules, Sandbox, support};
use crate::{
    error::{Error, Result},
    process::Mode,
    program::Git,
    repo::Repo,
    roots::{Location, Roots},
    settings::Settings,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The domains of one repository.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// What a change may touch; the rules for more than that begin with them.
    rules: Rules,
    read: Arc<Domain>,
    change: Arc<Domain>,
    /// Reads in this process are done inside, too.
    engine: bool,
}

impl Guarded {
    /// The domains of the repository at `location`, where `policy` asks for them and the kernel holds them. `borrowed` are
    /// the further places that its objects and references are in.
    pub(crate) fn new(policy: Sandbox, git: &Git, location: &Location, settings: &Settings, borrowed: &[PathBuf]) -> Result<Option<Self>> {
        let wanted = match policy {
            Sandbox::Off => false,
            Sandbox::Untrusted => !location.trusted,
            Sandbox::Always => true,
        };
        if !wanted || support().is_err() {
            return Ok(None);
        }
        let needs = git.needs()?;
        let mut base = needs.rules();
        base.read.extend(settings.operator_files());
        let own = [location.worktree.as_ref(), Some(&location.git_dir), Some(&location.common_dir)];
        let own: Vec<PathBuf> = own.into_iter().flatten().cloned().collect();
        let mut read = base.clone();
        read.own_read.extend(own.iter().chain(borrowed).cloned());
        let mut rules = base;
        rules.own_read.extend(borrowed.iter().cloned());
        if location.trusted {
            needs.with_system(&mut read);
            needs.with_system(&mut rules);
            // Its hooks, and what they keep beside them.
            rules.execute.extend(own.iter().cloned());
        }
        rules.own_write.extend(own);
        let domain = |rules: &Rules| Domain::new(rules).map(Arc::new).map_err(Error::sandbox);
        Ok(Some(Self { read: domain(&read)?, change: domain(&rules)?, rules, engine: !location.trusted }))
    }

    fn domain(&self, mode: Mode) -> &Arc<Domain> {
        match mode {
            Mode::Read => &self.read,
            Mode::Change => &self.change,
        }
    }
}

impl Repo {
    /// Works with the in-process engine, inside of the repository's domain where it has one. `None` where the engine does
    /// not understand the repository's format.
    pub(crate) fn with_engine<T: Send>(&self, mode: Mode, work: impl FnOnce(&gix::Repository) -> T + Send) -> Result<Option<T>> {
        let Some(engine) = &self.engine else { return Ok(None) };
        self.within(mode, || work(&engine.to_thread_local())).map(Some)
    }

    /// Works in this process, inside of the repository's domain where it has one.
    pub(crate) fn within<T: Send>(&self, mode: Mode, work: impl FnOnce() -> T + Send) -> Result<T> {
        match self.guarded.as_ref().filter(|guarded| guarded.engine) {
            Some(guarded) => guarded.domain(mode).run(work).map_err(Error::sandbox),
            None => Ok(work()),
        }
    }

    /// The domain of a git process of this repository.
    pub(crate) fn domain(&self, mode: Mode) -> Option<Arc<Domain>> {
        self.guarded.as_ref().map(|guarded| Arc::clone(guarded.domain(mode)))
    }

    /// The domain of a change that also makes, changes or removes what is at `place`, which no link may lead to: a writer can
    /// have put one there since the place was looked at.
    pub(crate) fn domain_with(&self, place: &Path) -> Result<Option<Arc<Domain>>> {
        self.extended(|rules| rules.own_write.push(place.to_owned()))
    }

    /// The domain of a change that also starts `program`.
    pub(crate) fn domain_running(&self, program: &Path) -> Result<Option<Arc<Domain>>> {
        let needed = self.git.needed_by(program);
        self.extended(|rules| rules.execute.extend(needed))
    }

    /// The domain of a process that makes connections to `ports`, with `ssh` by means of that program.
    pub(crate) fn domain_online(&self, ports: &[u16], ssh: Option<&Path>) -> Result<Option<Arc<Domain>>> {
        if self.guarded.is_none() {
            return Ok(None);
        }
        let needs = self.git.needs()?;
        self.extended(|rules| needs.with_network(rules, ports.iter().copied(), ssh))
    }

    fn extended(&self, extend: impl FnOnce(&mut Rules)) -> Result<Option<Arc<Domain>>> {
        let Some(guarded) = &self.guarded else { return Ok(None) };
        let mut rules = guarded.rules.clone();
        extend(&mut rules);
        Domain::for_one_step(&rules).map(|domain| Some(Arc::new(domain))).map_err(Error::sandbox)
    }

    /// True where the kernel holds what git processes of this repository may do.
    pub fn is_sandboxed(&self) -> bool {
        self.guarded.is_some()
    }

    /// Refuses a change that the kernel should guard and cannot.
    pub(crate) fn check_sandbox(&self) -> Result<()> {
        match support() {
            Err(why) if !self.location.trusted && self.allowed.policy.sandbox != Sandbox::Off => {
                Err(Error::NoSandbox { path: self.top().to_owned(), why })
            }
            _ => Ok(()),
        }
    }
}

/// The places outside of the git directory that links in it lead to, where the roots allow that. A writer can have replaced
/// a link since the repository was looked at, so what it leads to now is asked again.
pub(crate) fn linked(location: &Location, roots: &Roots) -> Vec<PathBuf> {
    let names = ["HEAD", "index", "logs", "objects", "objects/pack", "objects/info", "refs", "refs/heads", "packed-refs", "config", "info"];
    let places = names.iter().flat_map(|name| [location.git_dir.join(name), location.common_dir.join(name)]);
    places
        .filter(|place| place.is_symlink())
        .filter_map(|place| fs::canonicalize(place).ok())
        .filter(|place| location.trusted || roots.contains(place))
        .collect()
}
