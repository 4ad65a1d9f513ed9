//! Writes one file's change as git prints it.

use crate::{
    diff::{
        output::Output,
        text::Lines,
        xdiff::{self, Hunk, Options},
    },
    error::Result,
    quote::quoted,
    stop::Stop,
};
use gix::ObjectId;

/// One side of a change.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The path.
    pub path: &'a [u8],
    /// The mode, as in a tree.
    pub mode: u32,
    /// The id of the content.
    pub id: ObjectId,
    /// The abbreviated id.
    pub abbreviated: &'a str,
    /// The content.
    pub content: &'a [u8],
    /// Whether it is binary, if attributes or the size decide that.
    pub binary: Option<bool>,
}

impl Side<'_> {
    fn is_binary(&self) -> bool {
        self.binary.unwrap_or_else(|| is_binary(self.content))
    }
}

/// How patches are written.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one setting of git")]
pub struct Style {
    /// Lines of context around a change.
    pub context: u32,
    /// Lines shown between hunks that are no further apart (`diff.interHunkContext`).
    pub between: u32,
    /// Quotes bytes from 0x80 on in paths (`core.quotePath`).
    pub quote_ascii: bool,
    /// The prefixes of the old and the new path.
    pub prefixes: [Vec<u8>; 2],
    /// Writes no space on an empty context line (`diff.suppressBlankEmpty`).
    pub bare_empty_lines: bool,
    /// Moves groups of lines by indentation (`diff.indentHeuristic`).
    pub indent_heuristic: bool,
    /// Searches the shortest script (`diff.algorithm` is `minimal`).
    pub minimal: bool,
    /// The abbreviation of the id of an absent side.
    pub null: String,
}

impl Style {
    pub(super) fn options(&self, no_context: bool) -> Options {
        Options { ignore_space: false, minimal: self.minimal, indent_heuristic: self.indent_heuristic, no_context }
    }

    /// A path with its prefix, or the name of an absent side.
    fn label(&self, side: usize, path: Option<&[u8]>) -> Vec<u8> {
        path.map_or_else(|| NOTHING.to_vec(), |path| quoted(&self.prefixes[side], path, self.quote_ascii))
    }
}

/// The name of an absent side.
const NOTHING: &[u8] = b"/dev/null";

/// git's check for binary content: a NUL in the first 8,000 bytes.
pub fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(8000)].contains(&0)
}

/// A rename and how similar both sides are, in percent; `None` if the path stays.
pub type Similarity = Option<u32>;

/// Writes the change from `old` to `new`; at least one is present.
///
/// # Errors
///
/// As for [`xdiff::hunks`].
pub fn write(
    out: &mut Output,
    old: Option<&Side>,
    new: Option<&Side>,
    similarity: Similarity,
    style: &Style,
    stop: &dyn Stop,
) -> Result<()> {
    let Some(any) = new.or(old) else { return Ok(()) };
    let paths = [old.unwrap_or(any).path, any.path];
    out.line(&[b"diff --git ", &style.label(0, Some(paths[0])), b" ", &style.label(1, Some(paths[1]))]);
    extended_header(out, old, new, similarity, style);
    let is_same = matches!((old, new), (Some(old), Some(new)) if old.id == new.id);
    if is_same {
        return Ok(());
    }
    let id = |side: Option<&Side>| side.map_or(style.null.as_bytes(), |side| side.abbreviated.as_bytes()).to_vec();
    let mode = match (old, new) {
        (Some(old), Some(new)) if old.mode == new.mode => format!(" {:06o}", new.mode),
        _ => String::new(),
    };
    out.line(&[b"index ", &id(old), b"..", &id(new), mode.as_bytes()]);
    let (a, b) = (old.map_or(&b""[..], |side| side.content), new.map_or(&b""[..], |side| side.content));
    if a.is_empty() && b.is_empty() {
        return Ok(());
    }
    let labels = [style.label(0, old.map(|side| side.path)), style.label(1, new.map(|side| side.path))];
    if old.is_some_and(Side::is_binary) || new.is_some_and(Side::is_binary) {
        out.binary = true;
        out.line(&[b"Binary files ", &labels[0], b" and ", &labels[1], b" differ"]);
        return Ok(());
    }
    out.line(&[b"--- ", &labels[0], tab(&labels[0])]);
    out.line(&[b"+++ ", &labels[1], tab(&labels[1])]);
    hunks(out, a, b, style, stop)
}

