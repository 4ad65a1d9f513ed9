//! Repositories inside of the working tree. git lists such a directory, and nothing in it.

use crate::{
    beneath::{self, EntryKind, Folder, Kind, to_path},
    error::{Error, Result},
};
use gix::ObjectId;
use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

/// The directories that tell a nested repository from this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    pub(super) top: &'a Folder,
    pub(super) git_dir: &'a Folder,
    pub(super) common_dir: &'a Folder,
}

/// A layout on which the engine does not decide.
fn odd<T>() -> Result<T> {
    Err(Error::Unsupported("a nested repository with an unusual layout"))
}

/// Whether a directory is a repository of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nested {
    pub(super) is_repository: bool,
    /// Whether only the directory itself, and this repository's list of working trees, decide that.
    pub(super) is_settled: bool,
}

impl Nested {
    /// Decided by the directory itself.
    fn settled(is_repository: bool) -> Self {
        Self { is_repository, is_settled: true }
    }

    /// Decided by what is elsewhere.
    fn unsettled(is_repository: bool) -> Self {
        Self { is_repository, is_settled: false }
    }
}

impl Own<'_> {
    /// Whether the directory is the working tree of a repository, other than this one.
    pub(super) fn inspect(self, folder: &Folder) -> Result<Nested> {
        let found = match folder.stat(".git") {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Nested::settled(false)),
            Err(_) => return odd(),
            Ok(found) => found,
        };
        match beneath::kind_of(&found) {
            EntryKind::Folder => {
                let own = self.git_dir.own_stat().map_err(Error::io("reading the git directory"))?;
                let is_own = (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino);
                if is_own { Ok(Nested::settled(false)) } else { is_git_dir(folder, Path::new(".git")).map(Nested::unsettled) }
            }
            EntryKind::File => self.inspect_link(folder),
            EntryKind::Link => odd(),
            EntryKind::Other => Ok(Nested::settled(false)),
        }
    }

    /// Whether the file `.git` names a repository. Only those of this repository's own directory are inspected.
    fn inspect_link(self, folder: &Folder) -> Result<Nested> {
        let Ok(text) = folder.read(".git", Kind::Line) else { return odd() };
        let text = text.unwrap_or_default();
        let Some(target) = text.strip_prefix(b"gitdir: ") else { return Ok(Nested::settled(false)) };
        let end = target.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        let target = to_path(target.get(..end).unwrap_or_default());
        let Some(target) = normal(&folder.path().join(target)) else { return odd() };
        let Ok(inside) = target.strip_prefix(self.common_dir.path()) else {
            // Whether something exists elsewhere is not the engine's business.
            let inside = target.strip_prefix(self.top.path());
            let is_missing = inside.is_ok_and(|path| self.top.stat(path).is_err_and(|err| err.kind() == ErrorKind::NotFound));
            return if is_missing { Ok(Nested::unsettled(false)) } else { odd() };
        };
        if inside.as_os_str().is_empty() {
            return odd();
        }
        let parts: Vec<Component<'_>> = inside.components().collect();
        let is_listed = matches!(parts.as_slice(), [Component::Normal(kind), Component::Normal(_)] if *kind == "worktrees");
        let nested = |is_repository| Nested { is_repository, is_settled: is_listed };
        match self.common_dir.stat(inside) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(nested(false)),
            Ok(found) if beneath::kind_of(&found) == EntryKind::Folder => {}
            _ => return odd(),
        }
        let Ok(git_dir) = self.common_dir.folder(inside) else { return odd() };
        match git_dir.line("commondir").as_deref() {
            // A linked worktree of this repository.
            Some(b"../..") if is_listed => has_head(&git_dir).map(nested),
            None => is_git_dir(&git_dir, Path::new("")).map(Nested::unsettled),
            _ => odd(),
        }
    }
}

/// Whether `path` below the directory has the layout of a git directory.
fn is_git_dir(folder: &Folder, path: &Path) -> Result<bool> {
    let Ok(git_dir) = folder.folder(path) else { return odd() };
    if !has_head(&git_dir)? {
        return Ok(false);
    }
    if git_dir.has("commondir") {
        return odd();
    }
    for name in ["objects", "refs"] {
        match git_dir.stat(name) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(false),
            Ok(found) if beneath::kind_of(&found) == EntryKind::Folder && found.st_mode & 0o111 == 0o111 => {}
            _ => return odd(),
        }
    }
    Ok(true)
}

/// Whether `HEAD` is one of a repository.
fn has_head(git_dir: &Folder) -> Result<bool> {
    match git_dir.stat("HEAD") {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(false),
        Ok(found) if beneath::kind_of(&found) == EntryKind::File => {}
        _ => return odd(),
    }
    let Ok(Some(text)) = git_dir.read("HEAD", Kind::Line) else { return odd() };
    if let Some(name) = text.strip_prefix(b"ref:") {
        let name = name.trim_ascii_start();
        return if name.starts_with(b"refs/") { Ok(true) } else { odd() };
    }
    let length = text.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(text.len());
    if ObjectId::from_hex(text.get(..length).unwrap_or_default()).is_ok() { Ok(true) } else { odd() }
}

/// The path without `.` and `..`; `None` if it leaves the root.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_without_the_file_system() {
        for (path, expect) in [("/a/../b/./c", Some("/b/c")), ("/a/b/../../c", Some("/c")), ("/..", None)] {
            assert_eq!(normal(Path::new(path)), expect.map(PathBuf::from), "{path}");
        }
    }
}
