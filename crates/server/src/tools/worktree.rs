//! `git_worktree`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Row, Writer, counted, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset, actions, needed},
    tools::hooks,
};
use git::{AddedWorktree, BranchName, Rev, Worktree, WorktreeAdd};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::path::{Path, PathBuf};

pub(super) const TOOL: Entry = Entry::of::<WorktreeTool>().listed_in(Toolset::Worktrees);

struct WorktreeTool;

/// Command that lists all worktrees.
const LISTED: &str = "`git worktree list --porcelain`";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What to do.
    #[serde(default)]
    action: Action,
    /// Its folder, inside the allowed roots: absolute, or relative to the repository's top.
    path: Option<String>,
    /// For `add`: the branch to check out, created if missing, from the remote that has it. Default: detached.
    branch: Option<String>,
    /// For `add`: where a new branch starts. Default HEAD.
    start_point: Option<String>,
    /// For `lock`.
    reason: Option<String>,
    /// For `remove`: even with edits and untracked files.
    #[serde(default)]
    force: bool,
}

actions!(List, Add, Remove, Lock, Unlock, Prune; reads List);

impl Tool for WorktreeTool {
    type Args = Args;
    const NAME: &'static str = "git_worktree";
    const ABOUT: &'static str = "Worktrees: several branches checked out at once, each in its own folder. To work in one, pass its \
        folder as `repo_path`.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        let path = |path: Option<String>| {
            let path = path.filter(|path| !path.is_empty() && !path.contains('\0'));
            needed(path, "path").map(PathBuf::from)
        };
        match args.action {
            Action::List => list(cx, &mut writer)?,
            Action::Add => {
                let place = path(args.path)?;
                cx.confine(&cx.repo.place_for(&place)?)?;
                let add = WorktreeAdd {
                    path: place,
                    branch: args.branch.map(BranchName::new).transpose()?,
                    start: args.start_point.map(Rev::new).transpose()?,
                    anywhere: false,
                };
                let AddedWorktree { worktree: made, hook, follows } = cx.repo.add_worktree(&add, cx.cancel)?;
                let place = made.path.display().to_string();
                writer.say(&format!("created {}: {}{}", at(&made.path), state(cx, &made), following(follows.as_deref())));
                hooks::after(hook.as_ref(), "the worktree is created", &mut writer);
                note_absent_submodules(cx, &made, &mut writer)?;
                hooks::note_idle(cx, &["post-checkout", "reference-transaction"], &mut writer);
                writer.note(format!("to work in it, pass \"repo_path\": {}", json!(place)));
            }
            Action::Remove => {
                let path = path(args.path)?;
                cx.services.workspaces.check_path(&path, cx.principal)?;
                cx.confine(&cx.repo.full_path(&path))?;
                let gone = remove(cx, &path, args.force)?;
                writer.say(&match &gone.branch {
                    Some(_) => format!("removed {}; {} stays", at(&gone.path), state(cx, &gone)),
                    None => format!("removed {}, which was {}", at(&gone.path), state(cx, &gone)),
                });
            }
            Action::Lock | Action::Unlock => {
                if args.reason.as_ref().is_some_and(|reason| reason.chars().any(char::is_control)) {
                    return Err(Error::new(Kind::BadInput, "`reason` must be one line"));
                }
                let lock = args.action == Action::Lock;
                let path = path(args.path)?;
                cx.services.workspaces.check_path(&path, cx.principal)?;
                cx.confine(&cx.repo.full_path(&path))?;
                cx.repo.lock_worktree(&path, args.reason.as_deref(), lock, cx.cancel)?;
                writer.say(if lock { "locked: it cannot be removed or pruned" } else { "unlocked" });
            }
            Action::Prune => {
                let gone = cx.repo.prune_worktrees(cx.cancel)?;
                writer.say(&format!("pruned {} whose folder is gone", counted(gone.len(), "worktree")));
                writer.list(
                    &gone,
                    |path, row| row.field(Field::Path, "path", path.as_os_str().as_encoded_bytes()),
                    "not kept",
                    |rest| format!("and {rest} more"),
                );
            }
        }
        Ok(writer.finish())
    }
}

