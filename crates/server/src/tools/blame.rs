//! `git_blame`

use crate::{
    error::Error,
    output::{Field, Reply, Row},
    tool::{Context, Effect, Entry, Tool},
};
use git::{BlameQuery, BlamedLine, Origin, RelPath, Rev};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

pub(super) const TOOL: Entry = Entry::of::<Blame>();

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
        cx.repo.blame(&query, cx.cancel, &mut |line| {
            any = true;
            let before = writer.checkpoint();
            let whole = |_: &str| cx.echo.other("git_show", &[("revision", json!(line.origin.id))]);
            let headed = line.origin.id == current || writer.heading(&|row| heading(line.origin, row), &whole);
            let number = format!("{}\t", line.number);
            // Of a longer line only the start was read.
            let end: &[u8] = if line.text.len() == line.len { b"\n" } else { b"" };
            let text = [number.as_bytes(), line.text, end].concat();
            if !(headed && writer.line(&text, number.len() + line.len + 1, &mut |_| format!(": {}", rest(cx, &args, &line)))) {
                writer.rewind(before);
                stopped = Some(line.number);
                return ControlFlow::Break(());
            }
            current.clone_from(&line.origin.id);
            ControlFlow::Continue(())
        })?;
        if let Some(line) = stopped {
            writer.note(format!("more lines follow. Next: {}", cx.echo.again(&[("start_line", json!(line))])));
        } else if !any {
            writer.say("the file is empty");
        }
        Ok(writer.finish())
    }
}

fn heading(origin: &Origin, row: &mut Row) {
    if origin.id.bytes().all(|byte| byte == b'0') {
        row.put("00000000 not committed yet");
        return;
    }
    row.field(Field::Name, "id", &origin.id[..8]).put(" ").field(Field::Name, "day", day(origin.time)).put(" ");
    row.field(Field::Name, "author", &origin.author).put(": ").field(Field::Subject, "subject", &origin.summary);
}

/// `2026-01-31`, in UTC.
fn day(seconds: i64) -> String {
    // Days to a civil date, counted in eras of 400 years from 1 March of year 0.
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn rest(cx: &Context<'_>, args: &Args, line: &BlamedLine<'_>) -> String {
    let rev = args.rev.as_deref().unwrap_or("");
    let args = [("revision", json!(format!("{rev}:{}", args.path))), ("start_line", json!(line.number)), ("end_line", json!(line.number))];
    cx.echo.other("git_show", &args)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_are_civil_dates() {
        for (seconds, expect) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_798_675_200, "2026-12-31"), (-1, "1969-12-31")] {
            assert_eq!(day(seconds), expect);
        }
    }
}
