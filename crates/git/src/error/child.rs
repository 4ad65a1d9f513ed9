//! A program started by git, and its exit status.

use std::fmt;

/// A program started by git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The name of the hook, if it is one.
    pub hook: Option<String>,
    /// Its file name.
    pub program: String,
    /// Whether it signs a commit or a tag.
    pub signs: bool,
    /// Whether it signs with an ssh key.
    pub by_ssh: bool,
    /// The exit code: above 128 for a signal, -1 if it failed to start. `None` while it runs.
    pub code: Option<i32>,
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hook {
            Some(hook) => write!(f, "the hook `{hook}`"),
            None if self.signs => write!(f, "the signing program `{}`", self.program),
            None => write!(f, "the program `{}`", self.program),
        }
    }
}

impl Child {
    /// The exit status, in words.
    pub fn ending(&self) -> String {
        match self.code {
            Some(-1) => "failed to start".to_owned(),
            // A shell reports 128 plus the signal number, 1 to 64.
            Some(code @ 129..=192) => format!("ended by signal {}", code - 128),
            Some(code) => format!("exit code {code}"),
            None => "still running".to_owned(),
        }
    }

    /// True for git itself.
    pub(crate) fn is_git(&self) -> bool {
        self.program == "git" || self.program.starts_with("git-")
    }
}
