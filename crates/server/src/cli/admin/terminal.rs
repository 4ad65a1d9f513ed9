//! Terminal output: colours, width and end.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IsTerminal};

/// Markers of problems in reports.
const BAD: [&str; 6] = ["LATE", "FAILED", "PROBLEM", "State: open", "Spike:", "Burning:"];
const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const BOLD: &str = "\u{1b}[1m";
const PLAIN: &str = "\u{1b}[0m";

/// The columns of the terminal; `None` without a terminal.
pub(super) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns >= 40)
}

/// Whether the other end of standard output is closed, which a write would also report.
pub(super) fn is_closed() -> bool {
    let stdout = io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    poll(&mut watched, Some(&Timespec::default())).is_ok() && watched[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// The text, in colours on a terminal unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn painted(text: &str) -> String {
    let wanted = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted { paint(text) } else { text.to_owned() }
}

fn paint(text: &str) -> String {
    let colour = |line: &str| {
        if line.starts_with("Verdict: fine") {
            Some(GREEN)
        } else if line.starts_with("Verdict: ") || BAD.iter().any(|bad| line.contains(bad)) {
            Some(RED)
        } else if line.contains("Warning:") || line.starts_with("Too many") {
            Some(YELLOW)
        } else {
            let is_head = line.len() > 1 && line.split_whitespace().all(|word| word.chars().all(|c| c.is_ascii_uppercase()));
            is_head.then_some(BOLD)
        }
    };
    let lines: Vec<String> =
        text.lines().map(|line| colour(line).map_or_else(|| line.to_owned(), |colour| format!("{colour}{line}{PLAIN}"))).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_red_and_other_lines_are_unchanged() {
        let painted = paint("Verdict: 1 problem\nID  KIND\nws-1  LATE\nUptime: 3s");
        assert_eq!(painted, format!("{RED}Verdict: 1 problem{PLAIN}\n{BOLD}ID  KIND{PLAIN}\n{RED}ws-1  LATE{PLAIN}\nUptime: 3s"));
    }
}
