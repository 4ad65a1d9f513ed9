//! `git_rebase`

use crate::{
    error::Error,
    output::{Field, Reply, counted, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::{change, commit},
};
use git::{Action, ObjectId, RebaseRequest, RebaseStart, Rev, Step};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Rebase>().also_in(&[Toolset::Legacy]);

struct Rebase;

/// Maximum number of branches named as left behind by a rebase.
const MAX_LEFT: usize = 10;
/// Maximum number of skipped commits named.
const MAX_SKIPPED: usize = 10;

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
        rebase(cx, "rebased", &request, Some(said.as_str()).filter(|_| !left.is_empty()))
    }
}

/// Rebases, and reports it with the extra line `more` and the commits that git has skipped.
pub(super) fn rebase(cx: &Context<'_>, done: &str, request: &RebaseRequest, more: Option<&str>) -> Result<Reply, Error> {
    let start = cx.repo.rebase_start(request, cx.cancel)?;
    let was = cx.repo.in_progress();
    let left_out = || start.as_ref().and_then(|start| skipped(cx, start));
    let lines = || -> Vec<String> { more.map(str::to_owned).into_iter().chain(left_out()).collect() };
    let rebased = change::moving_from(cx, done, &lines, || cx.repo.rebase(request, cx.cancel));
    rebased.map_err(|mut err| {
        if was.is_none()
            && cx.repo.in_progress() == Some("rebase")
            && let Some(line) = left_out()
        {
            err.message = format!("{}\n{line}", err.message);
        }
        err
    })
}

/// Names the commits that git has skipped, and the call that applies them.
fn skipped(cx: &Context<'_>, start: &RebaseStart) -> Option<String> {
    let all = format!("`git cherry -v {} {}` marks with `-`", start.upstream.to_hex_with_len(12), start.head.to_hex_with_len(12));
    let Ok(skipped) = cx.repo.skipped_since(start, cx.cancel) else {
        return Some(format!("git skips commits whose changed lines the target has, too: those that {all}"));
    };
    if skipped.is_empty() {
        return None;
    }
    let name = |id: &ObjectId| format!("{} ({})", cx.repo.abbreviate(*id), commit::subject(cx, id).unwrap_or_default());
    let named: Vec<String> = skipped.iter().take(MAX_SKIPPED).map(name).collect();
    let more = skipped.len().saturating_sub(MAX_SKIPPED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let ids: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    let call = match ids.len() {
        0..=MAX_SKIPPED => cx.echo.other("git_cherry_pick", &[("commit_hash", json!(ids.join(" ")))]),
        _ => format!("git_cherry_pick with those that {all}"),
    };
    let later = if cx.repo.in_progress().is_some() { "once the rebase is finished" } else { "too" };
    Some(format!(
        "git skipped {}, as the target has commits with the same changed lines, possibly elsewhere in a file: {}{more}. To apply them, \
         {later}: {call}",
        counted(skipped.len(), "commit"),
        named.join(", ")
    ))
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
