//! What a tool is.

pub(crate) use crate::selection::Toolset;
use crate::{
    error::{Error, Kind},
    journal::Record,
    output::{Budget, Echo, Reply, Writer},
};
use git::{Cancel, Reach, RelPath, Repo, Repositories};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;

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

/// What a call may use.
pub(crate) struct Context<'a> {
    pub(crate) repo: &'a Arc<Repo>,
    pub(crate) cancel: &'a Cancel,
    pub(crate) budget: Budget,
    pub(crate) echo: Echo,
    /// Of a change: what is kept of it. Reads have none.
    pub(crate) record: Option<&'a Record<'a>>,
}

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

    /// A writer for this call's result.
    pub(crate) fn writer(&self) -> Writer {
        Writer::new(self.budget)
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
    /// The schema of the structured result, where there is one.
    const OUTPUT: Option<fn() -> Value> = None;
    /// Does the work. Runs on a thread of its own.
    fn run(cx: &Context<'_>, args: Self::Args) -> Result<Reply, Error>;
}

type Run = fn(&Context<'_>, Map<String, Value>) -> Result<Reply, Error>;
pub(crate) type RunAnywhere = fn(&Repositories, &str, &Cancel, Map<String, Value>) -> Result<Reply, Error>;

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
    /// The group that lists it.
    pub(crate) toolset: Toolset,
    pub(crate) schema: fn() -> Value,
    pub(crate) output: Option<fn() -> Value>,
    pub(crate) body: Body,
}

impl Entry {
    /// Erases the types of `T`.
    pub(crate) const fn of<T: Tool>() -> Self {
        Self {
            name: T::NAME,
            about: T::ABOUT,
            effect: T::EFFECT,
            toolset: Toolset::Default,
            schema: || schemars::schema_for!(T::Args).to_value(),
            output: T::OUTPUT,
            body: Body::Repository(|cx, args| T::run(cx, parse(args)?)),
        }
    }

    /// Lists the tool in another group than the default one.
    pub(crate) const fn listed_in(mut self, toolset: Toolset) -> Self {
        self.toolset = toolset;
        self
    }
}

/// Reads arguments. `null` means absent.
pub(crate) fn parse<T: DeserializeOwned>(mut args: Map<String, Value>) -> Result<T, Error> {
    args.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(args)).map_err(|err| Error::new(Kind::BadInput, format!("invalid arguments: {err}")))
}
