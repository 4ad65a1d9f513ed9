//! The findings of a check, and commands that are safe to paste.

use crate::output;
pub(super) use crate::output::{counted as count, shell_word as word};
use serde_json::{Value, json};
use std::{
    error::Error,
    path::{Path, PathBuf},
};

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing is wrong.
    Fine,
    /// Something is wrong.
    Problem,
    /// Something is worth knowing.
    Note,
    /// The check did not run.
    Skipped,
}

impl State {
    /// The label of a line.
    fn label(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Problem => "PROBLEM",
            Self::Note => "note",
            Self::Skipped => "skipped",
        }
    }

    /// The name in JSON.
    fn name(self) -> &'static str {
        if self == Self::Problem { "problem" } else { self.label() }
    }
}

/// One thing that a check found.
#[derive(Clone, Debug)]
pub(super) struct Finding {
    pub(super) state: State,
    /// Its description, in one sentence.
    detail: String,
    /// One command, or one sentence, that fixes it.
    fix: Option<String>,
    /// Its causes, or what was checked if nothing is wrong.
    causes: Vec<String>,
}

impl Finding {
    fn new(state: State, detail: impl Into<String>, fix: Option<String>) -> Self {
        Self { state, detail: detail.into(), fix, causes: Vec::new() }
    }

    pub(super) fn fine(detail: impl Into<String>) -> Self {
        Self::new(State::Fine, detail, None)
    }

    pub(super) fn problem(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(State::Problem, detail, Some(fix.into()))
    }

    pub(super) fn note(detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(State::Note, detail, Some(fix.into()))
    }

    pub(super) fn skipped(detail: impl Into<String>) -> Self {
        Self::new(State::Skipped, detail, None)
    }

    /// Adds one cause.
    pub(super) fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds an error and its sources.
    pub(super) fn caused_by(mut self, err: &(dyn Error + 'static)) -> Self {
        let mut next = Some(err);
        while let Some(err) = next {
            let text = err.to_string();
            // Transparent errors repeat their source.
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = err.source();
        }
        self
    }

    /// The finding as lines of text. Its content cannot forge a line of the doctor.
    pub(super) fn lines(&self, check: &str, verbose: bool) -> String {
        let mut text = format!("{:8} {check}: {}", self.state.label(), shown(&self.detail));
        if let Some(fix) = &self.fix {
            text = text + "\n         Fix: " + &shown(fix);
        }
        for cause in self.causes.iter().filter(|_| verbose) {
            let label = if self.state == State::Fine { "" } else { "Cause: " };
            text = text + "\n         " + label + &shown(cause);
        }
        text
    }

    /// The finding as JSON.
    pub(super) fn value(&self, check: &str) -> Value {
        let causes: Vec<String> = self.causes.iter().map(|cause| output::message(cause)).collect();
        json!({
            "name": check,
            "state": self.state.name(),
            "detail": output::message(&self.detail),
            "fix": self.fix.as_deref().map(output::message),
            "causes": causes,
        })
    }
}

/// Hides secrets, and indents all lines but the first.
fn shown(text: &str) -> String {
    output::message(text.trim_end()).replace('\n', "\n           ")
}

/// `findings`, or `fine` if there are none.
pub(super) fn or_fine(findings: Vec<Finding>, fine: impl FnOnce() -> Finding) -> Vec<Finding> {
    if findings.is_empty() { vec![fine()] } else { findings }
}

/// Whether a shell and a terminal show the path as it is.
pub(super) fn can_be_typed(path: &Path) -> bool {
    path.to_str().is_some_and(|text| output::page(text.as_bytes()) == text && !text.contains(['\n', '\t']))
}

/// A command about `path`, or a sentence if the path cannot be typed.
pub(super) fn command_on(path: &Path, command: impl FnOnce(&str) -> String) -> String {
    if can_be_typed(path) {
        command(&word(path))
    } else {
        "The path has characters that a shell does not show: rename it by hand, then run the doctor again.".to_owned()
    }
}

/// A command that moves `path` out of the way, to an unused name.
pub(super) fn out_of_the_way(path: &Path) -> String {
    command_on(path, |from| format!("mv {from} {}", word(free_name(path))))
}

/// `path` with an unused ending.
pub(super) fn free_name(path: &Path) -> PathBuf {
    let named = |number: usize| {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".old".to_owned() } else { format!(".old{number}") });
        PathBuf::from(name)
    };
    (1..1000).map(named).find(|name| name.symlink_metadata().is_err()).unwrap_or_else(|| named(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_one_word() {
        assert_eq!(word("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(word("/a b"), "'/a b'");
        assert_eq!(word("/$(x)';rm"), r"'/$(x)'\'';rm'");
        assert_eq!(word("-f"), "'./-f'");
        assert!(!can_be_typed(Path::new("/a\u{1b}[0m")) && !can_be_typed(Path::new("/a\nb")) && can_be_typed(Path::new("/ü")));
    }

    #[test]
    fn secrets_are_hidden_and_lines_cannot_be_forged() {
        let finding = Finding::problem("https://u:hunter2@h/x fails\nok       git: fine", "see https://token@h/x");
        let text = finding.lines("remotes", true) + &finding.value("remotes").to_string();
        assert!(!text.contains("hunter2") && !text.contains("token@") && !text.contains("\nok"), "{text}");
    }
}
