//! Patches as data: files, their hunks, and a parser for what `git diff` prints.

use crate::{quote, read::filtered::NotCompared};
use std::collections::{BTreeSet, BinaryHeap};

/// How much of a patch is kept in memory while it is read.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// The most bytes of text kept for one file.
    pub per_file: usize,
    /// The most bytes of text kept in all. The largest files lose their text first.
    pub total: usize,
    /// For a single-file patch: how many bytes of it to pass over.
    pub skip: u64,
    /// The most files.
    pub files: usize,
}

/// The change of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePatch {
    /// The path before; equal to `path` unless renamed or copied.
    pub old_path: Vec<u8>,
    /// The path.
    pub path: Vec<u8>,
    /// The patch as git prints it, header included; from `skip` on and up to the cap.
    pub text: Vec<u8>,
    /// Where in `text` each hunk starts.
    pub hunks: Vec<usize>,
    /// The size of the whole patch in bytes.
    pub size: u64,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// `A`, `D`, `M`, `R`, `C`, `T` or `U`.
    pub kind: char,
    /// git shows no content.
    pub binary: bool,
}

impl FilePatch {
    /// True when `text` is the whole patch.
    pub fn is_whole(&self) -> bool {
        self.text.len() as u64 == self.size
    }
}

/// A patch, or as much of it as was kept.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// What stands before the first file, such as a commit's header.
    pub prelude: Vec<u8>,
    /// The files in git's order.
    pub files: Vec<FilePatch>,
    /// True when the patch has more files than were read.
    pub truncated: bool,
    /// True when what stands before the first file is longer than is read.
    pub prelude_cut: bool,
    /// Files and submodules that could not be compared, and are not among the files.
    pub not_compared: Vec<NotCompared>,
}

/// Collects file patches within the limits of a [`Keep`].
#[derive(Debug)]
pub(crate) struct Collector {
    keep: Keep,
    patch: Patch,
    held: usize,
    by_size: BinaryHeap<(usize, usize)>,
}

impl Collector {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, patch: Patch::default(), held: 0, by_size: BinaryHeap::new() }
    }

    /// Adds a file. False when there is no room for another one.
    pub(crate) fn push(&mut self, mut file: FilePatch) -> bool {
        if self.patch.files.len() >= self.keep.files {
            self.patch.truncated = true;
            return false;
        }
        if file.text.len() > self.keep.per_file {
            file.text.truncate(self.keep.per_file);
            file.text.shrink_to_fit();
        }
        self.held += file.text.len();
        self.by_size.push((file.text.len(), self.patch.files.len()));
        self.patch.files.push(file);
        while self.held > self.keep.total
            && let Some((size, at)) = self.by_size.pop()
        {
            self.held -= size;
            self.patch.files[at].text = Vec::new();
        }
        true
    }

    pub(crate) fn finish(self) -> Patch {
        self.patch
    }
}

/// Reads the output of `git diff` in pieces of any size.
#[derive(Debug)]
pub(crate) struct Parser {
    collector: Collector,
    /// The line that is not complete yet, up to what decides its meaning.
    start: Vec<u8>,
    /// How much of the current line has been seen.
    seen: usize,
    file: Option<Reading>,
    full: bool,
    /// The first bytes of a line, until there are enough of them to tell whether it starts a file.
    held: Vec<u8>,
    /// Submodules that are changed inside, which git was not to look for.
    dirty: BTreeSet<Vec<u8>>,
}

/// The most of a commit's header and message that is kept.
pub(crate) const MAX_PRELUDE: usize = 16 << 20;
/// What decides the meaning of a line. Paths are at most 4,096 bytes, quoted up to four times that.
const LINE_START: usize = 40 << 10;

#[derive(Debug, Default)]
struct Reading {
    patch: FilePatch,
    in_hunks: bool,
    /// Columns of signs: 1, or the number of parents of a combined diff.
    columns: usize,
    header_path: Option<(Vec<u8>, Vec<u8>)>,
    line_at: u64,
}

