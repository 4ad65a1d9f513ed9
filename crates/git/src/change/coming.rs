//! Checks of the files that a change will write, before it starts: git removes a file before it reads its replacement.

use super::{MAX_OUTPUT, NAMED};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::{Mode, Process, stderr::all_messages},
    repo::{Repo, of_tree},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::{BTreeSet, HashSet},
    ffi::OsStr,
    ops::ControlFlow,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    time::{Duration, SystemTime},
};

/// Maximum length of a file listing.
const LISTING: usize = 256 << 20;
/// Maximum number of files filtered on trial before a change.
const TRIED: usize = 256;
/// Maximum lag of file timestamps behind the clock.
const COARSE: Duration = Duration::from_millis(50);

/// Options of a listing for [`Repo::coming`]. Its new side will be written.
pub(super) const RAW: [&str; 6] = ["--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=dirty"];
/// The same format for a listing with one side.
pub(super) const AS_RAW: &str = "--format=:%(objectmode) %(objectmode) %(objectname) %(objectname) M%x00%(path)";

/// A file that a change will write.
#[derive(Debug)]
pub(super) struct Coming {
    /// Its path.
    pub(super) path: Vec<u8>,
    /// Its blob; `None` for a submodule.
    pub(super) id: Option<ObjectId>,
    /// Whether the change creates it.
    pub(super) is_new: bool,
}

/// A path and the folders above it.
fn prefixes(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    ends.chain([path.len()]).map(|end| &path[..end])
}

fn refuse_overwriting<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Result<()> {
    let in_the_way: Vec<String> = paths.map(crate::quote::listed).take(NAMED).collect();
    if in_the_way.is_empty() { Ok(()) } else { Err(Error::WouldOverwrite(in_the_way)) }
}

impl Repo {
    /// Parses a listing with [`RAW`] or [`AS_RAW`].
    pub(super) fn coming(listing: Process<'_>, cancel: &Cancel) -> Result<Vec<Coming>> {
        let output = listing.success(cancel, LISTING)?;
        let mut fields = output.split(|&byte| byte == 0).map(<[u8]>::trim_ascii_start);
        let mut found = Vec::new();
        while let Some(field) = fields.next() {
            let Some(entry) = field.strip_prefix(b":") else { continue };
            let Some(path) = fields.next() else { break };
            let mut words = entry.split(|&byte| byte == b' ');
            let (Some(old), Some(new), Some(_), Some(id)) = (words.next(), words.next(), words.next(), words.next()) else { continue };
            let id = ObjectId::from_hex(id).ok().filter(|id| !id.is_null());
            if let Some(id) = id {
                found.push(Coming { path: path.to_vec(), id: Some(id).filter(|_| new != b"160000"), is_new: old == b"000000" });
            }
        }
        Ok(found)
    }

    /// Refuses if content to be written is missing or a filter fails on it. `attributes` is the tree whose attributes will
    /// apply, if not those of the working tree.
    pub(super) fn check_complete(&self, coming: &[Coming], attributes: Option<ObjectId>, cancel: &Cancel) -> Result<()> {
        if coming.is_empty() {
            return Ok(());
        }
        let mut needs = self.needs(cancel);
        needs.coming(coming.iter().filter_map(|file| Some((file.id?, file.path.clone()))));
        needs.check_for_worktree()?;
        let missing = if self.is_partial() { Vec::new() } else { self.missing(coming, cancel)? };
        if !missing.is_empty() {
            return Err(Error::Incomplete(missing));
        }
        let drivers: BTreeSet<&[u8]> =
            self.settings.local_filters.iter().chain(&self.settings.operator_filters).map(String::as_bytes).collect();
        if drivers.is_empty() && !self.settings.conditional {
            return Ok(());
        }
        let list: Vec<u8> = coming.iter().flat_map(|file| [file.path.as_slice(), b"\0"].concat()).collect();
        let asked = of_tree(self.change(&["check-attr", "-z", "--stdin", "filter"]), attributes).stdin(list);
        let output = asked.success(cancel, LISTING)?;
        let values = output.split(|&byte| byte == 0).skip(2).step_by(3);
        let is_driver = |value: &[u8]| drivers.contains(value) || self.settings.conditional && value != b"unspecified";
        let filtered = coming.iter().zip(values).filter(|(_, value)| is_driver(value));
        let tried = filtered.filter_map(|(file, _)| Some([file.id?.to_string().as_bytes(), b" ", &file.path, b"\0"].concat()));
        let tried: Vec<u8> = tried.take(TRIED).flatten().collect();
        if tried.is_empty() {
            return Ok(());
        }
        let process = of_tree(self.change(&["cat-file", "--filters", "--batch", "-z"]), attributes).stdin(tried);
        let ended = process.stream(cancel, |_| ControlFlow::Continue(()))?;
        if ended.code == Some(0) { Ok(()) } else { Err(Error::FilterFailed { unchanged: true, said: all_messages(&ended.stderr) }) }
    }