fn extended_header(out: &mut Output, old: Option<&Side>, new: Option<&Side>, similarity: Similarity, style: &Style) {
    match (old, new) {
        (None, Some(new)) => out.line(&[format!("new file mode {:06o}", new.mode).as_bytes()]),
        (Some(old), None) => out.line(&[format!("deleted file mode {:06o}", old.mode).as_bytes()]),
        (Some(old), Some(new)) => {
            if old.mode != new.mode {
                out.line(&[format!("old mode {:06o}\nnew mode {:06o}", old.mode, new.mode).as_bytes()]);
            }
            if let Some(percent) = similarity {
                out.line(&[format!("similarity index {percent}%\nrename from ").as_bytes(), &quoted(b"", old.path, style.quote_ascii)]);
                out.line(&[b"rename to ", &quoted(b"", new.path, style.quote_ascii)]);
            }
        }
        (None, None) => {}
    }
}

/// A tab ends a path that contains a space, so that patch programs find its end.
fn tab(path: &[u8]) -> &'static [u8] {
    if path.contains(&b' ') { b"\t" } else { b"" }
}

/// Writes the hunks between two texts.
fn hunks(out: &mut Output, a: &[u8], b: &[u8], style: &Style, stop: &dyn Stop) -> Result<()> {
    let options = style.options(style.context == 0);
    let changes = xdiff::lines(a, b, options, stop)?;
    let (a, b) = (Lines::of(a)?, Lines::of(b)?);
    let mut function = Function::default();
    let mut rest = changes.as_slice();
    let apart = u64::from(style.context) * 2 + u64::from(style.between);
    while !rest.is_empty() {
        stop.check()?;
        let gap = |pair: &[Hunk]| matches!(pair, [one, two] if u64::from(two.before.start - one.before.end) > apart);
        let len = rest.windows(2).position(gap).map_or(rest.len(), |at| at + 1);
        let (group, after) = rest.split_at(len);
        rest = after;
        hunk(out, &a, &b, group, &mut function, style);
    }
    Ok(())
}

/// Writes changes close to each other as one hunk.
fn hunk(out: &mut Output, a: &Lines, b: &Lines, group: &[Hunk], function: &mut Function, style: &Style) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let context = style.context as usize;
    let (a_start, b_start) = (index(first.before.start).saturating_sub(context), index(first.after.start).saturating_sub(context));
    let after = context.min(a.len() - index(last.before.end)).min(b.len() - index(last.after.end));
    let (a_end, b_end) = (index(last.before.end) + after, index(last.after.end) + after);
    let mut header = format!("@@ -{} +{} @@", range(a_start, a_end), range(b_start, b_end)).into_bytes();
    let name = function.before(a_start, a);
    if !name.is_empty() {
        header.push(b' ');
        header.extend_from_slice(name);
    }
    // The limit on its length may cut a character.
    header.truncate(valid_text(&header));
    header.push(b'\n');
    out.hunk(&header);
    let mut at = b_start;
    for change in group {
        context_lines(out, b, at..index(change.after.start), style);
        signed(out, b'-', a, index(change.before.start)..index(change.before.end));
        signed(out, b'+', b, index(change.after.start)..index(change.after.end));
        out.removed += u64::from(change.before.end - change.before.start);
        out.added += u64::from(change.after.end - change.after.start);
        at = index(change.after.end);
    }
    context_lines(out, b, at..b_end, style);
}

/// The length of the start that git takes for UTF-8. Two code points that are none of Unicode's characters end it too.
fn valid_text(text: &[u8]) -> usize {
    let valid = std::str::from_utf8(text).map_or_else(|err| err.valid_up_to(), str::len);
    let noncharacter = |bytes: &[u8]| matches!(bytes, [0xef, 0xbf, 0xbe | 0xbf]);
    text[..valid].windows(3).position(noncharacter).unwrap_or(valid)
}

fn index(at: u32) -> usize {
    at as usize
}

fn context_lines(out: &mut Output, lines: &Lines, range: std::ops::Range<usize>, style: &Style) {
    for at in range {
        if style.bare_empty_lines && lines.get(at) == b"\n" {
            out.put(b"\n");
        } else {
            signed(out, b' ', lines, at..at + 1);
        }
    }
}

/// Writes lines with a sign before each.
fn signed(out: &mut Output, sign: u8, lines: &Lines, range: std::ops::Range<usize>) {
    for at in range {
        let line = lines.get(at);
        out.put(&[sign]);
        out.put(line);
        if line.last() != Some(&b'\n') {
            out.put(b"\n\\ No newline at end of file\n");
        }
    }
}

/// `start,length` as in a hunk header: 1-based, omitting a length of 1; an empty range starts one lower.
fn range(start: usize, end: usize) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        len => format!("{},{len}", start + 1),
    }
}

