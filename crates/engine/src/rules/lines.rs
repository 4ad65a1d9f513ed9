//! Line ends, and what git takes for text.

/// Counts of what a content's kind depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lines {
    /// CR without LF.
    pub(super) lone_cr: usize,
    pub(super) crlf: usize,
    nul: usize,
    printable: usize,
    unprintable: usize,
}

impl Lines {
    pub(super) fn count(content: &[u8]) -> Self {
        let mut found = Self::default();
        let mut bytes = content.iter().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                b'\r' if bytes.next_if_eq(&&b'\n').is_some() => found.crlf += 1,
                b'\r' => found.lone_cr += 1,
                b'\n' => {}
                0 => {
                    found.nul += 1;
                    found.unprintable += 1;
                }
                // Backspace, tab, escape and form feed are usual in text.
                8 | b'\t' | 27 | 12 => found.printable += 1,
                0..32 | 127 => found.unprintable += 1,
                _ => found.printable += 1,
            }
        }
        // An end-of-file mark is usual too, at the end.
        if content.last() == Some(&26) {
            found.unprintable -= 1;
        }
        found
    }

    /// Whether git takes the content for binary.
    pub(super) fn is_binary(&self) -> bool {
        self.lone_cr > 0 || self.nul > 0 || self.printable >> 7 < self.unprintable
    }
}

pub(super) fn has_crlf(content: &[u8]) -> bool {
    let mut rest = content;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\r') {
        rest = rest.get(at + 1..).unwrap_or_default();
        if rest.first() == Some(&b'\n') {
            return true;
        }
    }
    false
}

/// Replaces each CRLF by LF.
pub(super) fn to_lf(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        if let Some(text) = line.strip_suffix(b"\r\n") {
            out.extend_from_slice(text);
            out.push(b'\n');
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

/// Replaces each LF without CR by CRLF.
pub(super) fn to_crlf(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + content.len() / 32);
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(text) if !text.ends_with(b"\r") => {
                out.extend_from_slice(text);
                out.extend_from_slice(b"\r\n");
            }
            _ => out.extend_from_slice(line),
        }
    }
    out
}
