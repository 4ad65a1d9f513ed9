//! Lists the missing objects of a partial clone that a call needs. git would fetch them on demand, one by one and bypassing
//! the checks of remotes. Listing them first lets them be fetched in one batch, through the gate, before the call starts.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{Mode, Process, stderr::Ended},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
};

/// Maximum bytes of a listing.
const LISTING: usize = 256 << 20;
/// Maximum number of ids extracted from a message of git.
const MAX_NAMED: usize = 64;

/// The mode of a submodule.
const SUBMODULE: &[u8] = b"160000";

/// Options for listing changed files.
const RAW: [&str; 4] = ["-z", "--raw", "--no-abbrev", "--no-renames"];

/// Collects the objects a call needs. A no-op unless the repository is a partial clone.
pub(crate) struct Needs<'a> {
    repo: &'a Repo,
    cancel: &'a Cancel,
    /// Object ids, each with a path.
    ids: BTreeMap<ObjectId, Vec<u8>>,
}

impl Repo {
    /// Whether it is a partial clone.
    pub fn is_partial(&self) -> bool {
        !self.settings.promisors.is_empty()
    }

    /// Whether only disabling all protocols keeps git from fetching missing objects: before 2.45, in a partial clone.
    pub(crate) fn fetches_unasked(&self) -> bool {
        (self.is_partial() || self.settings.conditional) && self.git.version().is_ok_and(|version| version.number < (2, 45))
    }

    /// Checks that the objects for detecting staged renames are present.
    pub(crate) fn need_for_renames(&self, cancel: &Cancel) -> Result<()> {
        let mut needs = self.needs(cancel);
        needs.raw(&[], |repo| repo.read(&["diff-index", "--cached", "--diff-filter=AD"]).args(RAW).arg("HEAD"))?;
        needs.check()
    }

    /// An empty list of needed objects.
    pub(crate) fn needs<'a>(&'a self, cancel: &'a Cancel) -> Needs<'a> {
        Needs { repo: self, cancel, ids: BTreeMap::new() }
    }

    /// The missing objects among `ids`.
    pub(crate) fn lacking(&self, ids: impl IntoIterator<Item = ObjectId>, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let ids: Vec<ObjectId> = ids.into_iter().collect();
        let look = |engine: &gix::Repository| {
            let mut engine = engine.clone();
            let mut missing = Vec::new();
            for id in &ids {
                if !engine.has_object(*id) {
                    missing.push(*id);
                    // A miss rescans the object directories. Once is enough.
                    engine.objects.refresh_never();
                }
            }
            missing
        };
        if let Some(missing) = self.with_engine(Mode::Read, look)? {
            return Ok(missing);
        }
        let list = ids.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        let output = self.read(&["cat-file", "--batch-check=%(objecttype)", "--buffer"]).stdin(list).success(cancel, LISTING)?;
        let missing = output.lines().filter_map(|line| line.strip_suffix(b" missing"));
        Ok(missing.filter_map(|id| ObjectId::from_hex(id).ok()).collect())
    }

    /// The error for the missing objects that made a call fail with `error`; `None` if it failed for another reason.
    ///
    /// Checks the objects named in git's message.
    pub fn lacked(&self, error: &Error, cancel: &Cancel) -> Option<Error> {
        let text = match error {
            Error::Failed { command, stderr, .. } if command != "submodule update" => stderr.clone(),
            Error::Engine(text) | Error::MissingObject(text) | Error::Unreadable { said: text } => text.clone(),
            _ => return None,
        };
        let words = text.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() >= 40);
        let mut named: HashSet<ObjectId> = words.take(MAX_NAMED).filter_map(|word| ObjectId::from_hex(word.as_bytes()).ok()).collect();
        // If a tree is missing git names the commit.
        let tree = |engine: &gix::Repository, id| Some(engine.find_commit(id).ok()?.tree_id().ok()?.detach());
        let trees = |engine: &gix::Repository| named.iter().filter_map(|id| tree(engine, *id)).collect::<Vec<_>>();
        let trees = self.with_engine(Mode::Read, trees).ok()?.unwrap_or_default();
        named.extend(trees);
        self.promised(self.lacking(named, cancel).ok()?)
    }

    /// Fails like [`Ended::require`], or with the object that `git cat-file` did not find in a partial clone: when the fetch that
    /// git starts for it ends early, git dies of SIGPIPE before it names the object.
    pub(crate) fn require_object(&self, ended: &Ended, id: ObjectId, cancel: &Cancel) -> Result<()> {
        ended.require("cat-file").map_err(|error| {
            let missing = if self.is_partial() { self.lacking([id], cancel).unwrap_or_default() } else { Vec::new() };
            self.promised(missing).unwrap_or(error)
        })
    }

    pub(crate) fn promised(&self, missing: Vec<ObjectId>) -> Option<Error> {
        let remote = self.settings.promisors.first()?.clone();
        (!missing.is_empty()).then_some(Error::Promised { missing, remote })
    }
}

