//! Commits that a rebase skips, since its upstream has commits with the same patch.

use super::{MAX_OUTPUT, integrate::RebaseRequest};
use crate::{cancel::Cancel, error::Result, repo::Repo};
use gix::{ObjectId, bstr::ByteSlice};

/// The state before a rebase without a plan.
#[derive(Clone, Copy, Debug)]
pub struct RebaseStart {
    /// The commit with which the rebased ones are compared.
    pub upstream: ObjectId,
    /// `HEAD`.
    pub head: ObjectId,
    /// The new base.
    base: ObjectId,
}

impl Repo {
    /// The state before the rebase `request`; `None` if it has a plan, which names every commit, or without commits.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnknownRevision`].
    pub fn rebase_start(&self, request: &RebaseRequest, cancel: &Cancel) -> Result<Option<RebaseStart>> {
        let Some(head) = self.head(cancel)?.filter(|_| request.plan.is_empty()) else { return Ok(None) };
        let upstream = self.resolve_commit(&request.upstream, cancel)?;
        let onto = request.onto.as_ref().map(|onto| self.resolve_commit(onto, cancel)).transpose()?;
        Ok(Some(RebaseStart { upstream, head, base: onto.unwrap_or(upstream) }))
    }

    /// The commits that a rebase has skipped, or skips until it is finished, oldest first. git compares their changed lines
    /// without positions and blanks: a skipped commit may change other lines than its counterpart.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn skipped_since(&self, start: &RebaseStart, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let RebaseStart { upstream, head, base } = *start;
        if self.in_progress().is_none()
            && let Some(now) = self.head(cancel)?
            && self.count_without_merges(upstream, head, cancel)? == self.count_without_merges(base, now, cancel)?
        {
            // To compare patches takes longer.
            return Ok(Vec::new());
        }
        let listing = self.read(&["rev-list", "--cherry-mark", "--right-only", "--no-merges", "--topo-order", "--reverse"]);
        let listed = listing.arg(format!("{upstream}...{head}")).arg("--").success(cancel, MAX_OUTPUT)?;
        let same = listed.lines().filter_map(|line| line.strip_prefix(b"="));
        let same: Vec<u8> = same.flat_map(|id| [id, b"\n"].concat()).collect();
        if same.is_empty() {
            return Ok(Vec::new());
        }
        // git keeps commits that were empty from the start; this lists only the others.
        let changing = self.read(&["diff-tree", "--stdin", "--root", "-s"]).stdin(same).success(cancel, MAX_OUTPUT)?;
        Ok(changing.lines().filter_map(|id| ObjectId::from_hex(id).ok()).collect())
    }

    /// The number of commits in `from..to` without merges, as git prints it.
    fn count_without_merges(&self, from: ObjectId, to: ObjectId, cancel: &Cancel) -> Result<Vec<u8>> {
        self.read(&["rev-list", "--count", "--no-merges"]).arg(format!("{from}..{to}")).arg("--").success(cancel, MAX_OUTPUT)
    }
}
