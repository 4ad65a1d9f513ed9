//! Lists trees, and reads whole objects.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{LITERAL, RelPath, Rev},
    process::Mode,
    repo::{
        Repo,
        route::{Route, only_git},
    },
};
use gix::{ObjectId, bstr::ByteSlice, objs::FindExt};
use std::{ffi::OsStr, ops::ControlFlow, os::unix::ffi::OsStrExt};

/// Maximum bytes of a tree listing.
const MAX_LISTING: usize = 256 << 20;
/// Maximum number of entries, and of levels, listed in-process.
const MAX_ENTRIES: usize = 500_000;
const MAX_DEPTH: usize = 512;
/// Entries whose sizes are looked up at a time.
const PAGE: usize = 256;

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// The mode, in octal.
    pub mode: String,
    /// `blob`, `tree` or `commit`.
    pub kind: String,
    /// Its object id.
    pub id: ObjectId,
    /// The size of a blob.
    pub size: Option<u64>,
    /// The path.
    pub path: Vec<u8>,
}

/// What to list.
struct Wanted<'a> {
    /// One path; the whole tree if absent.
    path: Option<&'a [u8]>,
    /// The content of that directory rather than its entry.
    below: bool,
    recursive: bool,
}

impl Repo {
    /// The names in the tree `id`, directories with a trailing `/`, as `git show` lists them.
    ///
    /// # Errors
    ///
    /// [`Error::MissingObject`].
    pub fn tree(&self, id: ObjectId, cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        let by_engine = |engine: &gix::Repository| {
            let entries = entries(engine, id, b"")?;
            Ok(entries.into_iter().map(|entry| if entry.kind == "tree" { [&entry.path[..], b"/"].concat() } else { entry.path }).collect())
        };
        let by_git = || {
            let output = self.read(&["ls-tree", "-z"]).arg(id.to_string()).success(cancel, MAX_LISTING)?;
            let entries = output.split(|&byte| byte == 0).filter_map(|entry| {
                let (meta, name) = entry.split_once_str(b"\t")?;
                let is_tree = meta.split(|&byte| byte == b' ').nth(1) == Some(b"tree");
                Some(if is_tree { [name, b"/"].concat() } else { name.to_vec() })
            });
            Ok(entries.collect())
        };
        self.answer("tree", by_engine, by_git).map(|(names, _)| names)
    }

