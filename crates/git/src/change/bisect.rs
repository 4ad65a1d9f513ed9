//! Finding the commit that introduced a bug.

use super::{MAX_OUTPUT, coming::RAW};
use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, FailedHook, Halt, Result, words},
    name::Rev,
    process::stderr::Ended,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::time::SystemTime;

/// The mark of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Without the bug.
    Good,
    /// With the bug.
    Bad,
    /// Not testable.
    Skip,
}

/// The state of a bisect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// A bad or a good commit has yet to be marked.
    Waiting,
    /// The next commit to test, which is checked out.
    At {
        /// The commit.
        next: ObjectId,
        /// Number of remaining candidates.
        left: u64,
        /// Approximate number of remaining steps.
        steps: u64,
    },
    /// The first bad commit.
    Found(ObjectId),
    /// Only skipped commits are left: the first bad commit is one of these.
    Skipped(Vec<ObjectId>),
}

/// The terms of a bisect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Commits without the change in question.
    pub good: String,
    /// Commits with it.
    pub bad: String,
}

impl Default for Terms {
    fn default() -> Self {
        Self { good: "good".to_owned(), bad: "bad".to_owned() }
    }
}

/// Commands of `git bisect`, which are not allowed as terms.
const COMMANDS: [&str; 10] = ["help", "start", "skip", "next", "reset", "visualize", "view", "replay", "log", "run"];

impl Repo {
    /// Starts a bisect between a bad commit and good ones.
    ///
    /// # Errors
    ///
    /// [`Error::InProgress`], [`Error::UnknownRevision`]; [`Error::Halted`] if the hook `post-checkout` failed: git ends the bisect
    /// then, and leaves the next commit checked out.
    pub fn bisect_start(&self, bad: &Rev, good: &[Rev], cancel: &Cancel) -> Result<Search> {
        self.worktree()?;
        self.check_trust(cancel)?;
        self.check_early_hook()?;
        if let Some(operation) = self.in_progress() {
            return Err(Error::InProgress(operation.to_owned()));
        }
        let mut ids = vec![self.resolve_commit(bad, cancel)?.to_string()];
        for rev in good {
            ids.push(self.resolve_commit(rev, cancel)?.to_string());
        }
        // Any commit in the range may be checked out.
        let listing = self.read(&["log", "--format=", "-m"]).args(RAW).arg(&ids[0]).arg("--not").args(&ids[1..]);
        let coming = Self::coming(listing.arg("--"), cancel)?;
        self.check_ignored(coming.iter(), cancel)?;
        if self.is_partial() {
            // Requiring the contents of the whole range would be wasteful.
            self.need_for_bisect(&ids[..1], &ids[1..], cancel)?;
        } else {
            self.check_complete(&coming, None, cancel)?;
        }
        let begin = SystemTime::now();
        let (ended, _) = self.locked(cancel, || self.change(&["bisect", "start"]).args(&ids).arg("--"))?;
        self.bisect_halt(&ended).map_or(Ok(()), Err)?;
        self.require_whole(&ended, "bisect start", begin, cancel)?;
        self.search(cancel)
    }

