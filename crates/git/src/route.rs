//! Which implementation answers a read: the engine where it is certain to give git's own answer, git otherwise.

use crate::{
    error::{Error, Result},
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
    /// Answers with `engine`, and with `git` where the engine cannot read the repository or says [`only_git`].
    pub(crate) fn answer<T>(
        &self,
        read: &'static str,
        engine: impl FnOnce(&gix::Repository) -> Result<T>,
        git: impl FnOnce() -> Result<T>,
    ) -> Result<(T, Route)> {
        match self.engine().ok_or_else(|| only_git("the format of the repository")).and_then(|handle| engine(&handle)) {
            Err(Error::Engine(why)) => {
                tracing::debug!(read, why, "left to git");
                git().map(|answer| (answer, Route::Cli))
            }
            answer => answer.map(|answer| (answer, Route::Engine)),
        }
    }
}
