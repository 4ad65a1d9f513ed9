//! Attributes: `.gitattributes` by directory, `info/attributes`, the files of the user and of the system.

use super::{
    pattern::{Pattern, Subject, c_string},
    stack::Stack,
    table::Table,
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Lines of this length and above are ignored, as git does.
const LINE_LIMIT: usize = 2048;

/// The built-in macro.
const BUILT_IN: &[u8] = b"[attr]binary -diff -merge -text";

/// The value of an attribute for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `name`.
    Set,
    /// `-name`.
    Unset,
    /// `!name`, or no pattern with it matches.
    Unspecified,
    /// `name=text`.
    Text(Arc<[u8]>),
}

/// Where an attributes file was read: git splits lines in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File,
    /// A blob of the index or of a tree: it has no byte order mark to skip, and ends at a NUL.
    Blob,
}

/// The attribute files that apply in one directory. Cheap to clone; directories share the files above them.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// In rising precedence.
    globals: Arc<[Rules]>,
    info: Arc<Info>,
    macros: Arc<Macros>,
    folders: Stack<Rules>,
    fold: bool,
    is_ambiguous: bool,
}

/// `info/attributes`: it wins over the files of directories.
#[derive(Debug)]
struct Info {
    rules: Rules,
    macros: Macros,
}

type Macros = HashMap<Box<[u8]>, Arc<[State]>>;

/// The rules of one file.
type Rules = Table<Arc<[State]>>;

#[derive(Debug)]
struct State {
    name: Box<[u8]>,
    value: Value,
}

/// A parsed line.
enum Line {
    Rule(Pattern, Arc<[State]>),
    Macro(Box<[u8]>, Arc<[State]>),
}

impl Attributes {
    /// The files outside of directories: `globals` in rising precedence (the system's, then `core.attributesFile`), and
    /// `info/attributes`, which wins over all others. `fold` is `core.ignoreCase`.
    pub fn new(globals: &[&[u8]], info: Option<&[u8]>, fold: bool) -> Self {
        let mut macros = Macros::new();
        parse(BUILT_IN, Source::File, fold, Some(&mut macros));
        let globals: Arc<[_]> = globals.iter().map(|content| parse(content, Source::File, fold, Some(&mut macros))).collect();
        let mut own = Macros::new();
        let rules = parse(info.unwrap_or_default(), Source::File, fold, Some(&mut own));
        let is_ambiguous = globals.iter().chain([&rules]).any(Rules::is_ambiguous);
        let info = Arc::new(Info { rules, macros: own });
        let mut made = Self { globals, info, macros: Arc::default(), folders: Stack::new(), fold, is_ambiguous };
        made.define(macros);
        made
    }

    /// The attributes in a directory, from those of the directory above. `prefix` is its path, empty for the top of the
    /// working tree; a slash at its end is optional. Only the file at the top may define macros.
    #[must_use]
    pub fn enter(&self, prefix: &[u8], gitattributes: Option<(&[u8], Source)>) -> Self {
        let mut below = self.clone();
        let Some((content, source)) = gitattributes else { return below };
        let rules = if prefix.is_empty() {
            let mut macros = Macros::new();
            let rules = parse(content, source, self.fold, Some(&mut macros));
            if !macros.is_empty() {
                let known = self.macros.iter().map(|(name, states)| (name.clone(), Arc::clone(states)));
                below.define(known.chain(macros).collect());
            }
            rules
        } else {
            parse(content, source, self.fold, None)
        };
        if !rules.is_empty() {
            below.is_ambiguous |= rules.is_ambiguous();
            below.folders = self.folders.with(prefix, rules);
        }
        below
    }

    /// Whether every attribute of every path is unspecified.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.info.rules.is_empty() && self.globals.iter().all(Rules::is_empty)
    }

    /// Whether a pattern, as `a**/b`, reads differently since git 2.52. The engine reads it as older versions do.
    pub fn is_ambiguous(&self) -> bool {
        self.is_ambiguous
    }

    /// The values of the attributes `names` for a path of this directory, from the top; a directory's path ends in a
    /// slash.
    pub fn of<const N: usize>(&self, path: &[u8], names: [&str; N]) -> [Value; N] {
        let mut search = Search { names, found: [const { None }; N], missing: N, macros: &self.macros, expanded: HashSet::new() };
        let bare = path.strip_suffix(b"/");
        let (path, is_folder) = (bare.unwrap_or(path), bare.is_some());
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let subject = Subject { path, name, is_folder };
        let globals = self.globals.iter().rev().map(|rules| (rules, 0));
        let files = std::iter::once((&self.info.rules, 0)).chain(self.folders.iter()).chain(globals);
        for (_, states) in files.flat_map(|(rules, base)| rules.matching(subject, base)) {
            search.take(states);
            if search.missing == 0 {
                break;
            }
        }
        search.found.map(|value| value.unwrap_or(Value::Unspecified))
    }

    fn define(&mut self, mut macros: Macros) {
        macros.extend(self.info.macros.iter().map(|(name, states)| (name.clone(), Arc::clone(states))));
        self.macros = Arc::new(macros);
    }
}

