//! `git_branch`

use crate::{
    error::Error,
    output::{Cursor, Reply, fingerprint, inline, whole_chars},
    tool::{Context, Effect, Entry, Tool},
};
use git::{Branch, BranchKind, BranchQuery, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const TOOL: Entry = Entry::of::<BranchTool>();

struct BranchTool;

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

#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Local,
    Remote,
    All,
}

impl Tool for BranchTool {
    type Args = Args;
    const NAME: &'static str = "git_branch";
    const ABOUT: &'static str = "Lists branches with commit, upstream and subject; `*` is the current one. To switch git_checkout.";
    const EFFECT: Effect = Effect::Read;
    const OUTPUT: Option<fn() -> Value> = Some(output);

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let query = BranchQuery {
            kind: match args.branch_type {
                Kind::Local => BranchKind::Local,
                Kind::Remote => BranchKind::Remote,
                Kind::All => BranchKind::All,
            },
            // The reference server's clients send an empty text for "any".
            contains: args.contains.filter(|rev| !rev.is_empty()).map(Rev::new).transpose()?,
            not_contains: args.not_contains.filter(|rev| !rev.is_empty()).map(Rev::new).transpose()?,
        };
        let (branches, _) = cx.repo.branches(&query, cx.cancel)?;
        let shape: Vec<_> = branches.iter().map(|branch| (&branch.name, branch.id.to_string())).collect();
        let mark = fingerprint(&shape);
        let start = Cursor::decode(args.cursor.as_deref(), mark)?;
        let mut writer = cx.writer();
        let mut rows = Vec::new();
        let mut next = None;
        let first = usize::try_from(start.item).unwrap_or(usize::MAX);
        for (at, branch) in branches.iter().enumerate().skip(first) {
            let (line, row) = (line(branch), row(branch));
            let size = row.to_string().len() + 1;
            if !rows.is_empty() && size + line.len() > writer.left() {
                let cursor = Cursor { item: at as u64, offset: 0 }.encode(mark);
                let shown = at - first;
                writer.note(format!("{shown} of {} branches shown. Next: {}", branches.len(), cx.echo.again(&[("cursor", json!(cursor))])));
                next = Some(cursor);
                break;
            }
            writer.fit_prepared(&line);
            writer.spend(size);
            rows.push(row);
        }
        if branches.is_empty() {
            writer.say("no branches match");
        }
        let mut listing = json!({"branches": rows});
        if let Some(next) = next {
            listing["next_cursor"] = json!(next);
        }
        Ok(Reply { structured: Some(listing), ..writer.finish() })
    }
}

fn subject(branch: &Branch) -> String {
    inline(&branch.subject[..whole_chars(&branch.subject, 200)])
}

fn line(branch: &Branch) -> String {
    let sign = if branch.current { "* " } else { "  " };
    let upstream = branch.upstream.as_ref().map(|name| format!(" [{}]", inline(name))).unwrap_or_default();
    format!("{sign}{} {}{upstream} {}\n", inline(&branch.name), branch.short, subject(branch))
}

fn row(branch: &Branch) -> Value {
    let mut row = json!({"name": inline(&branch.name), "current": branch.current, "id": branch.id.to_string(), "subject": subject(branch)});
    if let Some(upstream) = &branch.upstream {
        row["upstream"] = json!(inline(upstream));
    }
    row
}

fn output() -> Value {
    json!({
        "type": "object",
        "properties": {
            "branches": {"type": "array", "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "current": {"type": "boolean"}, "id": {"type": "string"}, "subject": {"type": "string"}, "upstream": {"type": "string"}},
                "required": ["name", "current", "id", "subject"],
            }},
            "next_cursor": {"type": "string"},
        },
        "required": ["branches"],
    })
}
