//! `git_add`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Tool, Toolset, choices},
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
    /// `.` for all.
    #[serde(default)]
    files: Vec<String>,
    /// Add ignored files.
    #[serde(default)]
    force: bool,
    /// List hunks with ids.
    #[serde(default)]
    list: bool,
    /// Ids.
    #[serde(default)]
    hunks: Vec<String>,
    /// With `hunks`.
    #[serde(default)]
    action: Action,
}

choices!(Action for HunkAction: Stage, Unstage, Discard);

impl Tool for Add {
    type Args = Args;
    const NAME: &'static str = "git_add";
    const ABOUT: &'static str = "Stages files, or single hunks by id. To unstage: git_reset.";
    const EFFECT: Effect = Effect::Write;

    fn only_reads(args: &Args) -> bool {
        args.list
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let action = HunkAction::from(args.action);
        let paths = cx.paths(&args.files)?;
        cx.repo.worktree()?;
        if args.list {
            let (hunks, left) = cx.repo.hunks(action, &paths, cx.cancel)?;
            let mut writer = cx.writer();
            list(cx, &hunks, action, &mut writer);
            not_compared(cx, &left, &mut writer);
            return Ok(writer.finish());
        }
        if args.hunks.is_empty() && action != HunkAction::Stage {
            return Err(Error::new(Kind::BadInput, "`action` needs `hunks`")
                .hint("`list`: true shows them. For whole files, use git_reset or git_restore."));
        }
        if args.hunks.is_empty() && paths.is_empty() {
            return Err(Error::new(Kind::BadInput, "`files` is empty").hint("Name files or directories, or `.` for everything."));
        }
        if !args.hunks.is_empty() && !paths.is_empty() {
            return Err(Error::new(Kind::BadInput, "`files` cannot be combined with `hunks`").hint("A hunk id identifies its file."));
        }
        let (mut writer, mut said) = (cx.writer(), String::new());
        if args.hunks.is_empty() {
            (said, _) = cx.repo.add(&paths, args.force, cx.cancel)?;
        } else {
            let hunks = cx.repo.hunks_called(&args.hunks, action, cx.cancel)?;
            if action == HunkAction::Discard {
                let mut touched: Vec<_> = hunks.iter().map(|hunk| hunk.path.clone()).collect();
                touched.dedup();
                cx.keeps_files(Raw::Edited(&touched))?;
                cx.overwrites(&touched)?;
            }
            cx.repo.apply_hunks(action, &hunks, cx.cancel)?;
            let word = match action {
                HunkAction::Stage => "staged",
                HunkAction::Unstage => "unstaged",
                HunkAction::Discard => "discarded",
            };
            writer.say(&format!("{} {word}", counted(hunks.len(), "hunk")));
            if action == HunkAction::Discard {
                writer.note(format!("to restore them: {}", cx.echo.other("git_undo", &[])));
            }
        }
        change::staged(cx, &mut writer)?;
        hooks::quote_output(&said, &mut writer);
        if action == HunkAction::Stage {
            change::markers(cx, &paths, &mut writer)?;
            note_embedded(cx, &paths, &mut writer)?;
        }
        Ok(writer.finish())
    }
}

/// Maximum number of embedded repositories named.
const MAX_EMBEDDED: usize = 10;

/// Notes staged embedded repositories that are not submodules.
fn note_embedded(cx: &Context<'_>, paths: &[RelPath], writer: &mut Writer) -> Result<(), Error> {
    for path in cx.repo.embedded(paths, cx.cancel)?.iter().take(MAX_EMBEDDED) {
        // git advises `git rm --cached`, but refuses it if the folder contains its git directory.
        let out = cx.echo.other("git_reset", &[("paths", json!([path.to_string()]))]);
        let name = word(Field::Path, path.as_bytes(), "`git ls-files --stage -z`");
        writer.note(format!("{name} is an embedded repository: only its commit is recorded. To unstage it: {out}"));
    }
    Ok(())
}

fn list(cx: &Context<'_>, hunks: &[Hunk], action: HunkAction, writer: &mut Writer) {
    if hunks.is_empty() {
        writer.say(match action {
            HunkAction::Unstage => "nothing is staged there",
            HunkAction::Stage | HunkAction::Discard => {
                "no tracked file there has unstaged line changes; stage new, binary or filtered files whole, with `files`"
            }
        });
    }
    for (at, hunk) in hunks.iter().enumerate() {
        if at > 0 && !writer.fits(&hunk.text) {
            let mut rest: Vec<String> = hunks[at..].iter().map(|hunk| hunk.path.to_string()).collect();
            rest.dedup();
            let (next, count) = cx.echo.some(&[], "files", &rest);
            let others = if count < rest.len() {
                format!("; then the other {} listed by git_status", counted(rest.len() - count, "file"))
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
            writer.say(&format!("the hunk above has {}: {all}", counted(hunk.text.len() - used, "more byte")));
        }
    }
}

/// The `git_diff` scope that shows these hunks.
fn scope(action: HunkAction) -> &'static str {
    match action {
        HunkAction::Unstage => "staged",
        HunkAction::Stage | HunkAction::Discard => "unstaged",
    }
}
