//! Differences between `HEAD`, the index and the working tree.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::Mode,
    read::{
        filtered::NotCompared,
        modules::ignore::{Ignore, Reach},
        patch::Keep,
        render::Written,
        scan::answered,
        sides::{DiffQuery, Sides},
        trees::Change,
        upstream,
    },
    repo::{
        Repo,
        rev::head_of,
        route::{Route, only_git},
    },
};
use engine::index::{Index, Staged};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::{BTreeMap, HashSet},
    ops::ControlFlow,
};

/// Maximum number of paths collected. Beyond it the listing is marked as truncated.
const MAX_ENTRIES: usize = 500_000;
/// Maximum bytes of git's output read for a listing.
const MAX_OUTPUT: usize = 256 << 20;

/// The paths of submodules, with their commits.
type Submodules = Vec<(Vec<u8>, ObjectId)>;

/// A working tree's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The state of `HEAD`.
    pub head: Head,
    /// Changed paths in git's order, then untracked ones.
    pub entries: Vec<Entry>,
    /// The operation in progress: `merge`, `rebase`, ….
    pub in_progress: Option<String>,
    /// Paths whose files were not compared with the index.
    pub not_compared: Vec<NotCompared>,
    /// Whether there are more entries than were collected.
    pub truncated: bool,
}

/// The state of `HEAD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// The commit; `None` before the first one.
    pub commit: Option<ObjectId>,
    /// The upstream, for example `origin/main`.
    pub upstream: Option<String>,
    /// Number of commits only in the branch, and only in the upstream. `None` if the upstream is gone.
    pub ahead_behind: Option<(u64, u64)>,
}

/// A path and how it differs, with the letters of `git status --short`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Index against `HEAD`.
    pub index: u8,
    /// Working tree against index.
    pub worktree: u8,
    /// The path.
    pub path: Vec<u8>,
    /// The source path if renamed or copied.
    pub from: Option<Vec<u8>>,
}

impl Entry {
    /// Whether the path is in conflict.
    pub fn is_unmerged(&self) -> bool {
        matches!((self.index, self.worktree), (b'U', _) | (_, b'U') | (b'A', b'A') | (b'D', b'D'))
    }
}

impl Repo {
    /// The state of the working tree.
    ///
    /// # Errors
    ///
    /// [`Error::Bare`].
    pub fn status(&self, cancel: &Cancel) -> Result<(Status, Route)> {
        self.status_reaching(&Reach::new(), cancel)
    }

    /// The state of the working tree, within the limits for submodules.
    pub(crate) fn status_reaching(&self, reach: &Reach, cancel: &Cancel) -> Result<(Status, Route)> {
        cancel.check()?;
        self.worktree()?;
        let with_git = || self.need_for_renames(cancel).and_then(|()| self.status_with_git(&[], cancel));
        let with_engine = |engine: &gix::Repository| self.status_in_process(engine, cancel);
        let ((mut status, submodules), mut route) = self.answer("status", with_engine, || Ok((with_git()?, Vec::new())))?;
        // git treats a broken branch as one without commits here.
        status.head.commit.map_or_else(|| self.head(cancel), |id| Ok(Some(id)))?;
        if route == Route::Cli || !submodules.is_empty() {
            // git names no folders that it read, and those of submodules are not watched.
            cancel.read_unwatched();
            let ignore = if self.settings.hides_untracked { Ignore::Untracked } else { Ignore::Nothing };
            let inside = self.inside_submodules(&[], ignore, reach, cancel)?;
            if !inside.compare_commits(&submodules, &mut status) {
                (status, route) = (with_git()?, Route::Cli);
            }
            inside.add_to_status(&mut status);
            sort_as_short(&mut status.entries);
        }
        status.in_progress = self.progress();
        Ok((status, route))
    }

