//! Merge, rebase, cherry-pick and revert.

use super::{MAX_OUTPUT, NAMED, coming::RAW, message::complete, plan::Step};
use crate::{
    cancel::Cancel,
    change::plan::MAX_STEPS,
    error::{Error, Result},
    name::Rev,
    process::{Process, stderr::is_uncommitted_error},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{path::PathBuf, sync::Arc};

/// Maximum length of a merge message: git only takes it as an argument.
const MAX_MESSAGE: usize = 100 << 10;

/// Whether a merge may be a fast-forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FastForward {
    /// As configured; by default, if possible.
    #[default]
    Configured,
    /// If possible.
    Allowed,
    /// Required: otherwise nothing is merged.
    Only,
    /// Never: always creates a merge commit.
    Never,
}

/// Which side wins conflicts (`-X`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyOption {
    /// The current branch.
    Ours,
    /// The merged branch.
    Theirs,
}

/// Options of a merge.
#[derive(Clone, Debug)]
pub struct MergeRequest {
    /// The branch or commit.
    pub rev: Rev,
    /// Whether it may be a fast-forward.
    pub fast_forward: FastForward,
    /// Stages the combined changes without committing a merge.
    pub squash: bool,
    /// The message of the merge commit.
    pub message: Option<String>,
    /// Which side wins conflicts.
    pub strategy_option: Option<StrategyOption>,
}

/// Options of a rebase.
#[derive(Clone, Debug)]
pub struct RebaseRequest {
    /// Commits after this one are rebased.
    pub upstream: Rev,
    /// The new base; `upstream` when absent.
    pub onto: Option<Rev>,
    /// The todo list, in the new order; all commits are picked when empty.
    pub plan: Vec<Step>,
    /// Keeps merge commits, even if the configuration does not.
    pub keep_merges: bool,
}

/// Commits to cherry-pick or revert.
#[derive(Clone, Debug, Default)]
pub struct PickRequest {
    /// Commits and ranges, in order.
    pub revs: Vec<Rev>,
    /// Changes the index and files without committing.
    pub no_commit: bool,
    /// For a merge commit: the number of the mainline parent, from 1.
    pub mainline: Option<u32>,
}

impl Repo {
    /// Merges into the current branch.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] at conflicts; [`Error::Failed`] without changes.
    pub fn merge(&self, request: &MergeRequest, cancel: &Cancel) -> Result<String> {
        let size = request.message.as_ref().map_or(0, String::len);
        if size > MAX_MESSAGE {
            return Err(Error::TooLarge {
                what: "the merge message".to_owned(),
                size: size as u64,
                unit: "bytes",
                limit: MAX_MESSAGE as u64,
            });
        }
        if request.message.is_some() && (request.squash || request.fast_forward == FastForward::Only) {
            let commits = if request.squash {
                "a squash does not commit: pass the message to git_commit"
            } else {
                "a fast-forward creates no commit"
            };
            return Err(Error::BadPlan(format!("the message would be unused, since {commits}")));
        }
        let id = self.resolve_commit(&request.rev, cancel)?;
        if let Some(head) = self.head(cancel)? {
            self.check_related(head, id, cancel)?;
            let mut needs = self.needs(cancel);
            needs.merge(head, id)?;
            needs.check()?;
        }
        // By name if possible: the merge message names the branch.
        let is_name = self.full_name(&request.rev, cancel)?.is_some();
        let target = if is_name { request.rev.as_str().to_owned() } else { id.to_string() };
        if self.head(cancel)?.is_none() {
            // Before the first commit git overwrites any file.
            self.check_untracked(Some(id), &[], cancel)?;
            self.check_move(id, false, &[], cancel)?;
        } else {
            // A file deleted here and changed there is restored, too, as a conflict.
            let coming = Self::coming(self.read(&["diff"]).args(RAW).arg(format!("HEAD...{id}")).arg("--"), cancel)?;
            self.check_ignored(coming.iter(), cancel)?;
            self.check_complete(&coming, Some(id), cancel)?;
        }
        self.integrate("merge", false, cancel, || {
            let mut process = self.recording(&["merge", "--no-edit", "--no-stat", "--no-autostash", "--no-overwrite-ignore"]);
            process = process.args(match request.fast_forward {
                FastForward::Configured => None,
                FastForward::Allowed => Some("--ff"),
                FastForward::Only => Some("--ff-only"),
                FastForward::Never => Some("--no-ff"),
            });
            if request.squash {
                process = process.arg("--squash");
            }
            if let Some(strategy_option) = request.strategy_option {
                process = process.arg(if strategy_option == StrategyOption::Ours {
                    "--strategy-option=ours"
                } else {
                    "--strategy-option=theirs"
                });
            }
            // git's own message has no final line break.
            process = match &request.message {
                Some(message) => process.arg(format!("--message={}", complete(message))),
                None => process.arg("--cleanup=whitespace"),
            };
            process.arg(&target)
        })
    }

