//! Verbatim commit messages: no line is treated as a comment.

use super::{MAX_OUTPUT, index_write::SCRATCH};
use crate::{
    beneath::{self, Kind},
    cancel::Cancel,
    error::{Error, Result},
    process::{Mode, Process},
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::io::Write as _;
use tempfile::TempPath;

/// The heading, after a comment sign, of the conflict list that git appends to a message.
const CONFLICTS: &[u8] = b" Conflicts:";
/// The line above it where `commit.cleanup` is `scissors`.
const SCISSORS: &[u8] = b" ------------------------ >8 ------------------------";
/// Files with the message of a stopped step.
const MESSAGES: [&str; 2] = ["MERGE_MSG", "rebase-merge/message"];
/// A comment sign that no message line begins with.
pub(super) const NO_COMMENT: &str = "\u{1}";
/// The todo list of a rebase, and the file that exists while commits are squashed.
const STEPS: &str = "rebase-merge/git-rebase-todo";
const CURRENT_FIXUPS: &str = "rebase-merge/current-fixups";

/// The message with a final line break, as in git's own files.
pub(super) fn complete(message: &str) -> String {
    if message.ends_with('\n') { message.to_owned() } else { format!("{message}\n") }
}

impl Repo {
    /// A change that records messages verbatim, whatever cleanup is configured.
    pub(super) fn recording(&self, args: &[&str]) -> Process<'_> {
        // git must strip neither comments, blank lines nor text after scissors. JSON text is UTF-8.
        let settings = [("commit.status", "false"), ("commit.verbose", "false"), ("i18n.commitEncoding", "UTF-8")];
        let process = settings.into_iter().fold(self.change(args), |process, (key, value)| process.config(key, value));
        // An option, unlike a setting, does not affect commits that a hook makes itself.
        match args {
            ["commit", ..] | ["merge", "--no-edit", ..] => process.arg("--cleanup=verbatim"),
            _ => process.config("commit.cleanup", "verbatim"),
        }
    }

    /// [`Repo::recording`] for a command with a todo list, none of whose words may begin with the comment sign.
    pub(super) fn sequencing(&self, args: &[&str], cancel: &Cancel) -> Result<Process<'_>> {
        if !(self.settings.comment_sign || self.settings.conditional) {
            return Ok(self.recording(args));
        }
        let signs = self.read(&["config", "--get-regexp", "^core\\.comment(char|string)$"]).output(cancel, MAX_OUTPUT)?.1;
        let sign = signs.lines().next_back().and_then(|line| line.splitn(2, |&byte| byte == b' ').nth(1)).unwrap_or_default();
        let process = self.recording(args);
        let is_word = sign.first().is_some_and(u8::is_ascii_alphanumeric);
        Ok(if is_word { process.config("core.commentChar", "#") } else { process })
    }

    /// [`Repo::sequencing`] for continuing a rebase.
    pub(super) fn rebasing(&self, args: &[&str], cancel: &Cancel) -> Result<Process<'_>> {
        let steps = self.git_file(STEPS, Kind::Steps)?.unwrap_or_default();
        if !steps.lines().any(combines) {
            return self.sequencing(args, cancel);
        }
        // git combines messages with headings in between. They are stripped as comments with a sign that no message uses.
        let settings = [("commit.cleanup", "strip"), ("core.commentChar", NO_COMMENT), ("i18n.commitEncoding", "UTF-8")];
        Ok(settings.into_iter().fold(self.change(args), |process, (key, value)| process.config(key, value)))
    }

    /// Removes git's additions from the message of a stopped step: the list of conflicts, and the headings between
    /// combined messages. Continuing then records the message verbatim.
    pub(super) fn drop_additions(&self) -> Result<()> {
        for name in MESSAGES {
            let Some(text) = self.git_file(name, Kind::Message)? else { continue };
            let listed = conflict_list(&text);
            let mut rest = &text[..listed.unwrap_or(text.len())];
            if listed.is_some() && self.git_folder().has("MERGE_HEAD") && rest.ends_with(b"\n\n") {
                // A merge adds a line break before the list.
                rest = &rest[..rest.len() - 1];
            }
            let combined = if self.git_folder().has(CURRENT_FIXUPS) { without_headings(rest) } else { None };
            if listed.is_some() || combined.is_some() {
                self.replace_message(name, combined.as_deref().unwrap_or(rest))?;
            }
        }
        Ok(())
    }

    fn replace_message(&self, name: &str, text: &[u8]) -> Result<()> {
        let dir = &self.location.git_dir;
        let replace = || {
            let scratch = TempPath::try_from_path(dir.join(format!("{SCRATCH}{}-message", std::process::id())))?;
            beneath::create_new(&scratch)?.write_all(text)?;
            scratch.persist(dir.join(name)).map_err(|err| err.error)
        };
        self.within(Mode::Change, replace)?.map_err(Error::io(format!("writing {name}")))
    }
}

