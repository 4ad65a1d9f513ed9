//! What the results of changes have in common: the state that they leave behind.

use crate::{
    error::Error,
    output::{Writer, inline},
    tool::Context,
};
use git::quote;

/// The most paths that a summary lists.
const MAX_PATHS: usize = 30;

/// Says what is staged now.
pub(super) fn staged(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let (_, staged) = cx.repo.staged(cx.cancel)?;
    match staged.len() {
        0 => writer.say("nothing is staged"),
        1 => writer.say("1 path is staged:"),
        n => writer.say(&format!("{n} paths are staged:")),
    }
    for entry in staged.iter().take(MAX_PATHS) {
        if !writer.fit(format!("{} {}\n", char::from(entry.index), quote::listed(&entry.path)).as_bytes()) {
            break;
        }
    }
    if staged.len() > MAX_PATHS {
        writer.say(&format!("and more: {}", cx.echo.other("git_status", &[])));
    }
    Ok(())
}

/// Says which branch is checked out, what is still staged and what is in progress.
pub(super) fn state(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let (head, staged) = cx.repo.staged(cx.cancel)?;
    let at = match (&head.branch, &head.commit) {
        (Some(branch), _) => format!("on branch {}", inline(branch.as_bytes())),
        (None, Some(commit)) => format!("HEAD is detached at {}", commit.to_hex_with_len(12)),
        (None, None) => "HEAD is unborn".to_owned(),
    };
    let rest = if staged.is_empty() { "nothing is staged".to_owned() } else { format!("{} paths are staged", staged.len()) };
    writer.say(&format!("{at}; {rest}"));
    if let Some(operation) = cx.repo.in_progress() {
        writer.say(&format!("a {operation} is in progress"));
    }
    Ok(())
}
