//! Taking a change back, without losing what has been done since.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    repo::Repo,
    snapshot::Snapshot,
};
use gix::ObjectId;
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::PathBuf};

/// What a change touched besides references.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing.
    Refs,
    /// The index.
    #[default]
    Index,
    /// The index and files.
    Worktree,
}

/// A reference that a change moved, made or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its full name.
    pub name: String,
    /// What it was at; none where there was no such reference.
    pub before: Option<ObjectId>,
    /// What it was at afterwards.
    pub after: Option<ObjectId>,
}

/// A change that was made, as far as it matters for taking it back.
#[derive(Clone, Debug)]
pub struct Change {
    /// The state before it. Its references are not looked at.
    pub before: Snapshot,
    /// The state that it left.
    pub after: Snapshot,
    /// The references that it moved.
    pub moved: Vec<Moved>,
    /// What else it touched.
    pub reach: Reach,
    /// A copy of the index before it, and one of the index that it left.
    pub index: (Option<PathBuf>, Option<PathBuf>),
    /// What was staged and in tracked files before it, from [`Repo::save`].
    pub saved: Option<ObjectId>,
    /// The only paths that it touched, where it was given paths.
    pub paths: Vec<Vec<u8>>,
}

impl Change {
    /// Between two states.
    pub fn between(before: Snapshot, after: Snapshot, reach: Reach) -> Self {
        let names = before.refs.keys().chain(after.refs.keys().filter(|name| !before.refs.contains_key(*name)));
        let moved = names.filter_map(|name| {
            let (before, after) = (before.refs.get(name).copied(), after.refs.get(name).copied());
            (before != after).then(|| Moved { name: name.clone(), before, after })
        });
        let moved = moved.collect();
        Self { before, after, moved, reach, index: (None, None), saved: None, paths: Vec::new() }
    }

    /// The references besides the branch that was checked out all along.
    fn others(&self) -> impl Iterator<Item = &Moved> {
        let checked_out = self.before.branch.as_ref().filter(|_| self.before.branch == self.after.branch);
        self.moved.iter().filter(move |moved| checked_out != Some(&moved.name))
    }
}

impl Repo {
    /// Takes `change` back and says what that did.
    ///
    /// # Errors
    ///
    /// [`Error::NotUndone`] where something has moved since, or would be lost; nothing is changed then.
    pub fn undo(&self, change: &Change, cancel: &Cancel) -> Result<Vec<String>> {
        self.check_trust(cancel)?;
        self.can_undo(change, cancel)?;
        let mut done = Vec::new();
        if let Some(operation) = change.after.in_progress {
            let (ended, _) = self.locked(cancel, || self.change(&[operation, "--abort"]))?;
            ended.require("abort")?;
            return Ok(vec![format!("the {operation} is aborted")]);
        }
        if change.moved.iter().any(|moved| moved.name == "refs/stash") {
            return self.undo_stash(change, cancel);
        }
        if change.before.branch != change.after.branch {
            self.undo_checkout(change, cancel, &mut done)?;
        } else if change.before.commit != change.after.commit {
            self.undo_commit(change, cancel, &mut done)?;
        }
        self.undo_refs(change, cancel, &mut done)?;
        if change.before.commit == change.after.commit && change.before.branch == change.after.branch {
            self.undo_files(change, cancel, &mut done)?;
        }
        if done.is_empty() {
            return Err(Error::NotUndone("it changed nothing that is kept track of".to_owned()));
        }
        Ok(done)
    }

    /// Says why `change` cannot be taken back, as far as that can be told without trying.
    ///
    /// # Errors
    ///
    /// [`Error::NotUndone`].
    pub fn can_undo(&self, change: &Change, cancel: &Cancel) -> Result<()> {
        let now = self.snapshot(cancel)?;
        check_unmoved(change, &now)?;
        let is_index_same = now.index == change.after.index || change.index.1.as_ref().is_some_and(|copy| self.is_index_like(copy));
        if change.reach != Reach::Refs && change.after.in_progress.is_none() && !is_index_same {
            return Err(Error::NotUndone("something else has been staged since".to_owned()));
        }
        match (change.before.in_progress, change.after.in_progress) {
            (Some(_), Some(operation)) => {
                Err(Error::NotUndone(format!("it is a step of a {operation} that is still in progress: continue or abort that")))
            }
            (Some(_), None) => Err(Error::NotUndone("it concluded an operation that cannot be taken up again".to_owned())),
            (None, _) => Ok(()),
        }
    }

