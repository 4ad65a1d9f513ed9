//! Shallow history: which commits it ends at, and where that limits an answer.

use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    name::Rev,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashSet, ops::ControlFlow};

impl Repo {
    /// The commits at which history ends here although they have parents. None where it is whole.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn boundary(&self) -> Result<HashSet<ObjectId>> {
        let text = self.common_folder().read("shallow", Kind::Fetched)?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| ObjectId::from_hex(line.trim()).ok()).collect())
    }

    /// True where a walk from `rev`, which may be a range, ends at commits whose parents are not here.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn is_cut_off(&self, rev: &Rev, cancel: &Cancel) -> Result<bool> {
        let boundary = self.boundary()?;
        if boundary.is_empty() {
            return Ok(false);
        }
        let (mut rest, mut found) = (Vec::new(), false);
        let process = self.read(&["rev-list"]).args(self.tips_as_args(rev, cancel)?).arg("--");
        let ended = process.stream(cancel, |chunk| {
            rest.extend_from_slice(chunk);
            let end = rest.rfind_byte(b'\n').map_or(0, |at| at + 1);
            let lines: Vec<u8> = rest.drain(..end).collect();
            found |= lines.lines().any(|line| ObjectId::from_hex(line).is_ok_and(|id| boundary.contains(&id)));
            if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        ended.require("rev-list")?;
        Ok(found)
    }

    /// True for a commit at which history ends here although it has parents.
    pub(crate) fn is_cut_at(&self, commit: ObjectId, cancel: &Cancel) -> Result<bool> {
        if !self.boundary()?.contains(&commit) {
            return Ok(false);
        }
        // Remotes also name commits as ends that have none.
        let text = self.read(&["cat-file", "commit"]).arg(commit.to_string()).success(cancel, 16 << 20)?;
        Ok(text.lines().take_while(|line| !line.is_empty()).any(|line| line.starts_with(b"parent ")))
    }

    /// True for a revision such as `HEAD~3` that goes beyond the commits at which history ends here.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn is_beyond(&self, name: &str, cancel: &Cancel) -> Result<bool> {
        let Some((start, _)) = name.split_once(['~', '^']) else { return Ok(false) };
        match Rev::new(start) {
            Ok(start) if self.resolve_commit(&start, cancel).is_ok() => self.is_cut_off(&start, cancel),
            _ => Ok(false),
        }
    }

    /// True where history reaches further back than to `before`, where it ended.
    pub(crate) fn is_deeper_than(&self, before: &HashSet<ObjectId>, cancel: &Cancel) -> Result<bool> {
        let now = self.boundary()?;
        let process = self.read(&["rev-list"]).args(before.iter().map(ToString::to_string)).arg("--");
        let mut output = Vec::new();
        let ended = process.stream(cancel, |chunk| {
            // The first commits say enough.
            output.extend_from_slice(chunk);
            if output.len() > 1 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let reached = || output.lines().filter_map(|line| ObjectId::from_hex(line).ok()).any(|id| !before.contains(&id));
        Ok(ended.full || ended.code == Some(0) && (now.is_empty() || reached()))
    }

    /// Fails for two commits without a common ancestor, and says whether that may be for want of history.
    pub(crate) fn check_related(&self, one: ObjectId, other: ObjectId, cancel: &Cancel) -> Result<()> {
        if self.merge_bases(one, other, cancel)?.is_empty() { Err(self.unrelated()?) } else { Ok(()) }
    }

    /// Why two commits have no common ancestor.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn unrelated(&self) -> Result<Error> {
        Ok(Error::Unrelated { shallow: !self.boundary()?.is_empty() })
    }
}
