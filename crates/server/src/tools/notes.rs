//! `git_notes`

use crate::{
    error::Error,
    output::{Reply, counted},
    tool::{Context, Effect, Entry, Scope, Tool, Toolset, actions, needed},
    tools::change,
};
use git::{Reach, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Notes>().listed_in(Toolset::Notes);

struct Notes;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `add` replaces an existing note.
    #[serde(default)]
    action: Action,
    /// Annotated object. Default HEAD.
    revision: Option<String>,
    /// For `add` and `append`.
    message: Option<String>,
}

actions!(Show, List, Add, Append, Remove; reads Show, List);

impl Tool for Notes {
    type Args = Args;
    const NAME: &'static str = "git_notes";
    const ABOUT: &'static str = "Shows, lists, writes and removes notes on commits; commits do not change.";
    const EFFECT: Effect = Effect::Destroy;
    const SCOPE: Scope = Scope::Shared;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let rev = args.revision.map_or_else(|| Ok(Rev::head()), Rev::new)?;
        let mut writer = cx.writer();
        cx.reaches(Reach::Refs);
        cx.moves_refs()?;
        match args.action {
            Action::List => {
                let noted = cx.repo.noted(cx.cancel)?;
                let have = if noted.len() == 1 { "has" } else { "have" };
                writer.say(&format!("{} {have} a note", counted(noted.len(), "object")));
                writer.list(noted, |id, row| row.id(id), "", |rest| format!("{rest} more in `git notes list`"));
            }
            Action::Show => match cx.repo.note(&rev, cx.cancel)? {
                Some(note) => {
                    let used = writer.pieces(&note.text) as u64;
                    if used < note.size {
                        let range = json!(format!("{used}-{}", note.size));
                        let next = cx.echo.other("git_show", &[("revision", json!(note.id.to_string())), ("byte_range", range)]);
                        writer.note(format!("{}. Next: {next}", counted(note.size - used, "more byte")));
                    }
                }
                None => writer.say("there is no note on it"),
            },
            Action::Add | Action::Append => {
                let message = needed(change::message(args.message)?, "message")?;
                cx.repo.set_note(&rev, &message, args.action == Action::Append, cx.cancel)?;
                writer.say("the note is written");
            }
            Action::Remove => {
                writer.say(if cx.repo.remove_note(&rev, cx.cancel)? { "the note is removed" } else { "there was no note on it" });
            }
        }
        Ok(writer.finish())
    }
}
