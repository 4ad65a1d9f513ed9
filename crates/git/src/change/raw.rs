//! Files that git alone would not restore exactly: untracked files, files with other line endings than git would check
//! out, and edited files that a filter, `ident` or an encoding converts.

use super::{Change, MAX_OUTPUT, RawFile};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{Mode, Process},
    repo::{Repo, silence},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    collections::{BTreeSet, HashSet},
    fs,
    io::Read,
    path::Path,
};

/// Maximum size of a file whose bytes are kept, and maximum number of files.
const MAX_SIZE: u64 = 64 << 20;
const MAX_FILES: usize = 200;
/// Attributes that make git convert a file's content.
const CONVERTING: [&str; 3] = ["filter", "ident", "working-tree-encoding"];

/// Files that git alone would not restore.
#[derive(Clone, Debug, Default)]
pub struct RawFiles {
    /// Those whose content is kept, or that do not exist.
    pub kept: Vec<RawFile>,
    /// Those beyond the limits: an undo restores them as git checks them out.
    pub beyond: Vec<RelPath>,
    /// Those beyond the limits that do not exist: an undo does not remove them.
    pub absent: Vec<RelPath>,
    /// Whether a conversion of these may lose content.
    pub is_lossy: bool,
}

/// Which of these files a change may affect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw<'a> {
    /// Files at exactly these paths, existing or not.
    At(&'a [RelPath]),
    /// Tracked files below these paths.
    Below(&'a [RelPath]),
    /// Edited tracked files below these paths, or anywhere.
    Edited(&'a [RelPath]),
}

impl Repo {
    /// The files of `which` that git alone would not restore, with their content.
    ///
    /// # Errors
    ///
    /// As for any change.
    pub fn raw_files(&self, which: Raw<'_>, cancel: &Cancel) -> Result<RawFiles> {
        let (Raw::At(paths) | Raw::Below(paths) | Raw::Edited(paths)) = which;
        let mut found = RawFiles::default();
        if paths.is_empty() && !matches!(which, Raw::Edited(_)) {
            return Ok(found);
        }
        let listed = self.read_worktree(&["ls-files", "-z", "--eol"], cancel)?;
        let listed = if matches!(which, Raw::Edited(_)) { listed.arg("--modified") } else { listed };
        let listed = listed.arg("--").args(paths.iter().map(RelPath::literal)).success(cancel, MAX_OUTPUT)?;
        // First those of which git could lose content.
        let mut wanted = self.converted_edits(paths, cancel)?;
        let converted: HashSet<Vec<u8>> = wanted.iter().map(|path| path.as_bytes().to_vec()).collect();
        let mut tracked = HashSet::new();
        for entry in listed.split(|&byte| byte == 0) {
            let Some((about, path)) = entry.split_once_str("\t") else { continue };
            let mut words = about.fields();
            let (index, file) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (index, file) = (index.strip_prefix(b"i/").unwrap_or_default(), file.strip_prefix(b"w/").unwrap_or_default());
            if tracked.insert(path.to_vec()) && !file.is_empty() && file != index && !converted.contains(path) {
                wanted.push(RelPath::from_git(path));
            }
        }
        if let Raw::At(paths) = which {
            wanted.extend(paths.iter().filter(|path| !tracked.contains(path.as_bytes())).cloned());
        }
        for (at, path) in wanted.into_iter().enumerate() {
            let there = self.worktree()?.join(path.as_path()).symlink_metadata().ok();
            let is_within = at < MAX_FILES && there.as_ref().is_none_or(|there| there.len() <= MAX_SIZE);
            let before = if is_within { self.keep_raw(&path)? } else { None };
            match there {
                // git converts no link.
                Some(there) if !there.is_file() => {}
                None if !is_within => found.absent.push(path),
                Some(_) if !is_within => {
                    found.is_lossy |= converted.contains(path.as_bytes());
                    found.beyond.push(path);
                }
                Some(_) if before.is_none() => {}
                _ => found.kept.push(RawFile { path: path.as_bytes().to_vec(), before, after: None }),
            }
        }
        Ok(found)
    }

    /// Edited files below `paths`, or anywhere, that git converts. No filter runs, since it could hide an edit.
    pub(super) fn converted_edits(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<RelPath>> {
        let edited = self.unconverted_edits(paths, &["--diff-filter=d"], cancel)?;
        if edited.is_empty() {
            return Ok(Vec::new());
        }
        let attributes = self.read(&["check-attr", "-z", "--stdin"]).args(CONVERTING).stdin(edited).success(cancel, MAX_OUTPUT)?;
        let fields: Vec<&[u8]> = attributes.split(|&byte| byte == 0).collect();
        let drivers = self.filter_drivers();
        let is_known = |driver: &[u8]| self.settings.conditional || drivers.contains(&*driver.to_str_lossy());
        let converts = |attribute: &[u8], value: &[u8]| match attribute {
            _ if matches!(value, b"unspecified" | b"unset") => false,
            b"filter" => is_known(value),
            _ => true,
        };
        let mut found: Vec<RelPath> = Vec::new();
        for entry in fields.chunks_exact(3).filter(|entry| converts(entry[1], entry[2])) {
            let path = RelPath::from_git(entry[0]);
            if found.last() != Some(&path) {
                found.push(path);
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Edited files below `paths`, or anywhere, NUL-terminated: those whose size or time differs from the index, and racily
    /// clean ones whose bytes differ from the index.
    pub(super) fn unconverted_edits(&self, paths: &[RelPath], options: &[&str], cancel: &Cancel) -> Result<Vec<u8>> {
        let listing = self.read(&["diff-files", "--name-only", "-z", "--ignore-submodules=dirty"]).args(options);
        self.unconverting(listing)?.arg("--").args(paths.iter().map(RelPath::literal)).success(cancel, MAX_OUTPUT)
    }

    /// Makes a process compare bytes, without conversion.
    pub(super) fn unconverting<'a>(&self, process: Process<'a>) -> Result<Process<'a>> {
        let hash = self.with_engine(Mode::Read, gix::Repository::object_hash)?.unwrap_or(gix::hash::Kind::Sha1);
        let process = silence(process, &self.filter_drivers()).config("core.autocrlf", "false");
        Ok(process.env("GIT_ATTR_SOURCE", ObjectId::empty_tree(hash).to_string()))
    }

    pub(super) fn filter_drivers(&self) -> BTreeSet<String> {
        self.settings.local_filters.union(&self.settings.operator_filters).cloned().collect()
    }

    /// True if the bytes of all these files can be kept.
    pub(super) fn can_keep_raw(&self, files: &[RelPath]) -> bool {
        let is_small = |path: &RelPath| {
            self.open_tracked(path).and_then(|file| file.metadata().map_err(Error::io("reading"))).is_ok_and(|meta| meta.len() <= MAX_SIZE)
        };
        files.len() <= MAX_FILES && files.iter().all(is_small)
    }

    /// The files changed since, with their content after the change.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn raw_after(&self, files: &[RawFile]) -> Result<Vec<RawFile>> {
        let mut changed = Vec::new();
        for file in files {
            let after = self.raw_id(&RelPath::from_git(&file.path))?;
            changed.extend((after != file.before).then(|| RawFile { after, ..file.clone() }));
        }
        Ok(changed)
    }

    /// Refuses if such a file has been edited since the change.
    pub(super) fn check_raw(&self, change: &Change) -> Result<()> {
        for file in &change.files {
            let path = RelPath::from_git(&file.path);
            let now = self.raw_id(&path)?;
            let is_gone = now.is_none() && file.before.is_none();
            if now != file.after && !is_gone {
                return Err(Error::NotUndone(format!("{path} has been edited since")));
            }
        }
        Ok(())
    }

    /// Removes the files that the change created.
    pub(super) fn remove_made(&self, change: &Change, done: &mut Vec<String>) -> Result<()> {
        let top = self.worktree()?;
        let mut removed = 0;
        for file in change.files.iter().filter(|file| file.before.is_none()) {
            let path = RelPath::from_git(&file.path);
            self.check_no_link_above(&path)?;
            let full = top.join(path.as_path());
            let gone = self.within(Mode::Change, || {
                let gone = fs::remove_file(&full);
                // Folders that become empty are removed, too.
                let folders = full.ancestors().skip(1).take_while(|dir| *dir != top && gone.is_ok());
                folders.map(fs::remove_dir).take_while(std::result::Result::is_ok).for_each(drop);
                gone
            })?;
            removed += usize::from(gone.is_ok());
        }
        done.extend((removed > 0).then(|| format!("{removed} files that it created are removed")));
        Ok(())
    }

    /// Restores the content of the other files.
    pub(super) fn rewrite_raw(&self, change: &Change, cancel: &Cancel, done: &mut Vec<String>) -> Result<()> {
        let mut written = 0;
        for file in &change.files {
            let Some(before) = file.before else { continue };
            let path = RelPath::from_git(&file.path);
            if self.raw_id(&path)? == Some(before) {
                continue;
            }
            let content = self
                .read(&["cat-file", "blob"])
                .arg(before.to_string())
                .success(cancel, usize::try_from(MAX_SIZE).unwrap_or(usize::MAX))?;
            self.check_no_link_above(&path)?;
            let folder = self.worktree_folder()?;
            let parent = self.worktree()?.join(path.as_path().parent().unwrap_or(Path::new("")));
            let wrote = self.within(Mode::Change, || fs::create_dir_all(&parent).and_then(|()| folder.write(path.as_path(), &content)))?;
            wrote.map_err(Error::io(format!("writing {path}")))?;
            written += 1;
        }
        done.extend((written > 0).then(|| format!("{written} files are restored byte for byte")));
        Ok(())
    }

    /// Keeps the content of a regular file as a blob.
    fn keep_raw(&self, path: &RelPath) -> Result<Option<ObjectId>> {
        let Some(content) = self.raw_content(path)? else { return Ok(None) };
        let written = self.with_engine(Mode::Change, |engine| engine.write_blob(&content).map(gix::Id::detach).map_err(Error::engine))?;
        written.transpose()
    }

    /// The blob id of the file or link at a path.
    fn raw_id(&self, path: &RelPath) -> Result<Option<ObjectId>> {
        let content = match self.worktree_folder()?.link(path.as_path()) {
            Some(target) => Some(target),
            None => self.raw_content(path)?,
        };
        let Some(content) = content else { return Ok(None) };
        let hash = self.with_engine(Mode::Read, gix::Repository::object_hash)?;
        gix::objs::compute_hash(hash.unwrap_or(gix::hash::Kind::Sha1), gix::objs::Kind::Blob, &content).map(Some).map_err(Error::engine)
    }

    fn raw_content(&self, path: &RelPath) -> Result<Option<Vec<u8>>> {
        let Ok(file) = self.open_tracked(path) else { return Ok(None) };
        let mut content = Vec::new();
        file.take(MAX_SIZE + 1).read_to_end(&mut content).map_err(Error::io(format!("reading {path}")))?;
        Ok(Some(content).filter(|content| content.len() as u64 <= MAX_SIZE))
    }
}
