//! Keys of the terminal view.

use super::{action::Action, answers::Pane, line::Tone, view::View};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Rows of a page.
const PAGE: isize = 10;

/// What follows from a key, apart from the view.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Order {
    Quit,
    /// Draws all of the screen again.
    Redraw,
    /// Another pane is shown.
    Show(Pane),
    Pause(bool),
    Act(Action),
}

/// The keys of the last line.
pub(super) fn hints(view: &View) -> Vec<(&'static str, &'static str)> {
    if view.asked.is_some() {
        return vec![("y", "yes"), ("n", "no")];
    }
    if view.shows_help {
        return vec![("any key", "back")];
    }
    let own = match view.pane {
        Pane::Overview | Pane::Calls => Some(("c", "cancel")),
        Pane::Sessions => Some(("x", "close")),
        Pane::Circuits => Some(("r", "reset")),
        Pane::Latency | Pane::Errors => None,
    };
    let pause = if view.is_paused { ("p", "continue") } else { ("p", "pause") };
    let moves = if view.pane == Pane::Errors { ("j/k", "scroll") } else { ("j/k", "select") };
    [("q", "quit"), ("1-6", "pane"), moves].into_iter().chain(own).chain([("d", "drain"), ("u", "resume"), pause, ("?", "help")]).collect()
}

/// The page of help: keys and what each does.
pub(super) const HELP: [(&str, &str); 13] = [
    ("1 to 6, Tab, Shift-Tab", "another pane"),
    ("j, k, arrows", "select a row, or scroll the log"),
    ("PageUp, PageDown, g, G", "the same by ten rows, or to the first or last one"),
    ("c", "cancel the selected call (Overview, Calls)"),
    ("x", "close the selected session (Sessions)"),
    ("r", "reset the selected circuit (Circuits)"),
    ("d", "drain: reject new calls, and finish running ones"),
    ("u", "resume: accept calls again"),
    ("p", "pause: ask the server for nothing until the next p"),
    ("y, n", "answer a question; Esc is no"),
    ("Ctrl-L", "draw the screen again"),
    ("?", "this page"),
    ("q, Ctrl-C", "quit"),
];

/// Applies a key to the view.
pub(super) fn press(view: &mut View, key: KeyEvent) -> Option<Order> {
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c') => Some(Order::Quit),
            KeyCode::Char('l') => Some(Order::Redraw),
            _ => None,
        };
    }
    if view.asked.is_some() {
        return answered(view, key.code);
    }
    view.notice = None;
    if std::mem::take(&mut view.shows_help) {
        return (key.code == KeyCode::Char('q')).then_some(Order::Quit);
    }
    match key.code {
        KeyCode::Char('q') => return Some(Order::Quit),
        KeyCode::Char('?') => view.shows_help = true,
        KeyCode::Char('p') => {
            view.is_paused = !view.is_paused;
            return Some(Order::Pause(view.is_paused));
        }
        KeyCode::Char('j') | KeyCode::Down => view.move_by(1),
        KeyCode::Char('k') | KeyCode::Up => view.move_by(-1),
        KeyCode::PageDown => view.move_by(PAGE),
        KeyCode::PageUp => view.move_by(-PAGE),
        KeyCode::Char('g') | KeyCode::Home => view.move_by(isize::MIN),
        KeyCode::Char('G') | KeyCode::End => view.move_by(isize::MAX),
        KeyCode::Tab | KeyCode::Right => return beside(view, 1),
        KeyCode::BackTab | KeyCode::Left => return beside(view, Pane::ALL.len() - 1),
        KeyCode::Char(digit @ '1'..='6') => {
            let at = digit.to_digit(10).and_then(|digit| usize::try_from(digit).ok()).unwrap_or(1);
            return show(view, at.saturating_sub(1));
        }
        KeyCode::Char(letter) => ask(view, letter),
        _ => {}
    }
    None
}

/// Answers a question.
fn answered(view: &mut View, code: KeyCode) -> Option<Order> {
    match code {
        KeyCode::Char('y' | 'Y') => view.asked.take().map(|(action, _)| Order::Act(action)),
        KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => {
            view.asked = None;
            None
        }
        _ => None,
    }
}

/// Asks for consent to an action.
fn ask(view: &mut View, letter: char) {
    let (panes, verb, action): (&[Pane], _, fn(String) -> Action) = match letter {
        'c' => (&[Pane::Calls, Pane::Overview], "Cancel", Action::Cancel),
        'x' => (&[Pane::Sessions], "Close", Action::Close),
        'r' => (&[Pane::Circuits], "Reset", Action::Reset),
        'd' => return view.asked = Some((Action::Drain, "Drain: reject new calls, and finish running ones".to_owned())),
        'u' => return view.asked = Some((Action::Resume, "Resume: accept calls again".to_owned())),
        _ => return,
    };
    match (panes.contains(&view.pane), view.selected_row()) {
        (true, Some(row)) => view.asked = Some((action(row.id), format!("{verb} {}", row.label))),
        (true, None) => view.say(Tone::Warn, "Nothing is selected."),
        (false, _) => {
            let number = panes.first().map(|pane| *pane as usize + 1).unwrap_or_default();
            view.say(Tone::Warn, format!("Select a row first: key {number}."));
        }
    }
}

/// Shows the pane that stands `steps` behind this one.
fn beside(view: &mut View, steps: usize) -> Option<Order> {
    show(view, (view.pane as usize + steps) % Pane::ALL.len())
}

fn show(view: &mut View, at: usize) -> Option<Order> {
    let pane = Pane::ALL.get(at).copied()?;
    view.pane = pane;
    Some(Order::Show(pane))
}
