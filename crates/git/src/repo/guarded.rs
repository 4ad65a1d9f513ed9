//! The sandbox domains of a repository.

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
    /// The rules of a change; extended rules are based on them.
    pub(crate) rules: Rules,
    read: Arc<Domain>,
    change: Arc<Domain>,
    /// Whether in-process reads run inside as well.
    pub(crate) engine: bool,
}

impl Guarded {
    /// The domains of the repository at `location`, if `policy` requires them and the kernel supports them. `borrowed` are
    /// further directories with its objects and references.
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
            // The repository's hooks, and files next to them.
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

/// Targets of symbolic links in the git directory, if the roots allow them. A link may have been replaced since the check,
/// so each target is resolved and checked again.
pub(crate) fn linked(location: &Location, roots: &Roots) -> Vec<PathBuf> {
    let names = ["HEAD", "index", "logs", "objects", "objects/pack", "objects/info", "refs", "refs/heads", "packed-refs", "config", "info"];
    let places = names.iter().flat_map(|name| [location.git_dir.join(name), location.common_dir.join(name)]);
    places
        .filter(|place| place.is_symlink())
        .filter_map(|place| fs::canonicalize(place).ok())
        .filter(|place| location.trusted || roots.contains(place))
        .collect()
}