/// Maximum bytes of a function line in a hunk header.
const FUNCTION_LEN: usize = 80;

/// The last function line, found by searching back only to where the last search started.
#[derive(Default)]
struct Function {
    searched: usize,
    name: Vec<u8>,
}

impl Function {
    fn before(&mut self, start: usize, lines: &Lines) -> &[u8] {
        if let Some(line) = (self.searched..start).rev().map(|at| lines.get(at)).find(|line| is_function(line)) {
            let line = &line[..line.len().min(FUNCTION_LEN)];
            let end = line.iter().rposition(|&byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).map_or(0, |at| at + 1);
            self.name = line[..end].to_vec();
        }
        self.searched = self.searched.max(start);
        &self.name
    }
}

/// Whether git's default rule treats the line as the start of a function.
pub(super) fn is_function(line: &[u8]) -> bool {
    line.first().is_some_and(|&byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stop::Never;

    fn style() -> Style {
        Style {
            context: 3,
            between: 0,
            quote_ascii: true,
            prefixes: [b"a/".to_vec(), b"b/".to_vec()],
            bare_empty_lines: false,
            indent_heuristic: true,
            minimal: false,
            null: "0000000".into(),
        }
    }

    fn side<'a>(path: &'a str, content: &'a str) -> Side<'a> {
        let mut id = [0_u8; 20];
        for (at, byte) in content.bytes().enumerate() {
            id[at % 20] = id[at % 20].wrapping_mul(31).wrapping_add(byte);
        }
        let (path, content) = (path.as_bytes(), content.as_bytes());
        Side { path, mode: 0o100_644, id: ObjectId::Sha1(id), abbreviated: "1234567", content, binary: None }
    }

    fn text(old: Option<&Side>, new: Option<&Side>, style: &Style) -> String {
        let mut out = Output::keeping(0, 1 << 20);
        write(&mut out, old, new, None, style, &Never).unwrap();
        String::from_utf8(out.text).unwrap()
    }

    #[test]
    fn a_change_without_a_final_newline() {
        let patch = text(Some(&side("f", "a\nb\n")), Some(&side("f", "a\nc")), &style());
        assert!(patch.ends_with("@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"), "{patch}");
    }

    #[test]
    fn an_empty_new_file_has_no_content() {
        let patch = text(None, Some(&side("f", "")), &style());
        assert_eq!(patch, "diff --git a/f b/f\nnew file mode 100644\nindex 0000000..1234567\n");
    }

    #[test]
    fn a_space_in_the_path_is_ended_by_a_tab() {
        let patch = text(None, Some(&side("a b", "x\n")), &style());
        assert!(patch.contains("--- /dev/null\n+++ b/a b\t\n@@ -0,0 +1 @@\n+x\n"), "{patch}");
    }

    #[test]
    fn a_function_line_ends_at_a_whole_character() {
        for (line, expect) in [
            (format!("f {}ä tail", "x".repeat(76)), format!("f {}ä", "x".repeat(76))),
            (format!("f {}ä tail", "x".repeat(77)), format!("f {}", "x".repeat(77))),
            ("f \u{fffe} tail".to_owned(), "f ".to_owned()),
        ] {
            let old = format!("{line}\n1\n2\n3\n4\n5\n");
            let patch = text(Some(&side("f", &old)), Some(&side("f", &old.replace('5', "6"))), &style());
            assert!(patch.contains(&format!("@@ -3,4 +3,4 @@ {expect}\n")), "{patch}");
        }
    }

    #[test]
    fn hunks_are_joined_across_the_configured_gap() {
        let old: String = (0..30).flat_map(|n| [n.to_string(), "\n".to_owned()]).collect();
        let new = old.replace("5\n", "x\n");
        let count = |between| text(Some(&side("f", &old)), Some(&side("f", &new)), &Style { between, ..style() }).matches("@@ -").count();
        assert_eq!((count(0), count(2), count(3)), (3, 3, 1));
    }

    #[test]
    fn binary_content_is_not_shown_unless_an_attribute_wants_it() {
        let (old, new) = (side("f", "a\0\n"), side("f", "b\0\n"));
        assert!(text(Some(&old), Some(&new), &style()).ends_with("Binary files a/f and b/f differ\n"));
        let shown = |side: Side<'static>| Side { binary: Some(false), ..side };
        let patch = text(Some(&shown(old)), Some(&shown(new)), &style());
        assert!(patch.ends_with("-a\0\n+b\0\n"), "{patch}");
    }
}
