//! Deleting, renaming and tracking branches: `git_branch_delete`, `git_branch_rename`, `git_branch_upstream`.

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, word},
    tool::{Context, Effect, Entry, PolicyAction, Scope, Tool, Toolset},
};
use git::{BranchName, Reach, Rev};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const DELETE: Entry = Entry::of::<Delete>().listed_in(Toolset::Branches);
pub(super) const RENAME: Entry = Entry::of::<Rename>().listed_in(Toolset::Branches);
pub(super) const UPSTREAM: Entry = Entry::of::<Upstream>().listed_in(Toolset::Branches);

struct Delete;
struct Rename;
struct Upstream;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteArgs {
    /// The branch.
    branch_name: String,
    /// Even if it is not merged.
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RenameArgs {
    /// Old name. Default: the current branch.
    branch_name: Option<String>,
    /// New name.
    new_name: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpstreamArgs {
    /// Default: the current branch.
    branch_name: Option<String>,
    /// For example `origin/main`. Absent: unset it.
    upstream: Option<String>,
}

impl Tool for Delete {
    type Args = DeleteArgs;
    const NAME: &'static str = "git_branch_delete";
    const ABOUT: &'static str = "Deletes a local branch; git_undo restores it. On a remote: git_push with `delete`.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: DeleteArgs) -> Result<Reply, Error> {
        let name = BranchName::new(args.branch_name)?;
        cx.services.policy.check_protected(name.as_str(), "it cannot be deleted")?;
        if args.force {
            let what = if cx.repo.is_broken(&name.full(), cx.cancel)? {
                "`force` deletes the broken branch; git_undo cannot restore it"
            } else {
                "`force` deletes the branch even if it is not merged; git_undo can restore it"
            };
            cx.permit(PolicyAction::Delete, what)?;
        }
        cx.reaches(Reach::Refs);
        cx.moves_refs()?;
        let config = cx.repo.keep_branch_config(&name, cx.cancel)?;
        cx.record.iter().for_each(|record| record.keeps_config(config));
        let target = cx.repo.target_of(&name, cx.cancel)?;
        let former = cx.repo.delete_branch(&name, args.force, cx.cancel).map_err(|err| with_force(err, args.force))?;
        let mut writer = cx.writer();
        let deleted = format!("deleted {}", named(name.as_str()));
        writer.say(&match (target, former.id) {
            (Some(target), _) => format!("{deleted}, a symbolic reference to {}", named(&target)),
            (None, Some(id)) => format!("{deleted}, which was at {id}"),
            (None, None) => format!("{deleted}, which named no object"),
        });
        if former.is_broken {
            writer.note("git_undo cannot restore it: it was broken");
        } else {
            writer.note(format!("to restore it: {}", cx.echo.other("git_undo", &[])));
        }
        Ok(writer.finish())
    }
}

impl Tool for Rename {
    type Args = RenameArgs;
    const NAME: &'static str = "git_branch_rename";
    const ABOUT: &'static str = "Renames a local branch, with its upstream and its reflog.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: RenameArgs) -> Result<Reply, Error> {
        let (old, new) = (chosen(cx, args.branch_name)?, BranchName::new(args.new_name)?);
        cx.services.policy.check_protected(old.as_str(), "it cannot be renamed")?;
        cx.reaches(Reach::Refs);
        cx.moves_refs()?;
        cx.repo.rename_branch(&old, &new, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("{} is now {}", named(old.as_str()), named(new.as_str())));
        writer.note(format!("to undo: {}", cx.echo.other("git_undo", &[])));
        Ok(writer.finish())
    }
}

impl Tool for Upstream {
    type Args = UpstreamArgs;
    const NAME: &'static str = "git_branch_upstream";
    const ABOUT: &'static str = "Sets or unsets the upstream that a local branch pulls from and pushes to.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Shared;

    fn run(cx: &Context<'_>, args: UpstreamArgs) -> Result<Reply, Error> {
        let name = chosen(cx, args.branch_name)?;
        let upstream = args.upstream.map(Rev::new).transpose()?;
        cx.repo.set_upstream(&name, upstream.as_ref(), cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&match upstream {
            Some(upstream) => format!("{} now tracks {}", named(name.as_str()), named(upstream.as_str())),
            None => format!("{} has no upstream", named(name.as_str())),
        });
        Ok(writer.finish())
    }
}

/// The error for a broken branch, with the argument or the remedy by which it is deleted.
fn with_force(err: git::Error, force: bool) -> git::Error {
    let how =
        if force { "git deletes no such branch: its file must be removed" } else { "`force` deletes a branch whose object is missing" };
    match err {
        git::Error::Unreadable { said } => git::Error::Unreadable { said: format!("{said}; {how}") },
        err => err,
    }
}

fn named(name: &str) -> String {
    word(Field::Ref, name, "git_branch")
}

/// The named branch, or the current one.
fn chosen(cx: &Context<'_>, name: Option<String>) -> Result<BranchName, Error> {
    let name = name.map_or_else(|| cx.repo.branch_name(cx.cancel), |name| Ok(Some(name)))?;
    let name = name.ok_or_else(|| Error::new(Kind::Refused, "HEAD is detached").hint("Name the branch with `branch_name`."))?;
    Ok(BranchName::new(name)?)
}
