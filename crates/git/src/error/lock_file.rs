//! A lock file that blocks a change, and the process that holds it.

use std::{fmt, path::PathBuf, time::Duration};

/// The age from which a lock without a holder counts as stale.
const OLD: Duration = Duration::from_mins(1);

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The name of its program, truncated by the system to 15 bytes.
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
    /// Its path.
    pub path: PathBuf,
    /// Its age.
    pub age: Duration,
    /// The process that holds it, if known.
    pub holder: Holder,
}

/// The holder of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A process that has it open, or a git process running in the repository: git closes a lock file that it holds
    /// while an editor is open.
    Process(Owner),
    /// No process on this machine.
    None,
    /// Unknown: the system lists no processes, or only those of this user.
    Unknown,
}

impl fmt::Display for LockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, age) = (self.path.display(), self.age.as_secs());
        match &self.holder {
            Holder::Process(who) => write!(f, "{path} has been locked for {age} s, and {who} is running there"),
            Holder::None if self.is_stale() => write!(f, "{path} is a stale lock: it is {age} s old, and no process holds it"),
            Holder::None => write!(f, "{path} is a lock that no process holds; it is {age} s old"),
            Holder::Unknown => write!(f, "{path} has been locked for {age} s by an unknown process"),
        }
    }
}

impl LockFile {
    /// True for a lock left by an ended process, which nothing else will remove.
    pub fn is_stale(&self) -> bool {
        self.holder == Holder::None && self.age >= OLD
    }
}
