//! Tags in-process: their list, and the nearest one of a commit.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::{
        commit_text::CommitText,
        fields::{MAX_SUBJECT, clipped},
    },
    repo::{rev::Abbreviator, route::only_git},
};
use engine::history::History;
use gix::{ObjectId, bstr::ByteSlice, objs::Kind};
use std::{cmp::Reverse, collections::HashMap};

/// The length of an abbreviated id.
const ABBREVIATED: usize = 12;
/// Maximum number of tags that lead to one another.
const MAX_CHAIN: usize = 64;

/// The name of a commit.
struct Name {
    /// Below `refs/tags/`.
    path: Vec<u8>,
    /// The tag object.
    tag: Option<ObjectId>,
}

/// A tag object.
struct TagObject {
    target: ObjectId,
    leads_to_tag: bool,
    name: Vec<u8>,
    /// Seconds since 1970.
    date: u64,
    message: Vec<u8>,
}

/// A tag of a list.
pub(crate) struct Listed {
    /// The full name of the reference.
    pub(crate) full: Vec<u8>,
    /// The object that it names.
    pub(crate) id: ObjectId,
    /// The object that a tag object leads to.
    pub(crate) target: Option<ObjectId>,
    /// The kind of the target.
    pub(crate) kind: Kind,
    /// The first paragraph of the message.
    pub(crate) subject: Vec<u8>,
}

/// All tags, the newest first, as `git tag --sort=-creatordate`.
///
/// # Errors
///
/// [`Error::Engine`] if only git can show one of them.
pub(crate) fn list(engine: &gix::Repository, cancel: &Cancel) -> Result<Vec<Listed>> {
    let mut found = Vec::new();
    let platform = engine.references().map_err(Error::engine)?;
    for reference in platform.prefixed("refs/tags/").map_err(Error::engine)? {
        cancel.check()?;
        let reference = reference.map_err(Error::engine)?;
        let id = reference.try_id().ok_or_else(|| only_git("a symbolic tag"))?.detach();
        let full = reference.name().as_bstr().to_vec();
        found.push(listed(engine, full, id)?);
    }
    found.sort_by_cached_key(|(date, tag)| (Reverse(*date), tag.full.clone()));
    Ok(found.into_iter().map(|(_, tag)| tag).collect())
}

fn listed(engine: &gix::Repository, full: Vec<u8>, id: ObjectId) -> Result<(u64, Listed)> {
    match engine.find_header(id).map_err(Error::engine)?.kind() {
        Kind::Tag => {
            let tag = tag_object(engine, id)?;
            let kind = engine.find_header(tag.target).map_err(Error::engine)?.kind();
            if kind == Kind::Tag {
                return Err(only_git("a tag of a tag"));
            }
            Ok((tag.date, Listed { full, id, target: Some(tag.target), kind, subject: first_paragraph(&tag.message)? }))
        }
        Kind::Commit => {
            let commit = engine.find_commit(id).map_err(Error::engine)?;
            let text = CommitText::of(&commit.data);
            let header = commit.data.find(b"\n\n").and_then(|end| commit.data.get(..end)).unwrap_or(commit.data.as_slice());
            let committer = header.lines().find_map(|line| line.strip_prefix(b"committer "));
            let date = committer.filter(|_| !text.is_encoded).and_then(seconds).ok_or_else(|| only_git("an unusual commit"))?;
            Ok((date, Listed { full, id, target: None, kind: Kind::Commit, subject: first_paragraph(text.message)? }))
        }
        Kind::Tree | Kind::Blob => Err(only_git("a tag of a tree or a blob")),
    }
}

/// The first paragraph of a message on one line, as `%(contents:subject)`.
///
/// # Errors
///
/// [`Error::Engine`] for a message that may be signed, or has other line ends.
pub(crate) fn first_paragraph(message: &[u8]) -> Result<Vec<u8>> {
    if message.find_byteset(b"\0\r").is_some() || message.find(b"-----BEGIN ").is_some() {
        return Err(only_git("an unusual message"));
    }
    let start = message.iter().position(|&byte| byte != b'\n').unwrap_or(message.len());
    let message = message.get(start..).unwrap_or_default();
    let paragraph = message.split_once_str("\n\n").map_or(message, |(first, _)| first);
    let lines: Vec<&[u8]> = paragraph.trim_end_with(|sign| sign == '\n').split(|&byte| byte == b'\n').collect();
    Ok(clipped(&lines.join(&b' '), MAX_SUBJECT))
}