impl Parser {
    pub(crate) fn new(keep: Keep) -> Self {
        Self::marking(keep, BTreeSet::new())
    }

    /// As [`Parser::new`], where the commits of these submodules are marked as git marks them.
    pub(crate) fn marking(keep: Keep, dirty: BTreeSet<Vec<u8>>) -> Self {
        Self { collector: Collector::new(keep), start: Vec::new(), seen: 0, file: None, full: false, held: Vec::new(), dirty }
    }

    /// Takes the next piece. False when no more is wanted.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> bool {
        let mut rest = chunk;
        while !rest.is_empty() && !self.full {
            let end = rest.iter().position(|&byte| byte == b'\n');
            let piece = &rest[..end.map_or(rest.len(), |end| end + 1)];
            rest = &rest[piece.len()..];
            let telling = end.is_some() || self.held.len() + piece.len() >= UNMERGED.len();
            if self.seen == 0 && !(telling && self.held.is_empty()) {
                self.held.extend_from_slice(piece);
                if telling {
                    let held = std::mem::take(&mut self.held);
                    self.piece(&held, end.is_some());
                }
            } else {
                self.piece(piece, end.is_some());
            }
        }
        !self.full
    }

    pub(crate) fn finish(mut self) -> Patch {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.piece(&held, false);
        }
        self.end_line();
        self.end_file();
        self.collector.finish()
    }

    fn piece(&mut self, piece: &[u8], complete: bool) {
        if self.seen == 0 && starts_file(piece) {
            self.end_file();
            self.file = Some(Reading { columns: 1, ..Reading::default() });
        }
        let keep = self.collector.keep;
        if let Some(file) = &mut self.file {
            if self.seen == 0 {
                file.line_at = file.patch.size;
            }
            if complete && !self.dirty.is_empty() && file.is_commit_of(&self.dirty, &[&self.start[..], piece].concat()) {
                file.take(&piece[..piece.len() - 1], keep);
                file.take(b"-dirty\n", keep);
            } else {
                file.take(piece, keep);
            }
        } else {
            let patch = &mut self.collector.patch;
            let room = MAX_PRELUDE.saturating_sub(patch.prelude.len());
            patch.prelude.extend_from_slice(&piece[..piece.len().min(room)]);
            patch.prelude_cut |= piece.len() > room;
        }
        let room = LINE_START.saturating_sub(self.start.len());
        self.start.extend_from_slice(&piece[..piece.len().min(room)]);
        self.seen += piece.len();
        if complete {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.seen > 0
            && let Some(file) = &mut self.file
        {
            let line = self.start.strip_suffix(b"\n").unwrap_or(&self.start);
            file.line(line, self.collector.keep.skip);
        }
        self.start.clear();
        self.seen = 0;
    }

    fn end_file(&mut self) {
        if let Some(file) = self.file.take() {
            self.full |= !self.collector.push(file.done());
        }
    }
}

/// True for the line that a file's patch starts with. No line inside a hunk can start so.
fn starts_file(line: &[u8]) -> bool {
    line.starts_with(b"diff --") || line.starts_with(UNMERGED)
}

const UNMERGED: &[u8] = b"* Unmerged path ";

impl Reading {
    /// True for the line of the new commit in the patch of one of these submodules.
    fn is_commit_of(&self, submodules: &BTreeSet<Vec<u8>>, line: &[u8]) -> bool {
        let is_commit = self.in_hunks && line.starts_with(b"+Subproject commit ");
        is_commit && self.header_path.as_ref().is_some_and(|(_, path)| submodules.contains(path))
    }

