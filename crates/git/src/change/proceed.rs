//! Continuing, skipping and aborting a stopped operation.

use super::{MAX_OUTPUT, NAMED};
use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::stderr::{Ended, overwritten, reason},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};

/// Maximum length of a step quoted in an error, in characters.
const MAX_STEP: usize = 100;

/// What to do with a stopped operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SequencerAction {
    /// Continues with the resolved state.
    Continue,
    /// Skips the commit that it stopped at.
    Skip,
    /// Restores the state before it.
    Abort,
}

impl SequencerAction {
    fn option(self) -> &'static str {
        match self {
            Self::Continue => "--continue",
            Self::Skip => "--skip",
            Self::Abort => "--abort",
        }
    }
}

/// A finished operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proceeded {
    /// Its name.
    pub operation: &'static str,
    /// The commit at which an abort left `HEAD`, since it had moved meanwhile: only the files were restored.
    pub stays_at: Option<ObjectId>,
}

impl Repo {
    /// Continues, skips or aborts the operation in progress, and returns its name.
    ///
    /// # Errors
    ///
    /// [`Error::NothingInProgress`]; [`Error::Unmerged`]; [`Error::Stopped`] at the next conflict.
    pub fn proceed(&self, action: SequencerAction, confirmed: bool, cancel: &Cancel) -> Result<Proceeded> {
        let Some(operation) = self.in_progress() else { return self.abort_without_operation(action, confirmed, cancel) };
        if action != SequencerAction::Abort {
            self.check_steps()?;
        }
        if action != SequencerAction::Continue && !confirmed && matches!(operation, "rebase" | "am") {
            // Unlike other operations, aborting a rebase overwrites every file,
            // and runs filters as the rebase does.
            self.check_trust(cancel)?;
            let edited = self.change(&["diff", "--name-only", "-z", "--diff-filter=MDT", "--no-ext-diff", "--ignore-submodules=dirty"]);
            let edited = edited.success(cancel, MAX_OUTPUT)?;
            let unmerged = self.unmerged(cancel)?;
            let edited = edited.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(RelPath::from_git);
            let edited: Vec<String> = edited.filter(|path| !unmerged.contains(path)).map(|path| path.to_string()).collect();
            if !edited.is_empty() {
                return Err(Error::WouldLose(edited));
            }
        }
        if action == SequencerAction::Continue {
            self.check_resolved(&[], confirmed, cancel)?;
            self.check_tried(cancel)?;
        }
        self.worktree()?;
        self.check_trust(cancel)?;
        if operation == "bisect" {
            self.check_early_hook()?;
        }
        if action == SequencerAction::Abort
            && let Some(tree) = self.abort_target(operation, cancel)?
        {
            self.check_move(tree, true, &[], cancel)?;
        }
        let ended = match (operation, action) {
            ("bisect", SequencerAction::Abort) => self.locked(cancel, || self.change(&["bisect", "reset"]))?.0,
            // A rebase interrupted at its start only left its autostash.
            ("rebase", SequencerAction::Abort) if self.is_remnant() => self.locked(cancel, || self.change(&["rebase", "--quit"]))?.0,
            ("bisect", _) => return Err(Error::BadPlan("git_bisect continues a bisect, and git_abort ends it".to_owned())),
            ("merge", SequencerAction::Skip) => {
                return Err(Error::BadPlan("a merge has no commit to skip: git_abort aborts it".to_owned()));
            }
            _ => self.run_sequencer(operation, action, cancel)?,
        };
        if ended.code != Some(0) {
            self.bisect_halt(&ended).filter(|_| operation == "bisect").map_or(Ok(()), Err)?;
            let unmerged = self.unmerged(cancel)?;
            if unmerged.is_empty()
                && let Some(halted) = self.halted(operation, &ended, cancel)?
            {
                return Err(halted);
            }
            if self.in_progress().is_some() && action != SequencerAction::Abort {
                return Err(self.stopped(operation, &unmerged, &ended, cancel)?);
            }
            self.check_search_start(operation, cancel)?;
        }
        ended.require(operation)?;
        let unmerged = if self.in_progress().is_none() { self.unmerged(cancel)? } else { Vec::new() };
        if !unmerged.is_empty() {
            let paths = unmerged.iter().map(ToString::to_string).collect();
            return Err(Error::Conflicts { change: format!("{operation} is finished; its autostash"), paths, stash: Some(0) });
        }
        let stays = action == SequencerAction::Abort && ended.stderr.contains("Not rewinding");
        let stays_at = self.head(cancel)?.filter(|_| stays);
        if stays && self.is_at_a_commit() {
            // git has removed the sequencer state, but not that of the current commit.
            return Ok(Proceeded { stays_at, ..self.proceed(action, confirmed, cancel)? });
        }
        Ok(Proceeded { operation, stays_at })
    }

