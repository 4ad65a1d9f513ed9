//! What the results of changes have in common: the state that they leave behind.

use crate::{
    error::Error,
    output::{Writer, inline},
    tool::Context,
};
use git::{Entry, quote};

/// The most paths that a summary lists.
const MAX_PATHS: usize = 30;

/// Says what is staged now.
pub(super) fn staged(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let (status, _) = cx.repo.status(cx.cancel)?;
    let staged: Vec<&Entry> = status.entries.iter().filter(|entry| !matches!(entry.index, b' ' | b'?' | b'!')).collect();
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

/// Says which branch is checked out and what is not committed.
pub(super) fn state(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let (status, _) = cx.repo.status(cx.cancel)?;
    let at = match (&status.head.branch, &status.head.commit) {
        (Some(branch), _) => format!("on branch {}", inline(branch.as_bytes())),
        (None, Some(commit)) => format!("HEAD is detached at {}", commit.to_hex_with_len(12)),
        (None, None) => "HEAD is unborn".to_owned(),
    };
    let (tracked, untracked): (Vec<&Entry>, Vec<&Entry>) = status.entries.iter().partition(|entry| entry.index != b'?');
    writer.say(&match (tracked.len(), untracked.len()) {
        (0, 0) => format!("{at}; the working tree is clean"),
        (changed, untracked) => format!("{at}; {changed} changed and {untracked} untracked paths"),
    });
    if let Some(operation) = status.in_progress {
        writer.say(&format!("a {operation} is in progress"));
    }
    Ok(())
}
