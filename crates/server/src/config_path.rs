//! The path of the configuration file, for hints and errors that name it.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The file that was read, or would be.
static PATH: OnceLock<PathBuf> = OnceLock::new();

/// Notes `path` as the configuration file. The first one counts.
pub(crate) fn set(path: &Path) {
    PATH.set(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())).ok();
}

/// The path of the configuration file, absolute; `None` before the configuration was read.
pub(crate) fn read() -> Option<&'static Path> {
    PATH.get().map(PathBuf::as_path)
}

/// "the configuration" with its path, for hints about what to write into it.
pub(crate) fn named() -> String {
    read().map_or_else(|| "the configuration".to_owned(), |path| format!("the configuration ({})", path.display()))
}
