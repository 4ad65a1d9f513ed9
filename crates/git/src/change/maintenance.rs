//! Writable configuration, and maintenance of the object store.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::fields::Layout,
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::time::Duration;

/// Settings that a caller may write: none runs a program or names a path or URL.
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

/// Retention of objects for undo, equal to the journal's retention.
const KEPT: Duration = Duration::from_hours(24 * 30);

/// A configuration value and its scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `system`, `global`, `local`, `worktree` or `command`.
    pub scope: String,
    /// The name.
    pub key: String,
    /// The value, truncated to [`crate::MAX_FIELD`] bytes.
    pub value: Vec<u8>,
}

/// A maintenance task of the object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaintenanceTask {
    /// Writes a commit-graph with changed paths, which speeds up path history.
    CommitGraph,
    /// Packs objects and prunes those unreachable for two weeks.
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
            // Settings that this program passes on the command line are omitted.
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
            return Err(Error::bad_name(key, "a setting to write", "it is not on the list of writable settings"));
        };
        if value.is_some_and(|value| value.len() > 1024 || value.chars().any(char::is_control)) {
            return Err(Error::bad_name(*key, "a setting to write", "the value is too long or has a control character"));
        }
        let process = self.change(&["config", "--local"]);
        match value {
            Some(value) => process.arg("--replace-all").arg(key).arg(value).success(cancel, MAX_OUTPUT).map(drop),
            None => match process.arg("--unset-all").arg(key).output(cancel, MAX_OUTPUT)?.0 {
                // 5: the key was not set.
                ended if matches!(ended.code, Some(0 | 5)) => Ok(()),
                ended => Err(ended.failed("config")),
            },
        }
    }

    /// Statistics of the object store, as `name: value` lines.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn object_counts(&self, cancel: &Cancel) -> Result<Vec<u8>> {
        self.read(&["count-objects", "-v"]).success(cancel, MAX_OUTPUT)
    }

    /// Runs a maintenance task.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn maintain(&self, task: MaintenanceTask, cancel: &Cancel) -> Result<()> {
        if task == MaintenanceTask::Gc && !self.location.trusted && self.settings.local_gc_hook {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "hook `gc.recentObjectsHook`".to_owned() });
        }
        let args: &[&str] = match task {
            MaintenanceTask::CommitGraph => &["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"],
            MaintenanceTask::Gc => &["gc", "--quiet", "--no-detach"],
        };
        if task == MaintenanceTask::Gc {
            self.release_kept(KEPT, cancel)?;
        }
        self.change(args).success(cancel, MAX_OUTPUT).map(drop)
    }
}

fn check_key(key: &str) -> Result<()> {
    let fine = key.contains('.') && !key.starts_with('-') && !key.chars().any(char::is_control);
    if fine { Ok(()) } else { Err(Error::bad_name(key, "the name of a setting", "it must have the form `section.name`")) }
}
