//! Which implementation answers a read: the engine where it is certain to give git's own answer, git otherwise.

use crate::{
    error::{Error, Result},
    process::Mode,
    repo::Repo,
};

/// Which implementation answered a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// In this process, with gix.
    Engine,
    /// A git process.
    Cli,
}

/// Leaves a read to git, and says why.
pub(crate) fn only_git(why: &'static str) -> Error {
    Error::Engine(why.to_owned())
}

impl Repo {
    /// Works with the in-process engine, inside of the repository's domain where it has one. `None` where the engine does
    /// not understand the repository's format.
    pub(crate) fn with_engine<T: Send>(&self, mode: Mode, work: impl FnOnce(&gix::Repository) -> T + Send) -> Result<Option<T>> {
        let Some(engine) = &self.engine else { return Ok(None) };
        self.within(mode, || work(&engine.to_thread_local())).map(Some)
    }

    /// Works in this process, inside of the repository's domain where it has one.
    pub(crate) fn within<T: Send>(&self, mode: Mode, work: impl FnOnce() -> T + Send) -> Result<T> {
        match self.guarded.as_ref().filter(|guarded| guarded.engine) {
            Some(guarded) => guarded.domain(mode).run(work).map_err(Error::sandbox),
            None => Ok(work()),
        }
    }

    /// Answers with `engine`, and with `git` where the engine cannot read the repository or says [`only_git`].
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
            answer => answer.map(|answer| (answer, Route::Engine)),
        }
    }
}
