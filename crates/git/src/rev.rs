//! Resolving revisions to object ids, before anything reaches a git process.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::Mode,
    repo::Repo,
};
use gix::{ObjectId, prelude::ObjectIdExt};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A commit.
    Commit,
    /// A directory listing.
    Tree,
    /// File content.
    Blob,
    /// An annotated tag.
    Tag,
}

/// An object, found.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Its id.
    pub id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Its size in bytes.
    pub size: u64,
}

impl Repo {
    /// The object that `rev` names.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn resolve(&self, rev: &Rev, cancel: &Cancel) -> Result<ObjectId> {
        cancel.check()?;
        let found = self.with_engine(Mode::Read, |engine| engine.rev_parse_single(rev.as_str()).ok().map(gix::Id::detach))?;
        if let Some(id) = found.flatten() {
            return Ok(id);
        }
        self.resolve_with_git(rev, rev.as_str(), cancel)
    }

    /// The commit that `rev` names or leads to.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`], also for a blob or a tree.
    pub fn resolve_commit(&self, rev: &Rev, cancel: &Cancel) -> Result<ObjectId> {
        cancel.check()?;
        let found = self.with_engine(Mode::Read, |engine| {
            let id = engine.rev_parse_single(rev.as_str()).ok()?;
            Some(id.object().ok()?.peel_to_commit().ok()?.id)
        })?;
        if let Some(id) = found.flatten() {
            return Ok(id);
        }
        self.resolve_with_git(rev, &format!("{rev}^{{commit}}"), cancel)
    }

    /// The commit that `HEAD` names; `None` before the first commit.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn head(&self, cancel: &Cancel) -> Result<Option<ObjectId>> {
        match self.resolve_commit(&Rev::head(), cancel) {
            Ok(id) => Ok(Some(id)),
            Err(Error::UnknownRevision(_)) => Ok(None),
            Err(err) => Err(err),
        }
    }

    fn resolve_with_git(&self, rev: &Rev, expression: &str, cancel: &Cancel) -> Result<ObjectId> {
        let process = self.read(&["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(expression);
        let (ended, output) = process.output(cancel, 4096)?;
        // Exit code 1 says "unknown"; 128 comes with a reason, such as an ambiguous abbreviation.
        let id = ObjectId::from_hex(output.trim_ascii_end()).ok().filter(|_| ended.code == Some(0));
        id.ok_or_else(|| Error::UnknownRevision(rev.to_string()))
    }

    /// The kind and size of the object `id`.
    ///
    /// # Errors
    ///
    /// [`Error::MissingObject`].
    pub fn object(&self, id: ObjectId, cancel: &Cancel) -> Result<Object> {
        if let Some(header) = self.with_engine(Mode::Read, |engine| engine.find_header(id).ok())?.flatten() {
            let kind = match header.kind() {
                gix::objs::Kind::Commit => ObjectKind::Commit,
                gix::objs::Kind::Tree => ObjectKind::Tree,
                gix::objs::Kind::Blob => ObjectKind::Blob,
                gix::objs::Kind::Tag => ObjectKind::Tag,
            };
            return Ok(Object { id, kind, size: header.size() });
        }
        let process = self.read(&["cat-file", "--batch-check"]).stdin(format!("{id}\n").into_bytes());
        let output = process.success(cancel, 4096)?;
        let text = String::from_utf8_lossy(&output);
        let mut fields = text.split_ascii_whitespace().skip(1);
        let kind = match fields.next() {
            Some("commit") => ObjectKind::Commit,
            Some("tree") => ObjectKind::Tree,
            Some("blob") => ObjectKind::Blob,
            Some("tag") => ObjectKind::Tag,
            _ => return Err(Error::MissingObject(id.to_string())),
        };
        let size = fields.next().and_then(|size| size.parse().ok()).unwrap_or_default();
        Ok(Object { id, kind, size })
    }

    /// The object at `path` in the revision `rev`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`] when the revision has no such path, [`Error::Submodule`] when that is no object of this repository.
    pub fn resolve_path(&self, rev: &Rev, path: &RelPath, cancel: &Cancel) -> Result<ObjectId> {
        let tree = self.resolve(rev, cancel)?;
        let missing = || Error::NoSuchPath { path: path.to_string(), place: format!("revision {rev}") };
        let found = self.with_engine(Mode::Read, |engine| -> Option<Result<ObjectId>> {
            let tree = engine.find_object(tree).ok()?.peel_to_tree().ok()?;
            if path.as_bytes().is_empty() {
                return Some(Ok(tree.id));
            }
            let found = tree.lookup_entry_by_path(path.as_path()).map_err(Error::engine);
            Some(found.and_then(|found| {
                let entry = found.ok_or_else(missing)?;
                if entry.mode().is_commit() {
                    return Err(Error::Submodule { path: path.to_string(), id: entry.object_id() });
                }
                Ok(entry.object_id())
            }))
        })?;
        if let Some(found) = found.flatten() {
            return found;
        }
        let expression = [tree.to_string().as_bytes(), b":", path.as_bytes()].concat();
        let process = self.read(&["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(OsStr::from_bytes(&expression));
        let (ended, output) = process.output(cancel, 4096)?;
        ObjectId::from_hex(output.trim_ascii_end()).ok().filter(|_| ended.code == Some(0)).ok_or_else(missing)
    }

    /// The object that the index holds at `path`: stage 0, or 1 to 3 of a conflict.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`].
    pub fn resolve_staged(&self, stage: u8, path: &RelPath, cancel: &Cancel) -> Result<ObjectId> {
        let expression = [format!(":{stage}:").as_bytes(), path.as_bytes()].concat();
        let process = self.read(&["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(OsStr::from_bytes(&expression));
        let (ended, output) = process.output(cancel, 4096)?;
        let missing = || Error::NoSuchPath { path: path.to_string(), place: "the index".to_owned() };
        ObjectId::from_hex(output.trim_ascii_end()).ok().filter(|_| ended.code == Some(0)).ok_or_else(missing)
    }

    /// The abbreviation that git would print for `id`.
    pub fn abbreviate(&self, id: ObjectId) -> String {
        let short = self.with_engine(Mode::Read, |engine| Abbreviator::of(engine).short(id));
        short.ok().flatten().unwrap_or_else(|| id.to_hex_with_len(12).to_string())
    }
}

/// Abbreviates ids.
///
/// On a handle of its own: to be sure that an abbreviation is unique, gix reads the object directories anew for each one,
/// unless it is told not to.
pub(crate) struct Abbreviator(gix::Repository);

impl Abbreviator {
    pub(crate) fn of(engine: &gix::Repository) -> Self {
        let mut engine = engine.clone();
        engine.objects.refresh_never();
        Self(engine)
    }

    pub(crate) fn short(&self, id: ObjectId) -> String {
        id.attach(&self.0).shorten_or_id().to_string()
    }

    /// The usual length of an abbreviation here, as that of `HEAD`.
    pub(crate) fn usual_len(&self) -> usize {
        self.0.head_id().map_or(7, |id| id.shorten_or_id().to_string().len())
    }
}
