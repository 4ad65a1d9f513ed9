//! Redaction of secrets in URLs, in all output of the server.
//!
//! Content (files, patches, commit messages) stays as git shows it, except for credentials before the `@` of a URL. In
//! text from configuration, remotes and transports a URL keeps only its harmless parts.

use regex::Regex;
use std::{borrow::Cow, ops::Range, sync::LazyLock};

/// The origin of a text, which determines how URLs in it are redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, a patch, a message, a name.
    Content,
    /// Text from git, a hook, a remote or the configuration, which may contain URLs.
    Transport,
    /// A single URL.
    Address,
}

/// `user:secret@` after any scheme, and anything before `@` after http, where a token often stands alone.
static CREDENTIALS: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)\b((?:https?://)(?:[^\s/@"'<>]+)|(?:[a-z][a-z0-9+.-]*://)(?:[^\s/@:"'<>]*:[^\s/@"'<>]+))@"#).ok());
/// The start of a URL.
static SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)[a-z][a-z0-9+.-]*://").ok());
/// `user:secret@host:path`, as scp writes it.
static SCP: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"([^\s/@:'"`<>()=,]+)(:[^\s@'"`<>]+)?@([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([^\s'"`<>]*)"#).ok());

/// The replacement for a secret.
const HIDDEN: &str = "***";
/// Query parameters whose values are not secret. All other values are hidden.
const HARMLESS: [&str; 5] = ["service", "ref", "branch", "version", "api-version"];
/// Maximum length of a harmless parameter's value, and of any parameter's name.
const MAX_VALUE: usize = 64;

/// The ranges of URLs with credentials in `bytes`, each from its scheme to its `@`.
pub(crate) fn credentials(bytes: &[u8]) -> Vec<Range<usize>> {
    static RAW: LazyLock<Option<regex::bytes::Regex>> =
        LazyLock::new(|| regex::bytes::Regex::new(r#"(?i)[a-z][a-z0-9+.-]*://[^\s/@"'<>]+@"#).ok());
    RAW.as_ref().map(|raw| raw.find_iter(bytes).map(|found| found.range()).collect()).unwrap_or_default()
}

/// Hides secrets in `text` and counts them.
pub(crate) fn redact(text: &str, origin: Origin) -> (Cow<'_, str>, usize) {
    let (Some(credentials), Some(scheme), Some(scp)) = (CREDENTIALS.as_ref(), SCHEME.as_ref(), SCP.as_ref()) else {
        return (Cow::Borrowed(HIDDEN), 1);
    };
    if origin != Origin::Content {
        if !text.contains("://") && !text.contains('@') && origin == Origin::Transport {
            return (Cow::Borrowed(text), 0);
        }
        let mut cleared = Cleared { out: String::with_capacity(text.len()), count: 0 };
        match origin {
            Origin::Address => cleared.address(text, scheme),
            _ => cleared.text(text, scheme, scp),
        }
        return (Cow::Owned(cleared.out), cleared.count);
    }
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

/// Whether `text` begins with a URL scheme.
pub(crate) fn is_url(text: &str) -> bool {
    SCHEME.as_ref().and_then(|scheme| scheme.find(text)).is_some_and(|found| found.start() == 0)
}

/// A text whose URLs are redacted.
struct Cleared {
    out: String,
    count: usize,
}

impl Cleared {
    fn hide(&mut self) {
        self.out.push_str(HIDDEN);
        self.count += 1;
    }

    /// Redacts URLs in any text.
    fn text(&mut self, text: &str, scheme: &Regex, scp: &Regex) {
        let mut at = 0;
        while let Some(found) = scheme.find_at(text, at) {
            self.words(&text[at..found.start()], scp);
            let end = end_of(text, found.range());
            self.url(&text[found.start()..end]);
            at = end;
        }
        self.words(&text[at..], scp);
    }

    /// Redacts text between URLs, which may contain scp-style addresses.
    fn words(&mut self, text: &str, scp: &Regex) {
        let mut at = 0;
        for found in scp.captures_iter(text) {
            let Some(all) = found.get(0) else { continue };
            self.out.push_str(&text[at..all.start()]);
            at = all.end();
            if found.get(2).is_some() {
                self.hide();
            } else {
                self.out.push_str(&found[1]);
            }
            self.out.extend(["@", &found[3], ":"]);
            self.path(found.get(4).map_or("", |path| path.as_str()));
        }
        self.out.push_str(&text[at..]);
    }

    /// Redacts a text that is a single URL, whatever characters it contains.
    fn address(&mut self, text: &str, scheme: &Regex) {
        if let Some(found) = scheme.find(text) {
            // `HELPER::` may precede it.
            self.out.push_str(&text[..found.start()]);
            return self.url(&text[found.start()..]);
        }
        let folder = text.find('/').unwrap_or(text.len());
        let Some(colon) = text[..folder].find(':').filter(|_| !text.starts_with(['.', '/'])) else {
            // A path.
            self.out.push_str(text);
            return;
        };
        // A password may contain a slash.
        let host = text[..folder].rfind('@').or_else(|| text.rfind('@')).map_or(0, |at| at + 1);
        if host > colon {
            self.hide();
            self.out.push('@');
        } else {
            self.out.push_str(&text[..host]);
        }
        self.path(&text[host..]);
    }

    fn url(&mut self, text: &str) {
        let (scheme, rest) = text.split_once("://").unwrap_or((text, ""));
        self.out.extend([scheme, "://"]);
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        if let Some(at) = authority.rfind('@') {
            let user = &authority[..at];
            if is_http || user.contains(':') || find_coded(user, "%3a").is_some() {
                self.hide();
            } else {
                self.out.push_str(user);
            }
            self.out.push_str(&authority[at..]);
            return self.path(rest);
        }
        let port = authority.rsplit_once(']').map_or(authority, |(_, port)| port).split_once(':').map(|(_, port)| port);
        let Some(password) = port.filter(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) else {
            self.out.push_str(authority);
            return self.path(rest);
        };
        // A slash in a password, or a URL that was cut before its `@`.
        if let Some(at) = rest.rfind('@') {
            self.hide();
            return self.path(&rest[at..]);
        }
        self.out.push_str(&authority[..authority.len() - password.len()]);
        self.hide();
        self.path(rest);
    }

    /// Redacts what follows the host: a path with parameters, a query, a fragment.
    fn path(&mut self, text: &str) {
        let first = |text: &str, plain: char, coded: &str| [text.find(plain), find_coded(text, coded)].into_iter().flatten().min();
        let (text, fragment) = text.split_at(first(text, '#', "%23").unwrap_or(text.len()));
        let (path, query) = text.split_at(first(text, '?', "%3f").unwrap_or(text.len()));
        let mut segments = path.split(';');
        self.out.push_str(segments.next().unwrap_or_default());
        for segment in segments {
            self.out.push(';');
            let (parameter, rest) = segment.split_at(segment.find('/').unwrap_or(segment.len()));
            self.parameter(parameter);
            self.out.push_str(rest);
        }
        if !query.is_empty() {
            let (mark, query) = query.split_at(if query.starts_with('?') { 1 } else { 3 });
            self.out.push_str(mark);
            for part in query.split_inclusive(['&', ';']) {
                let parameter = part.strip_suffix(['&', ';']).unwrap_or(part);
                self.parameter(parameter);
                self.out.push_str(&part[parameter.len()..]);
            }
        }
        if !fragment.is_empty() {
            self.out.push_str(if fragment.starts_with('#') { "#" } else { &fragment[..3] });
            self.hide();
        }
    }

    fn parameter(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        // A parameter without a value may itself be the secret, and a token may end in `=`.
        let named = text.split_once('=').filter(|(name, value)| is_name(name) && !value.is_empty() && !value.starts_with('='));
        if let Some((name, value)) = named {
            if is_harmless(name, value) {
                self.out.push_str(text);
                return;
            }
            self.out.extend([name, "="]);
        }
        self.hide();
    }
}

fn is_name(text: &str) -> bool {
    (1..=MAX_VALUE).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.%[]".contains(&byte))
}

fn is_harmless(name: &str, value: &str) -> bool {
    HARMLESS.iter().any(|known| known.eq_ignore_ascii_case(name))
        && value.len() <= MAX_VALUE
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

/// The position of `code` in `text`, ignoring case.
fn find_coded(text: &str, code: &str) -> Option<usize> {
    text.as_bytes().windows(code.len()).position(|window| window.eq_ignore_ascii_case(code.as_bytes()))
}

/// The end of the URL whose scheme is at `start`: the closing quote if it is quoted, otherwise the next space.
fn end_of(text: &str, start: Range<usize>) -> usize {
    let line = text[start.end..].find('\n').map_or(text.len(), |at| start.end + at);
    let rest = &text[start.end..line];
    let quote = text[..start.start].chars().next_back().filter(|quote| matches!(quote, '\'' | '"' | '`' | '<'));
    let closing = quote.and_then(|quote| {
        let closing = if quote == '<' { '>' } else { quote };
        // A quote inside the URL is followed by more of it.
        rest.match_indices(closing).find(|(at, _)| !rest[at + 1..].starts_with(char::is_alphanumeric)).map(|(at, _)| at)
    });
    let open = || rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>' | '`')).unwrap_or(rest.len());
    start.end + closing.unwrap_or_else(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_are_hidden_and_urls_stay() {
        for (text, shown) in [
            ("https://user:tok@host/x", "https://***@host/x"),
            ("http://ghp_abc@github.com/a/b", "http://***@github.com/a/b"),
            ("see ftp://a:b@c and ssh://git@host/x", "see ftp://***@c and ssh://git@host/x"),
            ("https://host/a@b", "https://host/a@b"),
            ("mail a@b.example", "mail a@b.example"),
        ] {
            assert_eq!(redact(text, Origin::Content).0, shown);
            assert_eq!(redact(text, Origin::Transport).0, shown);
        }
    }

    #[test]
    fn content_keeps_its_queries() {
        for text in ["GET https://host/x?token=abc#part", "user:word@host:path", "https://host/a;b=c"] {
            assert_eq!(redact(text, Origin::Content).0, text);
        }
    }

    #[test]
    fn only_harmless_parts_of_a_url_stay() {
        for (text, shown) in [
            ("https://h/x?private_token=S", "https://h/x?private_token=***"),
            ("https://h/x?PRIVATE%5FTOKEN=S&service=git-upload-pack", "https://h/x?PRIVATE%5FTOKEN=***&service=git-upload-pack"),
            ("https://h/x?a=S;b=S;c", "https://h/x?a=***;b=***;***"),
            ("https://h/x?S", "https://h/x?***"),
            ("https://h/x?U1M=", "https://h/x?***"),
            ("https://h/x?ref=main&ref=S%40S", "https://h/x?ref=main&ref=***"),
            ("https://h/x#access_token=S", "https://h/x#***"),
            ("https://h/x%3Ftoken=S%23S", "https://h/x%3Ftoken=***%23***"),
            ("https://h/x;token=S/y", "https://h/x;token=***/y"),
            ("HTTPS://u:S@h:80/x?Sig=S", "HTTPS://***@h:80/x?Sig=***"),
            ("https://u:S@S@h/x", "https://***@h/x"),
            ("https://u:S/S@h/x", "https://***@h/x"),
            ("https://u:S", "https://u:***"),
            ("https://[::1]:80/x", "https://[::1]:80/x"),
            ("u:S@h:x", "***@h:x"),
            ("git@h:x?token=S", "git@h:x?token=***"),
            ("ext::https://h/x?token=S", "ext::https://h/x?token=***"),
            ("file:///a/b", "file:///a/b"),
            ("/a/b?c", "/a/b?c"),
        ] {
            for origin in [Origin::Transport, Origin::Address] {
                assert_eq!(redact(text, origin).0, shown, "{origin:?}");
            }
        }
        assert_eq!(redact("https://h/x?token=S S", Origin::Address).0, "https://h/x?token=***");
        assert_eq!(redact("u:S/S@h:x", Origin::Address).0, "***@h:x");
    }

    #[test]
    fn urls_in_git_messages_are_redacted() {
        for (text, shown) in [
            ("fatal: unable to access 'https://h/x?token=S/': 403", "fatal: unable to access 'https://h/x?token=***': 403"),
            ("unable to access 'https://h/x?token=a'S/': no", "unable to access 'https://h/x?token=***': no"),
            ("unable to access 'https://h/x?token=a S/': no", "unable to access 'https://h/x?token=***': no"),
            ("from https://h/x?t=S to ssh://u:S@h/y, twice", "from https://h/x?t=*** to ssh://***@h/y, twice"),
            ("{\"url\":\"https://h/x?t=S\"}", "{\"url\":\"https://h/x?t=***\"}"),
            ("git@h: Permission denied (publickey).", "git@h: Permission denied (publickey)."),
        ] {
            assert_eq!(redact(text, Origin::Transport).0, shown);
        }
    }

    proptest! {
        #[test]
        fn no_query_value_survives(before in "[a-z :'\"=,@/]{0,8}", name in "[g-qG-Q%_]{1,10}", more in "[g-q&;=#?%/]{0,12}") {
            let text = format!("{before} https://host/x?{name}=SECRET&{more}=SECRET#SECRET '");
            for origin in [Origin::Transport, Origin::Address] {
                let (shown, count) = redact(&text, origin);
                prop_assert!(!shown.contains("SECRET") && count > 0, "{}", shown);
            }
        }

        #[test]
        fn redaction_never_panics(text in "(\\PC|:|/|@|\\?|#|;|=|%3f|'|https://|[[:alpha:]]){0,40}") {
            for origin in [Origin::Content, Origin::Transport, Origin::Address] {
                redact(&text, origin);
            }
        }
    }
}
