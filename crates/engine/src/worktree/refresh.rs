//! Refreshes what the index knows about files, before git writes it.

use crate::{
    beneath::{self, Folder, to_path},
    error::{Error, Result},
    index::{Entry, Index, Stat},
    stop::Stop,
    worktree::{
        Comparison, Content,
        content::Place,
        stat::{Verdict, Why},
        walk::PROCESSORS,
    },
};
use std::{io, ops::Range, thread};

/// Number of entries from which several threads are faster.
const LARGE: usize = 4_000;
/// Entries between two checks for a stop.
const STEP: usize = 256;

/// A working tree whose index is about to be written.
#[derive(Clone, Copy, Debug)]
pub struct Refresh<'a> {
    /// The top directory.
    pub top: &'a Folder,
    /// Objects and conversions.
    pub content: &'a Content<'a>,
    /// The metadata that counts.
    pub comparison: Comparison,
}

/// What is known about the files of an index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// Entries whose content is that of the file, with the file's metadata.
    pub touched: Vec<(usize, Stat)>,
    /// Entries whose metadata is that of the file, whose content is not. git stores the size zero for them.
    pub smudged: Vec<usize>,
}

impl Refresh<'_> {
    /// Compares all entries with their files, as `git commit` does.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what only git compares, [`Error::Stopped`].
    pub fn all(&self, index: &Index, stop: &dyn Stop) -> Result<Refreshed> {
        let count = index.entries().len();
        if count < LARGE || *PROCESSORS < 2 {
            return self.part(index, 0..count, |_| true, stop);
        }
        let size = count.div_ceil(*PROCESSORS);
        let parts = (0..count).step_by(size).map(|start| start..count.min(start + size));
        thread::scope(|scope| {
            let start = |part: Range<usize>| scope.spawn(move || self.part(index, part, |_| true, stop));
            let threads: Vec<_> = parts.map(start).collect();
            let mut all = Refreshed::default();
            for thread in threads {
                let mut part = thread.join().map_err(|_| Error::Unsupported("files on which the engine fails"))??;
                all.touched.append(&mut part.touched);
                all.smudged.append(&mut part.smudged);
            }
            Ok(all)
        })
    }

    /// Compares only the entries whose files may have changed within the second in which the index was written, and not
    /// those that `skips` names: git does so whenever it writes an index.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn racy(&self, index: &Index, skips: impl Fn(&[u8]) -> bool, stop: &dyn Stop) -> Result<Vec<usize>> {
        let is_meant = |entry: &Entry| index.is_racy(entry) && !skips(index.path(entry));
        Ok(self.part(index, 0..index.entries().len(), is_meant, stop)?.smudged)
    }

    fn part(&self, index: &Index, part: Range<usize>, is_meant: impl Fn(&Entry) -> bool, stop: &dyn Stop) -> Result<Refreshed> {
        let (mut found, mut opened) = (Refreshed::default(), None::<(&[u8], Option<Folder>)>);
        for (at, entry) in index.entries().iter().enumerate().take(part.end).skip(part.start) {
            if at % STEP == 0 {
                stop.check()?;
            }
            if !is_meant(entry) {
                continue;
            }
            let flags = entry.flags;
            let is_odd = flags.stage() != 0 || flags.assume_valid() || flags.skip_worktree() || flags.intent_to_add();
            if is_odd || entry.is_submodule() || entry.is_sparse_folder() {
                return Err(Error::Unsupported("refreshing an unusual index"));
            }
            let path = index.path(entry);
            let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
                Some(end) => (path.get(..end).unwrap_or_default(), path.get(end + 1..).unwrap_or_default()),
                None => (&[][..], path),
            };
            if opened.as_ref().is_none_or(|(known, _)| *known != folder) {
                opened = Some((folder, self.open(folder)?));
            }
            let Some((_, Some(opened))) = &opened else {
                // A file behind a link, or without its directory, is missing. Racy ones git compares even behind a link.
                if index.is_racy(entry) {
                    return Err(Error::Unsupported("a file without its directory"));
                }
                continue;
            };
            self.entry(index, (at, entry), (opened, name), &mut found, stop)?;
        }
        Ok(found)
    }

    fn open(&self, folder: &[u8]) -> Result<Option<Folder>> {
        match self.top.folder(to_path(folder)) {
            Ok(folder) => Ok(Some(folder)),
            Err(err) if matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(err) if beneath::is_link(&err) => Ok(None),
            Err(_) => Err(Error::Unsupported("a directory that cannot be opened")),
        }
    }

    fn entry(
        &self,
        index: &Index,
        (at, entry): (usize, &Entry),
        (folder, name): (&Folder, &[u8]),
        found: &mut Refreshed,
        stop: &dyn Stop,
    ) -> Result<()> {
        let stat = match folder.stat(to_path(name)) {
            Ok(stat) => stat,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => return Err(Error::Unsupported("a file that cannot be inspected")),
        };
        let why = match self.comparison.verdict(index, entry, &stat) {
            Verdict::Same | Verdict::Changed(_) => return Ok(()),
            Verdict::Content(why) => why,
        };
        let now = Stat::from_system(&stat);
        if why != Why::Touched && (now.mtime, now.ctime) != (entry.stat.mtime, entry.stat.ctime) {
            // Builds of git disagree whether nanoseconds count.
            return Err(Error::Unsupported("a file that changed within a second"));
        }
        let place = Place { top: self.top, index, folder, name, path: index.path(entry) };
        let is_link = entry.mode == 0o120_000;
        let is_same = if is_link { self.content.is_same_link(place, entry) } else { self.content.is_same_file(place, entry, stop) }?;
        match (why, is_same) {
            (Why::Touched, true) => found.touched.push((at, now)),
            (Why::Racy, false) => found.smudged.push(at),
            _ => {}
        }
        Ok(())
    }
}