/// True if the path is that of an attributes file.
pub(crate) fn is_attributes(path: &[u8]) -> bool {
    path.rsplit(|&byte| byte == b'/').next() == Some(b".gitattributes".as_slice())
}

impl<'a> Needs<'a> {
    /// Adds objects that will be files at these paths.
    pub(crate) fn coming(&mut self, files: impl Iterator<Item = (ObjectId, Vec<u8>)>) {
        if self.repo.is_partial() {
            self.ids.extend(files);
        }
    }

    /// Adds the files that differ between two commits or trees; an absent one is empty.
    pub(crate) fn changed(&mut self, old: Option<ObjectId>, new: ObjectId, paths: &[RelPath]) -> Result<()> {
        let old = old.unwrap_or_else(|| ObjectId::empty_tree(new.kind()));
        self.trees(&[old, new])?;
        self.raw(paths, |repo| repo.read(&["diff-tree", "-r"]).args(RAW).args([old.to_string(), new.to_string()]))
    }

    /// Adds the files that only `old` or only `new` has: the candidates for renames.
    pub(crate) fn renamed(&mut self, old: ObjectId, new: ObjectId) -> Result<()> {
        let args = ["diff-tree", "-r", "--diff-filter=AD"];
        self.trees(&[old, new])?;
        self.raw(&[], |repo| repo.read(&args).args(RAW).args([old.to_string(), new.to_string()]))
    }

    /// Checks the directories of a commit or tree, without files.
    pub(crate) fn folders(&self, tree: ObjectId) -> Result<()> {
        self.trees(&[tree])?;
        self.listing(&[], |repo| repo.read(&["ls-tree", "-r", "-z", "--full-tree"]).arg(tree.to_string())).map(drop)
    }

    /// Fails if the root tree of one of these commits or trees is missing: a fetch of it includes all trees below, while a
    /// listing would find them one by one.
    fn trees(&self, ids: &[ObjectId]) -> Result<()> {
        if !self.repo.is_partial() {
            return Ok(());
        }
        let tree = |engine: &gix::Repository, id| engine.find_commit(id).ok().and_then(|commit| Some(commit.tree_id().ok()?.detach()));
        let trees = |engine: &gix::Repository| ids.iter().map(|id| tree(engine, *id).unwrap_or(*id)).collect::<Vec<_>>();
        let trees = self.repo.with_engine(Mode::Read, trees)?.unwrap_or_default();
        let empty = |id: &ObjectId| *id == ObjectId::empty_tree(id.kind());
        let missing = self.repo.lacking(trees.into_iter().filter(|id| !empty(id)).collect::<HashSet<_>>(), self.cancel)?;
        self.repo.promised(missing).map_or(Ok(()), Err)
    }

    /// The same for commits and their parents.
    fn trees_of_commits(&self, ids: &[ObjectId]) -> Result<()> {
        if !self.repo.is_partial() {
            return Ok(());
        }
        let parents = |engine: &gix::Repository, id| match engine.find_commit(id) {
            Ok(commit) => commit.parent_ids().map(gix::Id::detach).filter(|parent| engine.has_object(*parent)).collect(),
            Err(_) => Vec::new(),
        };
        let all = |engine: &gix::Repository| ids.iter().flat_map(|id| parents(engine, *id)).chain(ids.iter().copied()).collect::<Vec<_>>();
        self.trees(&self.repo.with_engine(Mode::Read, all)?.unwrap_or_default())
    }

    /// Adds the files for detecting equivalent commits: those that commits on either side changed, on `theirs` only at paths
    /// that `ours` changed.
    pub(crate) fn alike(&mut self, ours: ObjectId, theirs: ObjectId) -> Result<()> {
        let alone = |from: ObjectId, to: ObjectId| -> Result<Vec<ObjectId>> {
            let listed = self.repo.read(&["rev-list"]).arg(format!("{from}..{to}")).arg("--").success(self.cancel, LISTING)?;
            Ok(listed.lines().filter_map(|line| ObjectId::from_hex(line).ok()).collect())
        };
        let (mut own, mut other) = (self.repo.needs(self.cancel), self.repo.needs(self.cancel));
        let (here, there) = (alone(theirs, ours)?, alone(ours, theirs)?);
        own.trees_of_commits(&[here.as_slice(), &there].concat())?;
        own.commits(&here, &[])?;
        other.commits(&there, &[])?;
        let paths: HashSet<&[u8]> = own.ids.values().map(Vec::as_slice).collect();
        other.ids.retain(|_, path| paths.contains(path.as_slice()));
        self.ids.extend(other.ids);
        self.ids.extend(own.ids);
        Ok(())
    }

