//! Reads commits, trees and blobs.

use crate::{
    error::{Error, Result},
    packs::{Content, Packs},
};
use gix::{
    ObjectId,
    objs::{Find, Kind},
};
use std::{collections::VecDeque, sync::Arc};

/// Bytes of blobs kept. The version of one step is compared again in the next.
const MAX_KEPT: usize = 32 << 20;
/// Number of blobs kept.
const KEPT: usize = 32;

/// A commit.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) tree: ObjectId,
    pub(super) parents: Vec<ObjectId>,
    /// The committer's date, in seconds since 1970. It only decides the order of work.
    pub(super) date: i64,
}

/// The objects of a repository.
pub(super) struct Objects<'a> {
    repo: &'a gix::Repository,
    packs: Packs,
    /// Commits whose parents are missing.
    shallow: Vec<ObjectId>,
    blobs: VecDeque<(ObjectId, Content)>,
    kept: usize,
    buffer: Vec<u8>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(repo: &'a gix::Repository) -> Result<Self> {
        let shallow = repo.shallow_commits().map_err(Error::corrupt)?;
        let shallow = shallow.map(|list| list.iter().copied().collect()).unwrap_or_default();
        Ok(Self { repo, packs: Packs::open(repo, true), shallow, blobs: VecDeque::new(), kept: 0, buffer: Vec::new() })
    }

    pub(super) fn hash(&self) -> gix::hash::Kind {
        self.repo.object_hash()
    }

    pub(super) fn commit(&mut self, id: ObjectId) -> Result<Commit> {
        let hash = self.hash();
        let mut commit = self.read(id, Kind::Commit, |data| parse(data, hash))??;
        if self.shallow.contains(&id) {
            commit.parents.clear();
        }
        Ok(commit)
    }

    /// Passes a tree to `work`.
    pub(super) fn tree<T>(&mut self, id: ObjectId, work: impl FnOnce(&[u8]) -> T) -> Result<T> {
        self.read(id, Kind::Tree, work)
    }

    /// The content of a file.
    pub(super) fn blob(&mut self, id: ObjectId) -> Result<Content> {
        if let Some((_, blob)) = self.blobs.iter().rev().find(|(kept, _)| *kept == id) {
            return Ok(Arc::clone(blob));
        }
        if let Some((Kind::Blob, content)) = self.packs.find(&id) {
            self.keep(id, &content);
            return Ok(content);
        }
        let mut content = Vec::new();
        match self.repo.objects.try_find(&id, &mut content) {
            Ok(Some(found)) if found.kind == Kind::Blob => {}
            found => return Err(unreadable(id, Kind::Blob, found)),
        }
        let content = Arc::new(content);
        self.keep(id, &content);
        Ok(content)
    }

    /// The size of a file.
    pub(super) fn size(&self, id: ObjectId) -> Result<u64> {
        self.repo.find_header(id).map(|header| header.size()).map_err(Error::corrupt)
    }

    /// The id of `content` as a blob, which is kept.
    pub(super) fn insert(&mut self, content: Vec<u8>) -> Result<ObjectId> {
        let id = gix::objs::compute_hash(self.hash(), Kind::Blob, &content).map_err(Error::corrupt)?;
        self.keep(id, &Arc::new(content));
        Ok(id)
    }

    fn keep(&mut self, id: ObjectId, content: &Content) {
        self.kept += content.len();
        self.blobs.push_back((id, Arc::clone(content)));
        while (self.blobs.len() > KEPT || self.kept > MAX_KEPT)
            && self.blobs.len() > 1
            && let Some((_, oldest)) = self.blobs.pop_front()
        {
            self.kept -= oldest.len();
        }
    }

    fn read<T>(&mut self, id: ObjectId, kind: Kind, work: impl FnOnce(&[u8]) -> T) -> Result<T> {
        if let Some((_, content)) = self.packs.find(&id).filter(|found| found.0 == kind) {
            return Ok(work(&content));
        }
        match self.repo.objects.try_find(&id, &mut self.buffer) {
            Ok(Some(found)) if found.kind == kind => Ok(work(found.data)),
            found => Err(unreadable(id, kind, found)),
        }
    }
}

/// Why an object of this kind was not read.
fn unreadable<E: std::fmt::Display>(id: ObjectId, kind: Kind, found: Result<Option<gix::objs::Data<'_>>, E>) -> Error {
    match found {
        Ok(Some(found)) => Error::corrupt(format_args!("object {id} is a {}, not a {kind}", found.kind)),
        Ok(None) => Error::corrupt(format_args!("object {id} is missing")),
        Err(err) => Error::corrupt(format_args!("object {id}: {err}")),
    }
}

/// Parses the header of a commit.
fn parse(data: &[u8], hash: gix::hash::Kind) -> Result<Commit> {
    let bad = || Error::corrupt("a commit with a malformed header");
    let mut lines = data.split(|&byte| byte == b'\n');
    let id = |hex: &[u8]| ObjectId::from_hex(hex).ok().filter(|id| id.kind() == hash).ok_or_else(bad);
    let tree = id(lines.next().and_then(|line| line.strip_prefix(b"tree ")).ok_or_else(bad)?)?;
    let (mut parents, mut time) = (Vec::new(), 0);
    for line in lines {
        if let Some(parent) = line.strip_prefix(b"parent ") {
            parents.push(id(parent)?);
        } else if let Some(committer) = line.strip_prefix(b"committer ") {
            time = seconds(committer);
            break;
        } else if !line.starts_with(b"author ") {
            break;
        }
    }
    Ok(Commit { tree, parents, date: time })
}

/// The time after the address; 0 if unreadable.
fn seconds(committer: &[u8]) -> i64 {
    let after = committer.rsplit(|&byte| byte == b'>').next().unwrap_or_default().trim_ascii_start();
    let digits = after.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_i64, |seconds, digit| seconds.saturating_mul(10).saturating_add(i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHA1: gix::hash::Kind = gix::hash::Kind::Sha1;

    #[test]
    fn headers_are_read() -> Result<()> {
        let id = |digit: &str| digit.repeat(40);
        let text = format!(
            "tree {}\nparent {}\nparent {}\nauthor A <a@b> 1 +0000\ncommitter C <c> d> 1700000000 +0000\n\nparent x\n",
            id("1"),
            id("2"),
            id("3")
        );
        let commit = parse(text.as_bytes(), SHA1)?;
        assert_eq!((commit.parents.len(), commit.date), (2, 1_700_000_000));
        assert!(parse(b"tree 1\n", SHA1).is_err());
        assert!(parse(text.replace("parent 2", "parent x2").as_bytes(), SHA1).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(data in proptest::collection::vec(any::<u8>(), 0..200), text in "(tree|parent|committer)[ >0-9\n]{0,60}") {
            let _ = (parse(&data, SHA1).is_ok(), parse(text.as_bytes(), SHA1).is_ok(), seconds(&data));
        }
    }
}
