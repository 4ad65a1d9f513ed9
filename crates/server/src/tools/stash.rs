//! `git_stash`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Scope, Tool, actions, needed},
    tools::change,
};
use git::{BranchName, Raw, Reach, StashPush};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Stash>();

struct Stash;

/// Command that lists all entries.
const LISTED: &str = "`git stash list`";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    action: Action,
    /// 0 is the newest.
    #[serde(default)]
    number: usize,
    message: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
    /// Include untracked.
    #[serde(default)]
    untracked: bool,
    /// Only what is staged.
    #[serde(default)]
    staged: bool,
    /// For `branch`.
    branch_name: Option<String>,
}

actions!(Push, List, Apply, Pop, Drop, Branch; reads List);

impl Tool for Stash {
    type Args = Args;
    const NAME: &'static str = "git_stash";
    const ABOUT: &'static str = "Stashes uncommitted changes (`push`) and restores them (`pop`, `apply`).";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        match args.action {
            Action::List => list(cx, &mut writer)?,
            Action::Push => push(cx, &args, &mut writer)?,
            Action::Apply | Action::Pop => {
                cx.keeps_all()?;
                cx.moves_refs()?;
                let pop = args.action == Action::Pop;
                cx.keeps_files(Raw::At(&cx.repo.stashed_untracked(args.number, cx.cancel)?))?;
                let stash = cx.repo.stash_apply(args.number, true, pop, cx.cancel)?;
                if pop {
                    record_drop(cx, &stash);
                }
                let kept = if pop { "and dropped" } else { "and kept" };
                writer.say(&format!("applied {kept}: {}", about(&stash)));
                writer.note(format!("to undo: {}", cx.echo.other("git_undo", &[])));
                change::staged(cx, &mut writer)?;
            }
            Action::Drop => {
                cx.reaches(Reach::Refs);
                cx.moves_refs()?;
                let stash = cx.repo.stash_drop(args.number, cx.cancel)?;
                record_drop(cx, &stash);
                writer.say(&format!("dropped {}: {}", stash.id, about(&stash)));
                writer.note(format!("to restore it: {}", cx.echo.other("git_undo", &[])));
            }
            Action::Branch => {
                let name = needed(args.branch_name, "branch_name")?;
                cx.reaches(Reach::Worktree);
                cx.moves_refs()?;
                let stash = cx.repo.stash_branch(args.number, &BranchName::new(name)?, cx.cancel)?;
                writer.say(&format!("applied and dropped: {}", about(&stash)));
                change::state(cx, &mut writer)?;
            }
        }
        Ok(writer.finish())
    }
}

fn record_drop(cx: &Context<'_>, stash: &git::Stash) {
    if let Some(record) = cx.record {
        record.drops_stash(stash.id);
    }
}

fn about(stash: &git::Stash) -> String {
    word(Field::Subject, &stash.subject, LISTED)
}

fn list(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let stashes = cx.repo.stashes(cx.cancel)?;
    if stashes.is_empty() {
        writer.say("the stash is empty");
    }
    writer.list(
        &stashes,
        |stash, row| row.put("stash@{").number(stash.number).put("} ").field(Field::Subject, "subject", &stash.subject),
        LISTED,
        |rest| format!("{} in {LISTED}", counted(rest, "more entry")),
    );
    Ok(())
}

fn push(cx: &Context<'_>, args: &Args, writer: &mut Writer) -> Result<(), Error> {
    if args.message.as_ref().is_some_and(|message| message.contains(['\0', '\n'])) {
        return Err(Error::new(Kind::BadInput, "`message` must be one line"));
    }
    cx.repo.worktree()?;
    let push = StashPush { message: args.message.clone(), paths: cx.paths(&args.paths)?, untracked: args.untracked, staged: args.staged };
    cx.reaches(Reach::Worktree);
    cx.moves_refs()?;
    match cx.repo.stash_push(&push, cx.cancel)? {
        Some(stash) => {
            writer.say(&format!("stashed: {}", about(&stash)));
            writer.note(format!("to restore it: {}", cx.echo.other("git_stash", &[("action", json!("pop"))])));
        }
        None => writer.say("no local changes to stash"),
    }
    Ok(())
}
