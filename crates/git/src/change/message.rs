//! Messages are recorded as they were written: nothing of them is taken for a comment.

use super::{MAX_OUTPUT, stage::SCRATCH};
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

/// What git appends to the message of a commit that has conflicts, behind the sign of a comment.
const CONFLICTS: &[u8] = b" Conflicts:";
/// The line above it where `commit.cleanup` is `scissors`.
const SCISSORS: &[u8] = b" ------------------------ >8 ------------------------";
/// Where git keeps the message of a step that has stopped.
const MESSAGES: [&str; 2] = ["MERGE_MSG", "rebase-merge/message"];
/// What no message begins a line with.
pub(super) const NO_COMMENT: &str = "\u{1}";
/// The steps of a rebase, and what is there while commits are melted into one.
const STEPS: &str = "rebase-merge/git-rebase-todo";
const MELTED: &str = "rebase-merge/current-fixups";

/// A message as it is recorded: git's own files end with a line break.
pub(super) fn complete(message: &str) -> String {
    if message.ends_with('\n') { message.to_owned() } else { format!("{message}\n") }
}

impl Repo {
    /// A change that records messages, whatever the user's configuration would drop from what an editor gives.
    pub(super) fn recording(&self, args: &[&str]) -> Process<'_> {
        // Neither comments, blank lines nor what follows a line of scissors are git's here, and what JSON brings is UTF-8.
        let settings = [("commit.status", "false"), ("commit.verbose", "false"), ("i18n.commitEncoding", "UTF-8")];
        let process = settings.into_iter().fold(self.change(args), |process, (key, value)| process.config(key, value));
        // Commits that a hook makes itself are its own business: it sees settings, and no option.
        match args {
            ["commit", ..] | ["merge", "--no-edit", ..] => process.arg("--cleanup=verbatim"),
            _ => process.config("commit.cleanup", "verbatim"),
        }
    }

    /// As [`Repo::recording`], for what works off a list of steps: a word of it must not begin a comment.
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

    /// As [`Repo::sequencing`], for a rebase that goes on.
    pub(super) fn rebasing(&self, args: &[&str], cancel: &Cancel) -> Result<Process<'_>> {
        let steps = self.git_file(STEPS, Kind::Steps)?.unwrap_or_default();
        if !steps.lines().any(melts) {
            return self.sequencing(args, cancel);
        }
        // git puts messages together with headings of its own between them, which have to go: as comments that nobody writes.
        let settings = [("commit.cleanup", "strip"), ("core.commentChar", NO_COMMENT), ("i18n.commitEncoding", "UTF-8")];
        Ok(settings.into_iter().fold(self.change(args), |process, (key, value)| process.config(key, value)))
    }

    /// Removes from the message of a step that has stopped what git has put there: the list of conflicts, and headings
    /// between the messages of commits that become one. What goes on then records it as it is.
    pub(super) fn drop_additions(&self) -> Result<()> {
        for name in MESSAGES {
            let Some(text) = self.git_file(name, Kind::Message)? else { continue };
            let listed = conflict_list(&text);
            let mut rest = &text[..listed.unwrap_or(text.len())];
            if listed.is_some() && self.git_folder().has("MERGE_HEAD") && rest.ends_with(b"\n\n") {
                // A merge has put a line break of its own before the list.
                rest = &rest[..rest.len() - 1];
            }
            let melted = if self.git_folder().has(MELTED) { without_headings(rest) } else { None };
            if listed.is_some() || melted.is_some() {
                self.replace_message(name, melted.as_deref().unwrap_or(rest))?;
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

/// True for a step of a rebase for which git puts messages together.
fn melts(step: &[u8]) -> bool {
    let mut words = step.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match words.next() {
        Some(b"squash" | b"s") => true,
        Some(b"fixup" | b"f") => words.next() == Some(b"-c"),
        _ => false,
    }
}

/// The messages of commits that become one, without git's headings and without those that it would skip.
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

/// Where the list of conflicts begins that git has put at the end of `text`, whatever its comments begin with.
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
    // git puts a line break before it.
    Some(begin.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_are_put_together_lose_their_headings() {
        let text = "# This is a combination of 3 commits.\n# This is the 1st commit message:\n\n#1 a\n\n# b\n\n# The commit message #2 will \
                    be skipped:\n\n# #2\n#\n# x\n\n# This is the commit message #3:\n\n\n#3 c\n";
        assert_eq!(without_headings(text.as_bytes()).as_deref(), Some(&b"#1 a\n\n# b\n\n#3 c\n"[..]));
        assert_eq!(without_headings(b"# a\n\n# This is the commit message #2:\n\nb\n"), None);
    }

    #[test]
    fn only_the_list_of_conflicts_at_the_end_goes() {
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
