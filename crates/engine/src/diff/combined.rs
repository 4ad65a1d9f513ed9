//! Writes a merged file's changes from all parents at once, as `git show` does (`diff --cc`).

use crate::{
    diff::{
        output::Output,
        patch::{Side, Style, is_binary, is_function},
        text::Lines,
        xdiff,
    },
    error::{Error, Result},
    quote::quoted,
    stop::Stop,
};
use std::{fmt::Write as _, ops::Range};

/// Maximum number of parents whose bits git keeps apart.
const MAX_PARENTS: usize = 30;
/// Maximum size of the table by which lost lines are matched.
const MAX_TABLE: usize = 1 << 24;
/// Maximum bytes of a line in a hunk header.
const COMMENT_LEN: usize = 40;

/// A line of a parent that is missing in the result.
struct Lost<'a> {
    text: &'a [u8],
    /// The parents that had it, as bits.
    parents: u64,
}

/// A line of the result, or its end.
#[derive(Default)]
struct Merged<'a> {
    /// The line without its break; `None` at the end.
    text: Option<&'a [u8]>,
    /// The parents that do not have it, as bits.
    new_to: u64,
    /// Whether it is shown.
    shown: bool,
    /// Whether lines lost before it are left out, since it is context before a hunk.
    bare: bool,
    /// Lines lost before it.
    lost: Vec<Lost<'a>>,
    /// Its number in each parent.
    numbers: Vec<usize>,
}

impl Merged<'_> {
    fn is_changed(&self) -> bool {
        self.new_to != 0 || !self.lost.is_empty()
    }
}

/// Writes how `new` differs from all parents. Returns false, with nothing written, if each hunk equals that of a parent.
/// A side that is absent has the mode 0 and no content.
///
/// # Errors
///
/// [`Error::Unsupported`] for very many parents, lines lost or NUL bytes in text.
pub fn write(out: &mut Output, parents: &[Side], new: &Side, style: &Style, stop: &dyn Stop) -> Result<bool> {
    if parents.len() > MAX_PARENTS {
        return Err(Error::Unsupported("a merge of very many parents"));
    }
    let binary = |side: &Side| is_binary(side.content);
    if new.binary.unwrap_or_else(|| binary(new) || parents.iter().any(binary)) {
        header(out, parents, new, style, false);
        out.binary = true;
        out.line(&[b"Binary files differ"]);
        return Ok(true);
    }
    // git prints such lines up to the NUL.
    if new.content.contains(&0) || parents.iter().any(|side| side.content.contains(&0)) {
        return Err(Error::Unsupported("a NUL in a merged text"));
    }
    let context = style.context as usize;
    if context == 0 {
        return Err(Error::Unsupported("a combined diff without context"));
    }
    let (mut merged, ends) = merged(parents, new, style, stop)?;
    let all = (1 << parents.len()) - 1;
    for line in &mut merged {
        line.shown = line.is_changed();
    }
    hide_simple_hunks(&mut merged, all, context);
    let has_hunks = add_context(&mut merged, context);
    let is_shown = has_hunks || parents.iter().any(|parent| parent.mode != new.mode);
    if is_shown {
        header(out, parents, new, style, true);
        hunks(out, &merged, &ends);
    }
    Ok(is_shown)
}

/// The lines of the result, compared with each parent, and the number after the last line of each parent.
fn merged<'a>(parents: &[Side<'a>], new: &Side<'a>, style: &Style, stop: &dyn Stop) -> Result<(Vec<Merged<'a>>, Vec<usize>)> {
    let lines = Lines::of(new.content)?;
    let line = |at| Merged { text: Some(without_break(lines.get(at))), ..Merged::default() };
    let mut merged: Vec<Merged> = (0..lines.len()).map(line).collect();
    // Lines may be lost at the end.
    merged.push(Merged::default());
    let mut ends = Vec::new();
    for (at, parent) in parents.iter().enumerate() {
        ends.push(match parents[..at].iter().position(|other| other.id == parent.id) {
            Some(equal) => {
                reuse(&mut merged, at, equal);
                ends[equal]
            }
            None => compare(&mut merged, parent, new, at, style, stop)?,
        });
    }
    Ok((merged, ends))
}

