//! Differences between commits, the index and the working tree.

use crate::{
    beneath::{self, Kind, to_path},
    cancel::Cancel,
    error::{Error, Result},
    name::{LITERAL, RelPath},
    process::Process,
    read::{
        modules::{
            Inside, Naming,
            ignore::{Ignore, Reach},
        },
        patch::{Collector, Keep, Parser, Patch},
        rename::{Lone, pair},
        trees::{Change, Walk},
        unified::{Side, Style, render},
    },
    repo::{
        Repo,
        index_file::index_now,
        rev::Abbreviator,
        route::{Route, only_git},
        settings::Settings,
    },
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashSet, ffi::OsStr, ops::ControlFlow, os::unix::ffi::OsStrExt, path::PathBuf};

/// Maximum size of a blob compared in-process. Larger ones go to a git process, which can be killed.
pub(crate) const MAX_BLOB: u64 = 8 << 20;

/// The two sides of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// The index against the working tree.
    Unstaged,
    /// `HEAD` against the index.
    Staged,
    /// A commit against the working tree.
    Worktree(ObjectId),
    /// A commit or tree, or the empty tree, against another.
    Trees(Option<ObjectId>, ObjectId),
}

impl Sides {
    /// The path prefixes of both sides in a patch.
    fn prefixes(self, settings: &Settings) -> [&str; 2] {
        match (&settings.prefixes, self) {
            (Some([old, new]), _) => [old, new],
            (None, Self::Unstaged) => ["i/", "w/"],
            (None, Self::Worktree(_)) => ["c/", "w/"],
            (None, Self::Staged) => ["c/", "i/"],
            (None, Self::Trees(..)) => ["a/", "b/"],
        }
    }
}

/// What to compare and how to show it.
#[derive(Clone, Debug)]
pub struct DiffQuery {
    /// The two sides.
    pub sides: Sides,
    /// Only these paths; all when empty.
    pub paths: Vec<RelPath>,
    /// Paths to exclude.
    pub exclude: Vec<RelPath>,
    /// Lines of context around each change; as configured if absent.
    pub context: Option<u32>,
    /// How much of the patch to keep.
    pub keep: Keep,
}

impl Repo {
    /// The patch between two sides, as `git diff` prints it.
    ///
    /// # Errors
    ///
    /// [`Error::Bare`] if a side is the working tree or the index.
    pub fn diff(&self, query: &DiffQuery, cancel: &Cancel) -> Result<(Patch, Route)> {
        cancel.check()?;
        let mut needs = self.needs(cancel);
        match query.sides {
            Sides::Unstaged => needs.edited(None, &query.paths)?,
            Sides::Staged => needs.staged(&query.paths)?,
            Sides::Worktree(commit) => needs.edited(Some(commit), &query.paths)?,
            Sides::Trees(old, new) => needs.changed(old, new, &query.paths)?,
        }
        needs.check()?;
        let in_process = |engine: &gix::Repository| match query.sides {
            Sides::Trees(old, new) if query.keep.skip == 0 => self.tree_patch(engine, old, new, query, cancel),
            Sides::Trees(..) => Err(only_git("a later part of a patch")),
            _ => Err(only_git("a side that is not a tree")),
        };
        self.answer("diff", in_process, || self.diff_with_git(query, cancel))
    }

