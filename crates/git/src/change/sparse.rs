//! Sparse checkout.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    repo::Repo,
};
use gix::bstr::ByteSlice;

/// A change to the sparse-checkout list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sparse {
    /// Replaces it.
    Set,
    /// Adds to it.
    Add,
    /// Disables sparse checkout.
    Disable,
    /// Applies the list again.
    Reapply,
}

impl Repo {
    /// The folders in the working tree; `None` if sparse checkout is off.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn sparse_folders(&self, cancel: &Cancel) -> Result<Option<Vec<Vec<u8>>>> {
        self.worktree()?;
        if self.config_value("core.sparseCheckout", cancel)?.is_none_or(|value| value != "true") {
            return Ok(None);
        }
        let output = self.read(&["sparse-checkout", "list"]).success(cancel, MAX_OUTPUT)?;
        Ok(Some(output.lines().map(|line| crate::quote::unquoted(line).unwrap_or_else(|| line.to_vec())).collect()))
    }

    /// Changes the folders in the working tree. Edited files stay.
    ///
    /// # Errors
    ///
    /// [`Error::WouldLose`] for ignored files in removed folders, unless `confirmed`; [`Error::Failed`].
    pub fn set_sparse(&self, what: Sparse, folders: &[RelPath], confirmed: bool, cancel: &Cancel) -> Result<()> {
        self.worktree()?;
        self.check_trust(cancel)?;
        if matches!(what, Sparse::Set | Sparse::Add) && folders.iter().any(|folder| folder.as_bytes().contains(&b'\n')) {
            return Err(Error::bad_name("", "a folder", "it has a line break, which the list cannot hold"));
        }
        if what != Sparse::Disable && !confirmed {
            // git removes a folder together with its ignored files, also a folder excluded by existing patterns.
            let mut kept = if what == Sparse::Set { Vec::new() } else { self.sparse_folders(cancel)?.unwrap_or_default() };
            kept.extend(folders.iter().map(|folder| folder.as_bytes().to_vec()));
            let folders: Vec<RelPath> = kept.iter().map(|folder| RelPath::from_git(folder)).collect();
            let ignored = self.read(&["ls-files", "--others", "--ignored", "--exclude-standard", "-z"]).success(cancel, 256 << 20)?;
            let stays = |path: &&[u8]| match path.iter().rposition(|&byte| byte == b'/') {
                None => true,
                Some(end) => {
                    folders.iter().any(|folder| folder.covers(&path[..end]) || RelPath::from_git(&path[..end]).covers(folder.as_bytes()))
                }
            };
            let lost = ignored.split(|&byte| byte == 0).filter(|path| !path.is_empty()).filter(|path| !stays(path));
            let lost: Vec<String> = lost.map(crate::quote::listed).take(20).collect();
            if !lost.is_empty() {
                return Err(Error::WouldLose(lost));
            }
        }
        if what != Sparse::Reapply {
            let mut needs = self.needs(cancel);
            needs.indexed(&[])?;
            needs.check_for_folders(if what == Sparse::Disable { None } else { Some(folders) })?;
        }
        let list: Vec<u8> =
            folders.iter().flat_map(|folder| [&crate::quote::quoted(b"", folder.as_bytes(), true)[..], b"\n"].concat()).collect();
        let args: &[&str] = match what {
            Sparse::Set => &["sparse-checkout", "set", "--cone", "--stdin"],
            Sparse::Add => &["sparse-checkout", "add", "--stdin"],
            Sparse::Disable => &["sparse-checkout", "disable"],
            Sparse::Reapply => &["sparse-checkout", "reapply"],
        };
        let (ended, _) = self.locked(cancel, || {
            let process = self.change(args);
            if matches!(what, Sparse::Set | Sparse::Add) { process.stdin(list.clone()) } else { process }
        })?;
        ended.require("sparse-checkout")
    }
}
