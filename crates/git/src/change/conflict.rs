//! Conflicts: listing the sides, and resolving with one of them.

use super::{MAX_OUTPUT, coming::Coming, nul_separated};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::Mode,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read,
    ops::ControlFlow,
};

/// Maximum size of a file that is kept before it is overwritten.
const MAX_KEPT: u64 = 64 << 20;

/// Maximum number of conflict markers returned.
const MAX_MARKERS: usize = 20;
/// Default length of a conflict marker, without an attribute.
const MARKER_SIZE: usize = 7;

/// A path with more than one version in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The path.
    pub path: RelPath,
    /// The common ancestor's version.
    pub base: Option<ObjectId>,
    /// The version of the current branch; during a rebase, of the branch rebased onto.
    pub ours: Option<ObjectId>,
    /// The version being merged or applied.
    pub theirs: Option<ObjectId>,
    /// Which of the three are submodule commits.
    pub links: [bool; 3],
}

impl Conflict {
    /// The version of one side, and whether it is a submodule.
    pub fn side(&self, side: Side) -> (Option<ObjectId>, bool) {
        match side {
            Side::Ours => (self.ours, self.links[1]),
            Side::Theirs => (self.theirs, self.links[2]),
        }
    }
}

/// A version of a conflicted path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As in [`Conflict::ours`].
    Ours,
    /// As in [`Conflict::theirs`].
    Theirs,
}

