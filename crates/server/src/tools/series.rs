//! Series of commits: `git_range_diff`, `git_shortlog`.

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::{Range, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

pub(super) const RANGE_DIFF: Entry = Entry::of::<RangeDiff>().listed_in(Toolset::History).takes_long();
pub(super) const SHORTLOG: Entry = Entry::of::<Shortlog>().listed_in(Toolset::History);

struct RangeDiff;
struct Shortlog;

/// Maximum bytes read of a comparison.
const MAX: usize = 4 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RangeDiffArgs {
    /// The old series, such as `main..feature@{1}`.
    old: String,
    /// The new series, such as `main..feature`.
    new: String,
    /// Only the commit mapping.
    #[serde(default)]
    brief: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ShortlogArgs {
    /// A revision or range. Default HEAD.
    rev: Option<String>,
    /// Only commits that touch these paths.
    #[serde(default)]
    paths: Vec<String>,
}

impl Tool for RangeDiff {
    type Args = RangeDiffArgs;
    const NAME: &'static str = "git_range_diff";
    const ABOUT: &'static str = "Compares two versions of a commit series, as before and after a rebase: which commit became which, and \
        how each patch changed.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: RangeDiffArgs) -> Result<Reply, Error> {
        let (old, new) = (range(&args.old)?, range(&args.new)?);
        let mut text = Vec::new();
        cx.repo.range_diff(&old, &new, !args.brief, cx.cancel, &mut |chunk| {
            text.extend_from_slice(chunk);
            if text.len() > MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let mut writer = cx.writer();
        if text.is_empty() {
            writer.say("both series are empty");
        }
        if cx.repo.is_cut_off(&Rev::new(args.old.as_str())?, cx.cancel)? || cx.repo.is_cut_off(&Rev::new(args.new.as_str())?, cx.cancel)? {
            cx.note_shallow(&mut writer, "a series reaches commits with missing parents, and may appear longer than it is");
        }
        if writer.pieces(&text) < text.len() || text.len() > MAX {
            let shorter = if args.brief { String::new() } else { format!("Shorter: {}; ", cx.echo.again(&[("brief", json!(true))])) };
            let [old, new] = [&args.old, &args.new].map(|range| word(Field::Ref, range, "the call"));
            writer.note(format!("the comparison is truncated. {shorter}whole: `git range-diff {old} {new}`"));
        }
        Ok(writer.finish())
    }
}

fn range(text: &str) -> Result<Range, Error> {
    let range = Rev::new(text)?.range()?.filter(|range| !range.symmetric);
    range.ok_or_else(|| {
        Error::new(Kind::BadInput, format!("`{text}` is not a range")).logged_as("not a range").hint("A series is written `BASE..TIP`.")
    })
}

impl Tool for Shortlog {
    type Args = ShortlogArgs;
    const NAME: &'static str = "git_shortlog";
    const ABOUT: &'static str = "Counts commits by author, most first.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: ShortlogArgs) -> Result<Reply, Error> {
        let rev = args.rev.map_or_else(|| Ok(Rev::head()), Rev::new)?;
        let authors = cx.repo.shortlog(&rev, &cx.paths(&args.paths)?, cx.cancel)?;
        let mut writer = cx.writer();
        if authors.is_empty() {
            writer.say("no commits");
        }
        if cx.repo.is_cut_off(&rev, cx.cancel)? {
            cx.note_shallow(&mut writer, "earlier commits are not counted");
        }
        writer.list(
            &authors,
            |(count, name), row| row.number(*count).put("\t").field(Field::Name, "author", name),
            &format!("`git shortlog --summary --numbered --email {}`", word(Field::Ref, rev.as_str(), "the call")),
            |rest| format!("{rest} more authors with fewer commits"),
        );
        Ok(writer.finish())
    }
}
