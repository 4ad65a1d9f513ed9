//! `git_reset`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, PolicyAction, Tool, Toolset, choices},
    tools::{change, hooks},
};
use git::{Raw, ResetMode, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Reset>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct Reset;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    mode: Mode,
    /// Commit.
    target: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
}

choices!(Mode for ResetMode: Mixed, Soft, Hard);

impl Tool for Reset {
    type Args = Args;
    const NAME: &'static str = "git_reset";
    const ABOUT: &'static str = "Unstages everything, or `paths`. With `target` moves the branch: `soft` keeps changes staged, `hard` \
        discards them. For files: git_restore.";
    // Loses the index, but no content of files or commits.
    const EFFECT: Effect = Effect::Destroy;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        cx.repo.worktree()?;
        let paths = cx.paths(&args.paths)?;
        let mode = ResetMode::from(args.mode);
        if !paths.is_empty() && (mode != ResetMode::Mixed || args.target.is_some()) {
            return Err(Error::new(Kind::BadInput, "`paths` cannot be combined with `mode` or `target`"));
        }
        if let Some(operation) = cx.repo.progress().filter(|_| paths.is_empty()) {
            return Err(Error::new(Kind::Refused, format!("a {operation} is in progress, and git_reset would silently abandon it"))
                .hint("Unstage single files with `paths`, or finish or abort it first."));
        }
        if mode == ResetMode::Hard {
            let permitted = cx.permit(PolicyAction::HardReset, "`hard` overwrites the index and tracked files; git_undo can restore them");
            // A question names first what git_undo cannot restore.
            match permitted {
                Err(denied) if denied.kind == Kind::Denied => return Err(denied),
                permitted => cx.keeps_files(Raw::Edited(&[])).and(permitted)?,
            }
        }
        let before = cx.repo.head(cx.cancel)?;
        let target = args.target.as_deref().map(Rev::new).transpose()?;
        if let Some(target) = &target {
            cx.permit_rewrite(cx.repo.resolve_commit(target, cx.cancel)?)?;
        }
        if mode == ResetMode::Hard {
            cx.overwrites(&[])?;
        }
        let said = cx.repo.reset(mode, target.as_ref(), &paths, cx.cancel)?;
        let after = cx.repo.head(cx.cancel)?;
        let mut writer = cx.writer();
        if let (Some(from), Some(to)) = (before, after)
            && from != to
        {
            writer.say(&format!("moved from {} to {}", cx.repo.abbreviate(from), cx.repo.abbreviate(to)));
            let back = match mode {
                ResetMode::Hard => cx.echo.other("git_undo", &[]),
                _ => cx.echo.other("git_reset", &[("mode", json!("soft")), ("target", json!(from.to_string()))]),
            };
            writer.note(format!("to move back: {back}"));
        }
        change::staged(cx, &mut writer)?;
        hooks::quote_output(&said, &mut writer);
        Ok(writer.finish())
    }
}
