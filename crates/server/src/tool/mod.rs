//! What a tool is.

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
pub use effect::{Effect, Scope};
pub use entry::Entry;
pub(crate) use entry::{Anywhere, Body, Parsed, parse};
use git::{Cancel, ObjectId, OnProgress, Progress, Raw, Reach, RelPath, Repo};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;
pub(crate) use services::ToolServices;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
pub use toolset::Toolset;

/// What a call may use.
pub(crate) struct Context<'a> {
    pub(crate) repo: &'a Arc<Repo>,
    pub(crate) cancel: &'a Cancel,
    pub(crate) budget: Budget,
    pub(crate) echo: Echo,
    /// Of a change: what is kept of it. Reads have none.
    pub(crate) record: Option<&'a Record<'a>>,
    pub(crate) services: &'a ToolServices,
    /// Who makes the call.
    pub(crate) principal: &'a str,
    /// The call says that it means what it asks for.
    pub(crate) confirmed: bool,
    pub(crate) on_progress: OnProgress<'a>,
    /// What the client itself allows, where it says so.
    pub(crate) client_roots: Option<&'a [PathBuf]>,
}

/// Hears how far a call has come.
pub type Reporter = Arc<dyn Fn(Progress) + Send + Sync>;

impl Context<'_> {
    /// Says what the change touches besides references and the index, before it does.
    pub(crate) fn reaches(&self, reach: Reach) {
        if let Some(record) = self.record {
            record.note(reach);
        }
    }

    /// Says that the change moves references besides the branch that is checked out, before it does.
    pub(crate) fn moves_refs(&self) -> Result<(), Error> {
        self.record.map_or(Ok(()), |record| record.moves_refs(self.cancel))
    }

    /// Keeps what tracked files hold before the change overwrites those at `paths`, or any.
    pub(crate) fn overwrites(&self, paths: &[RelPath]) -> Result<(), Error> {
        let Some(record) = self.record else { return Ok(()) };
        let saved = self.repo.save_at(paths, self.cancel)?;
        record.overwrites(saved, paths)
    }

    /// The same for a change of any files, where git can keep them: undoing it is refused otherwise, and says so.
    pub(crate) fn keeps_all(&self) -> Result<(), Error> {
        self.reaches(Reach::Worktree);
        let Some(record) = self.record else { return Ok(()) };
        match self.repo.save(self.cancel) {
            Err(git::Error::Failed { .. } | git::Error::NotKept(_) | git::Error::FilterFailed { .. }) => Ok(()),
            saved => record.overwrites(saved?, &[]),
        }
    }

    /// Keeps what the change may do to files that git alone would not bring back.
    pub(crate) fn keeps_files(&self, which: Raw<'_>) -> Result<(), Error> {
        let Some(record) = self.record else { return Ok(()) };
        record.keeps_files(self.repo.raw_files(which, self.cancel)?);
        Ok(())
    }

    /// Refuses a place that the client itself has put out of bounds.
    pub(crate) fn confine(&self, place: &Path) -> Result<(), Error> {
        match self.client_roots {
            Some(roots) if !roots.iter().any(|root| place.starts_with(root)) => {
                Err(Error::new(Kind::Denied, format!("{} is outside the client's own roots", place.display()))
                    .hint("The client's workspace decides where it may work: name a folder inside of it."))
            }
            _ => Ok(()),
        }
    }

    /// Says that the change is made: what follows only describes it.
    pub(crate) fn settled(&self) {
        if let Some(record) = self.record {
            record.settle();
        }
    }

    /// The last change of the worktree that was not taken back.
    pub(crate) fn last_change(&self) -> Result<Option<Past>, Error> {
        self.services.journal.last(self.repo)
    }

    /// True where `git_undo` will know where what is done now has begun: what is in progress may be somebody else's.
    pub(crate) fn has_known_beginning(&self) -> bool {
        // Where it cannot be read nothing is promised.
        self.repo.in_progress().is_none() || self.services.journal.knows_beginning(self.repo).unwrap_or(false)
    }

    /// Lets a deed pass if the operator does and, where that is asked for, the call confirms it.
    pub(crate) fn permit(&self, action: PolicyAction, what: &str) -> Result<(), Error> {
        self.services.policy.permit(action, self.confirmed, what)
    }

    /// Lets the branch be moved to `target`, and what a remote has of it be rewritten, if the operator does.
    pub(crate) fn permit_rewrite(&self, target: ObjectId) -> Result<(), Error> {
        if !self.repo.is_pushed_since(target, self.cancel)? {
            return Ok(());
        }
        let what = "commits that a remote has would be rewritten, and a later push would have to be forced";
        if let Some(branch) = self.repo.branch_name(self.cancel)? {
            self.services.policy.spare(&branch, what)?;
        }
        self.permit(PolicyAction::RewritePushed, what)
    }

    /// Notes that history which is not here limits the answer, and the call that gets it.
    pub(crate) fn note_shallow(&self, writer: &mut Writer, what: &str) {
        writer.note(format!("history is shallow: {what}. Next: {}", self.echo.other("git_fetch", &[("depth", serde_json::json!(0))])));
    }

    /// Paths as the caller writes them.
    pub(crate) fn paths(&self, paths: &[String]) -> Result<Vec<RelPath>, Error> {
        let top = self.repo.location().worktree.as_deref();
        Ok(paths.iter().map(|path| RelPath::new(path, top)).collect::<Result<_, _>>()?)
    }

    /// A writer for this call's result.
    pub(crate) fn writer(&self) -> Writer {
        // The journal may have something to say of a change.
        Writer::new(if self.record.is_some() { self.budget.before_afterwards() } else { self.budget })
    }
}

/// A tool that works in a repository. The doc comments of `Args` are what the model reads.
pub(crate) trait Tool: 'static {
    /// The arguments, without `repo_path` and `max_tokens`, which every tool has.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// The name that clients call.
    const NAME: &'static str;
    /// When to use it and when not, in under 60 words.
    const ABOUT: &'static str;
    /// What it does to the repository.
    const EFFECT: Effect;
    /// What it works with besides the worktree.
    const SCOPE: Scope = Scope::Worktree;
    /// Which way a remote is used.
    const DIRECTION: git::Direction = git::Direction::Fetch;
    /// The schema of the structured result, where there is one.
    const OUTPUT: Option<fn() -> Value> = None;
    /// What a call with these arguments does, where that is less than [`Tool::EFFECT`].
    fn effect(_args: &Self::Args) -> Effect {
        Self::EFFECT
    }
    /// Does the work. Runs on a thread of its own.
    fn run(cx: &Context<'_>, args: Self::Args) -> Result<Reply, Error>;
}
