//! The terminal view without a terminal: screens at two sizes, keys, and the requests behind them.

use super::{
    action::Action,
    answers::{self, Pane, Rounds},
    draw::{draw, page},
    keys::{Order, press},
    line::Tone,
    stand_in::StandIn,
    view::View,
};
use crate::admin::answers::status::Problem;
use ratatui::{
    Terminal,
    backend::TestBackend,
    buffer::{Buffer, Cell},
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::{Color, Modifier},
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A view with all answers of a server.
fn view_of(server: &StandIn) -> View {
    let mut view = View::default();
    view.update(Rounds::new(true).ask(&server.ask(), SECOND).unwrap());
    view
}

fn view() -> View {
    view_of(&StandIn::new())
}

fn drawn(view: &View, columns: u16, rows: u16, has_colours: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw(frame, view, has_colours)).unwrap();
    terminal.backend().buffer().clone()
}

/// The lines of the screen, without trailing blanks.
fn screen(view: &View, columns: u16, rows: u16) -> Vec<String> {
    let buffer = drawn(view, columns, rows, true);
    let cells: Vec<&str> = buffer.content().iter().map(Cell::symbol).collect();
    cells.chunks(usize::from(columns)).map(|line| line.concat().trim_end().to_owned()).collect()
}

fn key(view: &mut View, code: KeyCode) -> Option<Order> {
    press(view, KeyEvent::new(code, KeyModifiers::NONE))
}

fn keys(view: &mut View, keys: &str) -> Option<Order> {
    keys.chars().map(|letter| key(view, KeyCode::Char(letter))).last().flatten()
}

const OVERVIEW: [&str; 24] = [
    "mcp-server-git 1.2.3  pid 4242  ready  up 1h 30m  2 sessions  2 calls",
    "Verdict: a circuit is open",
    "Next: mcp-server-git circuits list",
    "Memory 120.0 MiB  CPU 12.5 %  Threads 31  Files 45/1024  Lag 0.2 ms  Store ok",
    " 1 Overview  2 Calls 2  3 Sessions 2  4 Circuits 1  5 Latency  6 Errors",
    "QUEUE    RUN  WAIT  MAX  REJECTED  LOST     Memory  140.0 MiB   ▁▅█",
    "read       3     0   10         0     0     CPU     12.5 %       ██",
    "change     1     2   10         3     0     Calls   2.0/s       ▁▅█",
    "network    0     0    8         0     1     Errors  0.0/s       ▁▁▁",
    "opening    1     0    4         0     0     At once 2           ▁▅█",
    "Errors in the last 10m: other 2, network_timeout 61",
    "",
    "CALL    TIME  STAGE  TOOL        REPOSITORY     PRINCIPAL  SESSION",
    "call_1   12s  run    git_fetch   /srv/team/app  alice      5e55-1",
    "call_2  40ms  queue  git_status  -              alice      5e55-1",
    "",
    "LOG",
    "03:04:05 INFO  call tool=git_log repo=/srv",
    "03:04:06 WARN  slow\\ncall",
    "",
    "",
    "",
    "",
    "q quit  1-6 pane  j/k select  c cancel  d drain  u resume  p pause  ? help",
];

#[test]
fn the_overview_fits_a_terminal_of_80_columns() {
    assert_eq!(screen(&view(), 80, 24), OVERVIEW);
}

#[test]
fn a_larger_terminal_shows_the_slowest_tools() {
    let lines = screen(&view(), 120, 40);
    assert_eq!((lines.len(), &lines[..11]), (40, &OVERVIEW.map(str::to_owned)[..11]));
    assert_eq!(
        lines[12..15],
        [
            "TOOL        CALLS  ERRORS  P50    P95  MAX  BY TIME",
            "git_fetch      12       1  4ms  900ms   2s  ·▅█",
            "git_status     12       1  4ms   20ms   2s  █▁·",
        ]
    );
    assert_eq!(lines[16], OVERVIEW[12]);
    assert_eq!(lines[39], OVERVIEW[23]);
}

