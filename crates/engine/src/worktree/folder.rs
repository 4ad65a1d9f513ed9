//! Compares one tracked directory with its entries of the index.

use crate::{
    beneath::{self, EntryKind, Folder, Kind, to_path},
    error::{Error, Result},
    index::Entry,
    rules::Ignore,
    stop::Stop,
    worktree::{
        content::Place,
        names::{Name, Names},
        scan::{Change, Scan, Untracked, Worktree},
        stat::{Verdict, Why, letter_of_submodule},
    },
};
use std::{io, mem, ops::Range};

/// Maximum length of a path. The system's own limit is 4,096.
const MAX_PATH: usize = 4_000;

/// A part of a scan.
#[derive(Debug)]
pub(super) enum Unit {
    /// A directory with tracked files.
    Tracked {
        /// Its path with a slash at the end; empty for the top.
        prefix: Vec<u8>,
        /// Its entries of the index, including those in directories below it.
        range: Range<usize>,
        /// The ignore rules of the directory above it; `None` if its untracked files are not listed.
        rules: Option<Ignore>,
    },
    /// A directory without tracked files that is not ignored.
    Untracked {
        /// Its path with a slash at the end.
        prefix: Vec<u8>,
        /// The ignore rules of the directory above it.
        rules: Ignore,
    },
}

impl Unit {
    /// The top of the working tree.
    pub(super) fn top(tree: &Worktree<'_>) -> Self {
        let rules = (tree.untracked != Untracked::No).then(|| tree.ignore.clone());
        Self::Tracked { prefix: Vec::new(), range: 0..tree.index.entries().len(), rules }
    }
}

/// One thread's part of a scan.
pub(super) struct Reader<'a> {
    pub(super) tree: &'a Worktree<'a>,
    pub(super) stop: &'a dyn Stop,
    pub(super) names: Names,
    pub(super) found: Scan,
    /// Number of names read.
    pub(super) seen: usize,
    /// The device of the top.
    device: u64,
    counted: (usize, usize),
}

/// The directory that is read, its path with a slash at the end, and the ignore rules in it if untracked files count.
struct Here<'a> {
    folder: &'a Folder,
    prefix: &'a [u8],
    rules: Option<&'a Ignore>,
}

