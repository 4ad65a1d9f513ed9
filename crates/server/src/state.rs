//! The folder for data that outlives the server.

use crate::error::{Error, Kind};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A folder that is created, and checked to be the user's own, on first use.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    ready: OnceLock<()>,
}

impl StateDir {
    /// Uses `path`, and creates nothing yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, ready: OnceLock::new() }
    }

    /// The folder.
    ///
    /// # Errors
    ///
    /// If it cannot be created, or belongs to another user.
    pub(crate) fn ready(&self) -> Result<&Path, Error> {
        if self.ready.get().is_none() {
            prepare(&self.path).map_err(|err| {
                Error::new(Kind::Refused, format!("the state folder {} cannot be used: {err}", self.path.display()))
                    .hint("Nothing was changed. Ask the operator to name another folder with --state-dir.")
            })?;
            self.ready.get_or_init(|| ());
        }
        Ok(&self.path)
    }
}

fn prepare(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let meta = fs::metadata(path)?;
    // In a world-writable folder, another user may have created it first.
    if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user, or others may write to it"));
    }
    Ok(())
}
