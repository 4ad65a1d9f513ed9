//! git's C-style quoting of paths, both ways.

/// Quotes `path` as git does if it contains special characters, with `prefix` inside the quotes.
///
/// `ascii` is `core.quotePath`, git's default: it also writes bytes from 0x80 on in octal.
pub fn quoted(prefix: &[u8], path: &[u8], ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefix.len() + path.len() + 2);
    if !path.iter().any(|&byte| needs_quotes(byte, ascii)) {
        out.extend_from_slice(prefix);
        out.extend_from_slice(path);
        return out;
    }
    out.push(b'"');
    out.extend_from_slice(prefix);
    for &byte in path {
        match byte {
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            _ if needs_quotes(byte, ascii) => out.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
    out
}

fn needs_quotes(byte: u8, ascii: bool) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\' || byte == 0x7f || (ascii && byte >= 0x80)
}

/// Quotes `path` for a listing: keeps UTF-8 and writes invalid bytes in octal.
pub fn listed(path: &[u8]) -> String {
    String::from_utf8(quoted(b"", path, false)).unwrap_or_else(|_| String::from_utf8_lossy(&quoted(b"", path, true)).into_owned())
}

/// Undoes [`quoted`]. `None` if `text` is not a well-formed quoted string.
pub fn unquoted(text: &[u8]) -> Option<Vec<u8>> {
    let inner = text.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'"' {
            return None;
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next()? {
            b'a' => 0x07,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            raw @ (b'"' | b'\\') => raw,
            first @ b'0'..=b'3' => {
                let mut value = first - b'0';
                for _ in 0..2 {
                    let digit = bytes.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                    value = value * 8 + (digit - b'0');
                }
                value
            }
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_as_git_does() {
        for (path, ascii, expect) in [
            (&b"plain name.txt"[..], true, &b"a/plain name.txt"[..]),
            ("ä".as_bytes(), true, b"\"a/\\303\\244\""),
            ("ä".as_bytes(), false, "a/ä".as_bytes()),
            (b"tab\there", true, b"\"a/tab\\there\""),
            (b"q\"b\\", true, b"\"a/q\\\"b\\\\\""),
        ] {
            assert_eq!(quoted(b"a/", path, ascii), expect);
        }
    }

    proptest! {
        #[test]
        fn unquoting_restores_the_path(path in proptest::collection::vec(any::<u8>(), 0..40), ascii: bool) {
            let text = quoted(b"", &path, ascii);
            if text.starts_with(b"\"") {
                prop_assert_eq!(unquoted(&text), Some(path));
            } else {
                prop_assert_eq!(text, path);
            }
        }

        #[test]
        fn unquoting_never_panics(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = unquoted(&text);
        }
    }
}
