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

/// Maximum number of commits counted.
const MAX_COUNTED: usize = 1000;
/// Maximum number of calls suggested by an error.
const MAX_CALLS: usize = 3;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    branch_name: String,
    /// Create at `start_point` or HEAD.
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
            return Err(Error::new(Kind::BadInput, "`start_point` needs `create` or `orphan`; `detach` cannot be combined with either"));
        }
        let how = if makes {
            let start = args.start_point.map(Rev::new).transpose()?;
            Checkout::New { branch: BranchName::new(args.branch_name)?, start, orphan: args.orphan }
        } else if args.detach {
            Checkout::Detached(Rev::new(args.branch_name)?)
        } else {
            // The previous branch, in git's shorthand.
            let name = if args.branch_name == "-" { "@{-1}".to_owned() } else { args.branch_name };
            Checkout::Existing(Rev::new(name)?)
        };
        cx.reaches(Reach::Worktree);
        cx.moves_refs()?;
        let at = Before::of(cx)?;
        let (failed, said) = cx.repo.checkout(&how, cx.cancel).map_err(|err| stopped(cx, &at, err))?;
        let mut writer = cx.writer();
        change::state(cx, &mut writer)?;
        hooks::after(failed.as_ref(), "the checkout succeeded", &mut writer);
        hooks::quote_output(&said, &mut writer);
        hooks::note_idle(cx, &["post-checkout", "reference-transaction"], &mut writer);
        if let (None, Some(left)) = (&before.branch, before.commit) {
            let behind = cx.repo.unreferenced(left, MAX_COUNTED, cx.cancel)?;
            let keep = cx.echo.other("git_create_branch", &[("branch_name", json!("NAME")), ("base_branch", json!(left.to_string()))]);
            let (count, are, them) = match behind {
                1 => ("1 commit".to_owned(), "is", "it"),
                MAX_COUNTED => (format!("{MAX_COUNTED} or more commits"), "are", "them"),
                _ => (format!("{behind} commits"), "are", "them"),
            };
            if behind > 0 {
                writer.note(format!("{count} of the detached HEAD {are} on no branch; to keep {them}: {keep}"));
            }
        }
        let back = before.branch.or_else(|| before.commit.map(|id| id.to_string()));
        if let Some(back) = back {
            writer.note(format!("to switch back: {}", cx.echo.other("git_checkout", &[("branch_name", json!(back))])));
        }
        Ok(writer.finish())
    }
}

/// The checkout error; if several remotes have the branch, with calls that create it from one of them.
fn stopped(cx: &Context<'_>, at: &Before, err: git::Error) -> Error {
    let hint = match &err {
        git::Error::Misdirected(Misdirected::SeveralRemotes { name, found }) => {
            let call = |start: &String| {
                cx.echo.other("git_checkout", &[("branch_name", json!(name)), ("create", json!(true)), ("start_point", json!(start))])
            };
            let calls: Vec<String> = found.iter().take(MAX_CALLS).map(call).collect();
            Some(format!("Create the branch from one: {}.", calls.join(" or ")))
        }
        _ => None,
    };
    let error = at.stopped(cx, err);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
