//! In-process staging of regular files, equivalent to `git add`.
//!
//! Only if the result is certain to be git's. Any special case is left to git before the index is touched.

use crate::{
    beneath::{self, Folder, Kind, to_path},
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{self, trace},
    read::status::is_plain,
    repo::{Repo, index_file::checksum_of, route::only_git},
};
use gix::{
    ObjectId,
    bstr::{BStr, ByteSlice},
    index::{
        File as Index, Version,
        entry::{Flags, Mode, Stage, Stat},
        extension::Tree,
        fs::Metadata,
        write::{Extensions, Options},
    },
    worktree::stack::state::ignore::Source,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};
use tempfile::TempPath;

/// Maximum number of files, and maximum size of one.
const MAX_FILES: usize = 64;
const MAX_SIZE: u64 = 4 << 20;
/// Words in attribute files that indicate conversion; macros consist of the same words.
const CONVERTING: [&[u8]; 6] = [b"text", b"eol", b"crlf", b"filter", b"ident", b"working-tree-encoding"];
/// Name prefix of a new index before it replaces the old one.
pub(super) const SCRATCH: &str = "index.mcp-";

/// The new fields of an index entry.
type Staged = (Stat, ObjectId, Mode);

impl Repo {
    /// Stages the files at `paths`, or leaves that to git.
    pub(super) fn stage(&self, engine: &gix::Repository, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree()?;
        if !self.keeps_plain_index() || paths.len() > MAX_FILES || !paths.iter().all(|path| is_ordinary(path.as_bytes())) {
            return Err(only_git("index settings, or a special name"));
        }
        let mut index = self.read_plain_index(engine)?;
        let names: BTreeSet<&BStr> = paths.iter().map(|path| path.as_bytes().as_bstr()).collect();
        let written = index.timestamp().unix_seconds();
        let is_racy = |entry: &gix::index::Entry| i64::from(entry.stat.mtime.secs) >= written && !names.contains(entry.path(&index));
        if index.entries().iter().any(is_racy) {
            // A racy entry can only be checked by its content, which git does.
            return Err(only_git("racy index entries"));
        }
        let mut staged = BTreeMap::new();
        for path in &names {
            cancel.check()?;
            self.check_place(worktree, &index, path)?;
            let (content, stat, mode) = read_file(self.worktree_folder()?.file(to_path(path)).map_err(Error::engine)?)?;
            let known = index.entry_by_path_and_stage(path, Stage::Unconflicted).map(|entry| entry.id);
            if known.is_none() {
                check_new(self, engine, &index, path, mode, force)?;
            }
            let id = gix::objs::compute_hash(engine.object_hash(), gix::objs::Kind::Blob, &content).map_err(Error::engine)?;
            if !engine.objects.exists_without_refresh(&id) {
                engine.write_blob(&content).map_err(Error::engine)?;
            } else if known != Some(id) {
                return Err(only_git("an existing object that pruning must not remove"));
            }
            staged.insert(*path, (stat, id, mode));
        }
        if update(&mut index, &staged) { self.replace_index(&index) } else { Ok(()) }
    }

