//! `git_reflog`

use crate::{
    error::Error,
    output::{Field, Reply, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::Rev;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<Reflog>().listed_in(Toolset::History);

struct Reflog;

/// Maximum number of entries per call.
const MAX: usize = 1000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// A branch or other reference. Default HEAD.
    name: Option<String>,
    /// Maximum entries.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1))]
    max_count: usize,
    /// Entries to skip first.
    #[serde(default)]
    skip: usize,
}

fn twenty() -> usize {
    20
}

impl Tool for Reflog {
    type Args = Args;
    const NAME: &'static str = "git_reflog";
    const ABOUT: &'static str = "Lists where HEAD or a branch has been, newest first. Finds commits that are no longer on any branch.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let name = args.name.map(Rev::new).transpose()?;
        let wanted = args.max_count.clamp(1, MAX);
        let entries = cx.repo.reflog(name.as_ref(), args.skip, wanted, cx.cancel)?;
        let mut writer = cx.writer();
        let of = name.as_ref().map_or_else(|| "HEAD".to_owned(), |name| word(Field::Ref, name.as_str(), "`name`"));
        if entries.is_empty() {
            writer.say("nothing is recorded");
        }
        let shown = writer.rows(
            entries.iter().enumerate(),
            |(_, entry), row| {
                row.field(Field::Ref, "selector", &entry.selector).put(" ").field(Field::Name, "id", cx.repo.abbreviate(entry.id));
                row.put(" ").field(Field::Name, "date", entry.date.get(..16).unwrap_or(&entry.date)).put(" ");
                let kind = if holds_a_subject(&entry.reason) { Field::Subject } else { Field::Value };
                row.field(kind, "reason", &entry.reason)
            },
            |(at, _), _| format!("`git log --walk-reflogs --format=%gs --skip={} --max-count=1 {of}`", args.skip + at),
        );
        if shown < entries.len() {
            let next = cx.echo.again(&[("skip", json!(args.skip + shown)), ("max_count", json!(wanted - shown))]);
            writer.note(format!("{shown} of {wanted} entries shown. Next: {next}"));
        }
        Ok(writer.finish())
    }
}

/// Whether the reason contains a commit subject, which is content; other reasons may name a URL.
fn holds_a_subject(reason: &[u8]) -> bool {
    ["commit", "cherry-pick", "revert", "rebase", "am"].iter().any(|word| {
        let rest = reason.strip_prefix(word.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b": ") || rest.starts_with(b" ("))
    })
}
