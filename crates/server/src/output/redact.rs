//! Credentials in URLs, taken out of everything that leaves the server.

use regex::Regex;
use std::{borrow::Cow, ops::Range, sync::LazyLock};

/// `user:secret@` after any scheme, and anything before the `@` after http, where a token often stands alone.
static CREDENTIALS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)\b((?:https?://)(?:[^\s/@"'<>]+)|(?:[a-z][a-z0-9+.-]*://)(?:[^\s/@:"'<>]*:[^\s/@"'<>]+))@"#).ok());

/// What stands in the place of credentials.
const HIDDEN: &str = "***";

/// Where URLs with credentials stand in `bytes`, each from its scheme to its `@`.
pub(crate) fn credentials(bytes: &[u8]) -> Vec<Range<usize>> {
    static RAW: LazyLock<Option<regex::bytes::Regex>> =
        LazyLock::new(|| regex::bytes::Regex::new(r#"(?i)[a-z][a-z0-9+.-]*://[^\s/@"'<>]+@"#).ok());
    RAW.as_ref().map(|raw| raw.find_iter(bytes).map(|found| found.range()).collect()).unwrap_or_default()
}

/// Hides credentials in `text` and counts them.
pub(crate) fn redact(text: &str) -> (Cow<'_, str>, usize) {
    let Some(credentials) = CREDENTIALS.as_ref() else { return (Cow::Borrowed(HIDDEN), 1) };
    if !text.contains("://") {
        return (Cow::Borrowed(text), 0);
    }
    let mut count = 0;
    let hidden = credentials.replace_all(text, |found: &regex::Captures<'_>| {
        count += 1;
        let scheme = found[1].split_once("://").map_or("", |(scheme, _)| scheme);
        format!("{scheme}://{HIDDEN}@")
    });
    (hidden, count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_addresses_stay() {
        for (text, shown) in [
            ("https://user:tok@host/x", "https://***@host/x"),
            ("http://ghp_abc@github.com/a/b", "http://***@github.com/a/b"),
            ("see ftp://a:b@c and ssh://git@host/x", "see ftp://***@c and ssh://git@host/x"),
            ("https://host/a@b", "https://host/a@b"),
            ("mail a@b.example", "mail a@b.example"),
        ] {
            assert_eq!(redact(text).0, shown);
        }
    }
}