    fn diff_with_git(&self, query: &DiffQuery, cancel: &Cancel) -> Result<Patch> {
        if !matches!(query.sides, Sides::Trees(..)) {
            self.worktree()?;
        }
        let mut process = self.read_worktree(&["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short"], cancel)?;
        let in_worktree = matches!(query.sides, Sides::Unstaged | Sides::Worktree(_));
        let mut inside = Inside::default();
        if in_worktree {
            // Changes inside submodules are detected without git.
            process = process.arg("--ignore-submodules=dirty");
            inside = self.inside_submodules(&query.paths, Ignore::Untracked, &Reach::new(), cancel)?;
            inside.exclude_paths(&query.exclude);
        }
        if let Some(context) = query.context {
            process = process.arg(format!("--unified={context}"));
        }
        process = match query.sides {
            Sides::Unstaged => process,
            Sides::Staged => {
                // git treats a broken branch as one without commits.
                self.head(cancel)?;
                process.arg("--cached")
            }
            Sides::Worktree(commit) => process.arg(commit.to_string()),
            Sides::Trees(old, new) => {
                let old = old.unwrap_or_else(|| ObjectId::empty_tree(new.kind()));
                process.arg(old.to_string()).arg(new.to_string())
            }
        };
        process = process.arg("--");
        if query.exclude.is_empty() {
            process = process.args(query.paths.iter().map(RelPath::literal));
        } else {
            process = Self::excluding(process, query);
        }
        let mut parser = Parser::marking(query.keep, inside.dirty());
        let ended = process.stream(cancel, |chunk| if parser.push(chunk) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })?;
        ended.require("diff")?;
        let mut patch = parser.finish();
        if in_worktree {
            patch.not_compared = self.not_compared(&query.paths, cancel)?;
            patch.not_compared.retain(|left| !query.exclude.iter().any(|not| not.covers(&left.path)));
            let left: HashSet<&[u8]> = patch.not_compared.iter().map(|left| left.path.as_slice()).collect();
            patch.files.retain(|file| !left.contains(file.path.as_slice()));
            let naming = Naming { prefixes: query.sides.prefixes(&self.settings), ascii: self.settings.quote_ascii };
            inside.add_to_patch(&mut patch, query.keep, &naming);
        }
        Ok(patch)
    }

    /// Exclusions need pathspec magic, so each pathspec disables all other special characters.
    fn excluding<'a>(process: Process<'a>, query: &DiffQuery) -> Process<'a> {
        let with = |magic: &[u8], path: &RelPath| {
            let spec = if path.as_bytes().is_empty() { magic.to_vec() } else { [magic, path.as_bytes()].concat() };
            OsStr::from_bytes(&spec).to_owned()
        };
        let all = RelPath::default();
        let shown = if query.paths.is_empty() { std::slice::from_ref(&all) } else { &query.paths };
        let shown: Vec<_> = shown.iter().map(|path| with(LITERAL, path)).collect();
        let hidden: Vec<_> = query.exclude.iter().map(|path| with(b":(top,literal,exclude)", path)).collect();
        process.args(shown).args(hidden)
    }

    /// The patch between two trees, rendered in-process.
    ///
    /// # Errors
    ///
    /// [`only_git`] if configuration, attributes, size or renames require it.
    pub(crate) fn tree_patch(
        &self,
        engine: &gix::Repository,
        old: Option<ObjectId>,
        new: ObjectId,
        query: &DiffQuery,
        cancel: &Cancel,
    ) -> Result<Patch> {
        if !self.settings.plain_diff || !self.settings.default_abbrev || self.location.worktree.is_none() || self.settings.sparse {
            return Err(only_git("the patch configuration"));
        }
        let tree = |id: ObjectId| {
            let object = engine.find_object(id).map_err(Error::engine)?;
            object.peel_to_tree().map(|tree| tree.id).map_err(Error::engine)
        };
        let (old, new) = (old.map(tree).transpose()?, tree(new)?);
        let walk = Walk { engine, paths: &query.paths, limit: query.keep.files, cancel };
        let found = walk.compare(old, Some(new))?;
        let mut files = found.changes;
        let is_submodule = |side: Option<(u32, ObjectId)>| side.is_some_and(|(mode, _)| mode == 0o160_000);
        if files.iter().any(|change| is_submodule(change.old) || is_submodule(change.new)) && self.may_hide_submodules() {
            return Err(only_git("the submodule configuration"));
        }
        files.retain(|change| !query.exclude.iter().any(|not| not.covers(&change.path)));
        if !self.attributes_are_plain(engine, files.iter().map(|change| change.path.as_slice())) {
            return Err(only_git("diff attributes"));
        }
        let renderer = Renderer {
            engine,
            abbreviate: Abbreviator::of(engine),
            style: Style { context: query.context.unwrap_or(3), quote_ascii: self.settings.quote_ascii },
        };
        let patch = renderer.render(&files, query.keep, cancel)?;
        Ok(Patch { truncated: patch.truncated || found.truncated, ..patch })
    }

    /// Whether no attributes file affects how these paths are compared.
    fn attributes_are_plain<'p>(&self, engine: &gix::Repository, paths: impl Iterator<Item = &'p [u8]>) -> bool {
        const WORDS: [&[u8]; 3] = [b"diff", b"binary", b"[attr]"];
        let plain = |text: &[u8]| WORDS.iter().all(|word| !text.contains_str(word));
        let own = |file: &PathBuf| match beneath::read_own(file, Kind::Rules) {
            Ok(text) => plain(&text),
            Err(err) => err.kind() == std::io::ErrorKind::NotFound,
        };
        let info = self.common_folder().read("info/attributes", Kind::Rules);
        if !self.settings.attribute_files.iter().all(own) || !info.is_ok_and(|text| text.is_none_or(|text| plain(&text))) {
            return false;
        }
        let Ok(worktree) = self.worktree_folder() else { return false };
        let index = index_now(engine).ok();
        let mut looked = HashSet::new();
        for path in paths {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
            for end in std::iter::once(0).chain(ends) {
                let dir = &path[..end];
                if !looked.insert(dir.to_vec()) {
                    continue;
                }
                let file = [dir, b".gitattributes"].concat();
                let is_plain = match worktree.read(to_path(&file), Kind::Rules) {
                    Ok(Some(text)) => plain(&text),
                    Ok(None) => index.as_ref().is_none_or(|index| index.entry_by_path(file.as_bstr()).is_none()),
                    Err(_) => false,
                };
                if !is_plain {
                    return false;
                }
            }
        }
        true
    }
}