    fn take(&mut self, piece: &[u8], keep: Keep) {
        let skip = usize::try_from(keep.skip.saturating_sub(self.patch.size)).unwrap_or(usize::MAX).min(piece.len());
        let room = keep.per_file.saturating_sub(self.patch.text.len());
        let wanted = &piece[skip..];
        // Once something was left out, nothing may follow it.
        let unbroken = keep.skip + self.patch.text.len() as u64 >= self.patch.size;
        if unbroken {
            self.patch.text.extend_from_slice(&wanted[..wanted.len().min(room)]);
        }
        self.patch.size += piece.len() as u64;
    }

    fn line(&mut self, line: &[u8], skip: u64) {
        if self.in_hunks || line.starts_with(b"@@") {
            self.hunk_line(line, skip);
        } else {
            self.header_line(line);
        }
    }

    fn hunk_line(&mut self, line: &[u8], skip: u64) {
        if line.starts_with(b"@@") {
            self.in_hunks = true;
            self.columns = line.iter().take_while(|&&byte| byte == b'@').count() - 1;
            if let Some(at) = self.line_at.checked_sub(skip).and_then(|at| usize::try_from(at).ok())
                && at < self.patch.text.len()
            {
                self.patch.hunks.push(at);
            }
            return;
        }
        let signs = &line[..line.len().min(self.columns)];
        if signs.contains(&b'+') {
            self.patch.added += 1;
        } else if signs.contains(&b'-') {
            self.patch.removed += 1;
        }
    }

    fn header_line(&mut self, line: &[u8]) {
        let patch = &mut self.patch;
        if let Some(rest) = line.strip_prefix(b"diff --git ") {
            patch.kind = 'M';
            self.header_path = both_paths(rest);
        } else if let Some(rest) = line.strip_prefix(b"diff --cc ").or_else(|| line.strip_prefix(b"diff --combined ")) {
            patch.kind = 'M';
            self.header_path = Some((plain(rest), plain(rest)));
        } else if let Some(rest) = line.strip_prefix(b"* Unmerged path ") {
            patch.kind = 'U';
            self.header_path = Some((plain(rest), plain(rest)));
        } else if line.starts_with(b"new file mode ") {
            patch.kind = 'A';
        } else if line.starts_with(b"deleted file mode ") {
            patch.kind = 'D';
        } else if let Some(rest) = line.strip_prefix(b"rename from ").or_else(|| line.strip_prefix(b"copy from ")) {
            patch.kind = if line[0] == b'r' { 'R' } else { 'C' };
            patch.old_path = plain(rest);
        } else if let Some(rest) = line.strip_prefix(b"rename to ").or_else(|| line.strip_prefix(b"copy to ")) {
            patch.path = plain(rest);
        } else if let Some(rest) = line.strip_prefix(b"--- ") {
            patch.old_path = side(rest).unwrap_or_default();
        } else if let Some(rest) = line.strip_prefix(b"+++ ") {
            patch.path = side(rest).unwrap_or_default();
        } else if line.starts_with(b"Binary files ") {
            patch.binary = true;
        }
    }

    fn done(self) -> FilePatch {
        let mut patch = self.patch;
        let (old, new) = self.header_path.unwrap_or_default();
        if patch.path.is_empty() {
            patch.path = if patch.old_path.is_empty() { new } else { patch.old_path.clone() };
        }
        if patch.old_path.is_empty() {
            patch.old_path = if matches!(patch.kind, 'A') || old.is_empty() { patch.path.clone() } else { old };
        }
        patch
    }
}

fn plain(text: &[u8]) -> Vec<u8> {
    quote::unquoted(text).unwrap_or_else(|| text.to_vec())
}

/// A path with its `a/` or `b/`; `None` for `/dev/null`.
fn side(text: &[u8]) -> Option<Vec<u8>> {
    // A tab ends an unquoted path that contains a space.
    let text = text.strip_suffix(b"\t").unwrap_or(text);
    let path = plain(text);
    (path != b"/dev/null").then(|| without_prefix(&path))
}

fn without_prefix(path: &[u8]) -> Vec<u8> {
    match path {
        [b'a' | b'b' | b'c' | b'i' | b'w' | b'o', b'/', rest @ ..] => rest.to_vec(),
        _ => path.to_vec(),
    }
}

