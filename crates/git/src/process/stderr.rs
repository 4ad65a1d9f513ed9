//! What a process writes to standard error, capped, and what git means by it.

use crate::{
    error::{EIO, Error, LockFile},
    name::LITERAL,
    process::trace::Children,
};
use std::{io, path::PathBuf};

/// The most standard error kept: the head and the tail of it.
const STDERR_HEAD: usize = 8 << 10;
const STDERR_TAIL: usize = 8 << 10;

/// The head and the tail of standard error.
#[derive(Default)]
pub(crate) struct Errors {
    head: Vec<u8>,
    tail: Vec<u8>,
    dropped: bool,
}

impl Errors {
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(STDERR_HEAD - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend_from_slice(rest);
        if self.tail.len() > STDERR_TAIL {
            self.tail.drain(..self.tail.len() - STDERR_TAIL);
            self.dropped = true;
        }
    }

    pub(crate) fn text(self) -> String {
        let (mut text, mut tail) = (self.head, self.tail.as_slice());
        if self.dropped {
            // An address that is in two would be taken for none.
            whole_words(&mut text);
            tail = &tail[tail.iter().position(u8::is_ascii_whitespace).unwrap_or(tail.len())..];
            text.extend_from_slice(b"\n[...]\n");
        }
        text.extend_from_slice(tail);
        // Callers know paths without it.
        String::from_utf8_lossy(&text).replace(&*String::from_utf8_lossy(LITERAL), "")
    }
}

/// Takes off the end what may be an address that is not all there.
pub(crate) fn whole_words(text: &mut Vec<u8>) {
    let word = text.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
    if text[word..].contains(&b':') {
        text.truncate(word);
    }
}

/// The most files that an error names.
const MAX_LISTED: usize = 20;
/// The longest reason, in bytes.
const MAX_REASON: usize = 600;
/// What the system says of a disk that is full, read-only or failing.
const OF_STORAGE: [&str; 4] = ["No space left on device", "Input/output error", "Read-only file system", "Disk quota exceeded"];

/// Why git has died, on one line of its own words: what it says last, and the first error before that. An error of the disk
/// comes before others.
pub(crate) fn reason(text: &str) -> String {
    let said = messages(text);
    let errors = || said.iter().filter(|message| message.starts_with("error: "));
    let last = said.iter().rfind(|message| message.starts_with("fatal: "));
    let cause = errors().find(|message| is_of_storage(message)).or_else(|| errors().next());
    let told: Vec<&str> = match (last, cause) {
        (None, None) => said.first().into_iter().map(String::as_str).collect(),
        (last, cause) => last.into_iter().chain(cause).map(String::as_str).collect(),
    };
    bounded(if told.is_empty() { SILENT.to_owned() } else { told.join("; ") })
}

/// All that was written, on one line: what the shell says of a filter that it does not find is in no message of git's.
pub(crate) fn told(text: &str) -> String {
    bounded(messages(text).join("; "))
}

fn bounded(mut told: String) -> String {
    if told.len() > MAX_REASON {
        told.truncate(told.floor_char_boundary(MAX_REASON));
        told.push_str("...");
    }
    told
}

/// What is said of a git that has said nothing.
const SILENT: &str = "it gave no reason";

/// The messages of a text, each on one line: what begins with no word such as `fatal:` belongs to the one before. How a command
/// is used is none.
fn messages(text: &str) -> Vec<String> {
    const STARTS: [&str; 5] = ["fatal: ", "error: ", "warning: ", "hint: ", "BUG: "];
    let mut found: Vec<String> = Vec::new();
    for line in without_usage(text).lines().map(str::trim).filter(|line| !line.is_empty()) {
        match found.last_mut().filter(|_| !STARTS.iter().any(|start| line.starts_with(start))) {
            Some(message) => {
                message.push(' ');
                message.push_str(line);
            }
            None => found.push(line.to_owned()),
        }
    }
    found
}

/// What git has written, without how a command is used and without the same line again.
pub(crate) fn without_usage(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for line in text.trim().lines().take_while(|line| !line.starts_with("usage: git ")) {
        // Of a pack that is damaged git says so for each object.
        let is_repeated = kept.last() == Some(&line) && line.starts_with("error: ");
        kept.extend((!is_repeated).then_some(line));
    }
    let kept = kept.join("\n");
    if kept.trim().is_empty() { SILENT.to_owned() } else { kept.trim_end().to_owned() }
}