    /// Marks `rev`, or the checked-out commit, and checks out the next commit. The hook `post-checkout` may have failed after that.
    ///
    /// # Errors
    ///
    /// [`Error::NothingInProgress`], [`Error::UnknownRevision`].
    pub fn bisect_mark(&self, verdict: Verdict, rev: Option<&Rev>, cancel: &Cancel) -> Result<(Search, Option<FailedHook>)> {
        self.check_trust(cancel)?;
        self.check_early_hook()?;
        self.check_bisecting()?;
        let head = Rev::head();
        let id = self.resolve_commit(rev.unwrap_or(&head), cancel)?;
        let terms = self.bisect_terms()?;
        let word = match verdict {
            Verdict::Good => terms.good.as_str(),
            Verdict::Bad => terms.bad.as_str(),
            Verdict::Skip => "skip",
        };
        let known = |pattern: &str| -> Result<Vec<String>> {
            let listed = self.read(&["for-each-ref", "--format=%(objectname)"]).arg(pattern).success(cancel, MAX_OUTPUT)?;
            Ok(listed.lines().map(|id| id.to_str_lossy().into_owned()).collect())
        };
        if self.is_partial() {
            let (mut bad, mut good) = (known(&format!("refs/bisect/{}", terms.bad))?, known(&format!("refs/bisect/{}-*", terms.good))?);
            match verdict {
                Verdict::Bad => bad = vec![id.to_string()],
                Verdict::Good | Verdict::Skip => good.push(id.to_string()),
            }
            self.need_for_bisect(&bad, &good, cancel)?;
        }
        let begin = SystemTime::now();
        let (ended, output) = self.locked(cancel, || self.change(&["bisect", word]).arg(id.to_string()))?;
        // git exits with 2 if only skipped commits are left.
        if !matches!(ended.code, Some(0 | 2)) {
            if let Some(hook) = ended.children.failed_hook("post-checkout") {
                let failed = FailedHook { by: hook.clone(), said: words(&ended.stderr) };
                return Ok((self.search(cancel)?, Some(failed)));
            }
            let said = String::from_utf8_lossy(&output).into_owned() + &ended.stderr;
            let failed = || Error::Failed { command: "bisect".to_owned(), exit: ended.status.clone(), stderr: said.trim().to_owned() };
            return Err(self.bisect_halt(&ended).unwrap_or_else(failed));
        }
        if ended.code == Some(0) {
            self.require_whole(&ended, "bisect", begin, cancel)?;
        }
        Ok((self.search(cancel)?, None))
    }

    /// The error of a bisect that a hook stopped; `post-checkout`, after a checkout.
    pub(super) fn bisect_halt(&self, ended: &Ended) -> Option<Error> {
        let hook = ended.children.failed_hook("post-checkout").or_else(|| ended.children.stopper());
        let by = hook.filter(|_| ended.code != Some(0))?;
        // git takes the failure for one of the checkout.
        let is_true = |line: &&str| !line.starts_with("error: could not check out original HEAD");
        let said = ended.stderr.lines().filter(is_true).collect::<Vec<_>>().join("\n");
        let mut halt = Halt::new("bisect", Some(by.clone()), &said);
        halt.operation = self.progress();
        Some(Error::Halted(Box::new(halt)))
    }

    /// Fails if a partial clone lacks objects for checking out the next commit.
    fn need_for_bisect(&self, bad: &[String], good: &[String], cancel: &Cancel) -> Result<()> {
        let (true, Some(head)) = (self.is_partial() && !bad.is_empty(), self.head(cancel)?) else { return Ok(()) };
        let process = self.read(&["rev-list", "--bisect"]).args(bad).arg("--not").args(good);
        let (_, output) = process.output(cancel, MAX_OUTPUT)?;
        let Some(next) = output.lines().next().and_then(|id| ObjectId::from_hex(id).ok()) else { return Ok(()) };
        let mut needs = self.needs(cancel);
        needs.changed(Some(head), next, &[])?;
        needs.check_for_worktree()
    }

    /// Ends the bisect and returns to the starting branch or commit.
    ///
    /// # Errors
    ///
    /// [`Error::NothingInProgress`], [`Error::Failed`] if edits are in the way; [`Error::Halted`] if the hook `post-checkout`
    /// failed: the original checkout is restored then, and the bisect in progress.
    pub fn bisect_reset(&self, cancel: &Cancel) -> Result<()> {
        self.check_trust(cancel)?;
        self.check_early_hook()?;
        self.check_bisecting()?;
        let (ended, _) = self.locked(cancel, || self.change(&["bisect", "reset"]))?;
        self.bisect_halt(&ended).map_or_else(|| ended.require("bisect reset"), Err)
    }

