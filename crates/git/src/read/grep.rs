//! Searching tracked files, in the working tree or in a revision.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::Mode,
    quote,
    read::trees::{Change, Walk},
    repo::{Repo, index_file::index_now, route::Route},
};
use engine::grep::{File, Pattern, Search};
use std::ops::ControlFlow;

/// Maximum number of files searched in a revision.
const MAX_FILES: usize = 500_000;
const LIST_LIMIT: usize = 256 << 20;

/// What to search for, and where.
#[derive(Clone, Debug)]
pub struct GrepQuery {
    /// A regular expression in the syntax of Rust's `regex` crate, matched line by line.
    pub pattern: String,
    /// The revision; the working tree when absent.
    pub rev: Option<Rev>,
    /// Only these paths; all when empty.
    pub paths: Vec<RelPath>,
    /// Whether to ignore case.
    pub ignore_case: bool,
    /// Lines of context around each match.
    pub context: usize,
}

/// The summary of a search.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GrepSummary {
    /// Number of files with a match so far.
    pub files: usize,
    /// Number of files too large to search.
    pub too_large: usize,
}

impl Repo {
    /// Passes matches in the format of `git grep -nI` to `each`, one file at a time, until it breaks.
    ///
    /// # Errors
    ///
    /// [`Error::BadPattern`]; [`Error::UnknownRevision`].
    pub fn grep(
        &self,
        query: &GrepQuery,
        cancel: &Cancel,
        each: &mut (dyn FnMut(&[u8]) -> ControlFlow<()> + Send),
    ) -> Result<(GrepSummary, Route)> {
        let pattern = Pattern::new(&query.pattern, query.ignore_case).map_err(Error::BadPattern)?;
        if let Some(rev) = &query.rev {
            let mut needs = self.needs(cancel);
            needs.files(self.resolve(rev, cancel)?, &query.paths)?;
            needs.check()?;
        }
        match &query.rev {
            Some(rev) if self.engine.is_none() => self.grep_with_git(rev, query, cancel, each),
            _ => {
                let found = self.within(Mode::Read, || self.search_files(query, &pattern, cancel, each))?;
                found.map(|summary| (summary, Route::Engine)).map_err(|err| {
                    query.rev.as_ref().map_or(Ok(()), |rev| self.check_tree(rev, &err, cancel)).map_or_else(|why| why, |()| err)
                })
            }
        }
    }

