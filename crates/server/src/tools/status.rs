//! `git_status`

use crate::{
    error::Error,
    output::{Cursor, Field, Reply, Row, Writer, counted_are, fingerprint},
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::range::not_compared,
};
use git::{Entry as Changed, Status};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<StatusTool>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct StatusTool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    cursor: Option<String>,
}

impl Tool for StatusTool {
    type Args = Args;
    const NAME: &'static str = "git_status";
    const ABOUT: &'static str = "Shows branch, upstream, operation in progress, and staged, changed, conflicted and untracked paths. Call \
        it before changes.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &Args) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let (status, _) = cx.repo.status(cx.cancel)?;
        let shape: Vec<_> = status.entries.iter().map(|entry| (entry.index, entry.worktree, &entry.path, &entry.from)).collect();
        let mark = fingerprint(&shape);
        let start = Cursor::decode(args.cursor.as_deref(), mark)?;
        let mut writer = cx.writer();
        writer.heading(&|row| head(&status, row), &|_| "`git branch --verbose --verbose`".to_owned());
        let first = usize::try_from(start.item).unwrap_or(usize::MAX);
        writer.list(status.entries.iter().skip(first), show, "`git status --short -z`", |rest| {
            let at = shape.len() - rest;
            let next = Cursor { item: at as u64, offset: 0 }.encode(mark);
            format!("{} of {} paths shown. Next: {}", at - first, shape.len(), cx.echo.again(&[("cursor", json!(next))]))
        });
        notes(cx, &status, &mut writer)?;
        Ok(writer.finish())
    }
}

/// `## main...origin/main [ahead 1, behind 2]`
fn head<'r>(status: &Status, row: &'r mut Row) -> &'r mut Row {
    let head = &status.head;
    row.put("## ");
    match (&head.branch, &head.commit) {
        (Some(branch), Some(_)) => row.field(Field::Ref, "branch", branch),
        (Some(branch), None) => row.put("No commits yet on ").field(Field::Ref, "branch", branch),
        (None, Some(commit)) => row.put("HEAD (no branch) at ").field(Field::Name, "commit", commit.to_hex_with_len(12).to_string()),
        (None, None) => row.put("HEAD (no branch)"),
    };
    let Some(upstream) = &head.upstream else { return row };
    row.put("...").field(Field::Ref, "upstream", upstream);
    match head.ahead_behind {
        Some((0, 0)) => row,
        Some((ahead, 0)) => row.put(" [ahead ").number(ahead).put("]"),
        Some((0, behind)) => row.put(" [behind ").number(behind).put("]"),
        Some((ahead, behind)) => row.put(" [ahead ").number(ahead).put(", behind ").number(behind).put("]"),
        None => row.put(" [gone]"),
    }
}

fn show<'r>(entry: &Changed, row: &'r mut Row) -> &'r mut Row {
    row.letter(char::from(entry.index)).letter(char::from(entry.worktree)).put(" ");
    if let Some(from) = &entry.from {
        row.field(Field::Path, "old path", from).put(" -> ");
    }
    row.field(Field::Path, "path", &entry.path)
}

/// How to proceed with an operation in progress that has no conflicts.
fn next_steps(cx: &Context<'_>, status: &Status) -> Result<String, Error> {
    const SKIP: &str = "git_continue {\"skip\":true} skips it";
    let is_staged = |entry: &Changed| !matches!(entry.index, b' ' | b'?' | b'!');
    let operation = cx.repo.in_progress().unwrap_or_default();
    let is_series = ["cherry-pick", "revert"].contains(&operation);
    Ok(if is_series && cx.repo.is_at_a_commit() && !status.entries.iter().any(is_staged) {
        format!("at a commit that changes nothing here: {SKIP}")
    } else if is_series && cx.repo.is_untried(cx.cancel)? {
        format!("before a commit that was not applied: {SKIP}, or git_abort aborts")
    } else if operation == "am" {
        format!("and its patch is not applied: git_add its changes, then git_continue; {SKIP}; git_abort aborts")
    } else {
        "and nothing is in conflict: git_continue continues it, or git_abort aborts it".to_owned()
    })
}

fn notes(cx: &Context<'_>, status: &Status, writer: &mut Writer) -> Result<(), Error> {
    if status.entries.is_empty() && status.not_compared.is_empty() {
        writer.note("nothing to commit, working tree clean");
    }
    if status.truncated {
        writer.note("more paths exist than are listed: add them to .gitignore, or search with git_grep");
    }
    let conflicts = status.entries.iter().filter(|entry| entry.is_unmerged()).count();
    let paths = counted_are(conflicts, "path");
    match (status.in_progress.as_deref(), conflicts) {
        (None, 0) => {}
        (None, _) => writer.note(format!(
            "{paths} in conflict: git_conflicts shows them; git_add marks each as resolved, or git_abort undoes what caused them"
        )),
        (Some("bisect"), _) => writer.note("a bisect is in progress: git_bisect continues it, and git_abort ends it"),
        (Some(operation), 0) => writer.note(format!("a {operation} is in progress, {}", next_steps(cx, status)?)),
        (Some(operation), _) => writer.note(format!(
            "a {operation} is in progress, and {paths} in conflict: git_conflicts shows them; then git_continue, or git_abort"
        )),
    }
    not_compared(cx, &status.not_compared, writer);
    Ok(())
}
