//! Which repository a call means, and whether it may be used.

use super::Pipeline;
use crate::{
    arguments::take_text,
    error::{Error, Kind},
    view::View,
};
use git::{Repo, Repositories};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// The most repositories that are listed as resources.
const MAX_SERVED: usize = 500;
/// The most repositories that an error names.
const MAX_NAMED: usize = 10;

impl Pipeline {
    /// The repositories that are served, by name: that of the folder, or the whole path where it is not the only one.
    pub(crate) async fn served(&self, narrowed: Option<Vec<PathBuf>>) -> Vec<(String, PathBuf)> {
        let repositories = Arc::clone(&self.repositories);
        let look = move || {
            let mut found = repositories.roots().repositories(MAX_SERVED);
            found.retain(|path| confine(path, narrowed.as_deref()).is_ok());
            found.sort();
            let short = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let all: Vec<String> = found.iter().map(|path| short(path)).collect();
            let is_only = |name: &String| !name.is_empty() && all.iter().filter(|other| *other == name).count() == 1;
            let call = |path: PathBuf| {
                let name = Some(short(&path)).filter(|name| is_only(name)).unwrap_or_else(|| path.display().to_string());
                (name, path)
            };
            found.into_iter().map(call).collect()
        };
        self.running.spawn_blocking(look).await.unwrap_or_default()
    }

    /// The path that a call names, by itself or by the handle of a workspace.
    pub(super) async fn place_of(&self, args: &mut Map<String, Value>, principal: &str) -> Result<Option<String>, Error> {
        let path = take_text(args, "repo_path")?.filter(|path| !path.is_empty());
        match (take_text(args, "workspace")?, path) {
            (Some(_), Some(_)) => Err(Error::new(Kind::BadInput, "either `repo_path` or `workspace`")),
            (Some(handle), None) => Ok(Some(self.view.workspaces.path(&handle, principal).await?.to_string_lossy().into_owned())),
            (None, path) => Ok(path),
        }
    }

    /// The path that a call means.
    pub(super) fn target(&self, path: Option<&str>, narrowed: Option<&[PathBuf]>) -> Result<PathBuf, Error> {
        let roots = self.repositories.roots();
        if roots.named().is_empty() {
            return Err(Error::new(Kind::Denied, "no repository is allowed: the server was started outside of one and without `-r`")
                .hint("The operator starts it with `-r PATH`, once for each repository or for a directory of them."));
        }
        if narrowed.is_some_and(<[_]>::is_empty) {
            return Err(Error::new(Kind::Denied, "the client's own roots allow no repository")
                .hint("It answered roots/list without a directory that exists here."));
        }
        let sole = match (narrowed, roots.named()) {
            (Some([one]), _) | (None, [one]) => Some(one.clone()),
            _ => None,
        };
        match (path.filter(|path| !path.is_empty()), sole) {
            (None, Some(one)) => Ok(one),
            (None, None) => {
                Err(Error::new(Kind::BadInput, "`repo_path` is needed, since more than one repository is served").hint(self.choices()))
            }
            (Some(path), _) if path.contains('\0') => Err(Error::new(Kind::BadInput, "`repo_path` contains a NUL")),
            (Some(path), _) if Path::new(path).is_absolute() => Ok(PathBuf::from(path)),
            (Some(path), Some(one)) => Ok(one.join(path)),
            (Some(_), None) => Err(Error::new(Kind::BadInput, "`repo_path` must be absolute").hint(self.choices())),
        }
    }

    fn choices(&self) -> String {
        choices(&self.repositories)
    }
}

/// Opens a repository inside what operator and client allow.
pub(super) fn open(
    path: &Path,
    repositories: &Repositories,
    narrowed: Option<&[PathBuf]>,
    (view, principal): (&View, &str),
) -> Result<Arc<Repo>, Error> {
    let repo = repositories.open(path).map_err(|err| explain(err, repositories))?;
    view.workspaces.check(repo.top(), principal)?;
    confine(repo.top(), narrowed)?;
    Ok(repo)
}

/// Names what could have been asked for.
fn explain(err: git::Error, repositories: &Repositories) -> Error {
    let wrong_path = matches!(err, git::Error::NotARepository { .. } | git::Error::OutsideRoots { .. });
    let error = Error::from(err);
    if wrong_path { error.hint(choices(repositories)) } else { error }
}

fn choices(repositories: &Repositories) -> String {
    let found: Vec<String> = repositories.roots().repositories(MAX_NAMED).iter().map(|path| path.display().to_string()).collect();
    if found.is_empty() {
        let roots: Vec<String> = repositories.roots().named().iter().map(|path| path.display().to_string()).collect();
        return format!("There is no repository under the allowed roots: {}. git_init creates one.", roots.join(", "));
    }
    format!("Repositories under the allowed roots: {}.", found.join(", "))
}

/// Refuses what the client itself has put out of bounds.
pub(super) fn confine(top: &Path, narrowed: Option<&[PathBuf]>) -> Result<(), Error> {
    let Some(narrowed) = narrowed else { return Ok(()) };
    if narrowed.iter().any(|root| top.starts_with(root) || root.starts_with(top)) {
        return Ok(());
    }
    Err(Error::new(Kind::Denied, format!("{} is outside the client's own roots", top.display()))
        .hint("The client's workspace decides which of the allowed repositories it may use."))
}
