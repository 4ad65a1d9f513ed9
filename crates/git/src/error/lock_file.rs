//! A lock file that is in the way, and the process that holds it.

use std::{fmt, path::PathBuf, time::Duration};

/// The age from which a lock that no process holds is taken for one that an ended process has left.
const OLD: Duration = Duration::from_mins(1);

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

/// A lock file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockFile {
    /// Where it is.
    pub path: PathBuf,
    /// How long ago it was made.
    pub age: Duration,
    /// The process that holds it, as far as that can be found out.
    pub holder: Holder,
}

/// Who holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process that has it open or is a git at work in the repository: git closes a lock that it keeps while an
    /// editor is open.
    Process(Owner),
    /// No process of this machine.
    None,
    /// Processes are not listed here, or only those of this user.
    Unknown,
}

impl fmt::Display for LockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, age) = (self.path.display(), self.age.as_secs());
        match &self.holder {
            Holder::Process(who) => write!(f, "{path} is locked, for {age} s now, and {who} is at work there"),
            Holder::None if self.is_stale() => write!(f, "{path} is a stale lock: it is {age} s old, and no process holds it"),
            Holder::None => write!(f, "{path} is a lock that no process holds any more; it is {age} s old"),
            Holder::Unknown => write!(f, "{path} is locked, for {age} s now, by a process that cannot be looked up here"),
        }
    }
}

impl LockFile {
    /// True for a lock that an ended process has left: no other goes by itself.
    pub fn is_stale(&self) -> bool {
        self.holder == Holder::None && self.age >= OLD
    }
}