    /// The staged changes and the branch, without reading the working tree.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn staged(&self, cancel: &Cancel) -> Result<(Head, Vec<Entry>)> {
        self.answer("staged", |engine| self.staged_in_process(engine, cancel), || self.staged_with_git(cancel)).map(|(staged, _)| staged)
    }

    fn staged_in_process(&self, engine: &gix::Repository, cancel: &Cancel) -> Result<(Head, Vec<Entry>)> {
        if let Some(why) = self.settings.status.odd {
            return Err(only_git(why));
        }
        let index = self.index(engine, cancel)?;
        let (head, entries) = self.compare_staged(engine, &index, cancel)?;
        let branch = head.referent_name().map(|name| name.shorten().to_str_lossy().into_owned());
        let commit = head.id().map(gix::Id::detach);
        Ok((Head { branch, commit, ..Head::default() }, entries.into_values().collect()))
    }

    /// `HEAD`, and what differs between its commit and the index.
    fn compare_staged<'a>(
        &self,
        engine: &'a gix::Repository,
        index: &Index,
        cancel: &Cancel,
    ) -> Result<(gix::Head<'a>, BTreeMap<Vec<u8>, Entry>)> {
        let (head, commit) = head_of(engine)?;
        let tree = commit.map(|commit| commit.tree_id().map(gix::Id::detach)).transpose().map_err(Error::engine)?;
        if let Some(tree) = tree {
            // The index may name it, so that nothing below reads it. git fails without it.
            engine.find_header(tree).map_err(Error::engine)?;
        }
        let changes = answered(index.staged(engine, tree, cancel), cancel)?;
        let moved = if self.settings.status.renames { self.staged_renames(engine, index, &changes, cancel)? } else { BTreeMap::new() };
        Ok((head, entries_of(changes, &moved)))
    }

    /// The sources of renamed files by path.
    fn staged_renames(
        &self,
        engine: &gix::Repository,
        index: &Index,
        changes: &[Staged],
        cancel: &Cancel,
    ) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
        let lone = changes.iter().filter(|change| change.unmerged.is_none() && change.old.is_some() != change.new.is_some());
        let files: Vec<Change> = lone.map(|change| Change { path: change.path.clone(), old: change.old, new: change.new }).collect();
        if !(files.iter().any(|file| file.old.is_some()) && files.iter().any(|file| file.new.is_some())) {
            return Ok(BTreeMap::new());
        }
        let keep = Keep::up_to(0);
        let query = DiffQuery { sides: Sides::Staged, paths: Vec::new(), exclude: Vec::new(), context: None, keep };
        let written = Written::new();
        let renderer = self.renderer(engine, &files, query.sides, &query, (index, &written, cancel))?;
        let renames = renderer.all_renames(&files)?;
        Ok(renames.into_iter().map(|(to, rename)| (files[to].path.clone(), files[rename.from].path.clone())).collect())
    }

    fn staged_with_git(&self, cancel: &Cancel) -> Result<(Head, Vec<Entry>)> {
        // A finished change is reported even if objects are missing.
        let without_renames = || self.status_with_git(&["--no-renames"], cancel);
        let with_renames = self.need_for_renames(cancel).and_then(|()| self.status_with_git(&[], cancel));
        let mut status = with_renames.or_else(|_| without_renames())?;
        status.head.commit.map_or_else(|| self.head(cancel), |id| Ok(Some(id)))?;
        status.entries.retain(|entry| !matches!(entry.index, b' ' | b'?' | b'!'));
        Ok((status.head, status.entries))
    }

    /// The status, without the commits of the submodules that it names.
    fn status_in_process(&self, engine: &gix::Repository, cancel: &Cancel) -> Result<(Status, Submodules)> {
        if let Some(why) = self.settings.status.odd {
            return Err(only_git(why));
        }
        let index = self.index(engine, cancel)?;
        let (head, mut entries) = self.compare_staged(engine, &index, cancel)?;
        let content = self.content(engine);
        let scan = self.scan(&index, &content, self.settings.status.untracked, cancel)?;
        let has = |letter| scan.changes.iter().any(|change| change.letter == letter);
        // For git a path in conflict is new here, and can be what became of a deleted one.
        if self.settings.status.renames && (has(b'A') || index.has_conflicts()) && (has(b'D') || scan.lost_conflict) {
            return Err(only_git("renames in the working tree"));
        }
        if self.sets_files_aside() {
            let top = self.worktree_folder()?;
            for change in scan.changes.iter().filter(|change| change.letter != b'D') {
                if answered(content.filter(top, &index, &change.path), cancel)?.is_some() {
                    return Err(only_git("a changed file with a filter"));
                }
            }
        }
        for change in scan.changes {
            let clean = || Entry { index: b' ', worktree: b' ', path: change.path.clone(), from: None };
            entries.entry(change.path.clone()).or_insert_with(clean).worktree = change.letter;
        }
        let truncated = scan.truncated || entries.len() + scan.untracked.len() > MAX_ENTRIES;
        let untracked = scan.untracked.into_iter().map(|path| Entry { index: b'?', worktree: b'?', path, from: None });
        let head = self.head_state(engine, &head, cancel)?;
        let entries = entries.into_values().chain(untracked).take(MAX_ENTRIES).collect();
        Ok((Status { head, entries, truncated, ..Status::default() }, scan.submodules))
    }

    fn head_state(&self, engine: &gix::Repository, head: &gix::Head<'_>, cancel: &Cancel) -> Result<Head> {
        let commit = head.id().map(gix::Id::detach);
        let Some(name) = head.referent_name() else { return Ok(Head { commit, ..Head::default() }) };
        let mut state = Head { branch: Some(name.shorten().to_str_lossy().into_owned()), commit, ..Head::default() };
        if let Some(upstream) = upstream::tracking(engine, name)? {
            state.upstream = Some(upstream::short(engine, upstream.as_ref())?.to_str_lossy().into_owned());
            let there = engine.find_reference(upstream.as_ref()).ok().and_then(|mut found| found.peel_to_id().ok());
            state.ahead_behind = match (commit, there) {
                (Some(here), Some(there)) => Some(self.ahead_behind(here, there.detach(), cancel)?),
                _ => None,
            };
        }
        Ok(state)
    }

    fn status_with_git(&self, options: &[&str], cancel: &Cancel) -> Result<Status> {
        // Changes inside submodules are detected without git.
        let args = ["status", "--porcelain=v2", "--branch", "-z", "--ignore-submodules=dirty"];
        let mut parser = Porcelain::default();
        let process = self.read_worktree(&args, cancel)?.args(options);
        let mut seen = 0;
        let ended = process.stream(cancel, |chunk| {
            seen += chunk.len();
            parser.push(chunk);
            if parser.status.truncated || seen > MAX_OUTPUT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        ended.require("status")?;
        let mut status = parser.status;
        status.truncated |= ended.full;
        status.not_compared = self.not_compared(&[], cancel)?;
        let set_aside: HashSet<&[u8]> = status.not_compared.iter().map(|left| left.path.as_slice()).collect();
        for entry in status.entries.iter_mut().filter(|entry| entry.worktree == b'M' && set_aside.contains(entry.path.as_slice())) {
            entry.worktree = b' ';
        }
        status.entries.retain(|entry| entry.index != b' ' || entry.worktree != b' ');
        Ok(status)
    }

    /// Unmerged paths.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn unmerged(&self, cancel: &Cancel) -> Result<Vec<RelPath>> {
        let here = |engine: &gix::Repository| {
            let index = self.index(engine, cancel).ok()?;
            let unmerged = index.entries().iter().filter(|entry| entry.flags.stage() != 0);
            let mut paths: Vec<RelPath> = unmerged.map(|entry| RelPath::from_git(index.path(entry))).collect();
            paths.dedup();
            Some(paths)
        };
        if let Some(paths) = self.with_engine(Mode::Read, here)?.flatten() {
            return Ok(paths);
        }
        let output = self.read(&["ls-files", "--unmerged", "-z"]).success(cancel, MAX_OUTPUT)?;
        let stages = output.split(|&byte| byte == 0).filter_map(|stage| stage.split_once_str("\t"));
        let mut paths: Vec<RelPath> = stages.map(|(_, path)| RelPath::from_git(path)).collect();
        paths.dedup();
        Ok(paths)
    }
}

