//! What a client's roots say: they may narrow what the operator allows, and never widen it.

use std::path::PathBuf;

/// The directory that a `file://` URI names.
pub(super) fn directory(uri: &str) -> Option<PathBuf> {
    let path = uri.strip_prefix("file://")?;
    // A host other than this machine names nothing here.
    let path = path.strip_prefix("localhost").unwrap_or(path);
    if !path.starts_with('/') {
        return None;
    }
    Some(PathBuf::from(decode(path)?))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_directories_count() {
        assert_eq!(directory("file:///a%20b/c"), Some("/a b/c".into()));
        assert_eq!(directory("file://localhost/a"), Some("/a".into()));
        for other in ["file://host/a", "http://x/a", "/a", "file:///%zz"] {
            assert_eq!(directory(other), None, "{other}");
        }
    }
}
