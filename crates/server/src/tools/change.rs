//! Shared parts of change results: messages, and the state after the change.

use crate::{
    error::{Error, Kind},
    journal::Record,
    output::{Field, Reply, Writer, counted, counted_are, word},
    tool::Context,
    tools::hooks,
};
use git::{DiffQuery, Keep, Reach, RelPath, Rev, Sides};

/// Maximum number of paths in a summary.
const MAX_PATHS: usize = 30;

/// Maximum message length.
const MAX_MESSAGE: usize = 1 << 20;

/// Validates a commit, tag or note message.
pub(super) fn message(text: Option<String>) -> Result<Option<String>, Error> {
    match text {
        Some(text) if text.trim().is_empty() => Err(Error::new(Kind::BadInput, "the message is empty").hint("Say what changes and why.")),
        Some(text) if text.len() > MAX_MESSAGE || text.contains('\0') => {
            Err(Error::new(Kind::BadInput, "the message is longer than 1 MiB or contains a NUL"))
        }
        text => Ok(text),
    }
}

/// Runs an operation that moves the branch and changes files, and reports the resulting state.
pub(super) fn moving(cx: &Context<'_>, done: &str, work: impl FnOnce() -> git::Result<String>) -> Result<Reply, Error> {
    moving_from(cx, done, &Vec::new, work)
}

/// As [`moving`], with extra lines.
pub(super) fn moving_from(
    cx: &Context<'_>,
    done: &str,
    more: &dyn Fn() -> Vec<String>,
    work: impl FnOnce() -> git::Result<String>,
) -> Result<Reply, Error> {
    let before = cx.repo.head(cx.cancel)?;
    let can_be_undone = cx.has_known_beginning();
    cx.reaches(Reach::Worktree);
    let (was, at) = (cx.repo.in_progress(), hooks::Before::at(cx, before)?);
    let output = work().map_err(|err| at.stopped(cx, err))?;
    let after = cx.repo.head(cx.cancel)?;
    let mut writer = cx.writer();
    let now = cx.repo.in_progress();
    let is_over = now.is_none();
    // One that was started inside another has ended if the outer one is left.
    let done = if is_over || was.is_some() && now != was { done } else { "not finished yet" };
    match (before, after) {
        (Some(from), Some(to)) if from != to => {
            writer.say(&format!("{done}: HEAD moved from {} to {}", cx.repo.abbreviate(from), cx.repo.abbreviate(to)));
            let query = DiffQuery {
                sides: Sides::Trees(Some(from), to),
                paths: Vec::new(),
                exclude: Vec::new(),
                context: Some(0),
                keep: Keep { per_file: 0, total: 0, skip: 0, files: 10_000 },
            };
            if let Ok((patch, _)) = cx.repo.diff(&query, cx.cancel) {
                let (added, removed) = patch.files.iter().fold((0, 0), |(a, r), file| (a + file.added, r + file.removed));
                writer.say(&format!("{} changed, +{added} -{removed}", counted(patch.files.len(), "file")));
            }
            if is_over && can_be_undone {
                writer.note(format!("to undo: {}", cx.echo.other("git_undo", &[])));
            }
        }
        _ => {
            writer.say(&format!("{done}: HEAD did not move"));
            if cx.record.is_some_and(Record::has_kept) {
                writer.note(format!("to undo: {}", cx.echo.other("git_undo", &[])));
            }
        }
    }
    hooks::quote_output(&output, &mut writer);
    for line in more() {
        writer.say(&line);
    }
    if let Some(after) = after {
        let is_merge = cx.repo.resolve_commit(&Rev::new(format!("{after}^2"))?, cx.cancel).is_ok();
        let is_left = |before| cx.repo.ahead_behind(before, after, cx.cancel).is_ok_and(|(ahead, _)| ahead > 0);
        let rebases = cx.echo.tool() == "git_pull" && before.is_some_and(is_left);
        hooks::note_idle(cx, &hooks::run_by(cx.echo.tool(), was, is_merge && before != Some(after), rebases), &mut writer);
        let is_made = is_merge || !matches!(cx.echo.tool(), "git_merge" | "git_pull") || rebases;
        if is_made && before != Some(after) {
            hooks::note_unsigned(cx, "commit", &mut writer);
        }
    }
    state(cx, &mut writer)?;
    Ok(writer.finish())
}

/// Lists the staged paths.
pub(super) fn staged(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    cx.settled();
    let (_, staged) = cx.repo.staged(cx.cancel)?;
    match staged.len() {
        0 => writer.say("nothing is staged"),
        n => writer.say(&format!("{} staged:", counted_are(n, "path"))),
    }
    let shown = writer.rows(
        staged.iter().take(MAX_PATHS),
        |entry, row| row.letter(char::from(entry.index)).put(" ").field(Field::Path, "path", &entry.path),
        |_, _| "`git diff --cached --name-only -z`".to_owned(),
    );
    if shown < staged.len() {
        writer.say(&format!("and {} more: {}", staged.len() - shown, cx.echo.other("git_status", &[])));
    }
    Ok(())
}

/// Notes conflict markers staged in previously conflicted files.
pub(super) fn markers(cx: &Context<'_>, paths: &[RelPath], writer: &mut Writer) -> Result<(), Error> {
    let found = cx.repo.staged_markers(paths, cx.cancel)?;
    if !found.is_empty() {
        let found: Vec<String> = found.iter().map(|at| word(Field::Path, at.as_str(), "`git diff --cached --check`")).collect();
        writer.note(format!("conflict markers are staged at {}: remove unintended ones and stage again", found.join(", ")));
    }
    Ok(())
}

/// Reports the current branch, staged paths and any operation in progress.
pub(super) fn state(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    cx.settled();
    let (head, staged) = cx.repo.staged(cx.cancel)?;
    let at = match (&head.branch, &head.commit) {
        (Some(branch), _) => format!("on branch {}", word(Field::Ref, branch, "`git branch --show-current`")),
        (None, Some(commit)) => format!("HEAD is detached at {}", commit.to_hex_with_len(12)),
        (None, None) => "HEAD is unborn".to_owned(),
    };
    let rest = if staged.is_empty() { "nothing is staged".to_owned() } else { counted_are(staged.len(), "path") + " staged" };
    writer.say(&format!("{at}; {rest}"));
    if let Some(operation) = cx.repo.progress() {
        writer.say(&format!("a {operation} is in progress"));
    }
    Ok(())
}
