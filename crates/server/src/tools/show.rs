//! `git_show`

use crate::{
    error::{Error, Kind},
    output::{
        Field, MAX_LINE, Reply, Writer, counted, head_len,
        patch::{self, PatchView},
    },
    symbol,
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::range::{MARGIN, byte_range, keep, parse_range, paths_of, slice},
};
use git::{DiffQuery, Keep, ObjectId, ObjectKind, RelPath, Rev, Sides};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::ops::ControlFlow;

pub(super) const TOOL: Entry = Entry::of::<Show>().also_in(&[Toolset::Reference, Toolset::Legacy]);

/// Maximum size of a file searched for a symbol.
const MAX_SYMBOL_FILE: u64 = 8 << 20;

struct Show;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    /// Commit, tag, `REV:PATH`, or `:PATH` as staged.
    revision: String,
    #[serde(default)]
    paths: Vec<String>,
    #[schemars(range(min = 1))]
    start_line: Option<u64>,
    #[schemars(range(min = 1))]
    end_line: Option<u64>,
    /// Definition of this name in a file.
    symbol: Option<String>,
    /// Only the files.
    #[serde(default)]
    stat: bool,
    context_lines: Option<u32>,
    byte_range: Option<String>,
    cursor: Option<String>,
}

impl Tool for Show {
    type Args = Args;
    const NAME: &'static str = "git_show";
    const ABOUT: &'static str = "Shows a commit with its patch, a tag, or a file or folder of a revision (`REV:PATH`). To compare \
        revisions: git_diff.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &Args) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let rev = Rev::new(args.revision.as_str())?;
        let id = match (rev.path(), args.revision.strip_prefix(':')) {
            (Some((rev, path)), _) => cx.repo.resolve_path(&rev, &inside(path)?, cx.cancel)?,
            (None, Some(path)) if !path.starts_with(['/', '(']) => {
                let (stage, path) = staged(path);
                cx.repo.resolve_staged(stage, &inside(path)?, cx.cancel)?
            }
            _ => cx.repo.resolve(&rev, cx.cancel)?,
        };
        let object = cx.repo.object_of(&rev, id, cx.cancel)?;
        match object.kind {
            ObjectKind::Blob => file(cx, &args, id, object.size),
            ObjectKind::Tree => directory(cx, &args, id),
            ObjectKind::Commit | ObjectKind::Tag => commit(cx, &args, id),
        }
    }
}

/// Splits `2:PATH` into stage and path.
fn staged(path: &str) -> (u8, &str) {
    match path.split_once(':') {
        Some((stage @ ("0" | "1" | "2" | "3"), path)) => (stage.parse().unwrap_or_default(), path),
        _ => (0, path),
    }
}

fn inside(path: &str) -> Result<RelPath, Error> {
    if path.is_empty() { Ok(RelPath::default()) } else { Ok(RelPath::new(path, None)?) }
}

fn commit(cx: &Context<'_>, args: &Args, id: ObjectId) -> Result<Reply, Error> {
    let only_files = [("start_line", args.start_line.is_some()), ("end_line", args.end_line.is_some()), ("symbol", args.symbol.is_some())];
    if let Some((name, _)) = only_files.iter().find(|(_, given)| *given) {
        return Err(Error::new(Kind::BadInput, format!("`{name}` is for files, and {} is a commit", args.revision))
            .logged_as(format!("`{name}` is for files"))
            .hint(format!("Name the file: `revision`: \"{}:PATH\".", args.revision)));
    }
    let query = DiffQuery {
        sides: Sides::Unstaged,
        paths: args.paths.iter().map(|path| RelPath::new(path, cx.repo.location().worktree.as_deref())).collect::<Result<_, _>>()?,
        exclude: Vec::new(),
        context: args.context_lines,
        keep: keep(cx),
    };
    if let Some(range) = &args.byte_range {
        return byte_range(cx, range, &mut |keep| Ok(cx.repo.show(id, &DiffQuery { keep, ..query.clone() }, cx.cancel)?.0));
    }
    let (shown, _) = cx.repo.show(id, &query, cx.cancel)?;
    let view = PatchView {
        echo: &cx.echo,
        cursor: args.cursor.as_deref(),
        stat: args.stat,
        outline: false,
        named: !args.paths.is_empty(),
        command: format!("`git show --name-status -z {id}`"),
    };
    let mut writer = cx.writer();
    if shown.prelude_cut {
        writer.note(format!("the text before the patch is truncated: `git cat-file -p {id}` shows all of it"));
    }
    if cx.repo.boundary()?.contains(&id) {
        cx.note_shallow(&mut writer, "the parents of this commit are missing, so every file in it is shown as new");
    }
    patch::present(&shown, &view, &mut writer, &mut |file, skip| {
        let one = DiffQuery { paths: paths_of(file), keep: Keep { skip, ..query.keep }, ..query.clone() };
        Ok(cx.repo.show(id, &one, cx.cancel)?.0.files.into_iter().next())
    })?;
    Ok(writer.finish())
}

