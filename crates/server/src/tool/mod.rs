//! The trait of tools, and the context of their calls.

mod action;
pub(crate) mod effect;
pub(crate) mod entry;
mod services;
pub(crate) mod toolset;

pub(crate) use crate::policy::PolicyAction;
use crate::{
    error::{Error, Kind},
    journal::{Past, Record},
    output::{Budget, Echo, Reply, Writer},
};
pub(crate) use action::{actions, choices, needed};
pub use effect::{Effect, Scope};
pub use entry::Entry;
pub(crate) use entry::{Anywhere, Body, Parsed, parse};
use git::{Cancel, ObjectId, OnProgress, Progress, Raw, RawFiles, Reach, RelPath, Repo};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
pub(crate) use services::ToolServices;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
pub use toolset::Toolset;

/// The context of a call.
pub(crate) struct Context<'a> {
    pub(crate) repo: &'a Arc<Repo>,
    pub(crate) cancel: &'a Cancel,
    pub(crate) budget: Budget,
    pub(crate) echo: Echo,
    /// The journal record of a change; `None` for reads.
    pub(crate) record: Option<&'a Record<'a>>,
    pub(crate) services: &'a ToolServices,
    /// The calling principal.
    pub(crate) principal: &'a str,
    /// Whether the call is confirmed.
    pub(crate) confirmed: bool,
    pub(crate) on_progress: OnProgress<'a>,
    /// The client's own roots, if it declares them.
    pub(crate) client_roots: Option<&'a [PathBuf]>,
}

/// Receives the progress of a call.
pub type Reporter = Arc<dyn Fn(Progress) + Send + Sync>;