#[test]
fn other_problems_are_listed_where_there_is_room() {
    let mut view = view();
    let second = Problem { what: "the disk is full".to_owned(), next: "mcp-server-git doctor".to_owned() };
    view.answers.status.as_mut().unwrap().problems.push(second);
    let verdict = ["Verdict: 2 problems. a circuit is open", OVERVIEW[2], "the disk is full. Next: mcp-server-git doctor", OVERVIEW[3]];
    assert_eq!(screen(&view, 120, 40)[1..5], verdict);
    assert_eq!(screen(&view, 80, 24)[1..4], [verdict[0], verdict[1], verdict[3]]);
    assert!(page(&view).contains(verdict[2]));
}

#[test]
fn each_pane_has_its_table_and_its_key() {
    let mut view = view();
    let mut shown = |pane: char| {
        key(&mut view, KeyCode::Char(pane));
        let lines = screen(&view, 120, 40);
        (lines[5..8].to_vec(), lines[39].clone())
    };
    let (calls, hints) = shown('2');
    assert_eq!(calls[0], "2 calls in flight, oldest first");
    assert_eq!(calls[2], OVERVIEW[13]);
    assert!(hints.contains("c cancel"));
    let (sessions, hints) = shown('3');
    assert_eq!(sessions[0], "2 sessions: 1 active, 0 idle longer than 30m, 1 closed for a fault, 3 kept in the store; at most 1000");
    assert!(
        sessions[1].starts_with("SESSION  CLIENT ") && sessions[1].ends_with("STATE    IDLE  CALLS  MISSED  KIND  PRINCIPAL  REQUESTS")
    );
    assert!(
        sessions[2].starts_with("5e55-1   agent 1.0 ") && sessions[2].ends_with("active  1m 1s      1       0  http  alice            17")
    );
    assert!(hints.contains("x close"));
    let (circuits, hints) = shown('4');
    assert_eq!(circuits[1], "CIRCUIT         STATE   FAILURES  NEXT TRIAL  REJECTED  OPENED  CALLS");
    assert_eq!(circuits[2], "host:443/fetch  open         5/5         12s         7       2    120");
    assert!(hints.contains("r reset"));
    let (latency, _) = shown('5');
    assert_eq!(latency[0], "Calls of the last 10m, the slowest tools first; bars from 10ms to more than 100ms");
    let (errors, hints) = shown('6');
    assert_eq!(
        errors[..2],
        ["ERRORS           COUNT  PER MINUTE  SINCE START  STATE", "network_timeout     61         6.1           61  spike",]
    );
    assert!(hints.contains("j/k scroll"));
}

#[test]
fn every_size_can_be_drawn() {
    let mut view = view();
    for pane in "123456?".chars() {
        key(&mut view, KeyCode::Char(pane));
        for (columns, rows) in [(1, 1), (5, 40), (39, 24), (40, 12), (41, 13), (60, 18), (80, 12), (200, 12), (300, 90)] {
            assert_eq!(screen(&view, columns, rows).len(), usize::from(rows));
        }
    }
    assert_eq!(screen(&view, 39, 24)[..2], ["At least 40 columns and 12 lines.", "q quits."]);
}

#[test]
fn colours_are_optional_and_the_selection_is_visible_without_them() {
    let view = view();
    let is_chosen = |buffer: &Buffer, row: u16| buffer[(0, row)].modifier.contains(Modifier::REVERSED);
    for has_colours in [true, false] {
        let buffer = drawn(&view, 80, 24, has_colours);
        assert!(is_chosen(&buffer, 13) && !is_chosen(&buffer, 14), "the first call is selected");
        assert_eq!(buffer.content().iter().any(|cell| cell.fg != Color::Reset), has_colours);
    }
}

