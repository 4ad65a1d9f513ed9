//! Ignore rules: `.gitignore` by directory, `info/exclude`, `core.excludesFile`.

use super::{
    pattern::{Pattern, Subject, c_string},
    stack::Stack,
    table::Table,
};
use std::sync::Arc;

/// The patterns of one file.
#[derive(Debug)]
pub struct List(Table<()>);

impl List {
    /// Parses the content of a file; `fold` is `core.ignoreCase`. Malformed lines match nothing.
    pub fn parse(content: &[u8], fold: bool) -> Self {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let lines = content.split(|&byte| byte == b'\n').filter_map(line);
        Self(Table::new(lines.map(|line| (Pattern::parse(line, fold), ())).collect(), fold))
    }

    /// Whether it has no pattern.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The verdict of the last pattern that matches.
    fn verdict(&self, subject: Subject<'_>, base: usize) -> Option<bool> {
        self.0.matching(subject, base).next().map(|(pattern, ())| !pattern.negated)
    }
}

/// The pattern in a line; `None` for a blank line or a comment.
fn line(line: &[u8]) -> Option<&[u8]> {
    if line.is_empty() || line.starts_with(b"#") {
        return None;
    }
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some(trim(c_string(line)))
}

/// Removes spaces at the end, up to one that is escaped.
fn trim(line: &[u8]) -> &[u8] {
    let mut end = 0;
    let mut bytes = line.iter().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b' ' => {}
            // A backslash that escapes nothing: git trims nothing either.
            b'\\' if bytes.next().is_none() => return line,
            b'\\' => end = at + 2,
            _ => end = at + 1,
        }
    }
    line.get(..end).unwrap_or(line)
}

/// The rules that apply in one directory. Cheap to clone; directories share the rules above them.
#[derive(Clone, Debug)]
pub struct Ignore {
    globals: Arc<[List]>,
    folders: Stack<List>,
    fold: bool,
    is_ambiguous: bool,
}

impl Ignore {
    /// The rules outside of directories, in rising precedence: `core.excludesFile`, `info/exclude`. `fold` is
    /// `core.ignoreCase`.
    pub fn new(globals: Vec<List>, fold: bool) -> Self {
        let globals: Arc<[_]> = globals.into_iter().filter(|list| !list.is_empty()).collect();
        let is_ambiguous = globals.iter().any(|list| list.0.is_ambiguous());
        Self { globals, folders: Stack::new(), fold, is_ambiguous }
    }

    /// The rules in a directory, from those of the directory above. `prefix` is its path, empty for the top of the
    /// working tree; a slash at its end is optional. `gitignore` is the content of its `.gitignore`.
    #[must_use]
    pub fn enter(&self, prefix: &[u8], gitignore: Option<&[u8]>) -> Self {
        let list = gitignore.map(|content| List::parse(content, self.fold));
        let Some(list) = list.filter(|list| !list.is_empty()) else { return self.clone() };
        let is_ambiguous = self.is_ambiguous || list.0.is_ambiguous();
        Self { globals: Arc::clone(&self.globals), folders: self.folders.with(prefix, list), fold: self.fold, is_ambiguous }
    }

    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.globals.is_empty() && self.folders.is_empty()
    }

    /// Whether a pattern, as `a**/b`, reads differently since git 2.52. The engine reads it as older versions do.
    pub fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// Whether the entry `name` of this directory is ignored, `path` being its path from the top; `None` if no pattern
    /// matches. Links are no directories.
    ///
    /// What lies in an ignored directory is ignored, whatever its patterns: a scan does not descend there.
    pub fn verdict(&self, name: &[u8], path: &[u8], is_dir: bool) -> Option<bool> {
        let subject = Subject { path, name, is_folder: is_dir };
        let globals = self.globals.iter().rev().map(|list| (list, 0));
        self.folders.iter().chain(globals).find_map(|(list, base)| list.verdict(subject, base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of one list at the top; a name that ends in a slash is a directory.
    #[track_caller]
    fn check(content: &str, expected: &[(&str, Option<bool>)]) {
        let rules = Ignore::new(Vec::new(), false).enter(b"", Some(content.as_bytes()));
        for (path, verdict) in expected {
            let bare = path.trim_end_matches('/');
            let name = bare.rsplit('/').next().unwrap_or_default();
            let found = rules.verdict(name.as_bytes(), bare.as_bytes(), bare.len() < path.len());
            assert_eq!(found, *verdict, "{content:?} {path}");
        }
    }

    #[test]
    fn the_last_match_decides() {
        check("*.o\n!keep.o\n", &[("a.o", Some(true)), ("d/keep.o", Some(false)), ("a.c", None)]);
        check("!a\na\n", &[("a", Some(true))]);
    }

    #[test]
    fn odd_lines_are_read_as_git_reads_them() {
        check(
            "\u{feff}a \r\nb\\ \n#c\n\\#d\n\n/\n//\n!\n",
            &[("a", Some(true)), ("a ", None), ("b ", Some(true)), ("b", None), ("#c", None), ("#d", Some(true))],
        );
        check("e  \nf\0g\nh\\", &[("e", Some(true)), ("f", Some(true)), ("h", None), ("h\\", None)]);
        check(
            "dir/\n/top\nx/y\n",
            &[
                ("dir", None),
                ("dir/", Some(true)),
                ("a/dir/", Some(true)),
                ("top", Some(true)),
                ("a/top", None),
                ("x/y", Some(true)),
                ("a/x/y", None),
            ],
        );
    }

    #[test]
    fn deeper_rules_win_and_globals_come_last() {
        let lists = ["*", "!b"].map(|text| List::parse(text.as_bytes(), false));
        let top = Ignore::new(lists.into(), false);
        assert_eq!(top.verdict(b"a", b"a", false), Some(true));
        assert_eq!(top.verdict(b"b", b"b", false), Some(false));
        let below = top.enter(b"", Some(b"b")).enter(b"d", Some(b"/c\n!a"));
        assert_eq!(below.verdict(b"b", b"d/b", false), Some(true));
        assert_eq!(below.verdict(b"a", b"d/a", false), Some(false));
        assert_eq!(below.verdict(b"c", b"d/c", false), Some(true));
    }

    #[test]
    fn patterns_that_depend_on_gits_version_are_ambiguous() {
        let rules = Ignore::new(Vec::new(), false);
        for (pattern, expected) in
            [("a**/b", true), ("/a**", true), ("a/b**\\/c", true), ("a**", false), ("a**b/c", false), ("a/**/b", false), ("a*/b", false)]
        {
            assert_eq!(rules.enter(b"", Some(pattern.as_bytes())).enter(b"d", Some(b"a")).is_ambiguous(), expected, "{pattern}");
        }
        assert!(Ignore::new(vec![List::parse(b"a**/b", false)], false).is_ambiguous());
    }

    #[test]
    fn a_deep_stack_is_dropped_without_recursion() {
        let mut rules = Ignore::new(Vec::new(), false);
        for _ in 0..200_000 {
            rules = rules.enter(b"d", Some(b"a"));
        }
        drop(rules);
    }
}
