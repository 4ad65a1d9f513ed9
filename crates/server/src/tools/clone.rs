//! `git_clone`

use crate::{
    error::Error,
    output::{Budget, Field, Reply, Writer, counted, word},
    tool::{Anywhere, Entry, Scope, parse},
    tools::hooks,
};
use git::{BranchName, CloneRequest, Unfinished};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

pub(super) const TOOL: Entry = Entry::anywhere::<Args>(
    "git_clone",
    "Clones a repository to `repo_path`, a new absolute path inside the allowed roots. Submodules are not cloned.",
    Scope::Remote,
    run,
);

/// Maximum number of calls suggested.
const MAX_CALLS: usize = 3;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Source, over https or ssh.
    url: String,
    /// The branch or tag to check out.
    branch: Option<String>,
    /// Commits of history to fetch; 0 for all.
    depth: Option<u32>,
    /// Fetch file contents only when needed.
    #[serde(default)]
    blobless: bool,
}

fn run(cx: &Anywhere<'_>, args: Map<String, Value>) -> Result<Reply, Error> {
    let args: Args = parse(args)?;
    let request = CloneRequest {
        url: args.url,
        path: PathBuf::from(cx.path),
        branch: args.branch.map(BranchName::new).transpose()?,
        depth: args.depth.filter(|depth| *depth > 0),
        blobless: args.blobless,
    };
    let cloned = cx.repositories.clone_into(&request, cx.on_progress, cx.cancel)?;
    let path = &cloned.path;
    let is_named = cx.repositories.roots().named().contains(path);
    let mut writer = Writer::new(Budget::of(0));
    let shown = word(Field::Path, path.as_os_str().as_encoded_bytes(), "`repo_path`");
    match &cloned.unfinished {
        None => writer.say(&format!("cloned to {shown}")),
        Some(Unfinished::Hook(hook)) => hooks::after(Some(hook), &format!("cloned to {shown}, and checked out"), &mut writer),
        Some(Unfinished::Checkout(why)) => {
            writer.say(&format!("cloned to {shown}; the checkout failed, and files are missing:"));
            writer.quote(why);
            writer.note("once that is fixed, ask the operator to run there: git restore --source=HEAD --staged --worktree :/".to_owned());
        }
        Some(Unfinished::NoBranch { head, has }) => {
            let head = word(Field::Ref, head, "git_ls_remote");
            writer.say(&format!("cloned to {shown}; nothing is checked out: the remote's HEAD names `{head}`, a branch it does not have"));
            let calls: Vec<String> = has.iter().take(MAX_CALLS).map(|name| checkout(path, name)).collect();
            let more = if has.len() > calls.len() {
                format!("; it has {}", counted(has.len() - calls.len(), "more branch"))
            } else {
                String::new()
            };
            writer.note(format!("next: {}{more}", calls.join(" or ")));
        }
    }
    if !is_named {
        writer.note("its hooks and filters are not run unless the operator names it with -r");
    }
    Ok(writer.finish())
}

fn checkout(path: &Path, branch: &str) -> String {
    format!("git_checkout {}", json!({"repo_path": path, "branch_name": branch}))
}
