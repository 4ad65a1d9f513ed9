//! Every hint in the source: the argument of each `.hint(...)`, the constants and functions it is built from, and all of `error/advice/`.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// One literal of a hint.
#[derive(Debug)]
pub(crate) struct Advice {
    /// Source file, below `src`.
    pub(crate) file: String,
    /// Text as a caller reads it, with its placeholders.
    pub(crate) text: String,
    /// Whether `{...}` is a placeholder.
    is_format: bool,
    /// Set once the hint was found in the server's output, or if this machine cannot print it.
    pub(crate) was_read: Cell<bool>,
    /// The output in which the hint was found.
    pub(crate) printed: RefCell<String>,
}

impl Advice {
    /// The parts of the text between placeholders.
    pub(crate) fn parts(&self) -> Vec<String> {
        if !self.is_format {
            return vec![self.text.clone()];
        }
        let (mut parts, mut rest) = (vec![String::new()], self.text.as_str());
        while let Some(at) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(at);
            let last = parts.last_mut().expect("there is one");
            last.push_str(before);
            if brace.starts_with("{{") || brace.starts_with("}}") {
                last.push_str(&brace[..1]);
                rest = &brace[2..];
            } else {
                rest = brace.split_once('}').map_or("", |(_, after)| after);
                parts.push(String::new());
            }
        }
        parts.last_mut().expect("there is one").push_str(rest);
        parts
    }

    /// Finds the hint in the output and returns the placeholders' values. The last value extends as far
    /// along its line as possible.
    pub(crate) fn read(&self, printed: &str) -> Vec<String> {
        let parts = self.parts();
        let missing = |part: &str| panic!("{}: `{part}` of `{}` is not in: {printed}", self.file, self.text);
        let (mut filled, mut rest) = (Vec::new(), printed);
        for (number, part) in parts.iter().enumerate() {
            let line = rest.split('\n').next().unwrap_or_default();
            let is_end = number > 0 && number + 1 == parts.len();
            let found = if is_end { line.rfind(part.as_str()) } else { None }.or_else(|| rest.find(part.as_str()));
            let at = found.unwrap_or_else(|| missing(part));
            if number > 0 {
                filled.push(rest[..at].to_owned());
            }
            rest = rest.get(at + part.len()..).unwrap_or_default();
        }
        self.was_read.set(true);
        printed.clone_into(&mut self.printed.borrow_mut());
        filled
    }
}

/// Maximum number of names between a hint and its parts.
const DEPTH: usize = 2;

/// Source folder of the server.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every hint in the source, once per file.
pub(crate) fn all() -> Vec<Advice> {
    let mut found = Vec::new();
    let mut paths = super::support::files(&source());
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        let file = path.strip_prefix(source()).expect("below").display().to_string();
        let tokens = tokens(&fs::read_to_string(path).expect("a source"));
        let mut known = BTreeSet::new();
        let hints = match file.as_str() {
            file if file.starts_with("error/advice/") => std::iter::once(0..tokens.len()).collect(),
            // Some modules are files beside the folder.
            "error/mod.rs" => [hints_in(&tokens), constants(&tokens)].concat(),
            _ => hints_in(&tokens),
        };
        let mut ranges: Vec<(usize, Span)> = hints.into_iter().map(|range| (0, range)).collect();
        let mut resolved = BTreeSet::new();
        while let Some((depth, range)) = ranges.pop() {
            let mut meant = |name: &String, is_called: bool| {
                let is_new = depth < DEPTH && resolved.insert(name.clone());
                let found = if is_new { meant(&tokens, name, is_called) } else { Vec::new() };
                found.into_iter().map(|range| (depth + 1, range))
            };
            for at in range {
                match &tokens[at] {
                    Token::Text(text, is_format) => {
                        let is_advice =
                            text.len() > 8 && text.contains(' ') && text.contains(char::is_alphabetic) && !is_other(&tokens, at);
                        if is_advice && known.insert(text.clone()) {
                            found.push(Advice {
                                file: file.clone(),
                                text: text.clone(),
                                is_format: *is_format,
                                was_read: Cell::new(false),
                                printed: RefCell::default(),
                            });
                        }
                        if *is_format {
                            for name in placeholders(text) {
                                ranges.extend(meant(&name, false));
                            }
                        }
                    }
                    Token::Name(name) if !is_method(&tokens, at) => {
                        ranges.extend(meant(name, tokens.get(at + 1) == Some(&Token::Sign('('))));
                    }
                    _ => {}
                }
            }
        }
    }
    found
}

/// A token of a source file.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    /// A literal, and whether it is a format string.
    Text(String, bool),
    Sign(char),
}

type Span = std::ops::Range<usize>;

/// The argument of each `.hint(...)`, and values assigned to something named `hint`.
fn hints_in(tokens: &[Token]) -> Vec<Span> {
    let is_hint = |at: &usize| tokens[*at] == Token::Name("hint".to_owned());
    let found = (1..tokens.len()).filter(is_hint).filter_map(|at| match (&tokens[at - 1], tokens.get(at + 1)) {
        (Token::Sign('.'), Some(Token::Sign('('))) => Some(at + 1..end_of(tokens, at + 1)),
        (Token::Sign('.') | Token::Name(_), Some(Token::Sign('='))) if tokens.get(at + 2) != Some(&Token::Sign('=')) => {
            Some(at + 1..statement(tokens, at + 1))
        }
        _ => None,
    });
    found.collect()
}

/// All constants.
fn constants(tokens: &[Token]) -> Vec<Span> {
    let found = (0..tokens.len()).filter(|at| tokens[*at] == Token::Name("const".to_owned()));
    found.map(|at| at..statement(tokens, at)).collect()
}

