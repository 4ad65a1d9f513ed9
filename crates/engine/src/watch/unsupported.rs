//! Systems without inotify: nothing is watched.

use super::Changes;
use crate::{
    beneath::Folder,
    error::{Error, Result},
};

/// Whether the path is on a file system that cannot hang as a network's; unknown here.
pub fn is_local(_path: &std::path::Path) -> bool {
    false
}

/// A set of watched folders. None can be made on this system.
#[derive(Debug)]
pub struct Watch(std::convert::Infallible);

impl Watch {
    /// Always fails.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`].
    pub fn new() -> Result<Self> {
        Err(Error::Unsupported("watches on this system"))
    }

    /// Watches the folder at `path` below `top`.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`].
    pub fn add(&mut self, _top: &Folder, _path: &[u8]) -> Result<()> {
        match self.0 {}
    }

    /// Whether the folder is watched.
    pub fn has(&self, _top: &Folder, _path: &[u8]) -> bool {
        match self.0 {}
    }

    /// What changed since the last look.
    pub fn drain(&mut self) -> Changes {
        match self.0 {}
    }
}
