//! `git_fetch` and `git_pull`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Row, Writer, counted, counted_are, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset},
    tools::{change, misdirected::explained, rebase},
};
use git::{BranchName, FetchRequest, Fetched, MergeRequest, Place, PullRebase, RebaseRequest, RemoteName, Update};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const FETCH: Entry = Entry::of::<Fetch>().also_in(&[Toolset::Legacy]);
pub(super) const PULL: Entry = Entry::of::<Pull>().also_in(&[Toolset::Legacy]);

struct Fetch;
struct Pull;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FetchArgs {
    remote: Option<String>,
    /// Only this.
    branch: Option<String>,
    /// Prune deleted branches.
    #[serde(default)]
    prune: bool,
    /// All tags.
    #[serde(default)]
    tags: bool,
    /// Commits of history; 0 for all.
    depth: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PullArgs {
    remote: Option<String>,
    branch: Option<String>,
    /// If histories diverged.
    #[serde(default)]
    how: How,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum How {
    #[default]
    Ff,
    Merge,
    Rebase,
}

impl Tool for Fetch {
    type Args = FetchArgs;
    const NAME: &'static str = "git_fetch";
    const ABOUT: &'static str = "Fetches from a remote; changes no files or branches. To update a branch: git_pull.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::Remote;

    fn run(cx: &Context<'_>, args: FetchArgs) -> Result<Reply, Error> {
        let request = FetchRequest {
            remote: args.remote.map(RemoteName::new).transpose()?,
            branch: args.branch.map(BranchName::new).transpose()?,
            prune: args.prune,
            tags: args.tags,
            depth: args.depth,
        };
        let fetched = cx.repo.fetch(&request, cx.on_progress, cx.cancel).map_err(|err| explained(cx, err, None))?;
        let mut writer = cx.writer();
        report(cx, &fetched, &mut writer);
        let ends = if args.depth == Some(0) { cx.repo.boundary()?.len() } else { 0 };
        if ends > 0 {
            let remote = word(Field::Name, fetched.place.as_str(), "git_remote_list");
            let ends = counted(ends, "commit");
            writer.say(&format!("history still ends at {ends}: {remote} itself is shallow, and has no more"));
        }
        Ok(writer.finish())
    }
}

impl Tool for Pull {
    type Args = PullArgs;
    const NAME: &'static str = "git_pull";
    const ABOUT: &'static str = "Fetches and integrates into the current branch. Stops at conflicts.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::RemoteAndWorktree;

    fn run(cx: &Context<'_>, args: PullArgs) -> Result<Reply, Error> {
        cx.repo.worktree()?;
        if let Some(operation) = cx.repo.progress() {
            return Err(git::Error::InProgress(operation).into());
        }
        // Before anything is fetched, as in git; a merge that the caller has chosen does not depend on it.
        let configured = if args.how == How::Merge { PullRebase::Off } else { cx.repo.rebase_of_pulls(cx.cancel)? };
        let branch = args.branch.map(BranchName::new).transpose()?;
        let request =
            FetchRequest { remote: args.remote.map(RemoteName::new).transpose()?, branch: branch.clone(), ..FetchRequest::default() };
        if branch.is_none() {
            cx.repo.check_upstream(request.remote.as_ref(), cx.cancel).map_err(|err| explained(cx, err, None))?;
        }
        let fetched = cx.repo.fetch(&request, cx.on_progress, cx.cancel).map_err(|err| explained(cx, err, None))?;
        let rev = cx.repo.fetched_head(&fetched.place, branch.as_ref(), cx.cancel)?;
        let there = cx.repo.resolve_commit(&rev, cx.cancel)?;
        if let Some(here) = cx.repo.head(cx.cancel)? {
            let (ahead, behind) = cx.repo.ahead_behind(here, there, cx.cancel)?;
            if behind == 0 {
                let mut writer = cx.writer();
                report(cx, &fetched, &mut writer);
                writer.say(if ahead == 0 { "the branch is up to date" } else { "the branch is ahead of the remote" });
                return Ok(writer.finish());
            }
            if ahead > 0 && cx.repo.merge_bases(here, there, cx.cancel)?.is_empty() {
                return Err(cx.repo.unrelated()?.into());
            }
            if ahead > 0 && args.how == How::Ff {
                return Err(Error::new(
                    Kind::Refused,
                    format!("the branch and the remote's have diverged: {} only here, {behind} only there", counted_are(ahead, "commit")),
                )
                .hint("Repeat the call with `how`: \"rebase\" or \"merge\". The remote's commits are fetched; nothing else has changed."));
            }
        }
        let rebases = args.how == How::Rebase && cx.repo.head(cx.cancel)?.is_some();
        let configured = if rebases { configured } else { PullRebase::Off };
        let from =
            format!("from {} of {}", word(Field::Ref, rev.as_str(), "git_branch"), remote_word(&fetched.place)) + how_rebased(configured);
        if rebases {
            let keep_merges = configured == PullRebase::Merges;
            let request = RebaseRequest { upstream: rev, onto: None, plan: Vec::new(), keep_merges };
            return rebase::rebase(cx, "pulled", &request, Some(&from));
        }
        change::moving_from(cx, "pulled", &|| vec![from.clone()], || {
            // If only one side has commits, the configuration decides.
            let fast_forward = cx.repo.fast_forward_of_pulls(args.how != How::Ff, cx.cancel)?;
            let request = MergeRequest { rev: rev.clone(), fast_forward, squash: false, message: None, strategy_option: None };
            cx.repo.merge(&request, cx.cancel)
        })
        .map_err(|err| only_forward(cx, err, "git_pull with `how`: \"rebase\" rebases the branch onto the remote's"))
    }
}

/// How a rebase follows the configuration of pulls, as the rest of a sentence.
fn how_rebased(configured: PullRebase) -> &'static str {
    match configured {
        PullRebase::Merges => "; merge commits are kept, as `pull.rebase` or `branch.*.rebase` is `merges`",
        PullRebase::Interactive => {
            "; `pull.rebase` or `branch.*.rebase` is `interactive`: git would open an editor; here all steps are kept"
        }
        PullRebase::Off | PullRebase::Plain => "",
    }
}

/// The merge error, with a way out if the configuration allows only fast-forwards.
pub(super) fn only_forward(cx: &Context<'_>, err: Error, way_out: &str) -> Error {
    let is_refused = matches!(err.cause(), Some(git::Error::Failed { command, .. }) if command == "merge");
    if !is_refused || !cx.repo.merges_only_forward(cx.cancel).unwrap_or_default() {
        return err;
    }
    err.hint(format!("`merge.ff` is `only`: git merges only fast-forwards. {way_out}; git_merge with `strategy`: \"no-ff\" merges."))
}

/// Maximum number of references listed.
const MAX_LISTED: usize = 100;

fn report(cx: &Context<'_>, fetched: &Fetched, writer: &mut Writer) {
    let moved: Vec<_> = fetched.updates.iter().filter(|update| update.sign != '=').collect();
    let remote = remote_word(&fetched.place);
    writer.say(&match moved.len() {
        0 if fetched.depth.is_some() => format!("fetched from {remote}: no reference moved"),
        0 => format!("fetched from {remote}: nothing new"),
        n => format!("fetched from {remote}: {} moved", counted(n, "reference")),
    });
    match fetched.depth {
        Some((_, 0)) => writer.say("the history is complete now"),
        Some((true, ends)) => writer.say(&format!("history is deeper now, and ends at {}", counted(ends, "commit"))),
        Some((false, ends)) => {
            writer.say(&format!("history is shallow now: it ends at {}, and earlier ones are missing", counted(ends, "commit")));
        }
        None => {}
    }
    let shown = writer.rows(moved.iter().copied().take(MAX_LISTED), moved_to, |_, _| "`git for-each-ref`".to_owned());
    if shown < moved.len() {
        let call = cx.echo.other("git_branch", &[("branch_type", serde_json::json!("remote"))]);
        writer.note(format!("{} more: {call}", moved.len() - shown));
    }
}

/// A transfer's remote, for use in a sentence.
pub(super) fn remote_word(place: &Place) -> String {
    match place {
        Place::Remote(name) => word(Field::Name, name.as_str(), "git_remote_list"),
        Place::Url(url) => word(Field::Url, url, "`git config --list`"),
    }
}

/// Shows a reference and its update.
pub(super) fn moved_to<'r>(update: &Update, row: &'r mut Row) -> &'r mut Row {
    row.letter(update.sign).put(" ").field(Field::Ref, "name", &update.name).put(" ").field(Field::Value, "summary", &update.summary);
    if let Some(place) = &update.place {
        row.put(" at ").field(Field::Url, "place", place);
    }
    row
}
