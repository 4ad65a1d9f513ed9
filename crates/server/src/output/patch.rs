//! A patch within a budget: its stat, then whole files, smallest first if not all fit.

use super::{Cursor, Echo, Field, MAX_LINE, Row, Writer, counted, fingerprint, head_len, word};
use crate::{error::Error, symbol};
use git::{FilePatch, Patch, quote};
use serde_json::{Value, json};

/// Generated files: named only, unless requested by path.
const GENERATED: [&str; 12] = [
    "Cargo.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "Pipfile.lock",
    "Gemfile.lock",
    "composer.lock",
    "flake.lock",
    "go.sum",
];
const GENERATED_ENDS: [&str; 4] = [".min.js", ".min.css", ".js.map", ".css.map"];
/// Generated files up to this size are shown like any other.
const SMALL: u64 = 1000;
/// Maximum number of names in a note, and the bytes after which it lists no more.
const MAX_NAMES: usize = 8;
const MAX_LIST: usize = 300;
/// Where to find a path that is truncated in a note.
const WHOLE: &str = "`stat`: true";

/// How a patch is shown.
pub(crate) struct PatchView<'a> {
    pub(crate) echo: &'a Echo,
    pub(crate) cursor: Option<&'a str>,
    /// Only which files changed, and by how much.
    pub(crate) stat: bool,
    /// Only hunk headers and changed declarations.
    pub(crate) outline: bool,
    /// The caller named these files, so generated ones are shown, too.
    pub(crate) named: bool,
    /// The git command that lists all paths.
    pub(crate) command: String,
}

/// Rereads one file's patch from an offset.
pub(crate) type Fetch<'a> = &'a mut dyn FnMut(&FilePatch, u64) -> Result<Option<FilePatch>, Error>;

/// Part of a patch: the text before the first file, or a file.
struct Item<'a> {
    file: Option<&'a FilePatch>,
    text: &'a [u8],
    size: u64,
}

/// Shows `patch`.
///
/// # Errors
///
/// If the cursor does not belong to this patch.
pub(crate) fn present(patch: &Patch, view: &PatchView<'_>, writer: &mut Writer, fetch: Fetch<'_>) -> Result<(), Error> {
    let shape: Vec<_> = patch.files.iter().map(|file| (&file.path, file.size, file.added, file.removed)).collect();
    let mark = fingerprint(&(shape, &patch.prelude));
    let start = Cursor::decode(view.cursor, mark)?;
    if start == Cursor::default() {
        summary(patch, view, writer);
    }
    if patch.truncated {
        writer.note(format!("only the first {} files were read: ask for fewer with `paths`", patch.files.len()));
    }
    if view.stat {
        stat(patch, view, start, mark, writer);
        return Ok(());
    }
    let outlined: Vec<Vec<u8>> = if view.outline { patch.files.iter().map(outline).collect() } else { Vec::new() };
    let elide = !view.named && writer.is_bounded();
    let mut items = Vec::new();
    if !patch.prelude.is_empty() {
        items.push(Item { file: None, text: &patch.prelude, size: patch.prelude.len() as u64 });
    }
    let mut elided = Vec::new();
    for (at, file) in patch.files.iter().enumerate() {
        if elide && file.size > SMALL && is_generated(&file.path) {
            elided.push(file);
            continue;
        }
        let (text, size) =
            if view.outline { (outlined[at].as_slice(), outlined[at].len() as u64) } else { (file.text.as_slice(), file.size) };
        items.push(Item { file: Some(file), text, size });
    }
    let before = writer.checkpoint();
    let mut order = order(&items, writer, start);
    let mut end = page(&items, &order, start, view, writer, fetch)?;
    if end.item < items.len() as u64 && order.is_sorted() && start == Cursor::default() {
        // Escaped, the patch no longer fits whole in git's order. The cursor of the next page counts in the other order.
        writer.rewind(before);
        order.sort_by_key(|&at| (items[at].file.is_some(), items[at].size, at));
        end = page(&items, &order, start, view, writer, fetch)?;
    }
    name_elided(&elided, view, writer);
    if end.item < order.len() as u64 {
        let rest = &order[usize::try_from(end.item).unwrap_or(usize::MAX)..];
        let bytes: u64 = rest.iter().map(|&at| items[at].size).sum::<u64>() - end.offset;
        let next = view.echo.again(&[("cursor", json!(end.encode(mark)))]);
        let names = names(rest.iter().filter_map(|&at| items[at].file));
        let what = if names.is_empty() { "the rest of the message".to_owned() } else { names };
        writer.note(format!("not shown yet: {what}; {}. Next: {next}", counted(bytes, "byte")));
    }
    Ok(())
}

