//! The panes of the terminal view.

use super::{
    super::admin::time,
    answers::{Pane, Topic},
    line::{Line, Tone, fit},
    load, log,
    table::{Table, shown},
    tables,
    view::View,
};
use crate::{
    admin::answers::{calls::Latencies, errors::Errors, sessions::Sessions},
    output::counted,
};

/// Columns of the queues in the overview.
const QUEUES: usize = 44;
/// Lines of the overview from which it shows the slowest tools.
const TALL: usize = 26;
/// Number of them, with their title.
const SLOWEST: usize = 6;

/// The lines of the pane, at most `height`.
pub(super) fn pane(view: &View, width: usize, height: usize) -> Vec<Line> {
    let answers = &view.answers;
    let mut lines = match view.pane {
        Pane::Overview => overview(view, width, height),
        Pane::Calls => with_title(
            view,
            &answers.calls,
            |calls| {
                let cut =
                    if calls.total > calls.calls.len() { format!("; the {} oldest are listed", calls.calls.len()) } else { String::new() };
                format!("{} in flight, oldest first{cut}", counted(calls.total, "call"))
            },
            (width, height),
        ),
        Pane::Sessions => with_title(view, &answers.sessions, totals, (width, height)),
        Pane::Circuits => with_title(view, &answers.circuits, |circuits| counted(circuits.circuits.len(), "circuit"), (width, height)),
        Pane::Latency => with_title(view, &answers.latency, window, (width, height)),
        Pane::Errors => errors_and_log(view, width, height),
    };
    lines.truncate(height);
    lines
}

/// A pane with one table.
fn with_title<T>(view: &View, topic: &Topic<T>, title: impl Fn(&T) -> String, (width, height): (usize, usize)) -> Vec<Line> {
    match (topic, view.table()) {
        (Topic::Known(answer), Some(table)) => {
            let selected = view.selected(&table);
            let title = Line::new(Tone::Faint, fit(&title(answer), width));
            std::iter::once(title).chain(table.lines(width, height.saturating_sub(1), selected)).collect()
        }
        (Topic::Refused(why), _) => vec![Line::new(Tone::Warn, fit(&shown(why), width))],
        _ => vec![waits(view)],
    }
}

fn waits(view: &View) -> Line {
    let text = match (view.is_paused, &view.failure) {
        (true, _) => "Nothing is asked while the view is paused: `p` continues.",
        (false, Some(_)) => "The server does not answer.",
        (false, None) => "Waiting for the server.",
    };
    Line::new(Tone::Faint, text)
}

fn totals(answer: &Sessions) -> String {
    let longer = time(answer.idle_longer_than_ms);
    let kept = answer.kept.filter(|kept| *kept > 0).map(|kept| format!(", {kept} kept in the store")).unwrap_or_default();
    format!(
        "{}: {} active, {} idle longer than {longer}, {} closed for a fault{kept}; at most {}",
        counted(answer.total, "session"),
        answer.active,
        answer.idle,
        answer.error,
        answer.max
    )
}

fn window(answer: &Latencies) -> String {
    let limit = |bound: Option<&u32>| bound.map_or_else(|| "-".to_owned(), |bound| time(u64::from(*bound)));
    let (first, last) = (limit(answer.bounds_ms.first()), limit(answer.bounds_ms.last()));
    format!("Calls of the last {}, the slowest tools first; bars from {first} to more than {last}", time(answer.window_ms))
}

fn overview(view: &View, width: usize, height: usize) -> Vec<Line> {
    let answers = &view.answers;
    let Some(status) = &answers.status else { return vec![waits(view)] };
    let queues = tables::queues(status).lines(QUEUES, usize::MAX, None);
    let loads = load::load(&answers.samples, width.saturating_sub(QUEUES));
    let blank = std::iter::repeat_with(Line::default);
    let mut lines: Vec<_> =
        queues.into_iter().zip(loads.into_iter().chain(blank)).map(|(left, right)| left.beside(QUEUES, right)).collect();
    lines.push(summary(&answers.errors, width));
    let mut rest = height.saturating_sub(lines.len());
    if rest >= TALL {
        rest -= SLOWEST + 1;
        lines.push(Line::default());
        lines.extend(table_or_reason(&answers.latency, tables::latency, (width, SLOWEST)));
    }
    if rest < 4 {
        return lines;
    }
    let calls = match (&answers.calls, view.table()) {
        (Topic::Known(_), Some(table)) => {
            let selected = view.selected(&table);
            table.lines(width, (rest - 2) / 2, selected)
        }
        (Topic::Refused(why), _) => vec![Line::new(Tone::Warn, fit(&shown(why), width))],
        _ => vec![waits(view)],
    };
    let rest = rest.saturating_sub(calls.len() + 2);
    lines.push(Line::default());
    lines.extend(calls);
    lines.push(Line::default());
    lines.extend(log::tail(&answers.records, 0, (width, rest)));
    lines
}

/// The errors in one line.
fn summary(topic: &Topic<Errors>, width: usize) -> Line {
    let Some(answer) = topic.known() else { return Line::default() };
    let table = tables::errors(answer);
    let counts: Vec<String> =
        answer.classes.iter().filter(|class| class.count > 0).map(|class| format!("{} {}", class.class, class.count)).collect();
    let window = time(answer.window_ms);
    if counts.is_empty() {
        return Line::plain(format!("No error in the last {window}."));
    }
    let worst = table.rows.iter().map(|row| row.tone).find(|tone| *tone != Tone::Plain).unwrap_or_default();
    Line::new(worst, fit(&format!("Errors in the last {window}: {}", counts.join(", ")), width))
}

fn errors_and_log(view: &View, width: usize, height: usize) -> Vec<Line> {
    let answers = &view.answers;
    let mut lines = table_or_reason(&answers.errors, tables::errors, (width, (height / 3).max(3)));
    if matches!(answers.errors, Topic::Unknown) {
        lines = vec![waits(view)];
    }
    lines.push(Line::default());
    let rest = height.saturating_sub(lines.len());
    lines.extend(log::tail(&answers.records, view.scrolled, (width, rest)));
    lines
}

/// The first lines of a table, or why there is none.
pub(super) fn table_or_reason<T>(topic: &Topic<T>, table: impl Fn(&T) -> Table, (width, height): (usize, usize)) -> Vec<Line> {
    match topic {
        Topic::Unknown => Vec::new(),
        Topic::Known(answer) => table(answer).lines(width, height, None),
        Topic::Refused(why) => vec![Line::new(Tone::Warn, fit(&shown(why), width))],
    }
}