impl Repo {
    /// The paths in conflict.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn conflicts(&self, cancel: &Cancel) -> Result<Vec<Conflict>> {
        self.versions("--unmerged", cancel)
    }

    /// The versions in the index, or in its resolve-undo extension, of paths that are or were in conflict.
    fn versions(&self, which: &str, cancel: &Cancel) -> Result<Vec<Conflict>> {
        let output = self.read(&["ls-files", which, "-z"]).success(cancel, MAX_OUTPUT)?;
        let mut found: BTreeMap<Vec<u8>, [(Option<ObjectId>, bool); 3]> = BTreeMap::new();
        for entry in output.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            let Some((meta, path)) = entry.split_once_str(b"\t") else { continue };
            let mut fields = meta.split(|&byte| byte == b' ').skip(1);
            let id = fields.next().and_then(|id| ObjectId::from_hex(id).ok());
            let stage = fields.next().and_then(|stage| stage.first()).map_or(0, |digit| usize::from(digit.saturating_sub(b'1')));
            found.entry(path.to_vec()).or_default()[stage.min(2)] = (id, meta.starts_with(b"160000 "));
        }
        let conflict = |(path, [base, ours, theirs]): (Vec<u8>, [(Option<ObjectId>, bool); 3])| Conflict {
            path: RelPath::from_git(&path),
            base: base.0,
            ours: ours.0,
            theirs: theirs.0,
            links: [base.1, ours.1, theirs.1],
        };
        Ok(found.into_iter().map(conflict).collect())
    }

    /// Cheap check whether there may be uncommitted conflicts, resolved or not.
    pub(super) fn may_have_had_conflicts(&self) -> bool {
        self.in_progress().is_some() || ["AUTO_MERGE", "SQUASH_MSG", "MERGE_MSG"].iter().any(|name| self.git_folder().has(name))
    }

    /// Fails if conflicts remain at `paths`, or anywhere, or, unless `confirmed`, if conflict markers are staged.
    ///
    /// # Errors
    ///
    /// [`Error::Unmerged`], [`Error::Markers`].
    pub(super) fn check_resolved(&self, paths: &[RelPath], confirmed: bool, cancel: &Cancel) -> Result<()> {
        let mut unmerged = self.unmerged(cancel)?;
        unmerged.retain(|path| is_at(path, paths));
        if !unmerged.is_empty() {
            return Err(Error::Unmerged(unmerged.iter().map(ToString::to_string).collect()));
        }
        let markers = if confirmed { Vec::new() } else { self.staged_markers(paths, cancel)? };
        if markers.is_empty() { Ok(()) } else { Err(Error::Markers(markers)) }
    }

    /// Conflict markers staged in files that were in conflict, at `paths` or anywhere, as `path:line`; at most 20.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn staged_markers(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<String>> {
        let mut found = Vec::new();
        if !self.may_have_had_conflicts() {
            return Ok(found);
        }
        for Conflict { path, base, ours, theirs, .. } in self.versions("--resolve-undo", cancel)? {
            if !is_at(&path, paths) {
                continue;
            }
            let staged = self.read(&["ls-files", "--stage", "-z", "--"]).arg(path.literal()).success(cancel, MAX_OUTPUT)?;
            let Some(staged) = staged.split(|&byte| byte == b' ').nth(1).and_then(|id| ObjectId::from_hex(id).ok()) else { continue };
            if [ours, theirs].contains(&Some(staged)) {
                continue;
            }
            let size = self.marker_size(&path, cancel)?;
            let markers = markers_in(&self.start_of(staged, cancel), size);
            if markers.is_empty() {
                continue;
            }
            let mut known = HashSet::new();
            for version in [base, ours, theirs].into_iter().flatten() {
                known.extend(markers_in(&self.start_of(version, cancel), size).into_iter().map(|(_, line)| line));
            }
            let left = markers.into_iter().filter(|(_, line)| !known.contains(line));
            found.extend(left.map(|(number, _)| format!("{path}:{number}")).take(MAX_MARKERS - found.len()));
            if found.len() == MAX_MARKERS {
                break;
            }
        }
        Ok(found)
    }

    /// The length of conflict markers in the file at `path`.
    fn marker_size(&self, path: &RelPath, cancel: &Cancel) -> Result<usize> {
        let list = [path.as_bytes(), b"\0"].concat();
        let process = self.read(&["check-attr", "-z", "--stdin", "conflict-marker-size"]).stdin(list);
        let output = process.success(cancel, MAX_OUTPUT)?;
        let value = output.split(|&byte| byte == 0).nth(2).and_then(|value| value.to_str().ok()?.parse().ok());
        Ok(value.filter(|size| (1..1000).contains(size)).unwrap_or(MARKER_SIZE))
    }

    /// The start of the blob `id`; empty if it is not a blob.
    fn start_of(&self, id: ObjectId, cancel: &Cancel) -> Vec<u8> {
        let mut text = Vec::new();
        let Ok(object) = self.object(id, cancel) else { return text };
        let read = self.blob(id, object.size, cancel, &mut |chunk| {
            text.extend_from_slice(&chunk[..chunk.len().min(MAX_OUTPUT - text.len())]);
            if text.len() == MAX_OUTPUT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // A submodule may be in conflict, too, but has no lines.
        if read.is_ok() { text } else { Vec::new() }
    }

    /// Resolves `paths` with one side, deletions included, and keeps the previous contents as blobs.
    ///
    /// # Errors
    ///
    /// [`Error::NotInConflict`].
    pub fn take_side(&self, paths: &[RelPath], side: Side, cancel: &Cancel) -> Result<Vec<(RelPath, ObjectId)>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let conflicts = self.conflicts(cancel)?;
        let (mut there, mut deleted, mut coming, mut links) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            let covered: Vec<&Conflict> = conflicts.iter().filter(|conflict| path.covers(conflict.path.as_bytes())).collect();
            if covered.is_empty() {
                return Err(Error::NotInConflict(path.to_string()));
            }
            for conflict in covered {
                let (id, is_link) = conflict.side(side);
                if let (Some(id), true) = (id, is_link) {
                    // Replaces all stages by the side's submodule commit. The submodule's folder is not touched.
                    let null = ObjectId::null(id.kind());
                    let path = conflict.path.as_bytes();
                    links
                        .extend([format!("0 {null}\t").as_bytes(), path, b"\0", format!("160000 {id}\t").as_bytes(), path, b"\0"].concat());
                    continue;
                }
                if id.is_some() { &mut there } else { &mut deleted }.push(conflict.path.clone());
                coming.extend(id.map(|id| Coming { path: conflict.path.as_bytes().to_vec(), id: Some(id), is_new: false }));
            }
        }
        self.check_complete(&coming, None, cancel)?;
        let mut kept = Vec::new();
        for path in there.iter().chain(&deleted) {
            kept.extend(self.keep_file(path)?.map(|id| (path.clone(), id)));
        }
        let from_list = ["--pathspec-from-file=-", "--pathspec-file-nul"];
        let run = |args: &[&str], paths: &[RelPath]| -> Result<()> {
            if paths.is_empty() {
                return Ok(());
            }
            let (ended, _) = self.locked(cancel, || self.change(args).args(from_list).stdin(nul_separated(paths)))?;
            // The files are written even if the hook afterwards fails.
            ended.require_but_for_the_hook(args[0]).map(drop)
        };
        if !links.is_empty() {
            let (ended, _) = self.locked(cancel, || self.change(&["update-index", "-z", "--index-info"]).stdin(links.clone()))?;
            ended.require("update-index")?;
        }
        run(&["checkout", "--quiet", if side == Side::Ours { "--ours" } else { "--theirs" }], &there)?;
        run(&["add", "--force"], &there)?;
        run(&["rm", "--quiet", "--force"], &deleted)?;
        Ok(kept)
    }

    /// Keeps the content of a working tree file as a blob; `None` if there is no file.
    fn keep_file(&self, path: &RelPath) -> Result<Option<ObjectId>> {
        let Ok(file) = self.open_tracked(path) else { return Ok(None) };
        let size = file.metadata().map_err(Error::io(format!("reading {path}")))?.len();
        if size > MAX_KEPT {
            return Err(Error::TooLarge { what: format!("{path}, which would be overwritten,"), size, unit: "bytes", limit: MAX_KEPT });
        }
        let mut content = Vec::new();
        (&file).take(MAX_KEPT).read_to_end(&mut content).map_err(Error::io(format!("reading {path}")))?;
        let written = self.with_engine(Mode::Change, |engine| engine.write_blob(&content).map(gix::Id::detach).map_err(Error::engine))?;
        written.transpose()
    }

    /// Opens the file at `path` in the working tree, which must not be a link, device or pipe.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn open_tracked(&self, path: &RelPath) -> Result<File> {
        let failed = |err| Error::io(format!("opening {path}"))(err);
        self.worktree_folder()?.file(path.as_path()).map(|(file, _)| file).map_err(failed)
    }
}

