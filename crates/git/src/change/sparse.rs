//! Sparse checkout.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
};

/// Maximum length of a file listing.
pub(super) const LISTING: usize = 256 << 20;

/// The entries of the index at some paths, and whether each has the skip-worktree mark.
pub(super) type Marks = BTreeMap<Vec<u8>, bool>;

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
            let ignored = self.read(&["ls-files", "--others", "--ignored", "--exclude-standard", "-z"]).success(cancel, LISTING)?;
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

    /// The entries of the index at `paths`.
    pub(super) fn marks(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Marks> {
        let listing = self.read(&["ls-files", "-t", "-z", "--"]).args(paths.iter().map(RelPath::literal));
        let listed = listing.success(cancel, LISTING)?;
        let entry = |entry: &[u8]| Some((entry.get(2..)?.to_vec(), entry.starts_with(b"S ")));
        Ok(listed.split(|&byte| byte == 0).filter_map(entry).collect())
    }

    /// True if the working tree is sparse, or an entry at `paths` has the mark.
    pub(super) fn may_be_marked(&self, paths: &[RelPath], cancel: &Cancel) -> Result<bool> {
        Ok(self.settings.sparse || self.marks(paths, cancel)?.values().any(|is_marked| *is_marked))
    }

    /// Restores the marks at `paths` that a change of only the index has dropped, and marks its new entries outside of a
    /// sparse working tree: without the mark, a file that is not checked out counts as deleted. git before 2.41 does not
    /// list what is outside; there only the dropped marks are restored.
    pub(super) fn mark_again(&self, paths: &[RelPath], before: &Marks, cancel: &Cancel) -> Result<()> {
        if !self.settings.sparse && !before.values().any(|is_marked| *is_marked) {
            return Ok(());
        }
        let top = self.worktree()?;
        let is_absent = |path: &[u8]| top.join(OsStr::from_bytes(path)).symlink_metadata().is_err();
        let now = self.marks(paths, cancel)?;
        let unmarked = now.into_iter().filter(|(_, is_marked)| !is_marked).map(|(path, _)| path);
        let (known, new): (Vec<_>, Vec<_>) = unmarked.partition(|path| before.contains_key(path));
        let mut lost: Vec<Vec<u8>> = known.into_iter().filter(|path| before.get(path).is_some_and(|is_marked| *is_marked)).collect();
        lost.extend(self.outside(new.into_iter().filter(|path| is_absent(path.as_slice())).collect(), cancel)?);
        if lost.is_empty() {
            return Ok(());
        }
        let names: Vec<u8> = lost.iter().flat_map(|path| [path.as_slice(), b"\0"].concat()).collect();
        let mark = ["update-index", "--skip-worktree", "-z", "--stdin"];
        self.locked(cancel, || self.change(&mark).stdin(names.clone()))?.0.require("update-index")
    }

    /// The paths outside of a sparse working tree.
    fn outside(&self, paths: Vec<Vec<u8>>, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        if paths.is_empty() || !self.settings.sparse || self.git.version()?.number < (2, 41) {
            return Ok(Vec::new());
        }
        let list: Vec<u8> = paths.iter().flat_map(|path| [path.as_slice(), b"\0"].concat()).collect();
        let (ended, output) = self.read(&["sparse-checkout", "check-rules", "-z"]).stdin(list).may_die().output(cancel, LISTING)?;
        // It fails if the working tree is not sparse after all.
        let inside: BTreeSet<&[u8]> = output.split(|&byte| byte == 0).collect();
        Ok(paths.into_iter().filter(|path| ended.code == Some(0) && !inside.contains(path.as_slice())).collect())
    }
}
