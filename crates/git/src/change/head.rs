//! Moves `HEAD` and its branch to a new commit in-process: files, locks and reflogs as git's.

use crate::{
    beneath::Folder,
    error::{Error, Result},
    repo::{Repo, route::only_git},
};
use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
};
use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
};

/// Where branches are.
const BRANCHES: &str = "refs/heads/";

/// Where `HEAD` is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On this branch, with its full name.
    Branch(String),
    /// At a commit.
    Detached,
}

/// A lock file, removed unless it has replaced its file.
struct Lock<'a> {
    folder: &'a Folder,
    name: String,
    is_held: bool,
}

impl<'a> Lock<'a> {
    /// Locks the file `name`, with its next content.
    fn take(folder: &'a Folder, name: &str, content: &[u8]) -> Result<Self> {
        let lock = format!("{name}.lock");
        // If another process holds it, git waits.
        let mut file = folder.create_new(&lock).map_err(Error::engine)?;
        let lock = Self { folder, name: lock, is_held: true };
        file.write_all(content).map_err(Error::engine)?;
        Ok(lock)
    }

    fn commit(mut self, name: &str) -> Result<()> {
        self.folder.rename(&self.name, name).map_err(Error::engine)?;
        self.is_held = false;
        Ok(())
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if self.is_held {
            // A lock that stays is reported by the next change.
            let _ = self.folder.remove(&self.name);
        }
    }
}

impl Repo {
    /// Where `HEAD` is, from its file.
    pub(super) fn head_place(&self) -> Result<Place> {
        let line = self.git_folder().line("HEAD").ok_or_else(|| only_git("an unusual HEAD"))?;
        if ObjectId::from_hex(&line).is_ok() {
            return Ok(Place::Detached);
        }
        let name = line.strip_prefix(b"ref: ").and_then(|name| name.to_str().ok()).filter(|name| is_ordinary(name));
        name.map(|name| Place::Branch(name.to_owned())).ok_or_else(|| only_git("an unusual HEAD"))
    }

    /// Moves `HEAD` from `old` to `new`, on its branch if it is on one. `entry` is the text of the reflogs after the ids.
    pub(super) fn move_head(&self, engine: &gix::Repository, place: &Place, (old, new): (ObjectId, ObjectId), entry: &[u8]) -> Result<()> {
        let (git_dir, common) = (self.git_folder(), self.common_folder());
        let line = format!("{new}\n");
        let log = [format!("{old} {new} ").as_bytes(), entry, b"\n"].concat();
        let Place::Branch(branch) = place else {
            let lock = Lock::take(git_dir, "HEAD", line.as_bytes())?;
            if git_dir.line("HEAD") != Some(old.to_string().into_bytes()) {
                return Err(only_git("a HEAD that has just moved"));
            }
            append(&mut [open_log(git_dir, "HEAD")?], &log)?;
            return lock.commit("HEAD");
        };
        let _head = Lock::take(git_dir, "HEAD", b"")?;
        if self.head_place()? != *place {
            return Err(only_git("a HEAD that has just moved"));
        }
        let path = PathBuf::from(branch);
        let (above, name) = path.parent().zip(path.file_name().and_then(|name| name.to_str())).ok_or_else(|| only_git("a branch"))?;
        let folder = common.make_folder(above).map_err(Error::engine)?;
        let lock = Lock::take(&folder, name, line.as_bytes())?;
        if Self::tip(engine, &folder, branch, name)? != old {
            return Err(only_git("a branch that has just moved"));
        }
        append(&mut [open_log(git_dir, "HEAD")?, open_log(common, branch)?], &log)?;
        lock.commit(name)
    }

    /// The commit of a branch, while its lock is held.
    fn tip(engine: &gix::Repository, folder: &Folder, branch: &str, name: &str) -> Result<ObjectId> {
        if folder.has(name) {
            let line = folder.line(name).ok_or_else(|| only_git("an unusual branch"))?;
            return ObjectId::from_hex(&line).map_err(Error::engine);
        }
        let packed = engine.refs.cached_packed_buffer().map_err(Error::engine)?;
        let packed = packed.ok_or_else(|| only_git("a branch without commits"))?;
        let found = packed.try_find(branch).map_err(Error::engine)?;
        found.map(|found| found.target()).ok_or_else(|| only_git("a branch without commits"))
    }
}

/// True for a branch whose name neither git nor a file system treats specially.
fn is_ordinary(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+/#".contains(&byte);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with('.') && part.strip_suffix(".lock").is_none();
    name.starts_with(BRANCHES) && name.bytes().all(is_plain) && !name.contains("..") && name.split('/').all(is_part)
}

fn open_log(folder: &Folder, name: &str) -> Result<File> {
    let path = Path::new("logs").join(name);
    let (above, file) = path.parent().zip(path.file_name()).ok_or_else(|| only_git("a reflog"))?;
    folder.make_folder(above).and_then(|above| above.appending(file)).map_err(Error::engine)
}

/// Appends a line to each log, in one write, so that no reader sees a part of it.
fn append(logs: &mut [File], line: &[u8]) -> Result<()> {
    logs.iter_mut().try_for_each(|log| log.write_all(line)).map_err(Error::engine)
}

/// The message of a reflog: the reason and the first line of the commit's message, with single spaces.
pub(super) fn log_message(reason: &str, message: &str) -> BString {
    let line = message.lines().next().unwrap_or_default();
    let words = [reason, line].concat();
    let words: Vec<&str> = words.split([' ', '\t', '\n', '\r']).filter(|word| !word.is_empty()).collect();
    words.join(" ").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reflogs_have_the_first_line_with_single_spaces() {
        for (message, expect) in [
            ("one\n\ntwo\n", "commit: one"),
            ("  a \t b\r\nc", "commit: a b"),
            ("\n", "commit:"),
            ("\u{b}x\u{a0}y\n", "commit: \u{b}x\u{a0}y"),
        ] {
            assert_eq!(log_message("commit: ", message), expect);
        }
    }

    #[test]
    fn only_ordinary_branches_are_moved() {
        for good in ["refs/heads/main", "refs/heads/a/b-c.d", "refs/heads/x#1"] {
            assert!(is_ordinary(good), "{good}");
        }
        for bad in [
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/tags/a",
            "refs/heads/a//b",
            "HEAD",
            "refs/heads/\u{e9}",
        ] {
            assert!(!is_ordinary(bad), "{bad}");
        }
    }
}
