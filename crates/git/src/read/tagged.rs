//! Describes a commit by the nearest tag, in-process.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    repo::{rev::Abbreviator, route::only_git},
};
use engine::history::History;
use gix::{ObjectId, bstr::ByteSlice, objs::Kind};
use std::collections::HashMap;

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
    let mut lines = object.data.split(|&byte| byte == b'\n');
    let mut value = |name: &[u8]| lines.next().and_then(|line| line.strip_prefix(name)).map(<[u8]>::to_vec);
    let target = value(b"object ").and_then(|id| ObjectId::from_hex(&id).ok()).ok_or_else(unusual)?;
    let kind = value(b"type ").ok_or_else(unusual)?;
    let name = value(b"tag ").filter(|name| !name.is_empty()).ok_or_else(unusual)?;
    let tagger = value(b"tagger ").ok_or_else(unusual)?;
    let (_, after) = tagger.split_once_str(">").ok_or_else(unusual)?;
    let digits = after.trim_ascii_start().split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
    let date = digits.to_str().ok().and_then(|digits| digits.parse().ok()).ok_or_else(unusual)?;
    Ok(TagObject { target, leads_to_tag: kind == b"tag", name, date })
}