fn directory(cx: &Context<'_>, args: &Args, id: ObjectId) -> Result<Reply, Error> {
    let names = cx.repo.tree(id, cx.cancel)?;
    let mut writer = cx.writer();
    // A tree is immutable: a line number is enough, without a cursor.
    let count = |lines: u64| usize::try_from(lines).unwrap_or(usize::MAX);
    let before = count(args.start_line.unwrap_or(1).saturating_sub(1));
    let end = args.end_line.map_or(names.len(), count).min(names.len());
    let whole = |_, _: &str| format!("`git ls-tree --name-only -z {id}`");
    let at = before + writer.rows(names.iter().take(end).skip(before), |name, row| row.field(Field::Path, "name", name), whole);
    if at < end {
        let rest = counted(names.len() - at, "more name");
        writer.note(format!("{rest}. Next: {}", cx.echo.again(&[("start_line", json!(at + 1))])));
    }
    if names.is_empty() {
        writer.say("the directory is empty");
    }
    Ok(writer.finish())
}

fn file(cx: &Context<'_>, args: &Args, id: ObjectId, size: u64) -> Result<Reply, Error> {
    if let Some(range) = &args.byte_range {
        return bytes(cx, range, id, size);
    }
    let (mut start, mut end) = (args.start_line.unwrap_or(1).max(1), args.end_line);
    if end.is_some_and(|end| end < start) {
        return Err(Error::new(Kind::BadInput, "`end_line` is before `start_line`"));
    }
    if let Some(symbol) = &args.symbol {
        (start, end) = find_symbol(cx, symbol, id, size).map(|(start, end)| (start, Some(end)))?;
    }
    let mut lines = Lines::new(cx, start, end);
    let mut first = true;
    let mut binary = false;
    cx.repo.blob(id, size, cx.cancel, &mut |chunk| {
        if std::mem::take(&mut first) && chunk[..chunk.len().min(8000)].contains(&0) {
            binary = true;
            return ControlFlow::Break(());
        }
        lines.push(chunk)
    })?;
    if binary {
        let mut writer = cx.writer();
        let shown = counted(size, "byte");
        writer.say(&format!("a binary file of {shown}: {}", cx.echo.again(&[("byte_range", json!(format!("0-{size}")))])));
        return Ok(writer.finish());
    }
    lines.finish(size)
}

/// Shows a file line by line.
struct Lines<'a> {
    cx: &'a Context<'a>,
    writer: Writer,
    start: u64,
    end: Option<u64>,
    /// Number and offset of the line being collected.
    number: u64,
    line_at: u64,
    line: Vec<u8>,
    len: u64,
    stopped: bool,
    /// Set if the line is too long to scan to its end.
    cut: bool,
}

/// Maximum bytes of a line buffered while scanning for its end, if results are bounded.
const KEPT_LINE: usize = 64 << 10;
/// Maximum line length scanned for its end: beyond it the note covers the rest of the file.
const LONGEST: u64 = 64 << 20;

impl<'a> Lines<'a> {
    fn new(cx: &'a Context<'a>, start: u64, end: Option<u64>) -> Self {
        Self { cx, writer: cx.writer(), start, end, number: 1, line_at: 0, line: Vec::new(), len: 0, stopped: false, cut: false }
    }