/// The files that git did not overwrite, as it lists them.
pub(crate) fn overwritten(stderr: &str) -> Option<Error> {
    let is_head = |line: &str| line.ends_with(':') && (line.contains("would be overwritten by") || line.contains("would be removed by"));
    let (at, head) = stderr.lines().enumerate().find(|(_, line)| is_head(line))?;
    let listed = stderr.lines().skip(at + 1).map_while(|line| line.strip_prefix('\t'));
    let paths: Vec<String> = listed.take(MAX_LISTED).map(|path| crate::quote::listed(path.as_bytes())).collect();
    if paths.is_empty() {
        return None;
    }
    Some(if head.contains("untracked") { Error::WouldOverwrite(paths) } else { Error::Uncommitted(paths) })
}

/// True where a merge, pick or rebase was not begun, since something is not committed, and git does not list what.
pub(crate) fn is_of_uncommitted(text: &str) -> bool {
    const WORDS: [&str; 3] =
        ["error: your local changes would be overwritten by ", "You have unstaged changes.", "our index contains uncommitted changes."];
    own_lines(text).any(|line| WORDS.iter().any(|words| line.contains(words)))
}

/// The lock that git says it found, as a path from where it ran.
pub(crate) fn lock_in_the_way(text: &str) -> Option<PathBuf> {
    own_lines(text).find_map(|line| {
        let (line, exists) = line.trim_end_matches('.').strip_suffix(": File exists").map_or((line, false), |line| (line, true));
        if let Some(path) = line.strip_prefix("error: could not lock config file ").filter(|path| exists || !path.contains(": ")) {
            return Some(PathBuf::from(format!("{path}.lock")));
        }
        if !exists {
            return None;
        }
        let path = line.split_once("Unable to create '")?.1.strip_suffix('\'')?;
        Some(PathBuf::from(path)).filter(|path| path.extension().is_some_and(|extension| extension == "lock"))
    })
}

/// True where git says of an object, a reference or the index that it is missing or damaged, so far as the words are its alone.
pub(crate) fn is_of_damage(text: &str) -> bool {
    const WORDS: [&str; 18] = [
        "bad object ",
        "bad tree object ",
        "unable to read tree",
        "unable to read sha1 file",
        "unable to parse commit",
        "Could not parse object",
        "missing object ",
        "is not a GIT packfile",
        "does not match index",
        "index file smaller than expected",
        "index file corrupt",
        "bad shallow line",
        "appears to be broken",
        " is corrupt",
        "Failed to traverse parents of commit ",
        "unexpected line in ",
        "reference broken",
        "loose object ",
    ];
    let names_object = |line: &str| {
        let id = line.strip_prefix("fatal: unable to read ").or_else(|| line.strip_prefix("error: Could not read "));
        id.is_some_and(|id| id.len() >= 40 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    own_lines(text).any(|line| names_object(line) || WORDS.iter().any(|words| line.contains(words)))
}

/// True where git says of the index that it is damaged.
pub(crate) fn is_of_index(text: &str) -> bool {
    const WORDS: [&str; 7] = [
        "index file smaller than expected",
        "index file corrupt",
        "index file open failed",
        "bad index version",
        "unknown index entry format",
        "stage entries in index",
        "malformed name field in the index",
    ];
    own_lines(text).any(|line| WORDS.iter().any(|words| line.contains(words)))
}

/// True where a filter that has to be gone through has ended git. No remote is meant: a filter that stays is asked in the
/// same way.
pub(crate) fn is_of_filter(text: &str) -> bool {
    let ends = |line: &str| {
        line == "fatal: the remote end hung up unexpectedly"
            || line.starts_with("fatal: ") && (line.contains(": clean filter '") || line.contains(": smudge filter "))
    };
    own_lines(text).any(ends)
}

/// True where a setting has ended git.
fn is_of_setting(text: &str) -> bool {
    const WORDS: [&str; 8] = [
        "fatal: bad config ",
        "fatal: bad numeric config value ",
        "fatal: bad boolean config value ",
        "fatal: bad grep.",
        "fatal: unknown date format ",
        "fatal: Invalid regexp to look for hunk header: ",
        " from command-line config",
        " (outside of refs/notes/)",
    ];
    own_lines(text).any(|line| line.starts_with("fatal: ") && WORDS.iter().any(|words| line.contains(words)))
}

/// The lines that git itself has written, and no hook or remote.
fn own_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split("; ")).filter(|line| line.starts_with("fatal: ") || line.starts_with("error: "))
}

/// True where git says of the disk that it is full, read-only or failing. What hooks and remotes say does not count.
pub(crate) fn is_of_storage(text: &str) -> bool {
    own_lines(text).any(|line| OF_STORAGE.iter().any(|words| line.contains(words)))
}

