//! `git_sparse_checkout`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, counted},
    tool::{Context, Effect, Entry, Tool, Toolset, actions},
};
use git::{Reach, Sparse};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<SparseCheckout>().listed_in(Toolset::Sparse);

struct SparseCheckout;

/// Command that lists all folders.
const LISTED: &str = "`git sparse-checkout list`";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `disable` restores all files.
    #[serde(default)]
    action: Action,
    /// For `set` and `add`: folders.
    #[serde(default)]
    paths: Vec<String>,
}

actions!(List, Set, Add, Disable, Reapply; reads List);

impl Tool for SparseCheckout {
    type Args = Args;
    const NAME: &'static str = "git_sparse_checkout";
    const ABOUT: &'static str = "Chooses which folders of a large repository are in the working tree. Edited files stay.";
    const EFFECT: Effect = Effect::Write;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let paths = cx.paths(&args.paths)?;
        let what = match args.action {
            Action::List => None,
            Action::Set => Some(Sparse::Set),
            Action::Add => Some(Sparse::Add),
            Action::Disable => Some(Sparse::Disable),
            Action::Reapply => Some(Sparse::Reapply),
        };
        if args.action == Action::Add && paths.is_empty() {
            return Err(Error::new(Kind::BadInput, "`paths` is empty").hint("Name the folders."));
        }
        if let Some(what) = what {
            cx.reaches(Reach::Worktree);
            cx.repo.set_sparse(what, &paths, cx.confirmed, cx.cancel)?;
        }
        let mut writer = cx.writer();
        match cx.repo.sparse_folders(cx.cancel)? {
            None => writer.say("the whole repository is in the working tree"),
            Some(folders) => {
                writer.say(&format!("files at the top and {} are in the working tree", counted(folders.len(), "folder")));
                writer.list(
                    &folders,
                    |folder, row| row.field(Field::Path, "folder", folder),
                    LISTED,
                    |rest| format!("and {rest} more in {LISTED}"),
                );
            }
        }
        Ok(writer.finish())
    }
}
