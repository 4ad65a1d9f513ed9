//! Arguments common to all tools, and arguments the pipeline itself reads.

use super::resolve::Wanted;
use crate::{
    arguments::{budget, idempotency_key, take_switch},
    error::Error,
    output::Budget,
    tool::{Effect, Entry},
};
use git::{Direction, Repo, Target};
use serde_json::{Map, Value};

/// The common arguments of every tool.
pub(super) struct Envelope {
    pub(super) wanted: Wanted,
    pub(super) budget: Budget,
    pub(super) key: Option<String>,
    pub(super) confirmed: bool,
}

impl Envelope {
    pub(super) fn take(tool: &Entry, args: &mut Map<String, Value>, own: Budget) -> Result<Self, Error> {
        let wanted = Wanted::take(args)?;
        let budget = budget(args, own)?;
        let changes = tool.effect != Effect::Read;
        let key = if changes { idempotency_key(args)? } else { None };
        let confirmed = changes && take_switch(args, "confirm")?;
        Ok(Self { wanted, budget, key, confirmed })
    }
}

/// Validates the arguments of a call without its repository.
///
/// # Errors
///
/// [`Kind::BadInput`], as from the call itself.
pub(crate) fn check(tool: &Entry, mut args: Map<String, Value>) -> Result<(), Error> {
    Envelope::take(tool, &mut args, Budget::of(0))?;
    (tool.check)(args)
}

/// The effect of a call with these arguments; the tool's own effect if they are invalid.
pub(crate) fn effect(tool: &Entry, args: &Map<String, Value>) -> Effect {
    let mut args = args.clone();
    Envelope::take(tool, &mut args, Budget::of(0)).map_or(tool.effect, |_| tool.effect_of(args))
}

/// The remote and branch a call names.
pub(super) struct Aim {
    /// The remote's name.
    pub(super) remote: Option<String>,
    pub(super) branch: Option<String>,
}

impl Aim {
    pub(super) fn of(args: &Map<String, Value>) -> Self {
        let text = |name: &str| args.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
        Self { remote: text("remote"), branch: text("branch") }
    }

    /// The target it resolves to, if known before the call.
    pub(super) fn target(&self, repo: &Repo, direction: Direction) -> Option<Target> {
        repo.target(self.remote.as_deref(), self.branch.as_deref(), direction)
    }
}
