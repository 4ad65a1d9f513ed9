//! `git_workspace`

use crate::{
    error::Error,
    output::{Field, Reply, counted, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset, actions, needed},
    tools::{hooks, worktree},
};
use git::{AddedWorktree, BranchName, Rev, WorktreeAdd};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Workspace>().listed_in(Toolset::Worktrees);

struct Workspace;

/// Command that lists all worktrees.
const LISTED: &str = "`git worktree list`";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// What to do.
    #[serde(default)]
    action: Action,
    /// For `open`: the branch, created if missing, from the remote that has it. Default: a new one.
    branch: Option<String>,
    /// For `open`: where a new branch starts. Default HEAD.
    start_point: Option<String>,
    /// For `close`.
    handle: Option<String>,
    /// For `close`: even with edits and untracked files.
    #[serde(default)]
    force: bool,
}

actions!(List, Open, Close; reads List);

impl Tool for Workspace {
    type Args = Args;
    const NAME: &'static str = "git_workspace";
    const ABOUT: &'static str = "A working tree and branch of your own, so that agents do not collide. Pass the handle as `workspace` in \
        place of `repo_path`. Closing keeps the branch.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let mut writer = cx.writer();
        match args.action {
            Action::List => {
                let mut found = 0;
                for worktree in cx.repo.worktrees(cx.cancel)? {
                    let Some(handle) = cx.services.workspaces.handle(&worktree.path, cx.principal)? else { continue };
                    let branch = worktree.branch.as_deref().map_or("detached", |branch| branch.trim_start_matches("refs/heads/"));
                    let whole = |_: &str| LISTED.to_owned();
                    if !writer.row(&|row| row.field(Field::Name, "handle", &handle).put(" ").field(Field::Ref, "branch", branch), &whole) {
                        writer.note(format!("{found} shown; {LISTED} has all"));
                        break;
                    }
                    found += 1;
                }
                if found == 0 {
                    writer.say("no workspace is open");
                }
            }
            Action::Open => {
                let branch = args.branch.map(BranchName::new).transpose()?;
                let start = args.start_point.map(Rev::new).transpose()?;
                let (handle, path) = cx.services.workspaces.create(cx.principal, &cx.repo.location().common_dir)?;
                let own = || BranchName::new(format!("workspace/{}", &handle[3..11]));
                let add = WorktreeAdd { path: path.clone(), branch: Some(branch.map_or_else(own, Ok)?), start, anywhere: true };
                let AddedWorktree { worktree: made, hook, follows } =
                    cx.repo.add_worktree(&add, cx.cancel).inspect_err(|_| cx.services.workspaces.forget(&handle))?;
                let branch = made.branch.clone().unwrap_or_default();
                let branch = branch.trim_start_matches("refs/heads/");
                let place = word(Field::Path, path.as_os_str().as_encoded_bytes(), LISTED);
                let branch = format!("{}{}", word(Field::Ref, branch, LISTED), worktree::following(follows.as_deref()));
                writer.say(&format!("opened {handle} on branch {branch}, with its files at {place}"));
                writer.note(format!("to work in it, pass \"workspace\": {}", json!(handle)));
                let days = cx.services.workspaces.ttl().as_secs().div_ceil(86_400);
                hooks::after(hook.as_ref(), "the workspace is open", &mut writer);
                worktree::note_absent_submodules(cx, &made, &mut writer)?;
                writer.note(format!("it closes after {} without use, unless work would be lost", counted(days, "day")));
            }
            Action::Close => {
                let handle = needed(args.handle, "handle")?;
                let path = cx.services.workspaces.path_blocking(&handle, cx.principal)?;
                let gone = worktree::remove(cx, &path, args.force)?;
                cx.services.workspaces.forget(&handle);
                let left = match (&gone.branch, gone.commit) {
                    (Some(branch), _) => {
                        format!("the branch {} stays", word(Field::Ref, branch.trim_start_matches("refs/heads/"), "git_branch"))
                    }
                    (None, Some(commit)) => format!("it was detached at {}", cx.repo.abbreviate(commit)),
                    (None, None) => "it had no commit".to_owned(),
                };
                writer.say(&format!("closed {}; {left}", word(Field::Name, &handle, "`handle`")));
            }
        }
        Ok(writer.finish())
    }
}
