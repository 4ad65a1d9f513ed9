//! Resolves revisions to object ids, before they are passed to a git process.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::{Mode, stderr::Ended},
    repo::{Repo, route::only_git},
};
use gix::{ObjectId, prelude::ObjectIdExt};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Component, Path},
};

/// Maximum bytes of a tree listing.
const MAX_LISTING: usize = 64 << 20;

/// The type of an object.
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

impl ObjectKind {
    /// git's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }

    /// The kind with this name.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        [Self::Commit, Self::Tree, Self::Blob, Self::Tag].into_iter().find(|kind| kind.as_str().as_bytes() == name)
    }
}

/// The path of `:PATH` or `:STAGE:PATH`, given the text after the first colon.
fn staged_path(text: &str) -> &str {
    text.strip_prefix(['0', '1', '2', '3']).and_then(|rest| rest.strip_prefix(':')).unwrap_or(text)
}

/// An object's id, type and size.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Its id.
    pub id: ObjectId,
    /// Its type.
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
        self.note_ambiguity(rev, cancel)?;
        // The object of an id or a path may legitimately be missing here.
        let may_miss = rev.as_str().contains(':') || ObjectId::from_hex(rev.as_str().as_bytes()).is_ok();
        let found = self.with_engine(Mode::Read, |engine| {
            let id = engine.rev_parse_single(rev.as_str()).ok()?;
            (may_miss || id.header().is_ok()).then_some(id.detach())
        })?;
        if let Some(id) = found.flatten() {
            return Ok(id);
        }
        let verified = if may_miss { rev.to_string() } else { format!("{rev}^{{object}}") };
        self.resolve_with_git(rev, &verified, cancel)
    }

    /// The commit that `rev` names or peels to.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::BadName`] for a blob, a tree, or a tag of one.
    pub fn resolve_commit(&self, rev: &Rev, cancel: &Cancel) -> Result<ObjectId> {
        cancel.check()?;
        self.note_ambiguity(rev, cancel)?;
        let found = self.with_engine(Mode::Read, |engine| {
            let id = engine.rev_parse_single(rev.as_str()).ok()?;
            Some(id.object().ok()?.peel_to_commit().ok()?.id)
        })?;
        if let Some(id) = found.flatten() {
            return Ok(id);
        }
        match self.resolve_with_git(rev, &format!("{rev}^{{commit}}"), cancel) {
            Err(Error::UnknownRevision(_)) => Err(self.no_commit(rev, cancel)?),
            found => found,
        }
    }

    /// Why `rev` names no commit: it names another object, or nothing.
    fn no_commit(&self, rev: &Rev, cancel: &Cancel) -> Result<Error> {
        let text = rev.as_str();
        let unknown = || Ok(Error::UnknownRevision(text.to_owned()));
        let is_digit = |byte: u8| byte.is_ascii_digit();
        // A parent that a commit does not have.
        let is_step = text.rfind(['^', '~']).is_some_and(|at| text[at + 1..].bytes().all(is_digit));
        let found = if is_step { None } else { self.rev_parse(text, cancel)?.0 };
        let Some(id) = found else { return unknown() };
        let why = match self.object(id, cancel)?.kind {
            ObjectKind::Blob => "it names a blob",
            ObjectKind::Tree => "it names a tree",
            ObjectKind::Commit => return unknown(),
            ObjectKind::Tag => match self.tagged(id, cancel)?.kind {
                ObjectKind::Blob => "it names a tag of a blob",
                ObjectKind::Tree => "it names a tag of a tree",
                ObjectKind::Commit | ObjectKind::Tag => return unknown(),
            },
        };
        Ok(Error::bad_name(text, "a commit", why))
    }

    /// The object that the tag `id` leads to.
    fn tagged(&self, id: ObjectId, cancel: &Cancel) -> Result<Object> {
        let missing = || Error::Unreadable { said: format!("the object that the tag {id} names is missing or damaged") };
        let target = self.rev_parse(format!("{id}^{{}}"), cancel)?.0.ok_or_else(missing)?;
        self.object(target, cancel)
    }

    /// The commit that `HEAD` names; `None` before the first commit.
    ///
    /// # Errors
    ///
    /// [`Error::Unreadable`] if its target is broken or missing.
    pub fn head(&self, cancel: &Cancel) -> Result<Option<ObjectId>> {
        let found = self.with_engine(Mode::Read, |engine| head_of(engine).ok().map(|(_, commit)| commit.map(|commit| commit.id)))?;
        if let Some(commit) = found.flatten() {
            return Ok(commit);
        }
        if let Some(commit) = self.rev_parse("HEAD^{commit}", cancel)?.0 {
            return Ok(Some(commit));
        }
        // An unborn branch: `HEAD` names it, but the reference does not exist.
        let named = self.read(&["symbolic-ref", "--quiet", "HEAD"]).may_die().output(cancel, 8192)?.0;
        let (id, ended) = self.rev_parse("HEAD", cancel)?;
        if named.code == Some(0) && id.is_none() && ended.code == Some(1) {
            return Ok(None);
        }
        // This command fails with the reason.
        self.read(&["log", "--max-count=1", "--format=%s"]).success(cancel, 4096)?;
        Err(Error::Unreadable { said: "HEAD names no commit".to_owned() })
    }

    /// The object git finds for `expression`, and how git ended. Exit code 1 means that there is none; 128 comes with a
    /// reason, such as an ambiguous abbreviation.
    pub(crate) fn rev_parse(&self, expression: impl AsRef<OsStr>, cancel: &Cancel) -> Result<(Option<ObjectId>, Ended)> {
        let process = self.read(&["rev-parse", "--verify", "--quiet", "--end-of-options"]).arg(expression).may_die();
        let (ended, output) = process.output(cancel, 4096)?;
        Ok((ObjectId::from_hex(output.trim_ascii_end()).ok().filter(|_| ended.code == Some(0)), ended))
    }

    fn resolve_with_git(&self, rev: &Rev, expression: &str, cancel: &Cancel) -> Result<ObjectId> {
        match self.rev_parse(expression, cancel)? {
            (Some(id), _) => Ok(id),
            (None, ended) => Err(self.unresolved(rev, &ended, cancel)?),
        }
    }

    /// Why git finds nothing for `rev`: its message is the same for broken and missing references.
    fn unresolved(&self, rev: &Rev, ended: &Ended, cancel: &Cancel) -> Result<Error> {
        let text = rev.as_str();
        let name = &text[..text.find(['^', '~', ':']).or_else(|| text.find("@{")).unwrap_or(text.len())];
        // If git died, HEAD may be the cause.
        if matches!(name, "" | "@" | "HEAD") || ended.code != Some(1) {
            self.head(cancel)?;
        }
        for name in [
            name.to_owned(),
            format!("refs/{name}"),
            format!("refs/tags/{name}"),
            format!("refs/heads/{name}"),
            format!("refs/remotes/{name}"),
        ] {
            let plain = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
            let Some(line) = Some(&name).filter(|name| plain && name.starts_with("refs/")).and_then(|name| self.common_folder().line(name))
            else {
                continue;
            };
            if !line.starts_with(b"ref:") && !ObjectId::from_hex(&line).is_ok_and(|id| !id.is_null()) {
                return Ok(Error::Unreadable { said: format!("the reference {name} is broken: its file names no object") });
            }
        }
        // The name exists but does not resolve to a commit: its object is missing, damaged or of another type.
        for expression in [text, name] {
            let Some(id) = Some(expression)
                .filter(|text| !text.is_empty())
                .map(|text| self.rev_parse(text, cancel))
                .transpose()?
                .and_then(|found| found.0)
            else {
                continue;
            };
            let is_named = !text.contains(':') && ObjectId::from_hex(expression.as_bytes()).is_err();
            match self.object(id, cancel) {
                Err(Error::MissingObject(_)) if is_named => {
                    return Ok(Error::Unreadable { said: format!("fatal: bad object {expression}") });
                }
                found => drop(found?),
            }
        }
        Ok(Error::UnknownRevision(rev.to_string()))
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
        let (ended, output) = process.output(cancel, 4096)?;
        self.require_object(&ended, id, cancel)?;
        let text = String::from_utf8_lossy(&output);
        let mut fields = text.split_ascii_whitespace().skip(1);
        let kind = match fields.next().and_then(|name| ObjectKind::named(name.as_bytes())) {
            Some(kind) => kind,
            // git also reports a damaged object as missing.
            None if ended.stderr.contains("error: ") => return Err(ended.unreadable()),
            None => return Err(Error::MissingObject(id.to_string())),
        };
        let size = fields.next().and_then(|size| size.parse().ok()).unwrap_or_default();
        Ok(Object { id, kind, size })
    }

    /// The object `id`, which `rev` names.
    ///
    /// # Errors
    ///
    /// [`Error::Submodule`] if it is a commit of another repository; otherwise as for [`Repo::object`].
    pub fn object_of(&self, rev: &Rev, id: ObjectId, cancel: &Cancel) -> Result<Object> {
        match (self.object(id, cancel), rev.as_str().split_once(':')) {
            (Err(Error::MissingObject(_)), Some(("", path))) if self.is_submodule(path, cancel)? => {
                Err(Error::Submodule { path: staged_path(path).to_owned(), id })
            }
            (Err(error @ Error::MissingObject(_)), Some((rev, path))) if !rev.is_empty() => {
                match self.resolve_path(&Rev::new(rev)?, &RelPath::new(path, None)?, cancel) {
                    Err(submodule @ Error::Submodule { .. }) => Err(submodule),
                    _ => Err(error),
                }
            }
            (found, _) => found,
        }
    }

    /// Whether a path, optionally prefixed by a stage, is a submodule in the index.
    fn is_submodule(&self, path: &str, cancel: &Cancel) -> Result<bool> {
        Ok(self.gitlinks(cancel)?.iter().any(|link| link.path == staged_path(path).as_bytes()))
    }

    /// The object at `path` in the revision `rev`.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`] if the revision has no such path, [`Error::Submodule`] if it is not an object of this repository.
    pub fn resolve_path(&self, rev: &Rev, path: &RelPath, cancel: &Cancel) -> Result<ObjectId> {
        let tree = self.resolve(rev, cancel)?;
        let missing = || Error::NoSuchPath { path: path.to_string(), place: format!("revision {rev}") };
        let found = self.with_engine(Mode::Read, |engine| -> Option<Result<ObjectId>> {
            let tree = engine.find_object(tree).ok()?.peel_to_tree().ok()?;
            if path.as_bytes().is_empty() {
                return Some(Ok(tree.id));
            }
            let found = tree.lookup_entry_by_path(path.as_path()).ok()?;
            Some(found.ok_or_else(missing).and_then(|entry| {
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
        if let (Some(id), _) = self.rev_parse(OsStr::from_bytes(&expression), cancel)? {
            return Ok(id);
        }
        // An unreadable tree has no paths either.
        self.read(&["ls-tree", "-z"]).arg(tree.to_string()).success(cancel, MAX_LISTING)?;
        Err(missing())
    }

    /// The object at `path` in the index: stage 0, or 1 to 3 of a conflict.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchPath`].
    pub fn resolve_staged(&self, stage: u8, path: &RelPath, cancel: &Cancel) -> Result<ObjectId> {
        let expression = [format!(":{stage}:").as_bytes(), path.as_bytes()].concat();
        let missing = || Error::NoSuchPath { path: path.to_string(), place: "the index".to_owned() };
        self.rev_parse(OsStr::from_bytes(&expression), cancel)?.0.ok_or_else(missing)
    }

    /// Abbreviates `id` as git does.
    pub fn abbreviate(&self, id: ObjectId) -> String {
        let short = self.with_engine(Mode::Read, |engine| Abbreviator::of(engine).short(id));
        short.ok().flatten().unwrap_or_else(|| id.to_hex_with_len(12).to_string())
    }
}

/// `HEAD` and its commit; `None` before the first one.
///
/// # Errors
///
/// [`Error::Engine`] if only git can decide: a missing reference may be in a damaged `packed-refs`.
pub(crate) fn head_of(engine: &gix::Repository) -> Result<(gix::Head<'_>, Option<gix::Commit<'_>>)> {
    let head = engine.head().map_err(Error::engine)?;
    let commit = match head.id() {
        Some(id) => Some(id.object().map_err(Error::engine)?.peel_to_commit().map_err(Error::engine)?),
        None if !head.is_unborn() || engine.common_dir().join("packed-refs").exists() => {
            return Err(only_git("a branch that may be unborn"));
        }
        None => None,
    };
    Ok((head, commit))
}

/// Abbreviates ids.
///
/// Uses its own handle with refresh disabled: by default gix rescans the object directories for each abbreviation.
pub(crate) struct Abbreviator(gix::Repository);

impl Abbreviator {
    pub(crate) fn of(engine: &gix::Repository) -> Self {
        let mut engine = engine.clone();
        engine.objects.refresh_never();
        Self(engine)
    }

    pub(crate) fn short(&self, id: ObjectId) -> String {
        let found = id.attach(&self.0).shorten().ok();
        found.map_or_else(|| self.absent(id), |short| short.to_string())
    }

    /// Abbreviates to `len` digits, or more if they are ambiguous.
    pub(crate) fn at_least(&self, id: ObjectId, len: usize) -> String {
        let candidate = gix::odb::store::prefix::disambiguate::Candidate::new(id, len).ok();
        let short = candidate.and_then(|candidate| self.0.objects.disambiguate_prefix(candidate).ok()?);
        short.map_or_else(|| id.to_string(), |short| short.to_string())
    }

    /// As git abbreviates an id that is not an object here: to the length at which no object has the same prefix.
    fn absent(&self, id: ObjectId) -> String {
        let len = self.0.objects.packed_object_count().map_or(7, usual_len);
        let has_object = |len: &usize| {
            let prefix = gix::hash::Prefix::new(&id, *len).ok();
            prefix.is_some_and(|prefix| matches!(self.0.objects.lookup_prefix(prefix, None), Ok(Some(_))))
        };
        let whole = id.kind().len_in_hex();
        let len = (len..whole).find(|len| !has_object(len)).unwrap_or(whole);
        id.to_hex_with_len(len).to_string()
    }
}

/// git's usual length of an abbreviation, which grows with the number of packed objects.
fn usual_len(packed: u64) -> usize {
    let bits = u64::BITS - packed.leading_zeros();
    usize::try_from(bits.div_ceil(2)).unwrap_or_default().max(7)
}
