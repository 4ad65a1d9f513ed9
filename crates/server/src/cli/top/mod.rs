//! `top`: a running server in the terminal, updated each second.

mod action;
mod answers;
mod draw;
mod feed;
mod header;
mod keys;
mod line;
mod load;
mod log;
mod panes;
mod spark;
#[cfg(test)]
mod stand_in;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod view;

use super::{
    admin::{Client, Failure, Reach, failed, parse_duration},
    say,
};
use crate::config::Config;
use answers::{Answers, Ask, Rounds};
use clap::Args;
use feed::{Event, Signals};
use keys::Order;
use line::Tone;
use ratatui::{
    DefaultTerminal, Terminal, TerminalOptions, Viewport, backend::CrosstermBackend, crossterm::terminal::is_raw_mode_enabled, layout::Rect,
};
use std::{
    cell::RefCell,
    env,
    io::{self, IsTerminal},
    mem::ManuallyDrop,
    process::ExitCode,
    sync::mpsc::{Sender, channel},
    time::Duration,
};
use view::View;

/// The shortest and the longest interval.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(1));

/// The size of a terminal that reports none.
const USUAL: Rect = Rect { x: 0, y: 0, width: 80, height: 24 };

/// The options of `top`.
#[derive(Args)]
pub(super) struct Options {
    /// Time between updates; at least one second.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "1s")]
    interval: Duration,
    #[command(flatten)]
    reach: Reach,
}

/// Shows a running server until a key or a signal ends the view. Without a terminal, prints its state once.
pub(super) fn run(options: &Options, config: Config) -> ExitCode {
    let Options { interval, reach } = options;
    let interval = (*interval).clamp(INTERVALS.0, INTERVALS.1);
    let shown = asking(reach.clone(), config).and_then(|ask| if reach.json { print_json(&ask) } else { show(ask, interval) });
    shown.unwrap_or_else(|why| failed(reach, &why))
}

/// Asks the selected server, and once that has ended, another one that the selection fits.
fn asking(reach: Reach, config: Config) -> Result<Ask, Failure> {
    let client = RefCell::new(Client::find(&reach, &config)?);
    Ok(Box::new(move |question| {
        let answer = client.borrow().ask(question);
        // Only for this request: no action may reach another server than the one that is shown.
        if question.path == answers::STATUS && matches!(answer, Err(Failure::Unreachable { .. })) {
            client.replace(Client::find(&reach, &config)?);
            return client.borrow().ask(question);
        }
        answer
    }))
}

fn print_json(ask: &Ask) -> Result<ExitCode, Failure> {
    say(&format!("{:#}", answers::json(ask)?));
    Ok(ExitCode::SUCCESS)
}

fn show(ask: Ask, interval: Duration) -> Result<ExitCode, Failure> {
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    let is_shown = io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb;
    let mut rounds = Rounds::new(!is_shown);
    let first = rounds.ask(&ask, interval)?;
    if is_shown {
        return Ok(watch(ask, rounds, first, interval)?);
    }
    let mut view = View::default();
    view.update(first);
    say(&draw::page(&view));
    Ok(ExitCode::SUCCESS)
}

/// The terminal while it shows the view. Dropped, it is as before: not by its own destructor, which fails with a closed terminal.
struct Screen(ManuallyDrop<DefaultTerminal>);

impl Screen {
    /// A panic restores the terminal, too, before it is reported.
    fn new() -> io::Result<Self> {
        let mut screen = ratatui::try_init().map(ManuallyDrop::new).map(Self).inspect_err(|_| restore())?;
        let size = screen.0.size()?;
        // Serial consoles and some containers report no size.
        if size.width == 0 || size.height == 0 {
            let options = TerminalOptions { viewport: Viewport::Fixed(USUAL) };
            screen.0 = ManuallyDrop::new(Terminal::with_options(CrosstermBackend::new(io::stdout()), options)?);
        }
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.0.show_cursor().ok();
        restore();
    }
}

/// Does nothing if a panic has already restored it: the message would be overwritten.
fn restore() {
    if is_raw_mode_enabled().unwrap_or(true) {
        ratatui::try_restore().ok();
    }
}

fn watch(ask: Ask, rounds: Rounds, first: Answers, interval: Duration) -> io::Result<ExitCode> {
    let (events, received) = channel();
    let (orders, ordered) = channel();
    let signals = Signals::new()?;
    let mut screen = Screen::new()?;
    feed::spawn("signals", events.clone(), |events| signals.forward(events))?;
    feed::spawn("keys", events.clone(), feed::keys)?;
    feed::spawn("answers", events.clone(), move |events| feed::answers(rounds, &ask, interval, &ordered, events))?;
    let has_colours = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut view = View::default();
    view.update(first);
    loop {
        screen.0.draw(|frame| draw::draw(frame, &view, has_colours))?;
        // This function holds a sender: there is always a next event.
        let Ok(event) = received.recv() else { return Ok(ExitCode::SUCCESS) };
        if let Some(code) = handle(event, &mut view, &orders, &mut screen)? {
            return Ok(code);
        }
    }
}

/// Applies an event. Returns the exit code if it ends the view.
fn handle(event: Event, view: &mut View, orders: &Sender<Order>, screen: &mut Screen) -> io::Result<Option<ExitCode>> {
    match event {
        Event::Answers(new) => view.update(*new),
        Event::Failed(why) => view.fail(why.to_string()),
        Event::Done(Ok(text)) => view.say(Tone::Good, text),
        Event::Done(Err(why)) => view.say(Tone::Bad, format!("Not done: {why}")),
        Event::Resized => {}
        Event::Broken(err) => return Err(err),
        // As a shell reports a program that a signal has ended.
        Event::Signal(kind) => return Ok(Some(ExitCode::from(u8::try_from(128 + kind.as_raw_value()).unwrap_or(1)))),
        Event::Key(key) => match keys::press(view, key) {
            None => {}
            Some(Order::Quit) => return Ok(Some(ExitCode::SUCCESS)),
            Some(Order::Redraw) => screen.0.clear()?,
            Some(order) => {
                orders.send(order).ok();
            }
        },
    }
    Ok(None)
}
