//! Patches as data: files, their hunks, and a parser for the output of `git diff`.

use crate::{quote, read::filtered::NotCompared};
use std::collections::{BTreeSet, BinaryHeap};

/// Maximum size of a blob compared in-process. Larger ones go to a git process, which can be killed.
pub(crate) const MAX_BLOB: u64 = 8 << 20;

/// How much of a patch is kept in memory while it is read.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Maximum bytes of text kept per file.
    pub per_file: usize,
    /// Maximum bytes of text kept in total. The largest files lose their text first.
    pub total: usize,
    /// For a single-file patch: number of bytes to skip.
    pub skip: u64,
    /// Maximum number of files.
    pub files: usize,
}

/// The change of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePatch {
    /// The path before; equal to `path` unless renamed or copied.
    pub old_path: Vec<u8>,
    /// The path.
    pub path: Vec<u8>,
    /// The patch as git prints it, including the header; from `skip` on and up to the cap.
    pub text: Vec<u8>,
    /// The offset of each hunk in `text`.
    pub hunks: Vec<usize>,
    /// The size of the whole patch in bytes.
    pub size: u64,
    /// Lines added.
    pub added: u64,
    /// Lines removed.
    pub removed: u64,
    /// `A`, `D`, `M`, `R`, `C`, `T` or `U`.
    pub kind: char,
    /// Whether it is binary, so that git shows no content.
    pub binary: bool,
}

impl FilePatch {
    /// Whether `text` is the whole patch.
    pub fn is_whole(&self) -> bool {
        self.text.len() as u64 == self.size
    }
}

/// A patch, possibly truncated.
#[derive(Clone, Debug, Default)]
pub struct Patch {
    /// The text before the first file, such as a commit's header.
    pub prelude: Vec<u8>,
    /// The files in git's order.
    pub files: Vec<FilePatch>,
    /// Whether the patch has more files than were kept.
    pub truncated: bool,
    /// Whether the prelude is truncated.
    pub prelude_cut: bool,
    /// Files and submodules that could not be compared and are not in `files`.
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

    /// Adds a file. Returns false if the limit is reached.
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

/// Parses the output of `git diff` in chunks of any size.
#[derive(Debug)]
pub(crate) struct Parser {
    collector: Collector,
    /// The start of the incomplete line, as far as needed to classify it.
    start: Vec<u8>,
    /// Bytes of the current line seen so far.
    seen: usize,
    file: Option<Reading>,
    full: bool,
    /// The first bytes of a line, until there are enough to determine whether it starts a file.
    held: Vec<u8>,
    /// Submodules changed inside, which git ignores here.
    dirty: BTreeSet<Vec<u8>>,
}

/// Maximum bytes kept of a commit's header and message.
pub(crate) const MAX_PRELUDE: usize = 16 << 20;
/// Maximum bytes kept to classify a line. Paths are at most 4,096 bytes, quoted up to four times that.
const LINE_START: usize = 40 << 10;

#[derive(Debug, Default)]
struct Reading {
    patch: FilePatch,
    in_hunks: bool,
    /// Number of sign columns: 1, or the number of parents of a combined diff.
    columns: usize,
    header_path: Option<(Vec<u8>, Vec<u8>)>,
    line_at: u64,
}

impl Parser {
    pub(crate) fn new(keep: Keep) -> Self {
        Self::marking(keep, BTreeSet::new())
    }

    /// As [`Parser::new`]; marks the commits of these submodules as `-dirty`.
    pub(crate) fn marking(keep: Keep, dirty: BTreeSet<Vec<u8>>) -> Self {
        Self { collector: Collector::new(keep), start: Vec::new(), seen: 0, file: None, full: false, held: Vec::new(), dirty }
    }

    /// Parses the next chunk. Returns false when the limit is reached.
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

/// Whether the line starts a file's patch. No line inside a hunk starts this way.
fn starts_file(line: &[u8]) -> bool {
    line.starts_with(b"diff --") || line.starts_with(UNMERGED)
}

const UNMERGED: &[u8] = b"* Unmerged path ";

impl Reading {
    /// Whether the line names the new commit in the patch of one of these submodules.
    fn is_commit_of(&self, submodules: &BTreeSet<Vec<u8>>, line: &[u8]) -> bool {
        let is_commit = self.in_hunks && line.starts_with(b"+Subproject commit ");
        is_commit && self.header_path.as_ref().is_some_and(|(_, path)| submodules.contains(path))
    }

    fn take(&mut self, piece: &[u8], keep: Keep) {
        let skip = usize::try_from(keep.skip.saturating_sub(self.patch.size)).unwrap_or(usize::MAX).min(piece.len());
        let room = keep.per_file.saturating_sub(self.patch.text.len());
        let wanted = &piece[skip..];
        // After a gap nothing is added.
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

/// Parses a path with its `a/` or `b/`; `None` for `/dev/null`.
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

/// Splits `a/x b/x`. Unquoted paths must be equal, so the middle is known.
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
    fn files_hunks_and_counts_are_parsed_whatever_the_chunks() {
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
    fn skip_and_cap_select_one_window() {
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
        fn any_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            let mut bytes = b"diff --git a/x b/x\n".to_vec();
            bytes.extend(&text);
            let patch = parse(&bytes, size, KEEP);
            let size: u64 = patch.files.iter().map(|file| file.size).sum();
            prop_assert_eq!(size, bytes.len() as u64);
        }
    }
}
