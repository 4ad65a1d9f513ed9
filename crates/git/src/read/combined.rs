//! The combined diff of a merge, as `git show` prints it.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::{
        patch::{Collector, Patch},
        render::{SUBMODULE, Written, file_patch},
        sides::{DiffQuery, Sides},
        trees::Change,
    },
    repo::{Repo, rev::Abbreviator},
};
use engine::{
    diff::{combined, output::Output, patch::Side},
    index::Index,
    packs::Content,
};
use gix::ObjectId;
use std::collections::{HashMap, HashSet};

/// Mode, id, abbreviated id and content of a side.
type Loaded = (u32, ObjectId, String, Content);

/// A path that differs from all parents so far.
struct Merged {
    /// The path, and its side in the merge.
    change: Change,
    /// Its side in each parent: that of the file from which it was renamed.
    parents: Vec<Option<(u32, ObjectId)>>,
}

impl Repo {
    /// The paths in which a merge differs from each parent, compared with all at once.
    ///
    /// # Errors
    ///
    /// [`only_git`](crate::repo::route::only_git) as for other patches.
    pub(crate) fn combined_patch(
        &self,
        engine: &gix::Repository,
        parents: &[ObjectId],
        commit: ObjectId,
        query: &DiffQuery,
        cancel: &Cancel,
    ) -> Result<Patch> {
        let merged = self.merged(engine, parents, commit, query, cancel)?;
        let mut collector = Collector::new(query.keep);
        if merged.is_empty() {
            return Ok(collector.finish());
        }
        let (index, written) = (Index::empty(engine.object_hash()), Written::new());
        let changes: Vec<Change> = merged.iter().map(|merged| merged.change.clone()).collect();
        let renderer = self.renderer(engine, &changes, Sides::Trees(None, commit), query, (&index, &written, cancel))?;
        renderer.expect(changes.len());
        let abbreviate = Abbreviator::of(engine);
        for Merged { change, parents } in &merged {
            cancel.check()?;
            let sides = parents.iter().chain([&change.new]);
            let load = |side: &Option<(u32, ObjectId)>| -> Result<Loaded> {
                let (mode, id) = side.unwrap_or((0, ObjectId::null(engine.object_hash())));
                let content = match mode {
                    0 => Content::default(),
                    SUBMODULE => Content::new(format!("Subproject commit {id}\n").into_bytes()),
                    _ => renderer.content(id)?,
                };
                Ok((mode, id, abbreviate.short(id), content))
            };
            let loaded: Vec<Loaded> = sides.map(load).collect::<Result<_>>()?;
            let sides: Vec<Side> =
                loaded.iter().map(|loaded| side_of(&change.path, loaded, renderer.forced.get(&change.path).copied())).collect();
            let Some((new, parents)) = sides.split_last() else { continue };
            let mut out = Output::keeping(query.keep.skip, query.keep.per_file);
            if combined::write(&mut out, parents, new, &renderer.style, cancel).map_err(Error::from)? {
                let kind = match new.mode {
                    0 => 'D',
                    _ if parents.iter().all(|parent| parent.mode == 0) => 'A',
                    _ => 'M',
                };
                if !collector.push(file_patch(out, &change.path, &change.path, kind)) {
                    break;
                }
            }
        }
        Ok(collector.finish())
    }

    /// The paths that differ from every parent, sorted.
    fn merged(
        &self,
        engine: &gix::Repository,
        parents: &[ObjectId],
        commit: ObjectId,
        query: &DiffQuery,
        cancel: &Cancel,
    ) -> Result<Vec<Merged>> {
        let mut merged: Option<Vec<Merged>> = None;
        for &parent in parents {
            let changes = Self::tree_changes(engine, Some(parent), commit, query, cancel)?;
            let (index, written) = (Index::empty(engine.object_hash()), Written::new());
            let renderer = self.renderer(engine, &changes, Sides::Trees(Some(parent), commit), query, (&index, &written, cancel))?;
            let renames = renderer.renames(&changes)?;
            let moved: HashSet<usize> = renames.values().map(|rename| rename.from).collect();
            let old = |at: usize| renames.get(&at).map_or(changes[at].old, |rename| changes[rename.from].old);
            let kept = (0..changes.len()).filter(|at| !moved.contains(at));
            merged = Some(match merged {
                None => kept.map(|at| Merged { change: changes[at].clone(), parents: vec![old(at)] }).collect(),
                Some(known) => {
                    let mut here: HashMap<&[u8], usize> = kept.map(|at| (changes[at].path.as_slice(), at)).collect();
                    let still = known.into_iter().filter_map(|mut merged| {
                        let at = here.remove(merged.change.path.as_slice())?;
                        merged.parents.push(old(at));
                        Some(merged)
                    });
                    still.collect()
                }
            });
            if merged.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
        }
        Ok(merged.unwrap_or_default())
    }
}

fn side_of<'s>(path: &'s [u8], (mode, id, abbreviated, content): &'s Loaded, binary: Option<bool>) -> Side<'s> {
    Side { path, mode: *mode, id: *id, abbreviated, content, binary }
}