/// Removes a worktree. With `force` it may have edits, and the call needs confirmation.
pub(super) fn remove(cx: &Context<'_>, path: &Path, force: bool) -> Result<Worktree, Error> {
    if force && !cx.confirmed {
        return Err(Error::new(Kind::Refused, "`force` permanently removes edits and untracked files").asks());
    }
    Ok(cx.repo.remove_worktree(path, cx.confirmed, cx.cancel)?)
}

/// The upstream of a new branch, as the end of a sentence.
pub(super) fn following(follows: Option<&str>) -> String {
    let name = |full: &str| word(Field::Ref, full.trim_start_matches("refs/remotes/"), LISTED);
    follows.map_or_else(String::new, |full| format!(", which tracks {}", name(full)))
}

/// Notes that submodules are not checked out in a new worktree.
pub(super) fn note_absent_submodules(cx: &Context<'_>, made: &Worktree, writer: &mut Writer) -> Result<(), Error> {
    let absent = cx.repo.absent_submodules(made, cx.cancel)?;
    if absent > 0 {
        let (are, them) = if absent == 1 { ("submodule is", "it") } else { ("submodules are", "them") };
        writer.note(format!("{absent} {are} not checked out there: git_submodule {{\"action\":\"update\"}} there checks {them} out"));
    }
    Ok(())
}

fn list(cx: &Context<'_>, writer: &mut Writer) -> Result<(), Error> {
    let mut worktrees = cx.repo.worktrees(cx.cancel)?;
    worktrees.retain(|worktree| cx.services.workspaces.check_path(&worktree.path, cx.principal).is_ok());
    writer.list(&worktrees, |worktree, row| show(cx, worktree, row), LISTED, |rest| format!("{rest} more in {LISTED}"));
    Ok(())
}

/// The state of a worktree that git lists with neither a branch nor a commit.
const BROKEN: &str = "its HEAD is broken";

fn show<'r>(cx: &Context<'_>, worktree: &Worktree, row: &'r mut Row) -> &'r mut Row {
    row.field(Field::Path, "path", worktree.path.as_os_str().as_encoded_bytes()).put(": ");
    let commit = worktree.commit.map_or_else(|| "no commit".to_owned(), |id| cx.repo.abbreviate(id));
    match &worktree.branch {
        _ if worktree.bare => row.put("bare"),
        Some(branch) => row.put("branch ").field(Field::Ref, "branch", short(branch)).put(" at ").field(Field::Name, "id", &commit),
        None if worktree.commit.is_none() => row.put(BROKEN),
        None => row.put("detached at ").field(Field::Name, "id", &commit),
    };
    for (word, reason) in [("; locked", &worktree.locked), ("; prunable", &worktree.prunable)] {
        if let Some(reason) = reason {
            row.put(word).put(if reason.is_empty() { "" } else { ": " }).field(Field::Value, "reason", reason);
        }
    }
    row
}

/// The worktree's branch and commit, for a note.
fn state(cx: &Context<'_>, worktree: &Worktree) -> String {
    let at = worktree.commit.map_or_else(|| "no commit".to_owned(), |id| cx.repo.abbreviate(id));
    match &worktree.branch {
        _ if worktree.bare => "bare".to_owned(),
        Some(branch) => format!("branch {} at {at}", word(Field::Ref, short(branch), LISTED)),
        None if worktree.commit.is_none() => BROKEN.to_owned(),
        None => format!("detached at {at}"),
    }
}

fn short(branch: &str) -> &str {
    branch.strip_prefix("refs/heads/").unwrap_or(branch)
}

fn at(path: &Path) -> String {
    word(Field::Path, path.as_os_str().as_encoded_bytes(), LISTED)
}