impl Context<'_> {
    /// Records what the change will touch besides references and the index.
    pub(crate) fn reaches(&self, reach: Reach) {
        if let Some(record) = self.record {
            record.note(reach);
        }
    }

    /// Records that the change will move references besides the current branch.
    pub(crate) fn moves_refs(&self) -> Result<(), Error> {
        self.record.map_or(Ok(()), |record| record.moves_refs(self.cancel))
    }

    /// Saves tracked files before the change overwrites those at `paths`, or any if empty.
    pub(crate) fn overwrites(&self, paths: &[RelPath]) -> Result<(), Error> {
        let Some(record) = self.record else { return Ok(()) };
        let saved = self.repo.save_at(paths, self.cancel)?;
        record.overwrites(saved, paths)
    }

    /// The same for a change of any files, if git can save them; otherwise a later undo is refused with the reason.
    pub(crate) fn keeps_all(&self) -> Result<(), Error> {
        self.reaches(Reach::Worktree);
        let Some(record) = self.record else { return Ok(()) };
        match self.repo.save(self.cancel) {
            Err(git::Error::Failed { .. } | git::Error::NotKept(_) | git::Error::FilterFailed { .. }) => Ok(()),
            saved => record.overwrites(saved?, &[]),
        }
    }

    /// Saves files that the change may affect and git alone could not restore. Refuses, unless confirmed, if some exceed the
    /// limits and their conversion may lose content; so it comes before [`Context::overwrites`], after which a call can be undone.
    pub(crate) fn keeps_files(&self, which: Raw<'_>) -> Result<(), Error> {
        let Some(record) = self.record else { return Ok(()) };
        let RawFiles { kept, beyond, absent, is_lossy } = self.repo.raw_files(which, self.cancel)?;
        record.keeps_files(kept, beyond, absent);
        match record.not_kept().filter(|_| is_lossy && !self.confirmed) {
            Some(why) => Err(Error::new(Kind::Refused, format!("nothing was changed: {why}")).asks()),
            None => Ok(()),
        }
    }

    /// Refuses a path outside the client's own roots.
    pub(crate) fn confine(&self, place: &Path) -> Result<(), Error> {
        match self.client_roots {
            Some(roots) if !roots.iter().any(|root| place.starts_with(root)) => {
                Err(Error::new(Kind::Denied, format!("{} is outside the client's own roots", place.display()))
                    .hint("The client's workspace decides where it may work: name a folder inside it."))
            }
            _ => Ok(()),
        }
    }

    /// Marks the change as done: the rest of the call only describes it.
    pub(crate) fn settled(&self) {
        if let Some(record) = self.record {
            record.settle();
        }
    }

    /// The worktree's last change that was not undone.
    pub(crate) fn last_change(&self) -> Result<Option<Past>, Error> {
        self.services.journal.last(self.repo)
    }

    /// Whether `git_undo` knows where this change begins: another program may have started the operation in progress.
    pub(crate) fn has_known_beginning(&self) -> bool {
        // If the journal is unreadable, undo is not offered.
        self.repo.in_progress().is_none() || self.services.journal.knows_beginning(self.repo).unwrap_or(false)
    }

    /// Permits an action if the operator's policy does and, if required, the call is confirmed.
    pub(crate) fn permit(&self, action: PolicyAction, what: &str) -> Result<(), Error> {
        self.services.policy.permit(action, self.confirmed, what)
    }

    /// Permits moving the branch to `target`, if the policy allows rewriting any pushed commits in between.
    pub(crate) fn permit_rewrite(&self, target: ObjectId) -> Result<(), Error> {
        if !self.repo.is_pushed_since(target, self.cancel)? {
            return Ok(());
        }
        let what = "commits that a remote has would be rewritten, and a later push would have to be forced";
        if let Some(branch) = self.repo.branch_name(self.cancel)? {
            self.services.policy.check_protected(&branch, what)?;
        }
        self.permit(PolicyAction::RewritePushed, what)
    }

    /// Notes that missing history limits the answer, and names the call that fetches it.
    pub(crate) fn note_shallow(&self, writer: &mut Writer, what: &str) {
        writer.note(format!("history is shallow: {what}. Next: {}", self.echo.other("git_fetch", &[("depth", serde_json::json!(0))])));
    }

    /// Parses paths given by the caller.
    pub(crate) fn paths(&self, paths: &[String]) -> Result<Vec<RelPath>, Error> {
        let top = self.repo.location().worktree.as_deref();
        Ok(paths.iter().map(|path| RelPath::new(path, top)).collect::<Result<_, _>>()?)
    }

    /// A writer for this call's result.
    pub(crate) fn writer(&self) -> Writer {
        // The journal may add a note to a change, and the pipeline one on ambiguous names.
        let has_later_notes = self.record.is_some() || !self.cancel.ambiguities().is_empty();
        Writer::new(if has_later_notes { self.budget.minus_later_notes() } else { self.budget })
    }
}

/// A tool that works in a repository. Models read the doc comments of `Args`.
pub(crate) trait Tool: 'static {
    /// The arguments, except `repo_path` and `max_tokens`, which every tool has.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// The name that clients call.
    const NAME: &'static str;
    /// When to use it and when not, in under 60 words.
    const ABOUT: &'static str;
    /// Its strongest effect on the repository.
    const EFFECT: Effect;
    /// What it uses besides the worktree.
    const SCOPE: Scope = Scope::Worktree;
    /// Whether it fetches or pushes.
    const DIRECTION: git::Direction = git::Direction::Fetch;
    /// The schema of the structured result, if any.
    const OUTPUT: Option<fn() -> Value> = None;
    /// Whether a call with these arguments only reads, whatever [`Tool::EFFECT`] is.
    fn only_reads(_args: &Self::Args) -> bool {
        false
    }
    /// Whether the same call has the same reply while its repository is unchanged: it depends on no clock, no journal,
    /// and no file outside of what `git::Repo` watches.
    fn is_repeatable(_args: &Self::Args) -> bool {
        false
    }
    /// Runs the call, on a thread of its own.
    fn run(cx: &Context<'_>, args: Self::Args) -> Result<Reply, Error>;
}
