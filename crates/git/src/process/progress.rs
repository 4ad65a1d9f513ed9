//! Parses the progress output of transfers.

use crate::process::stderr::whole_words;
use std::time::{Duration, SystemTime};

/// The progress of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase, in git's words.
    pub phase: String,
    /// Number of items done.
    pub done: u64,
    /// The total, if known.
    pub total: Option<u64>,
}

/// Callback for progress.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// curl's messages for a truncated response.
const BROKEN: [&str; 5] = ["transfer closed", "Recv failure", "too slow", "timed out", "Empty reply"];

/// Maximum `Retry-After`: no circuit is paused for longer.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// Maximum length of a line.
const MAX_LINE: usize = 16 << 10;

/// The outcome of the HTTP exchange of a transfer, from git's trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The last status.
    pub(crate) status: Option<u16>,
    /// The `Location` of the last response.
    pub(crate) location: Option<String>,
    /// The `Retry-After` of the last response.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the last response was truncated.
    pub(crate) broken: bool,
    /// Whether a request was sent or about to be.
    pub(crate) began: bool,
}

/// Splits standard error into progress, the trace of the HTTP exchange, and messages.
pub(crate) struct Listener<'a> {
    on_progress: OnProgress<'a>,
    line: Vec<u8>,
    /// The line ended with a carriage return: what follows overwrites it, unless it is a newline.
    returned: bool,
    pub(crate) exchange: Exchange,
}

impl<'a> Listener<'a> {
    pub(crate) fn new(on_progress: OnProgress<'a>) -> Self {
        Self { on_progress, line: Vec::new(), returned: false, exchange: Exchange::default() }
    }

    /// Processes output and returns its messages.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = Vec::new();
        for &byte in bytes {
            match byte {
                b'\r' if self.is_ours() => self.line.clear(),
                b'\r' => self.returned = true,
                b'\n' => {
                    if !self.is_ours() {
                        self.end_at_a_word();
                        kept.extend_from_slice(&self.line);
                        kept.push(b'\n');
                    }
                    self.line.clear();
                    self.returned = false;
                }
                _ => {
                    if std::mem::take(&mut self.returned) {
                        self.line.clear();
                    }
                    if self.line.len() < MAX_LINE {
                        self.line.push(byte);
                    }
                }
            }
        }
        kept
    }

    /// The unterminated last line.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        if self.is_ours() {
            return Vec::new();
        }
        self.end_at_a_word();
        std::mem::take(&mut self.line)
    }

    /// In a truncated URL the credentials could not be recognised.
    fn end_at_a_word(&mut self) {
        if self.line.len() >= MAX_LINE {
            whole_words(&mut self.line);
        }
    }

    fn is_ours(&mut self) -> bool {
        let text = String::from_utf8_lossy(&self.line);
        if let Some(record) = traced(&text) {
            self.exchange.began = true;
            if let Some(header) = record.strip_prefix("<= Recv header: ") {
                self.exchange.note(header);
            } else if let Some(said) = record.strip_prefix("== Info: ") {
                // curl's messages, as git does not pass on its error code.
                self.exchange.broken |= BROKEN.iter().any(|words| said.contains(words));
            }
            return true;
        }
        match progress(&text) {
            Some(progress) => (self.on_progress)(progress),
            None => return false,
        }
        true
    }
}

impl Exchange {
    fn note(&mut self, header: &str) {
        if let Some(rest) = header.strip_prefix("HTTP/") {
            let status = rest.split_ascii_whitespace().nth(1).and_then(|code| code.parse().ok());
            *self = Self { status, began: true, ..Self::default() };
        } else if let Some((name, value)) = header.split_once(':') {
            if name.eq_ignore_ascii_case("location") {
                // The URL is embedded in text, where a space would end it.
                self.location = Some(value.trim().replace(' ', "%20"));
            } else if name.eq_ignore_ascii_case("retry-after") {
                self.retry_after = retry_after(value.trim());
            }
        }
    }
}

/// Parses `Retry-After`: seconds, or an HTTP date (RFC 9110, 10.2.3). A past date means no wait.
fn retry_after(value: &str) -> Option<Duration> {
    let seconds = || value.parse().ok().map(Duration::from_secs);
    let until = || Some(httpdate::parse_http_date(value).ok()?.duration_since(SystemTime::now()).unwrap_or_default());
    seconds().or_else(until).map(|wait| wait.min(MAX_WAIT))
}