    /// Adds the files each commit changed, relative to every parent.
    pub(crate) fn commits(&mut self, ids: &[ObjectId], paths: &[RelPath]) -> Result<()> {
        self.trees_of_commits(ids)?;
        let list: Vec<u8> = ids.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        self.raw(paths, |repo| repo.read(&["diff-tree", "--stdin", "-r", "-m", "--root", "--no-commit-id"]).args(RAW).stdin(list))
    }

    /// Adds the files for merging `theirs` into `ours`.
    pub(crate) fn merge(&mut self, ours: ObjectId, theirs: ObjectId) -> Result<()> {
        if self.repo.is_partial() {
            for base in self.repo.merge_bases(ours, theirs, self.cancel)? {
                self.changed(Some(base), ours, &[])?;
                self.changed(Some(base), theirs, &[])?;
            }
        }
        Ok(())
    }

    /// Adds the files that differ between the index and `HEAD`.
    pub(crate) fn staged(&mut self, paths: &[RelPath]) -> Result<()> {
        self.raw(paths, |repo| repo.read(&["diff-index", "--cached"]).args(RAW).arg("HEAD"))
    }

    /// Adds the files that differ between the working tree and a commit, or the index.
    pub(crate) fn edited(&mut self, commit: Option<ObjectId>, paths: &[RelPath]) -> Result<()> {
        self.raw(paths, |repo| match commit {
            Some(commit) => repo.read(&["diff-index", "--ignore-submodules=dirty"]).args(RAW).arg(commit.to_string()),
            None => repo.read(&["diff-files", "--ignore-submodules=dirty"]).args(RAW),
        })
    }

    /// Adds the files of a commit or tree.
    pub(crate) fn files(&mut self, tree: ObjectId, paths: &[RelPath]) -> Result<()> {
        self.trees(&[tree])?;
        self.listed(paths, |repo| repo.read(&["ls-tree", "-r", "-z", "--full-tree"]).arg(tree.to_string()))
    }

    /// Adds the attributes files of a commit or tree. git counts a missing one as absent.
    pub(crate) fn attributes(&mut self, tree: ObjectId) -> Result<()> {
        self.trees(&[tree])?;
        let listing = self.listing(&[], |repo| repo.read(&["ls-tree", "-r", "-z", "--full-tree"]).arg(tree.to_string()))?;
        self.note_listed(&listing.unwrap_or_default(), &is_attributes);
        Ok(())
    }

    /// Adds the files of the index.
    pub(crate) fn indexed(&mut self, paths: &[RelPath]) -> Result<()> {
        self.listed(paths, |repo| repo.read(&["ls-files", "--stage", "-z"]))
    }

    /// Adds every version of a file, following renames as far as the present objects allow.
    pub(crate) fn history(&mut self, commit: ObjectId, path: &RelPath) -> Result<()> {
        if !self.repo.is_partial() {
            return Ok(());
        }
        let name = OsStr::from_bytes(path.as_bytes());
        let log = |options: &[&str]| {
            let process = self.repo.read(&["log", "--format=", "--root", "-m"]).args(RAW).args(options);
            process.arg(commit.to_string()).arg("--").arg(name).output(self.cancel, LISTING)
        };
        let plain = log(&[])?.1;
        // Candidates for renames: the files deleted when this one was added.
        let gone = log(&["--full-diff", "--diff-filter=D"])?.1;
        // Stops at a missing object. The next attempt, after it is fetched, continues.
        let process = self.repo.read(&["log", "--follow", "--format=", "-z", "--raw", "--no-abbrev"]).arg(commit.to_string());
        let followed = process.arg("--").arg(name).output(self.cancel, LISTING)?.1;
        for listing in [plain, gone, followed] {
            self.note_raw(&listing);
        }
        Ok(())
    }

    /// Removes files outside a sparse working tree.
    fn only_in_worktree(&mut self) -> Result<()> {
        let paths: Vec<u8> = self.ids.values().flat_map(|path| [path.as_slice(), b"\0"].concat()).collect();
        if !self.repo.settings.sparse || paths.is_empty() || self.repo.git.version()?.number < (2, 41) {
            return Ok(());
        }
        let (ended, output) = self.repo.read(&["sparse-checkout", "check-rules", "-z"]).stdin(paths).output(self.cancel, LISTING)?;
        if ended.code == Some(0) {
            let inside: HashSet<&[u8]> = output.split(|&byte| byte == 0).collect();
            self.ids.retain(|_, path| path.is_empty() || inside.contains(path.as_slice()));
        }
        Ok(())
    }

    /// As [`Needs::check`] for a checkout: a sparse working tree needs only the files inside it.
    ///
    /// # Errors
    ///
    /// [`Error::Promised`].
    pub(crate) fn check_for_worktree(mut self) -> Result<()> {
        self.only_in_worktree()?;
        self.check()
    }

