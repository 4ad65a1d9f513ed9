//! Entries of the tool registry, and parsing of arguments.

use super::{
    Context, Tool,
    effect::{Effect, Scope},
    toolset::Toolset,
};
use crate::{
    error::{Error, Kind},
    output::Reply,
};
use git::{Cancel, OnProgress, Repositories};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A tool call with parsed arguments.
pub(crate) trait Parsed: Send {
    /// The call's effect on the repository.
    fn effect(&self) -> Effect;
    /// Whether the same call has the same reply while its repository is unchanged.
    fn is_repeatable(&self) -> bool;
    /// Runs the call.
    fn run(self: Box<Self>, cx: &Context<'_>) -> Result<Reply, Error>;
}

/// The parsed arguments of a tool.
struct Typed<T: Tool>(T::Args);

impl<T: Tool> Parsed for Typed<T> {
    fn effect(&self) -> Effect {
        if T::only_reads(&self.0) { Effect::Read } else { T::EFFECT }
    }

    fn is_repeatable(&self) -> bool {
        T::is_repeatable(&self.0)
    }

    fn run(self: Box<Self>, cx: &Context<'_>) -> Result<Reply, Error> {
        T::run(cx, self.0)
    }
}

/// Parses the arguments of a tool that works in a repository.
type Read = fn(Map<String, Value>) -> Result<Box<dyn Parsed>, Error>;
pub(crate) type RunAnywhere = fn(&Anywhere<'_>, Map<String, Value>) -> Result<Reply, Error>;

/// The context of a call that needs no existing repository.
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
    Repository(Read),
    /// On a path that may not be a repository yet.
    Path(RunAnywhere),
}

/// A tool with its types erased, as listed and called.
pub struct Entry {
    /// The name that clients call.
    pub name: &'static str,
    /// The description that models read.
    pub about: &'static str,
    /// Its effect on the repository.
    pub effect: Effect,
    /// What it uses besides the worktree.
    pub(crate) scope: Scope,
    pub(crate) direction: git::Direction,
    /// The group that lists it.
    pub(crate) toolset: Toolset,
    /// The compatibility groups that list it, too.
    pub(crate) also: &'static [Toolset],
    /// Whether it may take long without contacting a remote.
    pub(crate) long: bool,
    pub(crate) schema: fn() -> Value,
    pub(crate) output: Option<fn() -> Value>,
    /// Validates the arguments, except those common to all tools.
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
            toolset: Toolset::Default,
            also: &[],
            long: false,
            schema: || schemars::schema_for!(T::Args).to_value(),
            output: T::OUTPUT,
            check: |args| parse::<T::Args>(args).map(drop),
            body: Body::Repository(|args| Ok(Box::new(Typed::<T>(parse(args)?)))),
        }
    }

    /// A tool that creates a repository at a given path.
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
            toolset: Toolset::Remotes,
            also: &[],
            long: false,
            schema: || schemars::schema_for!(T).to_value(),
            output: None,
            check: |args| parse::<T>(args).map(drop),
            body: Body::Path(run),
        }
    }

    /// The effect of a call with these arguments, or the tool's strongest effect if they are invalid.
    pub(crate) fn effect_of(&self, args: Map<String, Value>) -> Effect {
        match self.body {
            Body::Repository(read) => read(args).map_or(self.effect, |parsed| parsed.effect()),
            Body::Path(_) => self.effect,
        }
    }

    /// Lists the tool in this group instead of the default one.
    pub(crate) const fn listed_in(mut self, toolset: Toolset) -> Self {
        self.toolset = toolset;
        self
    }

    /// Lists the tool in compatibility groups as well.
    pub(crate) const fn also_in(mut self, toolsets: &'static [Toolset]) -> Self {
        self.also = toolsets;
        self
    }

    /// Marks a tool that may take long without contacting a remote: it reports progress, and may run as a task.
    pub(crate) const fn takes_long(mut self) -> Self {
        self.long = true;
        self
    }

    /// Whether `toolset` lists the tool.
    pub fn is_in(&self, toolset: Toolset) -> bool {
        match toolset {
            Toolset::All => !matches!(self.toolset, Toolset::Reference | Toolset::Legacy),
            toolset => self.toolset == toolset || self.also.contains(&toolset),
        }
    }
}

/// The argument for which an empty string is a value.
const TEXT: &str = "value";

/// Parses arguments. `null` means absent, and so does an empty string, which some clients send for omitted arguments.
pub(crate) fn parse<T: DeserializeOwned + JsonSchema>(mut args: Map<String, Value>) -> Result<T, Error> {
    let is_empty = |name: &String, value: &Value| name != TEXT && value.as_str().is_some_and(str::is_empty);
    let empty: Vec<String> = args.iter().filter(|(name, value)| is_empty(name, value)).map(|(name, _)| name.clone()).collect();
    args.retain(|name, value| !value.is_null() && !empty.contains(name));
    let names: Vec<String> = args.keys().cloned().collect();
    serde_json::from_value(Value::Object(args)).map_err(|err| {
        let why = err.to_string();
        if let Some(name) = empty.iter().find(|name| why.starts_with(&format!("missing field `{name}`"))) {
            return Error::new(Kind::BadInput, format!("invalid arguments: `{name}` is empty")).loggable();
        }
        let mistake = mistake(&why);
        let unknown = names.iter().find(|name| why.starts_with(&format!("unknown field `{name}`")));
        let why = unknown.map_or(why, |name| format!("`{name}` is unknown. {}", accepted::<T>()));
        Error::new(Kind::BadInput, format!("invalid arguments: {why}")).logged_as(mistake)
    })
}

/// An error of the parser without the value that it quotes: between the kind of the mistake and what is expected.
fn mistake(why: &str) -> String {
    if why.starts_with("missing field ") {
        return why.to_owned();
    }
    let kinds = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    let kind = kinds.into_iter().find(|kind| why.starts_with(kind)).zip(why.rsplit_once(", expected "));
    match kind {
        Some((kind, (_, expected))) => format!("{kind}, expected {expected}"),
        None if why.starts_with("unknown field") => "unknown field".to_owned(),
        None => "invalid arguments".to_owned(),
    }
}

/// Lists a tool's arguments for an error.
fn accepted<T: JsonSchema>() -> String {
    let schema = schemars::schema_for!(T).to_value();
    let own = schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(name, _)| format!("`{name}`"));
    let own: Vec<String> = own.collect();
    let own = if own.is_empty() { String::new() } else { format!("This tool takes {}; ", own.join(", ")) };
    format!("{own}every tool takes `repo_path` and `max_tokens`, each change `confirm` and `idempotency_key`")
}
