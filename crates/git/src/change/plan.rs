//! The todo list of an interactive rebase.

use super::{MAX_OUTPUT, message::complete};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::Rev,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashSet, fmt::Write as _};

/// Maximum number of commits that one call picks, reverts or plans.
pub(super) const MAX_STEPS: usize = 500;

/// Subject prefixes of autosquash commits: git omits these subjects.
const AUTOSQUASH: [&[u8]; 3] = [b"squash!", b"fixup!", b"amend!"];

/// The action of a plan on a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Keeps it.
    Pick,
    /// Keeps it with another message.
    Reword,
    /// Combines it with the previous one, with both messages or a new one.
    Squash,
    /// Combines it with the previous one, without its message.
    Fixup,
    /// Drops it.
    Drop,
}

/// One step of a plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// The action.
    pub action: Action,
    /// The commit.
    pub commit: Rev,
    /// The new message, for `Reword` and `Squash`.
    pub message: Option<String>,
}

/// Commits that are combined.
struct Group {
    /// The first commit, which absorbs the others.
    first: ObjectId,
    /// The message, if it differs from the first commit's.
    message: Option<Vec<u8>>,
}

impl Repo {
    /// Converts a plan to git's todo list. A combined or new message is passed in an empty commit and applied with
    /// `fixup -C`: git itself would drop lines that look like comments.
    pub(super) fn todo(&self, upstream: ObjectId, plan: &[Step], cancel: &Cancel) -> Result<String> {
        let bad = |why: String| Err(Error::BadPlan(why));
        let head = self.resolve_commit(&Rev::head(), cancel)?;
        let commits = self.between(upstream, head, cancel)?;
        if commits.len() > MAX_STEPS || plan.len() > MAX_STEPS {
            return bad(format!("a plan has at most {MAX_STEPS} steps"));
        }
        let mut left: HashSet<ObjectId> = commits.iter().copied().collect();
        let (mut todo, mut group): (String, Option<Group>) = Default::default();
        for step in plan {
            let id = self.resolve_commit(&step.commit, cancel)?;
            if !left.remove(&id) {
                return bad(format!("{} is not among the commits that are rebased, or is named twice", step.commit));
            }
            let parents = self.read(&["rev-list", "--parents", "--max-count=1"]).arg(id.to_string()).success(cancel, MAX_OUTPUT)?;
            if parents.split(|&byte| byte == b' ').count() > 2 {
                return bad(format!("{} is a merge, which a plan cannot contain", step.commit));
            }
            let message = step.message.as_ref().filter(|message| !message.trim().is_empty()).map(|text| complete(text).into_bytes());
            match (step.action, &message) {
                (Action::Reword, None) => return bad(format!("`reword` of {} needs a message", step.commit)),
                (Action::Pick | Action::Fixup | Action::Drop, _) if step.message.is_some() => {
                    return bad(format!("only `reword` and `squash` take a message ({})", step.commit));
                }
                _ => {}
            }
            let command = match (step.action, &mut group) {
                (Action::Drop, _) => "drop",
                (Action::Pick | Action::Reword, _) => {
                    self.end_of_group(group.take(), &mut todo, cancel)?;
                    group = Some(Group { first: id, message });
                    "pick"
                }
                (Action::Squash | Action::Fixup, None) => {
                    return bad(format!("there is no commit before {} to combine it with", step.commit));
                }
                (action, Some(group)) => {
                    let so_far = match group.message.take() {
                        Some(message) => message,
                        None => self.message_of(group.first, cancel)?,
                    };
                    let own = if action == Action::Squash && message.is_none() { self.message_of(id, cancel)? } else { Vec::new() };
                    group.message = Some(message.unwrap_or_else(|| combined(so_far, &own)));
                    "fixup"
                }
            };
            // Writing to a string cannot fail.
            let _ = writeln!(todo, "{command} {id}");
        }
        if let Some(id) = commits.iter().find(|id| left.contains(*id)) {
            return bad(format!("{id} is in none of the {} steps: name every commit, with `drop` to remove it", plan.len()));
        }
        if group.is_none() {
            return bad("every commit would be dropped: use git_reset for that".to_owned());
        }
        self.end_of_group(group, &mut todo, cancel)?;
        Ok(todo)
    }

    /// The message of the commit `id`, converted to UTF-8 if it declares an encoding.
    pub(super) fn message_of(&self, id: ObjectId, cancel: &Cancel) -> Result<Vec<u8>> {
        let process = self.read(&["show", "--no-patch", "--format=%B", "--encoding=UTF-8"]).arg(id.to_string()).arg("--");
        let mut text = process.success(cancel, MAX_OUTPUT)?;
        // The line break that `git show` adds.
        text.pop();
        Ok(text)
    }

    /// Adds the step that sets the message of a group: an empty commit on its first one.
    fn end_of_group(&self, group: Option<Group>, todo: &mut String, cancel: &Cancel) -> Result<()> {
        let Some(Group { first, message: Some(message) }) = group else { return Ok(()) };
        let process = self.recording(&["commit-tree", "-F", "-", "-p"]).arg(first.to_string()).arg(format!("{first}^{{tree}}"));
        // With this subject git uses the rest of the message; with another one it might drop the real subject.
        let output = process.stdin([b"amend! message\n\n", message.as_slice()].concat()).success(cancel, MAX_OUTPUT)?;
        let _ = writeln!(todo, "fixup -C {}", String::from_utf8_lossy(output.trim_ascii_end()));
        Ok(())
    }
}

/// Both messages with a blank line in between, as git combines them for `squash`.
fn combined(mut message: Vec<u8>, own: &[u8]) -> Vec<u8> {
    let own = own.trim_start_with(|char| char == '\n');
    let own = if AUTOSQUASH.iter().any(|sign| own.starts_with(sign)) {
        own.find(b"\n\n").map_or(&[][..], |end| own[end..].trim_start_with(|char| char == '\n'))
    } else {
        own
    };
    if !own.trim_ascii().is_empty() {
        message.truncate(message.trim_end_with(|char| char == '\n').len());
        message.extend_from_slice(b"\n\n");
        message.extend_from_slice(own);
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_messages_omit_autosquash_subjects() {
        for (own, expected) in [
            ("# b\n", "# a\n\n# b\n"),
            ("\n\nb\n\n# c\n", "# a\n\nb\n\n# c\n"),
            ("squash! a\n\n# more\n", "# a\n\n# more\n"),
            ("fixup! a\n", "# a\n"),
            ("", "# a\n"),
        ] {
            assert_eq!(combined(b"# a\n".to_vec(), own.as_bytes()), expected.as_bytes(), "{own:?}");
        }
    }
}
