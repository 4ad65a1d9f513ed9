//! Differences between commits, the index and the working tree.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{LITERAL, RelPath},
    process::Process,
    read::{
        modules::{
            Inside, Naming,
            ignore::{Ignore, Reach},
        },
        patch::{Parser, Patch},
        render::{Renderer, SUBMODULE, Written},
        scan::answered,
        sides::{DiffQuery, Sides},
        trees::{Change, Walk},
    },
    repo::{
        Repo,
        patch_settings::is_built_in,
        rev::Abbreviator,
        route::{Route, only_git},
    },
};
use engine::{diff::patch::Style, index::Index, rules::Value};
use gix::ObjectId;
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    ffi::OsStr,
    ops::ControlFlow,
    os::unix::ffi::OsStrExt,
};

/// Maximum number of paths compared in-process.
const MAX_CHANGES: usize = 200_000;

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
            Sides::Trees(old, new) => self.tree_patch(engine, old, new, query, cancel),
            Sides::Unstaged | Sides::Staged | Sides::Worktree(_) => self.edited_patch(engine, query, cancel),
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
    /// [`only_git`] if configuration, attributes or size require it.
    pub(crate) fn tree_patch(
        &self,
        engine: &gix::Repository,
        old: Option<ObjectId>,
        new: ObjectId,
        query: &DiffQuery,
        cancel: &Cancel,
    ) -> Result<Patch> {
        let files = Self::tree_changes(engine, old, new, query, cancel)?;
        let (index, written) = (Index::empty(engine.object_hash()), Written::new());
        let renderer = self.renderer(engine, &files, Sides::Trees(old, new), query, (&index, &written, cancel))?;
        renderer.patch(&files, query.keep)
    }

    /// The paths that differ between two trees.
    pub(crate) fn tree_changes(
        engine: &gix::Repository,
        old: Option<ObjectId>,
        new: ObjectId,
        query: &DiffQuery,
        cancel: &Cancel,
    ) -> Result<Vec<Change>> {
        let tree = |id: ObjectId| {
            let object = engine.find_object(id).map_err(Error::engine)?;
            object.peel_to_tree().map(|tree| tree.id).map_err(Error::engine)
        };
        let (old, new) = (old.map(tree).transpose()?, tree(new)?);
        let walk = Walk { engine, paths: &query.paths, limit: MAX_CHANGES, cancel };
        let mut found = walk.compare(old, Some(new))?;
        if found.truncated {
            return Err(only_git("very many changes"));
        }
        found.changes.retain(|change| query.wants(&change.path));
        Ok(found.changes)
    }

    /// Renders these changes, if configuration and attributes allow it in-process.
    pub(crate) fn renderer<'a>(
        &'a self,
        engine: &'a gix::Repository,
        files: &[Change],
        sides: Sides,
        query: &DiffQuery,
        (index, written, cancel): (&Index, &'a Written, &'a Cancel),
    ) -> Result<Renderer<'a>> {
        let Some(settings) = &self.settings.patch else { return Err(only_git("the patch configuration")) };
        if !self.settings.default_abbrev || self.location.worktree.is_none() || self.settings.sparse {
            return Err(only_git("the patch configuration"));
        }
        let is_submodule = |side: Option<(u32, ObjectId)>| side.is_some_and(|(mode, _)| mode == SUBMODULE);
        let has_submodule = files.iter().any(|change| is_submodule(change.old) || is_submodule(change.new));
        if has_submodule && (self.settings.ignored_submodules.is_some() || self.may_hide_submodules()) {
            return Err(only_git("the submodule configuration"));
        }
        let forced = self.forced(index, engine, files, cancel)?;
        let style = Style {
            context: query.context.unwrap_or(settings.context),
            between: settings.between,
            quote_ascii: self.settings.quote_ascii,
            prefixes: sides.prefixes(&self.settings).map(|prefix| prefix.as_bytes().to_vec()),
            bare_empty_lines: settings.bare_empty_lines,
            indent_heuristic: settings.indent_heuristic,
            minimal: settings.minimal,
            null: Abbreviator::of(engine).short(ObjectId::null(engine.object_hash())),
        };
        Ok(Renderer { engine, settings, style, written, forced, packs: RefCell::default(), cancel })
    }

    /// Whether files are binary, where attributes decide that.
    fn forced(&self, index: &Index, engine: &gix::Repository, files: &[Change], cancel: &Cancel) -> Result<HashMap<Vec<u8>, bool>> {
        let (top, content) = (self.worktree_folder()?, self.content(engine));
        let mut forced = HashMap::new();
        for Change { path, .. } in files {
            let [value] = answered(content.values(top, index, path, ["diff"]), cancel)?;
            match value {
                Value::Set => drop(forced.insert(path.clone(), false)),
                Value::Unset => drop(forced.insert(path.clone(), true)),
                Value::Text(driver) if is_built_in(&driver) || self.settings.diff_drivers.contains(&*String::from_utf8_lossy(&driver)) => {
                    return Err(only_git("a diff driver"));
                }
                // git treats a file with an unknown driver as if it had none.
                Value::Text(_) | Value::Unspecified => {}
            }
        }
        Ok(forced)
    }
}
