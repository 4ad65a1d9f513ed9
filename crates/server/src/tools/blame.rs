//! `git_blame`

use crate::{
    error::Error,
    output::{Field, Reply, Row},
    tool::{Context, Effect, Entry, Tool},
};
use git::{BlameQuery, BlamedLine, ObjectId, Origin, RelPath, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

pub(super) const TOOL: Entry = Entry::of::<Blame>().takes_long();

struct Blame;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    path: String,
    /// Default: working tree.
    rev: Option<String>,
    #[schemars(range(min = 1))]
    start_line: Option<u64>,
    #[schemars(range(min = 1))]
    end_line: Option<u64>,
}

impl Tool for Blame {
    type Args = Args;
    const NAME: &'static str = "git_blame";
    const ABOUT: &'static str = "Shows which commit last changed each line of a file. Ask for the lines you need: long histories take \
        seconds.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &Args) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let query = BlameQuery {
            path: RelPath::new(&args.path, cx.repo.location().worktree.as_deref())?,
            rev: args.rev.as_deref().map(Rev::new).transpose()?,
            start_line: args.start_line,
            end_line: args.end_line,
        };
        let mut writer = cx.writer();
        let mut current = String::new();
        let mut stopped = None;
        let mut any = false;
        let (boundary, mut is_cut_off) = (cx.repo.boundary()?, false);
        cx.repo.blame(&query, cx.cancel, &mut |line| {
            any = true;
            let before = writer.checkpoint();
            let whole = |_: &str| cx.echo.other("git_show", &[("revision", json!(line.origin.id))]);
            let headed = line.origin.id == current || writer.heading(&|row| heading(line.origin, row), &whole);
            let number = format!("{}\t", line.number);
            // Only the start of a longer line was read.
            let end: &[u8] = if line.text.len() == line.len { b"\n" } else { b"" };
            let text = [number.as_bytes(), line.text, end].concat();
            if !(headed && writer.line(&text, number.len() + line.len + 1, &mut |_| format!(": {}", rest(cx, &args, &line)))) {
                writer.rewind(before);
                stopped = Some(line.number);
                return ControlFlow::Break(());
            }
            is_cut_off |= !boundary.is_empty() && ObjectId::from_hex(line.origin.id.as_bytes()).is_ok_and(|id| boundary.contains(&id));
            current.clone_from(&line.origin.id);
            ControlFlow::Continue(())
        })?;
        if let Some(line) = stopped {
            writer.note(format!("more lines follow. Next: {}", cx.echo.again(&[("start_line", json!(line))])));
        } else if !any {
            writer.say("the file is empty");
        }
        if is_cut_off {
            let ends: Vec<String> = boundary.iter().take(3).map(|end| end.to_hex_with_len(8).to_string()).collect();
            cx.note_shallow(&mut writer, &format!("lines of its boundary commits ({}) may be older", ends.join(", ")));
        }
        Ok(writer.finish())
    }
}

fn heading<'r>(origin: &Origin, row: &'r mut Row) -> &'r mut Row {
    if origin.id.bytes().all(|byte| byte == b'0') {
        return row.put("00000000 not committed yet");
    }
    row.field(Field::Name, "id", &origin.id[..8]).put(" ").field(Field::Name, "day", &origin.day).put(" ");
    row.field(Field::Name, "author", &origin.author).put(": ").field(Field::Subject, "subject", &origin.summary)
}

fn rest(cx: &Context<'_>, args: &Args, line: &BlamedLine<'_>) -> String {
    let rev = args.rev.as_deref().unwrap_or("");
    let args = [("revision", json!(format!("{rev}:{}", args.path))), ("start_line", json!(line.number)), ("end_line", json!(line.number))];
    cx.echo.other("git_show", &args)
}
