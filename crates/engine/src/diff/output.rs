//! The patch of one file while it is written.

/// A patch of which only a window is kept; the rest is counted.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Bytes left out at the start.
    skip: u64,
    /// Maximum bytes kept.
    room: usize,
    /// The bytes kept.
    pub text: Vec<u8>,
    /// The size of the whole patch.
    pub size: u64,
    /// The offset of each hunk in `text`.
    pub hunks: Vec<usize>,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// Whether the content is binary and not shown.
    pub binary: bool,
}

impl Output {
    /// Keeps up to `room` bytes after the first `skip`.
    pub fn keeping(skip: u64, room: usize) -> Self {
        Self { skip, room, ..Self::default() }
    }

    /// Writes bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let skipped = usize::try_from(self.skip.saturating_sub(self.size)).unwrap_or(usize::MAX).min(bytes.len());
        let room = self.room.saturating_sub(self.text.len());
        let wanted = &bytes[skipped..];
        self.text.extend_from_slice(&wanted[..wanted.len().min(room)]);
        self.size += bytes.len() as u64;
    }

    /// Writes a line of these parts.
    pub(super) fn line(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.put(part);
        }
        self.put(b"\n");
    }

    /// Writes the line that starts a hunk.
    pub(super) fn hunk(&mut self, line: &[u8]) {
        let at = self.size.checked_sub(self.skip).and_then(|at| usize::try_from(at).ok());
        self.put(line);
        self.hunks.extend(at.filter(|at| *at < self.text.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_is_kept() {
        let mut out = Output::keeping(3, 6);
        out.line(&[b"ab"]);
        out.hunk(b"@@\n");
        out.put(b"cdef");
        out.hunk(b"@@\n");
        assert_eq!((out.text.as_slice(), out.size, out.hunks.as_slice()), (&b"@@\ncde"[..], 13, &[0][..]));
    }
}
