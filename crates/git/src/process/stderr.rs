//! Captures standard error, capped, and classifies git's messages.

use crate::{
    error::{EIO, Error, LockFile},
    name::LITERAL,
    process::trace::Children,
};
use std::{io, path::PathBuf};

/// Maximum bytes kept of the head and the tail of standard error.
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
            // A URL split in two would not be recognised.
            whole_words(&mut text);
            tail = &tail[tail.iter().position(u8::is_ascii_whitespace).unwrap_or(tail.len())..];
            text.extend_from_slice(b"\n[...]\n");
        }
        text.extend_from_slice(tail);
        // Callers pass paths without it.
        String::from_utf8_lossy(&text).replace(&*String::from_utf8_lossy(LITERAL), "")
    }
}

/// Removes a possibly truncated URL from the end.
pub(crate) fn whole_words(text: &mut Vec<u8>) {
    let word = text.iter().rposition(u8::is_ascii_whitespace).map_or(0, |at| at + 1);
    if text[word..].contains(&b':') {
        text.truncate(word);
    }
}

/// Maximum number of files named in an error.
const MAX_LISTED: usize = 20;
/// Maximum length of a reason, in bytes.
const MAX_REASON: usize = 600;
/// System messages for a disk that is full, read-only or failing.
const OF_STORAGE: [&str; 4] = ["No space left on device", "Input/output error", "Read-only file system", "Disk quota exceeded"];

/// Why git died, on one line in its own words: its last fatal message and the first error before it. Disk errors take
/// precedence.
pub(crate) fn reason(text: &str) -> String {
    let said = messages(text);
    let errors = || said.iter().filter(|message| message.starts_with("error: "));
    let last = said.iter().rfind(|message| message.starts_with("fatal: "));
    let cause = errors().find(|message| is_storage_error(message)).or_else(|| errors().next());
    let parts: Vec<&str> = match (last, cause) {
        (None, None) => said.first().into_iter().map(String::as_str).collect(),
        (last, cause) => last.into_iter().chain(cause).map(String::as_str).collect(),
    };
    bounded(if parts.is_empty() { SILENT.to_owned() } else { parts.join("; ") })
}

/// All output on one line: the shell's message for a filter that is not found lacks git's prefix.
pub(crate) fn all_messages(text: &str) -> String {
    bounded(messages(text).join("; "))
}

fn bounded(mut text: String) -> String {
    if text.len() > MAX_REASON {
        text.truncate(text.floor_char_boundary(MAX_REASON));
        text.push_str("...");
    }
    text
}

/// The reason if git printed none.
const SILENT: &str = "it gave no reason";

/// The messages of a text, each on one line. A line without a prefix such as `fatal:` continues the message before it. Usage
/// texts are removed.
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

/// git's output without usage texts and repeated errors.
pub(crate) fn without_usage(text: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for line in text.trim().lines().take_while(|line| !line.starts_with("usage: git ")) {
        // git repeats the error of a damaged pack for each object.
        let is_repeated = kept.last() == Some(&line) && line.starts_with("error: ");
        kept.extend((!is_repeated).then_some(line));
    }
    let kept = kept.join("\n");
    if kept.trim().is_empty() { SILENT.to_owned() } else { kept.trim_end().to_owned() }
}

/// The error for files that git refused to overwrite, from its list.
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

/// Whether git refused to start a merge, pick or rebase due to uncommitted changes, without listing them.
pub(crate) fn is_uncommitted_error(text: &str) -> bool {
    const WORDS: [&str; 3] =
        ["error: your local changes would be overwritten by ", "You have unstaged changes.", "our index contains uncommitted changes."];
    own_lines(text).any(|line| WORDS.iter().any(|words| line.contains(words)))
}

/// The lock file named in git's message, relative to its working directory.
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

/// Whether git reports that an object, a reference or the index is missing or damaged, as far as its wording is unambiguous.
pub(crate) fn is_damage_error(text: &str) -> bool {
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

/// Whether git reports that the index is damaged.
pub(crate) fn is_index_error(text: &str) -> bool {
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

/// Whether git died because a required filter failed. The hang-up message refers to a long-running filter, which speaks
/// the same protocol as a remote.
pub(crate) fn is_filter_error(text: &str) -> bool {
    let ends = |line: &str| {
        line == "fatal: the remote end hung up unexpectedly"
            || line.starts_with("fatal: ") && (line.contains(": clean filter '") || line.contains(": smudge filter "))
    };
    own_lines(text).any(ends)
}

/// Whether git died because of a configuration value.
fn is_config_error(text: &str) -> bool {
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

/// Lines written by git itself rather than by a hook or remote.
fn own_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split("; ")).filter(|line| line.starts_with("fatal: ") || line.starts_with("error: "))
}

/// Whether git reports that the disk is full, read-only or failing. Messages of hooks and remotes are ignored.
pub(crate) fn is_storage_error(text: &str) -> bool {
    own_lines(text).any(|line| OF_STORAGE.iter().any(|words| line.contains(words)))
}

/// The damaged part of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The index.
    Index,
    /// Objects, references or `HEAD`.
    Other,
}

impl Error {
    /// Whether the cause is a disk that is full, read-only or failing, as seen by this process or by git.
    pub fn is_storage_error(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        match self {
            // EIO has no kind of its own.
            Self::Io { source, .. } | Self::Sandbox(source) => {
                matches!(source.kind(), StorageFull | QuotaExceeded | ReadOnlyFilesystem) || source.raw_os_error() == Some(EIO)
            }
            Self::Unreadable { said, .. } | Self::Failed { stderr: said, .. } => is_storage_error(said),
            _ => false,
        }
    }

    /// The damaged part, if known.
    pub fn damage(&self) -> Option<Damage> {
        let (Self::Unreadable { said } | Self::Failed { stderr: said, .. }) = self else { return None };
        // Without one of git's own lines, the damage was found by this process.
        let is_found_here = matches!(self, Self::Unreadable { .. }) && !said.contains("fatal: ") && !said.contains("error: ");
        match (is_index_error(said), is_damage_error(said) || is_found_here) {
            (true, _) => Some(Damage::Index),
            (false, true) => Some(Damage::Other),
            (false, false) => None,
        }
    }

    /// Whether the cause is a repository with missing or damaged parts, as far as git reports it.
    pub fn is_damage_error(&self) -> bool {
        match self {
            Self::Unreadable { .. } => true,
            Self::Failed { stderr, .. } => is_damage_error(stderr),
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
    /// Its standard error, capped.
    pub(crate) stderr: String,
    /// Whether the process was stopped because the reader had enough.
    pub(crate) full: bool,
    /// Children of a traced process that failed.
    pub(crate) children: Children,
    /// The lock file that blocked it.
    pub(crate) lock: Option<LockFile>,
}

impl Ended {
    /// The error for a process that died because of the repository, a filter or the configuration.
    pub(crate) fn unreadable(&self) -> Error {
        let said = reason(&self.stderr);
        if is_filter_error(&self.stderr) {
            Error::FilterFailed { unchanged: false, said: all_messages(&self.stderr) }
        } else if is_config_error(&self.stderr) {
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
        assert!(is_storage_error("error: x\nfatal: y: No space left on device") && !is_storage_error("hook: No space left on device"));
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