/// The display order of items: git's if everything fits, otherwise smallest first.
fn order(items: &[Item<'_>], writer: &Writer, start: Cursor) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    let all: u64 = items.iter().map(|item| item.size).sum();
    let fits = start == Cursor::default() && all < writer.left() as u64;
    if !fits {
        // The text before the patch stays first.
        order.sort_by_key(|&at| (items[at].file.is_some(), items[at].size, at));
    }
    order
}

/// Shows what fits from `start` on, and returns the position after it.
fn page(
    items: &[Item<'_>],
    order: &[usize],
    start: Cursor,
    view: &PatchView<'_>,
    writer: &mut Writer,
    fetch: Fetch<'_>,
) -> Result<Cursor, Error> {
    let mut position = start;
    let mut shown_one = false;
    while let Some(&next) = usize::try_from(position.item).ok().and_then(|at| order.get(at)) {
        let item = &items[next];
        if position.offset == 0 && item.text.len() as u64 == item.size {
            let before = writer.checkpoint();
            if lines(item, item.text, 0, view, writer) == item.text.len() {
                position.item += 1;
                shown_one = true;
                continue;
            }
            writer.rewind(before);
        }
        if shown_one {
            break;
        }
        // Too large for a page: show what fits, and the rest on later pages.
        let end = partial(item, position.offset, view, writer, fetch)?;
        if end < item.size {
            position.offset = end;
            break;
        }
        position = Cursor { item: position.item + 1, offset: 0 };
        shown_one = true;
    }
    Ok(position)
}

/// Shows one item from `offset` on, up to the end of a hunk if one fits, and returns the offset after it.
fn partial(item: &Item<'_>, offset: u64, view: &PatchView<'_>, writer: &mut Writer, fetch: Fetch<'_>) -> Result<u64, Error> {
    let kept = item.text.len() as u64;
    let fetched;
    let (text, hunks): (&[u8], &[usize]) = match item.file {
        Some(file) if !view.outline && offset + (writer.left() as u64).min(item.size - offset) > kept => {
            fetched = fetch(file, offset)?.unwrap_or_default();
            (&fetched.text, &fetched.hunks)
        }
        file => {
            let start = usize::try_from(offset).unwrap_or(usize::MAX).min(item.text.len());
            let hunks = file.filter(|_| !view.outline && offset == 0).map_or(&[][..], |file| &file.hunks);
            (&item.text[start..], hunks)
        }
    };
    if text.is_empty() {
        return Ok(item.size);
    }
    if offset > 0 {
        writer.say(&format!("{} continues, from byte {offset}:", name(item)));
    }
    let ends_here = offset + text.len() as u64 >= item.size;
    // The last line may be cut where the buffered text ends. A call of its own shows it.
    let complete = if ends_here { text.len() } else { text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1) };
    if complete == 0 {
        let head = writer.bytes(&text[..head_len(text, MAX_LINE)]);
        let rest = item.size - offset - head as u64;
        writer.say(&format!(
            "the line above continues, {} to the end of the file's patch: {}",
            counted(rest, "byte"),
            rest_call(item, offset + head as u64, rest, view)
        ));
        return Ok(item.size);
    }
    let before = writer.checkpoint();
    let shown = lines(item, &text[..complete], offset, view, writer);
    let whole_hunks = hunks.iter().copied().filter(|&hunk| hunk > 0 && hunk <= shown).max();
    let first_hunk = hunks.iter().copied().find(|&hunk| hunk > 0);
    match whole_hunks {
        Some(end) if shown < complete && Some(end) != first_hunk => {
            writer.rewind(before);
            lines(item, &text[..end], offset, view, writer);
            Ok(offset + end as u64)
        }
        _ => Ok(offset + shown as u64),
    }
}

/// Shows lines of an item, starting at `offset` in it. Only a file's patch has calls for the rest of a long line.
fn lines(item: &Item<'_>, text: &[u8], offset: u64, view: &PatchView<'_>, writer: &mut Writer) -> usize {
    match item.file {
        Some(_) => writer.lines(text, &mut |at, len| rest_call(item, offset + at as u64, len as u64, view)),
        None => writer.pieces(text),
    }
}

fn name(item: &Item<'_>) -> String {
    item.file.map_or_else(|| "the commit".to_owned(), |file| word(Field::Path, &file.path, WHOLE))
}

/// The call for `len` bytes of an item from `at` on.
fn rest_call(item: &Item<'_>, at: u64, len: u64, view: &PatchView<'_>) -> String {
    let mut changes = vec![
        ("byte_range", json!(format!("{at}-{}", at + len))),
        ("cursor", Value::Null),
        ("outline", Value::Null),
        ("exclude", Value::Null),
    ];
    if let Some(file) = item.file {
        changes.push(("paths", paths(file)));
    }
    view.echo.again(&changes)
}

fn paths(file: &FilePatch) -> Value {
    let mut paths = vec![quote::listed(&file.path)];
    if file.old_path != file.path {
        paths.push(quote::listed(&file.old_path));
    }
    json!(paths)
}

fn is_generated(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path);
    let name = path.rsplit('/').next().unwrap_or_default();
    GENERATED.contains(&name) || GENERATED_ENDS.iter().any(|end| name.ends_with(end))
}

