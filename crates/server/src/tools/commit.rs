//! `git_commit`

use crate::{
    error::{Error, Kind},
    output::{self, Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::{
        change,
        hooks::{self, Before},
    },
};
use git::{CommitRequest, Committed, DiffQuery, Keep, LogQuery, Rev, Sides};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

pub(super) const TOOL: Entry = Entry::of::<Commit>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct Commit;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one of git's own switches")]
struct Args {
    /// Subject, blank line, what and why.
    message: Option<String>,
    /// Replace the last commit.
    #[serde(default)]
    amend: bool,
    /// `Name <address>`.
    author: Option<String>,
    #[serde(default)]
    sign_off: bool,
    #[serde(default)]
    allow_empty: bool,
    /// Commit these files instead of the index.
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    #[schemars(skip)]
    gpg_sign: bool,
    #[schemars(skip)]
    gpg_key_id: Option<String>,
}

impl Tool for Commit {
    type Args = Args;
    const NAME: &'static str = "git_commit";
    const ABOUT: &'static str = "Records what is staged as a commit. Stage with git_add first. Hooks run.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let message = change::message(args.message)?;
        if message.is_none() && !args.amend {
            return Err(Error::new(Kind::BadInput, "`message` is missing").hint("Say what changes and why."));
        }
        cx.repo.worktree()?;
        let request = CommitRequest {
            message,
            amend: args.amend,
            author: args.author,
            sign_off: args.sign_off,
            allow_empty: args.allow_empty,
            paths: cx.paths(&args.paths)?,
            confirmed: cx.confirmed,
            sign: (args.gpg_sign || args.gpg_key_id.is_some()).then_some(args.gpg_key_id.unwrap_or_default()),
        };
        if args.amend
            && let Some(head) = cx.repo.head(cx.cancel)?
        {
            match cx.repo.resolve_commit(&Rev::new(format!("{head}~1"))?, cx.cancel) {
                Ok(parent) => cx.permit_rewrite(parent)?,
                Err(git::Error::UnknownRevision(_)) => {}
                Err(err) => return Err(err.into()),
            }
        }
        let (operation, can_be_undone) = (cx.repo.in_progress(), cx.has_known_beginning());
        let before = Before::of(cx)?;
        let made = cx.repo.commit(&request, cx.cancel).map_err(|err| before.stopped(cx, err))?;
        cx.settled();
        let mut writer = cx.writer();
        writer.say(&format!("committed {}", cx.repo.abbreviate(made.id)));
        if let Err(err) = summarize(cx, &made, &mut writer) {
            // The commit exists even if describing it fails.
            writer.note(format!("the commit could not be described: {}", output::message(&err.to_string())));
        }
        hooks::quote_output(&made.output, &mut writer);
        let (own, on_amend) = (["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit"], ["post-rewrite"]);
        let names = [&own[..], if args.amend { &on_amend } else { &[] }, &["reference-transaction"]].concat();
        hooks::note_idle(cx, &names, &mut writer);
        hooks::note_unsigned(cx, "commit", &mut writer);
        if let Some(operation) = operation.filter(|_| cx.repo.in_progress().is_none()) {
            if can_be_undone {
                writer.note(format!("to undo the {operation}: {}", cx.echo.other("git_undo", &[])));
            }
        } else if let Some(before) = made.before {
            let undo = cx.echo.other("git_reset", &[("mode", json!("soft")), ("target", json!(before.to_string()))]);
            writer.note(format!("to undo the commit but keep its changes staged: {undo}"));
        }
        Ok(writer.finish())
    }
}

/// Reports the commit's content and the branch state.
fn summarize(cx: &Context<'_>, made: &Committed, writer: &mut Writer) -> Result<(), Error> {
    let query = DiffQuery {
        sides: Sides::Trees(made.parent, made.id),
        paths: Vec::new(),
        exclude: Vec::new(),
        context: Some(0),
        keep: Keep { per_file: 0, total: 0, skip: 0, files: 10_000 },
    };
    let (patch, _) = cx.repo.diff(&query, cx.cancel)?;
    let (added, removed) = patch.files.iter().fold((0, 0), |(a, r), file| (a + file.added, r + file.removed));
    writer.say(&format!("{}: {} changed, +{added} -{removed}", subject(cx, &made.id)?, counted(patch.files.len(), "file")));
    change::state(cx, writer)
}

/// The recorded subject, which a hook may have changed.
pub(super) fn subject(cx: &Context<'_>, id: &git::ObjectId) -> Result<String, Error> {
    let query = LogQuery { rev: Some(Rev::new(id.to_string())?), max_count: 1, ..LogQuery::default() };
    let mut subject = String::new();
    cx.repo.log(&query, cx.cancel, &mut |commit| {
        subject = word(Field::Subject, &commit.subject, "git_show");
        ControlFlow::Break(())
    })?;
    Ok(subject)
}