    /// The state of a bisect.
    ///
    /// # Errors
    ///
    /// [`Error::NothingInProgress`].
    pub fn search(&self, cancel: &Cancel) -> Result<Search> {
        self.check_bisecting()?;
        let listed = self.read(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/bisect/"]).success(cancel, MAX_OUTPUT)?;
        let terms = self.bisect_terms()?;
        let good_prefix = format!("{}-", terms.good);
        let (mut bad, mut good) = (None, Vec::new());
        for line in listed.lines() {
            let Some((name, id)) = line.split_once_str(" ") else { continue };
            let Ok(id) = ObjectId::from_hex(id) else { continue };
            match name.strip_prefix(b"refs/bisect/").unwrap_or_default() {
                name if name == terms.bad.as_bytes() => bad = Some(id),
                name if name.starts_with(good_prefix.as_bytes()) => good.push(id),
                _ => {}
            }
        }
        if let Some(end) = self.bisect_end(&terms) {
            return Ok(end);
        }
        let (Some(bad), false) = (bad, good.is_empty()) else { return Ok(Search::Waiting) };
        let span = |option: &'static str| {
            self.read(&["rev-list", option]).arg(bad.to_string()).arg("--not").args(good.iter().map(ToString::to_string))
        };
        let (ended, vars) = span("--bisect-vars").output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0) {
            return Err(Error::BadPlan("there is no commit between the bad and the good ones: the bug came and went".to_owned()));
        }
        let value = |name: &str| -> u64 {
            let line = vars.lines().find_map(|line| line.to_str().ok()?.strip_prefix(name)?.strip_prefix('='));
            line.and_then(|value| value.trim_matches('\'').parse().ok()).unwrap_or_default()
        };
        let left = value("bisect_all");
        let next = self.head(cancel)?.ok_or(Error::NothingInProgress)?;
        Ok(Search::At { next, left, steps: value("bisect_steps") })
    }

    /// The result that git has logged.
    fn bisect_end(&self, terms: &Terms) -> Option<Search> {
        let log = self.git_file("BISECT_LOG", Kind::Steps).ok()??;
        // The result is in comments after the last mark.
        let (mut found, mut skipped) = (None, Vec::new());
        for line in log.lines() {
            let noted = |prefix: &[u8]| {
                line.strip_prefix(prefix).and_then(|rest| ObjectId::from_hex(rest.split(|&byte| byte == b']').next()?).ok())
            };
            if !line.starts_with(b"#") {
                (found, skipped) = (None, Vec::new());
            }
            found = noted(format!("# first {} commit: [", terms.bad).as_bytes()).or(found);
            skipped.extend(noted(format!("# possible first {} commit: [", terms.bad).as_bytes()));
        }
        match found {
            Some(id) => Some(Search::Found(id)),
            None if skipped.is_empty() => None,
            None => Some(Search::Skipped(skipped)),
        }
    }

    /// The terms for good and bad, custom ones if the bisect was started with them.
    ///
    /// # Errors
    ///
    /// [`Error::BadPlan`] for invalid terms.
    pub fn bisect_terms(&self) -> Result<Terms> {
        let Some(text) = self.git_file("BISECT_TERMS", Kind::Line)? else { return Ok(Terms::default()) };
        let mut words = text.lines().map(|word| word.to_str_lossy().into_owned());
        let (Some(bad), Some(good)) = (words.next(), words.next()) else { return Ok(Terms::default()) };
        // git does not allow its own commands as terms.
        let is_word = |word: &str| {
            let plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            plain && !word.is_empty() && !word.starts_with(['-', '.']) && !COMMANDS.contains(&word)
        };
        if !is_word(&bad) || !is_word(&good) {
            return Err(Error::BadPlan("the terms of this bisect, in BISECT_TERMS, are invalid".to_owned()));
        }
        Ok(Terms { good, bad })
    }

    fn check_bisecting(&self) -> Result<()> {
        if self.location.git_dir.join("BISECT_LOG").exists() { Ok(()) } else { Err(Error::NothingInProgress) }
    }
}