#[test]
fn an_action_needs_consent() {
    let mut view = view();
    assert_eq!(keys(&mut view, "jc"), None);
    let lines = screen(&view, 80, 24);
    assert_eq!(lines[22..], ["Cancel call_2: git_status? y/n", "y yes  n no"]);
    // Other keys neither answer nor act.
    assert_eq!(keys(&mut view, "k2d "), None);
    assert_eq!(keys(&mut view, "y"), Some(Order::Act(Action::Cancel("call_2".to_owned()))));
    assert!(view.asked.is_none());
    for no in ["cn", "cq", "dN"] {
        assert_eq!((keys(&mut view, no), view.asked.is_none()), (None, true), "{no}");
    }
    assert_eq!(keys(&mut view, "3xy"), Some(Order::Act(Action::Close("5e55-1".to_owned()))));
    assert_eq!(keys(&mut view, "4ry"), Some(Order::Act(Action::Reset("host:443/fetch".to_owned()))));
    assert_eq!(keys(&mut view, "dy"), Some(Order::Act(Action::Drain)));
    assert_eq!(keys(&mut view, "uy"), Some(Order::Act(Action::Resume)));
    // A key of another pane names that pane.
    keys(&mut view, "1x");
    assert_eq!(screen(&view, 80, 24)[22], "Select a row first: key 3.");
}

#[test]
fn the_selection_stays_with_its_call() {
    let server = StandIn::new();
    let mut view = view_of(&server);
    keys(&mut view, "2j");
    let selected = |view: &View| view.selected_row().map(|row| row.id);
    assert_eq!(selected(&view).as_deref(), Some("call_2"));
    for (calls, expected) in [
        (&["call_0", "call_1", "call_2"][..], Some("call_2")),
        // It has ended: another one at its place is selected.
        (&["call_0", "call_3", "call_4"], Some("call_3")),
        (&["call_9"], Some("call_9")),
        (&[], None),
    ] {
        server.call(calls);
        view.update(Rounds::new(true).ask(&server.ask(), SECOND).unwrap());
        assert_eq!(selected(&view).as_deref(), expected);
    }
    assert_eq!((keys(&mut view, "c"), view.asked.is_none()), (None, true));
}

#[test]
fn keys_move_between_panes_and_rows() {
    let mut view = view();
    assert_eq!(key(&mut view, KeyCode::Tab), Some(Order::Show(Pane::Calls)));
    assert_eq!(key(&mut view, KeyCode::BackTab), Some(Order::Show(Pane::Overview)));
    assert_eq!(key(&mut view, KeyCode::BackTab), Some(Order::Show(Pane::Errors)));
    assert_eq!(key(&mut view, KeyCode::Tab), Some(Order::Show(Pane::Overview)));
    let at = |view: &View| view.selected_row().map(|row| row.id).unwrap_or_default();
    for (code, id) in [
        (KeyCode::Down, "call_2"),
        (KeyCode::Down, "call_2"),
        (KeyCode::Up, "call_1"),
        (KeyCode::End, "call_2"),
        (KeyCode::Home, "call_1"),
        (KeyCode::PageDown, "call_2"),
        (KeyCode::PageUp, "call_1"),
    ] {
        key(&mut view, code);
        assert_eq!(at(&view), id, "{code:?}");
    }
    keys(&mut view, "6k");
    assert_eq!(view.scrolled, 1);
    assert!(screen(&view, 80, 24).contains(&"LOG, without the 1 newest".to_owned()));
    keys(&mut view, "G");
    assert_eq!(view.scrolled, 0);
    assert_eq!(keys(&mut view, "p"), Some(Order::Pause(true)));
    assert!(screen(&view, 80, 24)[0].contains("ready  PAUSED"));
    assert_eq!(keys(&mut view, "p"), Some(Order::Pause(false)));
    assert_eq!(keys(&mut view, "?x"), None);
    assert!(!view.shows_help && view.notice.is_none());
    assert_eq!(keys(&mut view, "q"), Some(Order::Quit));
    let control = |view: &mut View, letter| press(view, KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL));
    keys(&mut view, "d");
    assert_eq!((control(&mut view, 'l'), control(&mut view, 'c')), (Some(Order::Redraw), Some(Order::Quit)));
}