/// The date of a line such as `NAME <ADDRESS> SECONDS ZONE`.
fn seconds(person: &[u8]) -> Option<u64> {
    let (_, after) = person.split_once_str("> ")?;
    after.split(|byte| !byte.is_ascii_digit()).next()?.to_str().ok()?.parse().ok()
}

/// `TAG-DISTANCE-gID`, as `git describe --long --abbrev=12`; `None` if no tag reaches the commit, or none names it if
/// `exact`.
///
/// # Errors
///
/// [`Error::Engine`] if only git can decide.
pub(crate) fn describe(engine: &gix::Repository, id: ObjectId, any_tag: bool, exact: bool, cancel: &Cancel) -> Result<Option<String>> {
    let mut names = names(engine, cancel)?;
    names.retain(|_, name| any_tag || name.tag.is_some());
    let mut found = names.get(&id).map(|name| (name, 0));
    if found.is_none() && !exact {
        let known = names.iter().map(|(id, name)| (*id, name.tag.is_some())).collect();
        let nearest = History::open(engine, cancel)?.nearest(id, &known)?;
        found = nearest.and_then(|nearest| Some((names.get(&nearest.commit)?, nearest.distance)));
    }
    let Some((name, distance)) = found else { return Ok(None) };
    // git prints the name in the object, which a reference of another name may lead to.
    let (path, target) = match name.tag {
        Some(tag) => {
            let tag = tag_object(engine, tag)?;
            (tag.name, if distance == 0 && names.contains_key(&id) { tag.target } else { id })
        }
        None => (name.path.clone(), id),
    };
    let short = Abbreviator::of(engine).at_least(target, ABBREVIATED);
    Ok(Some(format!("{}-{distance}-g{short}", path.to_str_lossy())))
}

/// The names of commits: of several tags of one commit, the newest annotated one, or the first lightweight one.
fn names(engine: &gix::Repository, cancel: &Cancel) -> Result<HashMap<ObjectId, Name>> {
    let mut names: HashMap<ObjectId, Name> = HashMap::new();
    let platform = engine.references().map_err(Error::engine)?;
    for reference in platform.prefixed("refs/tags/").map_err(Error::engine)? {
        cancel.check()?;
        let reference = reference.map_err(Error::engine)?;
        let id = reference.try_id().ok_or_else(|| only_git("a symbolic tag"))?.detach();
        let is_annotated = engine.find_header(id).map_err(Error::engine)?.kind() == Kind::Tag;
        let (peeled, tag) = if is_annotated { (peeled(engine, id)?, Some(id)) } else { (id, None) };
        let is_better = match (names.get(&peeled).map(|name| name.tag), tag) {
            (None, _) | (Some(None), Some(_)) => true,
            (Some(Some(known)), Some(tag)) => tag_object(engine, known)?.date < tag_object(engine, tag)?.date,
            (Some(_), None) => false,
        };
        if is_better {
            let name = reference.name().as_bstr();
            names.insert(peeled, Name { path: name.strip_prefix(b"refs/tags/").unwrap_or(name).to_vec(), tag });
        }
    }
    Ok(names)
}

/// The object that a tag leads to.
fn peeled(engine: &gix::Repository, tag: ObjectId) -> Result<ObjectId> {
    let mut id = tag;
    for _ in 0..MAX_CHAIN {
        let tag = tag_object(engine, id)?;
        if !tag.leads_to_tag {
            return Ok(tag.target);
        }
        id = tag.target;
    }
    Err(only_git("a long chain of tags"))
}

fn tag_object(engine: &gix::Repository, id: ObjectId) -> Result<TagObject> {
    let unusual = || only_git("an unusual tag");
    let object = engine.find_object(id).map_err(Error::engine)?;
    let (header, message) = object.data.split_once_str("\n\n").unwrap_or((object.data.as_slice(), &[][..]));
    let mut lines = header.split(|&byte| byte == b'\n');
    let mut value = |name: &[u8]| lines.next().and_then(|line| line.strip_prefix(name)).map(<[u8]>::to_vec);
    let target = value(b"object ").and_then(|id| ObjectId::from_hex(&id).ok()).ok_or_else(unusual)?;
    let kind = value(b"type ").ok_or_else(unusual)?;
    let name = value(b"tag ").filter(|name| !name.is_empty()).ok_or_else(unusual)?;
    let tagger = value(b"tagger ").ok_or_else(unusual)?;
    // An encoding or a signature follows.
    let date = seconds(&tagger).filter(|_| lines.next().is_none()).ok_or_else(unusual)?;
    Ok(TagObject { target, leads_to_tag: kind == b"tag", name, date, message: message.to_vec() })
}