    /// The files whose content is missing.
    fn missing(&self, coming: &[Coming], cancel: &Cancel) -> Result<Vec<String>> {
        let name =
            |file: &Coming| format!("{} ({})", crate::quote::listed(&file.path), file.id.map_or_else(String::new, |id| id.to_string()));
        let absent = |engine: &gix::Repository| {
            let absent = coming.iter().filter(|file| file.id.is_some_and(|id| !engine.has_object(id)));
            absent.take(NAMED).map(name).collect::<Vec<_>>()
        };
        if let Some(absent) = self.with_engine(Mode::Read, absent)? {
            return Ok(absent);
        }
        let list = coming.iter().filter_map(|file| Some(format!("{}\n", file.id?).into_bytes())).flatten().collect();
        let output = self.read(&["cat-file", "--batch-check=%(objectname)"]).stdin(list).success(cancel, LISTING)?;
        let absent: HashSet<&[u8]> = output.lines().filter_map(|line| line.strip_suffix(b" missing")).collect();
        let is_absent = |file: &&Coming| file.id.is_some_and(|id| absent.contains(id.to_string().as_bytes()));
        Ok(coming.iter().filter(is_absent).take(NAMED).map(name).collect())
    }

    /// Refuses a move from `HEAD`, or from the files if `edited`, to `tree` that could not be completed.
    pub(super) fn check_move(&self, tree: ObjectId, edited: bool, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let listing = match (edited, self.head(cancel)?) {
            (false, Some(head)) => self.read(&["diff-tree", "-r"]).args(RAW).arg(head.to_string()).arg(tree.to_string()),
            (false, None) => self.read(&["ls-tree", "-r", "-z", "--full-tree", AS_RAW]).arg(tree.to_string()),
            (true, _) => self.read(&["diff-index", "-R"]).args(RAW).arg(tree.to_string()),
        };
        let listing = listing.arg("--").args(paths.iter().map(RelPath::literal));
        self.check_complete(&Self::coming(listing, cancel)?, Some(tree), cancel)
    }

