//! `git_reset`

use crate::{
    error::{Error, Kind},
    output::Reply,
    tool::{Context, Effect, Entry, Tool},
    tools::change,
};
use git::{RelPath, ResetMode, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Reset>();

struct Reset;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `mixed` unstages; `soft` only moves the branch to `target`; `hard` also overwrites tracked files.
    #[serde(default)]
    mode: Mode,
    /// The commit to move the branch to. Default HEAD: nothing moves.
    target: Option<String>,
    /// Unstage only these paths.
    #[serde(default)]
    paths: Vec<String>,
    /// Needed for `hard`.
    #[serde(default)]
    confirm: bool,
}

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Mixed,
    Soft,
    Hard,
}

impl Tool for Reset {
    type Args = Args;
    const NAME: &'static str = "git_reset";
    const ABOUT: &'static str = "Unstages everything, or `paths`, and leaves files as they are. With `target` moves the branch back: `mode` \
        `soft` keeps changes staged, `hard` drops them. To put single files back use git_restore.";
    // The index is lost, and nothing that is in a file or a commit.
    const EFFECT: Effect = Effect::Destroy;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let worktree = cx.repo.worktree()?;
        let paths: Vec<RelPath> = args.paths.iter().map(|path| RelPath::new(path, Some(worktree))).collect::<Result<_, _>>()?;
        let mode = match args.mode {
            Mode::Mixed => ResetMode::Mixed,
            Mode::Soft => ResetMode::Soft,
            Mode::Hard => ResetMode::Hard,
        };
        if !paths.is_empty() && (mode != ResetMode::Mixed || args.target.is_some()) {
            return Err(Error::new(Kind::BadInput, "`paths` cannot be combined with `mode` or `target`"));
        }
        if let Some(operation) = cx.repo.progress().filter(|_| paths.is_empty()) {
            return Err(Error::new(Kind::Refused, format!("a {operation} is in progress, and git_reset would give it up silently"))
                .hint("Unstage single files with `paths`, or finish or abort it first."));
        }
        if mode == ResetMode::Hard && !args.confirm {
            return Err(Error::new(Kind::Refused, "`hard` overwrites what is staged and what tracked files hold")
                .hint("Repeat the call with `confirm`: true if that is meant. git_undo can bring it back."));
        }
        let before = cx.repo.head(cx.cancel)?;
        let target = args.target.as_deref().map(Rev::new).transpose()?;
        if mode == ResetMode::Hard {
            cx.overwrites(&[])?;
        }
        cx.repo.reset(mode, target.as_ref(), &paths, cx.cancel)?;
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
        Ok(writer.finish())
    }
}
