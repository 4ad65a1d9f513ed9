//! A program that git started, and how it ended.

use std::fmt;

/// A program that git started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The hook that it is.
    pub hook: Option<String>,
    /// Its name, without folders.
    pub program: String,
    /// It was to sign a commit or a tag.
    pub signs: bool,
    /// It was to do so with an ssh key.
    pub by_ssh: bool,
    /// How it ended: the exit code, 128 and more for a signal, -1 where it could not be started. `None` while it runs.
    pub code: Option<i32>,
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hook {
            Some(hook) => write!(f, "the hook `{hook}`"),
            None if self.signs => write!(f, "the program that signs, `{}`,", self.program),
            None => write!(f, "the program `{}`", self.program),
        }
    }
}

impl Child {
    /// How it ended, in words.
    pub fn ending(&self) -> String {
        match self.code {
            Some(-1) => "it could not be started".to_owned(),
            // A shell says 128 and the signal; there are 64 of them.
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
