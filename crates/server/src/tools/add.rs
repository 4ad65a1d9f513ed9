//! `git_add`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::{change, hooks, range::not_compared},
};
use git::{Hunk, HunkAction, Raw, RelPath};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Add>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct Add;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `.` is everything.
    #[serde(default)]
    files: Vec<String>,
    /// Ignored files, too.
    #[serde(default)]
    force: bool,
    /// Show hunks with their ids.
    #[serde(default)]
    list: bool,
    /// Ids.
    #[serde(default)]
    hunks: Vec<String>,
    /// With `hunks`.
    #[serde(default)]
    action: Action,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    #[default]
    Stage,
    Unstage,
    Discard,
}

impl Tool for Add {
    type Args = Args;
    const NAME: &'static str = "git_add";
    const ABOUT: &'static str = "Stages files, or single hunks by id. To unstage: git_reset.";
    const EFFECT: Effect = Effect::Write;

    fn effect(args: &Args) -> Effect {
        if args.list { Effect::Read } else { Self::EFFECT }
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let action = match args.action {
            Action::Stage => HunkAction::Stage,
            Action::Unstage => HunkAction::Unstage,
            Action::Discard => HunkAction::Discard,
        };
        let paths = cx.paths(&args.files)?;
        cx.repo.worktree()?;
        if args.list {
            let (hunks, left) = cx.repo.hunks(action, &paths, cx.cancel)?;
            let mut writer = cx.writer();
            list(cx, &hunks, args.action, &mut writer);
            not_compared(cx, &left, &mut writer);
            return Ok(writer.finish());
        }
        if args.hunks.is_empty() && args.action != Action::Stage {
            return Err(Error::new(Kind::BadInput, "`action` needs `hunks`")
                .hint("`list`: true shows them. For whole files there are git_reset and git_restore."));
        }
        if args.hunks.is_empty() && paths.is_empty() {
            return Err(Error::new(Kind::BadInput, "`files` is empty").hint("Name files or directories, or `.` for everything."));
        }
        if !args.hunks.is_empty() && !paths.is_empty() {
            return Err(Error::new(Kind::BadInput, "either `files` or `hunks`").hint("An id says which file it is of."));
        }
        let (mut writer, mut said) = (cx.writer(), String::new());
        if args.hunks.is_empty() {
            (said, _) = cx.repo.add(&paths, args.force, cx.cancel)?;
        } else {
            let hunks = cx.repo.hunks_called(&args.hunks, action, cx.cancel)?;
            if action == HunkAction::Discard {
                let mut touched: Vec<_> = hunks.iter().map(|hunk| hunk.path.clone()).collect();
                touched.dedup();
                cx.overwrites(&touched)?;
                cx.keeps_files(Raw::Edited(&touched))?;
            }
            cx.repo.apply_hunks(action, &hunks, cx.cancel)?;
            let word = match args.action {
                Action::Stage => "staged",
                Action::Unstage => "unstaged",
                Action::Discard => "discarded",
            };
            writer.say(&format!("{} of the hunks {word}", hunks.len()));
            if action == HunkAction::Discard {
                writer.note(format!("to bring them back: {}", cx.echo.other("git_undo", &[])));
            }
        }
        change::staged(cx, &mut writer)?;
        hooks::heard(&said, &mut writer);
        if args.action == Action::Stage {
            change::markers(cx, &paths, &mut writer)?;
            tell_embedded(cx, &paths, &mut writer)?;
        }
        Ok(writer.finish())
    }
}

/// The most repositories that are named.
const MAX_EMBEDDED: usize = 10;

/// Names what is staged as a commit of another repository, and is no submodule.
fn tell_embedded(cx: &Context<'_>, paths: &[RelPath], writer: &mut Writer) -> Result<(), Error> {
    for path in cx.repo.embedded(paths, cx.cancel)?.iter().take(MAX_EMBEDDED) {
        // git itself advises `git rm --cached`, and refuses that where the folder has its git directory in it.
        let out = cx.echo.other("git_reset", &[("paths", json!([path.to_string()]))]);
        let name = word(Field::Path, path.as_bytes(), "`git ls-files --stage -z`");
        writer.note(format!("{name} is a repository of its own: only its commit is recorded. To take it out: {out}"));
    }
    Ok(())
}

fn list(cx: &Context<'_>, hunks: &[Hunk], action: Action, writer: &mut Writer) {
    if hunks.is_empty() {
        writer.say(match action {
            Action::Unstage => "nothing is staged there",
            Action::Stage | Action::Discard => {
                "no lines of tracked files there differ from what is staged; a new, binary or filtered file is staged whole, as `files`"
            }
        });
    }
    for (at, hunk) in hunks.iter().enumerate() {
        if at > 0 && !writer.fits(&hunk.text) {
            let mut rest: Vec<String> = hunks[at..].iter().map(|hunk| hunk.path.to_string()).collect();
            rest.dedup();
            let (next, count) = cx.echo.some(&[], "files", &rest);
            let others = if count < rest.len() {
                format!("; then the other {} files, which git_status lists", rest.len() - count)
            } else {
                String::new()
            };
            writer.note(format!("{at} of {} hunks shown{others}. Next: {next}", hunks.len()));
            break;
        }
        writer.say(&format!("hunk {} of {}", hunk.id, word(Field::Path, hunk.path.as_bytes(), "`git diff --name-only -z`")));
        let used = writer.pieces(&hunk.text);
        if used < hunk.text.len() {
            let all = cx.echo.other("git_diff", &[("paths", json!([hunk.path.to_string()])), ("scope", json!(scope(action)))]);
            writer.say(&format!("the hunk above has {} more bytes: {all}", hunk.text.len() - used));
        }
    }
}

/// The `scope` of `git_diff` that shows such hunks.
fn scope(action: Action) -> &'static str {
    match action {
        Action::Unstage => "staged",
        Action::Stage | Action::Discard => "unstaged",
    }
}
