//! `git_stash`

use crate::{
    error::{Error, Kind},
    output::{Reply, Writer, inline},
    tool::{Context, Effect, Entry, Tool},
    tools::change,
};
use git::{BranchName, Reach, RelPath, StashPush};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Stash>();

struct Stash;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What to do.
    #[serde(default)]
    action: Action,
    /// Which entry; 0 is the newest.
    #[serde(default)]
    number: usize,
    /// One line for `push`.
    message: Option<String>,
    /// Push only these.
    #[serde(default)]
    paths: Vec<String>,
    /// Push untracked files, too.
    #[serde(default)]
    untracked: bool,
    /// Push only what is staged.
    #[serde(default)]
    staged: bool,
    /// The branch that `branch` makes.
    branch_name: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Push,
    List,
    Apply,
    Pop,
    Drop,
    Branch,
}

impl Tool for Stash {
    type Args = Args;
    const NAME: &'static str = "git_stash";
    const ABOUT: &'static str =
        "Puts uncommitted changes away and brings them back (`pop`, `apply`). To see an entry use git_show with `stash@{0}`.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        match args.action {
            Action::List => list(cx, &mut writer)?,
            Action::Push => push(cx, &args, &mut writer)?,
            Action::Apply | Action::Pop => {
                cx.reaches(Reach::Worktree);
                cx.moves_refs()?;
                let pop = matches!(args.action, Action::Pop);
                let stash = cx.repo.stash_apply(args.number, true, pop, cx.cancel)?;
                let kept = if pop { "and dropped" } else { "and kept" };
                writer.say(&format!("applied {kept}: {}", inline(&stash.subject)));
                change::staged(cx, &mut writer)?;
            }
            Action::Drop => {
                cx.reaches(Reach::Refs);
                cx.moves_refs()?;
                let stash = cx.repo.stash_drop(args.number, cx.cancel)?;
                writer.say(&format!("dropped {}: {}", stash.id, inline(&stash.subject)));
                if args.number == 0 {
                    writer.note(format!("to bring it back: {}", cx.echo.other("git_undo", &[])));
                }
            }
            Action::Branch => {
                let name = args.branch_name.ok_or_else(|| Error::new(Kind::BadInput, "`branch_name` is missing"))?;
                cx.reaches(Reach::Worktree);
                cx.moves_refs()?;
                let stash = cx.repo.stash_branch(args.number, &BranchName::new(name)?, cx.cancel)?;
                writer.say(&format!("applied and dropped: {}", inline(&stash.subject)));
                change::state(cx, &mut writer)?;
            }
        }
        Ok(writer.finish())
    }
}

fn list(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let stashes = cx.repo.stashes(cx.cancel)?;
    if stashes.is_empty() {
        writer.say("the stash is empty");
    }
    for stash in &stashes {
        let line = [format!("stash@{{{}}} ", stash.number).as_bytes(), &stash.subject, b"\n"].concat();
        if !writer.fit(&line) {
            writer.note(format!("{} more entries", stashes.len() - stash.number));
            break;
        }
    }
    Ok(())
}

fn push(cx: &Context<'_>, args: &Args, writer: &mut Writer) -> Result<(), Error> {
    if args.message.as_ref().is_some_and(|message| message.contains(['\0', '\n'])) {
        return Err(Error::new(Kind::BadInput, "`message` must be one line"));
    }
    let top = cx.repo.worktree()?;
    let push = StashPush {
        message: args.message.clone(),
        paths: args.paths.iter().map(|path| RelPath::new(path, Some(top))).collect::<Result<_, _>>()?,
        untracked: args.untracked,
        staged: args.staged,
    };
    cx.reaches(Reach::Worktree);
    cx.moves_refs()?;
    match cx.repo.stash_push(&push, cx.cancel)? {
        Some(stash) => {
            writer.say(&format!("put away: {}", inline(&stash.subject)));
            writer.note(format!("to bring it back: {}", cx.echo.other("git_stash", &[("action", json!("pop"))])));
        }
        None => writer.say("there was nothing to put away"),
    }
    Ok(())
}
