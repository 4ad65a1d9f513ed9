//! `git_continue` and `git_abort`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::{change, hooks},
};
use git::{Reach, SequencerAction};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const CONTINUE: Entry = Entry::of::<Continue>().also_in(&[Toolset::Legacy]);
pub(super) const ABORT: Entry = Entry::of::<Abort>().also_in(&[Toolset::Legacy]);

struct Continue;
struct Abort;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ContinueArgs {
    operation: Option<String>,
    /// Skip that commit.
    #[serde(default)]
    skip: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AbortArgs {
    operation: Option<String>,
}

impl Tool for Continue {
    type Args = ContinueArgs;
    const NAME: &'static str = "git_continue";
    const ABOUT: &'static str = "Continues the operation in progress once its conflicts are resolved.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: ContinueArgs) -> Result<Reply, Error> {
        check(cx, args.operation.as_deref())?;
        let way = if args.skip { SequencerAction::Skip } else { SequencerAction::Continue };
        let nested = cx.repo.in_progress().zip(cx.repo.outer_operation());
        let acted_on = || -> Vec<String> {
            let said = nested.map(|(inner, outer)| format!("this was the {inner}, which was started inside the {outer}"));
            said.into_iter().collect()
        };
        change::moving_from(cx, "finished", &acted_on, || cx.repo.proceed(way, cx.confirmed, cx.cancel).map(|_| String::new()))
    }
}

impl Tool for Abort {
    type Args = AbortArgs;
    const NAME: &'static str = "git_abort";
    const ABOUT: &'static str = "Aborts the operation in progress and restores the state before it.";
    const EFFECT: Effect = Effect::Destroy;

    fn run(cx: &Context<'_>, args: AbortArgs) -> Result<Reply, Error> {
        check(cx, args.operation.as_deref())?;
        cx.reaches(Reach::Worktree);
        let before = hooks::Before::of(cx)?;
        let aborted = cx.repo.proceed(SequencerAction::Abort, cx.confirmed, cx.cancel).map_err(|err| before.stopped(cx, err));
        let git::Proceeded { operation, stays_at } = aborted?;
        let mut writer = cx.writer();
        writer.say(&match stays_at {
            None => format!("the {operation} is aborted"),
            Some(id) => format!("the {operation} has ended; HEAD stays at {}, since it moved meanwhile", cx.repo.abbreviate(id)),
        });
        change::state(cx, &mut writer)?;
        Ok(writer.finish())
    }
}

fn check(cx: &Context<'_>, named: Option<&str>) -> Result<(), Error> {
    let running = cx.repo.in_progress();
    match (named, running) {
        (Some(named), Some(running)) if named.replace('_', "-") != running => {
            Err(Error::new(Kind::Refused, format!("the operation in progress is `{running}`")).hint("Omit `operation`, or correct it."))
        }
        _ => Ok(()),
    }
}