/// The record in a line of git's trace: `12:34:56.123456 http.c:123   <= Recv header: …`.
fn traced(line: &str) -> Option<&str> {
    let (time, rest) = line.split_once(' ')?;
    let is_time = time.len() == 15
        && time.bytes().enumerate().all(|(at, byte)| if matches!(at, 2 | 5) { byte == b':' } else { byte.is_ascii_digit() || at == 8 });
    let (_, record) = rest.strip_prefix("http.c:")?.split_once(' ')?;
    is_time.then(|| record.trim_start())
}

/// Reads `Receiving objects:  42% (3/7), 1.2 MiB | 3 MiB/s` and `Enumerating objects: 5, done.`
fn progress(line: &str) -> Option<Progress> {
    let line = line.trim_end().strip_prefix("remote: ").unwrap_or(line).trim();
    let (phase, rest) = line.split_once(": ")?;
    let is_phase = !phase.is_empty() && phase.len() <= 60 && phase.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b' ');
    if !is_phase {
        return None;
    }
    let rest = rest.trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = rest[..digits].parse().ok()?;
    let after = &rest[digits..];
    let Some(fraction) = after.strip_prefix("% (") else {
        // A bare count; anything else is a message that happens to start with a number.
        let counted = after.is_empty() || after.starts_with(", done");
        return counted.then(|| Progress { phase: phase.to_owned(), done: number, total: None });
    };
    let (done, total) = fraction.split_once(')')?.0.split_once('/')?;
    Some(Progress { phase: phase.to_owned(), done: done.parse().ok()?, total: Some(total.parse().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;

    #[test]
    fn progress_and_traces_are_separated_from_messages() {
        let seen = Mutex::new(Vec::new());
        let on_progress = |progress: Progress| seen.lock().push(progress);
        let mut listener = Listener::new(&on_progress);
        let text = b"remote: Enumerating objects: 5, done.\nReceiving objects:  42% (3/7)\rReceiving obj";
        let mut kept = listener.feed(text);
        kept.extend(listener.feed(b"ects: 100% (7/7), 1.20 KiB | 1.2 MiB/s, done.\nremote: no: 5 problems\n"));
        kept.extend(listener.feed(b"12:34:56.123456 http.c:800              <= Recv header: HTTP/1.1 302 Found\n"));
        kept.extend(listener.feed(b"12:34:56.123456 http.c:800              <= Recv header: Location: http://x/y\nfatal: x"));
        kept.extend(listener.rest());
        assert_eq!(String::from_utf8_lossy(&kept), "remote: no: 5 problems\nfatal: x");
        assert_eq!(
            listener.exchange,
            Exchange { status: Some(302), location: Some("http://x/y".to_owned()), began: true, ..Exchange::default() }
        );
        let last = Progress { phase: "Receiving objects".to_owned(), done: 7, total: Some(7) };
        let seen = seen.lock();
        assert_eq!((seen.len(), seen.last()), (3, Some(&last)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let minute = SystemTime::now() + Duration::from_mins(1);
        let near = retry_after(&httpdate::fmt_http_date(minute)).unwrap_or_default();
        assert!((Duration::from_secs(50)..=Duration::from_mins(1)).contains(&near), "{near:?}");
        for (value, wait) in [
            ("120", Some(120)),
            ("4000000000", Some(3600)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value), wait.map(Duration::from_secs), "{value}");
        }
        // The two obsolete date formats that recipients must accept.
        for value in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            assert_eq!(retry_after(value), Some(Duration::ZERO), "{value}");
        }
    }

    #[test]
    fn a_long_line_is_cut_at_a_word() {
        let mut listener = Listener::new(&|_| ());
        let line = format!("unable to access 'https://{}:secret@host'\n", "u".repeat(MAX_LINE));
        assert_eq!(listener.feed(line.as_bytes()), b"unable to access \n");
    }

    #[test]
    fn a_line_may_end_with_crlf() {
        let mut listener = Listener::new(&|_| ());
        assert_eq!(listener.feed(b"Permission denied.\r\nover\rwritten\n"), b"Permission denied.\nwritten\n");
        assert_eq!(listener.feed(b"split\r"), b"");
        assert_eq!(listener.feed(b"\nnext\n"), b"split\nnext\n");
    }
}
