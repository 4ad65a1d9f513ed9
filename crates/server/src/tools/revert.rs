//! `git_revert`

use crate::{
    error::Error,
    output::Reply,
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::change,
};
use git::{PickRequest, Rev};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<Revert>().listed_in(Toolset::Rewrite);

struct Revert;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// A commit, a range `A..B`, or several of them with spaces between.
    commit_hash: String,
    /// Change index and files, and commit nothing.
    #[serde(default)]
    no_commit: bool,
    /// The parent of a merge that counts as the one before.
    mainline: Option<u32>,
}

impl Tool for Revert {
    type Args = Args;
    const NAME: &'static str = "git_revert";
    const ABOUT: &'static str =
        "Takes commits back by new commits that undo them. A merge needs `mainline`. Stops at conflicts: see git_conflicts.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let revs = args.commit_hash.split_whitespace().map(Rev::new).collect::<Result<_, _>>()?;
        let request = PickRequest { revs, no_commit: args.no_commit, mainline: args.mainline };
        change::moving(cx, "reverted", || cx.repo.revert(&request, cx.cancel))
    }
}
