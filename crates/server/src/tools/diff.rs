//! `git_diff`, and other servers' names for parts of it.

use crate::{
    error::{Error, Kind},
    output::{
        Reply,
        patch::{self, PatchView},
    },
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::range::{byte_range, keep, not_compared, paths_of},
};
use git::{DiffQuery, Keep, ObjectKind, RelPath, Rev, Sides};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<Diff>().also_in(&[Toolset::Reference, Toolset::Legacy]);
pub(super) const UNSTAGED: Entry = Entry::of::<Unstaged>().listed_in(Toolset::Reference).also_in(&[Toolset::Legacy]);
pub(super) const STAGED: Entry = Entry::of::<Staged>().listed_in(Toolset::Reference).also_in(&[Toolset::Legacy]);
pub(super) const BRANCHES: Entry = Entry::of::<Branches>().listed_in(Toolset::Legacy);

struct Diff;
struct Unstaged;
struct Staged;
struct Branches;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Args {
    scope: Option<Scope>,
    /// Also `a..b`, `a...b`.
    target: Option<String>,
    /// Older revision.
    base: Option<String>,
    /// Since their merge base.
    #[serde(default)]
    merge_base: bool,
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    /// Only the files.
    #[serde(default)]
    stat: bool,
    /// Hunk headers and changed declarations.
    #[serde(default)]
    outline: bool,
    context_lines: Option<u32>,
    byte_range: Option<String>,
    cursor: Option<String>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Unstaged,
    Staged,
}

/// Arguments of the reference server's two tools, and paging.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScopedArgs {
    context_lines: Option<u32>,
    #[serde(default)]
    paths: Vec<String>,
    byte_range: Option<String>,
    cursor: Option<String>,
}

/// Arguments of the legacy package's tool, and paging.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BranchesArgs {
    /// Branch to compare against.
    base_branch: String,
    /// Branch to compare.
    compare_branch: String,
    #[serde(default)]
    paths: Vec<String>,
    byte_range: Option<String>,
    cursor: Option<String>,
}

impl Tool for Branches {
    type Args = BranchesArgs;
    const NAME: &'static str = "git_diff_branches";
    const ABOUT: &'static str = "Compares two branches. Same as git_diff with `base` and `target`.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &BranchesArgs) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: BranchesArgs) -> Result<Reply, Error> {
        let scoped = ScopedArgs { context_lines: None, paths: args.paths, byte_range: args.byte_range, cursor: args.cursor };
        run(cx, &Args { base: Some(args.base_branch), target: Some(args.compare_branch), ..scoped.of(None) })
    }
}

impl ScopedArgs {
    fn of(self, scope: Option<Scope>) -> Args {
        Args {
            scope,
            target: None,
            base: None,
            merge_base: false,
            paths: self.paths,
            exclude: Vec::new(),
            stat: false,
            outline: false,
            context_lines: self.context_lines,
            byte_range: self.byte_range,
            cursor: self.cursor,
        }
    }
}

impl Tool for Unstaged {
    type Args = ScopedArgs;
    const NAME: &'static str = "git_diff_unstaged";
    const ABOUT: &'static str = "Shows changes in the working tree that are not staged. Same as git_diff.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &ScopedArgs) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: ScopedArgs) -> Result<Reply, Error> {
        run(cx, &args.of(Some(Scope::Unstaged)))
    }
}

impl Tool for Staged {
    type Args = ScopedArgs;
    const NAME: &'static str = "git_diff_staged";
    const ABOUT: &'static str = "Shows changes that are staged for commit. Same as git_diff with `scope`: `staged`.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &ScopedArgs) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: ScopedArgs) -> Result<Reply, Error> {
        run(cx, &args.of(Some(Scope::Staged)))
    }
}

impl Tool for Diff {
    type Args = Args;
    const NAME: &'static str = "git_diff";
    const ABOUT: &'static str = "Shows a patch: unstaged or staged changes, the working tree against `target`, or `base` against \
        `target`. Large ones: `stat` or `outline` first. For one commit: git_show.";
    const EFFECT: Effect = Effect::Read;

    fn is_repeatable(_args: &Args) -> bool {
        true
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        run(cx, &args)
    }
}