/// Reads the content of changed files and renders them.
struct Renderer<'a> {
    engine: &'a gix::Repository,
    abbreviate: Abbreviator,
    style: Style,
}

impl Renderer<'_> {
    fn render(&self, files: &[Change], keep: Keep, cancel: &Cancel) -> Result<Patch> {
        let sources = self.renames(files)?;
        let moved: HashSet<usize> = sources.iter().flatten().copied().collect();
        let null = "0".repeat(self.abbreviate.usual_len());
        let mut collector = Collector::new(keep);
        for (at, change) in files.iter().enumerate() {
            cancel.check()?;
            if moved.contains(&at) {
                continue;
            }
            let source = sources[at].map(|from| &files[from]);
            let old = self.side(source.unwrap_or(change).path.clone(), source.map_or(change.old, |source| source.old))?;
            let new = self.side(change.path.clone(), change.new)?;
            let (old, new) = (old.as_ref(), new.as_ref());
            let type_changed = matches!((old, new), (Some(a), Some(b)) if a.mode & 0o170_000 != b.mode & 0o170_000);
            let parts = if type_changed {
                [render(old, None, &null, self.style), render(None, new, &null, self.style)]
            } else {
                [render(old, new, &null, self.style), None]
            };
            if !parts.into_iter().flatten().all(|part| collector.push(part)) {
                break;
            }
        }
        Ok(collector.finish())
    }

    /// For each file, the index of its rename source.
    fn renames(&self, files: &[Change]) -> Result<Vec<Option<usize>>> {
        let lone = |wanted: fn(&Change) -> Option<(u32, ObjectId)>| -> Result<Vec<(usize, Lone)>> {
            let sides = files.iter().enumerate().filter_map(|(at, change)| wanted(change).map(|side| (at, side)));
            sides.map(|(at, (mode, id))| Ok((at, Lone { id, mode, size: self.size(mode, id)? }))).collect()
        };
        let deletes = files.iter().any(|change| change.new.is_none());
        let adds = files.iter().any(|change| change.old.is_none());
        let mut sources = vec![None; files.len()];
        if !(deletes && adds) {
            return Ok(sources);
        }
        let from = lone(|change| change.old.filter(|_| change.new.is_none()))?;
        let to = lone(|change| change.new.filter(|_| change.old.is_none()))?;
        let only = |list: &[(usize, Lone)]| list.iter().map(|(_, lone)| *lone).collect::<Vec<_>>();
        for (old, new) in pair(&only(&from), &only(&to))? {
            sources[to[new].0] = Some(from[old].0);
        }
        Ok(sources)
    }

    fn size(&self, mode: u32, id: ObjectId) -> Result<u64> {
        if mode == 0o160_000 {
            return Ok(0);
        }
        Ok(self.engine.find_header(id).map_err(Error::engine)?.size())
    }

    /// One side with its content.
    fn side(&self, path: Vec<u8>, side: Option<(u32, ObjectId)>) -> Result<Option<Side>> {
        let Some((mode, id)) = side else { return Ok(None) };
        if mode == 0o160_000 {
            // A submodule's commit is not an object of this repository, so its abbreviation is not looked up.
            let len = self.abbreviate.usual_len();
            let content = format!("Subproject commit {id}\n").into_bytes();
            return Ok(Some(Side { path, mode, id, abbreviated: id.to_hex_with_len(len).to_string(), content }));
        }
        if self.size(mode, id)? > MAX_BLOB {
            return Err(only_git("a file too large to be compared here"));
        }
        let content = self.engine.find_object(id).map_err(Error::engine)?.detach().data;
        let abbreviated = self.abbreviate.short(id);
        Ok(Some(Side { path, mode, id, abbreviated, content }))
    }
}
