//! `git_checkout`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, Scope, Tool},
    tools::{
        change,
        hooks::{self, Before},
    },
};
use git::{BranchName, Checkout, Reach, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<CheckoutTool>();

struct CheckoutTool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    branch_name: String,
    /// Make it, at `start_point` or here.
    #[serde(default)]
    create: bool,
    start_point: Option<String>,
    /// Without history.
    #[serde(default)]
    orphan: bool,
    #[serde(default)]
    detach: bool,
}

impl Tool for CheckoutTool {
    type Args = Args;
    const NAME: &'static str = "git_checkout";
    const ABOUT: &'static str = "Switches to a branch, tag or commit. Refuses to overwrite changes: commit or stash first.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let (before, _) = cx.repo.staged(cx.cancel)?;
        let makes = args.create || args.orphan;
        if args.start_point.is_some() && !makes || args.detach && makes {
            return Err(Error::new(Kind::BadInput, "`start_point` goes with `create` or `orphan`, and `detach` with neither"));
        }
        let how = if makes {
            let start = args.start_point.map(Rev::new).transpose()?;
            Checkout::New { branch: BranchName::new(args.branch_name)?, start, orphan: args.orphan }
        } else if args.detach {
            Checkout::Detached(Rev::new(args.branch_name)?)
        } else {
            Checkout::Existing(Rev::new(args.branch_name)?)
        };
        cx.reaches(Reach::Worktree);
        cx.moves_refs()?;
        let at = Before::of(cx)?;
        let failed = cx.repo.checkout(&how, cx.cancel).map_err(|err| at.stopped(cx, err))?;
        let mut writer = cx.writer();
        change::state(cx, &mut writer)?;
        hooks::after(failed.as_ref(), "the checkout is made", &mut writer);
        hooks::tell_idle(cx, &["post-checkout", "reference-transaction"], &mut writer);
        let back = before.branch.or_else(|| before.commit.map(|id| id.to_string()));
        if let Some(back) = back {
            writer.note(format!("to go back: {}", cx.echo.other("git_checkout", &[("branch_name", json!(back))])));
        }
        Ok(writer.finish())
    }
}