/// Splits `a/x b/x`. Where the paths are not quoted they must be equal, so the middle is known.
fn both_paths(text: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    if text.first() == Some(&b'"') {
        let end = (1..text.len()).find(|&at| text[at] == b'"' && !ends_in_escape(&text[..at]))?;
        let new = text.get(end + 2..)?;
        return Some((without_prefix(&plain(&text[..=end])), without_prefix(&plain(new))));
    }
    let middle = text.len() / 2;
    let equal = text.get(middle) == Some(&b' ') && without_prefix(&text[..middle]) == without_prefix(&text[middle + 1..]);
    if equal {
        return Some((without_prefix(&text[..middle]), without_prefix(&text[middle + 1..])));
    }
    let at = text.windows(3).position(|window| window == b" b/")?;
    Some((without_prefix(&text[..at]), without_prefix(&plain(&text[at + 1..]))))
}

fn ends_in_escape(text: &[u8]) -> bool {
    text.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEEP: Keep = Keep { per_file: 1 << 20, total: 1 << 20, skip: 0, files: 100 };

    fn parse(text: &[u8], size: usize, keep: Keep) -> Patch {
        let mut parser = Parser::new(keep);
        for chunk in text.chunks(size.max(1)) {
            if !parser.push(chunk) {
                break;
            }
        }
        parser.finish()
    }

    const SAMPLE: &[u8] = b"diff --git a/x y b/x y\nindex 1..2 100644\n--- a/x y\t\n+++ b/x y\t\n@@ -1 +1,2 @@\n-a\n+b\n+diff --git c\n\
        @@ -9 +9 @@ f\n one\n\\ No newline at end of file\n\
        diff --git a/old b/new\nsimilarity index 100%\nrename from old\nrename to new\n\
        diff --git \"a/\\303\\244\" \"b/\\303\\244\"\nnew file mode 100644\nindex 0..1\nBinary files /dev/null and \"b/\\303\\244\" differ\n";

    #[test]
    fn reads_files_hunks_and_counts_whatever_the_pieces() {
        for size in 1..SAMPLE.len() {
            let patch = parse(SAMPLE, size, KEEP);
            let seen: Vec<_> = patch
                .files
                .iter()
                .map(|f| (f.path.as_slice(), f.old_path.as_slice(), f.kind, f.added, f.removed, f.hunks.len(), f.binary))
                .collect();
            assert_eq!(
                seen,
                [
                    (&b"x y"[..], &b"x y"[..], 'M', 2, 1, 2, false),
                    (b"new", b"old", 'R', 0, 0, 0, false),
                    ("ä".as_bytes(), "ä".as_bytes(), 'A', 0, 0, 0, true),
                ]
            );
            let text: Vec<u8> = patch.files.iter().flat_map(|f| f.text.clone()).collect();
            assert_eq!(text, SAMPLE);
        }
    }

    #[test]
    fn a_skip_and_a_cap_keep_one_window() {
        let keep = Keep { per_file: 10, skip: 5, ..KEEP };
        let patch = parse(&SAMPLE[..60], 7, keep);
        assert_eq!(patch.files[0].text, SAMPLE[5..15]);
        assert_eq!(patch.files[0].size, 60);
    }

    #[test]
    fn the_largest_files_lose_their_text_first() {
        let patch = parse(SAMPLE, 64, Keep { total: 120, ..KEEP });
        assert!(patch.files[0].text.is_empty() && !patch.files[0].is_whole());
        assert_eq!(patch.files.len(), 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            let mut bytes = b"diff --git a/x b/x\n".to_vec();
            bytes.extend(&text);
            let patch = parse(&bytes, size, KEEP);
            let size: u64 = patch.files.iter().map(|file| file.size).sum();
            prop_assert_eq!(size, bytes.len() as u64);
        }
    }
}