/// Converts staged changes into entries. `moved` has the sources of renames by path.
fn entries_of(changes: Vec<Staged>, moved: &BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<Vec<u8>, Entry> {
    let sources: HashSet<&[u8]> = moved.values().map(Vec::as_slice).collect();
    let entries = changes.into_iter().filter(|change| !(change.new.is_none() && sources.contains(change.path.as_slice()))).map(|change| {
        let from = moved.get(&change.path).cloned();
        if let Some(stages) = &change.unmerged {
            let [index, worktree] = letters_of_conflict(stages.map(|stage| stage.is_some()));
            return (change.path.clone(), Entry { index, worktree, path: change.path, from });
        }
        let index = match (change.old, change.new) {
            _ if from.is_some() => b'R',
            (None, _) => b'A',
            (_, None) => b'D',
            (Some((old, _)), Some((new, _))) if old & 0o170_000 != new & 0o170_000 => b'T',
            _ => b'M',
        };
        (change.path.clone(), Entry { index, worktree: b' ', path: change.path, from })
    });
    entries.collect()
}

/// The letters of a path in conflict, by the stages it has.
fn letters_of_conflict(stages: [bool; 3]) -> [u8; 2] {
    match stages {
        [false, true, false] => *b"AU",
        [true, true, false] => *b"UD",
        [false, false, true] => *b"UA",
        [true, false, true] => *b"DU",
        [false, true, true] => *b"AA",
        [true, true, true] => *b"UU",
        [_, false, false] => *b"DD",
    }
}

/// Sorts as `git status --short`: tracked paths, merged or not, then untracked, then ignored.
fn sort_as_short(entries: &mut [Entry]) {
    let group = |entry: &Entry| match entry.index {
        b'?' => 1,
        b'!' => 2,
        _ => 0,
    };
    entries.sort_by(|a, b| group(a).cmp(&group(b)).then_with(|| a.path.cmp(&b.path)));
}

/// Parses `git status --porcelain=v2 --branch -z`.
#[derive(Default)]
pub(crate) struct Porcelain {
    partial: Vec<u8>,
    renamed: Option<Entry>,
    pub(crate) status: Status,
}

impl Porcelain {
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while let Some(end) = rest.find_byte(0) {
            self.partial.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let field = std::mem::take(&mut self.partial);
            self.field(&field);
        }
        self.partial.extend_from_slice(rest);
    }

    fn field(&mut self, field: &[u8]) {
        if let Some(entry) = self.renamed.take() {
            return self.add(Entry { from: Some(field.to_vec()), ..entry });
        }
        match field {
            [b'#', b' ', rest @ ..] => self.header(&rest.to_str_lossy()),
            [b'1', b' ', rest @ ..] => self.changed(rest, 7),
            [b'u', b' ', rest @ ..] => self.changed(rest, 9),
            [b'2', b' ', rest @ ..] => {
                let last = self.status.entries.len();
                self.changed(rest, 8);
                if self.status.entries.len() > last {
                    self.renamed = self.status.entries.pop();
                }
            }
            [sign @ (b'?' | b'!'), b' ', path @ ..] => self.add(Entry { index: *sign, worktree: *sign, path: path.to_vec(), from: None }),
            _ => {}
        }
    }

    /// Parses `XY` and, after `fields` fields in total, the path.
    fn changed(&mut self, rest: &[u8], fields: usize) {
        let letter = |byte: u8| if byte == b'.' { b' ' } else { byte };
        if let Some(path) = rest.splitn(fields + 1, |&byte| byte == b' ').nth(fields)
            && let [index, worktree, ..] = *rest
        {
            self.add(Entry { index: letter(index), worktree: letter(worktree), path: path.to_vec(), from: None });
        }
    }

    fn add(&mut self, entry: Entry) {
        if self.status.entries.len() < MAX_ENTRIES {
            self.status.entries.push(entry);
        } else {
            self.status.truncated = true;
        }
    }

    fn header(&mut self, text: &str) {
        let head = &mut self.status.head;
        match text.split_once(' ') {
            Some(("branch.oid", id)) => head.commit = ObjectId::from_hex(id.as_bytes()).ok(),
            Some(("branch.head", "(detached)")) => head.branch = None,
            Some(("branch.head", name)) => head.branch = Some(name.to_owned()),
            Some(("branch.upstream", name)) => head.upstream = Some(name.to_owned()),
            Some(("branch.ab", counts)) => {
                let mut counts = counts.split(' ').map(|count| count.trim_start_matches(['+', '-']).parse().ok());
                head.ahead_behind = counts.next().flatten().zip(counts.next().flatten());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn porcelain_is_parsed_whatever_the_chunks() {
        let text = b"# branch.oid (initial)\0# branch.head main\0# branch.upstream o/m\0# branch.ab +1 -2\0\
            1 .M N... 100644 100644 100644 aa bb a b\0\
            2 R. N... 100644 100644 100644 aa bb R100 new\0old\0\
            u UU N... 1 2 3 4 a b c both\0? dir/\0";
        for size in 1..text.len() {
            let mut parser = Porcelain::default();
            text.chunks(size).for_each(|chunk| parser.push(chunk));
            let seen: Vec<_> = parser.status.entries.iter().map(|e| (e.index, e.worktree, e.path.as_slice(), e.from.as_deref())).collect();
            assert_eq!(
                seen,
                [
                    (b' ', b'M', &b"a b"[..], None),
                    (b'R', b' ', b"new", Some(&b"old"[..])),
                    (b'U', b'U', b"both", None),
                    (b'?', b'?', b"dir/", None)
                ]
            );
            assert_eq!(parser.status.head.ahead_behind, Some((1, 2)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            Porcelain::default().push(&text);
        }

        #[test]
        fn any_header_never_panics(text in "# branch\\.(ab|oid|head) ?.{0,20}\0") {
            Porcelain::default().push(text.as_bytes());
        }
    }
}
