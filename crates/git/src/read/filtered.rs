//! Filters that reads do not run, and the paths not compared for that reason.

use crate::{
    beneath::{self, Kind, to_path},
    cancel::Cancel,
    error::Result,
    name::RelPath,
    process::{Mode, Process},
    repo::{Repo, silence},
};
use gix::bstr::ByteSlice;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum bytes of a path list.
const MAX_OUTPUT: usize = 256 << 20;

/// A path excluded from a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCompared {
    /// The path.
    pub path: Vec<u8>,
    /// Why.
    pub why: Unseen,
}

/// Why a path is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The filter of the file, which is not run.
    Filter(String),
    /// The reason why a submodule is not inspected.
    Submodule(String),
}

/// Whether a pattern has `**` that is not a whole path component.
fn is_odd(patterns: &[u8]) -> bool {
    patterns.lines().any(|line| {
        let mut parts = line.trim_ascii_end().split(|&byte| byte == b'/');
        parts.any(|part| part.contains_str("**") && part != b"**" && part != b"!**")
    })
}

impl Repo {
    /// Whether there are filters that reads do not run. The files they apply to are set aside.
    pub(crate) fn sets_files_aside(&self) -> bool {
        !(self.settings.local_filters.is_empty() && (self.location.trusted || self.settings.operator_filters.is_empty()))
    }

    /// Whether an attributes file assigns a filter, or cannot be read.
    pub(crate) fn attributes_name_filters(&self, index: &gix::index::State) -> bool {
        let Ok(worktree) = self.worktree_folder() else { return true };
        let names = |text: &[u8]| text.contains_str("filter");
        let mut dirs = BTreeSet::from([&b""[..]]);
        for entry in index.entries() {
            let path = entry.path(index).as_bytes();
            if let Some(end) = path.rfind_byte(b'/') {
                dirs.insert(&path[..=end]);
            }
        }
        let info = self.common_folder().read("info/attributes", Kind::Rules);
        self.settings.attribute_files.iter().any(|file| beneath::read_own(file, Kind::Rules).is_ok_and(|text| names(&text)))
            || info.map_or(true, |text| text.is_some_and(|text| names(&text)))
            || dirs.into_iter().any(|dir| {
                let file = [dir, b".gitattributes"].concat();
                match worktree.read(to_path(&file), Kind::Rules) {
                    Ok(Some(text)) => names(&text),
                    Ok(None) => index.entry_by_path(file.as_bstr()).is_some(),
                    // git does not follow a symbolic link here, so its target has no effect.
                    Err(_) => true,
                }
            })
    }

    /// Whether ignore patterns in these directories, or global ones, have `**` next to other characters, where the engine
    /// differs from git. A directory ends in a slash; the top is empty.
    pub(crate) fn has_odd_ignore_patterns<'a>(&self, dirs: impl Iterator<Item = &'a [u8]>) -> bool {
        let Ok(worktree) = self.worktree_folder() else { return true };
        let own = self.settings.ignore_file.iter().any(|file| beneath::read_own(file, Kind::Rules).is_ok_and(|text| is_odd(&text)));
        let info = || self.common_folder().read("info/exclude", Kind::Rules).map_or(true, |text| text.is_some_and(|text| is_odd(&text)));
        let is_odd_in = |dir: &[u8]| {
            let text = worktree.read(to_path(&[dir, b".gitignore"].concat()), Kind::Rules);
            // git does not follow a symbolic link here either.
            text.is_ok_and(|text| text.is_some_and(|text| is_odd(&text)))
        };
        let mut dirs = dirs;
        own || info() || dirs.any(is_odd_in)
    }

    /// Filter drivers in the repository's own configuration, as git sees them now.
    pub(crate) fn local_filters(&self, cancel: &Cancel) -> Result<BTreeSet<String>> {
        if !self.settings.conditional {
            return Ok(self.settings.local_filters.clone());
        }
        let list = ["config", "list", "--show-scope", "--name-only", "-z"];
        let list =
            if self.git.version()?.number >= (2, 46) { &list[..] } else { &["config", "--list", "--show-scope", "--name-only", "-z"] };
        let output = self.read(list).success(cancel, 4 << 20)?;
        let mut fields = output.split(|&byte| byte == 0);
        let mut drivers = self.settings.local_filters.clone();
        while let (Some(scope), Some(key)) = (fields.next(), fields.next()) {
            let key = String::from_utf8_lossy(key);
            let driver = key.strip_prefix("filter.").and_then(|key| key.rsplit_once('.')).map(|(driver, _)| driver);
            if matches!(scope, b"local" | b"worktree")
                && let Some(driver) = driver
            {
                drivers.insert(driver.to_owned());
            }
        }
        Ok(drivers)
    }

    /// Filter drivers that reads do not run: the repository's own and, in an untrusted repository, also the operator's, which
    /// could not start in its sandbox.
    fn disabled_filters(&self, cancel: &Cancel) -> Result<BTreeSet<String>> {
        let mut drivers = self.local_filters(cancel)?;
        if !self.location.trusted {
            drivers.extend(self.settings.operator_filters.iter().cloned());
        }
        Ok(drivers)
    }

    /// A git process that reads the working tree's file content without running these filters.
    pub(crate) fn read_worktree(&self, args: &[&str], cancel: &Cancel) -> Result<Process<'_>> {
        Ok(silence(self.read(args), &self.disabled_filters(cancel)?))
    }

    /// Disables these filters in a process.
    pub(crate) fn silenced<'a>(&self, process: Process<'a>, cancel: &Cancel) -> Result<Process<'a>> {
        Ok(silence(process, &self.disabled_filters(cancel)?))
    }

    /// Files below `paths`, or anywhere, that cannot be compared without running a filter: their size or time differs from
    /// the index.
    pub(crate) fn not_compared(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<NotCompared>> {
        let drivers = self.disabled_filters(cancel)?;
        if drivers.is_empty() {
            return Ok(Vec::new());
        }
        // diff-files compares sizes and times, and content only of files as recent as the index.
        let args = ["diff-files", "--name-only", "-z", "--diff-filter=d", "--ignore-submodules=all", "--"];
        let process = silence(self.process(Mode::Read, &args), &drivers);
        let edited = process.args(paths.iter().map(RelPath::literal)).success(cancel, MAX_OUTPUT)?;
        if edited.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self
            .filtered(edited, &drivers, cancel)?
            .into_iter()
            .map(|(path, driver)| NotCompared { path, why: Unseen::Filter(driver) })
            .collect())
    }

    /// The filter of a file, if reads do not run it.
    pub(crate) fn filter_of(&self, path: &RelPath, cancel: &Cancel) -> Result<Option<String>> {
        let drivers = self.disabled_filters(cancel)?;
        let list = || [path.as_bytes(), b"\0"].concat();
        if drivers.is_empty() { Ok(None) } else { Ok(self.filtered(list(), &drivers, cancel)?.into_values().next()) }
    }

    /// The NUL-terminated `paths` to which one of these filters applies.
    fn filtered(&self, paths: Vec<u8>, drivers: &BTreeSet<String>, cancel: &Cancel) -> Result<BTreeMap<Vec<u8>, String>> {
        let output = self.read(&["check-attr", "-z", "--stdin", "filter"]).stdin(paths).success(cancel, MAX_OUTPUT)?;
        let fields: Vec<&[u8]> = output.split(|&byte| byte == 0).collect();
        let filtered = fields.chunks_exact(3).map(|triple| (triple[0].to_vec(), triple[2].to_str_lossy().into_owned()));
        Ok(filtered.filter(|(_, driver)| drivers.contains(driver)).collect())
    }
}
