//! `profile heap`: shows which code holds a running server's memory.

use super::{say_json, write_answer};
use crate::{
    admin::requests::{self, TrackHeap},
    cli::{
        admin::{Client, Failure, Question, Reach, bytes, time},
        say,
    },
    config::Config,
    output, percent,
};
use serde_json::Value;
use std::{path::Path, time::Duration};

/// Options of `profile heap`.
pub(super) struct Heap<'a> {
    /// The two snapshots to compare.
    pub(super) diff: Option<&'a [String]>,
    /// Turns allocation tracking on or off.
    pub(super) track: Option<bool>,
    /// The name of the snapshot.
    pub(super) label: Option<&'a String>,
    /// Only lists the snapshots.
    pub(super) list: bool,
}

impl Heap<'_> {
    pub(super) fn run(&self, seconds: u64, out: &Path, reach: &Reach, config: &Config) -> Result<(), Failure> {
        let server = Client::find(reach, config)?;
        if let Some([from, to]) = self.diff {
            let answer =
                server.ask(Question::get(format!("/profile/heap/diff?from={}&to={}", percent::encode(from), percent::encode(to))))?;
            return shown(answer, "heap_diff", out, reach, diff);
        }
        let state = || Question::get("/profile/heap");
        if self.list || self.track.is_some() {
            let answer = match self.track {
                Some(on) => server.ask(Question::post("/profile/heap/track", &TrackHeap { on, label: self.label.cloned() }))?,
                None => server.ask(state())?,
            };
            say(&if reach.json { format!("{answer:#}") } else { snapshots(&answer) });
            return Ok(());
        }
        let wanted = requests::Heap { label: self.label.cloned(), seconds };
        let mut question = Question::post("/profile/heap", &wanted);
        if server.ask(state())?["tracking"] != true {
            question = question.taking("tracking allocations", Duration::from_secs(seconds));
        }
        shown(server.ask(question)?, "heap", out, reach, |answer| snapshot(answer, seconds))
    }
}

/// Writes the files of an answer and prints it.
fn shown(answer: Value, name: &str, out: &Path, reach: &Reach, text: impl Fn(&Value) -> String) -> Result<(), Failure> {
    let files = write_answer(out, name, &answer)?;
    if reach.json {
        say_json(answer, &files);
        return Ok(());
    }
    let mut shown = text(&answer);
    for file in files {
        shown = shown + "Written: " + &file + "\n";
    }
    say(shown.trim_end());
    Ok(())
}

fn snapshots(answer: &Value) -> String {
    let tracking = if answer["tracking"] == true {
        format!("on, for {}; a snapshot every {}", time(&answer["tracked_ms"]), time(&answer["interval_ms"]))
    } else {
        "off (`mcp-server-git profile heap --track on`)".to_owned()
    };
    let mut text = format!("Tracking: {tracking}\n");
    for one in answer["snapshots"].as_array().into_iter().flatten() {
        text = text + "Snapshot " + &line(one) + "\n";
    }
    text.trim_end().to_owned()
}

/// A snapshot in one line.
fn line(snapshot: &Value) -> String {
    format!(
        "{} ({}), {} ago: {} in {} allocations; RSS {}",
        snapshot["id"],
        output::message(snapshot["label"].as_str().unwrap_or_default()),
        time(&snapshot["age_ms"]),
        bytes(&snapshot["bytes"]),
        snapshot["allocations"],
        bytes(&snapshot["rss"])
    )
}

fn snapshot(answer: &Value, seconds: u64) -> String {
    let tracked = if answer["tracking"] == true { format!("for {}", time(&answer["tracked_ms"])) } else { format!("for {seconds} s") };
    format!("Snapshot {}\nAllocations were tracked {tracked}; older ones are not included.\n{}", line(&answer["snapshot"]), top(answer))
}

fn diff(answer: &Value) -> String {
    let growth = |key: &str| answer["to"][key].as_i64().unwrap_or_default() - answer["from"][key].as_i64().unwrap_or_default();
    format!(
        "From {}\nTo {}\nGrowth: {}, RSS {}\n{}",
        line(&answer["from"]),
        line(&answer["to"]),
        bytes(&growth("bytes").into()),
        bytes(&growth("rss").into()),
        top(answer)
    )
}

/// The top allocators with their call stacks.
fn top(answer: &Value) -> String {
    let mut rows = vec!["Top allocators by call stack:".to_owned()];
    for one in answer["top"].as_array().into_iter().flatten() {
        let mut functions = one["stack"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let first = functions.next().unwrap_or_default();
        rows.push(format!("{:>12}  {:>8}  {first}", bytes(&one["bytes"]), one["allocations"].to_string()));
        rows.extend(functions.map(|function| format!("{:>26}{function}", "< ")));
    }
    rows.join("\n") + "\n"
}
