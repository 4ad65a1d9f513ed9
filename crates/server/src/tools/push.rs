//! `git_push`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, counted, word},
    tool::{Context, Effect, Entry, PolicyAction, Scope, Tool, Toolset},
    tools::{
        fetch::{moved_to, remote_word},
        hooks,
        misdirected::explained,
    },
};
use git::{BranchName, Destination, Place, PushOptions, PushRequest, Ref, RemoteName, TagName};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Push>().also_in(&[Toolset::Legacy]);

struct Push;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    remote: Option<String>,
    /// Default: current.
    branch: Option<String>,
    /// Remote ref.
    to: Option<String>,
    /// Names.
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    set_upstream: bool,
    /// Force with lease.
    #[serde(default)]
    force: bool,
    /// Delete refs.
    #[serde(default)]
    delete: bool,
}

impl Tool for Push {
    type Args = Args;
    const NAME: &'static str = "git_push";
    const ABOUT: &'static str = "Pushes a branch or tags. After a rebase: `force`; if the remote is ahead: git_pull.";
    // This repository cannot restore what a push replaces or deletes on the remote.
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Remote;
    const DIRECTION: git::Direction = git::Direction::Push;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let remote = args.remote.map(RemoteName::new).transpose()?;
        let is_named = args.branch.is_some();
        let mut what = Vec::new();
        if args.branch.is_some() || args.tags.is_empty() {
            let branch = match args.branch {
                Some(name) => BranchName::new(name)?,
                None if args.delete => return Err(Error::new(Kind::BadInput, "`delete` needs `branch` or `tags`")),
                None => BranchName::new(cx.repo.branch_name(cx.cancel)?.ok_or_else(detached)?)?,
            };
            what.push(Ref::Branch(branch));
        }
        for tag in args.tags {
            what.push(Ref::Tag(TagName::new(tag)?));
        }
        let to = args.to.map(BranchName::new).transpose()?;
        if to.is_some() && !matches!(what.as_slice(), [Ref::Branch(_)]) {
            return Err(Error::new(Kind::BadInput, "`to` needs one branch and no tags"));
        }
        if args.force && args.delete {
            return Err(Error::new(Kind::BadInput, "pass either `force` or `delete`"));
        }
        let branch = what.iter().find_map(|target| if let Ref::Branch(branch) = target { Some(branch.clone()) } else { None });
        let own = branch.as_ref().map(|branch| branch.as_str().to_owned());
        let options = PushOptions { remote, branch, is_named, to, delete: args.delete };
        let Destination { place, there, set_upstream } =
            cx.repo.destination(&options, cx.cancel).map_err(|err| explained(cx, err, own.as_deref()))?;
        if let Some(there) = there.as_deref().map(short) {
            if args.force {
                cx.services.policy.check_protected(there, "it cannot be force-pushed")?;
            }
            if args.delete {
                cx.services.policy.check_protected(there, "it cannot be deleted")?;
            }
        }
        if args.force {
            cx.permit(PolicyAction::ForcePush, "`force` replaces the remote's commits with the local ones")?;
        }
        if args.delete {
            cx.permit(PolicyAction::Delete, "it would be deleted on the remote")?;
        }
        let set_upstream = args.set_upstream || set_upstream;
        let request = PushRequest { place, what, there, delete: args.delete, force: args.force, set_upstream };
        let pushed = cx.repo.push(&request, cx.on_progress, cx.cancel).map_err(|err| explained(cx, err, own.as_deref()))?;
        let mut writer = cx.writer();
        let name = remote_word(&request.place);
        let moved = pushed.updates.iter().filter(|update| update.sign != '=').count();
        writer.say(&match moved {
            0 => format!("{name} is up to date"),
            n => format!("pushed to {name}: {} moved", counted(n, "reference")),
        });
        writer.list(&pushed.updates, moved_to, "git_ls_remote", |rest| format!("and {rest} more listed by git_ls_remote"));
        if !pushed.said.is_empty() {
            writer.say("hooks and the remote wrote:");
            writer.quote(&pushed.said);
        }
        hooks::note_idle(cx, &["pre-push", "reference-transaction"], &mut writer);
        if let (Some(branch), Some(there), true) = (&own, &request.there, request.set_upstream && !request.delete) {
            let there = word(Field::Ref, format!("{}/{}", request.place.as_str(), short(there)), "git_branch");
            writer.say(&format!("{} now tracks {there}", word(Field::Ref, branch, "git_branch")));
        }
        if let (Some(there), Place::Remote(remote), true) = (&request.there, &request.place, request.force)
            && let Some(kept) = cx.repo.tracking_ref(remote.as_str(), there, cx.cancel)?
        {
            writer.note(format!("previous remote commits: {}", cx.echo.other("git_reflog", &[("name", json!(kept))])));
        }
        Ok(writer.finish())
    }
}

/// The short name of a branch.
fn short(full: &str) -> &str {
    full.strip_prefix("refs/heads/").unwrap_or(full)
}

fn detached() -> Error {
    Error::new(Kind::Refused, "HEAD is detached: no branch is checked out").hint("Name the branch with `branch`.")
}