    /// Refuses if untracked files are in the way of `tree`, or of the index, at `paths`.
    pub(super) fn check_untracked(&self, tree: Option<ObjectId>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let wanted = |process: Process<'_>| -> Result<Vec<u8>> {
            process.arg("--").args(paths.iter().map(RelPath::literal)).success(cancel, LISTING)
        };
        let untracked = wanted(self.read(&["ls-files", "--others", "-z"]))?;
        if untracked.is_empty() {
            return Ok(());
        }
        let listed = match tree {
            Some(tree) => wanted(self.read(&["ls-tree", "-r", "--name-only", "-z", "--full-tree"]).arg(tree.to_string()))?,
            None => wanted(self.read(&["ls-files", "-z"]))?,
        };
        let coming: HashSet<&[u8]> = listed.split(|&byte| byte == 0).filter(|path| !path.is_empty()).collect();
        let untracked: HashSet<&[u8]> = untracked.split(|&byte| byte == 0).filter(|path| !path.is_empty()).collect();
        // A file to be written collides with a file or folder of untracked files, or a folder with a file.
        let over = untracked.iter().filter(|path| prefixes(path).any(|prefix| coming.contains(prefix)));
        let under = coming.iter().flat_map(|path| prefixes(path)).filter_map(|prefix| untracked.get(prefix));
        refuse_overwriting(over.chain(under).copied())
    }

    /// Refuses if untracked files, including ignored ones, are in the way of an operation: git itself overwrites
    /// ignored files.
    pub(super) fn check_ignored<'a>(&self, coming: impl Iterator<Item = &'a Coming>, cancel: &Cancel) -> Result<()> {
        let top = self.worktree()?;
        let there = |path: &&[u8]| top.join(OsStr::from_bytes(path)).symlink_metadata().is_ok();
        let there: BTreeSet<&[u8]> = coming.map(|file| file.path.as_slice()).filter(there).collect();
        if there.is_empty() {
            return Ok(());
        }
        let tracked = self.read(&["ls-files", "-z"]).success(cancel, LISTING)?;
        let tracked: HashSet<&[u8]> = tracked.split(|&byte| byte == 0).collect();
        refuse_overwriting(there.into_iter().filter(|path| !tracked.contains(path) && !top.join(OsStr::from_bytes(path)).is_dir()))
    }

    /// Refuses if anything is in the way of new files.
    pub(super) fn check_free<'a>(&self, coming: impl Iterator<Item = &'a Coming>) -> Result<()> {
        let top = self.worktree()?;
        let found = |path: &[u8]| top.join(OsStr::from_bytes(path)).symlink_metadata().ok();
        let in_the_way = |path: &&[u8]| found(path).is_some_and(|meta| !meta.is_dir());
        let own = |path: &[u8]| found(path).is_some();
        let mut ways = coming.filter_map(|file| {
            let whole = Some(file.path.as_slice()).filter(|path| own(path));
            prefixes(&file.path).find(in_the_way).or(whole)
        });
        refuse_overwriting(&mut ways)
    }

    /// Paths of files in `source` that are missing in the working tree.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn absent_of(&self, source: &Rev, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<RelPath>> {
        let tree = self.resolve_commit(source, cancel)?;
        let listing = self.read(&["diff-index", "-R"]).args(RAW).arg("--diff-filter=A").arg(tree.to_string());
        let listing = listing.arg("--").args(paths.iter().map(RelPath::literal));
        Ok(self.worktree().map(|_| Self::coming(listing, cancel))??.iter().map(|file| RelPath::from_git(&file.path)).collect())
    }

    /// Tracked files that were lost or emptied since `begin`, as by an interrupted change.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn lost_since(&self, begin: SystemTime, cancel: &Cancel) -> Result<Vec<RelPath>> {
        let top = self.worktree()?;
        let begin = begin.checked_sub(COARSE).and_then(|begin| begin.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        let is_since = |meta: &std::fs::Metadata| {
            let second = u64::try_from(meta.ctime()).unwrap_or_default();
            Duration::new(second, u32::try_from(meta.ctime_nsec()).unwrap_or_default()) >= begin
        };
        let process = self.read_worktree(&["ls-files", "-z", "--deduplicate", "--modified"], cancel)?;
        let output = process.success(cancel, MAX_OUTPUT)?;
        let is_lost = |path: &&[u8]| {
            let full = top.join(OsStr::from_bytes(path));
            match full.symlink_metadata() {
                Ok(meta) => meta.is_file() && meta.len() == 0 && is_since(&meta),
                // Deleting it changed its folder, or the nearest existing folder above.
                Err(_) => full.ancestors().skip(1).find_map(|dir| dir.symlink_metadata().ok()).is_some_and(|dir| is_since(&dir)),
            }
        };
        Ok(output.split(|&byte| byte == 0).filter(|path| !path.is_empty()).filter(is_lost).map(RelPath::from_git).collect())
    }
}
