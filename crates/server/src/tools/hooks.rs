//! Reports about hooks: one that stopped a change, one that failed after it, and hooks that did not run.

use crate::{
    error::Error,
    output::{Field, Writer, word},
    tool::Context,
};
use git::{FailedHook, Halt, Idle, Leftovers, Look, ObjectId, quote};
use serde_json::json;

/// Maximum number of paths in a message.
const MAX_PATHS: usize = 10;
/// The tool that lists all paths.
const LISTED: &str = "git_status";

/// The state before a change that hooks may stop.
pub(super) struct Before {
    head: Option<ObjectId>,
    look: Option<Look>,
}

impl Before {
    /// Records the state if a hook may run.
    pub(super) fn of(cx: &Context<'_>) -> Result<Self, Error> {
        let look = cx.repo.look(cx.cancel)?;
        let head = if look.is_some() { cx.repo.head(cx.cancel)? } else { None };
        Ok(Self { head, look })
    }

    /// The same, with a known `HEAD`.
    pub(super) fn at(cx: &Context<'_>, head: Option<ObjectId>) -> Result<Self, Error> {
        Ok(Self { head, look: cx.repo.look(cx.cancel)? })
    }

    /// The change's error, with its leftovers if something other than a conflict stopped it.
    pub(super) fn stopped(&self, cx: &Context<'_>, err: git::Error) -> Error {
        let git::Error::Halted(halt) = &err else { return err.into() };
        let halt = halt.clone();
        let left = cx.repo.left_since(self.look.as_ref(), cx.cancel).unwrap_or_default();
        let mut error = Error::from(err);
        let hint = steps(cx, &halt, &left, error.hint.take().unwrap_or_default());
        error.message = self.message(cx, &halt, &left);
        error.hint(hint)
    }

    fn message(&self, cx: &Context<'_>, halt: &Halt, left: &Leftovers) -> String {
        let mut lines = vec![halt.to_string()];
        let now = cx.repo.head(cx.cancel).unwrap_or(self.head);
        match (self.head, now) {
            (Some(from), Some(to)) if from != to => {
                lines.push(format!("HEAD moved from {} to {}.", cx.repo.abbreviate(from), cx.repo.abbreviate(to)));
            }
            _ => lines.push("HEAD did not move.".to_owned()),
        }
        lines.push(match &halt.operation {
            Some(operation) => format!("A {operation} is in progress."),
            None => "Nothing is in progress.".to_owned(),
        });
        let staged: Vec<String> = left.staged.iter().map(|entry| format!("{} {}", char::from(entry.index), path(&entry.path))).collect();
        let changed = left.staged_before.map_or_else(String::new, |before| format!(" ({before} before)"));
        lines.push(match staged.len() {
            0 => format!("Nothing is staged{changed}."),
            n => format!("Staged: {n}{changed}: {}.", some(&staged)),
        });
        for (what, paths) in [("Edited meanwhile, not staged", &left.edited), ("New or changed meanwhile, untracked", &left.made)] {
            if !paths.is_empty() {
                lines.push(format!("{what}: {}.", some(&paths.iter().map(|one| path(one)).collect::<Vec<_>>())));
            }
        }
        if !halt.said.is_empty() {
            lines.push(format!("It wrote:\n{}", halt.said));
        }
        lines.join("\n")
    }
}

fn path(path: &[u8]) -> String {
    word(Field::Path, path, LISTED)
}

fn some(all: &[String]) -> String {
    let more = if all.len() > MAX_PATHS { format!(" and {} more listed by git_status", all.len() - MAX_PATHS) } else { String::new() };
    format!("{}{more}", all[..all.len().min(MAX_PATHS)].join(", "))
}

/// A call with the first few `paths`.
fn with(cx: &Context<'_>, tool: &str, name: &str, paths: &[Vec<u8>]) -> String {
    let shown: Vec<String> = paths.iter().take(MAX_PATHS).map(|path| quote::listed(path)).collect();
    let rest = if shown.len() < paths.len() { ", and likewise for the others" } else { "" };
    format!("{}{rest}", cx.echo.other(tool, &[(name, json!(shown))]))
}