/// The search for the values of some attributes. The first value of an attribute stays.
struct Search<'a, const N: usize> {
    names: [&'a str; N],
    found: [Option<Value>; N],
    missing: usize,
    macros: &'a Macros,
    /// Macros with a value that are not searched for.
    expanded: HashSet<&'a [u8]>,
}

impl<'a, const N: usize> Search<'a, N> {
    /// Takes the states of a rule, the last first. A macro that becomes set adds its own at once.
    fn take(&mut self, states: &'a [State]) {
        let mut pending: Vec<&State> = states.iter().collect();
        while let Some(state) = pending.pop() {
            let definition = self.macros.get(&state.name);
            let slot = self.names.iter().zip(&mut self.found).find(|(name, _)| name.as_bytes() == &*state.name);
            let is_new = match slot {
                Some((_, Some(_))) => false,
                Some((_, slot)) => {
                    *slot = Some(state.value.clone());
                    self.missing -= 1;
                    true
                }
                None => definition.is_some() && self.expanded.insert(&state.name),
            };
            if let Some(states) = definition
                && is_new
                && state.value == Value::Set
            {
                pending.extend(states.iter());
            }
        }
    }
}

/// Parses a file. Without a place for macros, lines that define one are ignored.
fn parse(content: &[u8], source: Source, fold: bool, mut macros: Option<&mut Macros>) -> Rules {
    let content = match source {
        Source::File => content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content),
        Source::Blob => c_string(content),
    };
    let mut rules = Vec::new();
    for line in content.split_inclusive(|&byte| byte == b'\n') {
        let line = match line.strip_suffix(b"\n") {
            Some(ended) if source == Source::File => ended.strip_suffix(b"\r").unwrap_or(ended),
            Some(ended) => ended,
            None => line,
        };
        match parse_line(c_string(line), fold) {
            Some(Line::Rule(pattern, states)) => rules.push((pattern, states)),
            Some(Line::Macro(name, states)) => {
                if let Some(macros) = &mut macros {
                    macros.insert(name, states);
                }
            }
            None => {}
        }
    }
    Table::new(rules, fold)
}

/// Parses a line; `None` if it has no rule, or is invalid.
fn parse_line(line: &[u8], fold: bool) -> Option<Line> {
    let start = skip_blank(line);
    if start.is_empty() || start.starts_with(b"#") || line.len() >= LINE_LIMIT {
        return None;
    }
    let (name, rest) = unquote(start).unwrap_or_else(|| {
        let (name, rest) = word(start);
        (name.to_vec(), rest)
    });
    if let Some(name) = name.strip_prefix(b"[attr]")
        && !name.is_empty()
    {
        let (name, _) = word(skip_blank(c_string(name)));
        return is_valid(name).then(|| states(rest)).flatten().map(|states| Line::Macro(name.into(), states));
    }
    let states = states(rest)?;
    // A quoted pattern can hold a NUL.
    let pattern = Pattern::parse(c_string(&name), fold);
    (!pattern.negated).then_some(Line::Rule(pattern, states))
}

/// Parses the states of a line; `None` if one has no valid name.
fn states(mut rest: &[u8]) -> Option<Arc<[State]>> {
    let mut states = Vec::new();
    loop {
        rest = skip_blank(rest);
        if rest.is_empty() {
            return Some(states.into());
        }
        let (state, behind) = word(rest);
        rest = behind;
        let (name, text) = match state.iter().position(|&byte| byte == b'=') {
            Some(at) => (state.get(..at)?, state.get(at + 1..)),
            None => (state, None),
        };
        let (name, value) = match name {
            [b'-', name @ ..] => (name, Value::Unset),
            [b'!', name @ ..] => (name, Value::Unspecified),
            _ => (name, text.map_or(Value::Set, |text| Value::Text(text.into()))),
        };
        if !is_valid(name) {
            return None;
        }
        states.push(State { name: name.into(), value });
    }
}

