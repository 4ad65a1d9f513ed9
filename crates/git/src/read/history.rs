//! History queries with short answers: describe, reflog, range-diff, shortlog, merge preview.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{Ambiguity, Range, RelPath, Rev},
    read::{
        fields::{Layout, MAX_FIELD, clipped},
        needs::is_attributes,
        tagged,
    },
    repo::{Repo, of_tree},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{fs, ops::ControlFlow};

const MAX_OUTPUT: usize = 16 << 20;
/// Maximum length of a file listing.
const MAX_LISTING: usize = 256 << 20;
/// Selects all attributes files.
const ATTRIBUTES: &str = ":(top,glob)**/.gitattributes";

/// An entry of the reflog.
#[derive(Clone, Debug)]
pub struct Reflog {
    /// `NAME@{N}`
    pub selector: Vec<u8>,
    /// The commit the reference was moved to.
    pub id: ObjectId,
    /// The date in ISO format.
    pub date: String,
    /// The message.
    pub reason: Vec<u8>,
}

/// The result of a merge preview.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The merged tree, including conflict markers.
    pub tree: ObjectId,
    /// The paths in conflict.
    pub conflicts: Vec<Vec<u8>>,
    /// git's messages.
    pub messages: Vec<u8>,
    /// The attributes of the working tree apply instead of those of the target, which differ: git is older than 2.41.
    pub foreign_attributes: bool,
}

