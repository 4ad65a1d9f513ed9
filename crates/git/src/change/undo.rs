//! Undoing a change without losing later work.

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

/// The extent of a change beyond references.
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

/// A file that git alone would not restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFile {
    /// Its path.
    pub path: Vec<u8>,
    /// The blob with its content before the change; `None` if there was no file.
    pub before: Option<ObjectId>,
    /// The id of its content afterwards; `None` if there was no file.
    pub after: Option<ObjectId>,
}

/// The record of a change, for undoing it.
#[derive(Clone, Debug)]
pub struct Change {
    /// The state before it.
    pub before: Snapshot,
    /// The state after it.
    pub after: Snapshot,
    /// The references that it moved, besides the current branch.
    pub moved: Vec<Moved>,
    /// Its extent beyond references.
    pub reach: Reach,
    /// Copies of the index before and after it.
    pub index: (Option<PathBuf>, Option<PathBuf>),
    /// The staged and unstaged changes before it, from [`Repo::save`].
    pub saved: Option<ObjectId>,
    /// The content of tracked files after it, if `saved` matters.
    pub left: Option<ObjectId>,
    /// The paths that it was limited to.
    pub paths: Vec<Vec<u8>>,
    /// Files that git alone would not restore.
    pub files: Vec<RawFile>,
    /// The configuration of a deleted branch, from [`Repo::keep_branch_config`].
    pub config: Option<ObjectId>,
    /// The stash entry that it dropped.
    pub stash: Option<ObjectId>,
}

impl Repo {
    /// Undoes `change` and returns the effects, in words.
    ///
    /// # Errors
    ///
    /// [`Error::NotUndone`] if something has moved since or would be lost; nothing is changed then.
    pub fn undo(&self, change: &Change, cancel: &Cancel) -> Result<Vec<String>> {
        self.check_trust(cancel)?;
        self.can_undo(change, cancel)?;
        if change.moves_the_stash() {
            self.stash_apply(0, true, true, cancel)?;
            return Ok(vec!["the stash entry is popped".to_owned()]);
        }
        let mut done = Vec::new();
        if let Some((old, new)) = change.renamed() {
            self.change(&["branch", "-m", "--"]).args([new, old]).success(cancel, MAX_OUTPUT)?;
            return Ok(vec![format!("the branch is renamed back to {old}")]);
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
        Ok(done)
    }

    /// Checks, without trying, whether `change` can be undone, as [`Repo::undo`] does before it changes anything.
    ///
    /// # Errors
    ///
    /// [`Error::NotUndone`].
    pub fn can_undo(&self, change: &Change, cancel: &Cancel) -> Result<()> {
        let now = self.snapshot(cancel)?;
        check_unmoved(change, &now)?;
        self.check_refs(change, cancel)?;
        let is_index_same = now.index == change.after.index || change.index.1.as_ref().is_some_and(|copy| self.is_index_like(copy));
        // The change was made during an operation in progress, without affecting that operation.
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
            return Err(Error::NotUndone(format!("{branch} no longer exists: it was renamed or deleted")));
        }
        if let Some(operation) = change.after.in_progress.filter(|_| !is_within) {
            let way = if operation == "bisect" { "git_abort" } else { "git_continue or git_abort" };
            return Err(Error::NotUndone(format!("the {operation} is still in progress: {way} ends it")));
        }
        if change.before.in_progress.is_some() && !is_within {
            return Err(Error::NotUndone("it ended an operation that was started elsewhere".to_owned()));
        }
        if let Some(left) = change.left {
            let paths: Vec<RelPath> = change.paths.iter().map(|path| top_or(path)).collect();
            if !self.still_has(left, &paths, cancel)? {
                return Err(Error::NotUndone("files have been edited since".to_owned()));
            }
        }
        self.check_raw(change)?;
        if change.before.index != change.after.index
            && change.before.index.is_some()
            && !change.index.0.as_ref().is_some_and(|copy| self.is_intact(copy))
        {
            return Err(Error::NotUndone("the saved index is no longer available".to_owned()));
        }
        self.check_way(change, cancel)
    }

