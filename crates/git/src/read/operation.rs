//! The operation in progress: a merge, a rebase, …; possibly one inside another.

use crate::{
    beneath::{Folder, Kind},
    repo::Repo,
};
use gix::bstr::ByteSlice;

/// Files of an operation in the git directory, and its name. A rebase or a series of patches may contain one.
const SIGNS: [(&str, &str); 3] = [("MERGE_HEAD", "merge"), ("CHERRY_PICK_HEAD", "cherry-pick"), ("REVERT_HEAD", "revert")];
/// The names of all operations.
const OPERATIONS: [&str; 6] = ["rebase", "am", "merge", "cherry-pick", "revert", "bisect"];
/// Minimum length of an abbreviated id.
const MIN_ID: usize = 4;

impl Repo {
    /// The operation in progress: `merge`, `rebase`, …; the innermost, if one was started while another was stopped.
    pub fn in_progress(&self) -> Option<&'static str> {
        let git_dir = self.git_folder();
        inner(git_dir).or_else(|| outer(git_dir).next())
    }

    /// The stopped operation in which the one in progress was started.
    pub fn outer_operation(&self) -> Option<&'static str> {
        let inner = self.in_progress()?;
        outer(self.git_folder()).find(|outer| *outer != inner)
    }

    /// The operation in progress and its current step, if it has steps, and the one around it.
    pub fn progress(&self) -> Option<String> {
        let inner = self.with_step(self.in_progress()?);
        Some(match self.outer_operation() {
            Some(outer) => format!("{inner} inside a {}", self.with_step(outer)),
            None => inner,
        })
    }

    fn with_step(&self, operation: &'static str) -> String {
        let number = |dir: &str, file: &str| {
            let line = self.git_folder().line(format!("{dir}/{file}"))?;
            line.to_str().ok()?.trim().parse::<u32>().ok()
        };
        let steps = |dir, done, all| Some((number(dir, done)?, number(dir, all)?));
        let steps = match operation {
            "rebase" | "am" => steps("rebase-merge", "msgnum", "end").or_else(|| steps("rebase-apply", "next", "last")),
            _ => None,
        };
        let operation = if operation == "am" { "series of patches" } else { operation };
        steps.map_or_else(|| operation.to_owned(), |(done, all)| format!("{operation} ({done} of {all})"))
    }
}

/// The operation `name`, as returned by [`Repo::in_progress`].
pub fn operation(name: &str) -> Option<&'static str> {
    OPERATIONS.into_iter().find(|operation| *operation == name)
}

/// An operation that is no step of a rebase.
fn inner(git_dir: &Folder) -> Option<&'static str> {
    let named = SIGNS.iter().find(|(sign, _)| git_dir.has(sign) && !is_step(git_dir, sign)).map(|(_, name)| *name);
    named.or_else(|| {
        // Between two commits of a series only the todo list exists.
        let left = git_dir.read("sequencer/todo", Kind::Steps).ok()??;
        Some(if left.starts_with(b"revert") { "revert" } else { "cherry-pick" })
    })
}

/// Operations that may contain another, from inside to outside.
fn outer(git_dir: &Folder) -> impl Iterator<Item = &'static str> {
    let rebases = ["rebase-merge", "rebase-apply"].iter().any(|sign| git_dir.has(sign));
    let stopped = if git_dir.has("rebase-apply/applying") { Some("am") } else { rebases.then_some("rebase") };
    stopped.into_iter().chain(git_dir.has("BISECT_LOG").then_some("bisect"))
}

/// Whether the rebase in progress wrote `sign` for the step at which it stopped.
fn is_step(git_dir: &Folder, sign: &str) -> bool {
    let Some(at) = git_dir.line(sign).filter(|_| git_dir.has("rebase-merge")) else { return false };
    let steps = |name: &str| git_dir.read(name, Kind::Steps).ok().flatten().unwrap_or_default();
    let (done, todo) = (steps("rebase-merge/done"), steps("rebase-merge/git-rebase-todo"));
    let is_some_step = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let last = done.split(|&byte| byte == b'\n').rfind(is_some_step).unwrap_or_default();
    let is_id = |word: &str| word.len() >= MIN_ID && at.starts_with(word.as_bytes());
    if sign == "REVERT_HEAD" {
        // A rebase reverts no commit but by a step of that kind.
        return last.starts_with(b"revert ");
    }
    if sign != "MERGE_HEAD" {
        let commit = last.to_str_lossy().split(' ').nth(1).is_some_and(is_id);
        return commit || git_dir.line("REBASE_HEAD").is_some_and(|id| id == at);
    }
    let is_label = |word: &str| git_dir.line(format!("refs/rewritten/{word}")).is_some_and(|id| id == at);
    let merges = |step: &[u8]| {
        let step = step.to_str_lossy();
        let mut words = step.split(' ').take_while(|word| *word != "#");
        matches!(words.next(), Some("merge" | "m")) && words.any(|word| is_id(word) || is_label(word))
    };
    // A merge that could not start is the next step again.
    merges(last) || todo.split(|&byte| byte == b'\n').find(is_some_step).is_some_and(merges)
}
