//! Taking a change back, without losing what has been done since.

use super::{MAX_OUTPUT, nul_separated};
use crate::{
    beneath::{self, open_own},
    cancel::Cancel,
    error::{Error, Result},
    name::{BranchName, RelPath, Rev},
    process::{Mode, Process},
    repo::{
        Repo,
        snapshot::{Moved, STASH, Snapshot},
    },
};
use gix::ObjectId;
use std::{fs, io, path::PathBuf};

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

/// A file that git alone would not bring back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFile {
    /// Its path.
    pub path: Vec<u8>,
    /// The blob that keeps what it held before the change; none where there was no file.
    pub before: Option<ObjectId>,
    /// The id of what it held afterwards; none where there was no file.
    pub after: Option<ObjectId>,
}

/// A change that was made, as far as it matters for taking it back.
#[derive(Clone, Debug)]
pub struct Change {
    /// The state before it.
    pub before: Snapshot,
    /// The state that it left.
    pub after: Snapshot,
    /// The references besides the branch that is checked out that it moved.
    pub moved: Vec<Moved>,
    /// What else it touched.
    pub reach: Reach,
    /// A copy of the index before it, and one of the index that it left.
    pub index: (Option<PathBuf>, Option<PathBuf>),
    /// What was staged and in tracked files before it, from [`Repo::save`].
    pub saved: Option<ObjectId>,
    /// What it left in tracked files, where `saved` matters.
    pub left: Option<ObjectId>,
    /// The only paths that it touched, where it was given paths.
    pub paths: Vec<Vec<u8>>,
    /// Files that git alone would not bring back.
    pub files: Vec<RawFile>,
    /// What keeps the configuration of a branch that it deleted, from [`Repo::keep_branch_config`].
    pub config: Option<ObjectId>,
    /// The entry of the stash that it dropped.
    pub stash: Option<ObjectId>,
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
        if let Some((old, new)) = change.renamed() {
            self.change(&["branch", "-m", "--"]).args([new, old]).success(cancel, MAX_OUTPUT)?;
            return Ok(vec![format!("the branch is called {old} again")]);
        }
        if change.stash.is_none() && change.moved.iter().any(|moved| moved.name == STASH) {
            return self.undo_stash(change, cancel);
        }
        self.remove_made(change, &mut done)?;
        if change.before.branch != change.after.branch {
            self.undo_checkout(change, cancel, &mut done)?;
        } else if change.before.commit != change.after.commit {
            self.undo_commit(change, cancel, &mut done)?;
        }
        self.undo_refs(change, cancel, &mut done)?;
        if change.before.commit == change.after.commit && change.before.branch == change.after.branch {
            self.undo_files(change, cancel, &mut done)?;
        }
        self.rewrite_raw(change, cancel, &mut done)?;
        self.undo_drop(change, cancel, &mut done)?;
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
        if !change.moved.is_empty() {
            let refs = self.movable_refs(cancel)?;
            if let Some(moved) = change.moved.iter().find(|moved| refs.get(&moved.name) != moved.after) {
                return Err(Error::NotUndone(format!("{} has moved since", moved.name)));
            }
        }
        let is_index_same = now.index == change.after.index || change.index.1.as_ref().is_some_and(|copy| self.is_index_like(copy));
        // It was made while an operation was in progress, which it left as it was.
        let is_within = change.before.in_progress == change.after.in_progress && change.before.commit == change.after.commit;
        if change.reach != Reach::Refs && (is_within || change.after.in_progress.is_none()) && !is_index_same {
            return Err(Error::NotUndone("something else has been staged since".to_owned()));
        }
        if change.renamed().is_none()
            && change.before.branch != change.after.branch
            && let Some(branch) = &change.before.branch
            && change.before.commit.is_some()
            && self.resolve_commit(&Rev::new(branch.as_str())?, cancel).is_err()
        {
            return Err(Error::NotUndone(format!("there is no {branch} any more: it was renamed or deleted")));
        }
        if let Some(operation) = change.after.in_progress.filter(|_| !is_within) {
            let way = if operation == "bisect" { "git_abort" } else { "git_continue or git_abort" };
            return Err(Error::NotUndone(format!("the {operation} is still in progress: {way} ends it")));
        }
        if change.before.in_progress.is_some() && !is_within {
            return Err(Error::NotUndone("it has ended an operation that was begun elsewhere".to_owned()));
        }
        if let Some(left) = change.left {
            let paths: Vec<RelPath> = change.paths.iter().map(|path| top_or(path)).collect();
            if !self.holds(left, &paths, cancel)? {
                return Err(Error::NotUndone("files have been edited since".to_owned()));
            }
        }
        self.check_raw(change)?;
        if change.before.index != change.after.index
            && change.before.index.is_some()
            && !change.index.0.as_ref().is_some_and(|copy| self.is_intact(copy))
        {
            return Err(Error::NotUndone("the index as it was is not kept any more".to_owned()));
        }
        Ok(())
    }

    /// True where files at `paths`, or all, hold what a change has `left`. One that nobody can convert is not looked at: of such
    /// a file the bytes are kept.
    fn holds(&self, left: ObjectId, paths: &[RelPath], cancel: &Cancel) -> Result<bool> {
        // With filters, as the change itself.
        self.check_trust(cancel)?;
        let compare = |process: Process<'_>| {
            let process = process.args(["--no-ext-diff", "--ignore-submodules=dirty"]).arg(left.to_string()).arg("--");
            process.args(paths.iter().map(RelPath::literal)).output(cancel, MAX_OUTPUT)
        };
        let (ended, _) = compare(self.change(&["diff", "--quiet"]))?;
        if matches!(ended.code, Some(0 | 1)) {
            return Ok(ended.code == Some(0));
        }
        let (ended, edited) = compare(self.unconverting(self.change(&["diff", "--name-only", "-z"]))?)?;
        let converted = self.converted_edits(paths, cancel)?;
        let is_edit = |path: &[u8]| !path.is_empty() && !converted.iter().any(|file| file.as_bytes() == path);
        Ok(ended.code == Some(0) && !edited.split(|&byte| byte == 0).any(is_edit))
    }

    fn undo_checkout(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let target = match (&change.before.branch, change.before.commit) {
            (Some(branch), Some(_)) => BranchName::new(branch.strip_prefix("refs/heads/").unwrap_or(branch))?.as_str().to_owned(),
            (None, Some(commit)) => commit.to_string(),
            (_, None) => return Err(Error::NotUndone("there was no commit before it".to_owned())),
        };
        if let Some(commit) = change.before.commit {
            self.check_move(commit, false, &[], cancel)?;
        }
        let (ended, _) = self.locked(cancel, || self.change(&["checkout", "--quiet", "--no-overwrite-ignore"]).arg(&target).arg("--"))?;
        let failed = ended.require_but_for_the_hook("checkout")?;
        done.push(format!("{target} is checked out again"));
        done.extend(failed.map(|failed| format!("the hook post-checkout failed after that: {}", failed.said)));
        Ok(())
    }

    fn undo_commit(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let after = change.after.commit.map(|id| id.to_string());
        let Some(before) = change.before.commit else {
            let index = self.prepare_index(change)?;
            let branch = change.after.branch.as_deref().unwrap_or("HEAD");
            self.change(&["update-ref", "-m", "undo", "-d"]).arg(branch).args(after).success(cancel, MAX_OUTPUT)?;
            index.put(done)?;
            done.push("the branch has no commit again, and what was in it is staged".to_owned());
            return Ok(());
        };
        if change.reach == Reach::Worktree {
            self.check_untracked_since(Some(before), &[], cancel)?;
            self.check_move(before, false, &[], cancel)?;
            change.saved.map_or(Ok(()), |saved| self.check_move(saved, true, &[], cancel))?;
            // Refuses where a file has changes of its own.
            let (ended, _) = self.locked(cancel, || self.change(&["reset", "--quiet", "--keep"]).arg(before.to_string()))?;
            ended.require("reset --keep")?;
            done.push(format!("HEAD is at {} again, and so are the files", before.to_hex_with_len(12)));
            return self.undo_saved(change, cancel, done);
        }
        let index = self.prepare_index(change)?;
        let process = self.change(&["update-ref", "-m", "undo", "HEAD"]).arg(before.to_string()).args(after);
        process.success(cancel, MAX_OUTPUT)?;
        done.push(format!("HEAD is at {} again; files are as they were", before.to_hex_with_len(12)));
        index.put(done)
    }

    fn undo_files(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        match change.reach {
            Reach::Refs => Ok(()),
            Reach::Index => self.prepare_index(change)?.put(done),
            Reach::Worktree if change.left.is_none() => {
                let conflicts = if self.unmerged(cancel)?.is_empty() { "" } else { " and left conflicts, which git_abort takes back" };
                let kept = change.stash.map_or_else(String::new, |id| format!("; the entry of the stash is kept as {id}"));
                Err(Error::NotUndone(format!(
                    "what it did is in the index and in files alone{conflicts}: git_restore and git_reset change those{kept}"
                )))
            }
            Reach::Worktree if change.paths.is_empty() => {
                change.saved.map_or(Ok(()), |saved| self.check_move(saved, true, &[], cancel))?;
                if change.left != change.after.commit {
                    // It broke off half-way. Files hold what `left` has, so that nothing is lost.
                    self.check_untracked_since(change.after.commit, &[], cancel)?;
                    let (ended, _) = self.locked(cancel, || self.change(&["reset", "--quiet", "--hard"]))?;
                    ended.require("reset --hard")?;
                    done.push("files and index are at HEAD again".to_owned());
                }
                self.undo_saved(change, cancel, done)
            }
            Reach::Worktree => {
                let Some(saved) = change.saved.or(change.before.commit) else {
                    return Err(Error::NotUndone("what the files held was not kept".to_owned()));
                };
                let paths: Vec<RelPath> = change.paths.iter().map(|path| top_or(path)).collect();
                self.check_untracked_since(Some(saved), &paths, cancel)?;
                self.check_move(saved, true, &paths, cancel)?;
                // git takes the index lock itself; first it is made sure that it is free.
                drop(self.prepare_index(change)?);
                // What was not there before is left as it is, where nobody tracks it.
                let kept = self.kept_in(saved, &change.paths, cancel)?;
                if kept.is_empty() {
                    return self.prepare_index(change)?.put(done);
                }
                self.put_back(saved, kept.iter().map(|path| top_or(path)).collect(), change, cancel)?;
                done.push("the files hold what they held before".to_owned());
                self.prepare_index(change)?.put(done)
            }
        }
    }

    /// As for a reset: refuses where files that were made since are in the way.
    fn check_untracked_since(&self, tree: Option<ObjectId>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        self.check_untracked(tree, paths, cancel).map_err(|err| match err {
            Error::WouldOverwrite(paths) => Error::NotUndone(format!("files that nobody tracks are in the way: {}", paths.join(", "))),
            err => err,
        })
    }

    /// Those of `paths` that `tree` has something at.
    fn kept_in(&self, tree: ObjectId, paths: &[Vec<u8>], cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        let mut kept = Vec::new();
        for path in paths {
            let listed = self.read(&["ls-tree", "--name-only", "-z", "--full-tree"]).arg(tree.to_string()).arg("--");
            let is_all = path.as_slice() == b".";
            let listed = if is_all { listed } else { listed.arg(top_or(path).literal()) };
            if !listed.success(cancel, MAX_OUTPUT)?.is_empty() {
                kept.push(path.clone());
            }
        }
        Ok(kept)
    }

    /// Brings back what was staged and in tracked files.
    fn undo_saved(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let Some(saved) = change.saved else { return Ok(()) };
        if self.is_of_files_alone(saved, cancel)? {
            self.put_back(saved, vec![RelPath::default()], change, cancel)?;
            done.push("the files hold what they held before".to_owned());
            return self.prepare_index(change)?.put(done);
        }
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

    /// Writes what `saved` has at `paths`. Where a filter fails, those files are left out whose bytes are written afterwards.
    fn put_back(&self, saved: ObjectId, paths: Vec<RelPath>, change: &Change, cancel: &Cancel) -> Result<()> {
        let source = format!("--source={saved}");
        let restore = |list: Vec<u8>| {
            let args = ["restore", "--worktree", "--pathspec-from-file=-", "--pathspec-file-nul", &source];
            self.locked(cancel, || self.change(&args).stdin(list.clone()))?.0.require("restore")
        };
        let done = restore(nul_separated(&paths));
        if !matches!(done, Err(Error::FilterFailed { .. })) {
            return done;
        }
        let raw = || change.files.iter().filter(|file| file.before.is_some()).map(|file| RelPath::from_git(&file.path));
        let rest: Vec<RelPath> = paths.into_iter().filter(|path| !raw().any(|file| file == *path)).collect();
        if rest.is_empty() {
            return Ok(());
        }
        let mut list = nul_separated(&rest);
        list.extend(raw().flat_map(|path| [b":(top,literal,exclude)", path.as_bytes(), b"\0"].concat()));
        restore(list)
    }

    fn undo_stash(&self, change: &Change, cancel: &Cancel) -> Result<Vec<String>> {
        let Some(stash) = change.moved.iter().find(|moved| moved.name == STASH) else { return Ok(Vec::new()) };
        let newest = self.stashes(cancel)?;
        let pushed = newest.first().map(|stash| stash.id) == stash.after && newest.get(1).map(|stash| stash.id) == stash.before;
        if pushed && change.reach == Reach::Worktree {
            self.stash_apply(0, true, true, cancel)?;
            return Ok(vec!["the stash is popped".to_owned()]);
        }
        let kept = stash.before.map_or_else(String::new, |id| format!("; the entry is still there as {id}"));
        Err(Error::NotUndone(format!("what it brought back is among the files now{kept}")))
    }

    /// Stores again what was dropped from the stash.
    fn undo_drop(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let Some(dropped) = change.stash else { return Ok(()) };
        let message = self.message_of(dropped, cancel)?;
        let message = format!("--message={}", String::from_utf8_lossy(message.trim_ascii_end()));
        self.change(&["stash", "store", "--quiet"]).arg(message).arg(dropped.to_string()).success(cancel, MAX_OUTPUT)?;
        done.push("what was dropped is the newest entry of the stash".to_owned());
        Ok(())
    }

    fn undo_refs(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let null = ObjectId::null(gix::hash::Kind::Sha1).to_string();
        let null = change.after.commit.map_or(null, |id| ObjectId::null(id.kind()).to_string());
        let mut commands = Vec::new();
        for moved in change.moved.iter().filter(|moved| change.stash.is_none() || moved.name != STASH) {
            let value = |id: Option<ObjectId>| id.map_or_else(|| null.clone(), |id| id.to_string());
            commands.extend_from_slice(format!("update {}\0{}\0{}\0", moved.name, value(moved.before), value(moved.after)).as_bytes());
            done.push(match moved.before {
                Some(id) if moved.after.is_none() && moved.name.starts_with("refs/heads/") => {
                    format!("{} is at {} again, without its reflog", moved.name, id.to_hex_with_len(12))
                }
                Some(id) => format!("{} is at {} again", moved.name, id.to_hex_with_len(12)),
                None => format!("{} is deleted again", moved.name),
            });
        }
        if commands.is_empty() {
            return Ok(());
        }
        self.change(&["update-ref", "-m", "undo", "--stdin", "-z"]).stdin(commands).success(cancel, MAX_OUTPUT)?;
        change.config.map_or(Ok(()), |config| self.put_branch_config(config, cancel, done))
    }

    /// Takes the index lock and writes into it what the index is to be; git's own way to replace it.
    fn prepare_index(&self, change: &Change) -> Result<NewIndex> {
        let index = self.index_file();
        if change.before.index == change.after.index {
            return Ok(NewIndex { lock: None, index });
        }
        let lock = index.with_extension("lock");
        let failed = |err| Error::io(format!("writing {}", lock.display()))(err);
        let mut file = self.within(Mode::Change, || beneath::create_new(&lock))?.map_err(|err| match err.kind() {
            io::ErrorKind::AlreadyExists => Error::Locked(self.lock_file(lock.clone())),
            _ => failed(err),
        })?;
        let new = NewIndex { lock: Some(lock.clone()), index };
        let Some(copy) = change.index.0.as_ref().filter(|_| change.before.index.is_some()) else { return Ok(new) };
        let written = open_own(copy).and_then(|(mut copy, _)| {
            io::copy(&mut copy, &mut file)?;
            // Whether an entry may be trusted to be unchanged is judged by the index's own time.
            file.set_modified(copy.metadata()?.modified()?)
        });
        written.map_err(failed)?;
        Ok(new)
    }
}