    /// Refuses a change whose state before it is not kept, or cannot be written now.
    fn check_way(&self, change: &Change, cancel: &Cancel) -> Result<()> {
        let (before, after) = (&change.before, &change.after);
        if change.renamed().is_some() {
            return Ok(());
        }
        if change.moves_the_stash() {
            return self.check_stashed(change, cancel);
        }
        if before.branch != after.branch {
            let none = || Error::NotUndone("there was no commit before it".to_owned());
            return self.check_move(before.commit.ok_or_else(none)?, false, &[], cancel);
        }
        if before.commit != after.commit {
            let (Some(commit), Reach::Worktree) = (before.commit, change.reach) else { return Ok(()) };
            self.check_untracked_since(change, Some(commit), &[], cancel)?;
            self.check_move(commit, false, &[], cancel)?;
            return change.saved.map_or(Ok(()), |saved| self.check_move(saved, true, &[], cancel));
        }
        if change.reach == Reach::Worktree {
            self.check_files_kept(change, cancel)?;
        }
        if change.is_without_effect() {
            return Err(Error::NotUndone("it changed nothing that is tracked for undo".to_owned()));
        }
        Ok(())
    }

    /// Refuses if a reference has moved since, or if a symbolic one would be restored without its target.
    fn check_refs(&self, change: &Change, cancel: &Cancel) -> Result<()> {
        if change.moved.is_empty() {
            return Ok(());
        }
        let refs = self.movable_refs(cancel)?;
        if let Some(moved) = change.moved.iter().find(|moved| refs.get(&moved.name) != moved.after) {
            return Err(Error::NotUndone(format!("{} has moved since", moved.name)));
        }
        self.check_objects(&change.moved, cancel)?;
        let is_restored = |name: &str| change.moved.iter().any(|moved| moved.name == name && moved.before.is_some());
        let is_there = |name: &str| Rev::new(name).is_ok_and(|rev| self.resolve(&rev, cancel).is_ok());
        let mut targets = change.moved.iter().filter_map(|moved| moved.target.as_deref());
        match targets.find(|target| !is_restored(target) && !is_there(target)) {
            Some(target) => Err(Error::NotUndone(format!("{target}, which a symbolic reference named, no longer exists"))),
            None => Ok(()),
        }
    }

    /// Refuses unless the change only stashed files, and the entry is still the newest.
    fn check_stashed(&self, change: &Change, cancel: &Cancel) -> Result<()> {
        let Some(stash) = change.moved.iter().find(|moved| moved.name == STASH) else { return Ok(()) };
        let newest = self.stashes(cancel)?;
        let pushed = newest.first().map(|stash| stash.id) == stash.after && newest.get(1).map(|stash| stash.id) == stash.before;
        if pushed && change.reach == Reach::Worktree {
            return stash.after.map_or(Ok(()), |id| self.check_applies(id, cancel));
        }
        let kept = stash.before.map_or_else(String::new, |id| format!("; the entry is kept as {id}"));
        Err(Error::NotUndone(format!("the applied changes are already in the files{kept}")))
    }

    /// Refuses a change of files whose content before it is not kept, or cannot be written now.
    fn check_files_kept(&self, change: &Change, cancel: &Cancel) -> Result<()> {
        if change.left.is_none() {
            let conflicts = if self.unmerged(cancel)?.is_empty() { "" } else { " and left conflicts, which git_abort undoes" };
            let kept = change.stash.map_or_else(String::new, |id| format!("; the stash entry is kept as {id}"));
            return Err(Error::NotUndone(format!(
                "it only changed the index and files{conflicts}: git_restore and git_reset undo that{kept}"
            )));
        }
        if change.paths.is_empty() {
            if change.left != change.after.commit {
                self.check_untracked_since(change, change.after.commit, &[], cancel)?;
            }
            return change.saved.map_or(Ok(()), |saved| self.check_move(saved, true, &[], cancel));
        }
        let not_saved = || Error::NotUndone("the file contents were not saved".to_owned());
        let saved = change.saved.or(change.before.commit).ok_or_else(not_saved)?;
        let paths: Vec<RelPath> = change.paths.iter().map(|path| top_or(path)).collect();
        self.check_untracked_since(change, Some(saved), &paths, cancel)?;
        self.check_move(saved, true, &paths, cancel)
    }

