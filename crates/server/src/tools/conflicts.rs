//! `git_conflicts`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, Tool, choices},
    tools::change,
};
use git::{Conflict, Reach, Side, quote};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::io::Read;

pub(super) const TOOL: Entry = Entry::of::<Conflicts>();

struct Conflicts;

/// Maximum number of overwritten files whose previous content is named.
const MAX_KEPT: usize = 20;
/// Command that lists all conflicted paths.
const LISTED: &str = "`git ls-files --unmerged -z`";
/// Maximum size of a file whose conflicts are shown.
const MAX_FILE: u64 = 4 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    #[serde(default)]
    paths: Vec<String>,
    /// In a rebase, `theirs` is the rebased commit.
    take: Option<Taken>,
}

choices!(Taken for Side: Ours, Theirs);

impl Tool for Conflicts {
    type Args = Args;
    const NAME: &'static str = "git_conflicts";
    const ABOUT: &'static str = "Shows conflicts, or resolves `paths` by taking a side. By hand: edit, git_add, git_continue.";
    const EFFECT: Effect = Effect::Write;

    fn only_reads(args: &Args) -> bool {
        args.take.is_none()
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        cx.repo.worktree()?;
        let paths = cx.paths(&args.paths)?;
        let mut writer = cx.writer();
        if let Some(side) = args.take {
            if paths.is_empty() {
                return Err(Error::new(Kind::BadInput, "`take` needs `paths`").hint("`.` means every conflicted path."));
            }
            cx.reaches(Reach::Worktree);
            let side = Side::from(side);
            let is_taken = |conflict: &Conflict| conflict.side(side).1 && paths.iter().any(|path| path.covers(conflict.path.as_bytes()));
            let modules: Vec<String> =
                cx.repo.conflicts(cx.cancel)?.iter().filter(|one| is_taken(one)).map(|one| one.path.to_string()).collect();
            let kept = cx.repo.take_side(&paths, side, cx.cancel)?;
            if !modules.is_empty() {
                let update = cx.echo.other("git_submodule", &[("action", json!("update")), ("paths", json!(modules))]);
                writer.note(format!("only the submodule's commit is recorded. To check out its files: {update}"));
            }
            if kept.len() > MAX_KEPT {
                writer.note(format!("previous content of {}: see `git fsck --lost-found`", counted(kept.len() - MAX_KEPT, "more file")));
            }
            for (path, id) in kept.into_iter().take(MAX_KEPT) {
                let shown = cx.echo.other("git_show", &[("revision", json!(id.to_string()))]);
                writer.note(format!("previous content of {}: {shown}", word(Field::Path, path.as_bytes(), LISTED)));
            }
        }
        let conflicts = cx.repo.conflicts(cx.cancel)?;
        if conflicts.is_empty() {
            writer.say("nothing is in conflict");
            change::state(cx, &mut writer)?;
            if cx.repo.in_progress().is_some_and(|operation| operation != "bisect") {
                writer.note(format!("to continue: {}", cx.echo.other("git_continue", &[])));
            }
            return Ok(writer.finish());
        }
        let wanted = |conflict: &&Conflict| paths.is_empty() || paths.iter().any(|path| path.covers(conflict.path.as_bytes()));
        let shown: Vec<&Conflict> = conflicts.iter().filter(|conflict| args.take.is_some() || wanted(conflict)).collect();
        for (at, conflict) in shown.iter().enumerate() {
            if !show(cx, conflict, &mut writer) {
                let rest: Vec<String> = shown[at..].iter().map(|conflict| conflict.path.to_string()).collect();
                let (next, count) = cx.echo.some(&[("take", Value::Null)], "paths", &rest);
                let others = if count < rest.len() {
                    format!("; then the other {} listed by git_status", rest.len() - count)
                } else {
                    String::new()
                };
                writer.note(format!("{}{others}. Next: {next}", counted(rest.len(), "more path")));
                break;
            }
        }
        Ok(writer.finish())
    }
}

/// Shows one path: its versions, and the lines between the markers. Returns false if it does not fit.
fn show(cx: &Context<'_>, conflict: &Conflict, writer: &mut Writer) -> bool {
    if conflict.links.contains(&true) {
        return show_submodule(cx, conflict, writer);
    }
    let (listed, path) = (quote::listed(conflict.path.as_bytes()), word(Field::Path, conflict.path.as_bytes(), LISTED));
    let versions = [("1", "base", conflict.base), ("2", "ours", conflict.ours), ("3", "theirs", conflict.theirs)];
    // A truncated path is not repeated.
    let at = if listed == path { path.as_str() } else { "PATH" };
    let there: Vec<String> = versions.iter().filter_map(|(stage, name, id)| id.map(|_| format!("{name} is `:{stage}:{at}`"))).collect();
    let missing: Vec<&str> = versions.iter().filter(|(_, _, id)| id.is_none()).map(|(_, name, _)| *name).collect();
    let mut text = Vec::new();
    let hunks = hunks(cx, conflict);
    for (number, line) in &hunks {
        text.extend_from_slice(format!("{number}: ").as_bytes());
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    // The first path is always shown, truncated if necessary.
    if !writer.fits(&text) && writer.has_text() {
        return false;
    }
    let missing = if missing.is_empty() { String::new() } else { format!("; not in {}", missing.join(" and ")) };
    writer.say(&format!("{path} (git_show: {}{missing})", there.join(", ")));
    let used = writer.pieces(&text);
    if used < text.len() {
        let all = cx.echo.other("git_diff", &[("paths", json!([listed]))]);
        writer.note(format!("more conflicts in {path}: {all}"));
    }
    true
}

/// Shows a submodule: its commit on each side.
fn show_submodule(cx: &Context<'_>, conflict: &Conflict, writer: &mut Writer) -> bool {
    let sides = [("base", conflict.base), ("ours", conflict.ours), ("theirs", conflict.theirs)];
    let sides: Vec<String> =
        sides.iter().map(|(name, id)| id.map_or_else(|| format!("not in {name}"), |id| format!("{name} is {id}"))).collect();
    let path = word(Field::Path, conflict.path.as_bytes(), LISTED);
    let place = json!({"repo_path": cx.repo.top().join(conflict.path.to_string())});
    writer.say(&format!("{path} is a submodule with conflicting commits: {}", sides.join(", ")));
    writer.note(format!("take a side; or merge them there, with {place}, and stage {path} with git_add"));
    true
}

/// The lines of the file from each `<<<<<<<` to its `>>>>>>>`, with their numbers.
fn hunks(cx: &Context<'_>, conflict: &Conflict) -> Vec<(usize, Vec<u8>)> {
    let mut content = Vec::new();
    let Ok(file) = cx.repo.open_tracked(&conflict.path) else { return Vec::new() };
    if file.take(MAX_FILE).read_to_end(&mut content).is_err() || content.contains(&0) {
        return Vec::new();
    }
    let mut inside = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(content.split(|&byte| byte == b'\n')) {
        inside |= line.starts_with(b"<<<<<<<");
        if inside {
            found.push((number, line.to_vec()));
        }
        inside &= !line.starts_with(b">>>>>>>");
    }
    found
}