    /// Refuses to end a bisect whose starting branch no longer exists.
    fn check_search_start(&self, operation: &str, cancel: &Cancel) -> Result<()> {
        if operation != "bisect" {
            return Ok(());
        }
        let line = self.git_folder().line("BISECT_START").unwrap_or_default();
        let start = String::from_utf8_lossy(&line).into_owned();
        let is_gone = Rev::new(start.as_str()).is_ok_and(|rev| self.resolve_commit(&rev, cancel).is_err());
        if is_gone { Err(Error::SearchStartGone(start)) } else { Ok(()) }
    }

    /// Refuses to continue if the next step was never tried: git would consider it done.
    fn check_tried(&self, cancel: &Cancel) -> Result<()> {
        if self.is_untried(cancel)? {
            let operation = self.progress().unwrap_or_default();
            let step = self.step("sequencer/todo");
            return Err(Error::Blocked { operation, step, why: "it was not applied".to_owned(), resumes: false });
        }
        Ok(())
    }

    /// True if a series of picks or reverts stopped before a commit that it could not start.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn is_untried(&self, cancel: &Cancel) -> Result<bool> {
        if self.is_at_a_commit() || !self.git_folder().has("sequencer/todo") {
            return Ok(false);
        }
        let last = self.git_folder().line("sequencer/abort-safety").and_then(|line| ObjectId::from_hex(&line).ok());
        let head = self.head(cancel)?;
        Ok(last.is_some() && last == head && self.is_index_clean(head, cancel)?)
    }

    /// True while a pick or revert of a commit is incomplete.
    pub fn is_at_a_commit(&self) -> bool {
        ["CHERRY_PICK_HEAD", "REVERT_HEAD"].iter().any(|name| self.git_folder().has(name))
    }

    /// The first step of a todo list, verbatim.
    fn step(&self, list: &str) -> String {
        let text = self.git_file(list, Kind::Steps).ok().flatten().unwrap_or_default();
        let line = text.lines().find(|line| !line.is_empty() && !line.starts_with(b"#")).unwrap_or_default().to_str_lossy().into_owned();
        let mut step: String = line.chars().filter(|char| !char.is_control()).take(MAX_STEP).collect();
        if step.is_empty() {
            "a step".clone_into(&mut step);
        }
        step
    }

    /// The error of an operation in progress that did not continue.
    pub(super) fn stopped(&self, operation: &'static str, unmerged: &[RelPath], ended: &Ended, cancel: &Cancel) -> Result<Error> {
        const UNRESUMABLE: [&str; 2] = ["you have staged changes in your working tree", "cannot lock ref "];
        let is_empty = self.is_empty_step(operation, ended, cancel)?;
        let progress = self.progress().unwrap_or_else(|| operation.to_owned());
        if is_empty {
            return Ok(Error::Empty { operation: progress, stopped: true });
        }
        let paths: Vec<String> = unmerged.iter().map(ToString::to_string).collect();
        if !paths.is_empty() {
            return Ok(Error::Stopped { operation: progress, paths, why: String::new(), resumes: true });
        }
        if let Some(in_the_way) = overwritten(&ended.stderr) {
            // git returns the step of a rebase to its todo list, but considers that of another series done.
            let resumes = operation == "rebase";
            let step = self.step(if resumes { "rebase-merge/git-rebase-todo" } else { "sequencer/todo" });
            return Ok(Error::Blocked { operation: progress, step, why: in_the_way.to_string(), resumes });
        }
        let said = ended.stderr.as_str();
        if said.contains("You must edit all merge conflicts") || said.contains("You have unstaged changes") {
            let process = self.change(&["diff", "--name-only", "-z", "--no-ext-diff", "--ignore-submodules=dirty"]);
            let listed = process.success(cancel, MAX_OUTPUT)?;
            let paths = listed.split(|&byte| byte == 0).filter(|path| !path.is_empty());
            return Ok(Error::Unstaged { operation: progress, paths: paths.take(NAMED).map(crate::quote::listed).collect() });
        }
        let failed = said.lines().find_map(|line| line.strip_prefix("warning: execution failed: "));
        let why = failed.map_or_else(|| reason(said), |command| format!("the command of a step failed: {command}"));
        let resumes = !UNRESUMABLE.iter().any(|words| said.contains(words));
        Ok(Error::Stopped { operation: progress, paths, why, resumes })
    }

    /// True if a rebase was interrupted before it started.
    fn is_remnant(&self) -> bool {
        let git = self.git_folder();
        git.has("rebase-merge") && !git.has("rebase-merge/head-name") && !git.has("rebase-merge/git-rebase-todo")
    }

    /// The commit that an abort returns to.
    fn abort_target(&self, operation: &str, cancel: &Cancel) -> Result<Option<ObjectId>> {
        let files: &[&str] = match operation {
            "rebase" | "am" => &["rebase-merge/orig-head", "rebase-apply/orig-head"],
            "cherry-pick" | "revert" => &["sequencer/head"],
            "bisect" => &["BISECT_START"],
            _ => &[],
        };
        let line = files.iter().find_map(|file| self.git_folder().line(file)).and_then(|line| String::from_utf8(line).ok());
        let target = line.and_then(|line| Rev::new(line).ok()).and_then(|rev| self.resolve_commit(&rev, cancel).ok());
        target.map_or_else(|| self.head(cancel), |target| Ok(Some(target)))
    }

    /// Continues the operation after the stopped step, skips that step, or aborts.
    fn run_sequencer(&self, operation: &str, action: SequencerAction, cancel: &Cancel) -> Result<Ended> {
        let args = [operation, action.option()];
        let has_step = self.git_folder().has("MERGE_HEAD") || self.is_at_a_commit();
        if action == SequencerAction::Continue {
            self.drop_additions()?;
            if operation != "rebase" && has_step {
                // As git would do itself, but keeping lines that look like comments.
                let (ended, _) = self.locked(cancel, || self.recording(&["commit", "--quiet", "--no-edit"]))?;
                if ended.code != Some(0) || !self.git_folder().has("sequencer/todo") {
                    return Ok(ended);
                }
            }
        }
        let process = if operation == "rebase" { self.rebasing(&args, cancel)? } else { self.sequencing(&args, cancel)? };
        let (mut ended, output) = self.locked(cancel, || process.clone())?;
        if ended.stderr.trim().is_empty() {
            // Some reasons go to stdout.
            ended.stderr = output[..output.len().min(2000)].to_str_lossy().into_owned();
        }
        Ok(ended)
    }

    /// True if the stopped step is empty.
    pub(super) fn is_empty_step(&self, operation: &str, ended: &Ended, cancel: &Cancel) -> Result<bool> {
        // git exits with 1 if a commit was not made, with 128 if a step could not be tried.
        let may_be = ended.code == Some(1)
            && match operation {
                "cherry-pick" | "rebase" => self.is_at_a_commit(),
                // A stopped revert may leave no state behind.
                "revert" => !ended.stderr.contains("error: "),
                _ => false,
            };
        Ok(may_be && self.unmerged(cancel)?.is_empty() && self.is_index_clean(self.head(cancel)?, cancel)?)
    }

    /// Aborts a change that left conflicts without an operation: a squash or an applied stash.
    fn abort_without_operation(&self, action: SequencerAction, confirmed: bool, cancel: &Cancel) -> Result<Proceeded> {
        let unmerged = self.unmerged(cancel)?;
        if unmerged.is_empty() {
            return Err(Error::NothingInProgress);
        }
        if action != SequencerAction::Abort {
            return Err(Error::BadPlan("there is nothing to continue: resolve the conflicts, stage the files and commit".to_owned()));
        }
        if !confirmed && !self.git_folder().has("SQUASH_MSG") {
            // Only a squash starts with nothing staged.
            let staged =
                self.read(&["diff", "--cached", "--name-only", "-z", "--diff-filter=u", "--no-ext-diff", "--ignore-submodules=dirty"]);
            let staged = staged.success(cancel, MAX_OUTPUT)?;
            let staged = staged.split(|&byte| byte == 0).filter(|path| !path.is_empty()).map(RelPath::from_git);
            let staged: Vec<String> = staged.filter(|path| !unmerged.contains(path)).map(|path| path.to_string()).collect();
            if !staged.is_empty() {
                return Err(Error::WouldLose(staged));
            }
        }
        self.check_trust(cancel)?;
        self.head(cancel)?.map_or(Ok(()), |head| self.check_move(head, true, &[], cancel))?;
        let (ended, _) = self.locked(cancel, || self.change(&["reset", "--quiet", "--merge"]))?;
        ended.require("reset --merge").map(|()| Proceeded { operation: "change with conflicts", stays_at: None })
    }

    /// Refuses steps that run programs in an untrusted repository.
    fn check_steps(&self) -> Result<()> {
        const HARMLESS: [&str; 19] = [
            "pick", "p", "reword", "r", "squash", "s", "fixup", "f", "drop", "d", "noop", "break", "revert", "label", "l", "reset", "t",
            "merge", "m",
        ];
        if self.location.trusted {
            return Ok(());
        }
        for list in ["rebase-merge/git-rebase-todo", "sequencer/todo"] {
            let Some(text) = self.git_file(list, Kind::Steps)? else { continue };
            let words = text.lines().filter_map(|line| line.to_str().ok().map(|line| line.split_whitespace().next().unwrap_or("#")));
            let all = text.lines().count();
            if words.filter(|word| word.starts_with('#') || HARMLESS.contains(word)).count() != all {
                return Err(Error::Untrusted { path: self.top().to_owned(), program: "list of steps".to_owned() });
            }
        }
        Ok(())
    }
}
