//! `git_branch`

use crate::{
    error::Error,
    output::{Cursor, Field, Reply, Row, word},
    tool::{Context, Effect, Entry, Tool, Toolset, choices},
};
use git::{Branch, BranchKind, BranchQuery, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const TOOL: Entry = Entry::of::<BranchTool>().also_in(&[Toolset::Reference]);

struct BranchTool;

/// Maximum number of branches read per call, whatever its budget.
const PAGE: usize = 20_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    branch_type: Kind,
    /// Has this commit.
    contains: Option<String>,
    /// Lacks this commit.
    not_contains: Option<String>,
    cursor: Option<String>,
}

choices!(Kind for BranchKind: Local, Remote, All);

impl Tool for BranchTool {
    type Args = Args;
    const NAME: &'static str = "git_branch";
    const ABOUT: &'static str = "Lists branches with commit, upstream and subject; `*` is the current one. To switch: git_checkout.";
    const EFFECT: Effect = Effect::Read;
    const OUTPUT: Option<fn() -> Value> = Some(output);

    fn is_repeatable(_args: &Args) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let first = usize::try_from(Cursor::position(args.cursor.as_deref())?.item).unwrap_or(usize::MAX);
        let query = BranchQuery {
            kind: args.branch_type.into(),
            // Clients of the reference server send an empty string for "any".
            contains: args.contains.filter(|rev| !rev.is_empty()).map(Rev::new).transpose()?,
            not_contains: args.not_contains.filter(|rev| !rev.is_empty()).map(Rev::new).transpose()?,
            skip: first,
            take: PAGE,
        };
        let (found, _) = cx.repo.branches(&query, cx.cancel)?;
        // A page continues the previous one only if no branch has moved since.
        Cursor::decode(args.cursor.as_deref(), found.mark)?;
        let mut writer = cx.writer();
        let rows = writer.rows(&found.shown, show, |branch, what| match what {
            "subject" => cx.echo.other("git_show", &[("revision", json!(branch.id.to_string()))]),
            "upstream" => "`git for-each-ref --format='%(upstream:short)'`".to_owned(),
            _ => "`git for-each-ref --format='%(refname:short)'`".to_owned(),
        });
        let next = first.saturating_add(rows);
        let next = (next < found.total).then(|| Cursor { item: next as u64, offset: 0 }.encode(found.mark));
        if let Some(cursor) = &next {
            let call = cx.echo.again(&[("cursor", json!(cursor))]);
            writer.note(format!("{rows} of {} branches shown. Next: {call}", found.total));
        }
        for line in &found.broken {
            writer.note(format!("git says: {}", word(Field::Ref, line, "`git for-each-ref`")));
        }
        if found.total == 0 {
            writer.say("no branches match");
        }
        let mut listing = json!({"branches": writer.take_values()});
        if let Some(next) = next {
            listing["next_cursor"] = json!(next);
        }
        Ok(Reply { structured: Some(listing), ..writer.finish() })
    }
}

fn show<'r>(branch: &Branch, row: &'r mut Row) -> &'r mut Row {
    let (name, subject) = (row.show(Field::Ref, "name", &branch.name), row.show(Field::Subject, "subject", &branch.subject));
    row.put(if branch.current { "* " } else { "  " }).part(&name).put(" ").field(Field::Name, "short", &branch.short);
    if let Some(upstream) = &branch.upstream {
        let upstream = row.show(Field::Ref, "upstream", upstream);
        row.put(" [").part(&upstream).put("]").set("upstream", &upstream);
    }
    match &branch.broken {
        Some(why) => {
            let why = row.show(Field::Value, "broken", why);
            row.put(" is broken: ").part(&why).set("broken", &why);
        }
        None => {
            row.put(" ").part(&subject);
        }
    }
    row.set("name", &name).set_flag("current", branch.current).set_id("id", branch.id).set("subject", &subject)
}

fn output() -> Value {
    json!({
        "type": "object",
        "properties": {
            "branches": {"type": "array", "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "current": {"type": "boolean"}, "id": {"type": "string"}, "subject": {"type": "string"}, "upstream": {"type": "string"}, "broken": {"type": "string"}, "cut": {"type": "object"}},
                "required": ["name", "current", "id", "subject"],
            }},
            "next_cursor": {"type": "string"},
        },
        "required": ["branches"],
    })
}
