//! `profile heap`: shows which code holds a running server's memory.

use super::{say_json, write_files};
use crate::{
    admin::{
        answers::profiles::{self, Files, HeapGrowth, HeapProfile, HeapReport, Snapshot},
        requests::{self, TrackHeap},
    },
    cli::{
        admin::{Client, Failure, Question, Reach, bytes, time},
        say,
    },
    config::Config,
    output, percent,
};
use serde::de::DeserializeOwned;
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
            let question = Question::get(format!("/profile/heap/diff?from={}&to={}", percent::encode(from), percent::encode(to)));
            return shown(&server, &question, "heap_diff", out, reach, |growth: &HeapGrowth| (&growth.report.files, diff(growth)));
        }
        let state = Question::get("/profile/heap");
        if self.list || self.track.is_some() {
            let question = match self.track {
                Some(on) => Question::post("/profile/heap/track", &TrackHeap { on, label: self.label.cloned() }),
                None => state,
            };
            let answer = server.ask(&question)?;
            say(&if reach.json { format!("{answer:#}") } else { snapshots(&server.read(&question, &answer)?) });
            return Ok(());
        }
        let wanted = requests::Heap { label: self.label.cloned(), seconds };
        let mut question = Question::post("/profile/heap", &wanted);
        if !server.read::<profiles::Heap>(&state, &server.ask(&state)?)?.tracking {
            question = question.taking("tracking allocations", Duration::from_secs(seconds));
        }
        shown(&server, &question, "heap", out, reach, |taken: &HeapProfile| (&taken.report.files, snapshot(taken, seconds)))
    }
}

/// Asks for a report, writes its files and prints it.
fn shown<T: DeserializeOwned>(
    server: &Client,
    question: &Question,
    name: &str,
    out: &Path,
    reach: &Reach,
    parts: impl Fn(&T) -> (&Files, String),
) -> Result<(), Failure> {
    let answer = server.ask(question)?;
    let report: T = server.read(question, &answer)?;
    let (files, mut text) = parts(&report);
    let files = write_files(out, name, files)?;
    if reach.json {
        say_json(answer, &files);
        return Ok(());
    }
    for file in files {
        text = text + "Written: " + &file + "\n";
    }
    say(text.trim_end());
    Ok(())
}

fn snapshots(heap: &profiles::Heap) -> String {
    let tracking = if heap.tracking {
        format!("on, for {}; a snapshot every {}", time(heap.tracked_ms), time(heap.interval_ms))
    } else {
        "off (`mcp-server-git profile heap --track on`)".to_owned()
    };
    let text = heap.snapshots.iter().fold(format!("Tracking: {tracking}\n"), |text, one| text + "Snapshot " + &line(one) + "\n");
    text.trim_end().to_owned()
}

/// A snapshot in one line.
fn line(snapshot: &Snapshot) -> String {
    format!(
        "{} ({}), {} ago: {} in {}; RSS {}",
        snapshot.id,
        output::message(&snapshot.label),
        time(snapshot.age_ms),
        bytes(Some(snapshot.bytes)),
        output::counted(snapshot.allocations, "allocation"),
        bytes(snapshot.rss)
    )
}

fn snapshot(taken: &HeapProfile, seconds: u64) -> String {
    let tracked = if taken.heap.tracking { format!("for {}", time(taken.heap.tracked_ms)) } else { format!("for {seconds} s") };
    let line = line(&taken.snapshot);
    format!("Snapshot {line}\nAllocations were tracked {tracked}; older ones are not included.\n{}", top(&taken.report))
}

fn diff(HeapGrowth { from, to, report }: &HeapGrowth) -> String {
    let rss = |snapshot: &Snapshot| snapshot.rss.and_then(|rss| i64::try_from(rss).ok()).unwrap_or_default();
    format!(
        "From {}\nTo {}\nGrowth: {}, RSS {}\n{}",
        line(from),
        line(to),
        bytes(Some(to.bytes - from.bytes)),
        bytes(Some(rss(to) - rss(from))),
        top(report)
    )
}

/// The top allocators with their call stacks.
fn top(report: &HeapReport) -> String {
    let mut rows = vec!["Top allocators by call stack:".to_owned()];
    for one in &report.top {
        let mut functions = one.stack.iter();
        let first = functions.next().map_or("", String::as_str);
        rows.push(format!("{:>12}  {:>8}  {first}", bytes(Some(one.bytes)), one.allocations));
        rows.extend(functions.map(|function| format!("{:>26}{function}", "< ")));
    }
    rows.join("\n") + "\n"
}