/// The next steps. `mend` is how to fix what stopped the change.
fn steps(cx: &Context<'_>, halt: &Halt, left: &Leftovers, mend: String) -> String {
    let operation = halt.operation.as_deref().map(|operation| operation.split(' ').next().unwrap_or_default());
    let is_message = halt.by.as_ref().is_some_and(|by| by.hook.as_deref() == Some("commit-msg") && by.code != Some(-1));
    let edits = if left.edited.is_empty() {
        String::new()
    } else {
        format!("Stage the edits to keep: {}. ", with(cx, "git_add", "files", &left.edited))
    };
    let undone = |after: &str| match left.edited.as_slice() {
        [] => String::new(),
        edited => format!("{} discards the edits{after}", with(cx, "git_restore", "paths", edited)),
    };
    // Other hooks run before git has written anything.
    let is_late = halt.by.as_ref().is_some_and(|by| by.hook.as_deref() == Some("reference-transaction"));
    let new = match left.made.as_slice() {
        made if is_late && !made.is_empty() => {
            format!("{} lists the new files, and the call that removes them. ", with(cx, "git_clean", "paths", made))
        }
        _ => String::new(),
    };
    // The bisect itself is as before: only its checkout is done.
    if let Some(operation) = operation.filter(|_| halt.command != "bisect") {
        let back = format!("{}{new}git_abort restores the state before the {operation}.", undone(". Then "));
        if !halt.resumes {
            return format!("{back} {mend}");
        }
        let on = mend.trim_end_matches(" Then repeat the call.");
        return if is_message {
            format!("git_commit with a `message` that it accepts records what is staged. Or: {back}")
        } else {
            format!("{on} {edits}Then call git_continue. Or: {back}")
        };
    }
    if halt.command != "commit" {
        return if is_late { format!("{}{new}{mend}", undone(". ")) } else { mend };
    }
    if is_message {
        return "Repeat the call with a `message` that it accepts.".to_owned();
    }
    let restaged = if left.staged_before.is_some() && edits.is_empty() { "Stage what is missing with git_add. " } else { "" };
    match mend.strip_suffix("Then repeat the call.") {
        Some(mend) => format!("{mend}{edits}{restaged}Then repeat the call."),
        None => mend,
    }
}

/// Reports a hook that failed after the change, which `done` describes.
pub(super) fn after(failed: Option<&FailedHook>, done: &str, writer: &mut Writer) {
    let Some(FailedHook { by, said }) = failed else { return };
    writer.say(&format!("{done}; after that {by} failed ({}){}", by.ending(), if said.is_empty() { "" } else { "; it wrote:" }));
    if !said.is_empty() {
        writer.quote(said);
    }
}

/// Quotes the output of a change.
pub(super) fn quote_output(said: &str, writer: &mut Writer) {
    if !said.trim().is_empty() {
        writer.say("git, its hooks and filters wrote:");
        writer.quote(said);
    }
}

/// Notes that a commit or tag is unsigned although the operator's configuration asks for a signature.
pub(super) fn note_unsigned(cx: &Context<'_>, made: &str, writer: &mut Writer) {
    let (setting, why) = match (made, cx.repo.is_left_unsigned(made == "tag")) {
        (_, None) => return,
        ("tag", Some(why)) => ("`tag.gpgSign` or `tag.forceSignAnnotated`", why),
        (_, Some(why)) => ("`commit.gpgSign`", why),
    };
    writer.note(match why {
        Idle::NotTrusted => {
            let top = word(Field::Path, cx.repo.top().as_os_str().as_encoded_bytes(), "`git rev-parse --show-toplevel`");
            format!(
                "the {made} is not signed, although {setting} is set: the operator has not named this repository. To have it signed, \
                 start the server with `-r {top}`"
            )
        }
        _ => format!("the {made} is not signed, although {setting} is set: the operator lets no program of this repository run"),
    });
}

/// The hooks that git runs for `tool`. `was` was in progress before; `is_merge` and `rebases` say whether the call
/// created a merge commit or rewrote commits.
pub(super) fn run_by(tool: &str, was: Option<&str>, is_merge: bool, rebases: bool) -> Vec<&'static str> {
    let names: &[&str] = match (tool, was) {
        ("git_merge" | "git_pull", _) if is_merge => &["pre-merge-commit", "prepare-commit-msg", "commit-msg", "post-merge"],
        ("git_merge" | "git_pull", _) if !rebases => &["post-merge"],
        ("git_continue", Some("rebase")) => &["prepare-commit-msg", "post-commit", "post-rewrite"],
        ("git_continue", Some(_)) => &["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"],
        ("git_rebase" | "git_pull", _) => &["pre-rebase", "post-checkout", "prepare-commit-msg", "post-commit", "post-rewrite"],
        ("git_cherry_pick" | "git_revert", _) => &["prepare-commit-msg", "post-commit"],
        _ => &[],
    };
    [names, &["reference-transaction"]].concat()
}

/// Notes hooks among `names` that exist and did not run.
pub(super) fn note_idle(cx: &Context<'_>, names: &[&str], writer: &mut Writer) {
    // The change is done: failing to read hooks must not fail it.
    let Ok(Some(idle)) = cx.repo.idle_hooks(names, cx.cancel) else { return };
    let folder = word(Field::Path, idle.folder.as_os_str().as_encoded_bytes(), "`git rev-parse --git-path hooks`");
    let names = idle.names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let (hooks, are) = if idle.names.len() == 1 { ("hook", "is") } else { ("hooks", "are") };
    writer.note(match idle.why {
        Idle::NoFolder => {
            format!("no hook ran: `core.hooksPath` is {folder}, which does not exist. To have hooks, create it or correct the setting")
        }
        Idle::NotExecutable => {
            format!("the {hooks} {names} did not run: {are} not executable. To have {hooks} run: `chmod +x` in {folder}")
        }
        Idle::NotTrusted => {
            let top = word(Field::Path, cx.repo.top().as_os_str().as_encoded_bytes(), "`git rev-parse --show-toplevel`");
            format!("the {hooks} {names} did not run: the operator has not named this repository. To have hooks run, start the server with `-r {top}`")
        }
        Idle::SwitchedOff => format!("the {hooks} {names} did not run: the operator has disabled hooks"),
    });
}