    /// Removes files left by a server that was killed while replacing the index.
    ///
    /// # Errors
    ///
    /// If a file cannot be inspected or removed.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        self.within(process::Mode::Change, || self.remove_own_locks()).map_err(io::Error::other)?
    }

    fn remove_own_locks(&self) -> io::Result<()> {
        let lock = self.location.git_dir.join("index.lock");
        for entry in fs::read_dir(&self.location.git_dir)?.flatten() {
            let name = entry.file_name();
            let trace = name.to_str().and_then(|name| name.strip_prefix(trace::SCRATCH));
            let Some(rest) = trace.or_else(|| name.to_str()?.strip_prefix(SCRATCH)) else { continue };
            let pid = rest.split('-').next().unwrap_or_default();
            if Path::new("/proc/self").exists() && Path::new("/proc").join(pid).exists() {
                continue;
            }
            if trace.is_some() {
                fs::remove_dir_all(entry.path())?;
                continue;
            }
            let ours = entry.metadata()?;
            // The lock is ours if it is a hard link to this file.
            if fs::symlink_metadata(&lock).is_ok_and(|lock| (lock.dev(), lock.ino()) == (ours.dev(), ours.ino())) {
                fs::remove_file(&lock)?;
            }
            fs::remove_file(entry.path())?;
        }
        Ok(())
    }

    /// True if no setting or hook requires special handling of the index or objects.
    fn keeps_plain_index(&self) -> bool {
        let settings = &self.settings;
        settings.plain_index
            && !(settings.conditional || settings.sparse || settings.converts_text)
            && !self.location.common_dir.join("hooks/post-index-change").exists()
    }

    /// Reads the index, if rewriting it would lose nothing.
    fn read_plain_index(&self, engine: &gix::Repository) -> Result<Index> {
        let path = self.index_file();
        // A shared index is merged on reading and is not detectable afterwards.
        let is_shared = |entry: fs::DirEntry| entry.file_name().as_bytes().starts_with(b"sharedindex.");
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file())
            || fs::read_dir(&self.location.git_dir).map_err(Error::engine)?.flatten().any(is_shared)
        {
            return Err(only_git("a linked or a split index"));
        }
        // Like git, which only verifies the checksum in `fsck`.
        let index = Index::at(path, engine.object_hash(), true, gix::index::decode::Options::default()).map_err(Error::engine)?;
        let has_more = index.link().is_some()
            || index.untracked().is_some()
            || index.fs_monitor().is_some()
            || index.resolve_undo().is_some()
            || index.had_offset_table();
        if has_more || index.version() == Version::V4 || index.checksum().is_none_or(|checksum| checksum.is_null()) || !is_plain(&index) {
            return Err(only_git("an index with special entries"));
        }
        Ok(index)
    }

    /// Leaves to git files behind links or in a nested repository, and files that may be converted.
    fn check_place(&self, worktree: &Path, index: &Index, path: &BStr) -> Result<()> {
        let own = |file: &std::path::PathBuf| match beneath::read_own(file, Kind::Rules) {
            Ok(text) => converts_nothing(&text),
            Err(err) => matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        let plain = |folder: &Folder, file: &[u8]| match folder.read(to_path(file), Kind::Rules) {
            Ok(text) => text.is_none_or(|text| converts_nothing(&text)),
            Err(_) => false,
        };
        if !self.settings.attribute_files.iter().all(own) || !plain(self.common_folder(), b"info/attributes") {
            return Err(only_git("attributes"));
        }
        for end in [0].into_iter().chain(path.find_iter("/")) {
            // Without a trailing slash, which would follow a link.
            let dir = worktree.join(OsStr::from_bytes(&path[..end]));
            if end > 0 && (!fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) || dir.join(".git").symlink_metadata().is_ok()) {
                return Err(only_git("a link or repository in the path"));
            }
            let name = [path[..end].as_bytes(), if end > 0 { b"/" } else { b"" }, b".gitattributes"].concat();
            let top = self.worktree_folder()?;
            let is_only_staged = !top.has(to_path(&name)) && index.entry_by_path(name.as_bstr()).is_some();
            if is_only_staged || !plain(top, &name) {
                return Err(only_git("attributes"));
            }
        }
        Ok(())
    }

    /// Replaces the index file with `index`, under git's own lock.
    fn replace_index(&self, index: &Index) -> Result<()> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{SCRATCH}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (path, lock) = (self.index_file(), self.location.git_dir.join("index.lock"));
        let scratch = TempPath::try_from_path(self.location.git_dir.join(name)).map_err(Error::engine)?;
        let written = beneath::create_new(&scratch).map_err(Error::engine).and_then(|file| {
            let mut out = io::BufWriter::with_capacity(64 << 10, file);
            let extensions = Extensions::Given { tree_cache: true, end_of_index_entry: false };
            index.write_to(&mut out, Options { extensions, skip_hash: false }).map_err(Error::engine)?;
            out.flush().map_err(Error::engine)
        });
        written?;
        // The complete file is hard-linked as the lock, so that a lock left by a kill is recognizable as ours.
        fs::hard_link(&scratch, &lock).map_err(Error::engine)?;
        let lock = TempPath::try_from_path(lock).map_err(Error::engine)?;
        let before = index.checksum();
        if checksum_of(&path).is_none_or(|now| before.is_none_or(|before| !before.as_bytes().ends_with(&now))) {
            return Err(only_git("an index that has just changed"));
        }
        lock.persist(&path).map_err(Error::engine)
    }
}

