//! Why a change stopped before it was complete.

use super::child::Child;
use std::fmt;

/// Maximum length of a hook's output.
const MAX_SAID: usize = 4000;
/// git's advice for a terminal, which bypasses a hook or does not apply here.
const ADVICE: [&str; 2] = ["Not committing merge; use 'git commit' to complete the merge.", "hint: Could not execute the todo command"];

/// Why a change stopped.
#[derive(Clone, Debug)]
pub struct Halt {
    /// The sub-command of git.
    pub command: String,
    /// The program that stopped it; `None` if no identity is configured for commits.
    pub by: Option<Child>,
    /// Head and tail of the output of the program and git.
    pub said: String,
    /// The operation in progress now.
    pub operation: Option<String>,
    /// Whether continuing repeats the attempt, with the same hooks.
    pub resumes: bool,
    /// The effects before the stop.
    pub done: Vec<String>,
}

impl Halt {
    /// `stderr` is the complete output.
    pub(crate) fn new(command: &str, by: Option<Child>, stderr: &str) -> Self {
        Self { command: command.to_owned(), by, said: words(stderr), operation: None, resumes: false, done: Vec::new() }
    }
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(by) = &self.by else { return f.write_str("no identity is configured for commits") };
        let what = match self.command.as_str() {
            command @ ("commit" | "merge" | "rebase" | "cherry-pick" | "revert" | "push" | "tag") => format!("the {command}"),
            command => format!("git {command}"),
        };
        write!(f, "{by} stopped {what} ({})", by.ending())
    }
}

/// A hook that failed after the change took effect.
#[derive(Clone, Debug)]
pub struct FailedHook {
    /// The hook.
    pub by: Child,
    /// Head and tail of its output.
    pub said: String,
}

/// The output of a hook and git, without git's advice, truncated.
pub(crate) fn words(stderr: &str) -> String {
    let mut in_advice = false;
    let mut kept = String::new();
    for line in stderr.lines() {
        let is_known = ADVICE.contains(&line);
        // A hint may have several lines.
        in_advice = line.starts_with("hint:") && (is_known || in_advice);
        if !is_known && !in_advice {
            kept.extend([line, "\n"]);
        }
    }
    let kept = kept.trim();
    if kept.len() <= MAX_SAID {
        return kept.to_owned();
    }
    let head = kept.floor_char_boundary(MAX_SAID / 2);
    let tail = kept.ceil_char_boundary(kept.len() - MAX_SAID / 2);
    // Cut between words, so that no address is split.
    let head = kept[..head].rfind(char::is_whitespace).unwrap_or_default();
    let tail = kept[tail..].find(char::is_whitespace).map_or(kept.len(), |at| tail + at + 1);
    format!("{}\n[{} bytes left out]\n{}", &kept[..head], tail - head, &kept[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded_and_without_advice() {
        let said = "NO\nNot committing merge; use 'git commit' to complete the merge.\nhint: of the hook\n\
                    hint: Could not execute the todo command\nhint:\nhint:     git rebase --continue\nend\n";
        assert_eq!(words(said), "NO\nhint: of the hook\nend");
        let long = format!("first\n{}last\n", "line of a hook\n".repeat(10_000));
        let kept = words(&long);
        assert!(kept.len() < MAX_SAID + 100 && kept.starts_with("first\n") && kept.ends_with("\nlast"), "{kept}");
        assert!(words(&"x".repeat(100_000)).len() < 100);
    }
}