    fn push(&mut self, chunk: &[u8]) -> ControlFlow<()> {
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            let wanted = self.number >= self.start;
            let room = if self.writer.is_bounded() { KEPT_LINE.saturating_sub(self.line.len()) } else { usize::MAX };
            if wanted {
                self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            self.len += piece.len() as u64;
            if piece.ends_with(b"\n") {
                self.complete()?;
            } else if wanted && self.writer.is_bounded() && self.len > LONGEST {
                self.cut = true;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    fn complete(&mut self) -> ControlFlow<()> {
        if self.number >= self.start {
            if self.end.is_some_and(|end| self.number > end) {
                return ControlFlow::Break(());
            }
            if !self.show() {
                self.stopped = true;
                return ControlFlow::Break(());
            }
        }
        self.number += 1;
        self.line_at += self.len;
        self.len = 0;
        self.line.clear();
        ControlFlow::Continue(())
    }

    /// Shows the collected line. Returns false if it does not fit.
    fn show(&mut self) -> bool {
        let (cx, from, to) = (self.cx, self.line_at, self.line_at + self.len);
        let rest = &mut |at: usize| format!(": {}", rest_of_line(cx, from + at as u64, to));
        self.writer.line(&self.line, usize::try_from(self.len).unwrap_or(usize::MAX), rest)
    }
    fn finish(mut self, size: u64) -> Result<Reply, Error> {
        if self.cut {
            let head = self.writer.bytes(&self.line[..head_len(&self.line, MAX_LINE)]);
            let from = self.line_at + head as u64;
            let rest = counted(size - from, "byte");
            let note = format!("the line above continues; {rest} to the end of the file: {}", rest_of_line(self.cx, from, size));
            self.writer.say(&note);
            return Ok(self.writer.finish());
        }
        if !self.stopped && self.len > 0 {
            // The last line has no line break.
            let _ = self.complete();
        }
        if self.stopped {
            let next = self.cx.echo.again(&[("start_line", json!(self.number)), ("symbol", Value::Null), ("end_line", json!(self.end))]);
            let rest = size - self.line_at;
            let remain = if rest == 1 { "remains" } else { "remain" };
            self.writer.note(format!("shown up to line {}; {} {remain}. Next: {next}", self.number - 1, counted(rest, "byte")));
        } else if self.number < self.start && size > 0 {
            let why = format!("the file has {}, so there is no line {}", counted(self.number - 1, "line"), self.start);
            return Err(Error::new(Kind::BadInput, why).logged_as("a line beyond the end of the file"));
        } else if size == 0 {
            self.writer.say("the file is empty");
        }
        Ok(self.writer.finish())
    }
}

fn rest_of_line(cx: &Context<'_>, from: u64, to: u64) -> String {
    let clear = ["start_line", "end_line", "symbol", "cursor"].map(|name| (name, Value::Null));
    let mut changes = vec![("byte_range", json!(format!("{from}-{to}")))];
    changes.extend(clear);
    cx.echo.again(&changes)
}

fn bytes(cx: &Context<'_>, range: &str, id: ObjectId, size: u64) -> Result<Reply, Error> {
    let (start, end) = parse_range(range)?;
    let end = end.min(size);
    if start >= end {
        let why = format!("the file has {}, so there is none at offset {start}", counted(size, "byte"));
        return Err(Error::new(Kind::BadInput, why).logged_as("an offset beyond the end of the file"));
    }
    let mut writer = cx.writer();
    let most = usize::try_from(end - start).unwrap_or(usize::MAX).min(writer.left()).min(64 << 20);
    let mut kept = Vec::new();
    let mut seen = 0_u64;
    // Surrounding bytes are read, too, to recognise a credential that the range covers in part.
    let before = usize::try_from(start).unwrap_or(usize::MAX).min(MARGIN);
    let wanted = before + most;
    let most = wanted + MARGIN;
    cx.repo.blob(id, size, cx.cancel, &mut |chunk| {
        let skip = usize::try_from((start - before as u64).saturating_sub(seen)).unwrap_or(usize::MAX).min(chunk.len());
        let rest = &chunk[skip..];
        kept.extend_from_slice(&rest[..rest.len().min(most - kept.len())]);
        seen += chunk.len() as u64;
        if kept.len() == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    let shown = slice(&kept, before, wanted, &mut writer) as u64;
    if start + shown < end {
        let next = cx.echo.again(&[("byte_range", json!(format!("{}-{end}", start + shown)))]);
        writer.note(format!("{}. Next: {next}", counted(end - start - shown, "more byte")));
    }
    Ok(writer.finish())
}

fn find_symbol(cx: &Context<'_>, symbol: &str, id: ObjectId, size: u64) -> Result<(u64, u64), Error> {
    if size > MAX_SYMBOL_FILE {
        return Err(Error::new(Kind::Refused, format!("the file is {size} bytes, too large to search for a symbol")).hint(
            "Use `start_line` and `end_line`. git_grep skips files over 8 MiB: `git grep -n WORD REVISION -- PATH` finds the line.",
        ));
    }
    let mut content = Vec::new();
    cx.repo.blob(id, size, cx.cancel, &mut |chunk| {
        content.extend_from_slice(chunk);
        ControlFlow::Continue(())
    })?;
    symbol::find(&String::from_utf8_lossy(&content), symbol).ok_or_else(|| {
        Error::new(Kind::NotFound, format!("no definition of `{symbol}` in this file"))
            .hint("Omit `symbol` to read the file, or find the definition with git_grep.")
    })
}
