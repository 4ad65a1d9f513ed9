//! `git_apply`

use crate::{
    error::{Error, Kind},
    output::{Field, Reply, counted},
    tool::{Context, Effect, Entry, Tool, Toolset},
    tools::change,
};
use git::{ApplyRequest, Raw};
use schemars::JsonSchema;
use serde::Deserialize;

pub(super) const TOOL: Entry = Entry::of::<Apply>().listed_in(Toolset::Rewrite);

struct Apply;

/// Maximum patch size.
const MAX_PATCH: usize = 2 << 20;
/// Maximum number of paths listed.
const MAX_PATHS: usize = 100;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is one of git's own switches")]
struct Args {
    /// A unified diff in git's format.
    patch: String,
    /// Only check that it fits.
    #[serde(default)]
    check: bool,
    /// Also stage it.
    #[serde(default)]
    index: bool,
    /// Stage it only; leave files alone.
    #[serde(default)]
    cached: bool,
    /// Reverse it.
    #[serde(default)]
    reverse: bool,
    /// Leave conflicts if it does not fit.
    #[serde(default)]
    three_way: bool,
}

impl Tool for Apply {
    type Args = Args;
    const NAME: &'static str = "git_apply";
    const ABOUT: &'static str = "Applies a patch to files: all or nothing.";
    const EFFECT: Effect = Effect::Destroy;

    fn only_reads(args: &Args) -> bool {
        args.check
    }

    fn run(cx: &Context<'_>, args: Args) -> Result<Reply, Error> {
        if args.patch.len() > MAX_PATCH {
            return Err(Error::new(Kind::BadInput, "the patch is longer than 2 MiB"));
        }
        let mut patch = args.patch.into_bytes();
        if patch.last() != Some(&b'\n') {
            patch.push(b'\n');
        }
        let trial = ApplyRequest { check: true, index: args.index, cached: args.cached, reverse: args.reverse, three_way: args.three_way };
        // Check that the patch applies before saving anything for undo.
        let touched =
            if args.three_way { cx.repo.patched(&patch, &trial, cx.cancel)? } else { cx.repo.apply(&patch, &trial, cx.cancel)? };
        let mut writer = cx.writer();
        if args.check {
            if args.three_way {
                return Err(Error::new(Kind::BadInput, "`check` cannot be combined with `three_way`"));
            }
            writer.say(&format!("the patch applies: {}", counted(touched.len(), "file")));
            return Ok(writer.finish());
        }
        if !args.cached {
            cx.keeps_files(Raw::At(&touched))?;
            cx.overwrites(&touched)?;
        }
        let done = cx.repo.apply(&patch, &ApplyRequest { check: false, ..trial }, cx.cancel)?;
        writer.say(&format!("applied to {}", counted(done.len(), "file")));
        let listed = done.iter().take(MAX_PATHS);
        let shown = writer.rows(listed, |path, row| row.field(Field::Path, "path", path.as_bytes()), |_, _| "the patch".to_owned());
        if shown < done.len() {
            writer.say(&format!("and {} of the patch", counted(done.len() - shown, "more path")));
        }
        change::staged(cx, &mut writer)?;
        Ok(writer.finish())
    }
}