impl Repo {
    /// Whether a commit in HEAD but not in `target` is also in a remote-tracking branch: moving the branch to `target`
    /// would rewrite published history.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn is_pushed_since(&self, target: ObjectId, cancel: &Cancel) -> Result<bool> {
        let count = |more: &[&str]| -> Result<u64> {
            let process = self.read(&["rev-list", "--count", "--ignore-missing", "HEAD", "--not"]).arg(target.to_string()).args(more);
            Ok(process.success(cancel, MAX_OUTPUT)?.trim_ascii_end().to_str().ok().and_then(|text| text.parse().ok()).unwrap_or_default())
        };
        Ok(count(&[])? > count(&["--remotes"])?)
    }

    /// Describes `rev` by the nearest tag.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::NoTag`] if no tag reaches it.
    pub fn describe(&self, rev: &Rev, any_tag: bool, exact: bool, cancel: &Cancel) -> Result<String> {
        let id = self.resolve_commit(rev, cancel)?;
        let in_process = |engine: &gix::Repository| tagged::describe(engine, id, any_tag, exact, cancel);
        let (found, _) = self.answer("describe", in_process, || self.describe_with_git(id, any_tag, exact, cancel))?;
        found.ok_or_else(|| Error::NoTag(rev.as_str().to_owned()))
    }

    fn describe_with_git(&self, id: ObjectId, any_tag: bool, exact: bool, cancel: &Cancel) -> Result<Option<String>> {
        let mut process = self.read(&["describe", "--long", "--abbrev=12"]).may_die();
        for (option, wanted) in [("--tags", any_tag), ("--exact-match", exact)] {
            if wanted {
                process = process.arg(option);
            }
        }
        let (ended, output) = process.arg(id.to_string()).output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0) {
            // git describe dies without a tag, and if it cannot read the history.
            self.read(&["rev-list", "--count"]).arg(id.to_string()).success(cancel, MAX_OUTPUT)?;
            return Ok(None);
        }
        Ok(Some(output.trim_ascii_end().to_str_lossy().into_owned()))
    }

    /// The reflog of a reference, or of HEAD, newest first.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn reflog(&self, name: Option<&Rev>, skip: usize, max_count: usize, cancel: &Cancel) -> Result<Vec<Reflog>> {
        if !self.location.trusted {
            self.check_links(cancel)?;
        }
        let name = match name.filter(|name| name.as_str() != "HEAD") {
            Some(name) => self.logged(name, cancel)?,
            None => "HEAD".to_owned(),
        };
        let process = self.read(&["log", "--walk-reflogs", "-z", "--format=%gd%x01%H%x01%gs", "--date=iso-strict"]).may_die();
        let process = process.args([format!("--skip={skip}"), format!("--max-count={max_count}"), name, "--".to_owned()]);
        let (ended, entries) = process.fields(Layout { limit: &|_| 2 * MAX_FIELD, ..Layout::NUL }, cancel)?;
        if ended.code != Some(0) {
            return if self.head(cancel)?.is_none() { Ok(Vec::new()) } else { Err(ended.unreadable()) };
        }
        if entries.is_empty() {
            // git skips entries it cannot read.
            self.head(cancel)?;
        }
        let entry = |(at, entry): (usize, &Vec<u8>)| {
            let mut fields = entry.splitn(3, |&byte| byte == 1);
            let (selector, id, reason) = (fields.next()?, fields.next()?, fields.next()?);
            // With `--date`, the selector contains the date instead of the number.
            let (name, date) = selector.strip_suffix(b"}")?.rsplit_once_str(b"@{")?;
            Some(Reflog {
                selector: [name, format!("@{{{}}}", skip + at).as_bytes()].concat(),
                id: ObjectId::from_hex(id).ok()?,
                date: date.to_str_lossy().into_owned(),
                reason: clipped(reason, MAX_FIELD),
            })
        };
        Ok(entries.iter().filter(|entry| !entry.is_empty()).enumerate().filter_map(entry).collect())
    }

    /// The reference whose reflog `name` means: of several, as in git, the first that has one.
    fn logged(&self, name: &Rev, cancel: &Cancel) -> Result<String> {
        let is_step = ["@{", "^", "~", ":"].iter().any(|sign| name.as_str().contains(sign));
        let found = if is_step { Vec::new() } else { self.references(name.as_str(), cancel)? };
        if let [only] = found.as_slice() {
            return Ok(only.clone());
        }
        let is_logged = |full: &&String| {
            let process = self.read(&["reflog", "exists"]).arg(full.as_str()).may_die();
            process.output(cancel, MAX_OUTPUT).is_ok_and(|(ended, _)| ended.code == Some(0))
        };
        match found.iter().find(is_logged).or(found.first()) {
            Some(taken) => {
                let others = found.iter().filter(|full| *full != taken).cloned().collect();
                let name = name.as_str().to_owned();
                cancel.looked_up(&name.clone(), Some(Ambiguity { name, taken: taken.clone(), others, full_name_helps: true }));
                Ok(taken.clone())
            }
            None => self.full_name(name, cancel)?.ok_or_else(|| Error::UnknownRevision(name.as_str().to_owned())),
        }
    }

    /// Compares two versions of a series of commits.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::Failed`].
    pub fn range_diff(
        &self,
        old: &Range,
        new: &Range,
        patches: bool,
        cancel: &Cancel,
        each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        // range-diff starts another git, which runs diff drivers.
        if self.settings.conditional || !self.settings.local_diff_drivers.is_empty() {
            let program = "diff driver, which range-diff would run".to_owned();
            return Err(Error::Untrusted { path: self.top().to_owned(), program });
        }
        let id = |rev: &Rev| self.resolve_commit(rev, cancel);
        let span = |range: &Range| -> Result<String> { Ok(format!("{}..{}", id(&range.from)?, id(&range.to)?)) };
        let (old, new) = (span(old)?, span(new)?);
        if self.is_partial() {
            let listed = self.read(&["rev-list", "--no-merges"]).args([&old, &new]).success(cancel, MAX_OUTPUT)?;
            let ids: Vec<ObjectId> = listed.lines().filter_map(|id| ObjectId::from_hex(id).ok()).collect();
            let mut needs = self.needs(cancel);
            needs.commits(&ids, &[])?;
            needs.check()?;
        }
        let mut process = self.read(&["range-diff", "--no-color", "--no-ext-diff", "--no-textconv"]);
        if !patches {
            process = process.arg("--no-patch");
        }
        process.args([old, new]).stream(cancel, each)?.require("range-diff")
    }

    /// Commit counts by author, in descending order.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn shortlog(&self, rev: &Rev, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<(u64, Vec<u8>)>> {
        let range = match rev.range()? {
            Some(range) => {
                let dots = if range.symmetric { "..." } else { ".." };
                format!("{}{dots}{}", self.resolve_commit(&range.from, cancel)?, self.resolve_commit(&range.to, cancel)?)
            }
            None => self.resolve_commit(rev, cancel)?.to_string(),
        };
        let process = self.read(&["shortlog", "--summary", "--numbered", "--email"]).arg(range).arg("--");
        let process = process.args(paths.iter().map(RelPath::literal));
        let lines = process.fields_of_success(Layout { separator: b'\n', divider: Some(b'\t'), ..Layout::NUL }, cancel)?;
        let line = |line: &Vec<u8>| {
            let (count, name) = line.split_once_str("\t")?;
            Some((count.trim().to_str().ok()?.parse().ok()?, name.to_vec()))
        };
        Ok(lines.iter().filter_map(line).collect())
    }

    /// Refuses a merge that might run a merge driver configured in the repository.
    fn check_drivers(&self, ours: ObjectId, theirs: ObjectId, attributes: Option<ObjectId>, cancel: &Cancel) -> Result<()> {
        const USUAL: [&str; 6] = ["unspecified", "set", "unset", "text", "binary", "union"];
        let mut paths = Vec::new();
        for base in self.merge_bases(ours, theirs, cancel)? {
            for side in [ours, theirs] {
                let listing = self.read(&["diff-tree", "-r", "-z", "--name-only", "--no-renames"]);
                paths.extend(listing.arg(base.to_string()).arg(side.to_string()).success(cancel, MAX_OUTPUT)?);
            }
        }
        let asked = of_tree(self.read(&["check-attr", "-z", "--stdin", "merge"]), attributes).stdin(paths);
        let listed = asked.success(cancel, MAX_OUTPUT)?;
        let fields: Vec<&[u8]> = listed.split(|&byte| byte == 0).collect();
        for entry in fields.chunks_exact(3) {
            let driver = entry[2].to_str_lossy();
            let is_usual = USUAL.contains(&&*driver);
            if self.settings.local_merge_drivers.contains(&*driver) || self.settings.conditional && !is_usual {
                return Err(Error::NotPreviewed { path: crate::quote::listed(entry[0]), driver: driver.into_owned() });
            }
        }
        Ok(())
    }

    /// True if the attributes in the working tree differ from those of `tree`; a bare repository has none.
    fn has_other_attributes(&self, tree: ObjectId, cancel: &Cancel) -> Result<bool> {
        if self.location.worktree.is_none() {
            let listing = self.read(&["ls-tree", "-r", "-z", "--name-only", "--full-tree"]).arg(tree.to_string());
            let listed = listing.success(cancel, MAX_LISTING)?;
            return Ok(listed.split(|&byte| byte == 0).any(is_attributes));
        }
        let edited = ["diff", "--name-only", "-z", "--no-ext-diff", "--ignore-submodules=all"];
        let edited = self.read_worktree(&edited, cancel)?.arg(tree.to_string());
        let untracked = self.read(&["ls-files", "--others", "-z"]);
        for listing in [edited, untracked] {
            if !listing.arg("--").arg(ATTRIBUTES).success(cancel, MAX_OUTPUT)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Merges in memory: references, index and files stay unchanged. The attributes are those of `ours`, or of the working
    /// tree if `ours` is checked out there, as for a merge.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], [`Error::Failed`] for histories without a common commit.
    pub fn merge_preview(&self, ours: &Rev, theirs: &Rev, cancel: &Cancel) -> Result<Preview> {
        let (ours, theirs) = (self.resolve_commit(ours, cancel)?, self.resolve_commit(theirs, cancel)?);
        let drivers = &self.settings.local_merge_drivers;
        if !self.location.trusted && (self.settings.conditional || !drivers.is_empty()) {
            let program = "merge driver, which a preview would run".to_owned();
            return Err(Error::Untrusted { path: self.top().to_owned(), program });
        }
        self.check_related(ours, theirs, cancel)?;
        let is_here = self.location.worktree.is_some() && self.head(cancel)? == Some(ours);
        let attributes = Some(ours).filter(|_| !is_here);
        let mut needs = self.needs(cancel);
        needs.merge(ours, theirs)?;
        attributes.map_or(Ok(()), |tree| needs.attributes(tree))?;
        needs.check()?;
        if self.settings.conditional || !drivers.is_empty() {
            self.check_drivers(ours, theirs, attributes, cancel)?;
        }
        let is_old = self.git.version()?.number < (2, 41);
        let foreign_attributes = !is_here && is_old && self.has_other_attributes(ours, cancel)?;
        // The merge writes its objects to a temporary directory.
        let scratch = tempfile::Builder::new().prefix("mcp-server-git-").tempdir().map_err(Error::io("creating an object directory"))?;
        let own = fs::canonicalize(scratch.path()).map_err(Error::io("opening an object directory"))?;
        let process = self
            .read(&["merge-tree", "--write-tree", "-z", "--name-only", "--messages"])
            .env("GIT_OBJECT_DIRECTORY", scratch.path().display().to_string())
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", quoted(&self.location.common_dir.join("objects")))
            .inside(self.domain_with(&own)?);
        // Disable drivers for intermediate merges as well.
        let process = drivers.iter().fold(process, |process, driver| process.config(format!("merge.{driver}.driver"), "false"));
        let process = of_tree(process, attributes).args([ours.to_string(), theirs.to_string()]);
        let (ended, output) = process.may_die().output(cancel, MAX_OUTPUT)?;
        if !matches!(ended.code, Some(0 | 1)) {
            // git merge-tree dies for histories without a common commit, and for unreadable objects.
            let is_damaged = !self.merge_bases(ours, theirs, cancel)?.is_empty();
            return Err(if is_damaged { ended.unreadable() } else { ended.failed("merge-tree") });
        }
        let preview = merged(&output).ok_or_else(|| ended.failed("merge-tree"))?;
        Ok(Preview { foreign_attributes, ..preview })
    }
}

/// Parses the output of `git merge-tree -z --name-only --messages`.
fn merged(output: &[u8]) -> Option<Preview> {
    let mut fields = output.split(|&byte| byte == 0);
    let tree = fields.next().and_then(|id| ObjectId::from_hex(id).ok())?;
    let conflicts = fields.by_ref().take_while(|path| !path.is_empty()).map(<[u8]>::to_vec).collect();
    // Each message: number of paths, the paths, its kind, its text.
    let mut messages = Vec::new();
    while let Some(count) = fields.next().and_then(|count| count.to_str().ok()).and_then(|count| count.parse::<usize>().ok()) {
        let text = fields.by_ref().nth(count + 1).unwrap_or_default();
        messages.extend_from_slice(text);
    }
    Some(Preview { tree, conflicts, messages, foreign_attributes: false })
}

/// Quotes a path for git's path-list variables.
fn quoted(path: &std::path::Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}
