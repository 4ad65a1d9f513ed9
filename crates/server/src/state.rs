//! The folder in which the server keeps what must outlive it.

use crate::error::{Error, Kind};
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A folder that is made, and found to be the user's own, when it is first needed.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    ready: OnceLock<()>,
}

impl StateDir {
    /// Will use `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, ready: OnceLock::new() }
    }

    /// The folder.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or belongs to somebody else.
    pub(crate) fn ready(&self) -> Result<&Path, Error> {
        if self.ready.get().is_none() {
            prepare(&self.path).map_err(|err| {
                Error::new(Kind::Refused, format!("the state folder {} cannot be used: {err}", self.path.display()))
                    .hint("Nothing was changed. The operator names another folder with --state-dir.")
            })?;
            self.ready.get_or_init(|| ());
        }
        Ok(&self.path)
    }
}

fn prepare(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let meta = fs::metadata(path)?;
    // In a folder that all may write to, somebody else can have been there first.
    if meta.uid() != rustix::process::geteuid().as_raw() || meta.mode() & 0o022 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to another user, or others may write to it"));
    }
    Ok(())
}