    /// The stored content of a commit or tag, or at least `limit` bytes of it.
    ///
    /// # Errors
    ///
    /// [`Error::MissingObject`].
    pub fn raw_object(&self, id: ObjectId, kind: &str, limit: usize, cancel: &Cancel) -> Result<Vec<u8>> {
        let by_engine = |engine: &gix::Repository| {
            let found = engine.find_object(id).map_err(Error::engine)?.detach();
            if found.kind.as_bytes() == kind.as_bytes() { Ok(found.data) } else { Err(only_git("an object of another kind")) }
        };
        let by_git = || {
            let mut text = Vec::new();
            let ended = self.read(&["cat-file", kind]).arg(id.to_string()).stream(cancel, |chunk| {
                text.extend_from_slice(chunk);
                if text.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            self.require_object(&ended, id, cancel)?;
            Ok(text)
        };
        self.answer("object", by_engine, by_git).map(|(text, _)| text)
    }

    /// Lists a tree, or `paths` in it, recursively if `recursive`. For a directory in `paths`, `below` lists its
    /// content.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn ls_tree(
        &self,
        rev: &Rev,
        paths: &[RelPath],
        below: &[bool],
        recursive: bool,
        cancel: &Cancel,
        each: &mut dyn FnMut(TreeEntry) -> ControlFlow<()>,
    ) -> Result<Route> {
        let id = self.resolve(rev, cancel)?;
        let named: Vec<(&[u8], bool)> = paths.iter().map(RelPath::as_bytes).zip(below.iter().copied()).collect();
        let by_engine = |engine: &gix::Repository| {
            if self.is_partial() {
                return Err(only_git("sizes of a partial clone"));
            }
            let wanted = match named[..] {
                [] | [(b"", _)] => Wanted { path: None, below: true, recursive },
                [(path, below)] => Wanted { path: Some(path), below, recursive },
                _ => return Err(only_git("a listing of several paths")),
            };
            let tree = engine.find_object(id).map_err(Error::engine)?.peel_to_tree().map_err(Error::engine)?.id;
            list(engine, tree, &wanted, cancel).map(Some)
        };
        let by_git = || self.ls_tree_with_git(id, &named, recursive, cancel, each).map(|()| None);
        let (listed, route) = self.answer("ls-tree", by_engine, by_git)?;
        for page in listed.unwrap_or_default().chunks_mut(PAGE) {
            cancel.check()?;
            let sized = |engine: &gix::Repository| {
                for entry in page.iter_mut().filter(|entry| entry.kind == "blob") {
                    entry.size = engine.find_header(entry.id).ok().map(|header| header.size());
                }
            };
            self.with_engine(Mode::Read, sized)?;
            for entry in page {
                if each(entry.clone()).is_break() {
                    return Ok(route);
                }
            }
        }
        Ok(route)
    }

    fn ls_tree_with_git(
        &self,
        id: ObjectId,
        named: &[(&[u8], bool)],
        recursive: bool,
        cancel: &Cancel,
        each: &mut dyn FnMut(TreeEntry) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut process = self.read(&["ls-tree", "-z", "--long", "--full-tree"]);
        if recursive {
            process = process.arg("-r");
        }
        let named = named.iter().filter(|(path, _)| !path.is_empty());
        let named = named.map(|(path, below)| [LITERAL, path, if *below { b"/".as_slice() } else { b"" }].concat());
        let process = process.arg(id.to_string()).arg("--").args(named.map(|path| OsStr::from_bytes(&path).to_owned()));
        let mut partial = Vec::new();
        let ended = process.stream(cancel, |chunk| {
            partial.extend_from_slice(chunk);
            let mut start = 0;
            while let Some(end) = partial[start..].iter().position(|&byte| byte == 0) {
                if let Some(entry) = tree_entry(&partial[start..start + end])
                    && each(entry).is_break()
                {
                    return ControlFlow::Break(());
                }
                start += end + 1;
            }
            partial.drain(..start);
            ControlFlow::Continue(())
        })?;
        ended.require("ls-tree")
    }
}

/// Lists in-process, without sizes.
fn list(engine: &gix::Repository, root: ObjectId, wanted: &Wanted<'_>, cancel: &Cancel) -> Result<Vec<TreeEntry>> {
    let mut level = match wanted.path {
        None => entries(engine, root, b"")?,
        Some(path) => {
            let (mut tree, mut base) = (root, Vec::new());
            let mut names = path.split(|&byte| byte == b'/').peekable();
            loop {
                let Some(name) = names.next() else { return Ok(Vec::new()) };
                let is_last = names.peek().is_none();
                // A file and a directory of the same name cannot both be there in a valid tree.
                let found = entries(engine, tree, &base)?.into_iter().find(|entry| entry.path.strip_prefix(&base[..]) == Some(name));
                let Some(entry) = found else { return Ok(Vec::new()) };
                if is_last && !wanted.below {
                    break vec![entry];
                }
                if entry.kind != "tree" {
                    return Ok(Vec::new());
                }
                (tree, base) = (entry.id, [&entry.path[..], b"/"].concat());
                if is_last {
                    break entries(engine, tree, &base)?;
                }
            }
        }
    };
    if !wanted.recursive {
        return Ok(level);
    }
    level.reverse();
    let (mut open, mut listed) = (level, Vec::new());
    while let Some(entry) = open.pop() {
        if entry.kind == "tree" {
            cancel.check()?;
            let base = [&entry.path[..], b"/"].concat();
            open.extend(entries(engine, entry.id, &base)?.into_iter().rev());
        } else {
            listed.push(entry);
        }
        let depth = open.last().map_or(0, |entry| entry.path.find_iter(b"/").count());
        if open.len() + listed.len() > MAX_ENTRIES || depth > MAX_DEPTH {
            return Err(only_git("a tree so large or so deep"));
        }
    }
    Ok(listed)
}

/// The entries of a tree, in its order. `base` is its path.
fn entries(engine: &gix::Repository, tree: ObjectId, base: &[u8]) -> Result<Vec<TreeEntry>> {
    let mut buffer = Vec::new();
    let found = engine.objects.find_tree_iter(&tree, &mut buffer).map_err(Error::engine)?;
    let entry = |entry: std::result::Result<gix::objs::tree::EntryRef<'_>, _>| {
        let entry = entry.map_err(Error::engine)?;
        let (mode, kind) = named(u32::from(entry.mode.value()));
        Ok(TreeEntry {
            mode: mode.to_owned(),
            kind: kind.to_owned(),
            id: entry.oid.to_owned(),
            size: None,
            path: [base, entry.filename].concat(),
        })
    };
    found.map(entry).collect()
}

/// How git shows a mode of a tree: normalised, with the kind of the object.
fn named(mode: u32) -> (&'static str, &'static str) {
    match mode & 0o170_000 {
        0o040_000 => ("040000", "tree"),
        0o100_000 if mode & 0o100 == 0 => ("100644", "blob"),
        0o100_000 => ("100755", "blob"),
        0o120_000 => ("120000", "blob"),
        _ => ("160000", "commit"),
    }
}

fn tree_entry(line: &[u8]) -> Option<TreeEntry> {
    let (meta, path) = line.split_once_str("\t")?;
    let text = meta.to_str().ok()?;
    let mut fields = text.split_ascii_whitespace();
    let (mode, kind, id, size) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let id = ObjectId::from_hex(id.as_bytes()).ok()?;
    Some(TreeEntry { mode: mode.to_owned(), kind: kind.to_owned(), id, size: size.parse().ok(), path: path.to_vec() })
}
