//! Selects the implementation of a read: the engine if the result is certain to match git's, otherwise git.

use crate::{
    error::{Error, Result},
    process::Mode,
    repo::Repo,
};

/// The implementation that answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// In-process, with gix.
    Engine,
    /// A git process.
    Cli,
}

/// The error that leaves a read to git, with the reason.
pub(crate) fn only_git(why: &'static str) -> Error {
    Error::Engine(why.to_owned())
}

impl Repo {
    /// Runs `work` with the in-process engine, inside the repository's domain if it has one. `None` if the engine does
    /// not support the repository's format.
    pub(crate) fn with_engine<T: Send>(&self, mode: Mode, work: impl FnOnce(&gix::Repository) -> T + Send) -> Result<Option<T>> {
        let Some(engine) = &self.engine else { return Ok(None) };
        self.within(mode, || work(&engine.to_thread_local())).map(Some)
    }

    /// Runs `work` in-process, inside the repository's domain if it has one.
    pub(crate) fn within<T: Send>(&self, mode: Mode, work: impl FnOnce() -> T + Send) -> Result<T> {
        match self.guarded.as_ref().filter(|guarded| guarded.engine) {
            Some(guarded) => guarded.domain(mode).run(work).map_err(Error::sandbox),
            None => Ok(work()),
        }
    }

    /// Answers with `engine`, or with `git` if the engine cannot read the repository or returns [`only_git`].
    pub(crate) fn answer<T: Send>(
        &self,
        read: &'static str,
        engine: impl FnOnce(&gix::Repository) -> Result<T> + Send,
        git: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Route)> {
        self.answer_in(Mode::Read, read, engine, git)
    }

    /// The same for work that may write.
    pub(crate) fn answer_in<T: Send>(
        &self,
        mode: Mode,
        what: &'static str,
        engine: impl FnOnce(&gix::Repository) -> Result<T> + Send,
        git: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Route)> {
        let answer = self.with_engine(mode, engine)?;
        match answer.unwrap_or_else(|| Err(only_git("the format of the repository"))) {
            Err(Error::Engine(why)) => {
                tracing::debug!(read = what, why, "left to git");
                git().map(|answer| (answer, Route::Cli))
            }
            answer => {
                tracing::debug!(read = what, "answered in-process");
                answer.map(|answer| (answer, Route::Engine))
            }
        }
    }
}