fn run(cx: &Context<'_>, args: &Args) -> Result<Reply, Error> {
    let sides = sides(cx, args)?;
    let worktree = cx.repo.location().worktree.clone();
    let path = |text: &String| RelPath::new(text, worktree.as_deref());
    let query = DiffQuery {
        sides,
        paths: args.paths.iter().map(path).collect::<Result<_, _>>()?,
        exclude: args.exclude.iter().map(path).collect::<Result<_, _>>()?,
        context: args.context_lines,
        keep: keep(cx),
    };
    if let Some(range) = &args.byte_range {
        return byte_range(cx, range, &mut |keep| Ok(cx.repo.diff(&DiffQuery { keep, ..query.clone() }, cx.cancel)?.0));
    }
    let (changes, _) = cx.repo.diff(&query, cx.cancel)?;
    let view = PatchView {
        echo: &cx.echo,
        cursor: args.cursor.as_deref(),
        stat: args.stat,
        outline: args.outline,
        named: !args.paths.is_empty(),
        command: command(&query.sides),
    };
    let mut writer = cx.writer();
    patch::present(&changes, &view, &mut writer, &mut |file, skip| {
        let one = DiffQuery { paths: paths_of(file), exclude: Vec::new(), keep: Keep { skip, ..query.keep }, ..query.clone() };
        Ok(cx.repo.diff(&one, cx.cancel)?.0.files.into_iter().next())
    })?;
    not_compared(cx, &changes.not_compared, &mut writer);
    Ok(writer.finish())
}

/// The git command that lists the paths.
fn command(sides: &Sides) -> String {
    match sides {
        Sides::Unstaged => "`git diff --name-status -z`".to_owned(),
        Sides::Staged => "`git diff --cached --name-status -z`".to_owned(),
        Sides::Worktree(id) => format!("`git diff --name-status -z {id}`"),
        Sides::Trees(Some(from), to) => format!("`git diff --name-status -z {from} {to}`"),
        Sides::Trees(None, to) => format!("`git ls-tree -r --name-only -z {to}`"),
    }
}

fn sides(cx: &Context<'_>, args: &Args) -> Result<Sides, Error> {
    let conflict = |what: &'static str| Err(Error::new(Kind::BadInput, what).hint("Use `scope`, or `target`, or `base` and `target`."));
    if args.scope.is_some() && (args.target.is_some() || args.base.is_some()) {
        return conflict("`scope` cannot be combined with `target` or `base`");
    }
    // Trees can be compared as well as commits.
    let tree_ish = |rev: &Rev| -> Result<git::ObjectId, Error> {
        if let Ok(commit) = cx.repo.resolve_commit(rev, cx.cancel) {
            return Ok(commit);
        }
        let id = cx.repo.resolve(rev, cx.cancel)?;
        match cx.repo.object(id, cx.cancel)?.kind {
            ObjectKind::Blob => Err(Error::new(Kind::BadInput, format!("{rev} is a file"))
                .logged_as("a file, not a tree")
                .hint("Compare commits, and name the file in `paths`.")),
            _ => Ok(id),
        }
    };
    let fork = |base: &Rev, target: &Rev| -> Result<Sides, Error> {
        let (base_id, target_id) = (cx.repo.resolve_commit(base, cx.cancel)?, cx.repo.resolve_commit(target, cx.cancel)?);
        match cx.repo.merge_bases(base_id, target_id, cx.cancel)?.first() {
            Some(&fork) => Ok(Sides::Trees(Some(fork), target_id)),
            None => Err(cx.repo.unrelated()?.into()),
        }
    };
    match (&args.base, &args.target) {
        (None, None) if args.merge_base => conflict("`merge_base` needs `base` and `target`"),
        (None, None) => Ok(match args.scope {
            Some(Scope::Staged) => Sides::Staged,
            _ => Sides::Unstaged,
        }),
        (None, Some(target)) => {
            let target = Rev::new(target.as_str())?;
            match target.range()? {
                Some(range) if range.symmetric => fork(&range.from, &range.to),
                Some(range) => Ok(Sides::Trees(Some(tree_ish(&range.from)?), tree_ish(&range.to)?)),
                None if args.merge_base => conflict("`merge_base` needs `base` and `target`"),
                None => Ok(Sides::Worktree(tree_ish(&target)?)),
            }
        }
        (Some(base), target) => {
            let base = Rev::new(base.as_str())?;
            let target = target.as_ref().map_or_else(|| Ok(Rev::head()), |target| Rev::new(target.as_str()))?;
            if args.merge_base { fork(&base, &target) } else { Ok(Sides::Trees(Some(tree_ish(&base)?), tree_ish(&target)?)) }
        }
    }
}
