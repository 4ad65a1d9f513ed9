//! Resolves the repository of a call and checks access to it. Reads file systems, so it runs on the call's thread.

use super::{
    services::Services,
    worker::{Attended, Grace, Worker},
};
use crate::{
    arguments::{directory, take_text},
    caller::Caller,
    error::{Error, Kind},
    tool::ToolServices,
    workspace::Workspaces,
};
use git::{Cancel, Repo, Repositories};
use guard::Class;
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

/// Maximum number of repositories listed as resources.
const MAX_SERVED: usize = 500;
/// Maximum number of repositories named in an error.
const MAX_NAMED: usize = 10;

/// The repository a call names, by path or by workspace handle.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    path: Option<String>,
    workspace: Option<String>,
}

impl Wanted {
    /// By path alone.
    pub(super) fn path(path: Option<String>) -> Self {
        Self { path, workspace: None }
    }

    /// Removes the repository from a tool's arguments.
    pub(super) fn take(args: &mut Map<String, Value>) -> Result<Self, Error> {
        let path = take_text(args, "repo_path")?.filter(|path| !path.is_empty());
        let path = path.map(|path| if path.starts_with("file://") { of_url(&path) } else { Ok(path) }).transpose()?;
        let workspace = take_text(args, "workspace")?.filter(|handle| !handle.is_empty());
        if workspace.is_some() && path.is_some() {
            return Err(Error::new(Kind::BadInput, "pass either `repo_path` or `workspace`"));
        }
        Ok(Self { path, workspace })
    }
}

/// The path in a `file://` URL.
fn of_url(url: &str) -> Result<String, Error> {
    directory(url)
        .map(|path| path.display().to_string())
        .ok_or_else(|| Error::new(Kind::BadInput, "`repo_path` is a URL without a local path").hint("Use a path, or file:///PATH."))
}

/// Finds and opens the repositories one caller may use.
#[derive(Clone)]
pub(super) struct Finder {
    repositories: Arc<Repositories>,
    services: Arc<ToolServices>,
    client_roots: Option<Vec<PathBuf>>,
    principal: Arc<str>,
}

impl Services {
    pub(super) fn finder(&self, client_roots: Option<Vec<PathBuf>>, principal: &Arc<str>) -> Finder {
        let (repositories, services) = (Arc::clone(&self.repositories), Arc::clone(&self.of_tools));
        Finder { repositories, services, client_roots, principal: Arc::clone(principal) }
    }

    /// The served repositories by folder name, or by full path if that name is not unique.
    pub(crate) async fn served(&self, client_roots: Option<Vec<PathBuf>>) -> Vec<(String, PathBuf)> {
        let repositories = Arc::clone(&self.repositories);
        let look = move || {
            let mut found = repositories.roots().repositories(MAX_SERVED);
            found.retain(|path| confine(path, client_roots.as_deref()).is_ok());
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
        self.on_thread(&Arc::from(Caller::LOCAL), move || Ok(look())).await.unwrap_or_default()
    }

    /// Removes the repository from a call's arguments and returns its path; `None` if it does not resolve.
    pub(crate) async fn named(
        &self,
        args: &mut Map<String, Value>,
        principal: &Arc<str>,
        client_roots: Option<Vec<PathBuf>>,
    ) -> Option<PathBuf> {
        let (wanted, finder) = (Wanted::take(args).ok()?, self.finder(client_roots, principal));
        self.on_thread(principal, move || finder.locate(&wanted)).await.ok()
    }

    /// Runs file system work on its own thread, since it may hang.
    async fn on_thread<T: Send + 'static>(
        &self,
        principal: &Arc<str>,
        look: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let cancel = Cancel::new(Some(Instant::now() + self.bounds().read_timeout));
        let job = self.threads.job(Class::Read);
        let worker = Worker::new(&self.running, &job);
        let looked = async {
            let opening = self.opening(principal, &cancel).await?;
            worker.run(Some(opening), move |_| look()).await
        };
        self.watched(looked, Attended(job), &cancel, [CancellationToken::new(), self.present()], Grace::READ).await
    }
}

