//! `git_clone`

use crate::{
    error::Error,
    output::{Budget, Field, Reply, Writer, word},
    tool::{Anywhere, Entry, Scope, parse},
};
use git::{BranchName, CloneRequest};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::PathBuf;

pub(super) const TOOL: Entry = Entry::anywhere::<Args>(
    "git_clone",
    "Clones a repository to `repo_path`, an absolute path inside the allowed roots at which nothing is yet. Submodules are not cloned.",
    Scope::Remote,
    run,
);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// From where, over https or ssh.
    url: String,
    /// The branch or tag to check out.
    branch: Option<String>,
    /// Only so many commits of history.
    depth: Option<u32>,
    /// Leave contents out until they are needed.
    #[serde(default)]
    blobless: bool,
}

fn run(cx: &Anywhere<'_>, args: Map<String, Value>) -> Result<Reply, Error> {
    let args: Args = parse(args)?;
    let request = CloneRequest {
        url: args.url,
        path: PathBuf::from(cx.path),
        branch: args.branch.map(BranchName::new).transpose()?,
        depth: args.depth,
        blobless: args.blobless,
    };
    let path = cx.repositories.clone_into(&request, cx.on_progress, cx.cancel)?;
    let mut writer = Writer::new(Budget::of(0));
    writer.say(&format!("cloned to {}", word(Field::Path, path.as_os_str().as_encoded_bytes(), "`repo_path`")));
    if !cx.repositories.roots().named().contains(&path) {
        writer.note("its hooks and filters are not run unless the operator names it with -r");
    }
    Ok(writer.finish())
}
