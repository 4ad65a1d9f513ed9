//! `git_add`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, Tool},
    tools::change,
};
use git::RelPath;
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<Add>();

struct Add;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Files and directories, taken literally. `.` is everything; deleted files are staged as deleted.
    files: Vec<String>,
    /// Also add what .gitignore excludes.
    #[serde(default)]
    force: bool,
}

impl Tool for Add {
    type Args = Args;
    const NAME: &'static str = "git_add";
    const ABOUT: &'static str = "Stages the content of files for the next commit. Says what is staged then. To unstage use git_reset.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        if args.files.is_empty() {
            return Err(Error::new(Kind::BadInput, "`files` is empty").hint("Name files or directories, or `.` for everything."));
        }
        let worktree = cx.repo.worktree()?;
        let paths: Vec<RelPath> = args.files.iter().map(|path| RelPath::new(path, Some(worktree))).collect::<Result<_, _>>()?;
        cx.repo.add(&paths, args.force, cx.cancel)?;
        let mut writer = cx.writer();
        change::staged(cx, &mut writer)?;
        Ok(writer.finish())
    }
}