    fn undo_checkout(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let target = match (&change.before.branch, change.before.commit) {
            (Some(branch), Some(_)) => branch.strip_prefix("refs/heads/").unwrap_or(branch).to_owned(),
            (None, Some(commit)) => commit.to_string(),
            (_, None) => return Err(Error::NotUndone("there was no commit before it".to_owned())),
        };
        let (ended, _) = self.locked(cancel, || self.change(&["checkout", "--quiet", "--no-overwrite-ignore"]).arg(&target).arg("--"))?;
        ended.require("checkout")?;
        done.push(format!("{target} is checked out again"));
        Ok(())
    }

    fn undo_commit(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let Some(before) = change.before.commit else {
            let branch = change.after.branch.as_deref().unwrap_or("HEAD");
            let mut process = self.change(&["update-ref", "-m", "undo", "-d"]).arg(branch);
            process = process.args(change.after.commit.map(|id| id.to_string()));
            process.success(cancel, MAX_OUTPUT)?;
            done.push("the branch has no commit again, and what was in it is staged".to_owned());
            return Ok(());
        };
        if change.reach == Reach::Worktree {
            // Refuses where a file has changes of its own.
            let (ended, _) = self.locked(cancel, || self.change(&["reset", "--quiet", "--keep"]).arg(before.to_string()))?;
            ended.require("reset --keep")?;
            done.push(format!("HEAD is at {} again, and so are the files", before.to_hex_with_len(12)));
            return self.undo_saved(change, cancel, done);
        }
        let after = change.after.commit.map(|id| id.to_string());
        let process = self.change(&["update-ref", "-m", "undo", "HEAD"]).arg(before.to_string()).args(after);
        process.success(cancel, MAX_OUTPUT)?;
        done.push(format!("HEAD is at {} again; files are as they were", before.to_hex_with_len(12)));
        if change.before.index != change.after.index {
            self.put_back_index(change, done)?;
        }
        Ok(())
    }

    fn undo_files(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        match change.reach {
            Reach::Refs => {}
            Reach::Index if change.before.index == change.after.index => {}
            Reach::Index => self.put_back_index(change, done)?,
            Reach::Worktree if change.paths.is_empty() => self.undo_saved(change, cancel, done)?,
            Reach::Worktree => {
                let Some(saved) = change.saved else {
                    return Err(Error::NotUndone("what the files held was not kept".to_owned()));
                };
                let list = change.paths.iter().flat_map(|path| [path.as_slice(), b"\0"].concat()).collect::<Vec<u8>>();
                let unchanged = self.read(&["diff", "--quiet", "--no-ext-diff", "--ignore-submodules=dirty", "--"]);
                let unchanged = unchanged.args(change.paths.iter().map(|path| OsStr::from_bytes(path)));
                if change.before.index == change.after.index && unchanged.output(cancel, MAX_OUTPUT)?.0.code != Some(0) {
                    return Err(Error::NotUndone("the files have been edited since".to_owned()));
                }
                let source = format!("--source={saved}");
                let args = ["restore", "--worktree", "--pathspec-from-file=-", "--pathspec-file-nul", &source];
                let (ended, _) = self.locked(cancel, || self.change(&args).stdin(list.clone()))?;
                ended.require("restore")?;
                done.push("the files hold what they held before".to_owned());
                if change.before.index != change.after.index {
                    self.put_back_index(change, done)?;
                }
            }
        }
        Ok(())
    }