fn names<'a>(files: impl Iterator<Item = &'a FilePatch>) -> String {
    let files: Vec<&FilePatch> = files.collect();
    let mut text = String::new();
    for (at, file) in files.iter().enumerate() {
        if at == MAX_NAMES || text.len() > MAX_LIST {
            return format!("{text} and {} more", files.len() - at);
        }
        let comma = if text.is_empty() { "" } else { ", " };
        text.extend([comma, &word(Field::Path, &file.path, WHOLE), " (", &file.size.to_string(), " bytes)"]);
    }
    text
}

fn name_elided(elided: &[&FilePatch], view: &PatchView<'_>, writer: &mut Writer) {
    if !elided.is_empty() {
        let paths: Vec<String> = elided.iter().map(|file| quote::listed(&file.path)).collect();
        let (call, count) = view.echo.some(&[("cursor", Value::Null)], "paths", &paths);
        let others = if count < paths.len() { format!(", and likewise the other {}", paths.len() - count) } else { String::new() };
        writer.note(format!("generated, not shown: {}. To see them: {call}{others}", names(elided.iter().copied())));
    }
}

fn counts(file: &FilePatch) -> String {
    if file.binary { "binary".to_owned() } else { format!("+{} -{}", file.added, file.removed) }
}

fn summary(patch: &Patch, view: &PatchView<'_>, writer: &mut Writer) {
    let files = patch.files.len();
    if files == 0 {
        if patch.prelude.is_empty() {
            writer.say(if patch.not_compared.is_empty() { "no differences" } else { "no differences in the compared files" });
        }
        return;
    }
    let (added, removed) = patch.files.iter().fold((0, 0), |(a, r), file| (a + file.added, r + file.removed));
    writer.say(&format!("{} changed, +{added} -{removed}", counted(files, "file")));
    if files == 1 || view.stat {
        return;
    }
    let share = writer.left() / 4;
    let start = writer.left();
    for (at, file) in patch.files.iter().enumerate() {
        let line = stat_line(file);
        if start.saturating_sub(writer.left()).saturating_add(line.len()) > share {
            let call = view.echo.again(&[("stat", json!(true))]);
            writer.say(&format!("and {}: {call}", counted(files - at, "more file")));
            break;
        }
        writer.say(&line);
    }
}

fn stat_line(file: &FilePatch) -> String {
    let from = if file.old_path == file.path { String::new() } else { format!("{} => ", word(Field::Path, &file.old_path, WHOLE)) };
    format!("{} {from}{} {}", file.kind, word(Field::Path, &file.path, WHOLE), counts(file))
}

fn stat_row<'r>(file: &FilePatch, row: &'r mut Row) -> &'r mut Row {
    row.letter(file.kind).put(" ");
    if file.old_path != file.path {
        row.field(Field::Path, "old path", &file.old_path).put(" => ");
    }
    row.field(Field::Path, "path", &file.path);
    if file.binary { row.put(" binary") } else { row.put(" +").number(file.added).put(" -").number(file.removed) }
}

fn stat(patch: &Patch, view: &PatchView<'_>, start: Cursor, mark: u64, writer: &mut Writer) {
    let first = usize::try_from(start.item).unwrap_or(usize::MAX);
    writer.list(patch.files.iter().skip(first), stat_row, &view.command, |rest| {
        let next = Cursor { item: (patch.files.len() - rest) as u64, offset: 0 }.encode(mark);
        format!("{}. Next: {}", counted(rest, "more file"), view.echo.again(&[("cursor", json!(next))]))
    });
}

/// Modifiers that may precede a declaration keyword.
const MODIFIERS: [&str; 18] = [
    "pub",
    "pub(crate)",
    "pub(super)",
    "async",
    "unsafe",
    "extern",
    "export",
    "default",
    "abstract",
    "public",
    "private",
    "protected",
    "internal",
    "final",
    "override",
    "inline",
    "data",
    "sealed",
];

/// The header, the hunk headers, and the changed lines that declare something.
fn outline(file: &FilePatch) -> Vec<u8> {
    let first = file.hunks.first().copied().unwrap_or(file.text.len());
    let mut out = file.text[..first.min(file.text.len())].to_vec();
    for line in file.text.get(first..).unwrap_or_default().split_inclusive(|&byte| byte == b'\n') {
        let changed = matches!(line.first(), Some(b'+' | b'-'));
        if line.starts_with(b"@@") || (changed && declares(&line[1..])) {
            out.extend_from_slice(line);
        }
    }
    out
}

fn declares(line: &[u8]) -> bool {
    let indent = line.len() - line.trim_ascii_start().len();
    let text = String::from_utf8_lossy(line);
    let word = text.split_whitespace().find(|word| !MODIFIERS.contains(word)).unwrap_or_default();
    // Indented `let` or `const` declares a local, which is of no interest.
    let local = matches!(word, "let" | "var" | "const" | "type") && indent > 0;
    symbol::WORDS.contains(&word) && !local
}
