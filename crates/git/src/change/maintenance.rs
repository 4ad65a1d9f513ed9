//! Configuration that may be written, and the care of the object store.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::fields::Layout,
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::time::Duration;

/// Settings that a caller may write: none of them runs a program or leads anywhere.
pub const WRITABLE: [&str; 12] = [
    "user.name",
    "user.email",
    "pull.rebase",
    "pull.ff",
    "push.default",
    "push.autoSetupRemote",
    "merge.conflictStyle",
    "merge.ff",
    "rerere.enabled",
    "fetch.prune",
    "rebase.autoStash",
    "diff.algorithm",
];

/// How long what an undo needs is kept: as long as the journal knows of the change.
const KEPT: Duration = Duration::from_hours(24 * 30);

/// A value of the configuration, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `system`, `global`, `local`, `worktree` or `command`.
    pub scope: String,
    /// The name.
    pub key: String,
    /// The value: all of it, or [`crate::MAX_FIELD`] bytes.
    pub value: Vec<u8>,
}

/// What is done for the object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceTask {
    /// Writes a commit-graph with changed paths, which makes the history of a path fast to find.
    CommitGraph,
    /// Packs objects and removes what nothing leads to for two weeks.
    Gc,
}

impl Repo {
    /// The configuration in force: all of it, or the values of `key`.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`].
    pub fn config(&self, key: Option<&str>, cancel: &Cancel) -> Result<Vec<Setting>> {
        if let Some(key) = key {
            check_key(key)?;
        }
        let fields = self
            .read(&["config", "--list", "--show-scope", "--null"])
            .args((!self.location.trusted).then_some("--no-includes"))
            .fields_of_success(Layout { divider: Some(b'\n'), ..Layout::NUL }, cancel)?;
        let mut fields = fields.iter();
        let mut found = Vec::new();
        while let (Some(scope), Some(entry)) = (fields.next(), fields.next()) {
            let (name, value) = entry.split_once_str("\n").unwrap_or((entry.as_slice(), b"true"));
            let scope = scope.to_str_lossy().into_owned();
            // What this program itself passes along is nobody's setting.
            if scope != "command" && key.is_none_or(|key| key.as_bytes().eq_ignore_ascii_case(name)) {
                found.push(Setting { scope, key: name.to_str_lossy().into_owned(), value: value.to_vec() });
            }
        }
        Ok(found)
    }

    /// Writes one of [`WRITABLE`] into the repository's configuration, or removes it.
    ///
    /// # Errors
    ///
    /// [`Error::BadName`] for any other.
    pub fn set_config(&self, key: &str, value: Option<&str>, cancel: &Cancel) -> Result<()> {
        let Some(key) = WRITABLE.iter().find(|allowed| allowed.eq_ignore_ascii_case(key)) else {
            return Err(Error::bad_name(key, "a setting to write", "it is not on the list of those that may be written here"));
        };
        if value.is_some_and(|value| value.len() > 1024 || value.chars().any(char::is_control)) {
            return Err(Error::bad_name(*key, "a setting to write", "the value is too long or has a control character"));
        }
        let process = self.change(&["config", "--local"]);
        match value {
            Some(value) => process.arg("--replace-all").arg(key).arg(value).success(cancel, MAX_OUTPUT).map(drop),
            None => match process.arg("--unset-all").arg(key).output(cancel, MAX_OUTPUT)?.0 {
                // 5: there was none.
                ended if matches!(ended.code, Some(0 | 5)) => Ok(()),
                ended => Err(ended.failed("config")),
            },
        }
    }

    /// What the object store holds, as `name: value` lines.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn object_counts(&self, cancel: &Cancel) -> Result<Vec<u8>> {
        self.read(&["count-objects", "-v"]).success(cancel, MAX_OUTPUT)
    }

    /// Takes care of the object store.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn maintain(&self, care: MaintenanceTask, cancel: &Cancel) -> Result<()> {
        if care == MaintenanceTask::Gc && !self.location.trusted && self.settings.local_gc_hook {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "hook `gc.recentObjectsHook`".to_owned() });
        }
        let args: &[&str] = match care {
            MaintenanceTask::CommitGraph => &["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"],
            MaintenanceTask::Gc => &["gc", "--quiet", "--no-detach"],
        };
        if care == MaintenanceTask::Gc {
            self.release_kept(KEPT, cancel)?;
        }
        self.change(args).success(cancel, MAX_OUTPUT).map(drop)
    }
}

fn check_key(key: &str) -> Result<()> {
    let fine = key.contains('.') && !key.starts_with('-') && !key.chars().any(char::is_control);
    if fine { Ok(()) } else { Err(Error::bad_name(key, "the name of a setting", "it must have the form `section.name`")) }
}
