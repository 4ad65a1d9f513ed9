//! The serialized rows of the journal.

use super::Past;
use git::{Change, Moved, ObjectId, RawFile, Reach, Repo, Snapshot};
use serde::{Deserialize, Serialize};
use std::{
    iter::Peekable,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Line {
    Begun(Box<Begun>),
    Ended(Box<Ended>),
    /// The content a change is about to overwrite, on disk before it does.
    Noted {
        id: String,
        saved: String,
    },
    Undone {
        id: String,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) at: u64,
    pub(super) pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pid_start: Option<i64>,
    pub(super) tool: String,
    pub(super) worktree: PathBuf,
    pub(super) key: Option<String>,
    pub(super) digest: String,
    /// The principal, unless it is the local user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<String>,
    pub(super) before: State,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    #[serde(flatten)]
    pub(super) begun: Begun,
    pub(super) done: bool,
    pub(super) after: State,
    pub(super) moved: Vec<Move>,
    #[serde(with = "Scope")]
    pub(super) reach: Reach,
    pub(super) saved: Option<String>,
    pub(super) left: Option<String>,
    pub(super) paths: Vec<String>,
    /// References that other processes moved meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) beside: Vec<Move>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) files: Vec<FileRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) config: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stash: Option<String>,
    /// The result, for a call with a key.
    pub(super) text: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) branch: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) index: Option<String>,
    pub(super) in_progress: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Move {
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    /// The previous target of a symbolic reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
}

/// A file that git alone could not restore.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct FileRow {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

impl FileRow {
    pub(super) fn of(file: &RawFile) -> Self {
        let name = |id: ObjectId| id.to_string();
        Self { path: git::quote::listed(&file.path), before: file.before.map(name), after: file.after.map(name) }
    }

    fn file(self) -> Result<RawFile, git::Error> {
        let path = git::RelPath::new(&self.path, None)?.as_bytes().to_vec();
        Ok(RawFile { path, before: id(self.before.as_deref()), after: id(self.after.as_deref()) })
    }
}

/// The words of git's enum.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Reach", rename_all = "snake_case")]
enum Scope {
    Refs,
    Index,
    Worktree,
}

impl State {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self {
            branch: snapshot.branch.clone(),
            commit: snapshot.commit.map(|id| id.to_string()),
            index: snapshot.index.clone(),
            in_progress: snapshot.in_progress.map(str::to_owned),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            branch: self.branch.clone(),
            commit: id(self.commit.as_deref()),
            index: self.index.clone(),
            in_progress: self.in_progress.as_deref().and_then(git::operation),
        }
    }
}

impl Ended {
    /// Whether the change is of this worktree. One that did not lock the worktree has no state.
    pub(super) fn is_of(&self, repo: &Repo) -> bool {
        let has_state = [&self.begun.before, &self.after].iter().any(|state| **state != State::default());
        self.begun.worktree == repo.top() && self.begun.tool != "git_undo" && (has_state || !self.moved.is_empty())
    }

    pub(super) fn is_undoable(&self) -> bool {
        self.begun.before != self.after
            || !self.moved.is_empty()
            || self.stash.is_some()
            || self.files.iter().any(|file| file.before != file.after)
            || (self.reach == Reach::Worktree && (self.saved.is_some() || self.done && self.left.is_some()))
    }

    pub(super) fn ends_an_operation(&self) -> bool {
        self.begun.before.in_progress.is_some() && self.after.in_progress.is_none()
    }

    /// Whether it aborted conflicts outside any operation.
    pub(super) fn aborts_conflicts(&self) -> bool {
        self.done && self.begun.tool == "git_abort" && self.begun.before.in_progress.is_none()
    }

    /// The whole operation that this change ended, as one change; `None` if it had no effect. Advances `earlier` to the
    /// changes before the operation.
    pub(super) fn with_beginning(mut self, earlier: &mut Peekable<impl Iterator<Item = Self>>) -> Option<Self> {
        while let Some(step) = earlier.next_if(|step| step.after.in_progress.is_some()) {
            for moved in step.moved {
                match self.moved.iter_mut().find(|known| known.name == moved.name) {
                    Some(known) => known.before = moved.before,
                    None => self.moved.push(moved),
                }
            }
            if step.begun.before.in_progress.is_none() {
                (self.begun.before, self.saved, self.reach) = (step.begun.before, step.saved, Reach::Worktree);
                break;
            }
        }
        let was = if self.ends_an_operation() {
            // Another program began it.
            earlier.peek().map(|change| &change.after)
        } else {
            Some(&self.begun.before)
        };
        let had_no_effect = was.is_some_and(|was| (&was.branch, &was.commit) == (&self.after.branch, &self.after.commit));
        if had_no_effect && self.moved.is_empty() { None } else { Some(self) }
    }

    pub(super) fn past(self, copies: &Path) -> Option<Past> {
        let index = |state: &State| {
            let key = state.index.as_ref().filter(|key| key.bytes().all(|byte| byte.is_ascii_hexdigit()));
            key.map(|key| copies.join(key)).filter(|copy| copy.exists())
        };
        let moved = self.moved.into_iter().map(|Move { name, before, after, target }| Moved {
            name,
            before: id(before.as_deref()),
            after: id(after.as_deref()),
            target,
        });
        let paths = self.paths.iter().map(|path| git::RelPath::new(path, None).map(|path| path.pathspec().to_vec()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Past {
            beside: self.beside.into_iter().map(|moved| moved.name).collect(),
            by: self.begun.by,
            age: now.saturating_sub(Duration::from_millis(self.begun.at)),
            change: Change {
                before: self.begun.before.snapshot(),
                after: self.after.snapshot(),
                moved: moved.collect(),
                reach: self.reach,
                index: (index(&self.begun.before), index(&self.after)),
                saved: id(self.saved.as_deref()),
                left: id(self.left.as_deref()),
                paths: paths.collect::<Result<_, _>>().ok()?,
                files: self.files.into_iter().map(FileRow::file).collect::<Result<_, _>>().ok()?,
                config: id(self.config.as_deref()),
                stash: id(self.stash.as_deref()),
            },
            id: self.begun.id,
            tool: self.begun.tool,
        })
    }
}

/// Skips the change that left the aborted conflicts, and changes that only staged files among them.
pub(super) fn skip_conflicts(earlier: &mut Peekable<impl Iterator<Item = Ended>>) {
    let is_part =
        |change: &Ended| (&change.begun.before.branch, &change.begun.before.commit) == (&change.after.branch, &change.after.commit);
    while let Some(change) = earlier.next_if(is_part) {
        if !change.done && change.begun.before.index != change.after.index {
            break;
        }
    }
}

fn id(text: Option<&str>) -> Option<ObjectId> {
    text.and_then(|text| ObjectId::from_hex(text.as_bytes()).ok())
}
