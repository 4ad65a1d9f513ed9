//! Threads beside the terminal view: keys, answers of the server, signals. Each sends events, and none draws.

use super::{
    super::admin::Failure,
    action::Action,
    answers::{Answers, Ask, Rounds},
    keys::Order,
};
use ratatui::crossterm::event::{self, KeyEvent};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A reason to draw, or to end.
pub(super) enum Event {
    Key(KeyEvent),
    Resized,
    Answers(Box<Answers>),
    /// The server did not answer a round.
    Failed(Failure),
    /// The end of an action.
    Done(Result<String, String>),
    Signal(SignalKind),
    /// The terminal cannot be read, or a thread has panicked.
    Broken(io::Error),
}

/// Runs `body` on a thread. Its panic ends the view, which would otherwise draw over the message.
pub(super) fn spawn(name: &str, events: Sender<Event>, body: impl FnOnce(&Sender<Event>) + Send + 'static) -> io::Result<()> {
    let body = move || {
        let watched = Watched(events);
        body(&watched.0);
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

struct Watched(Sender<Event>);

impl Drop for Watched {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.send(Event::Broken(io::Error::other("a thread of this program has panicked"))).ok();
        }
    }
}

/// Sends keys until the terminal is closed.
pub(super) fn keys(events: &Sender<Event>) {
    loop {
        if let Err(err) = wait_for_input().and_then(|()| send_keys(events)) {
            events.send(Event::Broken(err)).ok();
            return;
        }
    }
}

/// Waits for input, or for the end of the terminal: the library would try to read from a closed one without a pause.
fn wait_for_input() -> io::Result<()> {
    let stdin = io::stdin();
    let mut watched = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut watched, None) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(err) => return Err(err.into()),
    }
    let is_closed = watched.iter().any(|one| one.revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL));
    if is_closed { Err(io::Error::other("the terminal is closed")) } else { Ok(()) }
}

/// Sends the keys that have been pressed.
fn send_keys(events: &Sender<Event>) -> io::Result<()> {
    while event::poll(Duration::ZERO)? {
        if let event::Event::Key(key) = event::read()?
            && key.is_press()
        {
            events.send(Event::Key(key)).map_err(|_| io::Error::other("the view has ended"))?;
        }
    }
    Ok(())
}

/// Asks the server at each interval, and at once after an action or for another pane. Ends with `orders`.
pub(super) fn answers(mut rounds: Rounds, ask: &Ask, interval: Duration, orders: &Receiver<Order>, events: &Sender<Event>) {
    let mut next = Instant::now() + interval;
    let mut is_paused = false;
    loop {
        let wait = if is_paused { Duration::MAX } else { next.saturating_duration_since(Instant::now()) };
        match orders.recv_timeout(wait) {
            Ok(Order::Show(pane)) => rounds.pane = pane,
            Ok(Order::Pause(pause)) => is_paused = pause,
            Ok(Order::Act(action)) => {
                events.send(Event::Done(act(ask, &action))).ok();
            }
            Ok(Order::Quit | Order::Redraw) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if !is_paused {
            let event = rounds.ask(ask, interval).map_or_else(Event::Failed, |new| Event::Answers(Box::new(new)));
            events.send(event).ok();
            next = Instant::now() + interval;
        }
    }
}

fn act(ask: &Ask, action: &Action) -> Result<String, String> {
    ask(&action.request()).map(|answer| action.outcome(&answer)).map_err(|why| why.to_string())
}

/// Receives the signals that end programs, and those of a new size.
pub(super) struct Signals {
    runtime: tokio::runtime::Runtime,
    ends: [(SignalKind, Signal); 3],
    resized: Signal,
}

impl Signals {
    /// Registers them: from now on none ends the program by itself.
    pub(super) fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let within = runtime.enter();
        let watch = |kind| io::Result::Ok((kind, signal(kind)?));
        let ends = [watch(SignalKind::terminate())?, watch(SignalKind::interrupt())?, watch(SignalKind::hangup())?];
        let resized = signal(SignalKind::window_change())?;
        drop(within);
        Ok(Self { runtime, ends, resized })
    }

    /// Sends each new size, and the first signal that ends.
    pub(super) fn forward(self, events: &Sender<Event>) {
        let [(terminate, mut on_terminate), (interrupt, mut on_interrupt), (hangup, mut on_hangup)] = self.ends;
        let mut resized = self.resized;
        self.runtime.block_on(async {
            loop {
                let event = tokio::select! {
                    _ = on_terminate.recv() => Event::Signal(terminate),
                    _ = on_interrupt.recv() => Event::Signal(interrupt),
                    _ = on_hangup.recv() => Event::Signal(hangup),
                    _ = resized.recv() => Event::Resized,
                };
                let is_last = matches!(event, Event::Signal(_));
                if events.send(event).is_err() || is_last {
                    return;
                }
            }
        });
    }
}