#[test]
fn only_what_is_shown_is_asked_for() {
    let server = StandIn::new();
    let ask = server.ask();
    let mut rounds = Rounds::new(false);
    let mut asked = |pane| {
        rounds.pane = pane;
        rounds.ask(&ask, SECOND).unwrap();
        server.asked()
    };
    assert_eq!(asked(Pane::Overview), ["/status", "/calls", "/latency", "/errors?window=600", "/logs?limit=200", "/samples"]);
    let later = ["/status", "/calls", "/latency", "/errors?window=600", "/logs?after=7&limit=500"];
    for _ in 0..4 {
        assert_eq!(asked(Pane::Overview), later);
    }
    assert_eq!(asked(Pane::Overview).last().map(String::as_str), Some("/samples"));
    assert_eq!(asked(Pane::Calls), ["/status", "/calls"]);
    assert_eq!(asked(Pane::Sessions), ["/status", "/calls", "/sessions"]);
    assert_eq!(asked(Pane::Circuits), ["/status", "/calls", "/circuits"]);
    assert_eq!(asked(Pane::Latency), ["/status", "/calls", "/latency"]);
    assert_eq!(asked(Pane::Errors), ["/status", "/calls", "/errors?window=600", "/logs?after=7&limit=500"]);
    // The log of another process is another one.
    server.restart(Some(4243));
    assert_eq!(asked(Pane::Errors), ["/status", "/calls", "/errors?window=600", "/logs?limit=200"]);
}

#[test]
fn a_server_that_ends_is_reported_and_its_successor_is_shown() {
    let server = StandIn::new();
    let (ask, mut rounds) = (server.ask(), Rounds::new(true));
    let mut view = view_of(&server);
    server.restart(None);
    view.fail(rounds.ask(&ask, SECOND).unwrap_err().to_string());
    let lines = screen(&view, 80, 24);
    assert_eq!(lines[..3], [OVERVIEW[0], "No answer: the server has ended", "Next: mcp-server-git doctor"]);
    assert_eq!(lines[12], OVERVIEW[12], "the last answers remain");
    server.restart(Some(5000));
    view.update(rounds.ask(&ask, SECOND).unwrap());
    let lines = screen(&view, 80, 24);
    assert_eq!((lines[0].contains("pid 5000"), lines[1].as_str()), (true, OVERVIEW[1]));
    assert_eq!(view.answers.records.len(), 2, "without the records of the other process");
}

#[test]
fn lists_that_a_server_lacks_leave_the_others() {
    let server = StandIn::new();
    let whole = server.ask();
    let older: answers::Ask = Box::new(move |question| {
        let is_new = ["/calls", "/latency", "/samples"].contains(&question.path.as_str());
        if is_new { Err(super::super::admin::Failure::Usage("no such list".to_owned())) } else { whole(question) }
    });
    let mut view = View::default();
    view.update(Rounds::new(true).ask(&older, SECOND).unwrap());
    let lines = screen(&view, 80, 24);
    assert_eq!(lines[..1], OVERVIEW[..1]);
    assert!(lines.contains(&"Not available: no such list".to_owned()));
    assert!(lines.contains(&OVERVIEW[17].to_owned()));
    assert_eq!((keys(&mut view, "c"), view.asked.is_none()), (None, true));
    let topics = answers::json(&older).unwrap();
    assert_eq!((&topics["status"]["pid"], &topics["calls"]["error"]), (&4242.into(), &"no such list".into()));
}

#[test]
fn notices_disappear() {
    let server = StandIn::new();
    let mut view = view_of(&server);
    view.say(Tone::Good, "Cancelled call_1.");
    assert_eq!(screen(&view, 80, 24)[22], "Cancelled call_1.");
    for _ in 0..5 {
        assert!(view.notice.is_some());
        view.update(Rounds::new(true).ask(&server.ask(), SECOND).unwrap());
    }
    assert!(view.notice.is_none());
}

#[test]
fn without_a_terminal_all_is_printed() {
    let text = page(&view());
    for part in OVERVIEW[..4].iter().chain(&OVERVIEW[12..15]).chain(&OVERVIEW[16..19]) {
        assert!(text.contains(part), "{part}");
    }
    for part in ["Memory  140.0 MiB", "host:443/fetch  open", "git_fetch      12", "network_timeout     61", "5e55-2"] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.ends_with(' ')));
}
