//! `git_create_branch`

use crate::{
    error::Error,
    output::{Field, Reply, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset},
};
use git::{BranchName, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<CreateBranch>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct CreateBranch;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    branch_name: String,
    /// Default HEAD.
    base_branch: Option<String>,
}

impl Tool for CreateBranch {
    type Args = Args;
    const NAME: &'static str = "git_create_branch";
    const ABOUT: &'static str = "Creates a branch without switching to it. To switch: git_checkout.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let name = BranchName::new(args.branch_name)?;
        let base = args.base_branch.filter(|base| !base.is_empty()).map(Rev::new).transpose()?;
        cx.moves_refs()?;
        let id = cx.repo.create_branch(&name, base.as_ref(), cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("created {} at {}", word(Field::Ref, name.as_str(), "git_branch"), cx.repo.abbreviate(id)));
        writer.note(format!("to switch to it: {}", cx.echo.other("git_checkout", &[("branch_name", json!(name.as_str()))])));
        Ok(writer.finish())
    }
}
