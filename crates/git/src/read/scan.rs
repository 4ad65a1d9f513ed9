//! The working tree compared with the index in-process.

use crate::{
    beneath::{self, Kind},
    cancel::Cancel,
    error::{Error, Result},
    repo::{Repo, route::only_git},
};
use engine::{
    index::Index,
    rules::{Attributes, Ignore, List},
    worktree::{Content, Scan, Untracked, Worktree},
};
use std::{io::ErrorKind, path::Path};

/// The version in which git changed the meaning of `**` behind other characters.
const CHANGED_PATTERNS: (u32, u32) = (2, 52);

/// The answer of the engine; what it does not answer is left to git.
pub(crate) fn answered<T>(answer: engine::Result<T>, cancel: &Cancel) -> Result<T> {
    answer.or_else(|err| {
        cancel.check()?;
        Err(match err {
            engine::Error::Unsupported(why) => only_git(why),
            err => Error::engine(err),
        })
    })
}

impl Repo {
    /// The index as it is now. An absent one is empty.
    pub(crate) fn index(&self, engine: &gix::Repository, cancel: &Cancel) -> Result<Index> {
        let read = answered(Index::read(self.git_folder(), engine.object_hash(), cancel), cancel)?;
        Ok(read.map_or_else(|| Index::empty(engine.object_hash()), |(index, _)| index))
    }

    /// What the comparison of content needs.
    pub(crate) fn content(&self, engine: &gix::Repository) -> Content<'_> {
        let is_old = || self.git.version().is_ok_and(|version| version.number < CHANGED_PATTERNS);
        Content::new(engine.clone(), self.settings.status.conversion.clone(), is_old, || self.attributes())
    }

    /// Compares the working tree with the index.
    pub(crate) fn scan(&self, index: &Index, content: &Content<'_>, untracked: Untracked, cancel: &Cancel) -> Result<Scan> {
        let settings = &self.settings.status;
        if let Some(why) = settings.odd {
            return Err(only_git(why));
        }
        if index.is_sparse() && !settings.sparse {
            return Err(only_git("a sparse index of a whole working tree"));
        }
        if index.entries().iter().any(engine::index::Entry::is_submodule) && self.hides_submodules(index) {
            return Err(only_git("submodules whose changes are hidden"));
        }
        let worktree = Worktree {
            top: self.worktree_folder()?,
            git_dir: self.git_folder(),
            common_dir: self.common_folder(),
            index,
            content,
            ignore: &self.ignore_rules()?,
            comparison: settings.comparison,
            untracked,
            sparse: settings.sparse,
        };
        let scan = answered(worktree.scan(cancel), cancel)?;
        self.also_watch(scan.directories.iter().map(Vec::as_slice));
        if !(scan.hard_linked.is_empty() && scan.mounts.is_empty() && scan.unsettled.is_empty()) {
            cancel.read_unwatched();
        }
        Ok(scan)
    }

    /// Whether settings may hide a submodule.
    fn hides_submodules(&self, index: &Index) -> bool {
        let is_missing = || self.worktree_folder().is_ok_and(|top| !top.has(".gitmodules"));
        self.settings.ignored_submodules.is_some() || self.may_hide_submodules() || is_missing() && index.find(b".gitmodules", 0).is_some()
    }

    /// The attributes outside of the working tree.
    fn attributes(&self) -> engine::Result<Attributes> {
        const UNREADABLE: engine::Error = engine::Error::Unsupported("attributes that cannot be read");
        let mut texts = Vec::new();
        // The last file wins.
        for file in self.settings.attribute_files.iter().rev() {
            texts.extend(own_rules(&self.location.top().join(file)).map_err(|_| UNREADABLE)?);
        }
        let info = self.common_folder().read("info/attributes", Kind::Rules).map_err(|_| UNREADABLE)?;
        let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
        Ok(Attributes::new(&texts, info.as_deref(), false))
    }

    /// The ignore rules outside of the working tree.
    fn ignore_rules(&self) -> Result<Ignore> {
        let unreadable = || only_git("ignore rules that cannot be read");
        let mut lists = Vec::new();
        if let Some(file) = &self.settings.ignore_file {
            let text = own_rules(&self.location.top().join(file)).map_err(|_| unreadable())?;
            lists.extend(text.map(|text| List::parse(&text, false)));
        }
        let own = self.common_folder().read("info/exclude", Kind::Rules).map_err(|_| unreadable())?;
        lists.extend(own.map(|text| List::parse(&text, false)));
        Ok(Ignore::new(lists, false))
    }
}

/// A file of rules that settings name. git passes over one that it may not read.
fn own_rules(file: &Path) -> Result<Option<Vec<u8>>, std::io::Error> {
    if file == Path::new("/dev/null") {
        return Ok(None);
    }
    match beneath::read_own(file, Kind::Rules) {
        Ok(text) => Ok(Some(text)),
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied) => Ok(None),
        Err(err) => Err(err),
    }
}