fn without_break(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Records the result of a parent with the same content again.
fn reuse(merged: &mut [Merged], parent: usize, equal: usize) {
    for line in merged {
        line.numbers.push(line.numbers.get(equal).copied().unwrap_or_default());
        let bit = |bits: u64| bits | ((bits >> equal & 1) << parent);
        line.new_to = bit(line.new_to);
        for lost in &mut line.lost {
            lost.parents = bit(lost.parents);
        }
    }
}

/// Compares the result with one parent. Returns the number after the parent's last line.
fn compare<'a>(merged: &mut [Merged<'a>], parent: &Side<'a>, new: &Side<'a>, at: usize, style: &Style, stop: &dyn Stop) -> Result<usize> {
    let before = Lines::of(parent.content)?;
    let bit = 1_u64 << at;
    let mut lost: Vec<(usize, Vec<&'a [u8]>)> = Vec::new();
    for hunk in xdiff::lines(parent.content, new.content, style.options(true), stop)? {
        if !hunk.before.is_empty() {
            let gone = hunk.before.map(|line| without_break(before.get(line as usize))).collect();
            lost.push((hunk.after.start as usize, gone));
        }
        for line in hunk.after {
            merged[line as usize].new_to |= bit;
        }
    }
    for (place, gone) in lost {
        stop.check()?;
        let line = &mut merged[place];
        line.lost = united(std::mem::take(&mut line.lost), &gone, bit)?;
    }
    let mut number = 1;
    for line in merged {
        line.numbers.push(number);
        number += line.lost.iter().filter(|lost| lost.parents & bit != 0).count();
        number += usize::from(line.text.is_some() && line.new_to & bit == 0);
    }
    Ok(number)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Both,
    Known,
    New,
}

/// Adds the lines that another parent lost at the same place, along the longest common subsequence.
fn united<'a>(known: Vec<Lost<'a>>, new: &[&'a [u8]], bit: u64) -> Result<Vec<Lost<'a>>> {
    let width = new.len() + 1;
    if known.len().saturating_add(1).saturating_mul(width) > MAX_TABLE {
        return Err(Error::Unsupported("very many lines lost in a merge"));
    }
    let mut steps = vec![Step::Known; (known.len() + 1) * width];
    steps[1..width].fill(Step::New);
    let mut above = vec![0_u32; width];
    for (row, line) in known.iter().enumerate() {
        let mut current = vec![0_u32; width];
        for (column, text) in new.iter().enumerate() {
            let (len, step) = if line.text == *text {
                (above[column] + 1, Step::Both)
            } else if current[column] >= above[column + 1] {
                (current[column], Step::New)
            } else {
                (above[column + 1], Step::Known)
            };
            current[column + 1] = len;
            steps[(row + 1) * width + column + 1] = step;
        }
        above = current;
    }
    let mut united = Vec::with_capacity(known.len() + new.len());
    let mut known = known;
    let mut column = new.len();
    loop {
        match (steps[known.len() * width + column], known.len(), column) {
            (_, 0, 0) => break,
            (Step::New, ..) | (_, 0, _) => {
                column -= 1;
                united.push(Lost { text: new[column], parents: bit });
            }
            (step, ..) => {
                let Some(line) = known.pop() else { break };
                let is_both = step == Step::Both;
                column -= usize::from(is_both);
                united.push(Lost { parents: line.parents | if is_both { bit } else { 0 }, ..line });
            }
        }
    }
    united.reverse();
    Ok(united)
}

/// Lines from `from` on until one whose `shown` equals `wanted`; the number of lines if there is none.
fn find(merged: &[Merged], from: usize, wanted: bool) -> usize {
    merged.iter().skip(from).position(|line| line.shown == wanted).map_or(merged.len().max(from), |at| from + at)
}

/// The end of a hunk for the purpose of context: a line that is shown only for what was lost before it is context.
fn tail(merged: &[Merged], start: usize, end: usize) -> usize {
    if start < end && merged[end - 1].new_to == 0 { end - 1 } else { end }
}

/// Hides hunks in which the result equals one parent, and all others agree.
fn hide_simple_hunks(merged: &mut [Merged], all: u64, context: usize) {
    let count = merged.len();
    let mut start = find(merged, 0, true);
    while start < count {
        let mut end = start + 1;
        while end < count {
            if !merged[end].shown {
                let reach = (tail(merged, start, end) + context).min(count);
                let Some(next) = (end..reach).rev().find(|at| merged[*at].shown) else { break };
                end = next;
            }
            end += 1;
        }
        let mut kinds = merged[start..end]
            .iter()
            .flat_map(|line| std::iter::once(line.new_to).filter(|bits| *bits != 0).chain(line.lost.iter().map(|lost| lost.parents)));
        let first = kinds.next().unwrap_or_default();
        if kinds.all(|kind| kind == first) && first != all {
            merged[start..end].iter_mut().for_each(|line| line.shown = false);
        }
        start = find(merged, end, true);
    }
}

/// Shows context around the hunks, and joins those close to each other. False if there are none.
fn add_context(merged: &mut [Merged], context: usize) -> bool {
    let count = merged.len();
    let mut at = find(merged, 0, true);
    if at >= count {
        return false;
    }
    while at < count {
        for line in &mut merged[at.saturating_sub(context)..at] {
            line.bare |= !line.shown;
            line.shown = true;
        }
        loop {
            let end = find(merged, at, false);
            if end >= count {
                return true;
            }
            let next = find(merged, end, true);
            let end = tail(merged, at, end);
            if next >= end + context {
                merged[end..(end + context).min(count)].iter_mut().for_each(|line| line.shown = true);
                at = next;
                break;
            }
            merged[end..next].iter_mut().for_each(|line| line.shown = true);
            at = next;
        }
    }
    true
}

fn header(out: &mut Output, parents: &[Side], new: &Side, style: &Style, has_files: bool) {
    let path = |prefix: &[u8]| quoted(prefix, new.path, style.quote_ascii);
    out.line(&[b"diff --cc ", &path(b"")]);
    let ids: Vec<&str> = parents.iter().map(|parent| parent.abbreviated).collect();
    out.line(&[b"index ", ids.join(",").as_bytes(), b"..", new.abbreviated.as_bytes()]);
    let deleted = new.mode == 0;
    let differs = parents.iter().any(|parent| parent.mode != new.mode);
    let added = differs && !deleted && parents.iter().all(|parent| parent.mode == 0);
    if added {
        out.line(&[format!("new file mode {:06o}", new.mode).as_bytes()]);
    } else if differs {
        let modes: Vec<String> = parents.iter().map(|parent| format!("{:06o}", parent.mode)).collect();
        let (start, end) = if deleted { ("deleted file ", String::new()) } else { ("", format!("..{:06o}", new.mode)) };
        out.line(&[format!("{start}mode {}{end}", modes.join(",")).as_bytes()]);
    }
    if has_files {
        let nothing = || b"/dev/null".to_vec();
        out.line(&[b"--- ", &if added { nothing() } else { path(&style.prefixes[0]) }]);
        out.line(&[b"+++ ", &if deleted { nothing() } else { path(&style.prefixes[1]) }]);
    }
}

/// Writes the lines that are shown. The last entry is the end of the text.
fn hunks(out: &mut Output, merged: &[Merged], ends: &[usize]) {
    let (mut at, mut comment) = (0, None);
    while at < merged.len() {
        let line = &merged[at];
        if !line.shown {
            comment = line.text.filter(|text| is_function(text)).or(comment);
            at += 1;
            continue;
        }
        let end = find(merged, at, false);
        hunk_header(out, merged, at..end, comment.take(), ends);
        for line in &merged[at..end] {
            let lost = if line.bare { &[][..] } else { &line.lost };
            for gone in lost {
                out.put(&signs(gone.parents, ends.len(), b'-'));
                out.line(&[gone.text]);
                out.removed += 1;
            }
            if let Some(text) = line.text {
                out.put(&signs(line.new_to, ends.len(), b'+'));
                out.line(&[text]);
                out.added += u64::from(line.new_to != 0);
            }
        }
        at = end;
    }
}

fn signs(bits: u64, parents: usize, sign: u8) -> Vec<u8> {
    (0..parents).map(|parent| if bits >> parent & 1 == 1 { sign } else { b' ' }).collect()
}

fn hunk_header(out: &mut Output, merged: &[Merged], shown: Range<usize>, comment: Option<&[u8]>, ends: &[usize]) {
    let marks = "@".repeat(ends.len() + 1);
    let mut header = marks.clone();
    for (parent, last) in ends.iter().enumerate() {
        let number = |at: usize| merged.get(at).map_or(*last, |line| line.numbers[parent]);
        let (start, end) = (number(shown.start), number(shown.end));
        let _ = write!(header, " -{start},{}", end - start);
    }
    let len = shown.end.min(merged.len() - 1) - shown.start;
    let _ = write!(header, " +{},{len} {marks}", shown.start + 1);
    let mut header = header.into_bytes();
    if let Some(comment) = comment {
        let comment = &comment[..comment.len().min(COMMENT_LEN)];
        // git leaves out the last character.
        let end = comment.iter().rposition(|&byte| !matches!(byte, b' ' | b'\t' | b'\r')).unwrap_or_default();
        if end > 0 {
            header.push(b' ');
            header.extend_from_slice(&comment[..end]);
        }
    }
    header.push(b'\n');
    out.hunk(&header);
}
