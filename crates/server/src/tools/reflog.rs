//! `git_reflog`

use crate::{
    error::Error,
    output::{Reply, inline},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::Rev;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Reflog>().listed_in(Toolset::History);

struct Reflog;

/// The most entries of one call.
const MAX: usize = 1000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// A branch or other reference. Default HEAD.
    name: Option<String>,
    /// The most entries to list.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    max_count: usize,
    /// Entries to leave out first.
    #[serde(default)]
    skip: usize,
}

fn twenty() -> usize {
    20
}

impl Tool for Reflog {
    type Args = Args;
    const NAME: &'static str = "git_reflog";
    const ABOUT: &'static str =
        "Lists where HEAD or a branch has been, the newest first. Commits that no branch has any more are found here.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let name = args.name.map(Rev::new).transpose()?;
        let wanted = args.max_count.clamp(1, MAX);
        let entries = cx.repo.reflog(name.as_ref(), args.skip, wanted, cx.cancel)?;
        let mut writer = cx.writer();
        if entries.is_empty() {
            writer.say("nothing is recorded");
        }
        for (at, entry) in entries.iter().enumerate() {
            let (id, day) = (cx.repo.abbreviate(entry.id), entry.date.get(..16).unwrap_or(&entry.date));
            let line = format!("{} {id} {day} {}\n", inline(&entry.selector), inline(&entry.reason));
            if !writer.fit_prepared(&line) {
                let next = cx.echo.again(&[("skip", json!(args.skip + at)), ("max_count", json!(wanted - at))]);
                writer.note(format!("{at} of {wanted} entries shown. Next: {next}"));
                break;
            }
        }
        Ok(writer.finish())
    }
}
