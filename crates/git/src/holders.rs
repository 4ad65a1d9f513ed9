//! Processes of this machine that hold a file or work in a folder, where the system lists them below `/proc`.

use crate::beneath::{Kind, read_own};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name of its program, of which the system keeps 15 bytes.
    pub name: String,
    /// The process ID.
    pub pid: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// True where the system lists its processes.
pub fn are_listed() -> bool {
    Path::new("/proc/self/fd").exists()
}

/// The process that holds the file at `path` open. Only root sees those of other users.
pub fn holder_of(path: &Path) -> Option<Owner> {
    // The system lists paths without links.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    holder(|target| target == real)
}

/// The first process with an open descriptor that leads where it should.
pub fn holder(mut leads: impl FnMut(&Path) -> bool) -> Option<Owner> {
    all().find(|(process, _)| descriptors(&process.join("fd")).iter().any(|target| leads(target))).map(|(_, owner)| owner)
}

/// A process whose program's name begins with `name` and whose current directory is one of `folders`, or below one.
#[expect(clippy::disallowed_methods, reason = "a link of the system's, and none of a repository")]
pub fn at_work_in(name: &str, folders: &[&Path]) -> Option<Owner> {
    all()
        .find(|(process, owner)| {
            let is_inside = |cwd: PathBuf| folders.iter().any(|folder| cwd.starts_with(folder));
            owner.name.starts_with(name) && fs::read_link(process.join("cwd")).is_ok_and(is_inside)
        })
        .map(|(_, owner)| owner)
}

fn all() -> impl Iterator<Item = (PathBuf, Owner)> {
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let name = read_own(&process.path().join("comm"), Kind::Line).unwrap_or_default();
        Some((process.path(), Owner { name: String::from_utf8_lossy(name.trim_ascii()).into_owned(), pid }))
    })
}

/// Where the open descriptors in a folder such as `/proc/1/fd` lead.
#[expect(clippy::disallowed_methods, reason = "a link of the system's, and none of a repository")]
pub fn descriptors(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect()
}
