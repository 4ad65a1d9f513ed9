//! Draws the terminal view, and writes it as plain text.

use super::{
    header::{header, panes},
    keys::{HELP, hints},
    line::{Line, Tone, fit},
    load, log,
    panes::{pane, table_or_reason},
    tables,
    view::View,
};
use ratatui::Frame;

/// Columns and lines of the smallest terminal.
const LEAST: (usize, usize) = (40, 12);
/// Lines from which the header has more than one problem.
const TALL: usize = 30;
/// Columns of the keys on the page of help.
const KEYS: usize = 26;
/// Log records in plain text.
const RECORDS: usize = 20;

/// Draws the view.
pub(super) fn draw(frame: &mut Frame, view: &View, has_colours: bool) {
    let area = frame.area();
    let lines = screen(view, usize::from(area.width), usize::from(area.height));
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        frame.buffer_mut().set_line(area.left(), y, &line.styled(has_colours), area.width);
    }
}

/// The lines of a terminal: exactly `height`.
fn screen(view: &View, width: usize, height: usize) -> Vec<Line> {
    if width < LEAST.0 || height < LEAST.1 {
        return vec![Line::plain(format!("At least {} columns and {} lines.", LEAST.0, LEAST.1)), Line::plain("q quits.")];
    }
    let mut lines = header(view, width, if height >= TALL { 3 } else { 1 });
    lines.push(panes(view));
    let below: Vec<Line> = message(view, width).into_iter().chain([keys(view)]).collect();
    let room = height.saturating_sub(lines.len() + below.len());
    let mut body = if view.shows_help { help() } else { pane(view, width, room) };
    body.resize(room, Line::default());
    lines.into_iter().chain(body).chain(below).collect()
}

/// The question or the notice above the keys.
fn message(view: &View, width: usize) -> Option<Line> {
    if let Some((_, question)) = &view.asked {
        let text = fit(question, width.saturating_sub(5)) + "? y/n";
        return Some(Line::new(Tone::Bad, text));
    }
    view.notice.as_ref().map(|notice| Line::new(notice.tone, fit(&notice.text, width)))
}

fn keys(view: &View) -> Line {
    hints(view).into_iter().fold(Line::default(), |line, (key, what)| line.with(Tone::Head, key).with(Tone::Faint, format!(" {what}  ")))
}

fn help() -> Vec<Line> {
    let lines = HELP.iter().map(|(keys, what)| Line::new(Tone::Head, *keys).beside(KEYS, Line::plain(*what)));
    std::iter::once(Line::default()).chain(lines).collect()
}

/// All of the server's answers as plain text.
pub(super) fn page(view: &View) -> String {
    const ALL: (usize, usize) = (usize::MAX, usize::MAX);
    let answers = &view.answers;
    let mut parts = vec![header(view, usize::MAX, usize::MAX)];
    parts.extend(answers.status.as_ref().map(|status| tables::queues(status).lines(ALL.0, ALL.1, None)));
    parts.push(load::load(&answers.samples, 80));
    parts.push(table_or_reason(&answers.calls, tables::calls, ALL));
    parts.push(table_or_reason(&answers.sessions, tables::sessions, ALL));
    parts.push(table_or_reason(&answers.circuits, tables::circuits, ALL));
    parts.push(table_or_reason(&answers.latency, tables::latency, ALL));
    parts.push(table_or_reason(&answers.errors, tables::errors, ALL));
    parts.push(log::tail(&answers.records, 0, (usize::MAX, RECORDS + 1)));
    let parts = parts.into_iter().filter(|lines| !lines.is_empty());
    let parts = parts.map(|lines| lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    parts.collect::<Vec<_>>().join("\n\n")
}