    /// True if files at `paths`, or all, still have the content that a change has `left`. Files whose conversion fails are
    /// skipped: their bytes are compared elsewhere.
    fn still_has(&self, left: ObjectId, paths: &[RelPath], cancel: &Cancel) -> Result<bool> {
        // With filters, like the change itself.
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
        let (ended, _) = self.locked(cancel, || self.change(&["checkout", "--quiet", "--no-overwrite-ignore"]).arg(&target).arg("--"))?;
        let failed = ended.require_but_for_the_hook("checkout")?;
        done.push(format!("checked out {target}"));
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
            done.push("the branch is unborn again, and its files are staged".to_owned());
            return Ok(());
        };
        if change.reach == Reach::Worktree {
            // Refuses if a file has local changes.
            let (ended, _) = self.locked(cancel, || self.change(&["reset", "--quiet", "--keep"]).arg(before.to_string()))?;
            ended.require("reset --keep")?;
            done.push(format!("HEAD and files are back at {}", before.to_hex_with_len(12)));
            return self.undo_saved(change, cancel, done);
        }
        let index = self.prepare_index(change)?;
        let process = self.change(&["update-ref", "-m", "undo", "HEAD"]).arg(before.to_string()).args(after);
        process.success(cancel, MAX_OUTPUT)?;
        done.push(format!("HEAD is back at {}; files are unchanged", before.to_hex_with_len(12)));
        index.put(done)
    }

    fn undo_files(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        match change.reach {
            Reach::Refs => Ok(()),
            Reach::Index => self.prepare_index(change)?.put(done),
            Reach::Worktree if change.paths.is_empty() => {
                if change.left != change.after.commit {
                    // The change was interrupted. Files have the content of `left`, so nothing is lost.
                    let (ended, _) = self.locked(cancel, || self.change(&["reset", "--quiet", "--hard"]))?;
                    ended.require("reset --hard")?;
                    done.push("files and index are back at HEAD".to_owned());
                }
                self.undo_saved(change, cancel, done)
            }
            Reach::Worktree => {
                let Some(saved) = change.saved.or(change.before.commit) else { return Ok(()) };
                // git takes the index lock itself, so check first that it is free.
                drop(self.prepare_index(change)?);
                // Untracked files that were absent before stay.
                let kept = self.kept_in(saved, &change.paths, cancel)?;
                if kept.is_empty() {
                    return self.prepare_index(change)?.put(done);
                }
                self.put_back(saved, kept.iter().map(|path| top_or(path)).collect(), change, cancel)?;
                done.push("the file contents are restored".to_owned());
                self.prepare_index(change)?.put(done)
            }
        }
    }

    /// Refuses, like a reset, if untracked files are in the way that the change did not create.
    fn check_untracked_since(&self, change: &Change, tree: Option<ObjectId>, paths: &[RelPath], cancel: &Cancel) -> Result<()> {
        let is_made = |path: &String| change.files.iter().any(|file| file.before.is_none() && crate::quote::listed(&file.path) == *path);
        match self.check_untracked(tree, paths, cancel) {
            Err(Error::WouldOverwrite(paths)) if paths.iter().all(is_made) => Ok(()),
            Err(Error::WouldOverwrite(paths)) => Err(Error::NotUndone(format!("untracked files are in the way: {}", paths.join(", ")))),
            checked => checked,
        }
    }

    /// The paths among `paths` that exist in `tree`.
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

    /// Restores staged and unstaged changes.
    fn undo_saved(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let Some(saved) = change.saved else { return Ok(()) };
        if self.has_files_only(saved, cancel)? {
            self.put_back(saved, vec![RelPath::default()], change, cancel)?;
            done.push("the file contents are restored".to_owned());
            return self.prepare_index(change)?.put(done);
        }
        let (ended, _) = self.locked(cancel, || self.change(&["stash", "apply", "--quiet", "--index"]).arg(saved.to_string()))?;
        if ended.code != Some(0) {
            return Err(Error::NotUndone(format!(
                "the uncommitted changes are kept as {saved} and do not apply: {}",
                ended.failed("stash apply")
            )));
        }
        done.push("staged and unstaged changes are restored".to_owned());
        Ok(())
    }

    /// Restores `paths` from `saved`. If a filter fails, the files whose bytes are rewritten afterwards are excluded.
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

    /// Stores a dropped stash entry again.
    fn undo_drop(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let Some(dropped) = change.stash else { return Ok(()) };
        let message = self.message_of(dropped, cancel)?;
        let message = format!("--message={}", String::from_utf8_lossy(message.trim_ascii_end()));
        self.change(&["stash", "store", "--quiet"]).arg(message).arg(dropped.to_string()).success(cancel, MAX_OUTPUT)?;
        done.push("the dropped entry is restored as the newest stash entry".to_owned());
        Ok(())
    }

    fn undo_refs(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let null = ObjectId::null(gix::hash::Kind::Sha1).to_string();
        let null = change.after.commit.map_or(null, |id| ObjectId::null(id.kind()).to_string());
        let mut commands = Vec::new();
        let moved: Vec<&Moved> = change.moved.iter().filter(|moved| change.stash.is_none() || moved.name != STASH).collect();
        for moved in &moved {
            if let Some(target) = &moved.target {
                done.push(format!("{} is again a symbolic reference to {target}", moved.name));
                continue;
            }
            let value = |id: Option<ObjectId>| id.map_or_else(|| null.clone(), |id| id.to_string());
            // Without the option, git would update what a symbolic reference names.
            let (name, before, after) = (&moved.name, value(moved.before), value(moved.after));
            commands.extend_from_slice(format!("option no-deref\0update {name}\0{before}\0{after}\0").as_bytes());
            done.push(match moved.before {
                Some(id) if moved.after.is_none() && moved.name.starts_with("refs/heads/") => {
                    format!("{} is back at {}, without its reflog", moved.name, id.to_hex_with_len(12))
                }
                Some(id) => format!("{} is back at {}", moved.name, id.to_hex_with_len(12)),
                None => format!("{} is deleted", moved.name),
            });
        }
        if !commands.is_empty() {
            self.change(&["update-ref", "-m", "undo", "--stdin", "-z"]).stdin(commands).success(cancel, MAX_OUTPUT)?;
        }
        let symbolic: Vec<(&str, &str)> = moved.iter().filter_map(|moved| Some((moved.name.as_str(), moved.target.as_deref()?))).collect();
        self.write_symbolic(&symbolic, cancel)?;
        let config = change.config.filter(|_| !moved.is_empty());
        config.map_or(Ok(()), |config| self.put_branch_config(config, cancel, done))
    }

    /// Takes the index lock and writes the new index into it, as git does.
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
            // git uses the index's own mtime to detect racy entries.
            file.set_modified(copy.metadata()?.modified()?)
        });
        written.map_err(failed)?;
        Ok(new)
    }
}

