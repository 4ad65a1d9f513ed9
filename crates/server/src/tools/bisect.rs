//! `git_bisect`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, word},
    tool::{Context, Effect, Entry, Tool, Toolset, actions},
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
        let rev = args.revision.map(Rev::new).transpose()?;
        let mark = |verdict| cx.repo.bisect_mark(verdict, rev.as_ref(), cx.cancel);
        let search = match args.action {
            Action::Status => cx.repo.search(cx.cancel)?,
            Action::Good => mark(Verdict::Good)?,
            Action::Bad => mark(Verdict::Bad)?,
            Action::Skip => mark(Verdict::Skip)?,
            Action::Start => {
                let good: Vec<Rev> = args.good.into_iter().map(Rev::new).collect::<Result<_, _>>()?;
                if good.is_empty() {
                    return Err(Error::new(Kind::BadInput, "`good` is empty").hint("Name a commit without the bug."));
                }
                let bad = args.bad.map_or_else(|| Ok(Rev::head()), Rev::new)?;
                cx.repo.bisect_start(&bad, &good, cx.cancel)?
            }
            Action::Reset => {
                cx.repo.bisect_reset(cx.cancel)?;
                let mut writer = cx.writer();
                writer.say("the search has ended; the original checkout is restored");
                return Ok(writer.finish());
            }
        };
        let mut writer = cx.writer();
        let end = cx.echo.other("git_bisect", &[("action", json!("reset"))]);
        let terms = cx.repo.bisect_terms()?;
        let [good_word, bad_word] = [&terms.good, &terms.bad].map(|term| word(Field::Name, term, "`git bisect terms`"));
        if terms != Terms::default() {
            writer.say(&format!("this search uses {good_word} for `good` and {bad_word} for `bad`"));
        }
        match search {
            Search::Waiting => writer.say(&format!("waiting for a {bad_word} or a {good_word} commit")),
            Search::At { next, left, steps } => {
                writer.say(&format!("{next} is checked out: {left} candidate commits left, about {steps} more tests"));
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
        Ok(writer.finish())
    }
}
