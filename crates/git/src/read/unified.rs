//! Renders one file's change as git prints it.

use crate::{quote::quoted, read::patch::FilePatch};
use gix::{
    ObjectId,
    diff::blob::{Algorithm, InternedInput, diff_with_slider_heuristics, sources::byte_lines},
};

/// One side of a change.
#[derive(Clone, Debug)]
pub(crate) struct Side {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) id: ObjectId,
    pub(crate) abbreviated: String,
    pub(crate) content: Vec<u8>,
}

/// How patches are rendered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) context: u32,
    pub(crate) quote_ascii: bool,
}

/// git's check for binary content: a NUL in the first 8,000 bytes.
pub(crate) fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(8000)].contains(&0)
}

/// Renders the change from `old` to `new`; at least one is present. An exact rename has two paths and one id.
pub(crate) fn render(old: Option<&Side>, new: Option<&Side>, null: &str, style: Style) -> Option<FilePatch> {
    let any = new.or(old)?;
    let mut out = Vec::new();
    let mut patch = FilePatch {
        old_path: old.unwrap_or(any).path.clone(),
        path: any.path.clone(),
        kind: match (old, new) {
            (None, _) => 'A',
            (_, None) => 'D',
            (Some(old), Some(new)) if old.path != new.path => 'R',
            _ => 'M',
        },
        ..FilePatch::default()
    };
    let before = quoted(b"a/", &patch.old_path, style.quote_ascii);
    let after = quoted(b"b/", &patch.path, style.quote_ascii);
    line(&mut out, &[b"diff --git ", &before, b" ", &after]);
    extended_header(&mut out, old, new, style);
    let changed = !matches!((old, new), (Some(old), Some(new)) if old.id == new.id);
    if changed {
        let id = |side: Option<&Side>| side.map_or(null, |side| side.abbreviated.as_str()).to_owned();
        let ids = format!("index {}..{}", id(old), id(new));
        match (old, new) {
            (Some(old), Some(new)) if old.mode == new.mode => line(&mut out, &[ids.as_bytes(), format!(" {:06o}", new.mode).as_bytes()]),
            _ => line(&mut out, &[ids.as_bytes()]),
        }
        let none = b"/dev/null".to_vec();
        let (before, after) = (if old.is_some() { before } else { none.clone() }, if new.is_some() { after } else { none });
        let content = |side: Option<&Side>| side.map(|side| side.content.clone()).unwrap_or_default();
        let (a, b) = (content(old), content(new));
        if is_binary(&a) || is_binary(&b) {
            patch.binary = true;
            line(&mut out, &[b"Binary files ", &before, b" and ", &after, b" differ"]);
        } else if !(a.is_empty() && b.is_empty()) {
            line(&mut out, &[b"--- ", &before, tab(&before)]);
            line(&mut out, &[b"+++ ", &after, tab(&after)]);
            hunks(&mut out, &mut patch, &a, &b, style.context);
        }
    }
    patch.size = out.len() as u64;
    patch.text = out;
    Some(patch)
}

fn extended_header(out: &mut Vec<u8>, old: Option<&Side>, new: Option<&Side>, style: Style) {
    match (old, new) {
        (None, Some(new)) => line(out, &[format!("new file mode {:06o}", new.mode).as_bytes()]),
        (Some(old), None) => line(out, &[format!("deleted file mode {:06o}", old.mode).as_bytes()]),
        (Some(old), Some(new)) => {
            if old.mode != new.mode {
                line(out, &[format!("old mode {:06o}\nnew mode {:06o}", old.mode, new.mode).as_bytes()]);
            }
            if old.path != new.path {
                line(out, &[b"similarity index 100%\nrename from ", &quoted(b"", &old.path, style.quote_ascii)]);
                line(out, &[b"rename to ", &quoted(b"", &new.path, style.quote_ascii)]);
            }
        }
        (None, None) => {}
    }
}

fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.push(b'\n');
}

/// A tab ends a path that contains a space, so that patch programs find its end.
fn tab(path: &[u8]) -> &'static [u8] {
    if path.contains(&b' ') && path != b"/dev/null" { b"\t" } else { b"" }
}

/// Maximum bytes of a function line in a hunk header.
const FUNCTION_LEN: usize = 80;

/// Whether git's default rule treats the line as the start of a function.
fn is_function(line: &[u8]) -> bool {
    line.first().is_some_and(|&byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'$')
}

