//! `git_status`

use crate::{
    error::Error,
    output::{Cursor, Reply, Writer, fingerprint, inline},
    tool::{Context, Effect, Entry, Tool},
};
use git::{Entry as Changed, Status, quote};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const TOOL: Entry = Entry::of::<StatusTool>();

struct StatusTool;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    cursor: Option<String>,
}

impl Tool for StatusTool {
    type Args = Args;
    const NAME: &'static str = "git_status";
    const ABOUT: &'static str = "Shows branch, upstream, what is in progress, and staged, changed, conflicted and untracked paths. Call \
        it before changing anything.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        let (status, _) = cx.repo.status(cx.cancel)?;
        let rows: Vec<String> = status.entries.iter().map(row).collect();
        let mark = fingerprint(&rows);
        let start = Cursor::decode(args.cursor.as_deref(), mark)?;
        let mut writer = cx.writer();
        writer.fit_prepared(&head(&status));
        let first = usize::try_from(start.item).unwrap_or(usize::MAX);
        for (at, line) in rows.iter().enumerate().skip(first) {
            if !writer.fit(line.as_bytes()) {
                let next = Cursor { item: at as u64, offset: 0 }.encode(mark);
                writer.note(format!("{} of {} paths shown. Next: {}", at - first, rows.len(), cx.echo.again(&[("cursor", json!(next))])));
                break;
            }
        }
        notes(&status, rows.is_empty(), &mut writer);
        Ok(writer.finish())
    }
}

/// `## main...origin/main [ahead 1, behind 2]`
fn head(status: &Status) -> String {
    let head = &status.head;
    let name = match (&head.branch, &head.commit) {
        (Some(branch), Some(_)) => inline(branch.as_bytes()),
        (Some(branch), None) => format!("No commits yet on {}", inline(branch.as_bytes())),
        (None, Some(commit)) => format!("HEAD (no branch) at {}", commit.to_hex_with_len(12)),
        (None, None) => "HEAD (no branch)".to_owned(),
    };
    let counts = match (&head.upstream, head.ahead_behind) {
        (Some(_), Some((0, 0))) | (None, _) => String::new(),
        (Some(_), Some((ahead, 0))) => format!(" [ahead {ahead}]"),
        (Some(_), Some((0, behind))) => format!(" [behind {behind}]"),
        (Some(_), Some((ahead, behind))) => format!(" [ahead {ahead}, behind {behind}]"),
        (Some(_), None) => " [gone]".to_owned(),
    };
    let upstream = head.upstream.as_ref().map(|name| format!("...{}", inline(name.as_bytes()))).unwrap_or_default();
    format!("## {name}{upstream}{counts}\n")
}

fn row(entry: &Changed) -> String {
    let letters = format!("{}{}", char::from(entry.index), char::from(entry.worktree));
    match &entry.from {
        Some(from) => format!("{letters} {} -> {}\n", quote::listed(from), quote::listed(&entry.path)),
        None => format!("{letters} {}\n", quote::listed(&entry.path)),
    }
}

fn notes(status: &Status, clean: bool, writer: &mut Writer) {
    if clean && status.not_compared.is_empty() {
        writer.note("nothing to commit, working tree clean");
    }
    if status.truncated {
        writer.note("there are more paths than are listed: add the rest to .gitignore or look with git_grep");
    }
    if let Some(operation) = &status.in_progress {
        let conflicts = status.entries.iter().filter(|entry| entry.is_unmerged()).count();
        let paths = if conflicts == 1 { "1 path is".to_owned() } else { format!("{conflicts} paths are") };
        writer.note(format!(
            "a {operation} is in progress, and {paths} in conflict: git_conflicts shows them; then git_continue, or git_abort to go back"
        ));
    }
    if status.submodules {
        writer.note("what is changed inside submodules is not looked for: name each as a repository of its own");
    }
    if let Some((path, driver)) = status.not_compared.first() {
        let (count, path) = (status.not_compared.len(), inline(path));
        writer.note(format!(
            "{count} paths not compared, first {path}: filter {driver} of the repository's own configuration is not run by reads"
        ));
    }
}
