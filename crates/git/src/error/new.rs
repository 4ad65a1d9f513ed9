//! Constructors of errors.

use super::Error;
use std::io;

impl Error {
    /// Wraps an error of the in-process engine.
    pub(crate) fn engine(source: impl std::fmt::Display) -> Self {
        Self::Engine(source.to_string())
    }

    /// Wraps an I/O error with the attempted action.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Wraps a failure to create or enter a sandbox.
    pub(crate) fn sandbox(source: io::Error) -> Self {
        Self::Sandbox(source)
    }

    /// Reports that `value` violates a rule for `what`.
    pub(crate) fn bad_name(value: impl Into<String>, what: &'static str, why: &'static str) -> Self {
        Self::BadName { value: value.into(), what, why }
    }
}

impl From<engine::Error> for Error {
    /// What the engine did not answer is left to git, which also reports why the work was stopped.
    fn from(err: engine::Error) -> Self {
        match err {
            engine::Error::NotReadable { path, why } => Self::NotReadable { path, why },
            engine::Error::Io { doing, source } => Self::Io { doing, source },
            err @ (engine::Error::Unsupported(_) | engine::Error::Stopped | engine::Error::Corrupt(_)) => Self::engine(err),
        }
    }
}
