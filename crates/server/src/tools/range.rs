//! Shared by tools that show patches and files: buffer sizes and byte ranges.

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, credentials, word},
    tool::Context,
};
use git::{FilePatch, Keep, NotCompared, RelPath, Unseen};
use serde_json::json;
use std::collections::BTreeSet;

/// Maximum number of paths named as not compared, for each kind.
const MAX_NAMED: usize = 8;

/// Notes paths that a read did not compare, and the calls that compare them.
pub(super) fn not_compared(cx: &Context<'_>, left: &[NotCompared], writer: &mut Writer) {
    let path = |left: &NotCompared| word(Field::Path, &left.path, "`git ls-files -z`");
    let mut filters = BTreeSet::new();
    let mut filtered = Vec::new();
    for left in left {
        if let Unseen::Filter(filter) = &left.why {
            filtered.push(left);
            if filters.len() < MAX_NAMED {
                filters.insert(word(Field::Name, filter, "`git config --list`"));
            }
        }
    }
    let modules = left.iter().filter_map(|left| if let Unseen::Submodule(why) = &left.why { Some((path(left), why)) } else { None });
    let modules: Vec<(String, &String)> = modules.collect();
    for (path, why) in modules.iter().take(MAX_NAMED) {
        writer.note(format!("not compared: changes inside submodule {path}: {}", word(Field::Value, why, "git_status there")));
    }
    if modules.len() > MAX_NAMED {
        writer.note(format!("not compared: changes inside {}", counted(modules.len() - MAX_NAMED, "more submodule")));
    }
    if filtered.is_empty() {
        return;
    }
    let mut names: Vec<String> = filtered.iter().take(MAX_NAMED).map(|left| path(left)).collect();
    if filtered.len() > MAX_NAMED {
        names.push(format!("{} more", filtered.len() - MAX_NAMED));
    }
    let filters: Vec<String> = filters.into_iter().collect();
    let (filters, staged) = (filters.join(", "), cx.echo.other("git_diff", &[("scope", json!("staged"))]));
    let next = if cx.repo.location().trusted { format!("; git_add does, and then {staged} compares") } else { String::new() };
    writer.note(format!("not compared: {}: reads do not run filter {filters}{next}", names.join(", ")));
}

/// How much of a patch to buffer for a page: more than fits, or up to 64 MiB without a budget.
pub(super) fn keep(cx: &Context<'_>) -> Keep {
    match cx.budget.body() {
        Some(body) => Keep { per_file: body * 2, total: 16 << 20, skip: 0, files: 100_000 },
        None => Keep::up_to(64 << 20),
    }
}

/// The paths that select one file's patch: both its names if it was renamed.
pub(super) fn paths_of(file: &FilePatch) -> Vec<RelPath> {
    let mut paths = vec![RelPath::from_patch(&file.path)];
    if file.old_path != file.path {
        paths.push(RelPath::from_patch(&file.old_path));
    }
    paths
}

/// Shows a byte range of one file's patch.
pub(super) fn byte_range(cx: &Context<'_>, range: &str, read: &mut dyn FnMut(Keep) -> Result<git::Patch, Error>) -> Result<Reply, Error> {
    let (start, end) = parse_range(range)?;
    let mut writer = cx.writer();
    let most = writer.left().min(8 << 20);
    let wanted = usize::try_from(end - start).unwrap_or(usize::MAX).min(most);
    let before = usize::try_from(start).unwrap_or(usize::MAX).min(MARGIN);
    let per_file = before + wanted + MARGIN;
    let patch = read(Keep { skip: start - before as u64, per_file, total: per_file, files: 2 })?;
    if let Some(NotCompared { path, why: Unseen::Filter(filter) }) = patch.not_compared.into_iter().next() {
        return Err(git::Error::NotCompared { path: git::quote::listed(&path), filter }.into());
    }
    let [file] = patch.files.as_slice() else {
        let hint = "Name one file in `paths`; for a renamed file both its names.";
        return Err(Error::new(Kind::BadInput, "`byte_range` needs a patch of exactly one file").hint(hint));
    };
    let shown = slice(&file.text, before, before + wanted, &mut writer);
    let (from, stop) = (start + shown as u64, end.min(file.size));
    if from < stop {
        let rest = counted(stop - from, "more byte");
        writer.note(format!("{rest}. Next: {}", cx.echo.again(&[("byte_range", format!("{from}-{stop}").into())])));
    }
    Ok(writer.finish())
}

/// Parses `START-END`.
pub(super) fn parse_range(text: &str) -> Result<(u64, u64), Error> {
    let parsed = text.split_once('-').and_then(|(start, end)| Some((start.trim().parse().ok()?, end.trim().parse().ok()?)));
    match parsed {
        Some((start, end)) if start < end => Ok((start, end)),
        _ => Err(Error::new(Kind::BadInput, format!("`byte_range` is not a range: {text}"))
            .logged_as("`byte_range` is not a range")
            .hint("Use START-END in bytes, for example 2000-10000.")),
    }
}

/// How far a credential may extend beyond either end of a byte range.
pub(super) const MARGIN: usize = 1024;

/// Shows as much of `bytes[from..to]` as fits, ignoring lines, and returns the number of bytes shown. The bytes around
/// the range serve to recognise a credential that crosses one of its ends.
pub(super) fn slice(bytes: &[u8], from: usize, to: usize, writer: &mut Writer) -> usize {
    let (from, to) = (from.min(bytes.len()), to.min(bytes.len()));
    let secrets = credentials(bytes);
    let across = |at: usize| secrets.iter().find(|secret| secret.start < at && secret.end > at);
    let (mut start, mut end) = (from, to);
    if let Some(secret) = across(from) {
        writer.hide();
        start = secret.end.min(to);
    }
    if let Some(secret) = across(to) {
        if secret.start <= start {
            // Nothing precedes it. A range that covers all of it shows it redacted.
            if start == from {
                writer.hide();
            }
            return to - from;
        }
        end = secret.start;
    }
    if start == end {
        return start - from;
    }
    start - from + writer.bytes(&bytes[start..end])
}
