//! Percent-encoding of URIs and of the paths of requests (RFC 3986, section 2).

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but the unreserved characters.
const RESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes all but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// Decodes text. `None` if a `%` stands before something else than two digits, or the result has a NUL or is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let is_escape = |after: &str| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    // The library keeps a `%` that begins no escape.
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned()).filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_and_malformed_escapes_are_refused() {
        assert_eq!(encode("session-1_a.b~"), "session-1_a.b~");
        assert_eq!(encode("../a b?c=\u{fc}"), "..%2Fa%20b%3Fc%3D%C3%BC");
        assert_eq!(decode(&encode("\u{e4} /%\n")).as_deref(), Some("\u{e4} /%\n"));
        for malformed in ["%", "a%2", "%zz", "%+1", "%00", "%ff"] {
            assert_eq!(decode(malformed), None, "{malformed}");
        }
    }
}