/// What of a repository is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The index.
    Index,
    /// Objects, references or `HEAD`.
    Other,
}

impl Error {
    /// True for what comes of a disk that is full, read-only or failing, whether this process has met it or git.
    pub fn is_of_storage(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            // EIO has no kind of its own.
            Self::Io { source, .. } => {
                matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) || source.raw_os_error() == Some(EIO)
            }
            Self::Unreadable { said, .. } | Self::Failed { stderr: said, .. } => is_of_storage(said),
            _ => false,
        }
    }

    /// What is damaged, where that can be told.
    pub fn damage(&self) -> Option<Damage> {
        let (Self::Unreadable { said } | Self::Failed { stderr: said, .. }) = self else { return None };
        // What is not git's own line was found here.
        let is_found_here = matches!(self, Self::Unreadable { .. }) && !said.contains("fatal: ") && !said.contains("error: ");
        match (is_of_index(said), is_of_damage(said) || is_found_here) {
            (true, _) => Some(Damage::Index),
            (false, true) => Some(Damage::Other),
            (false, false) => None,
        }
    }

    /// True for what comes of a repository in which something is missing or damaged, as far as git says so.
    pub fn is_of_damage(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Failed { stderr, .. } => is_of_damage(stderr),
            _ => false,
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a signal.
    pub(crate) code: Option<i32>,
    /// Exit code or signal, in words.
    pub(crate) status: String,
    /// What it wrote to standard error, capped.
    pub(crate) stderr: String,
    /// True when the reader had enough and the process was stopped for it.
    pub(crate) full: bool,
    /// What a traced process started, where it did not succeed.
    pub(crate) children: Children,
    /// The lock that was in its way.
    pub(crate) lock: Option<LockFile>,
}

impl Ended {
    /// The error for a process that has died of what it was to read, or of what it was to read that with.
    pub(crate) fn unreadable(&self) -> Error {
        let said = reason(&self.stderr);
        if is_of_filter(&self.stderr) {
            Error::FilterFailed { unchanged: false, said: told(&self.stderr) }
        } else if is_of_setting(&self.stderr) {
            Error::Misconfigured { said }
        } else {
            Error::Unreadable { said }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_gits_own_words() {
        for (text, expected) in [
            ("fatal: bad object HEAD\n", "fatal: bad object HEAD"),
            ("fatal: unknown repository extension found:\n\tx\n", "fatal: unknown repository extension found: x"),
            ("error: file p is bad\nerror: file p is bad\nfatal: cannot read c\n", "fatal: cannot read c; error: file p is bad"),
            ("error: a\nerror: read: Input/output error\nfatal: b", "fatal: b; error: read: Input/output error"),
            ("warning: Not a git repository.\nusage: git diff --no-index\n\n    -p, --patch\n", "warning: Not a git repository."),
            ("usage: git diff\n", SILENT),
            ("", SILENT),
        ] {
            assert_eq!(reason(text), expected, "{text}");
        }
        assert!(reason(&format!("fatal: {}", "\u{e9}".repeat(1000))).len() < MAX_REASON + 4);
        for (text, expected) in [
            ("fatal: cannot lock ref 'HEAD': Unable to create '/r/.git/HEAD.lock': File exists.\n\nAnother", Some("/r/.git/HEAD.lock")),
            ("error: could not lock config file .git/config: File exists", Some(".git/config.lock")),
            ("remote: fatal: Unable to create '/r/.git/HEAD.lock': File exists.", None),
            ("fatal: Unable to create '/r/.git/index.lock': No space left on device", None),
        ] {
            assert_eq!(lock_in_the_way(text), expected.map(PathBuf::from), "{text}");
        }
        assert!(is_of_storage("error: x\nfatal: y: No space left on device") && !is_of_storage("hook: No space left on device"));
    }

    #[test]
    fn standard_error_is_capped_to_its_ends() {
        let mut errors = Errors::default();
        errors.keep(b"first https://");
        errors.keep(&vec![b'x'; 1 << 20]);
        errors.keep(b" last");
        assert_eq!(errors.text(), "first \n[...]\n last");
        let mut errors = Errors::default();
        errors.keep(&vec![b'x'; 1 << 20]);
        assert!(errors.text().starts_with("xxx"));
        let mut errors = Errors::default();
        errors.keep(&b"word ".repeat(1 << 20));
        let text = errors.text();
        assert!(text.starts_with("word ") && text.ends_with("word ") && (16_000..20_000).contains(&text.len()));
    }
}
