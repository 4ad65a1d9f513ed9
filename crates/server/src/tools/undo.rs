//! `git_undo`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Scope, Tool},
    tools::change,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Undo>();

struct Undo;

/// Maximum number of references listed.
const MAX_MOVED: usize = 20;
/// The tool that shows the rest.
const HISTORY: &str = "git_reflog";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    id: Option<String>,
}

impl Tool for Undo {
    type Args = Args;
    const NAME: &'static str = "git_undo";
    const ABOUT: &'static str = "Undoes the last change made here. Without `id`, previews it; with `id`, undoes it.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &Args) -> bool {
        args.id.is_none()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let Some(past) = cx.last_change()? else {
            return Err(Error::new(Kind::NotFound, "no change of this worktree is recorded that can be undone")
                .hint("git_log shows commits; git_reset moves the branch."));
        };
        let owner = past.by.as_deref().unwrap_or("local");
        let is_own = owner == cx.principal;
        let mut writer = cx.writer();
        let Some(id) = args.id else {
            cx.repo.can_undo(&past.change, cx.cancel)?;
            let (before, after) = (past.change.before.commit, past.change.after.commit);
            let short = |commit: Option<git::ObjectId>| commit.map_or_else(|| "no commit".to_owned(), |id| cx.repo.abbreviate(id));
            let moved = if before == after {
                "HEAD did not move".to_owned()
            } else {
                format!("HEAD moved from {} to {}", short(before), short(after))
            };
            writer.say(&format!(
                "the last change is {}, {} ago: {moved}",
                word(Field::Name, &past.tool, HISTORY),
                counted(past.age.as_secs(), "second")
            ));
            if !is_own {
                writer.say(&format!("it was made by {}, not by you", word(Field::Name, owner, HISTORY)));
            }
            for (at, reference) in past.change.moved.iter().enumerate() {
                if at == MAX_MOVED {
                    writer.say(&format!("and {} moved", counted(past.change.moved.len() - at, "more reference")));
                    break;
                }
                let name = word(Field::Ref, &reference.name, HISTORY);
                writer.say(&format!("{name} moved from {} to {}", short(reference.before), short(reference.after)));
            }
            if !past.beside.is_empty() {
                let named: Vec<String> = past.beside.iter().take(MAX_MOVED).map(|name| word(Field::Ref, name, HISTORY)).collect();
                writer.say(&format!("not restored, as they moved independently: {}", named.join(", ")));
            }
            writer.note(format!("nothing is undone yet. To undo it: {}", cx.echo.other("git_undo", &[("id", json!(past.id))])));
            return Ok(writer.finish());
        };
        if id != past.id {
            return Err(Error::new(Kind::Refused, "that is no longer the last change")
                .hint(format!("Preview it first: {}", cx.echo.other("git_undo", &[]))));
        }
        if !is_own && !cx.confirmed {
            return Err(Error::new(
                Kind::Refused,
                format!("the last change was made by {}, not by you", word(Field::Name, owner, HISTORY)),
            )
            .asks());
        }
        let record = cx.record.ok_or_else(|| Error::new(Kind::Internal, "a change without a record"))?;
        let done = cx.repo.undo(&past.change, cx.cancel)?;
        record.undone(&past.id).map_err(|err| Error::new(Kind::Internal, format!("undone, but not recorded as undone: {err}")))?;
        writer.say(&format!("{} is undone: {}", word(Field::Name, &past.tool, HISTORY), word(Field::Value, done.join("; "), HISTORY)));
        change::state(cx, &mut writer)?;
        note_absent_submodules(cx, &past.change.paths, &mut writer)?;
        Ok(writer.finish())
    }
}

/// Notes how to check out submodules of which only the index entries are restored.
fn note_absent_submodules(cx: &Context<'_>, paths: &[Vec<u8>], writer: &mut Writer) -> Result<(), Error> {
    let names: Vec<String> = cx.repo.absent_submodules_at(paths, cx.cancel)?.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        let update = cx.echo.other("git_submodule", &[("action", json!("update")), ("paths", json!(names))]);
        writer.note(format!("only the index entries of submodules are restored. For their files: {update}"));
    }
    Ok(())
}