impl Change {
    /// The old and the new name, where it renamed a branch: what has gone and what has come are at one commit.
    fn renamed(&self) -> Option<(&str, &str)> {
        let (gone, come): (Vec<&Moved>, Vec<&Moved>) = self.moved.iter().partition(|moved| moved.after.is_none());
        let ([gone], [come]) = (&gone[..], &come[..]) else { return None };
        let is_same = come.before.is_none() && gone.before == come.after;
        Some((gone.name.strip_prefix("refs/heads/")?, come.name.strip_prefix("refs/heads/")?)).filter(|_| is_same)
    }
}

/// A path of the journal, where `.` is everything.
fn top_or(path: &[u8]) -> RelPath {
    if path == b"." { RelPath::default() } else { RelPath::from_git(path) }
}

/// An index that waits under its lock to be put in place; given up when dropped.
struct NewIndex {
    lock: Option<PathBuf>,
    index: PathBuf,
}

impl NewIndex {
    fn put(mut self, done: &mut Vec<String>) -> Result<()> {
        let Some(lock) = self.lock.take() else { return Ok(()) };
        let is_empty = fs::metadata(&lock).is_ok_and(|meta| meta.len() == 0);
        // There was none before the first file was staged.
        let put =
            if is_empty { fs::remove_file(&self.index).and_then(|()| fs::remove_file(&lock)) } else { fs::rename(&lock, &self.index) };
        put.map_err(Error::io(format!("writing {}", self.index.display())))?;
        done.push("the index is as it was".to_owned());
        Ok(())
    }
}

impl Drop for NewIndex {
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            fs::remove_file(lock).ok();
        }
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
    Ok(())
}
