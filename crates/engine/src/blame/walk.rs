//! Passes lines from commits to their parents.

use super::{
    Span,
    hunks::hunks,
    objects::{Commit, Objects},
    renames::{Added, source},
    trees::{Place, kind, locate},
};
use crate::{
    diff::xdiff::Hunk,
    error::{Error, Result},
    stop::Stop,
};
use gix::ObjectId;
use std::{
    collections::{BinaryHeap, HashMap},
    ops::Range,
    sync::Arc,
};

/// Lines of the newest version, and where they are in an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// The first line in the older version.
    at: u32,
    /// The first line in the newest version.
    line: u32,
    count: u32,
}

/// A version of a file that may have brought lines in.
#[derive(Debug)]
struct Suspect {
    path: Arc<[u8]>,
    place: Place,
    entries: Vec<Entry>,
}

/// A commit that waits for its turn.
#[derive(Debug)]
struct Pending {
    commit: Commit,
    suspects: Vec<Suspect>,
}

/// The lines not yet settled.
pub(super) struct Walk<'a> {
    objects: Objects<'a>,
    /// Whether a file is binary, if attributes decide that.
    binary: &'a dyn Fn(&[u8]) -> Result<Option<bool>>,
    stop: &'a dyn Stop,
    pending: HashMap<ObjectId, Pending>,
    /// The pending commits, the youngest first.
    queue: BinaryHeap<(i64, ObjectId)>,
    /// The version in the working tree.
    newest: Option<(Suspect, ObjectId)>,
    done: Vec<Span>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(repo: &'a gix::Repository, binary: &'a dyn Fn(&[u8]) -> Result<Option<bool>>, stop: &'a dyn Stop) -> Result<Self> {
        let objects = Objects::new(repo)?;
        Ok(Self { objects, binary, stop, pending: HashMap::new(), queue: BinaryHeap::new(), newest: None, done: Vec::new() })
    }

    /// Sets the newest version and returns its content.
    pub(super) fn start(&mut self, id: ObjectId, path: &[u8], worktree: Option<Vec<u8>>) -> Result<Arc<Vec<u8>>> {
        let commit = self.objects.commit(id)?;
        let place = locate(&mut self.objects, commit.tree, path, None)?.ok_or(Error::Unsupported("a file that is not committed"))?;
        let path: Arc<[u8]> = Arc::from(path);
        if let Some(content) = worktree {
            if kind(place.mode) != super::trees::FILE {
                return Err(Error::Unsupported("a file in place of something else"));
            }
            let place = Place { blob: self.objects.insert(content)?, trees: Vec::new(), ..place };
            let blob = place.blob;
            self.newest = Some((Suspect { path, place, entries: Vec::new() }, id));
            return self.objects.blob(blob);
        }
        let content = self.objects.blob(place.blob)?;
        self.add(id, commit, Suspect { path, place, entries: Vec::new() });
        Ok(content)
    }

    /// Settles these lines of the newest version.
    pub(super) fn run(mut self, lines: Range<u32>) -> Result<Vec<Span>> {
        let entry = Entry { at: lines.start, line: lines.start, count: lines.end - lines.start };
        let entries = if lines.is_empty() { Vec::new() } else { vec![entry] };
        if let Some((mut suspect, head)) = self.newest.take() {
            suspect.entries = entries;
            // Its tree is that of the commit but for this file, which the commit has.
            self.pass(&mut suspect, ObjectId::null(head.kind()), &[head])?;
            self.settle(suspect.entries, None);
        } else if let Some(suspect) = self.pending.values_mut().next().and_then(|pending| pending.suspects.first_mut()) {
            suspect.entries = entries;
        }
        while let Some((_, id)) = self.queue.pop() {
            self.stop.check()?;
            let Some(Pending { commit, suspects }) = self.pending.remove(&id) else { continue };
            for mut suspect in suspects {
                self.pass(&mut suspect, commit.tree, &commit.parents)?;
                self.settle(suspect.entries, Some(id));
            }
        }
        self.done.sort_unstable_by_key(|span| span.lines.start);
        Ok(joined(self.done))
    }

    /// Passes what it can to the parents.
    fn pass(&mut self, suspect: &mut Suspect, tree: ObjectId, parents: &[ObjectId]) -> Result<()> {
        if suspect.entries.is_empty() {
            return Ok(());
        }
        let mut found: Vec<Option<Suspect>> = parents.iter().map(|_| None).collect();
        let mut lack = Vec::new();
        for (nth, parent) in parents.iter().enumerate() {
            let root = self.tree(*parent)?;
            let place = locate(&mut self.objects, root, &suspect.path, Some(&suspect.place))?;
            if place.is_none() {
                lack.push((nth, *parent, root));
            }
            // git takes another type of file for another file.
            let Some(place) = place.filter(|place| kind(place.mode) == kind(suspect.place.mode)) else { continue };
            let older = Suspect { path: Arc::clone(&suspect.path), place, entries: Vec::new() };
            if self.consider(suspect, *parent, older, &mut found, nth)? {
                return Ok(());
            }
        }
        for (nth, parent, root) in lack {
            let added = Added { path: &suspect.path, place: &suspect.place };
            let Some(gone) = source(&mut self.objects, [root, tree], &added, self.binary, self.stop)? else { continue };
            let Some(place) = locate(&mut self.objects, root, &gone.path, None)? else { continue };
            let older = Suspect { path: Arc::from(gone.path), place, entries: Vec::new() };
            if self.consider(suspect, parent, older, &mut found, nth)? {
                return Ok(());
            }
        }
        for (older, parent) in found.into_iter().zip(parents) {
            let Some(mut older) = older else { continue };
            let (old, new) = (self.objects.blob(older.place.blob)?, self.objects.blob(suspect.place.blob)?);
            let changes = hunks(&old, &new, self.stop)?;
            older.entries = split(&mut suspect.entries, &changes);
            self.give(*parent, older)?;
            if suspect.entries.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Passes all lines to a parent that has the same content, which is true then. Otherwise adds its version to `found`,
    /// unless an earlier parent has the same.
    fn consider(
        &mut self,
        suspect: &mut Suspect,
        parent: ObjectId,
        mut older: Suspect,
        found: &mut [Option<Suspect>],
        nth: usize,
    ) -> Result<bool> {
        if older.place.blob == suspect.place.blob {
            older.entries = std::mem::take(&mut suspect.entries);
            self.give(parent, older)?;
            return Ok(true);
        }
        let is_known = found.iter().take(nth).flatten().any(|known| known.place.blob == older.place.blob);
        if let Some(slot) = found.get_mut(nth).filter(|_| !is_known) {
            *slot = Some(older);
        }
        Ok(false)
    }

    /// The tree of a commit.
    fn tree(&mut self, id: ObjectId) -> Result<ObjectId> {
        if let Some(pending) = self.pending.get(&id) {
            return Ok(pending.commit.tree);
        }
        let commit = self.objects.commit(id)?;
        let tree = commit.tree;
        self.pending.insert(id, Pending { commit, suspects: Vec::new() });
        Ok(tree)
    }

    /// Gives lines to a version of a pending commit.
    fn give(&mut self, id: ObjectId, suspect: Suspect) -> Result<()> {
        if suspect.entries.is_empty() {
            return Ok(());
        }
        self.tree(id)?;
        let Some(pending) = self.pending.get_mut(&id) else { return Ok(()) };
        if pending.suspects.is_empty() {
            self.queue.push((pending.commit.date, id));
        }
        match pending.suspects.iter_mut().find(|known| known.path == suspect.path) {
            Some(known) => known.entries.extend(suspect.entries),
            None => pending.suspects.push(suspect),
        }
        Ok(())
    }

    fn add(&mut self, id: ObjectId, commit: Commit, suspect: Suspect) {
        self.queue.push((commit.date, id));
        self.pending.insert(id, Pending { commit, suspects: vec![suspect] });
    }

    fn settle(&mut self, entries: Vec<Entry>, commit: Option<ObjectId>) {
        let span = |entry: Entry| Span { lines: entry.line..entry.line + entry.count, commit };
        self.done.extend(entries.into_iter().map(span));
    }
}

/// Joins adjacent lines of one commit.
fn joined(spans: Vec<Span>) -> Vec<Span> {
    let mut joined: Vec<Span> = Vec::new();
    for span in spans {
        match joined.last_mut() {
            Some(last) if last.commit == span.commit && last.lines.end == span.lines.start => last.lines.end = span.lines.end,
            _ => joined.push(span),
        }
    }
    joined
}

/// Splits `entries` at hunks: the lines outside of them, where the parent has them, are returned.
fn split(entries: &mut Vec<Entry>, hunks: &[Hunk]) -> Vec<Entry> {
    let (mut own, mut older) = (Vec::new(), Vec::new());
    for entry in entries.drain(..) {
        let end = entry.at + entry.count;
        let mut next = hunks.partition_point(|hunk| hunk.after.end <= entry.at);
        let mut at = entry.at;
        while at < end {
            let before = next.checked_sub(1).and_then(|last| hunks.get(last));
            let offset = before.map_or(0, |hunk| i64::from(hunk.before.end) - i64::from(hunk.after.end));
            let hunk = hunks.get(next);
            let line = entry.line + (at - entry.at);
            let start = hunk.map_or(end, |hunk| hunk.after.start.min(end));
            if at < start {
                let there = u32::try_from(i64::from(at) + offset).unwrap_or_default();
                older.push(Entry { at: there, line, count: start - at });
                at = start;
            } else {
                let stop = hunk.map_or(end, |hunk| hunk.after.end.min(end));
                if at < stop {
                    own.push(Entry { at, line, count: stop - at });
                    at = stop;
                }
            }
            if hunk.is_some_and(|hunk| hunk.after.end <= at) {
                next += 1;
            }
        }
    }
    *entries = own;
    older
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hunk(before: Range<u32>, after: Range<u32>) -> Hunk {
        Hunk { before, after }
    }

    #[test]
    fn lines_outside_of_hunks_are_passed_on() {
        let entry = |at, line, count| Entry { at, line, count };
        // Two lines replaced by one, then one removed, then two added.
        let hunks = [hunk(1..3, 1..2), hunk(5..6, 4..4), hunk(8..8, 6..8)];
        let mut entries = vec![entry(0, 10, 9), entry(3, 40, 1), entry(6, 50, 1)];
        let older = split(&mut entries, &hunks);
        assert_eq!(older, [entry(0, 10, 1), entry(3, 12, 2), entry(6, 14, 2), entry(8, 18, 1), entry(4, 40, 1)]);
        assert_eq!(entries, [entry(1, 11, 1), entry(6, 16, 2), entry(6, 50, 1)]);
    }

    proptest! {
        #[test]
        fn each_line_is_kept_or_passed_on(sizes in proptest::collection::vec((0_u32..3, 0_u32..3, 0_u32..4), 0..8), at in 0_u32..30, count in 1_u32..30) {
            let (mut hunks, mut maps, mut old, mut new) = (Vec::new(), Vec::new(), 0, 0);
            for (removed, added, equal) in sizes {
                if removed + added > 0 {
                    hunks.push(hunk(old..old + removed, new..new + added));
                }
                maps.extend((0..added).map(|_| None));
                // Hunks are apart.
                maps.extend((0..=equal).map(|line| Some(old + removed + line)));
                (old, new) = (old + removed + equal + 1, new + added + equal + 1);
            }
            maps.extend((0..60).map(|line| Some(old + line)));
            let mut entries = vec![Entry { at, line: 100, count }];
            let older = split(&mut entries, &hunks);
            let mut seen = vec![Some(u32::MAX); count as usize];
            for entry in &older {
                (0..entry.count).for_each(|nth| seen[(entry.line - 100 + nth) as usize] = Some(entry.at + nth));
            }
            for entry in &entries {
                (0..entry.count).for_each(|nth| seen[(entry.line - 100 + nth) as usize] = None);
            }
            prop_assert_eq!(&seen[..], &maps[at as usize..(at + count) as usize]);
        }
    }
}
