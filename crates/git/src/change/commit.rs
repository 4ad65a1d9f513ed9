//! Commits.

use super::{
    MAX_OUTPUT,
    message::{NO_COMMENT, complete},
};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::Mode,
    repo::{Repo, route::Route},
};
use gix::ObjectId;

/// Options of a commit.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent option")]
pub struct CommitRequest {
    /// The message; the amended commit's when absent.
    pub message: Option<String>,
    /// Replaces the newest commit.
    pub amend: bool,
    /// `Name <address>` of the author, if not the committer.
    pub author: Option<String>,
    /// Adds a `Signed-off-by` line.
    pub sign_off: bool,
    /// Allows a commit without changes.
    pub allow_empty: bool,
    /// Commits only these files, from the working tree; the index when empty.
    pub paths: Vec<RelPath>,
    /// Signs it, with this key, or the configured one if empty.
    pub sign: Option<String>,
    /// Allows lines that look like conflict markers.
    pub confirmed: bool,
}

/// A new commit.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its id.
    pub id: ObjectId,
    /// The former tip of the branch.
    pub before: Option<ObjectId>,
    /// Its first parent.
    pub parent: Option<ObjectId>,
    /// The output of git, hooks and filters.
    pub output: String,
    /// Which implementation made it.
    pub route: Route,
}

impl Repo {
    /// Records the index as a commit on the current branch.
    ///
    /// # Errors
    ///
    /// [`Error::NothingStaged`], [`Error::Unmerged`], [`Error::Untrusted`]; [`Error::Halted`] if a hook
    /// refused or signing failed.
    pub fn commit(&self, request: &CommitRequest, cancel: &Cancel) -> Result<Committed> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let before = self.head(cancel)?;
        if request.sign.as_ref().is_some_and(|key| key.starts_with('-') || key.chars().any(|c| c.is_control() || c.is_whitespace())) {
            return Err(Error::bad_name(request.sign.clone().unwrap_or_default(), "a key", "it begins with `-` or has a space"));
        }
        if request.sign.is_some() && !self.location.trusted {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "signing program".to_owned() });
        }
        if let Some(end) = before.filter(|_| request.amend)
            && self.is_cut_at(end, cancel)?
        {
            // git would amend a shallow boundary commit into one without parents.
            return Err(Error::Boundary(end));
        }
        if self.may_have_had_conflicts() {
            // With paths git would even treat conflicted files as resolved.
            self.check_resolved(&request.paths, request.confirmed, cancel)?;
        }
        let here = |engine: &gix::Repository| self.record(engine, request, before, cancel);
        let (committed, _) = self.answer_in(Mode::Change, "commit", here, || self.commit_with_git(request, before, cancel))?;
        Ok(committed)
    }

    fn commit_with_git(&self, request: &CommitRequest, before: Option<ObjectId>, cancel: &Cancel) -> Result<Committed> {
        let author = request.author.as_deref().map(author).transpose()?;
        let (mut ended, output) = self.locked(cancel, || {
            let mut process = self.recording(&["commit", "--quiet"]);
            if request.sign.is_some() {
                process = process.traced(Some(&self.location.git_dir));
            }
            if request.sign_off {
                // git inserts the trailer above trailing comments; with this sign no line is a comment.
                process = process.config("core.commentChar", NO_COMMENT);
            }
            for (option, wanted) in [("--amend", request.amend), ("--signoff", request.sign_off), ("--allow-empty", request.allow_empty)] {
                if wanted {
                    process = process.arg(option);
                }
            }
            if let Some(author) = &author {
                process = process.arg(format!("--author={author}"));
            }
            if let Some(key) = &request.sign {
                process = process.arg(format!("--gpg-sign={key}"));
            }
            process = match &request.message {
                // git also inserts the trailer above trailing blank lines.
                Some(message) if request.sign_off => process.arg("--file=-").stdin(complete(message.trim_end()).into_bytes()),
                Some(message) => process.arg("--file=-").stdin(complete(message).into_bytes()),
                None => process.arg("--no-edit"),
            };
            if request.paths.is_empty() {
                return process;
            }
            process.arg("--only").arg("--").args(request.paths.iter().map(RelPath::literal))
        })?;
        if ended.code != Some(0) {
            let unmerged = self.unmerged(cancel)?;
            if !unmerged.is_empty() {
                return Err(Error::Unmerged(unmerged.iter().map(ToString::to_string).collect()));
            }
            if let Some(halted) = self.halted("commit", &ended, cancel)? {
                return Err(halted);
            }
            let now = self.head(cancel)?;
            if now != before {
                let id = |commit: Option<ObjectId>| commit.map_or_else(|| "no commit".to_owned(), |id| id.to_string());
                return Err(Error::HeadMoved { from: id(before), to: id(now) });
            }
            let makes_one_anyway = request.amend || request.allow_empty || self.location.git_dir.join("MERGE_HEAD").exists();
            if !makes_one_anyway && request.paths.is_empty() && self.is_index_clean(before, cancel)? {
                return Err(Error::NothingStaged);
            }
            self.check_known(&request.paths, cancel)?;
            if ended.stderr.trim().is_empty() {
                // "nothing to commit" goes to stdout.
                ended.stderr = String::from_utf8_lossy(&output[..output.len().min(2000)]).into_owned();
            }
            return Err(ended.failed("commit"));
        }
        let id = self.resolve_commit(&Rev::head(), cancel)?;
        let parent = if request.amend { self.resolve_commit(&Rev::new(format!("{id}~1"))?, cancel).ok() } else { before };
        Ok(Committed { id, before, parent, output: ended.stderr, route: Route::Cli })
    }

    /// Fails if no identity is configured for commits.
    pub(super) fn check_identity(&self, cancel: &Cancel) -> Result<()> {
        for identity in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
            if self.read(&["var", identity]).may_die().output(cancel, 4096)?.0.code != Some(0) {
                return Err(Error::NoIdentity);
            }
        }
        Ok(())
    }

    pub(super) fn is_index_clean(&self, head: Option<ObjectId>, cancel: &Cancel) -> Result<bool> {
        if head.is_none() {
            return Ok(self.read(&["ls-files", "-z"]).output(cancel, MAX_OUTPUT).is_ok_and(|(_, files)| files.is_empty()));
        }
        Ok(self.read(&["diff", "--cached", "--quiet", "--no-ext-diff", "--ignore-submodules=dirty"]).output(cancel, MAX_OUTPUT)?.0.code
            == Some(0))
    }
}

/// Checks for the form `Name <address>`: git searches existing authors for any other text.
fn author(text: &str) -> Result<&str> {
    let wrong = |why| Error::bad_name(text, "an author", why);
    let (name, rest) = text.split_once('<').ok_or_else(|| wrong("it must have the form `Name <address>`"))?;
    let address = rest.strip_suffix('>').ok_or_else(|| wrong("it must have the form `Name <address>`"))?;
    if text.contains(|c: char| c.is_control()) || address.contains(['<', '>']) {
        return Err(wrong("it contains a line break, a control character or another bracket"));
    }
    if name.trim().is_empty() || address.trim().is_empty() {
        return Err(wrong("it needs a name and an address"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_have_a_name_and_an_address() {
        assert!(author("A U Thor <author@example.com>").is_ok());
        for wrong in ["", "A", "A <b", "<b>", "A <>", "A\nB <c>", "A <b> <c>", "--author=x"] {
            assert!(author(wrong).is_err(), "{wrong:?}");
        }
    }
}