    /// As [`Needs::check`] for a sparse working tree of these directories: files below them, and files in each parent
    /// directory.
    ///
    /// # Errors
    ///
    /// [`Error::Promised`].
    pub(crate) fn check_for_folders(mut self, folders: Option<&[RelPath]>) -> Result<()> {
        if let Some(folders) = folders {
            self.ids.retain(|_, path| {
                let above = path.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |end| &path[..end]);
                folders.iter().any(|folder| folder.covers(path) || RelPath::from_git(above).covers(folder.as_bytes()))
            });
        }
        self.check()
    }

    /// Fails if one of the objects is missing.
    ///
    /// # Errors
    ///
    /// [`Error::Promised`].
    pub(crate) fn check(self) -> Result<()> {
        if !self.repo.is_partial() {
            return Ok(());
        }
        let missing = self.repo.lacking(self.ids.into_keys(), self.cancel)?;
        self.repo.promised(missing).map_or(Ok(()), Err)
    }

    /// Adds the objects in a raw-format listing: two ids per path.
    fn raw(&mut self, paths: &[RelPath], process: impl FnOnce(&'a Repo) -> Process<'a>) -> Result<()> {
        if let Some(listing) = self.listing(paths, process)? {
            self.note_raw(&listing);
        }
        Ok(())
    }

    /// Adds the objects in a file listing: one id per path.
    fn listed(&mut self, paths: &[RelPath], process: impl FnOnce(&'a Repo) -> Process<'a>) -> Result<()> {
        let listing = self.listing(paths, process)?;
        self.note_listed(&listing.unwrap_or_default(), &|_| true);
        Ok(())
    }

    fn note_listed(&mut self, listing: &[u8], wanted: &dyn Fn(&[u8]) -> bool) {
        for entry in listing.split(|&byte| byte == 0) {
            let Some((meta, path)) = entry.split_once_str("\t") else { continue };
            if !meta.starts_with(SUBMODULE) && wanted(path) {
                let id = meta.split(|&byte| byte == b' ').find_map(|word| ObjectId::from_hex(word).ok());
                self.ids.extend(id.map(|id| (id, path.to_vec())));
            }
        }
    }

    fn note_raw(&mut self, listing: &[u8]) {
        let mut fields = listing.split(|&byte| byte == 0).map(<[u8]>::trim_ascii_start);
        while let Some(meta) = fields.by_ref().find(|field| field.starts_with(b":")) {
            let words: Vec<&[u8]> = meta[1..].split(|&byte| byte == b' ').collect();
            let ([old, new, from, to, status], Some(path)) = (words.as_slice(), fields.next()) else { return };
            if status.starts_with(b"R") || status.starts_with(b"C") {
                fields.next();
            }
            for (mode, id) in [(old, from), (new, to)] {
                let id = ObjectId::from_hex(id).ok().filter(|id| *mode != SUBMODULE && !id.is_null());
                self.ids.extend(id.map(|id| (id, path.to_vec())));
            }
        }
    }

    /// The output of a listing process; `None` if the repository is not partial or there is nothing to list.
    fn listing(&self, paths: &[RelPath], process: impl FnOnce(&'a Repo) -> Process<'a>) -> Result<Option<Vec<u8>>> {
        if !self.repo.is_partial() {
            return Ok(None);
        }
        let process = self.repo.silenced(process(self.repo), self.cancel)?.arg("--");
        let (ended, output) = process.args(paths.iter().map(RelPath::literal)).output(self.cancel, LISTING)?;
        if ended.code == Some(0) {
            return Ok(Some(output));
        }
        // Trees may be missing as well. The call itself reports other errors.
        self.repo.lacked(&ended.failed("ls-tree"), self.cancel).map_or(Ok(None), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        process::program::Git,
        repo::{repositories::Repositories, roots::Roots},
    };

    #[test]
    fn listings_name_files_but_no_submodules() -> Result<()> {
        let top = std::fs::canonicalize(env!("CARGO_MANIFEST_DIR")).map_err(Error::io("the workspace"))?;
        let roots = Roots::new(top.ancestors().nth(2).map(std::path::Path::to_owned))?;
        let repo = Repositories::new(Git::new(None), roots).open(&top)?;
        let cancel = Cancel::never();
        let [a, b, c] = ["a", "b", "c"].map(|digit| digit.repeat(40));
        let raw = format!(
            ":100644 100644 {a} {b} M\0:100644 100644 {c} {c} M\0\n:160000 160000 {c} {c} M\0sub\0:000000 100644 {zero} {a} A\0x\0",
            zero = "0".repeat(40)
        );
        let mut needs = repo.needs(&cancel);
        needs.note_raw(raw.as_bytes());
        let found: Vec<String> = needs.ids.keys().map(ToString::to_string).collect();
        assert_eq!(found, [a, b]);
        Ok(())
    }
}
