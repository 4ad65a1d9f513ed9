//! The first lines of the terminal view: the server, its verdict and the next command.

use super::{
    super::admin::{bytes, time},
    answers::Pane,
    line::{Line, Tone, fit},
    table::{known, shown},
    view::View,
};
use crate::{
    admin::answers::{
        name::Name,
        status::{Brief, Process, Status},
    },
    lifecycle::phase::Phase,
    output::counted,
};

/// The header: a line for the server, one for its resources, and the verdict between them, with at most `most` problems.
pub(super) fn header(view: &View, width: usize, most: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    if let Some(status) = &view.answers.status {
        lines.push(server(status, view.is_paused));
    }
    lines.extend(verdict(view, width, most));
    if let Some(status) = &view.answers.status {
        lines.push(Line::plain(resources(status)));
    }
    lines
}

fn server(status: &Status, is_paused: bool) -> Line {
    let Brief { version, pid, phase, sessions, in_flight } = &status.brief;
    let tone = match phase {
        Name(Phase::Ready) => Tone::Good,
        Name(Phase::Starting | Phase::Draining | Phase::Leaving) => Tone::Warn,
    };
    let counts = format!("  {}  {}", counted(sessions, "session"), counted(in_flight, "call"));
    let line = Line::new(Tone::Head, format!("mcp-server-git {}  pid {pid}  ", shown(version))).with(tone, shown(phase));
    let line = line.with(Tone::Warn, if is_paused { "  PAUSED" } else { "" });
    line.with(Tone::Plain, format!("  up {}{counts}", time(status.uptime_ms)))
}

/// The first problems with the next commands, or that there is none.
fn verdict(view: &View, width: usize, most: usize) -> Vec<Line> {
    let two =
        |what: &str, next: &str| vec![Line::new(Tone::Bad, fit(what, width)), Line::new(Tone::Head, fit(&format!("Next: {next}"), width))];
    if let Some(why) = &view.failure {
        return two(&format!("No answer: {}", shown(why)), "mcp-server-git doctor");
    }
    let Some(status) = &view.answers.status else { return Vec::new() };
    let Some(first) = status.problems.first() else { return vec![Line::new(Tone::Good, "Verdict: fine")] };
    let what = match status.problems.len() {
        1 => format!("Verdict: {}", shown(&first.what)),
        more => format!("Verdict: {more} problems. {}", shown(&first.what)),
    };
    let others =
        status.problems.iter().take(most).skip(1).map(|problem| format!("{}. Next: {}", shown(&problem.what), shown(&problem.next)));
    let others = others.map(|problem| Line::new(Tone::Bad, fit(&problem, width)));
    two(&what, &shown(&first.next)).into_iter().chain(others).collect()
}

fn resources(status: &Status) -> String {
    let Process { rss, process_cpu_percent, threads, descriptors, max_descriptors, runtime_lag_ms, .. } = &status.process;
    let cpu = process_cpu_percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent:.1} %"));
    let store = match &status.store.away {
        None if status.store.opened => "ok",
        None => "not opened",
        Some(_) => "unavailable",
    };
    format!(
        "Memory {}  CPU {cpu}  Threads {}  Files {}/{}  Lag {runtime_lag_ms:.1} ms  Store {store}",
        bytes(*rss),
        known(*threads),
        known(*descriptors),
        known(*max_descriptors)
    )
}

/// The names of the panes.
pub(super) fn panes(view: &View) -> Line {
    let answers = &view.answers;
    Pane::ALL.iter().enumerate().fold(Line::default(), |line, (at, pane)| {
        let count = match pane {
            Pane::Calls => answers.calls.known().map(|calls| calls.total),
            Pane::Circuits => answers.status.as_ref().map(|status| status.open_circuits).filter(|open| *open > 0),
            Pane::Sessions => answers.status.as_ref().map(|status| status.brief.sessions),
            Pane::Overview | Pane::Latency | Pane::Errors => None,
        };
        let tone = match (pane, count) {
            _ if *pane == view.pane => Tone::Chosen,
            (Pane::Circuits, Some(_)) => Tone::Warn,
            _ => Tone::Plain,
        };
        let count = count.map(|count| format!(" {count}")).unwrap_or_default();
        line.with(tone, format!(" {} {}{count} ", at + 1, pane.title()))
    })
}
