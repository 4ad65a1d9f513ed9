//! Workspaces: a worktree for each piece of work, kept in the state folder and known by a handle.

use crate::{
    caller::Caller,
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
/// Where it is kept whose a handle is.
const OWNERS: &str = "owners";
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
    pub(crate) fn create(&self, owner: &str) -> Result<(String, PathBuf), Error> {
        let mut random = [0; RANDOM];
        let failed = |err: std::io::Error| Error::new(Kind::Internal, format!("a workspace cannot be made: {err}"));
        File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).map_err(failed)?;
        let handle = random.iter().fold(PREFIX.to_owned(), |text, byte| text + &format!("{byte:02x}"));
        let folder = self.folder()?;
        fs::create_dir_all(&folder).map_err(failed)?;
        let folder = fs::canonicalize(folder).map_err(failed)?;
        let owners = self.state.ready()?.join(OWNERS);
        fs::create_dir_all(&owners).and_then(|()| fs::write(owners.join(&handle), owner)).map_err(failed)?;
        Ok((handle.clone(), folder.join(handle)))
    }

    /// True when the handle is of this principal.
    fn is_of(&self, handle: &str, principal: &str) -> bool {
        let Ok(state) = self.state.ready() else { return false };
        match fs::read_to_string(state.join(OWNERS).join(handle)) {
            Ok(owner) => owner == principal,
            // Of before there were owners.
            Err(err) => err.kind() == std::io::ErrorKind::NotFound && principal == Caller::LOCAL,
        }
    }

    /// Refuses the worktree at `path` where it is the workspace of somebody else.
    pub(crate) fn check(&self, path: &Path, principal: &str) -> Result<(), Error> {
        match self.handle(path) {
            Some(handle) if !self.is_of(&handle, principal) => Err(unknown()),
            _ => Ok(()),
        }
    }

    /// Refuses a path, however it is written, that ends in the handle of somebody else.
    pub(crate) fn spare(&self, path: &Path, principal: &str) -> Result<(), Error> {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| name.starts_with(PREFIX));
        let Some(name) = name else { return Ok(()) };
        let owner = self.state.ready().ok().and_then(|state| fs::read_to_string(state.join(OWNERS).join(name)).ok());
        if owner.is_none_or(|owner| owner == principal) { Ok(()) } else { Err(unknown()) }
    }

    /// Forgets whose a handle was.
    pub(crate) fn forget(&self, handle: &str) {
        if let Ok(state) = self.state.ready() {
            fs::remove_file(state.join(OWNERS).join(handle)).ok();
        }
    }

    /// Where the worktree of a handle is; another's is not there.
    pub(crate) fn path(&self, handle: &str, principal: &str) -> Result<PathBuf, Error> {
        let random = handle.strip_prefix(PREFIX).unwrap_or_default();
        let is_handle = random.len() == 2 * RANDOM && random.bytes().all(|byte| byte.is_ascii_hexdigit());
        let path = self.folder()?.join(handle);
        match fs::canonicalize(&path) {
            Ok(path) if is_handle && path.is_dir() && self.is_of(handle, principal) => Ok(path),
            _ => Err(unknown()),
        }
    }

    /// The handle of the worktree at `path`, where it is a workspace.
    pub(crate) fn handle(&self, path: &Path) -> Option<String> {
        // Most paths are none, and the state folder is not made for them.
        let name = path.file_name()?.to_str().filter(|name| name.starts_with(PREFIX))?;
        let folder = fs::canonicalize(self.folder().ok()?).ok()?;
        (path.parent()? == folder).then(|| name.to_owned())
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        Ok(self.state.ready()?.join("workspaces"))
    }
}

fn unknown() -> Error {
    Error::new(Kind::NotFound, "there is no such workspace").hint("git_workspace lists those of a repository, and opens one.")
}
