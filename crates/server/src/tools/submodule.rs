//! `git_submodule`

use crate::{
    error::Error,
    output::{Field, Reply, Writer, word},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset, actions},
};
use git::{Reach, RelPath, Updated};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<SubmoduleTool>().listed_in(Toolset::Submodules);

struct SubmoduleTool;

/// Maximum number of submodules with a note after the list.
const MAX_NOTED: usize = 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `update` fetches and checks out recorded commits; `sync` copies URLs from .gitmodules.
    #[serde(default)]
    action: Action,
    /// Only these.
    #[serde(default)]
    paths: Vec<String>,
}

actions!(Status, Update, Sync; reads Status);

impl Tool for SubmoduleTool {
    type Args = Args;
    const NAME: &'static str = "git_submodule";
    const ABOUT: &'static str = "Lists submodules with their commits (`-` absent, `+` not as recorded) and updates them. To work in \
        one, pass its folder as `repo_path`.";
    const EFFECT: Effect = Effect::Write;
    const SCOPE: Scope = Scope::RemoteAndWorktree;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let paths = cx.paths(&args.paths)?;
        cx.repo.check_submodules(&paths, cx.cancel)?;
        let mut writer = cx.writer();
        let mut modules = match args.action {
            Action::Status => cx.repo.submodules(cx.cancel)?,
            Action::Update => {
                cx.reaches(Reach::Refs);
                let updated = cx.repo.update_submodules(&paths, cx.on_progress, cx.cancel)?;
                note_exceptions(&updated, &mut writer);
                updated.modules
            }
            Action::Sync => {
                cx.repo.sync_submodules(&paths, cx.cancel)?;
                cx.repo.submodules(cx.cancel)?
            }
        };
        if modules.is_empty() {
            writer.say("there are no submodules");
        }
        modules.retain(|module| paths.is_empty() || paths.iter().any(|path| path.covers(&module.path)));
        writer.list(
            &modules,
            |module, row| {
                row.letter(module.sign).field(Field::Name, "id", &module.id).put(" ").field(Field::Path, "path", &module.path);
                row.put(if module.is_mapped { "" } else { " (no entry in .gitmodules)" })
            },
            "`git ls-files --stage -z`",
            |rest| format!("{} shown; name others with `paths`, or see `git submodule status`", modules.len() - rest),
        );
        Ok(writer.finish())
    }
}

/// Notes submodules that were skipped, or not updated as configured.
fn note_exceptions(updated: &Updated, writer: &mut Writer) {
    let named = |path: &RelPath| word(Field::Path, path.as_bytes(), "`git ls-files --stage -z`");
    for path in updated.skipped.iter().take(MAX_NOTED) {
        writer.note(format!("{} is skipped: its setting `update` is none", named(path)));
    }
    for path in updated.unmapped.iter().take(MAX_NOTED) {
        writer.note(format!("{} is skipped: it has no entry in .gitmodules, so there is no URL", named(path)));
    }
    for (path, way) in updated.others.iter().take(MAX_NOTED) {
        let way = word(Field::Value, way, "`git config --get-regexp submodule`");
        writer.note(format!("{} is checked out at its recorded commit, although its setting `update` is {way}", named(path)));
    }
}
