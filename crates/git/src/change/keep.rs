//! References that protect objects needed by an undo from garbage collection.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    process::Mode,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice, refs::transaction::PreviousValue};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The namespace of these references: neither branches nor tags, so that no tool lists them and no push or fetch transfers them.
const KEPT: &str = "refs/mcp-server-git/undo/";

impl Repo {
    /// Keeps `objects` under the name of an operation, which begins with the time in hexadecimal microseconds.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn keep(&self, operation: &str, objects: &[ObjectId], cancel: &Cancel) -> Result<()> {
        let name = |at: usize| format!("{KEPT}{operation}/{at}");
        let here = |engine: &gix::Repository| {
            for (at, id) in objects.iter().enumerate() {
                engine.reference(name(at), *id, PreviousValue::Any, "kept for git_undo").map_err(Error::engine)?;
            }
            Ok(())
        };
        let with_git = || {
            let commands = objects.iter().enumerate().flat_map(|(at, id)| format!("update {}\0{id}\0\0", name(at)).into_bytes());
            self.quiet_update(commands.collect(), cancel)
        };
        self.answer_in(Mode::Change, "keep", here, with_git).map(|((), _)| ())
    }

    /// True if `commit` is `tip` or its first parent, as after a change that only adds a commit.
    pub fn is_at_or_below(&self, commit: ObjectId, tip: ObjectId) -> bool {
        let is_parent = |engine: &gix::Repository| {
            engine.find_commit(tip).is_ok_and(|tip| tip.parent_ids().next().is_some_and(|parent| parent.detach() == commit))
        };
        commit == tip || self.with_engine(Mode::Read, is_parent).is_ok_and(Option::unwrap_or_default)
    }

    /// Releases objects kept for longer than `age`.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn release_kept(&self, age: Duration, cancel: &Cancel) -> Result<()> {
        let listed = self.read(&["for-each-ref", "--format=%(refname)", KEPT]).success(cancel, MAX_OUTPUT)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let is_old = |name: &&[u8]| {
            let micros = name.strip_prefix(KEPT.as_bytes()).and_then(|rest| rest.split(|&byte| byte == b'-').next());
            let micros = micros.and_then(|text| u64::from_str_radix(text.to_str().ok()?, 16).ok());
            micros.is_none_or(|micros| now.saturating_sub(Duration::from_micros(micros)) > age)
        };
        let commands: Vec<u8> = listed.lines().filter(is_old).flat_map(|name| [b"delete ", name, b"\0\0"].concat()).collect();
        if commands.is_empty() { Ok(()) } else { self.quiet_update(commands, cancel) }
    }

    /// Updates the server's own references without running hooks.
    fn quiet_update(&self, commands: Vec<u8>, cancel: &Cancel) -> Result<()> {
        let process = self.change(&["update-ref", "--stdin", "-z"]).config("core.hooksPath", "/dev/null").stdin(commands);
        process.success(cancel, MAX_OUTPUT).map(drop)
    }
}