fn hunks(out: &mut Vec<u8>, patch: &mut FilePatch, a: &[u8], b: &[u8], context: u32) {
    let input = InternedInput::new(byte_lines(a), byte_lines(b));
    let diff = diff_with_slider_heuristics(Algorithm::Myers, &input);
    patch.added = diff.count_additions().into();
    patch.removed = diff.count_removals().into();
    let changes: Vec<_> = diff.hunks().collect();
    let (a_len, b_len) = (u32::try_from(input.before.len()).unwrap_or(u32::MAX), u32::try_from(input.after.len()).unwrap_or(u32::MAX));
    let text = |token| input.interner[token];
    let mut function = Function::default();
    let mut first = 0;
    while first < changes.len() {
        let mut last = first;
        // Changes closer than twice the context share a hunk.
        while last + 1 < changes.len() && changes[last + 1].before.start - changes[last].before.end <= context.saturating_mul(2) {
            last += 1;
        }
        let (a_start, b_start) = (changes[first].before.start.saturating_sub(context), changes[first].after.start.saturating_sub(context));
        let a_end = changes[last].before.end.saturating_add(context).min(a_len);
        let b_end = changes[last].after.end.saturating_add(context).min(b_len);
        patch.hunks.push(out.len());
        out.extend_from_slice(format!("@@ -{} +{} @@", range(a_start, a_end), range(b_start, b_end)).as_bytes());
        let name = function.before(a_start, |at| text(input.before[at as usize]));
        if !name.is_empty() {
            out.push(b' ');
            out.extend_from_slice(name);
        }
        out.push(b'\n');
        let mut at = a_start;
        for change in &changes[first..=last] {
            for line in at..change.before.start {
                put(out, b' ', text(input.before[line as usize]));
            }
            for line in change.before.clone() {
                put(out, b'-', text(input.before[line as usize]));
            }
            for line in change.after.clone() {
                put(out, b'+', text(input.after[line as usize]));
            }
            at = change.before.end;
        }
        for line in at..a_end {
            put(out, b' ', text(input.before[line as usize]));
        }
        first = last + 1;
    }
}

fn put(out: &mut Vec<u8>, sign: u8, text: &[u8]) {
    out.push(sign);
    out.extend_from_slice(text);
    if text.last() != Some(&b'\n') {
        out.extend_from_slice(b"\n\\ No newline at end of file\n");
    }
}

/// `start,length` as in a hunk header: 1-based, omitting a length of 1; an empty range starts one lower.
fn range(start: u32, end: u32) -> String {
    match end - start {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        len => format!("{},{len}", start + 1),
    }
}

/// The last function line, found by searching back only to where the last search started.
#[derive(Default)]
struct Function {
    searched: u32,
    name: Vec<u8>,
}

impl Function {
    fn before<'a>(&mut self, start: u32, text: impl Fn(u32) -> &'a [u8]) -> &[u8] {
        if let Some(line) = (self.searched..start).rev().map(text).find(|line| is_function(line)) {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            self.name = line[..line.len().min(FUNCTION_LEN)].trim_ascii_end().to_vec();
        }
        self.searched = self.searched.max(start);
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(path: &str, content: &str) -> Side {
        Side {
            path: path.into(),
            mode: 0o100_644,
            id: gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, content.as_bytes())
                .unwrap_or(ObjectId::null(gix::hash::Kind::Sha1)),
            abbreviated: "1234567".into(),
            content: content.into(),
        }
    }

    fn text(old: Option<&Side>, new: Option<&Side>) -> String {
        let style = Style { context: 3, quote_ascii: true };
        render(old, new, "0000000", style).map(|patch| String::from_utf8_lossy(&patch.text).into_owned()).unwrap_or_default()
    }

    #[test]
    fn a_change_without_a_final_newline() {
        let patch = text(Some(&side("f", "a\nb\n")), Some(&side("f", "a\nc")));
        assert!(patch.ends_with("@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"), "{patch}");
    }

    #[test]
    fn an_empty_new_file_has_no_content() {
        assert_eq!(text(None, Some(&side("f", ""))), "diff --git a/f b/f\nnew file mode 100644\nindex 0000000..1234567\n");
    }

    #[test]
    fn a_space_in_the_path_is_ended_by_a_tab() {
        let patch = text(None, Some(&side("a b", "x\n")));
        assert!(patch.contains("--- /dev/null\n+++ b/a b\t\n@@ -0,0 +1 @@\n+x\n"), "{patch}");
    }
}