    /// Rebases the current branch.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`] at conflicts; [`Error::BadPlan`]; [`Error::Failed`] without changes.
    pub fn rebase(&self, request: &RebaseRequest, cancel: &Cancel) -> Result<String> {
        let upstream = self.resolve_commit(&request.upstream, cancel)?;
        let onto = request.onto.as_ref().map(|onto| self.resolve_commit(onto, cancel)).transpose()?;
        let base = onto.unwrap_or(upstream);
        if let (Some(head), false) = (self.head(cancel)?, self.boundary()?.is_empty()) {
            // git would treat common commits that are missing here as new.
            self.check_related(head, upstream, cancel)?;
        }
        self.need_for_rebase(upstream, base, cancel)?;
        let coming = Self::coming(self.read(&["diff"]).args(RAW).arg("HEAD").arg(base.to_string()).arg("--"), cancel)?;
        self.check_ignored(coming.iter().filter(|file| file.is_new), cancel)?;
        self.check_complete(&coming, Some(base), cancel)?;
        let todo = if request.plan.is_empty() { None } else { Some(self.todo(upstream, &request.plan, cancel)?) };
        let editor = if todo.is_some() && self.is_sandboxed() { Some(self.sequence_editor()?) } else { None };
        let domain = editor.as_deref().map(|editor| self.domain_running(editor)).transpose()?.flatten();
        // Hooks receive the name that the caller passed.
        let is_name = self.full_name(&request.upstream, cancel)?.is_some();
        let target = if is_name { request.upstream.as_str().to_owned() } else { upstream.to_string() };
        let start = self.sequencing(&["rebase"], cancel)?;
        self.integrate("rebase", false, cancel, || {
            // Other branches, including protected ones, must not move, whatever is configured.
            let kept = ["--no-autosquash", "--no-autostash", "--no-fork-point", "--no-update-refs", "--no-stat", "--quiet"];
            let mut process = start.clone().args(kept);
            if request.keep_merges {
                process = process.arg("--rebase-merges");
            }
            if let Some(todo) = &todo {
                process = process.arg("--interactive").todo(todo, editor.clone());
            }
            if let Some(domain) = &domain {
                process = process.inside(Some(Arc::clone(domain)));
            }
            if let Some(onto) = onto {
                process = process.arg(format!("--onto={onto}"));
            }
            process.arg(&target)
        })
    }

    /// Fails if a partial clone lacks objects that a rebase reads.
    fn need_for_rebase(&self, upstream: ObjectId, onto: ObjectId, cancel: &Cancel) -> Result<()> {
        let (true, Some(head)) = (self.is_partial(), self.head(cancel)?) else { return Ok(()) };
        let mut needs = self.needs(cancel);
        needs.changed(Some(head), onto, &[])?;
        needs.merge(head, onto)?;
        // git skips commits whose patch is already upstream.
        needs.alike(head, upstream)?;
        needs.check()
    }

    /// The same for commits to pick or revert.
    fn need_for_picks(&self, commits: &[String], cancel: &Cancel) -> Result<()> {
        let (true, Some(head)) = (self.is_partial(), self.head(cancel)?) else { return Ok(()) };
        let ids: Vec<ObjectId> = commits.iter().filter_map(|id| ObjectId::from_hex(id.as_bytes()).ok()).collect();
        let mut needs = self.needs(cancel);
        needs.commits(&ids, &[])?;
        for id in ids {
            needs.renamed(id, head)?;
        }
        needs.check()
    }

