//! Conflicts: what each side has, and taking one of them.

use super::{MAX_OUTPUT, coming::Coming, nul_separated};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::Mode,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::BTreeMap, fs::File, io::Read};

/// The largest file that is kept before it is overwritten.
const MAX_KEPT: u64 = 64 << 20;

/// A path with more than one version in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The path.
    pub path: RelPath,
    /// The common ancestor's version.
    pub base: Option<ObjectId>,
    /// The version of the branch that is checked out; of the branch that is rebased onto, during a rebase.
    pub ours: Option<ObjectId>,
    /// The version that is brought in.
    pub theirs: Option<ObjectId>,
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
        let output = self.read(&["ls-files", "--unmerged", "-z"]).success(cancel, MAX_OUTPUT)?;
        let mut found: BTreeMap<Vec<u8>, [Option<ObjectId>; 3]> = BTreeMap::new();
        for entry in output.split(|&byte| byte == 0).filter(|entry| !entry.is_empty()) {
            let Some((meta, path)) = entry.split_once_str(b"\t") else { continue };
            let mut fields = meta.split(|&byte| byte == b' ').skip(1);
            let id = fields.next().and_then(|id| ObjectId::from_hex(id).ok());
            let stage = fields.next().and_then(|stage| stage.first()).map_or(0, |digit| usize::from(digit.saturating_sub(b'1')));
            found.entry(path.to_vec()).or_default()[stage.min(2)] = id;
        }
        let conflict = |(path, [base, ours, theirs]): (Vec<u8>, [Option<ObjectId>; 3])| Conflict {
            path: RelPath::from_git(&path),
            base,
            ours,
            theirs,
        };
        Ok(found.into_iter().map(conflict).collect())
    }

    /// Resolves `paths` as one side has them, deletions included, and keeps what the files held as blobs.
    ///
    /// # Errors
    ///
    /// [`Error::NotInConflict`].
    pub fn take_side(&self, paths: &[RelPath], side: Side, cancel: &Cancel) -> Result<Vec<(RelPath, ObjectId)>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let conflicts = self.conflicts(cancel)?;
        let (mut there, mut deleted, mut coming) = (Vec::new(), Vec::new(), Vec::new());
        for path in paths {
            let covered: Vec<&Conflict> = conflicts.iter().filter(|conflict| path.covers(conflict.path.as_bytes())).collect();
            if covered.is_empty() {
                return Err(Error::NotInConflict(path.to_string()));
            }
            for conflict in covered {
                let id = if side == Side::Ours { conflict.ours } else { conflict.theirs };
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
            ended.require(args[0])
        };
        run(&["checkout", "--quiet", if side == Side::Ours { "--ours" } else { "--theirs" }], &there)?;
        run(&["add", "--force"], &there)?;
        run(&["rm", "--quiet", "--force"], &deleted)?;
        Ok(kept)
    }

    /// Keeps what a file of the working tree holds; none where there is no file.
    fn keep_file(&self, path: &RelPath) -> Result<Option<ObjectId>> {
        let Ok(file) = self.open_tracked(path) else { return Ok(None) };
        let size = file.metadata().map_err(Error::io(format!("reading {path}")))?.len();
        if size > MAX_KEPT {
            return Err(Error::TooLarge { what: format!("{path}, which is to be overwritten,"), size, limit: MAX_KEPT });
        }
        let mut content = Vec::new();
        (&file).take(MAX_KEPT).read_to_end(&mut content).map_err(Error::io(format!("reading {path}")))?;
        let written = self.with_engine(Mode::Change, |engine| engine.write_blob(&content).map(gix::Id::detach).map_err(Error::engine))?;
        written.transpose()
    }

    /// Opens the file at `path` in the working tree, which may be no link, device or pipe.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn open_tracked(&self, path: &RelPath) -> Result<File> {
        let failed = |err| Error::io(format!("opening {path}"))(err);
        self.worktree_folder()?.file(path.as_path()).map(|(file, _)| file).map_err(failed)
    }

    /// The operation in progress and, where it has steps, which it is at.
    pub fn progress(&self) -> Option<String> {
        let operation = self.in_progress()?;
        let number = |dir: &str, file: &str| {
            let line = self.git_folder().line(format!("{dir}/{file}"))?;
            line.to_str().ok()?.trim().parse::<u32>().ok()
        };
        let steps = |dir, done, all| Some((number(dir, done)?, number(dir, all)?));
        let steps = match operation {
            "rebase" | "am" => steps("rebase-merge", "msgnum", "end").or_else(|| steps("rebase-apply", "next", "last")),
            _ => None,
        };
        let operation = if operation == "am" { "series of patches" } else { operation };
        Some(steps.map_or_else(|| operation.to_owned(), |(done, all)| format!("{operation} ({done} of {all})")))
    }
}