/// Definition of a name in the same file: a variable, a constant, a field, or a function's body.
fn meant(tokens: &[Token], name: &str, is_called: bool) -> Vec<Span> {
    // These hold more than hints.
    let others =
        ["self", "error", "err", "kind", "message", "name", "names", "path", "roots", "lost", "text", "of", "with", "after", "cut_middle"];
    let is_type = name.starts_with(char::is_uppercase) && name.contains(char::is_lowercase);
    if is_type || others.contains(&name) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for at in (1..tokens.len()).filter(|at| tokens[*at] == Token::Name(name.to_owned())) {
        let is = |at: usize, word: &str| matches!(&tokens[at], Token::Name(name) if name == word);
        if is_called != is(at - 1, "fn") {
            continue;
        }
        if is_called {
            let open = (at..tokens.len()).find(|at| tokens[*at] == Token::Sign('{')).unwrap_or(at);
            found.push(open..end_of(tokens, open));
            continue;
        }
        let is_field = tokens.get(at + 1) == Some(&Token::Sign(':')) && tokens.get(at + 2) == Some(&Token::Name("Some".to_owned()));
        if is_field {
            found.push(at + 3..end_of(tokens, at + 3));
            continue;
        }
        // `let name =`, `let (one, name) =`, `const NAME: &str =`
        let before =
            tokens[..at].iter().rposition(|token| !matches!(token, Token::Sign('(' | ',') | Token::Name(_))).map_or(0, |at| at + 1);
        let declares = (before..at).any(|at| is(at, "let") || is(at, "const"));
        let equals = (at..tokens.len()).find(|at| matches!(tokens[*at], Token::Sign('=' | ';' | '{')));
        if let Some(equals) = equals.filter(|equals| declares && tokens[*equals] == Token::Sign('=')) {
            found.push(equals..statement(tokens, equals));
        }
    }
    found
}

/// Whether the literal is no hint: something is compared with it, or it is the reason of an attribute.
fn is_other(tokens: &[Token], at: usize) -> bool {
    let by = ["contains", "trim_end_matches", "strip_suffix", "strip_prefix", "starts_with", "split"];
    // Why a lint is silent.
    if at > 1 && tokens[at - 1] == Token::Sign('=') && tokens[at - 2] == Token::Name("reason".to_owned()) {
        return true;
    }
    // A list of words to search for.
    let listed = tokens[..at].iter().rev().find(|token| !matches!(token, Token::Text(..) | Token::Sign(',')));
    if listed == Some(&Token::Sign('[')) {
        return true;
    }
    at > 1 && tokens[at - 1] == Token::Sign('(') && matches!(&tokens[at - 2], Token::Name(name) if by.contains(&name.as_str()))
}

/// Whether the name is a method of another object than `self`.
fn is_method(tokens: &[Token], at: usize) -> bool {
    at > 1
        && tokens[at - 1] == Token::Sign('.')
        && tokens[at - 2] != Token::Name("self".to_owned())
        && tokens.get(at + 1) == Some(&Token::Sign('('))
}

/// The end of the bracket's content.
fn end_of(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token {
            Token::Sign('(' | '[' | '{') => depth += 1,
            Token::Sign(')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len()
}

/// The end of a statement.
fn statement(tokens: &[Token], start: usize) -> usize {
    let mut at = start;
    while at < tokens.len() && !matches!(tokens[at], Token::Sign(';' | '}')) {
        at = if matches!(tokens[at], Token::Sign('(' | '[' | '{')) { end_of(tokens, at) + 1 } else { at + 1 };
    }
    at.min(tokens.len())
}

/// The names of the placeholders.
fn placeholders(text: &str) -> Vec<String> {
    let names = text.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    names
        .filter(|name| !name.is_empty() && name.chars().all(|each| each == '_' || each.is_ascii_alphanumeric()))
        .map(str::to_owned)
        .collect()
}

/// Tokenizes a source file, up to its tests and without comments.
fn tokens(source: &str) -> Vec<Token> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if first == '"' {
            let end = closing(rest);
            let is_format = matches!(tokens.as_slice(), [.., Token::Name(_), Token::Sign('!'), Token::Sign('(')]);
            tokens.push(Token::Text(unescaped(&rest[1..end]), is_format));
            rest = &rest[end + 1..];
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|each: char| !each.is_alphanumeric() && each != '_').unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..end].to_owned()));
            rest = &rest[end..];
        } else if first == '\'' {
            rest = past_quote(rest);
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

/// The rest after a character literal or a lifetime's quote.
fn past_quote(text: &str) -> &str {
    let after = &text[1..];
    let character = after.chars().next().map_or(0, char::len_utf8);
    match after.strip_prefix('\\') {
        Some(escape) => escape.get(1..).and_then(|rest| rest.split_once('\'')).map_or("", |(_, rest)| rest),
        None => after[character..].strip_prefix('\'').unwrap_or(after),
    }
}

/// The end of a literal.
fn closing(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, each)| {
        let closes = *each == '"' && !is_escaped;
        is_escaped = *each == '\\' && !is_escaped;
        closes
    });
    end.map_or(text.len() - 1, |(at, _)| at)
}

/// A literal as printed, with its lines joined.
fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        match escape.chars().next() {
            Some('\n') => rest = escape.trim_start(),
            Some('n') => {
                plain.push('\n');
                rest = &escape[1..];
            }
            Some(other) => {
                plain.push(other);
                rest = &escape[other.len_utf8()..];
            }
            None => rest = "",
        }
    }
    plain + rest
}
