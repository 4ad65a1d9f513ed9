//! What a process writes to standard error, capped.

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
        let mut text = self.head;
        if self.dropped {
            text.extend_from_slice(b"\n[...]\n");
        }
        text.extend_from_slice(&self.tail);
        String::from_utf8_lossy(&text).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_capped_to_its_ends() {
        let mut errors = Errors::default();
        errors.keep(b"first");
        errors.keep(&vec![b'x'; 1 << 20]);
        errors.keep(b"last");
        let text = errors.text();
        assert!(text.starts_with("first") && text.ends_with("last") && text.len() < 20_000);
    }
}
