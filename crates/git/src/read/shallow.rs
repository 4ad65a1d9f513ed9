//! Shallow history: its boundary commits, and where they limit an answer.

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
    /// The shallow boundary: commits whose parents are missing. Empty if the history is complete.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn boundary(&self) -> Result<HashSet<ObjectId>> {
        let text = self.common_folder().read("shallow", Kind::Fetched)?.unwrap_or_default();
        Ok(text.lines().filter_map(|line| ObjectId::from_hex(line.trim()).ok()).collect())
    }

    /// Whether a walk from `rev`, which may be a range, reaches the shallow boundary.
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

    /// Whether `commit` is on the boundary and has parents.
    pub(crate) fn is_cut_at(&self, commit: ObjectId, cancel: &Cancel) -> Result<bool> {
        if !self.boundary()?.contains(&commit) {
            return Ok(false);
        }
        // Remotes also list commits without parents as boundary.
        let text = self.read(&["cat-file", "commit"]).arg(commit.to_string()).success(cancel, 16 << 20)?;
        Ok(text.lines().take_while(|line| !line.is_empty()).any(|line| line.starts_with(b"parent ")))
    }

    /// Whether a revision such as `HEAD~3` lies beyond the shallow boundary.
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

    /// Whether history now reaches beyond the previous boundary `before`.
    pub(crate) fn is_deeper_than(&self, before: &HashSet<ObjectId>, cancel: &Cancel) -> Result<bool> {
        let now = self.boundary()?;
        let process = self.read(&["rev-list"]).args(before.iter().map(ToString::to_string)).arg("--");
        let mut output = Vec::new();
        let ended = process.stream(cancel, |chunk| {
            // The first commits suffice.
            output.extend_from_slice(chunk);
            if output.len() > 1 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let reached = || output.lines().filter_map(|line| ObjectId::from_hex(line).ok()).any(|id| !before.contains(&id));
        Ok(ended.full || ended.code == Some(0) && (now.is_empty() || reached()))
    }

    /// Fails for two commits without a common ancestor; the error notes if the history is shallow.
    pub(crate) fn check_related(&self, one: ObjectId, other: ObjectId, cancel: &Cancel) -> Result<()> {
        if self.merge_bases(one, other, cancel)?.is_empty() { Err(self.unrelated()?) } else { Ok(()) }
    }

    /// The error for two commits without a common ancestor.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn unrelated(&self) -> Result<Error> {
        Ok(Error::Unrelated { shallow: !self.boundary()?.is_empty() })
    }
}
