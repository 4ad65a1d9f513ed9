//! Finds a name's definition in a file of any common language: by its declaration, and by braces or indentation.

/// Words that introduce a definition.
pub(crate) const WORDS: [&str; 26] = [
    "fn",
    "struct",
    "enum",
    "trait",
    "impl",
    "mod",
    "type",
    "const",
    "static",
    "macro_rules!",
    "union",
    "class",
    "def",
    "function",
    "interface",
    "func",
    "module",
    "namespace",
    "record",
    "protocol",
    "let",
    "var",
    "defmodule",
    "sub",
    "procedure",
    "package",
];

/// The first and the last line, from 1, of the definition of `name`, with the comments and attributes above it.
pub(crate) fn find(text: &str, name: &str) -> Option<(u64, u64)> {
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| declares(line, name)).or_else(|| lines.iter().position(|line| opens(line, name)))?;
    let first = above(&lines, at);
    let last = end(&lines, at);
    Some((first as u64 + 1, last as u64 + 1))
}

/// The words of a line, where `macro_rules!` and names with `$` stay whole.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$' | '!'))).filter(|word| !word.is_empty())
}

/// Whether the line is `fn name`, `class name`, `func (r *T) name` or a Markdown heading.
fn declares(line: &str, name: &str) -> bool {
    let trimmed = line.trim_start();
    if trimmed.starts_with("//") || trimmed.starts_with('*') {
        return false;
    }
    if let Some(heading) = trimmed.strip_prefix('#') {
        return heading.trim_start_matches('#').trim() == name;
    }
    let mut introduced = false;
    for word in words(trimmed) {
        if introduced && word == name {
            return true;
        }
        // The name must follow a declaration keyword, so calls and assignments do not match.
        introduced |= WORDS.contains(&word);
    }
    false
}

/// Whether the line is a definition without a keyword, such as `name(…) {` in C and Java.
fn opens(line: &str, name: &str) -> bool {
    let Some(at) = line.find(name) else { return false };
    let before = line[..at].chars().next_back();
    let after = line[at + name.len()..].trim_start();
    let whole = !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    whole
        && after.starts_with('(')
        && line.trim_end().ends_with(['{', ')', ',', '('])
        && !line.trim_end().ends_with(';')
        && !line.contains('=')
}

/// The first line of the comments and attributes directly above.
fn above(lines: &[&str], at: usize) -> usize {
    let belongs = |line: &str| {
        let line = line.trim_start();
        ["///", "//", "#[", "/**", "*", "*/", "@", "# "].iter().any(|start| line.starts_with(start))
    };
    (0..at).rev().take_while(|&line| belongs(lines[line])).last().unwrap_or(at)
}

/// The last line: where the braces close, or before the indentation returns.
fn end(lines: &[&str], at: usize) -> usize {
    if let Some(level) = heading_level(lines[at]) {
        let next = (at + 1..lines.len()).find(|&line| heading_level(lines[line]).is_some_and(|other| other <= level));
        return next.unwrap_or(lines.len()) - 1;
    }
    let (mut depth, mut opened) = (0_i64, false);
    for (line, text) in lines.iter().enumerate().skip(at) {
        for byte in code(text).bytes() {
            match byte {
                b'{' => {
                    depth += 1;
                    opened = true;
                }
                b'}' => depth -= 1,
                b';' if depth == 0 && !opened => return line,
                _ => {}
            }
        }
        if opened && depth <= 0 {
            return line;
        }
        if !opened && (text.trim_end().ends_with(':') || line > at + 30) {
            return indented(lines, at);
        }
    }
    indented(lines, at)
}

/// A line without strings and its line comment, as far as one line shows.
fn code(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => drop(chars.next()),
            Some(end) if c == end => quote = None,
            Some(_) => {}
            None if c == '"' || c == '`' => quote = Some(c),
            // A quote and two more characters: a character literal, not a lifetime.
            None if c == '\'' && chars.clone().nth(1) == Some('\'') => drop((chars.next(), chars.next())),
            None if c == '/' && chars.peek() == Some(&'/') => break,
            None => out.push(c),
        }
    }
    out
}

fn heading_level(line: &str) -> Option<usize> {
    let level = line.bytes().take_while(|&byte| byte == b'#').count();
    (level > 0 && line[level..].starts_with(' ')).then_some(level)
}

fn indented(lines: &[&str], at: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(lines[at]);
    let end = (at + 1..lines.len())
        .find(|&line| !lines[line].trim().is_empty() && indent(lines[line]) <= own && !lines[line].trim_start().starts_with(')'));
    let end = end.unwrap_or(lines.len());
    (at..end).rev().find(|&line| !lines[line].trim().is_empty()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_found_whole() {
        let rust = "use x;\n\n/// Doc.\n#[inline]\npub fn run(a: &str) -> u8 {\n    let s = \"}\";\n    if a { 1 } else { 2 }\n}\n\nfn other() {}\n";
        let python = "import x\n\nclass A:\n    def run(self,\n            b):\n        return 1\n\n    def last(self):\n        pass\n";
        let c = "static int\nadd(int a)\n{\n  return a;\n}\n";
        let markdown = "# One\ntext\n## Two\nmore\n# Three\n";
        let go = "func (s *S) Run() {\n\tx()\n}\n";
        for (text, name, expect) in [
            (rust, "run", Some((3, 8))),
            (rust, "other", Some((10, 10))),
            (rust, "missing", None),
            (python, "run", Some((4, 6))),
            (python, "A", Some((3, 9))),
            (c, "add", Some((2, 5))),
            (markdown, "One", Some((1, 4))),
            (go, "Run", Some((1, 3))),
        ] {
            assert_eq!(find(text, name), expect, "{name}");
        }
    }
}
