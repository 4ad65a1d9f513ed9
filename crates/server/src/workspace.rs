//! Workspaces: a worktree for each piece of work, kept in the state folder and known by a handle.

use crate::{
    error::{Error, Kind},
    state::StateDir,
};
use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a handle begins with.
const PREFIX: &str = "ws_";
/// The random part of a handle, in bytes.
const RANDOM: usize = 16;

/// The workspaces of all repositories.
#[derive(Clone, Debug)]
pub(crate) struct Workspaces {
    state: Arc<StateDir>,
}

impl Workspaces {
    /// Keeps workspaces in the state folder.
    pub(crate) fn new(state: Arc<StateDir>) -> Self {
        Self { state }
    }

    /// A handle that nobody can guess, and the folder that its worktree is to be made at.
    pub(crate) fn create(&self) -> Result<(String, PathBuf), Error> {
        let mut random = [0; RANDOM];
        let failed = |err: std::io::Error| Error::new(Kind::Internal, format!("a workspace cannot be made: {err}"));
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).map_err(failed)?;
        let handle = random.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}"));
        let folder = self.folder()?;
        fs::create_dir_all(&folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        Ok((handle.clone(), folder.join(handle)))
    }

    /// Where the worktree of a handle is.
    pub(crate) fn path(&self, handle: &str) -> Result<PathBuf, Error> {
        let random = handle.strip_prefix(PREFIX).unwrap_or_default();
        let is_handle = random.len() == 2 * RANDOM && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = self.folder()?.join(handle);
        match fs::canonicalize(&path) {
            Ok(path) if is_handle && path.is_dir() => Ok(path),
            _ => {
                Err(Error::new(Kind::NotFound, "there is no such workspace")
                    .hint("git_workspace lists those of a repository, and opens one."))
            }
        }
    }

    /// The handle of the worktree at `path`, where it is a workspace.
    pub(crate) fn handle(&self, path: &Path) -> Option<String> {
        let folder = fs::canonicalize(self.folder().ok()?).ok()?;
        let name = path.strip_prefix(folder).ok()?.to_str()?;
        (name.starts_with(PREFIX) && !name.contains('/')).then(|| name.to_owned())
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        Ok(self.state.ready()?.join("workspaces"))
    }
}
