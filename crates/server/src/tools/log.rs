//! `git_log`

use crate::{
    error::{Error, Kind},
    output::{Cursor, Field, Reply, Row, fingerprint},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::{Commit, LogQuery, RelPath, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;

pub(super) const TOOL: Entry = Entry::of::<Log>().also_in(&[Toolset::Reference, Toolset::Legacy]);

struct Log;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default = "ten")]
    #[schemars(range(min = 1))]
    max_count: u32,
    /// Revision or range `main..feature`.
    rev: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
    /// Regex.
    author: Option<String>,
    /// Regex in messages.
    grep: Option<String>,
    /// After `2026-01-31`, `2 weeks ago`.
    start_timestamp: Option<String>,
    /// Before.
    end_timestamp: Option<String>,
    /// Ignored: the listing always has this form.
    #[serde(default, rename = "oneline")]
    #[schemars(skip)]
    _oneline: bool,
    #[serde(default)]
    #[schemars(skip)]
    graph: bool,
    #[schemars(skip)]
    format: Option<String>,
    /// Adds the ids of the parents to `structuredContent`, for programs.
    #[serde(default)]
    #[schemars(skip)]
    parents: bool,
    cursor: Option<String>,
}

fn ten() -> u32 {
    10
}

impl Tool for Log {
    type Args = Args;
    const NAME: &'static str = "git_log";
    const ABOUT: &'static str = "Lists commits, newest first: id, date, author, subject. For a patch: git_show; for a line's author: \
        git_blame.";
    const EFFECT: Effect = Effect::Read;
    const OUTPUT: Option<fn() -> Value> = Some(output);

    fn is_repeatable(args: &Args) -> bool {
        // Dates such as `2 weeks ago` move on.
        args.start_timestamp.is_none() && args.end_timestamp.is_none()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        if args.graph || args.format.is_some() {
            return Err(Error::new(Kind::BadInput, "`graph` and `format` are not supported: the output format is fixed")
                .hint("git_show shows one commit in full; `structuredContent` has the fields of each."));
        }
        let worktree = cx.repo.location().worktree.clone();
        let path = |text: &String| RelPath::new(text, worktree.as_deref());
        let mut query = LogQuery {
            rev: args.rev.map(Rev::new).transpose()?,
            paths: args.paths.iter().map(path).collect::<Result<_, _>>()?,
            author: args.author,
            grep: args.grep,
            since: args.start_timestamp,
            until: args.end_timestamp,
            ..LogQuery::default()
        };
        if query.rev.is_none() && cx.repo.head(cx.cancel)?.is_none() {
            let mut writer = cx.writer();
            writer.say("no commits yet");
            return Ok(Reply { structured: Some(json!({"commits": []})), ..writer.finish() });
        }
        let head = Rev::head();
        let rev = query.rev.as_ref().unwrap_or(&head);
        let ends = rev.range()?.map_or_else(|| vec![rev.clone()], |range| vec![range.from, range.to]);
        let ends: Vec<_> = ends.iter().map(|rev| cx.repo.resolve_commit(rev, cx.cancel)).collect::<Result<_, _>>()?;
        let mark = fingerprint(&(format!("{query:?}"), format!("{ends:?}")));
        let start = Cursor::decode(args.cursor.as_deref(), mark)?;
        let total = args.max_count as usize;
        query.skip = usize::try_from(start.item).unwrap_or(usize::MAX);
        query.max_count = total.saturating_sub(query.skip);
        let mut writer = cx.writer();
        let mut full = false;
        let echo = &cx.echo;
        cx.repo.log(&query, cx.cancel, &mut |commit| {
            let whole = |_: &str| echo.other("git_show", &[("revision", json!(commit.id.to_string()))]);
            full = !writer.row(&|row| show(&commit, args.parents, row), &whole);
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let mut listing = json!({"commits": writer.take_values()});
        let shown = listing["commits"].as_array().map_or(0, Vec::len);
        if full {
            let next = Cursor { item: start.item + shown as u64, offset: 0 }.encode(mark);
            listing["next_cursor"] = json!(next);
            writer.note(format!("{shown} of up to {total} commits shown. Next: {}", cx.echo.again(&[("cursor", json!(next))])));
        } else if shown == 0 {
            writer.say("no commits match");
            if query.author.is_some() && cx.repo.maps_authors()? {
                writer.note("authors are searched as they are listed, which is as the mailmap maps them");
            }
        }
        if !full && shown < query.max_count && cx.repo.is_cut_off(query.rev.as_ref().unwrap_or(&head), cx.cancel)? {
            cx.note_shallow(&mut writer, "earlier commits are missing");
        }
        Ok(Reply { structured: Some(listing), ..writer.finish() })
    }
}

fn show<'r>(commit: &Commit, has_parents: bool, row: &'r mut Row) -> &'r mut Row {
    let (author, email) = (row.show(Field::Name, "author", &commit.author), row.show(Field::Name, "email", &commit.email));
    let (date, subject) = (row.show(Field::Name, "date", &commit.date), row.show(Field::Subject, "subject", &commit.subject));
    // A year may have more than four digits.
    let day = commit.date.split('T').next().unwrap_or_default();
    row.field(Field::Name, "short", &commit.short).put(" ").field(Field::Name, "day", day);
    row.put(" ").part(&author).put(": ").part(&subject);
    if has_parents {
        row.set_ids("parents", &commit.parents);
    }
    row.set_id("id", commit.id).set("date", &date).set("author", &author).set("email", &email).set("subject", &subject)
}

fn output() -> Value {
    json!({
        "type": "object",
        "properties": {
            "commits": {"type": "array", "items": {
                "type": "object",
                "properties": {"id": {"type": "string"}, "date": {"type": "string"}, "author": {"type": "string"}, "email": {"type": "string"}, "subject": {"type": "string"}, "cut": {"type": "object"}},
                "required": ["id", "date", "author", "email", "subject"],
            }},
            "next_cursor": {"type": "string"},
        },
        "required": ["commits"],
    })
}
