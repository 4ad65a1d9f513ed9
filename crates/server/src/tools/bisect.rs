//! `git_bisect`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Tool, Toolset, actions},
    tools::hooks::{self, Before},
};
use git::{Reach, Rev, Search, Terms, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Bisect>().listed_in(Toolset::Bisect);

struct Bisect;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// `good`, `bad` and `skip` mark `revision`; `reset` ends the search.
    #[serde(default)]
    action: Action,
    /// Commit to mark. Default HEAD.
    revision: Option<String>,
    /// For `start`: a commit with the bug. Default HEAD.
    bad: Option<String>,
    /// For `start`: commits without it.
    #[serde(default)]
    good: Vec<String>,
}

actions!(Status, Start, Good, Bad, Skip, Reset; reads Status);

impl Tool for Bisect {
    type Args = Args;
    const NAME: &'static str = "git_bisect";
    const ABOUT: &'static str =
        "Finds the commit that introduced a bug, by binary search: checks out commits, which you test and mark good or bad.";
    const EFFECT: Effect = Effect::Write;

    fn only_reads(args: &Args) -> bool {
        args.action.only_reads()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        cx.repo.worktree()?;
        cx.reaches(Reach::Worktree);
        let before = if args.action.only_reads() { None } else { Some(Before::of(cx)?) };
        let stopped = |err: git::Error| match &before {
            Some(before) => before.stopped(cx, err),
            None => err.into(),
        };
        let rev = args.revision.map(Rev::new).transpose()?;
        let mark = |verdict| cx.repo.bisect_mark(verdict, rev.as_ref(), cx.cancel).map_err(&stopped);
        let (search, failed) = match args.action {
            Action::Status => (cx.repo.search(cx.cancel)?, None),
            Action::Good => mark(Verdict::Good)?,
            Action::Bad => mark(Verdict::Bad)?,
            Action::Skip => mark(Verdict::Skip)?,
            Action::Start => {
                let good: Vec<Rev> = args.good.into_iter().map(Rev::new).collect::<Result<_, _>>()?;
                if good.is_empty() {
                    return Err(Error::new(Kind::BadInput, "`good` is empty").hint("Name a commit without the bug."));
                }
                let bad = args.bad.map_or_else(|| Ok(Rev::head()), Rev::new)?;
                let was = cx.repo.branch_name(cx.cancel)?;
                let started = cx.repo.bisect_start(&bad, &good, cx.cancel).map_err(&stopped);
                (started.map_err(|err| not_started(cx, err, was.as_deref()))?, None)
            }
            Action::Reset => {
                cx.repo.bisect_reset(cx.cancel).map_err(&stopped)?;
                let mut writer = cx.writer();
                writer.say("the search has ended; the original checkout is restored");
                return Ok(writer.finish());
            }
        };
        let mut writer = cx.writer();
        show(cx, search, &mut writer)?;
        hooks::after(failed.as_ref(), "the mark is recorded", &mut writer);
        Ok(writer.finish())
    }
}

/// The error of a search that did not start, with the way back if its first commit was checked out.
fn not_started(cx: &Context<'_>, err: Error, was: Option<&str>) -> Error {
    let is_left = was.is_some() && cx.repo.branch_name(cx.cancel).is_ok_and(|now| now.is_none());
    let (Some(was), true) = (was, is_left) else { return err };
    let mend = err.hint.clone().unwrap_or_default();
    err.hint(format!("{} checks the branch out again. {mend}", cx.echo.other("git_checkout", &[("branch_name", json!(was))])))
}

/// Shows the state of a search, and the next calls.
fn show(cx: &Context<'_>, search: Search, writer: &mut Writer) -> Result<(), Error> {
    let end = cx.echo.other("git_bisect", &[("action", json!("reset"))]);
    let terms = cx.repo.bisect_terms()?;
    let [good_word, bad_word] = [&terms.good, &terms.bad].map(|term| word(Field::Name, term, "`git bisect terms`"));
    if terms != Terms::default() {
        writer.say(&format!("this search uses {good_word} for `good` and {bad_word} for `bad`"));
    }
    match search {
        Search::Waiting => writer.say(&format!("waiting for a {bad_word} or a {good_word} commit")),
        Search::At { next, left, steps } => {
            let (left, steps) = (counted(left, "candidate commit"), counted(steps, "more test"));
            writer.say(&format!("{next} is checked out: {left} left, about {steps}"));
            let [good, bad] = ["good", "bad"].map(|verdict| cx.echo.other("git_bisect", &[("action", json!(verdict))]));
            writer.note(format!("test it, then: {good} or {bad}; `skip` if it cannot be tested"));
        }
        Search::Found(id) => {
            writer.say(&format!("{id} is the first {bad_word} commit"));
            writer.note(format!("to see it: {}", cx.echo.other("git_show", &[("revision", json!(id.to_string()))])));
            writer.note(format!("to return to the original checkout: {end}"));
        }
        Search::Skipped(ids) => {
            writer.say(&format!("only skipped commits are left; the first {bad_word} commit is one of:"));
            writer.list(ids, |id, row| row.id(id), "", |rest| format!("and {rest} more: see `git bisect log`"));
            writer.note(format!("to return to the original checkout: {end}"));
        }
    }
    Ok(())
}