/// True for names of letters, digits and marks that neither file systems nor git treat specially.
fn is_ordinary(path: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+=@,() /".contains(byte);
    let is_name = |name: &[u8]| !name.is_empty() && !name.starts_with(b" ") && !name.to_ascii_lowercase().starts_with(b".git");
    path.iter().all(is_plain) && path.split(|&byte| byte == b'/').all(|name| is_name(name) && name != b"." && name != b"..")
}

/// Reads a regular file and its index fields.
fn read_file((mut file, found): (File, std::fs::Metadata)) -> Result<(Vec<u8>, Stat, Mode)> {
    if found.len() > MAX_SIZE {
        return Err(only_git("a large file"));
    }
    let stat = Stat::from_fs(&Metadata::from_file(&file).map_err(Error::engine)?).map_err(Error::engine)?;
    let mode = if found.mode() & 0o100 == 0 { Mode::FILE } else { Mode::FILE_EXECUTABLE };
    let mut content = Vec::new();
    (&mut file).take(MAX_SIZE + 1).read_to_end(&mut content).map_err(Error::engine)?;
    if content.len() as u64 != found.len() {
        return Err(only_git("a file that is being written"));
    }
    Ok((content, stat, mode))
}

/// Leaves to git a new file that replaces a folder or vice versa, or that is ignored.
fn check_new(repo: &Repo, engine: &gix::Repository, index: &Index, path: &BStr, mode: Mode, force: bool) -> Result<()> {
    let is_over = path.find_iter("/").any(|end| index.entry_by_path(path[..end].as_bstr()).is_some());
    if is_over || index.path_is_directory(path) {
        return Err(only_git("a file that replaces a folder or vice versa"));
    }
    if !force {
        let mut excludes = engine.excludes(index, None, Source::WorktreeThenIdMappingIfNotSkipped).map_err(Error::engine)?;
        if excludes.at_entry(path, Some(mode)).map_err(Error::engine)?.is_excluded() {
            return Err(only_git("an ignored file"));
        }
        let folders = path.find_iter("/").map(|end| path[..=end].as_bytes()).chain([&b""[..]]);
        if repo.has_odd_ignore_patterns(folders) {
            return Err(only_git("ignore patterns that the engine reads differently"));
        }
    }
    Ok(())
}

/// True if attributes contain no word for a conversion.
fn converts_nothing(text: &[u8]) -> bool {
    !CONVERTING.iter().any(|word| text.contains_str(word))
}

/// Updates the entries and returns whether anything changed.
fn update(index: &mut Index, staged: &BTreeMap<&BStr, Staged>) -> bool {
    let (mut changed, mut fresh) = (false, false);
    for (path, &(stat, id, mode)) in staged {
        match index.entry_mut_by_path_and_stage(path, Stage::Unconflicted) {
            Some(entry) if (entry.stat, entry.id, entry.mode) == (stat, id, mode) => continue,
            Some(entry) if (entry.id, entry.mode) == (id, mode) => {
                entry.stat = stat;
                fresh = true;
                continue;
            }
            Some(entry) => (entry.stat, entry.id, entry.mode) = (stat, id, mode),
            None => {}
        }
        changed = true;
        if let Some(tree) = index.tree_mut() {
            invalidate(tree, path);
        }
    }
    let known = index.entries().len();
    for (path, &(stat, id, mode)) in staged {
        if index.entry_index_by_path_and_stage_bounded(path, Stage::Unconflicted, known).is_none() {
            index.dangerously_push_entry(stat, id, Flags::empty(), mode, path);
        }
    }
    if index.entries().len() > known {
        index.sort_entries();
    }
    changed || fresh
}

/// Invalidates the cached trees on the path to `path`.
fn invalidate(mut tree: &mut Tree, path: &BStr) {
    tree.num_entries = None;
    let Some(end) = path.rfind_byte(b'/') else { return };
    for name in path[..end].split(|&byte| byte == b'/') {
        let Some(child) = tree.children.iter_mut().find(|child| child.name.as_slice() == name) else { return };
        child.num_entries = None;
        tree = child;
    }
}
