//! The working tree compared with the index in-process.

use crate::{
    beneath::{self, Kind},
    cancel::Cancel,
    error::{Error, Result},
    repo::{Repo, route::only_git},
};
use engine::{
    index::Index,
    rules::{Ignore, List},
    worktree::{Content, Scan, Worktree},
};
use std::{io::ErrorKind, path::Path};

/// Words in an attributes file that may change what git stores for a file.
const CONVERTING: [&str; 8] = ["text", "eol", "crlf", "ident", "filter", "encoding", "binary", "[attr]"];

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

    /// Compares the working tree with the index.
    pub(crate) fn scan(&self, engine: &gix::Repository, index: &Index, cancel: &Cancel) -> Result<Scan> {
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
        let content = Content::new(engine.clone(), self.settings.converts_text || self.attributes_convert());
        let worktree = Worktree {
            top: self.worktree_folder()?,
            git_dir: self.git_folder(),
            common_dir: self.common_folder(),
            index,
            content: &content,
            ignore: &self.ignore_rules()?,
            comparison: settings.comparison,
            untracked: settings.untracked,
            sparse: settings.sparse,
        };
        answered(worktree.scan(cancel), cancel)
    }

    /// Whether settings may hide a submodule.
    fn hides_submodules(&self, index: &Index) -> bool {
        let is_missing = || self.worktree_folder().is_ok_and(|top| !top.has(".gitmodules"));
        self.settings.ignored_submodules.is_some() || self.may_hide_submodules() || is_missing() && index.find(b".gitmodules", 0).is_some()
    }

    /// Whether attributes outside of the working tree may convert files.
    fn attributes_convert(&self) -> bool {
        let converts = |text: &[u8]| CONVERTING.iter().any(|word| gix::bstr::ByteSlice::contains_str(text, word));
        let info = self.common_folder().read("info/attributes", Kind::Rules);
        info.map_or(true, |text| text.is_some_and(|text| converts(&text)))
            || self.settings.attribute_files.iter().any(|file| beneath::read_own(file, Kind::Rules).is_ok_and(|text| converts(&text)))
    }

    /// The ignore rules outside of the working tree.
    fn ignore_rules(&self) -> Result<Ignore> {
        let unreadable = || only_git("ignore rules that cannot be read");
        let mut lists = Vec::new();
        if let Some(file) = &self.settings.ignore_file {
            let file = if file.is_absolute() { file.clone() } else { self.worktree()?.join(file) };
            lists.extend(rules_of(&file).map_err(|_| unreadable())?);
        }
        let own = self.common_folder().read("info/exclude", Kind::Rules).map_err(|_| unreadable())?;
        lists.extend(own.map(|text| List::parse(&text, false)));
        Ok(Ignore::new(lists, false))
    }
}

/// The rules of the operator's file. git passes over one that it may not read.
fn rules_of(file: &Path) -> Result<Option<List>, std::io::Error> {
    if file == Path::new("/dev/null") {
        return Ok(None);
    }
    match beneath::read_own(file, Kind::Rules) {
        Ok(text) => Ok(Some(List::parse(&text, false))),
        Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied) => Ok(None),
        Err(err) => Err(err),
    }
}