/// True if `path` is one of `paths` or below one, or `paths` is empty.
fn is_at(path: &RelPath, paths: &[RelPath]) -> bool {
    paths.is_empty() || paths.iter().any(|given| given.covers(path.as_bytes()))
}

/// The conflict markers of length `size`, as git recognizes them, with line numbers.
fn markers_in(text: &[u8], size: usize) -> Vec<(usize, Vec<u8>)> {
    let is_marker = |line: &[u8]| {
        let sign = line.first().filter(|sign| b"<=>|".contains(sign));
        let (Some(sign), true) = (sign, line.len() >= size) else { return false };
        line[..size].iter().all(|byte| byte == sign) && line.get(size).is_none_or(u8::is_ascii_whitespace)
    };
    if text.contains(&0) {
        return Vec::new();
    }
    (1..).zip(text.split(|&byte| byte == b'\n')).filter(|(_, line)| is_marker(line)).map(|(number, line)| (number, line.to_vec())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_match_their_size_then_a_blank_or_the_end() {
        let lines = |text: &str, size| markers_in(text.as_bytes(), size).into_iter().map(|(line, _)| line).collect::<Vec<_>>();
        assert_eq!(lines("a\n<<<<<<< HEAD\n||||||| b\n=======\r\n>>>>>>> o", 7), [2, 3, 4, 5]);
        assert_eq!(lines("<<<<<<<<\n <<<<<<<\n<<<<<<\n=======x\n", 7), [0; 0]);
        assert_eq!(lines("<<<<<<<<<< a\n<<<<<<< a\n", 10), [1]);
        assert_eq!(lines("\0\n<<<<<<< a\n", 7), [0; 0]);
    }
}
