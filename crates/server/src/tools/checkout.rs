//! `git_checkout`

use crate::{
    error::Error,
    output::Reply,
    tool::{Context, Effect, Entry, Tool},
    tools::change,
};
use git::Rev;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Checkout>();

struct Checkout;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// A local branch, a branch that only a remote has, or a commit or tag (HEAD is detached then).
    branch_name: String,
}

impl Tool for Checkout {
    type Args = Args;
    const NAME: &'static str = "git_checkout";
    const ABOUT: &'static str = "Switches the working tree to a branch or commit. Refuses when local changes would be overwritten: commit them first. \
        To create a branch use git_create_branch.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let (before, _) = cx.repo.staged(cx.cancel)?;
        cx.repo.checkout(&Rev::new(args.branch_name)?, cx.cancel)?;
        let mut writer = cx.writer();
        change::state(cx, &mut writer)?;
        let back = before.branch.or_else(|| before.commit.map(|id| id.to_string()));
        if let Some(back) = back {
            writer.note(format!("to go back: {}", cx.echo.other("git_checkout", &[("branch_name", json!(back))])));
        }
        Ok(writer.finish())
    }
}
