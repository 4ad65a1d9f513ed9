//! `git_merge`

use crate::{
    error::Error,
    output::Reply,
    tool::{Context, Effect, Entry, Tool, Toolset, choices},
    tools::{change, fetch::only_forward},
};
use git::{FastForward, MergeRequest, Rev, StrategyOption};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<Merge>().also_in(&[Toolset::Legacy]);

struct Merge;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Branch or commit.
    source_branch: String,
    #[serde(default)]
    strategy: Strategy,
    /// Side that wins conflicts.
    strategy_option: Option<Side>,
    message: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Strategy {
    #[default]
    Merge,
    FfOnly,
    NoFf,
    Squash,
}

choices!(Side for StrategyOption: Ours, Theirs);

impl Tool for Merge {
    type Args = Args;
    const NAME: &'static str = "git_merge";
    const ABOUT: &'static str = "Merges into the current branch. Stops at conflicts: see git_conflicts.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let request = MergeRequest {
            rev: Rev::new(args.source_branch)?,
            fast_forward: match args.strategy {
                Strategy::FfOnly => FastForward::Only,
                Strategy::NoFf => FastForward::Never,
                Strategy::Merge => FastForward::Configured,
                // git refuses `--squash` combined with `--no-ff`.
                Strategy::Squash => FastForward::Allowed,
            },
            squash: args.strategy == Strategy::Squash,
            message: change::message(args.message)?,
            strategy_option: args.strategy_option.map(StrategyOption::from),
        };
        if request.squash {
            cx.keeps_all()?;
        }
        let is_given = request.message.is_some();
        let unused = || -> Vec<String> {
            let second = Rev::new("HEAD^2").and_then(|rev| cx.repo.resolve_commit(&rev, cx.cancel));
            let is_unused = is_given && matches!(second, Err(git::Error::UnknownRevision(_)));
            let said = "there is no merge commit, so the message is not recorded; `strategy`: \"no-ff\" creates one";
            is_unused.then(|| said.to_owned()).into_iter().collect()
        };
        let merged = change::moving_from(cx, "merged", &unused, || cx.repo.merge(&request, cx.cancel));
        if request.fast_forward != FastForward::Configured {
            return merged;
        }
        merged.map_err(|err| only_forward(cx, err, "git_rebase rebases this branch onto the other one"))
    }
}
