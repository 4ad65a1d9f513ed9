//! What a tool is.

use crate::{
    error::{Error, Kind},
    journal::{Past, Record},
    output::{Budget, Echo, Reply, Writer},
    view::View,
};
pub(crate) use crate::{policy::Deed, selection::Toolset};
use git::{Cancel, ObjectId, OnProgress, Progress, Raw, Reach, RelPath, Repo, Repositories};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a tool does to the repository. Annotations, locking, queue and deadline follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Reads only.
    Read,
    /// Changes the repository, and git can undo it.
    Write,
    /// Can lose work.
    Destroy,
}

/// What a tool works with besides the worktree, and so what a call of it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nothing else.
    Worktree,
    /// Branches, tags and configuration, which all worktrees share.
    Shared,
    /// A remote. The worktree stays free for other changes.
    Remote,
    /// A remote, and the worktree with it.
    RemoteAndWorktree,
}

impl Scope {
    /// True where a remote is reached.
    pub(crate) fn is_remote(self) -> bool {
        matches!(self, Self::Remote | Self::RemoteAndWorktree)
    }
}

/// What a call may use.
pub(crate) struct Context<'a> {
    pub(crate) repo: &'a Arc<Repo>,
    pub(crate) cancel: &'a Cancel,
    pub(crate) budget: Budget,
    pub(crate) echo: Echo,
    /// Of a change: what is kept of it. Reads have none.
    pub(crate) record: Option<&'a Record<'a>>,
    pub(crate) view: &'a View,
    /// Who makes the call.
    pub(crate) principal: &'a str,
    /// The call says that it means what it asks for.
    pub(crate) confirmed: bool,
    pub(crate) on_progress: OnProgress<'a>,
    /// What the client itself allows, where it says so.
    pub(crate) narrowed: Option<&'a [PathBuf]>,
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
        let saved = self.repo.save(self.cancel)?;
        record.overwrites(saved, paths.iter().map(|path| path.pathspec().to_vec()).collect())
    }

    /// The same for a change of any files, where git can keep them: undoing it is refused otherwise, and says so.
    pub(crate) fn keeps_all(&self) -> Result<(), Error> {
        self.reaches(Reach::Worktree);
        match self.overwrites(&[]) {
            Err(err) if matches!(err.cause(), Some(git::Error::Failed { .. })) => Ok(()),
            done => done,
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
        match self.narrowed {
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
        self.view.journal.last(self.repo)
    }

    /// True where `git_undo` will know where what is done now has begun: what is in progress may be somebody else's.
    pub(crate) fn has_known_beginning(&self) -> bool {
        // Where it cannot be read nothing is promised.
        self.repo.in_progress().is_none() || self.view.journal.knows_beginning(self.repo).unwrap_or(false)
    }

    /// Lets a deed pass if the operator does and, where that is asked for, the call confirms it.
    pub(crate) fn permit(&self, deed: Deed, what: &str) -> Result<(), Error> {
        self.view.policy.permit(deed, self.confirmed, what)
    }

    /// Lets the branch be moved to `target`, and what a remote has of it be rewritten, if the operator does.
    pub(crate) fn permit_rewrite(&self, target: ObjectId) -> Result<(), Error> {
        if !self.repo.is_pushed_since(target, self.cancel)? {
            return Ok(());
        }
        let what = "commits that a remote has would be rewritten, and a later push would have to be forced";
        if let Some(branch) = self.repo.branch_name(self.cancel)? {
            self.view.policy.spare(&branch, what)?;
        }
        self.permit(Deed::RewritePushed, what)
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
pub(crate) trait Tool {
    /// The arguments, without `repo_path` and `max_tokens`, which every tool has.
    type Args: DeserializeOwned + JsonSchema;
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
    fn effect(_args: &Map<String, Value>) -> Effect {
        Self::EFFECT
    }
    /// Does the work. Runs on a thread of its own.
    fn run(cx: &Context<'_>, args: Self::Args) -> Result<Reply, Error>;
}

/// True when the argument `name` has one of these values, or is absent where one of them is empty.
pub(crate) fn is_one_of(args: &Map<String, Value>, name: &str, values: &[&str]) -> bool {
    match args.get(name) {
        None | Some(Value::Null) => values.contains(&""),
        Some(Value::String(value)) => !value.is_empty() && values.contains(&value.as_str()),
        // Whatever else it may be read as is not for this to guess.
        Some(_) => false,
    }
}

type Run = fn(&Context<'_>, Map<String, Value>) -> Result<Reply, Error>;
pub(crate) type RunAnywhere = fn(&Anywhere<'_>, Map<String, Value>) -> Result<Reply, Error>;

/// What a call may use that needs no repository.
pub(crate) struct Anywhere<'a> {
    pub(crate) repositories: &'a Repositories,
    pub(crate) path: &'a str,
    pub(crate) cancel: &'a Cancel,
    pub(crate) on_progress: OnProgress<'a>,
}

/// How a tool is run.
#[derive(Clone, Copy)]
pub(crate) enum Body {
    /// In a repository that has been opened and authorised.
    Repository(Run),
    /// On a path at which there need not be a repository yet.
    Path(RunAnywhere),
}

/// A tool with its types erased, as listed and called.
pub struct Entry {
    /// The name that clients call.
    pub name: &'static str,
    /// What the model is told about it.
    pub about: &'static str,
    /// What it does to the repository.
    pub effect: Effect,
    /// What it works with besides the worktree.
    pub(crate) scope: Scope,
    pub(crate) direction: git::Direction,
    pub(crate) effect_of: fn(&Map<String, Value>) -> Effect,
    /// The group that lists it.
    pub(crate) toolset: Toolset,
    pub(crate) schema: fn() -> Value,
    pub(crate) output: Option<fn() -> Value>,
    /// Whether the arguments can be read, those apart that all tools have.
    pub(crate) check: fn(Map<String, Value>) -> Result<(), Error>,
    pub(crate) body: Body,
}

impl Entry {
    /// Erases the types of `T`.
    pub(crate) const fn of<T: Tool>() -> Self {
        Self {
            name: T::NAME,
            about: T::ABOUT,
            effect: T::EFFECT,
            scope: T::SCOPE,
            direction: T::DIRECTION,
            effect_of: T::effect,
            toolset: Toolset::Default,
            schema: || schemars::schema_for!(T::Args).to_value(),
            output: T::OUTPUT,
            check: |args| parse::<T::Args>(args).map(drop),
            body: Body::Repository(|cx, args| T::run(cx, parse(args)?)),
        }
    }

    /// A tool that makes a repository at the path that it is given.
    pub(crate) const fn anywhere<T>(name: &'static str, about: &'static str, scope: Scope, run: RunAnywhere) -> Self
    where
        T: DeserializeOwned + JsonSchema,
    {
        Self {
            name,
            about,
            effect: Effect::Write,
            scope,
            direction: git::Direction::Fetch,
            effect_of: |_| Effect::Write,
            toolset: Toolset::Remotes,
            schema: || schemars::schema_for!(T).to_value(),
            output: None,
            check: |args| parse::<T>(args).map(drop),
            body: Body::Path(run),
        }
    }

    /// Lists the tool in another group than the default one.
    pub(crate) const fn listed_in(mut self, toolset: Toolset) -> Self {
        self.toolset = toolset;
        self
    }
}

/// The argument whose empty text is a text like any other.
const TEXT: &str = "value";

/// Reads arguments. `null` means absent, and so does an empty text, which some clients send for whatever they leave out.
pub(crate) fn parse<T: DeserializeOwned + JsonSchema>(mut args: Map<String, Value>) -> Result<T, Error> {
    let is_empty = |name: &String, value: &Value| name != TEXT && value.as_str().is_some_and(str::is_empty);
    let empty: Vec<String> = args.iter().filter(|(name, value)| is_empty(name, value)).map(|(name, _)| name.clone()).collect();
    args.retain(|name, value| !value.is_null() && !empty.contains(name));
    let names: Vec<String> = args.keys().cloned().collect();
    serde_json::from_value(Value::Object(args)).map_err(|err| {
        let why = err.to_string();
        if let Some(name) = empty.iter().find(|name| why.starts_with(&format!("missing field `{name}`"))) {
            return Error::new(Kind::BadInput, format!("invalid arguments: `{name}` is empty"));
        }
        let unknown = names.iter().find(|name| why.starts_with(&format!("unknown field `{name}`")));
        let why = unknown.map_or(why, |name| format!("`{name}` is unknown. {}", taken::<T>()));
        Error::new(Kind::BadInput, format!("invalid arguments: {why}"))
    })
}

/// The arguments that a tool takes.
fn taken<T: JsonSchema>() -> String {
    let schema = schemars::schema_for!(T).to_value();
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| format!("`{name}`"));
    let own: Vec<String> = own.collect();
    let own = if own.is_empty() { String::new() } else { format!("This tool takes {}; ", own.join(", ")) };
    format!("{own}every tool takes `repo_path` and `max_tokens`, each change `confirm` and `idempotency_key`")
}