impl Change {
    /// True if it moved the stash, other than by dropping an entry.
    fn moves_the_stash(&self) -> bool {
        self.stash.is_none() && self.renamed().is_none() && self.moved.iter().any(|moved| moved.name == STASH)
    }

    /// True if it left `HEAD`, index, files and references as they were.
    fn is_without_effect(&self) -> bool {
        let index = self.reach != Reach::Refs && self.before.index != self.after.index;
        let files = self.reach == Reach::Worktree && (self.saved.is_some() || self.left != self.after.commit || !self.paths.is_empty());
        let refs = self.moved.iter().any(|moved| moved.name != STASH);
        !index && !files && !refs && self.files.is_empty() && self.stash.is_none()
    }

    /// The old and the new name, if it renamed a branch: the deleted and the created branch are at the same commit.
    fn renamed(&self) -> Option<(&str, &str)> {
        let (gone, come): (Vec<&Moved>, Vec<&Moved>) = self.moved.iter().partition(|moved| moved.after.is_none());
        let ([gone], [come]) = (&gone[..], &come[..]) else { return None };
        let is_same = come.before.is_none() && gone.before == come.after && gone.target.is_none();
        Some((gone.name.strip_prefix("refs/heads/")?, come.name.strip_prefix("refs/heads/")?)).filter(|_| is_same)
    }
}

/// A path of the journal, where `.` means everything.
fn top_or(path: &[u8]) -> RelPath {
    if path == b"." { RelPath::default() } else { RelPath::from_git(path) }
}

/// A new index in its lock file, not yet in place; discarded on drop.
struct NewIndex {
    lock: Option<PathBuf>,
    index: PathBuf,
}

impl NewIndex {
    fn put(mut self, done: &mut Vec<String>) -> Result<()> {
        let Some(lock) = self.lock.take() else { return Ok(()) };
        let is_empty = fs::metadata(&lock).is_ok_and(|meta| meta.len() == 0);
        // There was no index before the first file was staged.
        let put =
            if is_empty { fs::remove_file(&self.index).and_then(|()| fs::remove_file(&lock)) } else { fs::rename(&lock, &self.index) };
        put.map_err(Error::io(format!("writing {}", self.index.display())))?;
        done.push("the index is restored".to_owned());
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

/// Refuses if the state has moved since the change.
fn check_unmoved(change: &Change, now: &Snapshot) -> Result<()> {
    let after = &change.after;
    let refuse = |what: String| Err(Error::NotUndone(format!("{what} since")));
    if now.in_progress != after.in_progress {
        return refuse(match now.in_progress {
            Some(operation) => format!("a {operation} has started"),
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
