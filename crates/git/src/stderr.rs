//! What a process writes to standard error, capped.

use crate::error::Error;

/// The most files that an error names.
const MAX_LISTED: usize = 20;
/// The most standard error kept: the head and the tail of it.
const STDERR_HEAD: usize = 8 << 10;
const STDERR_TAIL: usize = 8 << 10;

/// The head and the tail of standard error.
#[derive(Default)]
pub(crate) struct Errors {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: bool,
}

impl Errors {
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(STDERR_HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        if self.tail.len() > STDERR_TAIL {
            self.tail.drain(..self.tail.len() - STDERR_TAIL);
            self.dropped = true;
        }
    }

    pub(crate) fn text(self) -> String {
        let (mut text, mut tail) = (self.head, self.tail.as_slice());
        if self.dropped {
            // An address that is in two would be taken for none.
            whole_words(&mut text);
            tail = &tail[tail.iter().position(u8::is_ascii_whitespace).unwrap_or(tail.len())..];
            text.extend_from_slice(b"\n[...]\n");
        }
        text.extend_from_slice(tail);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// Takes off the end what may be an address that is not all there.
pub(crate) fn whole_words(text: &mut Vec<u8>) {
    let word = text.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
    if text[word..].contains(&b':') {
        text.truncate(word);
    }
}

/// The files that git did not overwrite, as it lists them.
pub(crate) fn overwritten(stderr: &str) -> Option<Error> {
    let is_head = |line: &str| line.ends_with(':') && (line.contains("would be overwritten by") || line.contains("would be removed by"));
    let (at, head) = stderr.lines().enumerate().find(|(_, line)| is_head(line))?;
    let listed = stderr.lines().skip(at + 1).map_while(|line| line.strip_prefix('\t'));
    let paths: Vec<String> = listed.take(MAX_LISTED).map(|path| crate::quote::listed(path.as_bytes())).collect();
    if paths.is_empty() {
        return None;
    }
    Some(if head.contains("untracked") { Error::WouldOverwrite(paths) } else { Error::Uncommitted(paths) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_capped_to_its_ends() {
        let mut errors = Errors::default();
        errors.keep(b"first https://");
        errors.keep(&vec![b'x'; 1 << 20]);
        errors.keep(b" last");
        assert_eq!(errors.text(), "first \n[...]\n last");
        let mut errors = Errors::default();
        errors.keep(&vec![b'x'; 1 << 20]);
        assert!(errors.text().starts_with("xxx"));
        let mut errors = Errors::default();
        errors.keep(&b"word ".repeat(1 << 20));
        let text = errors.text();
        assert!(text.starts_with("word ") && text.ends_with("word ") && (16_000..20_000).contains(&text.len()));
    }
}