/// True for a rebase step that combines messages.
fn combines(step: &[u8]) -> bool {
    let mut words = step.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match words.next() {
        Some(b"squash" | b"s") => true,
        Some(b"fixup" | b"f") => words.next() == Some(b"-c"),
        _ => false,
    }
}

/// Combined messages without git's headings and without skipped messages.
fn without_headings(text: &[u8]) -> Option<Vec<u8>> {
    let first = text.lines().next()?;
    let sign = &first[..first.find(b" This is a combination of ")?];
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut is_skipped = false;
    for line in text.lines_with_terminator().skip(1) {
        let own = line.strip_prefix(sign).unwrap_or_default().trim_ascii_end();
        if own.starts_with(b" This is the ") && own.ends_with(b":") {
            found.push(Vec::new());
            is_skipped = false;
        } else if own.starts_with(b" The ") && own.ends_with(b" will be skipped:") {
            is_skipped = true;
        } else if let Some(message) = found.last_mut().filter(|message| !(is_skipped || message.is_empty() && line == b"\n")) {
            message.extend_from_slice(line);
        }
    }
    let messages: Vec<&[u8]> =
        found.iter().map(|message| message.trim_end_with(|char| char == '\n')).filter(|message| !message.is_empty()).collect();
    (!messages.is_empty()).then(|| [messages.join(&b"\n\n"[..]).as_slice(), b"\n"].concat())
}

/// The start of the conflict list that git appended to `text`, with any comment sign.
fn conflict_list(text: &[u8]) -> Option<usize> {
    let heading = text.rfind([CONFLICTS, b"\n"].concat())?;
    let start = text[..heading].rfind_byte(b'\n').map_or(0, |end| end + 1);
    let sign = &text[start..heading];
    let is_comment = |line: &[u8]| line.starts_with(sign);
    let paths = &text[heading + CONFLICTS.len() + 1..];
    let is_list = paths.lines().all(is_comment) && paths.lines().next().is_some_and(|line| line[sign.len()..].starts_with(b"\t"));
    if sign.is_empty() || !is_list {
        return None;
    }
    let cut = [sign, SCISSORS, b"\n"].concat();
    let above = text[..start].rfind(&cut).filter(|at| text[*at..start].lines().all(is_comment));
    let begin = above.filter(|at| *at == 0 || text[at - 1] == b'\n').unwrap_or(start);
    // git adds a line break before it.
    Some(begin.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_messages_lose_their_headings() {
        let text = "# This is a combination of 3 commits.\n# This is the 1st commit message:\n\n#1 a\n\n# b\n\n# The commit message #2 will \
                    be skipped:\n\n# #2\n#\n# x\n\n# This is the commit message #3:\n\n\n#3 c\n";
        assert_eq!(without_headings(text.as_bytes()).as_deref(), Some(&b"#1 a\n\n# b\n\n#3 c\n"[..]));
        assert_eq!(without_headings(b"# a\n\n# This is the commit message #2:\n\nb\n"), None);
    }

    #[test]
    fn only_the_trailing_conflict_list_is_removed() {
        let kept = |text: &str| conflict_list(text.as_bytes()).map(|end| text[..end].to_owned());
        assert_eq!(kept("a\n\n# Conflicts:\n#\tf\n").as_deref(), Some("a\n"));
        assert_eq!(kept("# a\n# Conflicts:\n#\tf\n\n// Conflicts:\n//\tf\n//\tg h\n").as_deref(), Some("# a\n# Conflicts:\n#\tf\n"));
        let scissors = "a\n\n# ------------------------ >8 ------------------------\n# Do not.\n#\n# Conflicts:\n#\tf\n";
        assert_eq!(kept(scissors).as_deref(), Some("a\n"));
        for whole in [
            "",
            "a\n",
            "a\n\n# Conflicts:\n",
            "a\n\nConflicts:\n\tf\n",
            " Conflicts:\n\tf\n",
            "a\n# Conflicts:\n#\tf\n\nb\n",
            "# Conflicts:\n# f\n",
        ] {
            assert_eq!(kept(whole), None, "{whole:?}");
        }
    }
}
