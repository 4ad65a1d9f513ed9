//! `git_checkout`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, Scope, Tool, Toolset},
    tools::{
        change,
        hooks::{self, Before},
    },
};
use git::{BranchName, Checkout, Misdirected, Reach, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<CheckoutTool>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct CheckoutTool;

/// The most commits that are counted.
const MAX_COUNTED: usize = 1000;
/// The most calls that an error names.
const MAX_CALLS: usize = 3;

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
            // The branch before, in git's own short form.
            let name = if args.branch_name == "-" { "@{-1}".to_owned() } else { args.branch_name };
            Checkout::Existing(Rev::new(name)?)
        };
        cx.reaches(Reach::Worktree);
        cx.moves_refs()?;
        let at = Before::of(cx)?;
        let (failed, said) = cx.repo.checkout(&how, cx.cancel).map_err(|err| stopped(cx, &at, err))?;
        let mut writer = cx.writer();
        change::state(cx, &mut writer)?;
        hooks::after(failed.as_ref(), "the checkout is made", &mut writer);
        hooks::heard(&said, &mut writer);
        hooks::tell_idle(cx, &["post-checkout", "reference-transaction"], &mut writer);
        if let (None, Some(left)) = (&before.branch, before.commit) {
            let behind = cx.repo.unreferenced(left, MAX_COUNTED, cx.cancel)?;
            let keep = cx.echo.other("git_create_branch", &[("branch_name", json!("NAME")), ("base_branch", json!(left.to_string()))]);
            let (count, are, them) = match behind {
                1 => ("1 commit".to_owned(), "is", "it"),
                MAX_COUNTED => (format!("{MAX_COUNTED} or more commits"), "are", "them"),
                _ => (format!("{behind} commits"), "are", "them"),
            };
            if behind > 0 {
                writer.note(format!("{count} behind the detached HEAD {are} on no branch; to keep {them}: {keep}"));
            }
        }
        let back = before.branch.or_else(|| before.commit.map(|id| id.to_string()));
        if let Some(back) = back {
            writer.note(format!("to go back: {}", cx.echo.other("git_checkout", &[("branch_name", json!(back))])));
        }
        Ok(writer.finish())
    }
}

/// The error of the checkout, with the calls that make a branch of one that several remotes have.
fn stopped(cx: &Context<'_>, at: &Before, err: git::Error) -> Error {
    let hint = match &err {
        git::Error::Misdirected(Misdirected::SeveralRemotes { name, found }) => {
            let call = |start: &String| {
                cx.echo.other("git_checkout", &[("branch_name", json!(name)), ("create", json!(true)), ("start_point", json!(start))])
            };
            let calls: Vec<String> = found.iter().take(MAX_CALLS).map(call).collect();
            Some(format!("Make a branch of one: {}.", calls.join(" or ")))
        }
        _ => None,
    };
    let error = at.stopped(cx, err);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
