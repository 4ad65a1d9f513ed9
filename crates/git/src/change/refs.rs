//! Broken and symbolic references in changes.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::Rev,
    repo::{Repo, snapshot::Moved},
};
use gix::ObjectId;

/// The value of a deleted reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Former {
    /// Its object; `None` if it named none.
    pub id: Option<ObjectId>,
    /// Whether it was broken: its object is missing or damaged, or it named a reference that does not exist.
    pub is_broken: bool,
}

impl Repo {
    /// Whether git cannot read what the reference `full` names.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`].
    pub fn is_broken(&self, full: &str, cancel: &Cancel) -> Result<bool> {
        Ok(matches!(self.resolve(&Rev::new(full)?, cancel), Err(Error::Unreadable { .. })))
    }

    /// The object of the reference `full`, which is `found`, and why it is broken if it is. Git deletes a reference whose
    /// object is missing, and a symbolic one without a target.
    pub(super) fn former(&self, full: &str, found: Result<ObjectId>, cancel: &Cancel) -> Result<(Option<ObjectId>, Option<Error>)> {
        match found {
            Ok(id) => Ok((Some(id), None)),
            Err(err @ Error::Unreadable { .. }) => Ok((self.rev_parse(full, cancel)?.0, Some(err))),
            Err(err @ Error::UnknownRevision(_)) => match self.symbolic_target(full, cancel)? {
                Some(_) => Ok((None, Some(err))),
                None => Err(err),
            },
            Err(err) => Err(err),
        }
    }

    /// Refuses to restore a reference whose object is missing.
    pub(super) fn check_objects(&self, moved: &[Moved], cancel: &Cancel) -> Result<()> {
        for (name, id) in moved.iter().filter(|moved| moved.target.is_none()).filter_map(|moved| Some((&moved.name, moved.before?))) {
            match self.object(id, cancel) {
                // In a partial clone it can be fetched.
                Err(Error::MissingObject(_)) if !self.is_partial() => {
                    return Err(Error::NotUndone(format!("{name} cannot be restored: its object {id} is missing")));
                }
                Err(Error::Unreadable { .. }) => {
                    return Err(Error::NotUndone(format!("{name} cannot be restored: its object {id} is damaged")));
                }
                found => drop(found?),
            }
        }
        Ok(())
    }

    /// Writes symbolic references, given with their targets.
    pub(super) fn write_symbolic(&self, targets: &[(&str, &str)], cancel: &Cancel) -> Result<()> {
        if targets.is_empty() {
            return Ok(());
        }
        if self.git.version()?.number >= (2, 46) {
            let commands: String = targets.iter().map(|&(name, target)| ["symref-update ", name, " ", target, "\n"].concat()).collect();
            let process = self.change(&["update-ref", "--no-deref", "-m", "undo", "--stdin"]).stdin(commands.into_bytes());
            return process.success(cancel, MAX_OUTPUT).map(drop);
        }
        // Older versions have no command for several.
        for &(name, target) in targets {
            self.change(&["symbolic-ref", "-m", "undo"]).args([name, target]).success(cancel, MAX_OUTPUT)?;
        }
        Ok(())
    }
}
