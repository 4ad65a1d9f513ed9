//! Files: `git_rm`, `git_mv`, `git_clean`.

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, Writer, counted, word},
    tool::{Context, Effect, Entry, PolicyAction, Tool, Toolset},
    tools::change,
};
use git::{CleanRequest, Raw, Reach, RelPath, quote};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) const RM: Entry = Entry::of::<Rm>().listed_in(Toolset::Rewrite);
pub(super) const MV: Entry = Entry::of::<Mv>().listed_in(Toolset::Rewrite);
pub(super) const CLEAN: Entry = Entry::of::<Clean>().listed_in(Toolset::Rewrite);

struct Rm;
struct Mv;
struct Clean;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RmArgs {
    /// Tracked files and folders, verbatim.
    files: Vec<String>,
    /// Keep the files and only stop tracking them.
    #[serde(default)]
    cached: bool,
    /// Needed for folders.
    #[serde(default)]
    recursive: bool,
    /// Even edited files and submodules.
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MvArgs {
    /// A tracked file or folder.
    source: String,
    /// A new path, or an existing folder to move it into.
    destination: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CleanArgs {
    /// Only below these.
    #[serde(default)]
    paths: Vec<String>,
    /// Include untracked folders.
    #[serde(default)]
    directories: bool,
    /// Include ignored.
    #[serde(default)]
    ignored: bool,
    /// Delete the files. Default: only list them.
    #[serde(default)]
    remove: bool,
}

impl Tool for Rm {
    type Args = RmArgs;
    const NAME: &'static str = "git_rm";
    const ABOUT: &'static str = "Removes tracked files and stages the removal. Untracked: git_clean.";
    const EFFECT: Effect = Effect::Destroy;

    fn run(cx: &Context<'_>, args: RmArgs) -> Result<Reply, Error> {
        if args.files.is_empty() {
            return Err(Error::new(Kind::BadInput, "`files` is empty").hint("Name the files."));
        }
        let paths = cx.paths(&args.files)?;
        let modules = if args.cached { Vec::new() } else { cx.repo.submodules_below(&paths, cx.cancel)? };
        if !args.cached {
            protect_submodules(cx, &modules, args.force)?;
            let mut touched = paths.clone();
            if !modules.is_empty() {
                // The submodule's section is removed, too.
                touched.push(RelPath::new(MODULES, None)?);
            }
            cx.keeps_files(Raw::Below(&touched))?;
            cx.overwrites(&touched)?;
        }
        let removed = cx.repo.rm(&paths, args.cached, args.recursive, args.force || cx.confirmed, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("{} removed{}", counted(removed.len(), "file"), if args.cached { " from the index only" } else { "" }));
        change::staged(cx, &mut writer)?;
        let undo = cx.echo.other("git_undo", &[]);
        writer.note(match modules.as_slice() {
            [] => format!("to restore them: {undo}"),
            modules => {
                let names: Vec<String> = modules.iter().map(|(path, _)| path.to_string()).collect();
                let update = cx.echo.other("git_submodule", &[("action", json!("update")), ("paths", json!(names))]);
                format!("to restore them: {undo}; then, to check out submodules: {update}")
            }
        });
        Ok(writer.finish())
    }
}

/// The file that configures submodules.
const MODULES: &str = ".gitmodules";
/// Maximum number of submodule files named.
const MAX_HELD: usize = 20;

/// Refuses to remove submodules with unrecoverable files, unless confirmed.
fn protect_submodules(cx: &Context<'_>, modules: &[(RelPath, Vec<String>)], force: bool) -> Result<(), Error> {
    let held: Vec<&str> = modules.iter().flat_map(|(_, held)| held).map(String::as_str).collect();
    if held.is_empty() || force && cx.confirmed {
        return Ok(());
    }
    let more = if held.len() > MAX_HELD { format!(" and {} more", held.len() - MAX_HELD) } else { String::new() };
    let named = held[..held.len().min(MAX_HELD)].join(", ");
    let error =
        Error::new(Kind::Refused, format!("these would be lost permanently, as git_undo restores no submodule files: {named}{more}"));
    if force {
        return Err(error.asks());
    }
    Err(error.hint(
        "Commit or stash them there first, with `repo_path`: the submodule's folder; or repeat the call with `force` and `confirm`: true.",
    ))
}

impl Tool for Mv {
    type Args = MvArgs;
    const NAME: &'static str = "git_mv";
    const ABOUT: &'static str = "Moves or renames a tracked file or folder, and stages it.";
    const EFFECT: Effect = Effect::Write;

    fn run(cx: &Context<'_>, args: MvArgs) -> Result<Reply, Error> {
        let top = cx.repo.worktree()?;
        let (from, to) = (RelPath::new(&args.source, Some(top))?, RelPath::new(&args.destination, Some(top))?);
        cx.reaches(Reach::Worktree);
        // Moved into an existing folder, it keeps its name.
        let to = if top.join(to.as_path()).is_dir() {
            let name = from.as_path().file_name().map(std::ffi::OsStr::to_string_lossy).unwrap_or_default();
            RelPath::new(&quote::listed(to.as_path().join(&*name).as_os_str().as_encoded_bytes()), Some(top))?
        } else {
            to
        };
        cx.repo.mv(&from, &to, cx.cancel)?;
        let mut writer = cx.writer();
        writer.say(&format!("moved {} to {}", word(Field::Path, from.as_bytes(), STAGED), word(Field::Path, to.as_bytes(), STAGED)));
        let back = cx.echo.other("git_mv", &[("source", json!(to.to_string())), ("destination", json!(from.to_string()))]);
        writer.note(format!("to move it back: {back}"));
        change::staged(cx, &mut writer)?;
        Ok(writer.finish())
    }
}

impl Tool for Clean {
    type Args = CleanArgs;
    const NAME: &'static str = "git_clean";
    const ABOUT: &'static str = "Lists untracked files; `remove` deletes them permanently. To restore tracked files: git_restore.";
    const EFFECT: Effect = Effect::Destroy;

    fn only_reads(args: &CleanArgs) -> bool {
        !args.remove
    }

    fn run(cx: &Context<'_>, args: CleanArgs) -> Result<Reply, Error> {
        let request = CleanRequest { paths: cx.paths(&args.paths)?, directories: args.directories, ignored: args.ignored };
        let found = cx.repo.cleanable(&request, cx.cancel)?;
        let mut writer = cx.writer();
        if found.is_empty() {
            writer.say("there are no untracked files");
            return Ok(writer.finish());
        }
        if !args.remove {
            writer.say(&format!("{} would be removed:", found.len()));
            list(&found, &mut writer);
            let remove = cx.echo.again(&[("remove", json!(true)), ("confirm", Value::Null)]);
            writer.note(format!("nothing is removed yet. To remove them: {remove}"));
            return Ok(writer.finish());
        }
        cx.permit(PolicyAction::Clean, &format!("{} untracked files and folders would be removed permanently", found.len()))?;
        cx.repo.clean(&request, cx.cancel)?;
        let left = cx.repo.cleanable(&request, cx.cancel)?;
        let (stayed, gone): (Vec<_>, Vec<_>) = found.into_iter().partition(|path| left.contains(path));
        writer.say(&format!("{} of {} removed:", gone.len(), gone.len() + stayed.len()));
        list(&gone, &mut writer);
        Ok(writer.finish())
    }
}

/// Command that lists staged paths.
const STAGED: &str = "`git diff --cached --name-status -z`";

fn list(paths: &[Vec<u8>], writer: &mut Writer) {
    writer.list(
        paths,
        |path, row| row.field(Field::Path, "path", path),
        "`git ls-files --others -z`",
        |rest| format!("{rest} more are not listed"),
    );
}
