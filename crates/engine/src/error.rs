//! Errors of the engine.

use std::{fmt, io, path::PathBuf};

/// The result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A read that the engine did not answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only git answers this exactly; with the reason.
    #[error("only git supports {0}")]
    Unsupported(&'static str),
    /// The caller stopped the work.
    #[error("the work was stopped")]
    Stopped,
    /// A file that cannot be read in its current state.
    #[error("{} {why}", path.display())]
    NotReadable {
        /// The file.
        path: PathBuf,
        /// The problem, as the rest of a sentence.
        why: &'static str,
    },
    /// A failed system call.
    #[error("{doing}: {source}")]
    Io {
        /// The attempted action.
        doing: String,
        /// The system's error.
        source: io::Error,
    },
    /// A file or an object that violates its format, or is missing.
    #[error("{0}")]
    Corrupt(String),
}

impl Error {
    /// Wraps an I/O error with the attempted action.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Wraps a violated format.
    pub fn corrupt(why: impl fmt::Display) -> Self {
        Self::Corrupt(why.to_string())
    }
}
