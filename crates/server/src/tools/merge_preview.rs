//! `git_merge_preview`

use crate::{
    error::Error,
    output::{Field, Reply, counted, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::Rev;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<MergePreview>().listed_in(Toolset::History);

struct MergePreview;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// The branch or commit to merge.
    source_branch: String,
    /// Target. Default HEAD.
    into: Option<String>,
}

/// The short branch name that `git_checkout` accepts.
fn short(name: &str) -> &str {
    name.strip_prefix("refs/heads/").unwrap_or(name)
}

/// The git command with the full output.
fn command(into: &Rev, source: &Rev) -> String {
    let name = |rev: &Rev| word(Field::Ref, rev.as_str(), "the call");
    format!("`git merge-tree --write-tree --messages -z {} {}`", name(into), name(source))
}

impl Tool for MergePreview {
    type Args = Args;
    const NAME: &'static str = "git_merge_preview";
    const ABOUT: &'static str = "Previews a merge's conflicts, and changes nothing. To merge: git_merge.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let into = args.into.map_or_else(|| Ok(Rev::head()), Rev::new)?;
        let source = Rev::new(args.source_branch)?;
        let preview = cx.repo.merge_preview(&into, &source, cx.cancel)?;
        let mut writer = cx.writer();
        match preview.conflicts.len() {
            0 => writer.say("it would merge without conflicts"),
            n => writer.say(&format!("it would conflict in {}:", counted(n, "path"))),
        }
        let command = command(&into, &source);
        writer.list(&preview.conflicts, |path, row| row.field(Field::Path, "path", path), &command, |rest| format!("and {rest} more"));
        if !preview.messages.is_empty() {
            writer.say("git says:");
            let used = writer.pieces(&preview.messages);
            if used < preview.messages.len() {
                writer.note(format!("{}: {command}", counted(preview.messages.len() - used, "more byte")));
            }
        }
        if preview.foreign_attributes {
            let into = word(Field::Ref, into.as_str(), "the call");
            writer.note(format!(
                "git used the attributes of the working tree, which differ from those of {into}: 2.41 or newer uses the latter"
            ));
        }
        let merge = cx.echo.other("git_merge", &[("source_branch", json!(source.as_str()))]);
        // git merges only into the current branch.
        let is_here = into.as_str() == "HEAD" || cx.repo.branch_name(cx.cancel)?.is_some_and(|branch| branch == short(into.as_str()));
        writer.note(if is_here {
            format!("to merge: {merge}")
        } else {
            let checkout = cx.echo.other("git_checkout", &[("branch_name", json!(short(into.as_str())))]);
            format!("to merge: {checkout}, then {merge}")
        });
        Ok(writer.finish())
    }
}