fn is_valid(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && !name.starts_with(b"-") && !name.starts_with(b"builtin_") && name.iter().all(is_allowed)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn skip_blank(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_blank(byte)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// The text up to white space, and the rest.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|&byte| is_blank(byte)).unwrap_or(text.len()))
}

/// The content of a quoted string at the start of `text`, and the rest; `None` if it is none, or malformed.
fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut bytes = text.strip_prefix(b"\"")?.iter();
    let mut content = Vec::new();
    loop {
        content.push(match bytes.next()? {
            b'"' => return Some((content, bytes.as_slice())),
            b'\\' => match bytes.next()? {
                b'a' => 7,
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 11,
                byte @ (b'\\' | b'"') => *byte,
                first @ b'0'..=b'3' => {
                    let digit = |byte: Option<&u8>| byte.filter(|byte| matches!(byte, b'0'..=b'7')).map(|byte| byte - b'0');
                    let (second, third) = (digit(bytes.next())?, digit(bytes.next())?);
                    (first - b'0') << 6 | second << 3 | third
                }
                _ => return None,
            },
            byte => *byte,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fmt::Write as _;

    fn shown(value: &Value) -> String {
        match value {
            Value::Set => "set".to_owned(),
            Value::Unset => "unset".to_owned(),
            Value::Unspecified => "-".to_owned(),
            Value::Text(text) => format!("={}", String::from_utf8_lossy(text)),
        }
    }

    /// The values of `text`, `diff` and `m` for a path.
    fn values(attributes: &Attributes, path: &str) -> String {
        attributes.of(path.as_bytes(), ["text", "diff", "m"]).each_ref().map(shown).join(" ")
    }

    #[test]
    fn macros_expand_where_they_become_set() {
        let top: &[u8] = b"[attr]m text=x diff\n*.a m\n*.b m -text\n*.c -text m\n*.d binary\n*.e -m\n*.f m=1\n";
        let rules = Attributes::new(&[], None, false).enter(b"", Some((top, Source::File)));
        for (path, expected) in [
            ("1.a", "=x set set"),
            ("1.b", "unset set set"),
            ("1.c", "=x set set"),
            ("1.d", "unset unset -"),
            ("1.e", "- - unset"),
            ("1.f", "- - =1"),
        ] {
            assert_eq!(values(&rules, path), expected, "{path}");
        }
        let below = rules.enter(b"d", Some((b"[attr]m -text\n*.a !diff\n", Source::File)));
        assert_eq!(values(&below, "d/1.a"), "=x - set");
        let info = Attributes::new(&[b"*.z text"], Some(b"[attr]m -text\n*.z diff"), false).enter(b"", Some((top, Source::File)));
        assert_eq!(values(&info, "1.a"), "unset - set");
        assert_eq!(values(&info, "1.z"), "set set -");
    }

    #[test]
    fn lines_are_read_as_git_reads_them() {
        let long = format!("long {}\n", "x ".repeat(1_100));
        let text = [
            "\u{feff}bom text\n!neg text\n\"a b\\101\" text=\n# c text\nbad text -=x\nq\" text\n\"open text\n",
            "builtin builtin_x text\n  lead\ttext=a=b\r\ndir/ text\n[attr] text\n\"nul\\000x\" text\n",
            &long,
        ];
        let rules = Attributes::new(&[], None, false).enter(b"", Some((text.concat().as_bytes(), Source::File)));
        for (path, expected) in [
            ("bom", "set"),
            ("neg", "-"),
            ("!neg", "-"),
            ("a bA", "="),
            ("bad", "-"),
            ("q\"", "set"),
            ("\"open", "set"),
            ("builtin", "-"),
            ("lead", "=a=b"),
            ("dir", "-"),
            ("dir/", "set"),
            ("a", "set"),
            ("nul", "set"),
            ("long", "-"),
        ] {
            assert_eq!(shown(&rules.of(path.as_bytes(), ["text"])[0]), expected, "{path}");
        }
        let blob = Attributes::new(&[], None, false).enter(b"", Some((b"\xef\xbb\xbfa text\nb text\n\0c text\n", Source::Blob)));
        for (path, expected) in [("a", "-"), ("b", "set"), ("c", "-")] {
            assert_eq!(shown(&blob.of(path.as_bytes(), ["text"])[0]), expected, "{path}");
        }
    }

    #[test]
    fn patterns_that_depend_on_gits_version_are_ambiguous() {
        let plain = Attributes::new(&[b"a/** text"], None, false);
        assert!(!plain.is_ambiguous());
        assert!(plain.enter(b"d", Some((b"a**/b text", Source::File))).enter(b"d/e", None).is_ambiguous());
        assert!(Attributes::new(&[], Some(b"a**/b text"), false).is_ambiguous());
    }

    #[test]
    fn macros_that_name_each_other_end() {
        let mut text = "* m0\n[attr]m20000 text\n".to_owned();
        for at in 0..20_000 {
            let _ = writeln!(text, "[attr]m{at} m{} m{}", at + 1, at / 2);
        }
        let rules = Attributes::new(&[], None, false).enter(b"", Some((text.as_bytes(), Source::File)));
        assert_eq!(rules.of(b"a", ["text"]), [Value::Set]);
    }

    proptest! {
        #[test]
        fn nothing_panics(content: Vec<u8>, path: Vec<u8>, blob: bool) {
            let source = if blob { Source::Blob } else { Source::File };
            Attributes::new(&[&content], Some(&content), true).enter(b"", Some((&content, source))).of(&path, ["text"]);
        }
    }
}
