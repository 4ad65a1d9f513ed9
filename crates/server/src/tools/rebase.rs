//! `git_rebase`

use crate::{
    error::Error,
    output::{Field, Reply, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::change,
};
use git::{Action, RebaseRequest, Rev, Step};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<Rebase>().also_in(&[Toolset::Legacy]);

struct Rebase;

/// Maximum number of branches named as left behind by a rebase.
const MAX_LEFT: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    target_branch: String,
    /// New base instead.
    onto: Option<String>,
    /// In the new order: `pick ID`, `fixup ID`, `drop ID`, `reword ID MESSAGE`, `squash ID [MESSAGE]`.
    #[serde(default)]
    plan: Vec<String>,
}

impl Tool for Rebase {
    type Args = Args;
    const NAME: &'static str = "git_rebase";
    const ABOUT: &'static str = "Rebases the current branch onto `target_branch`; with `plan` reorders, combines, rewords or drops \
        commits. Stops at conflicts.";
    // The reflog and git_undo keep the old commits.
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let request = RebaseRequest {
            upstream: Rev::new(args.target_branch)?,
            onto: args.onto.map(Rev::new).transpose()?,
            plan: args.plan.iter().map(|line| step(line)).collect::<Result<_, _>>()?,
            keep_merges: false,
        };
        cx.permit_rewrite(cx.repo.resolve_commit(&request.upstream, cx.cancel)?)?;
        let left = cx.repo.left_behind(&request.upstream, cx.cancel)?;
        let named: Vec<String> = left.iter().take(MAX_LEFT).map(|name| word(Field::Ref, name, "git_branch")).collect();
        let more = left.len().saturating_sub(MAX_LEFT);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let said = format!("not moved, although rebase.updateRefs is set: {}{more}", named.join(", "));
        change::moving_from(cx, "rebased", &|| Some(said.clone()).filter(|_| !left.is_empty()), || cx.repo.rebase(&request, cx.cancel))
    }
}

fn step(line: &str) -> Result<Step, Error> {
    let wrong = || git::Error::BadPlan(format!("`{line}` is not a step: it must be like `pick ID` or `reword ID MESSAGE`"));
    let (word, rest) = line.trim_start().split_once(char::is_whitespace).ok_or_else(wrong)?;
    let (commit, message) = match rest.trim_start().split_once(char::is_whitespace) {
        Some((commit, message)) => (commit, Some(message.trim_start().to_owned()).filter(|message| !message.is_empty())),
        None => (rest.trim(), None),
    };
    let action = match word {
        "pick" => Action::Pick,
        "reword" => Action::Reword,
        "squash" => Action::Squash,
        "fixup" => Action::Fixup,
        "drop" => Action::Drop,
        _ => return Err(wrong().into()),
    };
    Ok(Step { action, commit: Rev::new(commit)?, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_parse_as_git_writes_them() {
        let read = |line| step(line).ok().map(|step| (step.action, step.commit.as_str().to_owned(), step.message));
        assert_eq!(read("pick abc"), Some((Action::Pick, "abc".to_owned(), None)));
        assert_eq!(read(" reword  abc  a new\n\nmessage "), Some((Action::Reword, "abc".to_owned(), Some("a new\n\nmessage ".to_owned()))));
        for wrong in ["", "pick", "exec rm", "edit abc", "pick --exec"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