    /// Branches at the rebased commits, which stay in place despite `rebase.updateRefs`.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn left_behind(&self, upstream: &Rev, cancel: &Cancel) -> Result<Vec<String>> {
        let Some(head) = self.head(cancel)?.filter(|_| self.settings.updates_refs) else { return Ok(Vec::new()) };
        let upstream = self.resolve_commit(upstream, cancel)?;
        let own = self.branch_name(cancel)?;
        let format = ["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/"];
        let process = self.read(&format).arg(format!("--no-merged={upstream}")).arg(format!("--merged={head}"));
        let names = String::from_utf8_lossy(&process.success(cancel, MAX_OUTPUT)?).into_owned();
        Ok(names.lines().filter(|name| Some(*name) != own.as_deref()).map(str::to_owned).collect())
    }

    /// The path of this program, which writes the todo list of a rebase in place of a shell.
    fn sequence_editor(&self) -> Result<PathBuf> {
        let own = std::env::current_exe().and_then(std::fs::canonicalize).map_err(Error::io("finding this program"))?;
        // git runs any other name through a shell.
        let is_plain = own.to_str().is_some_and(|path| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte)));
        let why = "this program writes the plan, and its path has characters that need a shell";
        if is_plain { Ok(own) } else { Err(Error::NoSandbox { path: self.top().to_owned(), why }) }
    }

    /// Cherry-picks commits.
    ///
    /// # Errors
    ///
    /// As for [`Repo::merge`].
    pub fn cherry_pick(&self, request: &PickRequest, cancel: &Cancel) -> Result<String> {
        self.pick("cherry-pick", request, cancel)
    }

    /// Reverts commits.
    ///
    /// # Errors
    ///
    /// As for [`Repo::merge`].
    pub fn revert(&self, request: &PickRequest, cancel: &Cancel) -> Result<String> {
        self.pick("revert", request, cancel)
    }

    fn pick(&self, command: &str, request: &PickRequest, cancel: &Cancel) -> Result<String> {
        let mut ids = Vec::new();
        for rev in &request.revs {
            let Some(range) = rev.range()? else {
                ids.push(self.resolve_commit(rev, cancel)?.to_string());
                continue;
            };
            if range.symmetric {
                return Err(Error::BadPlan(format!("{rev} is a symmetric difference: name a range `A..B`")));
            }
            let (from, to) = (self.resolve_commit(&range.from, cancel)?, self.resolve_commit(&range.to, cancel)?);
            let mut within = self.between(from, to, cancel)?;
            if command == "revert" {
                within.reverse();
            }
            ids.extend(within.iter().map(ToString::to_string));
        }
        if ids.is_empty() || ids.len() > MAX_STEPS {
            return Err(Error::BadPlan(format!("name 1 to {MAX_STEPS} commits, not {}", ids.len())));
        }
        if request.mainline.is_none() {
            let merges = self.read(&["rev-list", "--no-walk", "--merges"]).args(&ids).arg("--").success(cancel, MAX_OUTPUT)?;
            if let Some(merge) = merges.lines().next() {
                let merge = merge.to_str_lossy();
                return Err(Error::BadPlan(format!("{merge} is a merge: pass the parent number as `mainline`, or omit the commit")));
            }
        }
        let boundary = self.boundary()?;
        if let Some(end) = boundary.iter().find(|end| ids.contains(&end.to_string())) {
            return Err(Error::Boundary(*end));
        }
        self.need_for_picks(&ids, cancel)?;
        let listing = self.read(&["log", "--no-walk=unsorted", "--format=", "-m"]).args(RAW);
        let listing = if command == "revert" { listing.arg("-R") } else { listing };
        let coming = Self::coming(listing.args(&ids).arg("--"), cancel)?;
        self.check_ignored(coming.iter(), cancel)?;
        self.check_complete(&coming, None, cancel)?;
        let start = self.sequencing(&[command, "--no-edit"], cancel)?;
        let picked = self.integrate(command, request.no_commit, cancel, || {
            let mut process = start.clone();
            if request.no_commit {
                process = process.arg("--no-commit");
            }
            if let Some(mainline) = request.mainline {
                process = process.arg(format!("--mainline={mainline}"));
            }
            process.args(&ids)
        });
        if matches!(&picked, Err(Error::Halted(halt)) if halt.operation.is_none() && !request.no_commit) {
            // git leaves the changes staged with no operation to abort. Nothing else was staged before.
            self.change(&["reset", "--quiet", "--merge"]).output(cancel, MAX_OUTPUT)?;
        }
        picked
    }

    /// Runs a command that may stop at conflicts.
    fn integrate<'a>(&self, command: &str, during_bisect: bool, cancel: &Cancel, process: impl Fn() -> Process<'a>) -> Result<String> {
        self.worktree()?;
        self.check_trust(cancel)?;
        // A pick without a commit only changes files, which is safe during a bisect.
        let is_in_bisect = during_bisect && self.in_progress() == Some("bisect");
        if let Some(operation) = self.progress().filter(|_| !is_in_bisect) {
            return Err(Error::InProgress(operation));
        }
        self.check_merged(cancel)?;
        let before = self.head(cancel)?;
        let (mut ended, output) = self.locked(cancel, process)?;
        if ended.code != Some(0) {
            let unmerged = self.unmerged(cancel)?;
            let stopped = self.is_at_a_commit();
            let is_empty = self.is_empty_step(command, &ended, cancel)?;
            if matches!(command, "cherry-pick" | "revert") && !stopped && !is_empty && unmerged.is_empty() && self.head(cancel)? == before {
                // Nothing was started, but the todo list may exist.
                self.change(&[command, "--quit"]).output(cancel, MAX_OUTPUT)?;
            }
            if unmerged.is_empty()
                && let Some(halted) = self.halted(command, &ended, cancel)?
            {
                return Err(halted);
            }
            if let Some(operation) = self.in_progress().filter(|operation| *operation != "bisect") {
                return Err(self.stopped(operation, &unmerged, &ended, cancel)?);
            }
            if !unmerged.is_empty() {
                let paths = unmerged.iter().map(ToString::to_string).collect();
                return Err(Error::Conflicts { change: command.to_owned(), paths, stash: None });
            }
            if is_uncommitted_error(&ended.stderr) {
                return Err(Error::Uncommitted(self.uncommitted(command, cancel)?));
            }
            if command == "revert" && is_empty {
                return Err(Error::Empty { operation: command.to_owned(), stopped: false });
            }
            if ended.stderr.trim().is_empty() {
                // "nothing to commit" goes to stdout.
                ended.stderr = String::from_utf8_lossy(&output[..output.len().min(2000)]).into_owned();
            }
        }
        ended.require(command)?;
        Ok(ended.stderr)
    }

    /// Tracked files whose changes make a command refuse to start.
    fn uncommitted(&self, command: &str, cancel: &Cancel) -> Result<Vec<String>> {
        // A rebase needs a clean index and files; the others only a clean index.
        let staged = if command == "rebase" { None } else { Some("--cached") };
        let process = self.change(&["diff", "--name-only", "-z", "--no-ext-diff", "--ignore-submodules=dirty"]).args(staged).arg("HEAD");
        let listed = process.success(cancel, MAX_OUTPUT)?;
        Ok(listed.split(|&byte| byte == 0).filter(|path| !path.is_empty()).take(NAMED).map(crate::quote::listed).collect())
    }

    /// The commits in `from..to`, oldest first.
    pub(super) fn between(&self, from: ObjectId, to: ObjectId, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let limit = format!("--max-count={}", MAX_STEPS + 1);
        let process = self.read(&["rev-list", "--topo-order", "--reverse", &limit]).arg(format!("{from}..{to}")).arg("--");
        let output = process.success(cancel, MAX_OUTPUT)?;
        Ok(output.lines().filter_map(|line| ObjectId::from_hex(line).ok()).collect())
    }
}
