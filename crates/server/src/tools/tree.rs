//! Raw objects: `git_ls_tree`, `git_cat_file`.

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Row, counted, word},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::{ObjectKind, Rev, TreeEntry};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::ops::ControlFlow;

pub(super) const LS_TREE: Entry = Entry::of::<LsTree>().listed_in(Toolset::History);
pub(super) const CAT_FILE: Entry = Entry::of::<CatFile>().listed_in(Toolset::History);

struct LsTree;
struct CatFile;

/// Maximum size of a commit or tag shown.
const MAX_OBJECT: usize = 1 << 20;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LsTreeArgs {
    /// A commit or tree. Default HEAD.
    revision: Option<String>,
    /// Only these; a final slash lists a folder's entries.
    #[serde(default)]
    paths: Vec<String>,
    /// Recurse.
    #[serde(default)]
    recursive: bool,
    /// Entries to skip first.
    #[serde(default)]
    skip: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CatFileArgs {
    /// Any revision or object id.
    revision: String,
}

impl Tool for LsTree {
    type Args = LsTreeArgs;
    const NAME: &'static str = "git_ls_tree";
    const ABOUT: &'static str = "Lists a tree: mode, kind, id, size, path. For names alone: git_show with `REV:PATH`.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &LsTreeArgs) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: LsTreeArgs) -> Result<Reply, Error> {
        let rev = args.revision.map_or_else(|| Ok(Rev::head()), Rev::new)?;
        let paths = cx.paths(&args.paths)?;
        let below: Vec<bool> = args.paths.iter().map(|path| path.ends_with('/')).collect();
        let mut writer = cx.writer();
        let named = word(Field::Ref, rev.as_str(), "`revision`");
        let (mut seen, mut full) = (0, false);
        cx.repo.ls_tree(&rev, &paths, &below, args.recursive, cx.cancel, &mut |entry| {
            seen += 1;
            if seen <= args.skip {
                return ControlFlow::Continue(());
            }
            full = !writer.row(&|row| show(cx, &entry, row), &|_| format!("`git ls-tree -r -z {named}`"));
            if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if full {
            writer.note(format!("there are more. Next: {}", cx.echo.again(&[("skip", json!(seen - 1))])));
        } else if seen <= args.skip {
            writer.say("nothing is there");
        }
        Ok(writer.finish())
    }
}

fn show<'r>(cx: &Context<'_>, entry: &TreeEntry, row: &'r mut Row) -> &'r mut Row {
    row.field(Field::Name, "mode", &entry.mode).put(" ").field(Field::Name, "kind", &entry.kind).put(" ");
    row.field(Field::Name, "id", cx.repo.abbreviate(entry.id)).put(" ");
    match entry.size {
        Some(size) => row.number(size),
        None => row.put("-"),
    };
    row.put(" ").field(Field::Path, "path", &entry.path)
}

impl Tool for CatFile {
    type Args = CatFileArgs;
    const NAME: &'static str = "git_cat_file";
    const ABOUT: &'static str = "Shows an object's kind and size, and the raw text of a commit or tag. For files, use git_show.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &CatFileArgs) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: CatFileArgs) -> Result<Reply, Error> {
        let rev = Rev::new(args.revision)?;
        if rev.range()?.is_some() {
            return Err(Error::new(Kind::BadInput, "a range is not one object"));
        }
        let id = cx.repo.resolve(&rev, cx.cancel)?;
        let object = cx.repo.object_of(&rev, id, cx.cancel)?;
        let mut writer = cx.writer();
        match object.kind {
            ObjectKind::Blob => {
                writer.say(&format!("{id} is a blob of {}", counted(object.size, "byte")));
                writer.note(format!("its content: {}", cx.echo.other("git_show", &[("revision", json!(id.to_string()))])));
            }
            ObjectKind::Tree => {
                writer.say(&format!("{id} is a tree of {}", counted(object.size, "byte")));
                writer.note(format!("its entries: {}", cx.echo.other("git_ls_tree", &[("revision", json!(id.to_string()))])));
            }
            kind @ (ObjectKind::Commit | ObjectKind::Tag) => {
                let name = if kind == ObjectKind::Commit { "commit" } else { "tag" };
                writer.say(&format!("{id} is a {name} of {} bytes", object.size));
                let text = cx.repo.raw_object(id, name, MAX_OBJECT, cx.cancel)?;
                let used = writer.pieces(&text) as u64;
                if used < object.size {
                    let more = cx.echo.other("git_show", &[("revision", json!(id.to_string()))]);
                    let rest = counted(object.size - used, "more byte");
                    writer.note(format!("{rest}: {more} shows it in pages, `git cat-file {name} {id}` raw"));
                }
            }
        }
        Ok(writer.finish())
    }
}
