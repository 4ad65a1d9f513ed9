//! `top`, in a pseudo-terminal and without a terminal.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start programs and fail loudly")]

mod support;

use rustix::{
    fs::{Mode, OFlags, open},
    io::{FdFlags, fcntl_setfd},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};
use serde_json::Value;
use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};
use support::{
    Fixture,
    admin::{Administered, operate},
    out, program, signal,
    wire::{session, wait_for},
    wrapped,
};

/// Runs a program in a session without a terminal of its own.
const APART: &str = "import os,sys
os.setsid()
os.execvp(sys.argv[1],sys.argv[1:])";

/// A terminal in which `top` runs.
struct Terminal {
    /// The end of the operator: reads the screen, writes keys.
    keyboard: File,
    /// The program's end.
    device: OwnedFd,
    program: Child,
    /// All that the program has written.
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn open(server: &Administered, variables: &[(&str, &str)]) -> Self {
        Self::start((120, 40), server, variables).watched()
    }

    fn start((ws_col, ws_row): (u16, u16), server: &Administered, variables: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        // The program must not hold it: then nothing could close it.
        fcntl_setfd(&master, FdFlags::CLOEXEC).expect("a descriptor");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("its device");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let device = open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its device");
        tcsetwinsize(&device, Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 }).expect("its size");
        let end = || Stdio::from(device.try_clone().expect("a descriptor"));
        let mut command = program();
        command.arg("top").arg("--socket").arg(&server.socket).env("TERM", "xterm").envs(variables.iter().copied());
        // Apart from the terminal of the tests, whose size it would use.
        let mut command = wrapped(&command, "python3", &["-c", APART]);
        let program = command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("the program runs");
        Self { keyboard: File::from(master), device, program, shown: Arc::default() }
    }

    /// Collects all that is shown from now on.
    fn watched(self) -> Self {
        let (mut screen, kept) = (self.keyboard.try_clone().expect("a descriptor"), Arc::clone(&self.shown));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut buffer) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        self.wait_for("Overview");
        self
    }

    fn shows(&self, text: &str) -> bool {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).contains(text)
    }

    fn wait_for(&self, text: &str) {
        wait_for(text, || self.shows(text));
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("a terminal");
    }

    /// Whether the terminal reads lines, as a shell needs it.
    fn reads_lines(&self) -> bool {
        tcgetattr(self.device.as_fd()).expect("a terminal").local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// The exit code; the terminal is as before.
    fn ends(&mut self) -> Option<i32> {
        let code = self.program.wait().expect("its end").code();
        assert!(self.reads_lines());
        self.wait_for("\u{1b}[?1049l");
        self.wait_for("\u{1b}[?25h");
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.program.kill().ok();
        self.program.wait().ok();
    }
}

#[test]
fn it_ends_with_its_terminal() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for keys in ["", "p"] {
        let mut terminal = Terminal::start((120, 40), &server, &[]);
        let mut shown = String::new();
        let mut read_until = |screen: &mut File, text: &str| {
            let mut buffer = [0; 4096];
            while !shown.contains(text) {
                let count = screen.read(&mut buffer).expect("a terminal");
                shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        };
        read_until(&mut terminal.keyboard, "Overview");
        terminal.press(keys);
        // A paused view draws nothing that could fail.
        read_until(&mut terminal.keyboard, if keys.is_empty() { "Overview" } else { "PAUSED" });
        terminal.keyboard = File::open("/dev/null").expect("a file");
        let mut code = None;
        wait_for("its end", || {
            code = terminal.program.try_wait().expect("a child").map(|status| status.code());
            code.is_some()
        });
        assert_eq!(code, Some(Some(2)));
    }
}

#[test]
fn the_terminal_is_restored_at_each_end() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let mut terminal = Terminal::open(&server, &[]);
    assert!(!terminal.reads_lines() && terminal.shows("\u{1b}[?1049h"));
    terminal.press("q");
    assert_eq!(terminal.ends(), Some(0));
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let mut terminal = Terminal::open(&server, &[]);
        signal(&terminal.program.id(), name);
        assert_eq!(terminal.ends(), Some(code), "{name}");
    }
}

#[test]
fn a_terminal_without_a_size_has_a_usual_one() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let mut terminal = Terminal::start((0, 0), &server, &[]).watched();
    terminal.press("q");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn colours_honour_the_variable() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    for (variables, has_colours) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
        let mut terminal = Terminal::open(&server, variables);
        terminal.press("q");
        terminal.ends();
        assert_eq!(terminal.shows("[38;5;"), has_colours);
    }
}

#[test]
fn a_session_is_closed_after_a_question() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    session(&server.server, &[]);
    let mut terminal = Terminal::open(&server, &[]);
    terminal.press("3");
    // The title of the pane. Only words are sought: a cell that does not change is not written.
    terminal.wait_for("longer");
    terminal.press("x");
    terminal.wait_for("y/n");
    let count = || server.get("/sessions")["sessions"].as_array().map(Vec::len);
    assert_eq!(count(), Some(1));
    terminal.press("y");
    wait_for("the end of the session", || count() == Some(0));
    terminal.wait_for("Closed");
    terminal.press("\u{3}");
    assert_eq!(terminal.ends(), Some(0));
}

#[test]
fn without_a_terminal_it_prints_once() {
    let fixture = Fixture::new();
    let server = Administered::start(&fixture, &[], &[]);
    let done = operate(&server, &["top"]);
    let text = out(&done);
    assert!(done.status.success() && text.starts_with("mcp-server-git ") && text.contains("\nQUEUE "), "{text}");
    assert!(!text.contains('\u{1b}'));
    let done = operate(&server, &["top", "--json"]);
    let all: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(all["status"]["pid"], server.server.child.id());
    for topic in ["calls", "sessions", "circuits", "latency", "errors", "samples", "logs"] {
        assert!(all[topic].is_object() && !all[topic]["error"].is_string(), "{topic}: {}", all[topic]);
    }
    server.end();
    assert_eq!(operate(&server, &["top"]).status.code(), Some(2));
}
