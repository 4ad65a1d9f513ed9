//! `git_grep`

use crate::{
    error::{Error, Kind},
    output::{Cursor, Echo, Reply, counted, fingerprint},
    tool::{Context, Effect, Entry, Tool},
};
use git::{GrepQuery, RelPath, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

pub(super) const TOOL: Entry = Entry::of::<Grep>();

struct Grep;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Regular expression.
    pattern: String,
    /// Default: working tree.
    rev: Option<String>,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    context_lines: u32,
    cursor: Option<String>,
}

impl Tool for Grep {
    type Args = Args;
    const NAME: &'static str = "git_grep";
    const ABOUT: &'static str = "Searches tracked text files in the working tree or a revision. For history: git_log.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &Args) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let worktree = cx.repo.location().worktree.clone();
        let rev = args.rev.as_deref().map(Rev::new).transpose()?;
        let tree = rev.as_ref().map(|rev| cx.repo.resolve(rev, cx.cancel)).transpose()?;
        let query = GrepQuery {
            pattern: args.pattern.clone(),
            rev,
            paths: args.paths.iter().map(|path| RelPath::new(path, worktree.as_deref())).collect::<Result<_, _>>()?,
            ignore_case: args.ignore_case,
            context: args.context_lines as usize,
        };
        let mark = fingerprint(&(format!("{query:?}"), tree.map(|id| id.to_string())));
        let start = Cursor::decode(args.cursor.as_deref(), mark)?;
        let (mut writer, echo) = (cx.writer(), &cx.echo);
        // Lines of earlier pages are hashed, so that changes to them are detected.
        let (mut seen, mut full, mut passed, mut shown) = (0_u64, false, 0, None);
        let (summary, _) = cx.repo.grep(&query, cx.cancel, &mut |text| {
            for line in text.split_inclusive(|&byte| byte == b'\n') {
                if seen < start.item {
                    seen += 1;
                    passed = fingerprint(&(passed, line));
                    continue;
                }
                if seen == start.item && passed != start.offset {
                    return ControlFlow::Break(());
                }
                if !writer.line(line, line.len(), &mut |_| rest(echo, &args, line)) {
                    full = true;
                    return ControlFlow::Break(());
                }
                seen += 1;
                shown = fingerprint(&(shown.unwrap_or(passed), line)).into();
            }
            ControlFlow::Continue(())
        })?;
        if seen < start.item || passed != start.offset {
            return Err(Error::new(Kind::Stale, "the cursor is stale: the files have changed since")
                .hint("Repeat the call without `cursor` to start over."));
        }
        if full {
            let next = Cursor { item: seen, offset: shown.unwrap_or(passed) }.encode(mark);
            writer.note(format!("more lines match. Next: {}", cx.echo.again(&[("cursor", json!(next))])));
        } else if seen == 0 {
            writer.say("no matches");
        }
        if summary.too_large > 0 {
            let were = if summary.too_large == 1 { "was" } else { "were" };
            writer.note(format!("{} over 8 MiB {were} not searched", counted(summary.too_large, "file")));
        }
        Ok(writer.finish())
    }
}

/// The call that shows a long matching line in full.
fn rest(echo: &Echo, args: &Args, line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(5000)]);
    let numbered = text.match_indices([':', '-']).find_map(|(at, separator)| {
        let rest = &text[at + 1..];
        let digits =
            rest.split(separator).next().filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some((text[..at].to_owned(), digits.parse::<u64>().ok()?))
    });
    let Some((path, number)) = numbered else { return String::new() };
    let rev = args.rev.as_deref().unwrap_or("");
    let call = [("revision", json!(format!("{rev}:{path}"))), ("start_line", json!(number)), ("end_line", json!(number))];
    let staged = if args.rev.is_none() { " (staged version)" } else { "" };
    format!("{staged}: {}", echo.other("git_show", &call))
}
