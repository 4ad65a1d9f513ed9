//! The domains that the work on a repository is done in.

use crate::{
    error::{Error, Result},
    process::{
        Mode,
        program::Git,
        sandbox::{Domain, Rules, Sandbox, support},
    },
    repo::{
        roots::{Location, Roots},
        settings::Settings,
    },
};
use std::{fs, path::PathBuf, sync::Arc};

/// The domains of one repository.
#[derive(Debug)]
pub(crate) struct Guarded {
    /// What a change may touch; the rules for more than that begin with them.
    pub(crate) rules: Rules,
    read: Arc<Domain>,
    change: Arc<Domain>,
    /// Reads in this process are done inside, too.
    pub(crate) engine: bool,
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

    pub(crate) fn domain(&self, mode: Mode) -> &Arc<Domain> {
        match mode {
            Mode::Read => &self.read,
            Mode::Change => &self.change,
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