impl Here<'_> {
    fn path(&self, name: &[u8]) -> Vec<u8> {
        [self.prefix, name].concat()
    }

    /// Whether an entry is ignored, with all that is below it.
    fn ignores(&self, name: &[u8], kind: EntryKind) -> bool {
        self.rules.is_some_and(|rules| rules.verdict(name, &self.path(name), kind == EntryKind::Folder) == Some(true))
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Worktree<'a>, stop: &'a dyn Stop) -> Result<Self> {
        let top = tree.top.own_stat().map_err(Error::io("reading the working tree"))?;
        Ok(Self { tree, stop, names: Names::default(), found: Scan::default(), seen: 0, device: top.st_dev, counted: (0, 0) })
    }

    /// The numbers of differences and of directories found since the last call.
    pub(super) fn count(&mut self) -> (usize, usize) {
        let now = (self.found.size(), self.found.directories.len());
        let before = mem::replace(&mut self.counted, now);
        (now.0 - before.0, now.1 - before.1)
    }

    /// Reads one directory, and adds those below it to `units`.
    pub(super) fn run(&mut self, unit: Unit, units: &mut Vec<Unit>) -> Result<()> {
        self.stop.check()?;
        match unit {
            Unit::Tracked { prefix, range, rules } => self.tracked(&prefix, range, rules.as_ref(), units),
            Unit::Untracked { prefix, rules } => self.untracked(prefix, rules, units),
        }
    }

    /// Opens the directory at `prefix`; `None` if it may not be read. Notes that it was read.
    pub(super) fn open(&mut self, prefix: &[u8]) -> io::Result<Option<Folder>> {
        if prefix.len() > MAX_PATH {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        let folder = match self.tree.top.folder(to_path(prefix)) {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            folder => folder?,
        };
        if folder.own_stat()?.st_dev != self.device {
            self.found.mounts.push(prefix.to_vec());
        }
        self.found.directories.push(prefix.to_vec());
        Ok(Some(folder))
    }

    fn tracked(&mut self, prefix: &[u8], range: Range<usize>, rules: Option<&Ignore>, units: &mut Vec<Unit>) -> Result<()> {
        let mut folder = match self.open(prefix) {
            Ok(Some(folder)) => folder,
            Err(err) if is_absent(&err) => return self.absent(range, beneath::is_link(&err)),
            Ok(None) | Err(_) => return Err(Error::Unsupported("a directory that cannot be read")),
        };
        let rules = match rules {
            Some(rules) => {
                self.names.read(&mut folder)?;
                self.seen += self.names.len();
                Some(self.rules_in(&folder, prefix, rules)?)
            }
            None => None,
        };
        let here = Here { folder: &folder, prefix, rules: rules.as_ref() };
        let (mut at, tree) = (range.start, self.tree);
        let entries = tree.index.entries();
        while let Some(entry) = entries.get(at).filter(|_| at < range.end) {
            let path = tree.index.path(entry);
            let rest = path.get(prefix.len()..).unwrap_or_default();
            let same = |other: &Entry, length: usize| tree.index.path(other).get(..length) == path.get(..length);
            match rest.iter().position(|&byte| byte == b'/') {
                Some(end) if !entry.is_sparse_folder() => {
                    let (name, length) = (rest.get(..end).unwrap_or_default(), prefix.len() + end + 1);
                    let below = entries.get(at..range.end).unwrap_or_default();
                    let count = below.partition_point(|other| same(other, length));
                    self.below(&here, name, at..at + count, units)?;
                    at += count.max(1);
                }
                _ => {
                    let name = rest.strip_suffix(b"/").unwrap_or(rest);
                    let is_alone = |other: &&Entry| tree.index.path(other) == path;
                    let count = entries.get(at..range.end).unwrap_or_default().iter().take_while(is_alone).count();
                    self.file(&here, name, entry)?;
                    at += count.max(1);
                    if at.is_multiple_of(256) {
                        self.stop.check()?;
                    }
                }
            }
        }
        if here.rules.is_some() { self.others(&here, units) } else { Ok(()) }
    }

    /// The ignore rules in a directory whose names were read.
    pub(super) fn rules_in(&self, folder: &Folder, prefix: &[u8], above: &Ignore) -> Result<Ignore> {
        const UNREADABLE: Error = Error::Unsupported("ignore rules that cannot be read");
        let kind = self.names.kind(b".gitignore");
        let text = match kind {
            Some(EntryKind::File) => folder.read(".gitignore", Kind::Rules).map_err(|_| UNREADABLE)?,
            Some(EntryKind::Other) => return Err(UNREADABLE),
            Some(EntryKind::Folder) => None,
            Some(EntryKind::Link) | None => {
                let path = [prefix, b".gitignore"].concat();
                let staged = self.tree.index.find(&path, 0).filter(|entry| entry.flags.skip_worktree());
                // A link ends the absence of the file, but git does not follow it.
                let staged = staged.filter(|_| kind.is_none() || !self.tree.sparse);
                staged.map(|entry| self.tree.content.blob(entry.id)).transpose()?
            }
        };
        let rules = above.enter(prefix, text.as_deref());
        if rules.is_ambiguous() && !self.tree.content.reads_ambiguous_patterns() {
            return Err(Error::Unsupported("ignore rules that versions of git read differently"));
        }
        Ok(rules)
    }

    /// The kind of an entry on disk, and its metadata if known. Marks its name.
    fn look_up(
        &mut self,
        here: &Here<'_>,
        name: &[u8],
        mark: impl FnOnce(&mut Name),
    ) -> Result<Option<(EntryKind, Option<beneath::Stat>)>> {
        if here.rules.is_none() {
            self.seen += 1;
            return match here.folder.stat(to_path(name)) {
                Ok(found) => Ok(Some((beneath::kind_of(&found), Some(found)))),
                Err(err) if is_absent(&err) => Ok(None),
                Err(_) => Err(Error::Unsupported("a file whose metadata cannot be read")),
            };
        }
        let Some(known) = self.names.find(name).and_then(|at| self.names.get_mut(at)) else { return Ok(None) };
        mark(known);
        Ok(Some((known.kind, None)))
    }

    /// The tracked entries below the directory `name`.
    fn below(&mut self, here: &Here<'_>, name: &[u8], range: Range<usize>, units: &mut Vec<Unit>) -> Result<()> {
        let mut is_file = false;
        let mark = |known: &mut Name| {
            known.is_above_tracked = known.kind == EntryKind::Folder;
            is_file = known.is_tracked;
        };
        match self.look_up(here, name, mark)? {
            Some((EntryKind::Folder, _)) => {
                // What is tracked in an ignored directory is compared, what is not tracked is not listed. To git, a
                // directory that is also a submodule has no files of its own.
                let is_hidden = is_file && self.is_submodule(&here.path(name)) || here.ignores(name, EntryKind::Folder);
                let rules = here.rules.filter(|_| !is_hidden).cloned();
                units.push(Unit::Tracked { prefix: [here.prefix, name, b"/"].concat(), range, rules });
                Ok(())
            }
            found => self.absent(range, found.is_some_and(|(kind, _)| kind == EntryKind::Link)),
        }
    }

    /// Entries whose directory is missing, or is something else.
    fn absent(&mut self, range: Range<usize>, is_link: bool) -> Result<()> {
        for entry in self.tree.index.entries().get(range).unwrap_or_default() {
            if entry.flags.skip_worktree() && self.tree.sparse && is_link {
                return Err(Error::Unsupported("a link in place of a directory outside of the sparse working tree"));
            }
            // git looks behind the link, and passes over a path that it cannot look up, as in a loop of links.
            if is_link
                && self.tree.top.stat(to_path(self.tree.index.path(entry))).is_err_and(|err| !is_absent(&err) || beneath::is_link(&err))
            {
                continue;
            }
            self.missing(entry);
        }
        Ok(())
    }

    /// Whether the index has a submodule at the path, in conflict or not.
    fn is_submodule(&self, path: &[u8]) -> bool {
        (0..=3).any(|stage| self.tree.index.find(path, stage).is_some_and(Entry::is_submodule))
    }

    /// Notes whether the file of a path in conflict is missing.
    fn note_conflict(&mut self, entry: &Entry, is_missing: bool) {
        let index = self.tree.index;
        self.found.lost_conflict |= is_missing && entry.flags.stage() != 0 && index.find(index.path(entry), 2).is_some();
    }

    /// A file that does not exist.
    fn missing(&mut self, entry: &Entry) {
        let flags = entry.flags;
        self.note_conflict(entry, true);
        if flags.stage() == 0 && !flags.assume_valid() && !flags.skip_worktree() && !entry.is_sparse_folder() {
            self.changed(entry, b'D');
        }
    }

    fn changed(&mut self, entry: &Entry, letter: u8) {
        self.found.changes.push(Change { path: self.tree.index.path(entry).to_vec(), letter });
    }

    /// The tracked file `name`, with its first entry.
    fn file(&mut self, here: &Here<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        let found = self.look_up(here, name, |known| known.is_tracked = true)?;
        let flags = entry.flags;
        let Some((kind, stat)) = found else {
            self.missing(entry);
            return Ok(());
        };
        if entry.is_sparse_folder() {
            return Err(Error::Unsupported("a file outside of the sparse working tree"));
        }
        if flags.stage() != 0 {
            self.note_conflict(entry, kind == EntryKind::Folder);
            return Ok(());
        }
        if flags.assume_valid() || flags.skip_worktree() && !self.tree.sparse {
            return Ok(());
        }
        let letter = match kind {
            _ if entry.is_submodule() => self.submodule(here, name, kind, entry)?,
            EntryKind::Folder => {
                if here.folder.has(to_path(&[name, b"/.git"].concat())) {
                    return Err(Error::Unsupported("a repository in place of a file"));
                }
                Some(b'D')
            }
            _ if flags.intent_to_add() => Some(b'A'),
            _ => self.compare(here, name, entry, stat)?,
        };
        if let Some(letter) = letter {
            self.changed(entry, letter);
        }
        Ok(())
    }

    /// A submodule that is not checked out is unchanged; what is in the others is the caller's to compare.
    fn submodule(&mut self, here: &Here<'_>, name: &[u8], kind: EntryKind, entry: &Entry) -> Result<Option<u8>> {
        let has_repository = || here.folder.has(to_path(&[name, b"/.git"].concat()));
        match kind {
            _ if entry.flags.intent_to_add() => Err(Error::Unsupported("a submodule that is intended to be added")),
            EntryKind::Folder if has_repository() => {
                self.found.submodules.push((here.path(name), entry.id));
                Ok(None)
            }
            EntryKind::Folder => {
                // It may be checked out later.
                self.found.directories.push([&here.path(name)[..], b"/"].concat());
                Ok(None)
            }
            kind => Ok(Some(letter_of_submodule(kind))),
        }
    }

    fn compare(&mut self, here: &Here<'_>, name: &[u8], entry: &Entry, stat: Option<beneath::Stat>) -> Result<Option<u8>> {
        let stat = match stat.map_or_else(|| here.folder.stat(to_path(name)), Ok) {
            Ok(stat) => stat,
            Err(err) if is_absent(&err) => return Ok(Some(b'D')),
            Err(_) => return Err(Error::Unsupported("a file whose metadata cannot be read")),
        };
        let tree = self.tree;
        if stat.st_nlink > 1 {
            self.found.hard_linked.push(here.path(name));
        }
        let why = match tree.comparison.verdict(tree.index, entry, &stat) {
            Verdict::Same => return Ok(None),
            Verdict::Changed(letter) => return Ok(Some(letter)),
            Verdict::Content(why) => why,
        };
        self.found.racy.push(here.path(name));
        let place = Place { top: tree.top, index: tree.index, folder: here.folder, name, path: tree.index.path(entry) };
        let is_same = match beneath::kind_of(&stat) {
            EntryKind::Link => tree.content.is_same_link(place, entry)?,
            _ => tree.content.is_same_file(place, entry, self.stop)?,
        };
        match why {
            _ if is_same => Ok(None),
            Why::Nanoseconds => Err(Error::Unsupported("a file that differs from the index in nanoseconds and content")),
            Why::Touched | Why::Racy => Ok(Some(b'M')),
        }
    }

    /// The names that the index does not have.
    fn others(&mut self, here: &Here<'_>, units: &mut Vec<Unit>) -> Result<()> {
        let names = mem::take(&mut self.names);
        for (name, entry) in names.iter() {
            // A directory in place of a tracked file is listed only by its files.
            let replaces = entry.is_tracked && entry.kind == EntryKind::Folder && self.tree.untracked == Untracked::All;
            if entry.is_above_tracked || entry.is_tracked && !replaces || name == b".git" || here.ignores(name, entry.kind) {
                continue;
            }
            match entry.kind {
                EntryKind::File | EntryKind::Link => self.found.untracked.push(here.path(name)),
                EntryKind::Folder => self.other_folder(here, name, units)?,
                EntryKind::Other => {}
            }
        }
        self.names = names;
        Ok(())
    }

    fn other_folder(&mut self, here: &Here<'_>, name: &[u8], units: &mut Vec<Unit>) -> Result<()> {
        let path = here.path(name);
        if self.is_submodule(&path) {
            return Ok(());
        }
        if let Some(rules) = here.rules {
            units.push(Unit::Untracked { prefix: [&path[..], b"/"].concat(), rules: rules.clone() });
        }
        self.stop.check()
    }
}

/// Whether nothing is at the path, a link above it included.
pub(super) fn is_absent(err: &io::Error) -> bool {
    matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || beneath::is_link(err)
}
