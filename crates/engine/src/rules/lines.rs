//! Line ends, and what git takes for text.

use memchr::memchr_iter;

/// What a content's kind depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) has_crlf: bool,
    /// git takes it for binary.
    pub(super) is_binary: bool,
}

impl Lines {
    pub(super) fn of(content: &[u8]) -> Self {
        let crlf = crlf(content).count();
        let mut bytes = [0_usize; 256];
        for &byte in content {
            if let Some(count) = bytes.get_mut(usize::from(byte)) {
                *count += 1;
            }
        }
        let count = |byte: u8| bytes.get(usize::from(byte)).copied().unwrap_or_default();
        let lone_cr = count(b'\r') - crlf;
        // Backspace, tab, form feed and escape are usual in text; so is an end-of-file mark, at the end.
        let is_unusual = |byte: &u8| matches!(byte, 0..32 | 127) && !matches!(byte, 8 | b'\t' | b'\n' | 12 | b'\r' | 27);
        let unusual: usize = (0..=127).filter(is_unusual).map(count).sum();
        let printable = content.len() - unusual - count(b'\n') - count(b'\r');
        let unusual = unusual - usize::from(content.last() == Some(&26));
        Self { has_crlf: crlf > 0, is_binary: lone_cr > 0 || count(0) > 0 || printable >> 7 < unusual }
    }
}

/// The positions of each CRLF.
fn crlf(content: &[u8]) -> impl Iterator<Item = usize> {
    memchr_iter(b'\r', content).filter(|at| content.get(at + 1) == Some(&b'\n'))
}

pub(super) fn has_crlf(content: &[u8]) -> bool {
    crlf(content).next().is_some()
}

/// Replaces each CRLF by LF.
pub(super) fn to_lf(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut from = 0;
    for at in crlf(content) {
        out.extend_from_slice(content.get(from..at).unwrap_or_default());
        from = at + 1;
    }
    out.extend_from_slice(content.get(from..).unwrap_or_default());
    out
}

/// Replaces each LF without CR by CRLF.
pub(super) fn to_crlf(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + content.len() / 32);
    let mut from = 0;
    for at in memchr_iter(b'\n', content) {
        out.extend_from_slice(content.get(from..at).unwrap_or_default());
        if !out.ends_with(b"\r") {
            out.push(b'\r');
        }
        from = at;
    }
    out.extend_from_slice(content.get(from..).unwrap_or_default());
    out
}
