//! A program started by git, and its exit status.

use std::fmt;

/// The kind of a signature, as named by `gpg.format`. Each has its own program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// By gpg.
    OpenPgp,
    /// By gpgsm.
    X509,
    /// By ssh-keygen.
    Ssh,
}

impl Signer {
    /// The setting that names its program.
    pub fn setting(self) -> &'static str {
        match self {
            Self::OpenPgp => "gpg.program",
            Self::X509 => "gpg.x509.program",
            Self::Ssh => "gpg.ssh.program",
        }
    }
}

/// A program started by git.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// The name of the hook, if it is one.
    pub hook: Option<String>,
    /// Its file name.
    pub program: String,
    /// The kind of signature, if it signs a commit, a tag or a push.
    pub signs: Option<Signer>,
    /// The exit code: above 128 for a signal, -1 if it failed to start. `None` while it runs.
    pub code: Option<i32>,
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hook {
            Some(hook) => write!(f, "the hook `{hook}`"),
            None if self.signs.is_some() => write!(f, "the signing program `{}`", self.program),
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
