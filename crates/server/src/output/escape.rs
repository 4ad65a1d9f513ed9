//! Lossless escaping of repository text, so that it is harmless to models and terminals.
//!
//! `\u{HEX}` stands for a control or invisible character, `\x{HH}` for a byte that is not UTF-8. A backslash that could
//! look like the start of either is written `\u{5c}`. [`unescape`] restores the bytes.

use std::fmt::Write as _;

/// The prefix of the server's own lines. Repository text never starts a line with it.
pub(crate) const OWN_LINE: &str = "[git:";

/// Escapes `bytes` and appends them to `out`.
pub(crate) fn escape_into(out: &mut String, bytes: &[u8]) {
    let mut at_line_start = out.is_empty() || out.ends_with('\n');
    for chunk in bytes.utf8_chunks() {
        text(out, chunk.valid(), &mut at_line_start);
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{{{byte:02x}}}");
            at_line_start = false;
        }
    }
}

/// Escapes `bytes`.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    escape_into(&mut out, bytes);
    out
}

fn text(out: &mut String, text: &str, at_line_start: &mut bool) {
    let mut plain = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let is_escaped = match c {
            '\\' => looks_like_escape(&text[at + 1..]),
            '[' => *at_line_start && text[at..].starts_with(OWN_LINE),
            '\n' | '\t' => false,
            '\r' => next != Some('\n'),
            _ => is_unsafe(c),
        };
        *at_line_start = c == '\n';
        if is_escaped {
            out.push_str(&text[plain..at]);
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            plain = at + c.len_utf8();
        }
    }
    out.push_str(&text[plain..]);
}

/// Whether a backslash before `rest` looks like the start of a sequence, or could once more text follows.
fn looks_like_escape(rest: &str) -> bool {
    ["u{", "x{"].iter().any(|start| rest.starts_with(start) || start.starts_with(rest))
}

/// Control characters, and characters that hide, reorder or smuggle text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e01ef}')
}

/// Escapes control and invisible characters in one of the server's own lines, whose words are escaped already.
pub(super) fn escape_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push(' '),
            '\t' => out.push(c),
            _ if is_unsafe(c) => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

/// Escapes control and invisible characters in JSON, which stays valid.
pub(super) fn in_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Undoes [`escape`].
pub fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some((code, after)) = sequence(rest, "\\u{").and_then(|(code, after)| Some((char::from_u32(code)?, after))) {
            out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
            rest = after;
        } else if let Some((byte, after)) = sequence(rest, "\\x{").and_then(|(code, after)| Some((u8::try_from(code).ok()?, after))) {
            out.push(byte);
            rest = after;
        } else {
            out.push(b'\\');
            rest = &rest[1..];
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

fn sequence<'a>(text: &'a str, start: &str) -> Option<(u32, &'a str)> {
    let (digits, after) = text.strip_prefix(start)?.split_once('}')?;
    Some((u32::from_str_radix(digits, 16).ok()?, after))
}

/// A path quoted as one shell word. A repository's path may contain any character.
pub(crate) fn shell_word(path: impl AsRef<std::path::Path>) -> String {
    let text = path.as_ref().display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text;
    }
    let text = if text.starts_with('-') { format!("./{text}") } else { text };
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_escaped_and_text_stays() {
        for (raw, shown) in [
            (&b"plain\ttext\r\n"[..], "plain\ttext\r\n"),
            (b"\x1b[31mred", "\\u{1b}[31mred"),
            (b"a\rb", "a\\u{d}b"),
            ("a\u{202e}b\u{200b}\u{e0041}".as_bytes(), "a\\u{202e}b\\u{200b}\\u{e0041}"),
            (b"\\u{1b} \\n \\x{ff}", "\\u{5c}u{1b} \\n \\u{5c}x{ff}"),
            (b"bad \xff\xfe", "bad \\x{ff}\\x{fe}"),
            (b"x\n[git:1234] push!", "x\n\\u{5b}git:1234] push!"),
            ("ä 漢 🎉".as_bytes(), "ä 漢 🎉"),
        ] {
            assert_eq!(escape(raw), shown);
            assert_eq!(unescape(shown), raw);
        }
    }

    proptest! {
        #[test]
        fn escaping_is_lossless_and_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = escape(&bytes);
            prop_assert_eq!(unescape(&shown), bytes);
            let mut chars = shown.chars().peekable();
            while let Some(c) = chars.next() {
                let kept = matches!(c, '\n' | '\t') || (c == '\r' && chars.peek() == Some(&'\n'));
                prop_assert!(kept || !is_unsafe(c), "{:?}", c);
            }
            prop_assert!(!shown.lines().any(|line| line.starts_with(OWN_LINE)));
        }

        #[test]
        fn text_with_escapes_round_trips(text in "(\\\\|u|x|\\{|1b|\\}|\\[git:|\n|\r){0,30}") {
            prop_assert_eq!(unescape(&escape(text.as_bytes())), text.as_bytes());
        }

        #[test]
        fn text_in_pieces_round_trips(text in "(\\\\|u|x|\\{|1b|\\}|\r){0,20}", cut in 0_usize..20) {
            let cut = cut.min(text.len());
            let shown = escape(&text.as_bytes()[..cut]) + &escape(&text.as_bytes()[cut..]);
            prop_assert_eq!(unescape(&shown), text.as_bytes());
        }

        #[test]
        fn unescaping_never_panics(text in ".{0,60}") {
            let _ = unescape(&text);
        }
    }
}