    /// Returns git's error for an object the engine could not read.
    fn check_tree(&self, rev: &Rev, err: &Error, cancel: &Cancel) -> Result<()> {
        match err {
            Error::MissingObject(id) => self.object(self.resolve(&Rev::new(id.as_str())?, cancel)?, cancel).map(drop),
            Error::Engine(_) => {
                let tree = self.resolve(rev, cancel)?.to_string();
                self.read(&["ls-tree", "-r", "-z", "--name-only"]).arg(tree).success(cancel, LIST_LIMIT).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Searches in-process.
    fn search_files(
        &self,
        query: &GrepQuery,
        pattern: &Pattern,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<GrepSummary> {
        let list = match (&query.rev, &self.engine) {
            (Some(rev), Some(engine)) => self.files_in(&engine.to_thread_local(), rev, query, cancel)?,
            _ => self.tracked_files(cancel)?,
        };
        let files = list.files(&query.paths);
        let label = |path: &[u8], out: &mut Vec<u8>| out.extend_from_slice(quote::listed(path).as_bytes());
        let (worktree, objects) = (self.worktree_folder().ok(), self.engine.as_ref());
        let search = Search { pattern, context: query.context, worktree, objects, label: &label, stop: cancel };
        let summary = search.run(&files, each).map_err(|err| cancel.check().err().unwrap_or_else(|| err.into()))?;
        match summary.missing {
            Some(id) => Err(Error::MissingObject(id.to_string())),
            None => Ok(GrepSummary { files: summary.files, too_large: summary.too_large }),
        }
    }

    fn files_in(&self, engine: &gix::Repository, rev: &Rev, query: &GrepQuery, cancel: &Cancel) -> Result<Listed> {
        let id = self.resolve(rev, cancel)?;
        let object = engine.find_object(id).map_err(Error::engine)?;
        if object.kind == gix::objs::Kind::Blob {
            return Err(Error::UnknownRevision(rev.to_string()));
        }
        let tree = object.peel_to_tree().map_err(Error::engine)?;
        let walk = Walk { engine, paths: &query.paths, limit: MAX_FILES, cancel };
        let found = walk.compare(None, Some(tree.id))?;
        Ok(Listed::InTree(found.changes))
    }

    fn tracked_files(&self, cancel: &Cancel) -> Result<Listed> {
        self.worktree()?;
        if let Some(engine) = &self.engine
            && let Ok(index) = index_now(&engine.to_thread_local())
            && !index.is_sparse()
        {
            return Ok(Listed::InIndex(index));
        }
        self.read(&["ls-files", "-z"]).success(cancel, LIST_LIMIT).map(Listed::ByGit)
    }

    /// Searches a revision of a repository only git can read, with git's extended regular expressions.
    fn grep_with_git(
        &self,
        rev: &Rev,
        query: &GrepQuery,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(GrepSummary, Route)> {
        let tree = self.resolve(rev, cancel)?.to_string();
        let args = ["grep", "--line-number", "-I", "--no-color", "--extended-regexp", "--no-textconv", "--full-name"];
        let mut process = self.read(&args).arg(format!("--context={}", query.context));
        if query.ignore_case {
            process = process.arg("--ignore-case");
        }
        let paths = query.paths.iter().map(RelPath::literal);
        let process = process.arg("-e").arg(&query.pattern).arg(tree).arg("--").args(paths);
        let ended = process.stream(cancel, |chunk| each(chunk))?;
        // Exit code 1 is "no match", even if an object could not be read.
        if ended.stderr.contains("error: ") && !ended.full {
            return Err(ended.unreadable());
        }
        if ended.code != Some(1) {
            ended.require("grep")?;
        }
        Ok((GrepSummary::default(), Route::Cli))
    }
}

/// The files of a search, as found.
enum Listed {
    InTree(Vec<Change>),
    InIndex(gix::worktree::Index),
    /// Separated by NUL.
    ByGit(Vec<u8>),
}

impl Listed {
    /// The regular files among them at `paths`.
    fn files(&self, paths: &[RelPath]) -> Vec<File<'_>> {
        let wanted = |path: &[u8]| paths.is_empty() || paths.iter().any(|only| only.covers(path));
        let mut files: Vec<File<'_>> = match self {
            Self::InTree(found) => {
                let regular = |change: &Change| change.new.filter(|(mode, _)| matches!(mode, 0o100_644 | 0o100_755 | 0o100_664));
                found.iter().filter_map(|change| Some(File { path: &change.path, id: Some(regular(change)?.1) })).collect()
            }
            Self::InIndex(index) => {
                use gix::index::entry::{Flags, Mode};
                let regular = index.entries().iter().filter(|entry| {
                    matches!(entry.mode, Mode::FILE | Mode::FILE_EXECUTABLE) && !entry.flags.contains(Flags::SKIP_WORKTREE)
                });
                // As git, use the index's content for files marked assume-valid.
                let id = |entry: &gix::index::Entry| entry.flags.contains(Flags::ASSUME_VALID).then_some(entry.id);
                let files = regular.map(|entry| File { path: entry.path(index), id: id(entry) });
                files.filter(|file| wanted(file.path)).collect()
            }
            Self::ByGit(list) => {
                let paths = list.split(|&byte| byte == 0).filter(|path| !path.is_empty() && wanted(path));
                paths.map(|path| File { path, id: None }).collect()
            }
        };
        if !matches!(self, Self::InTree(_)) {
            // Each stage of a file in conflict is an entry.
            files.dedup_by(|a, b| a.path == b.path);
        }
        files
    }
}