impl Finder {
    /// The path of the repository a call names.
    pub(super) fn locate(&self, wanted: &Wanted) -> Result<PathBuf, Error> {
        let workspace =
            wanted.workspace.as_deref().map(|handle| self.services.workspaces.path_blocking(handle, &self.principal)).transpose()?;
        let roots = self.repositories.roots();
        if roots.named().is_empty() {
            return Err(Error::new(Kind::Denied, "no repository is allowed: the server was started outside a repository and without `-r`")
                .hint("Ask the operator to start it with `-r PATH`, for each repository or for a directory of repositories."));
        }
        if let Some(path) = workspace {
            return Ok(path);
        }
        if self.client_roots.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::new(Kind::Denied, "the client's own roots allow no repository")
                .hint("Its answer to roots/list names no directory that exists here."));
        }
        let sole = match (self.client_roots.as_deref(), roots.named()) {
            (Some([one]), _) | (None, [one]) => Some(one.clone()),
            _ => None,
        };
        match (wanted.path.as_deref().filter(|path| !path.is_empty()), sole) {
            (None, Some(one)) => Ok(one),
            (None, None) => {
                Err(Error::new(Kind::BadInput, "`repo_path` is required: more than one repository is served").hint(self.choices()))
            }
            (Some(path), _) if path.contains('\0') => Err(Error::new(Kind::BadInput, "`repo_path` contains a NUL")),
            (Some(path), _) if Path::new(path).is_absolute() => Ok(PathBuf::from(path)),
            (Some(path), Some(one)) => Ok(one.join(path)),
            (Some(_), None) => Err(Error::new(Kind::BadInput, "`repo_path` must be absolute").hint(self.choices())),
        }
    }

    /// [`Self::locate`], confined to the client's roots.
    pub(super) fn locate_confined(&self, wanted: &Wanted) -> Result<PathBuf, Error> {
        let path = self.locate(wanted)?;
        confine(&path, self.client_roots.as_deref())?;
        Ok(path)
    }

    /// Opens a repository that operator and client allow.
    pub(super) fn open(&self, wanted: &Wanted) -> Result<Arc<Repo>, Error> {
        let repo = self.repositories.open(&self.locate(wanted)?).map_err(|err| self.explain(err))?;
        self.services.workspaces.check(repo.top(), &self.principal)?;
        confine(repo.top(), self.client_roots.as_deref())?;
        Ok(repo)
    }

    /// The same, if its handle is open and current. This reads no repository file.
    pub(super) fn peek(&self, wanted: &Wanted) -> Option<Arc<Repo>> {
        if wanted.workspace.is_some() {
            return None;
        }
        let repo = self.repositories.peek(&self.locate(wanted).ok()?).filter(|repo| !Workspaces::may_be(repo.top()))?;
        confine(repo.top(), self.client_roots.as_deref()).ok()?;
        Some(repo)
    }

    /// Adds the available repositories to the error for a wrong path.
    fn explain(&self, err: git::Error) -> Error {
        let wrong_path = matches!(err, git::Error::NotARepository { .. } | git::Error::OutsideRoots { .. });
        let error = Error::from(err);
        if wrong_path { error.hint(self.choices()) } else { error }
    }

    fn choices(&self) -> String {
        let roots = self.repositories.roots();
        let found: Vec<String> = roots.repositories(MAX_NAMED).iter().map(|path| path.display().to_string()).collect();
        if found.is_empty() {
            let roots: Vec<String> = roots.named().iter().map(|path| path.display().to_string()).collect();
            return format!("There is no repository under the allowed roots: {}. git_init creates one.", roots.join(", "));
        }
        format!("Repositories under the allowed roots: {}.", found.join(", "))
    }
}

/// Rejects paths outside the client's roots.
fn confine(top: &Path, client_roots: Option<&[PathBuf]>) -> Result<(), Error> {
    let Some(client_roots) = client_roots else { return Ok(()) };
    if client_roots.iter().any(|root| top.starts_with(root) || root.starts_with(top)) {
        return Ok(());
    }
    Err(Error::new(Kind::Denied, format!("{} is outside the client's own roots", top.display()))
        .hint("The client's workspace decides which of the allowed repositories it may use."))
}
