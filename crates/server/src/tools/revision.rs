//! Queries about revisions: `git_rev_parse`, `git_describe`, `git_merge_base`.

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, counted_are},
    tool::{Context, Effect, Entry, Tool, Toolset},
};
use git::Rev;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub(super) const REV_PARSE: Entry = Entry::of::<RevParse>().listed_in(Toolset::History);
pub(super) const DESCRIBE: Entry = Entry::of::<Describe>().listed_in(Toolset::History);
pub(super) const MERGE_BASE: Entry = Entry::of::<MergeBase>().listed_in(Toolset::History);

struct RevParse;
struct Describe;
struct MergeBase;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RevParseArgs {
    /// Any revision, such as `HEAD~3`, `main@{upstream}` or `v1.0^{commit}`.
    revision: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DescribeArgs {
    /// Default HEAD.
    revision: Option<String>,
    /// Include lightweight tags.
    #[serde(default)]
    tags: bool,
    /// Only a tag on this commit.
    #[serde(default)]
    exact: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MergeBaseArgs {
    /// One commit.
    one: String,
    /// The other; default HEAD.
    other: Option<String>,
}

impl Tool for RevParse {
    type Args = RevParseArgs;
    const NAME: &'static str = "git_rev_parse";
    const ABOUT: &'static str = "Resolves a revision to the full id and kind of its object.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: RevParseArgs) -> Result<Reply, Error> {
        let rev = Rev::new(args.revision)?;
        if rev.range()?.is_some() {
            return Err(Error::new(Kind::BadInput, "a range is not one revision").hint("git_log lists a range."));
        }
        let id = cx.repo.resolve(&rev, cx.cancel)?;
        let kind = match cx.repo.object_of(&rev, id, cx.cancel) {
            Err(git::Error::Submodule { .. }) => "commit of a submodule",
            found => found?.kind.as_str(),
        };
        let mut writer = cx.writer();
        writer.row(&|row| row.id(id).put(" ").put(kind), &|_| String::new());
        Ok(writer.finish())
    }
}

impl Tool for Describe {
    type Args = DescribeArgs;
    const NAME: &'static str = "git_describe";
    const ABOUT: &'static str = "Names a commit by the nearest tag before it: TAG-COMMITS_SINCE-gID.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: DescribeArgs) -> Result<Reply, Error> {
        let rev = args.revision.map_or_else(|| Ok(Rev::head()), Rev::new)?;
        let name = match cx.repo.describe(&rev, args.tags, args.exact, cx.cancel) {
            Err(err @ git::Error::NoTag(_)) if !args.exact && cx.repo.is_cut_off(&rev, cx.cancel)? => {
                let call = cx.echo.other("git_fetch", &[("depth", json!(0)), ("tags", json!(true))]);
                return Err(Error::from(err).hint(format!("History is shallow: the tag may be on a missing commit. Next: {call}")));
            }
            found => found?,
        };
        let mut writer = cx.writer();
        let whole = |_: &str| format!("`git describe --long --abbrev=12{}`", if args.tags { " --tags" } else { "" });
        writer.row(&|row| row.field(Field::Ref, "name", &name), &whole);
        Ok(writer.finish())
    }
}

impl Tool for MergeBase {
    type Args = MergeBaseArgs;
    const NAME: &'static str = "git_merge_base";
    const ABOUT: &'static str = "Finds where two histories diverged, and how many commits each has since.";
    const EFFECT: Effect = Effect::Read;

    fn run(cx: &Context<'_>, args: MergeBaseArgs) -> Result<Reply, Error> {
        let one = cx.repo.resolve_commit(&Rev::new(args.one)?, cx.cancel)?;
        let other = cx.repo.resolve_commit(&args.other.map_or_else(|| Ok(Rev::head()), Rev::new)?, cx.cancel)?;
        let mut writer = cx.writer();
        let bases = cx.repo.merge_bases(one, other, cx.cancel)?;
        if bases.is_empty() {
            writer.say(&cx.repo.unrelated()?.to_string());
        }
        writer.list(bases, |base, row| row.id(base), "", |rest| format!("and {rest} more, which `git merge-base --all` lists"));
        let (ahead, behind) = cx.repo.ahead_behind(one, other, cx.cancel)?;
        writer.say(&format!("{} only in `one`, {behind} only in `other`", counted_are(ahead, "commit")));
        if cx.repo.is_cut_off(&Rev::new(format!("{one}...{other}"))?, cx.cancel)? {
            cx.note_shallow(&mut writer, "commits are missing, so the merge base may be wrong");
        }
        Ok(writer.finish())
    }
}
