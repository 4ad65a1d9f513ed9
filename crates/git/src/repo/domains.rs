//! Sandbox domains for the processes of a repository.

use crate::{
    error::{Error, Result},
    process::{
        Mode,
        sandbox::{Domain, Rules, Sandbox, support},
    },
    repo::Repo,
};
use std::{path::Path, sync::Arc};

impl Repo {
    /// The domain of a git process of this repository.
    pub(crate) fn domain(&self, mode: Mode) -> Option<Arc<Domain>> {
        self.guarded.as_ref().map(|guarded| Arc::clone(guarded.domain(mode)))
    }

    /// The domain of a change that also creates, changes or removes `place`. Symbolic links in its path are refused: one may
    /// have been swapped in since the check.
    pub(crate) fn domain_with(&self, place: &Path) -> Result<Option<Arc<Domain>>> {
        self.extended(|rules| rules.own_write.push(place.to_owned()))
    }

    /// The domain of a change that also starts `program`.
    pub(crate) fn domain_running(&self, program: &Path) -> Result<Option<Arc<Domain>>> {
        let needed = self.git.needed_by(program);
        self.extended(|rules| rules.execute.extend(needed))
    }

    /// The domain of a process that connects to `ports`, using the program `ssh` if given.
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

    /// Whether the kernel restricts the git processes of this repository.
    pub fn is_sandboxed(&self) -> bool {
        self.guarded.is_some()
    }

    /// Refuses a change that must be sandboxed on a kernel that does not support it.
    pub(crate) fn check_sandbox(&self) -> Result<()> {
        match support() {
            Err(why) if !self.location.trusted && self.allowed.policy.sandbox != Sandbox::Off => {
                Err(Error::NoSandbox { path: self.top().to_owned(), why })
            }
            _ => Ok(()),
        }
    }
}
