//! `git_init`

use crate::{
    error::Error,
    output::{Budget, Field, Reply, Writer, word},
    tool::{Anywhere, Entry, Scope, Toolset, parse},
};
use git::BranchName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

pub(super) const TOOL: Entry = Entry::anywhere::<Args>(
    "git_init",
    "Creates a repository at `repo_path`, an absolute path inside the allowed roots; an existing one is left as is.",
    Scope::Worktree,
    run,
)
.also_in(&[Toolset::Legacy]);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Initial branch. Default: as configured.
    initial_branch: Option<String>,
}

fn run(cx: &Anywhere<'_>, args: Map<String, Value>) -> Result<Reply, Error> {
    let args: Args = parse(args)?;
    let branch = args.initial_branch.map(BranchName::new).transpose()?;
    let (path, fresh) = cx.repositories.init(Path::new(cx.path), branch.as_ref(), cx.cancel)?;
    let mut writer = Writer::new(Budget::of(0));
    let what = if fresh { "created an empty repository at" } else { "the repository already exists:" };
    writer.say(&format!("{what} {}", word(Field::Path, path.as_os_str().as_encoded_bytes(), "`repo_path`")));
    if fresh && !cx.repositories.roots().named().contains(&path) {
        writer.note("its hooks and filters are not run unless the operator names it with -r");
    }
    Ok(writer.finish())
}
