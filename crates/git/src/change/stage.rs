//! Staging plain files in this process: what `git add` does with them, without starting it.
//!
//! Only where the result is certain to be git's. All that is out of the ordinary is left to git, before the index is
//! touched.

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

/// The most files at once, and the largest one.
const MAX_FILES: usize = 64;
const MAX_SIZE: u64 = 4 << 20;
/// What files of attributes say where content is converted; macros that do are made of the same words.
const CONVERTING: [&[u8]; 6] = [b"text", b"eol", b"crlf", b"filter", b"ident", b"working-tree-encoding"];
/// How the name of an index begins that is about to take the place of the old one.
pub(super) const SCRATCH: &str = "index.mcp-";

/// What an entry of the index is to say of a file.
type Staged = (Stat, ObjectId, Mode);

impl Repo {
    /// Puts the files at `paths` into the index, or leaves that to git.
    pub(super) fn stage(&self, engine: &gix::Repository, paths: &[RelPath], force: bool, cancel: &Cancel) -> Result<()> {
        let worktree = self.worktree()?;
        if !self.keeps_plain_index() || paths.len() > MAX_FILES || !paths.iter().all(|path| is_ordinary(path.as_bytes())) {
            return Err(only_git("how the index is kept, or a name"));
        }
        let mut index = self.read_plain_index(engine)?;
        let names: BTreeSet<&BStr> = paths.iter().map(|path| path.as_bytes().as_bstr()).collect();
        let written = index.timestamp().unix_seconds();
        let is_racy = |entry: &gix::index::Entry| i64::from(entry.stat.mtime.secs) >= written && !names.contains(entry.path(&index));
        if index.entries().iter().any(is_racy) {
            // Had one of these been changed since, only their content would tell, and git looks.
            return Err(only_git("files that are as young as the index"));
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
                return Err(only_git("an object that has to be kept from being pruned"));
            }
            staged.insert(*path, (stat, id, mode));
        }
        if update(&mut index, &staged) { self.replace_index(&index) } else { Ok(()) }
    }

    /// Removes what a server that was killed while it replaced the index has left.
    ///
    /// # Errors
    ///
    /// Where a file cannot be looked at or removed.
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
            // The lock is ours where it is this very file.
            if fs::symlink_metadata(&lock).is_ok_and(|lock| (lock.dev(), lock.ino()) == (ours.dev(), ours.ino())) {
                fs::remove_file(&lock)?;
            }
            fs::remove_file(entry.path())?;
        }
        Ok(())
    }

    /// True where nothing asks for an index, or for objects, other than by default.
    fn keeps_plain_index(&self) -> bool {
        let settings = &self.settings;
        settings.plain_index
            && !(settings.conditional || settings.sparse || settings.converts_text)
            && !self.location.common_dir.join("hooks/post-index-change").exists()
    }

    /// Reads the index, where it has nothing that writing it again would lose.
    fn read_plain_index(&self, engine: &gix::Repository) -> Result<Index> {
        let path = self.index_file();
        // A shared index is resolved when the other one is read, and then cannot be told any more.
        let is_shared = |entry: fs::DirEntry| entry.file_name().as_bytes().starts_with(b"sharedindex.");
        if !fs::symlink_metadata(&path).is_ok_and(|found| found.is_file())
            || fs::read_dir(&self.location.git_dir).map_err(Error::engine)?.flatten().any(is_shared)
        {
            return Err(only_git("a linked or a split index"));
        }
        // As git does, which checks the checksum in `fsck`.
        let index = Index::at(path, engine.object_hash(), true, gix::index::decode::Options::default()).map_err(Error::engine)?;
        let has_more = index.link().is_some()
            || index.untracked().is_some()
            || index.fs_monitor().is_some()
            || index.resolve_undo().is_some()
            || index.had_offset_table();
        if has_more || index.version() == Version::V4 || index.checksum().is_none_or(|checksum| checksum.is_null()) || !is_plain(&index) {
            return Err(only_git("an index with more than plain files"));
        }
        Ok(index)
    }

    /// Leaves files to git that lie behind links or in a repository of their own, and those that may be converted.
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
            // Without a slash at its end: behind one a link is followed.
            let dir = worktree.join(OsStr::from_bytes(&path[..end]));
            if end > 0 && (!fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) || dir.join(".git").symlink_metadata().is_ok()) {
                return Err(only_git("a link or a repository on the way"));
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

    /// Writes `index` in the place of the one that it was read from, under git's own lock.
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
        // What is complete becomes the lock, so that one which a kill leaves can be told from anybody else's.
        fs::hard_link(&scratch, &lock).map_err(Error::engine)?;
        let lock = TempPath::try_from_path(lock).map_err(Error::engine)?;
        let before = index.checksum();
        if checksum_of(&path).is_none_or(|now| before.is_none_or(|before| !before.as_bytes().ends_with(&now))) {
            return Err(only_git("an index that has just changed"));
        }
        lock.persist(&path).map_err(Error::engine)
    }
}

/// Letters, digits and marks that no file system and no rule of git treats in a way of its own.
fn is_ordinary(path: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-+=@,() /".contains(byte);
    let is_name = |name: &[u8]| !name.is_empty() && !name.starts_with(b" ") && !name.to_ascii_lowercase().starts_with(b".git");
    path.iter().all(is_plain) && path.split(|&byte| byte == b'/').all(|name| is_name(name) && name != b"." && name != b"..")
}

/// Reads a regular file, and what an index says of it.
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

/// Leaves a new file to git that takes the place of others, or that nobody wants to track.
fn check_new(repo: &Repo, engine: &gix::Repository, index: &Index, path: &BStr, mode: Mode, force: bool) -> Result<()> {
    let is_over = path.find_iter("/").any(|end| index.entry_by_path(path[..end].as_bstr()).is_some());
    if is_over || index.path_is_directory(path) {
        return Err(only_git("a file in the place of a folder, or the other way round"));
    }
    if !force {
        let mut excludes = engine.excludes(index, None, Source::WorktreeThenIdMappingIfNotSkipped).map_err(Error::engine)?;
        if excludes.at_entry(path, Some(mode)).map_err(Error::engine)?.is_excluded() {
            return Err(only_git("an ignored file"));
        }
        let folders = path.find_iter("/").map(|end| path[..=end].as_bytes()).chain([&b""[..]]);
        if repo.ignores_oddly(folders) {
            return Err(only_git("patterns that the engine reads in another way"));
        }
    }
    Ok(())
}

/// True where attributes have no word for a conversion in them.
fn converts_nothing(text: &[u8]) -> bool {
    !CONVERTING.iter().any(|word| text.contains_str(word))
}

/// Changes the entries, and says whether there was something to change.
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

/// Says that the trees on the way to `path` are no longer those that are known.
fn invalidate(mut tree: &mut Tree, path: &BStr) {
    tree.num_entries = None;
    let Some(end) = path.rfind_byte(b'/') else { return };
    for name in path[..end].split(|&byte| byte == b'/') {
        let Some(child) = tree.children.iter_mut().find(|child| child.name.as_slice() == name) else { return };
        child.num_entries = None;
        tree = child;
    }
}
