//! `git_restore`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, Tool},
    tools::{change, hooks},
};
use git::{Raw, Restore, Rev};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<RestoreTool>();

struct RestoreTool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    paths: Vec<String>,
    /// Commit to restore from.
    source: Option<String>,
    /// Restore the index.
    #[serde(default)]
    staged: bool,
    /// Restore files, too.
    worktree: Option<bool>,
}

impl Tool for RestoreTool {
    type Args = Args;
    const NAME: &'static str = "git_restore";
    const ABOUT: &'static str = "Discards changes to files; git_undo restores them. To unstage: git_reset.";
    // git_undo keeps overwritten content, but not for ever.
    const EFFECT: Effect = Effect::Destroy;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        if args.paths.is_empty() {
            return Err(Error::new(Kind::BadInput, "`paths` is empty").hint("Name files or directories, or `.` for everything."));
        }
        cx.repo.worktree()?;
        let paths = cx.paths(&args.paths)?;
        let worktree = args.worktree.unwrap_or(!args.staged);
        if !worktree && !args.staged {
            return Err(Error::new(Kind::BadInput, "nothing to restore: `worktree` is false and `staged` is not set"));
        }
        let source = args.source.map(Rev::new).transpose()?;
        if worktree {
            cx.keeps_files(Raw::Edited(&paths))?;
            cx.overwrites(&paths)?;
            if let Some(source) = &source {
                cx.keeps_files(Raw::At(&cx.repo.absent_of(source, &paths, cx.cancel)?))?;
            }
        }
        let (failed, said) = cx.repo.restore(&Restore { paths, source, staged: args.staged, worktree }, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say("restored");
        hooks::after(failed.as_ref(), "the files are restored", &mut writer);
        change::staged(cx, &mut writer)?;
        hooks::quote_output(&said, &mut writer);
        if worktree {
            writer.note(format!("to restore the edits: {}", cx.echo.other("git_undo", &[])));
        }
        Ok(writer.finish())
    }
}