    /// Brings back what was staged and in tracked files.
    fn undo_saved(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let Some(saved) = change.saved else { return Ok(()) };
        let (ended, _) = self.locked(cancel, || self.change(&["stash", "apply", "--quiet", "--index"]).arg(saved.to_string()))?;
        if ended.code != Some(0) {
            return Err(Error::NotUndone(format!(
                "what was not committed is kept as {saved}, and does not fit in: {}",
                ended.failed("stash apply")
            )));
        }
        done.push("what was staged and in files before it is back".to_owned());
        Ok(())
    }

    fn undo_stash(&self, change: &Change, cancel: &Cancel) -> Result<Vec<String>> {
        let Some(stash) = change.moved.iter().find(|moved| moved.name == "refs/stash") else { return Ok(Vec::new()) };
        let newest = self.stashes(cancel)?;
        let pushed = newest.first().map(|stash| stash.id) == stash.after && newest.get(1).map(|stash| stash.id) == stash.before;
        if pushed && change.reach == Reach::Worktree {
            self.stash_apply(0, true, true, cancel)?;
            return Ok(vec!["the stash is popped".to_owned()]);
        }
        if let (Some(dropped), Reach::Refs) = (stash.before, change.reach) {
            let message = ["stash", "store", "--quiet", "--message=dropped, and back"];
            self.change(&message).arg(dropped.to_string()).success(cancel, MAX_OUTPUT)?;
            return Ok(vec!["what was dropped is the newest entry of the stash".to_owned()]);
        }
        let kept = stash.before.map_or_else(String::new, |id| format!("; the entry is still there as {id}"));
        Err(Error::NotUndone(format!("what it brought back is among the files now{kept}")))
    }

    fn undo_refs(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let null = ObjectId::null(gix::hash::Kind::Sha1).to_string();
        let null = change.after.commit.map_or(null, |id| ObjectId::null(id.kind()).to_string());
        let mut commands = Vec::new();
        for moved in change.others() {
            let value = |id: Option<ObjectId>| id.map_or_else(|| null.clone(), |id| id.to_string());
            commands.extend_from_slice(format!("update {}\0{}\0{}\0", moved.name, value(moved.before), value(moved.after)).as_bytes());
            done.push(match moved.before {
                Some(id) => format!("{} is at {} again", moved.name, id.to_hex_with_len(12)),
                None => format!("{} is deleted again", moved.name),
            });
        }
        if commands.is_empty() {
            return Ok(());
        }
        self.change(&["update-ref", "-m", "undo", "--stdin", "-z"]).stdin(commands).success(cancel, MAX_OUTPUT)?;
        Ok(())
    }

    /// Puts the copy of the index in the place of the index, as git itself replaces it.
    fn put_back_index(&self, change: &Change, done: &mut Vec<String>) -> Result<()> {
        let copy = change.index.0.as_ref().filter(|copy| copy.exists());
        let copy = copy.ok_or_else(|| Error::NotUndone("the index as it was is not kept any more".to_owned()))?;
        let index = self.index_file();
        let lock = index.with_extension("lock");
        let failed = |err| Error::io(format!("writing {}", lock.display()))(err);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&lock).map_err(failed)?;
        let written = fs::File::open(copy).and_then(|mut copy| std::io::copy(&mut copy, &mut file)).and_then(|_| fs::rename(&lock, &index));
        if let Err(err) = written {
            fs::remove_file(&lock).ok();
            return Err(failed(err));
        }
        done.push("the index is as it was".to_owned());
        Ok(())
    }
}

/// Refuses where anything is elsewhere than the change left it.
fn check_unmoved(change: &Change, now: &Snapshot) -> Result<()> {
    let after = &change.after;
    let refuse = |what: String| Err(Error::NotUndone(format!("{what} since")));
    if now.in_progress != after.in_progress {
        return refuse(match now.in_progress {
            Some(operation) => format!("a {operation} has begun"),
            None => "the operation that it left in progress has ended".to_owned(),
        });
    }
    if now.branch != after.branch {
        return refuse("another branch has been checked out".to_owned());
    }
    if now.commit != after.commit {
        return refuse("HEAD has moved".to_owned());
    }
    if let Some(moved) = change.moved.iter().find(|moved| now.refs.get(&moved.name).copied() != moved.after) {
        return refuse(format!("{} has moved", moved.name));
    }
    Ok(())
}
