//! `git_cherry_pick` and `git_revert`

use crate::{
    error::Error,
    output::Reply,
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::change,
};
use git::{PickRequest, Rev};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const CHERRY_PICK: Entry = Entry::of::<CherryPick>().also_in(&[Toolset::Legacy]);
pub(super) const REVERT: Entry = Entry::of::<Revert>().listed_in(Toolset::Rewrite);

struct CherryPick;
struct Revert;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// A commit, `A..B`, or several with spaces.
    commit_hash: String,
    #[serde(default)]
    no_commit: bool,
    /// Mainline parent of a merge.
    mainline: Option<u32>,
}

impl Args {
    fn request(self) -> Result<PickRequest, Error> {
        let revs = self.commit_hash.split_whitespace().map(Rev::new).collect::<Result<_, _>>()?;
        Ok(PickRequest { revs, no_commit: self.no_commit, mainline: self.mainline })
    }
}

impl Tool for CherryPick {
    type Args = Args;
    const NAME: &'static str = "git_cherry_pick";
    const ABOUT: &'static str = "Applies commits onto the current branch. Stops at conflicts.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let request = args.request()?;
        if request.no_commit {
            cx.keeps_all()?;
        }
        change::moving(cx, "picked", || cx.repo.cherry_pick(&request, cx.cancel))
    }
}

impl Tool for Revert {
    type Args = Args;
    const NAME: &'static str = "git_revert";
    const ABOUT: &'static str = "Reverts commits by creating new ones. A merge needs `mainline`. Stops at conflicts: see git_conflicts.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let request = args.request()?;
        if request.no_commit {
            cx.keeps_all()?;
        }
        change::moving(cx, "reverted", || cx.repo.revert(&request, cx.cancel))
    }
}
