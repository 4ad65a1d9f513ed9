//! Compares a file's content with the object that the index names.

use crate::{
    beneath::{Folder, Kind, to_path},
    error::{Error, Result},
    index::{Entry, Index},
    stop::Stop,
};
use gix::{ObjectId, hash::Hasher};
use parking_lot::Mutex;
use std::{collections::HashMap, fs::File, io::Read};

/// Bytes hashed at a time.
const CHUNK: usize = 64 << 10;

/// Words in an attributes file that may change what git stores for a file.
const CONVERTING: [&[u8]; 8] = [b"text", b"eol", b"crlf", b"ident", b"filter", b"encoding", b"binary", b"[attr]"];

/// What the comparison of content needs.
#[derive(Debug)]
pub struct Content {
    objects: Mutex<gix::Repository>,
    kind: gix::hash::Kind,
    /// Every file may be converted.
    converts: bool,
    /// By directory: whether its attributes may convert files.
    folders: Mutex<HashMap<Vec<u8>, bool>>,
}

impl Content {
    /// Content of a repository. `converts` is true if its settings, or attributes outside of its working tree, may
    /// convert any file.
    pub fn new(objects: gix::Repository, converts: bool) -> Self {
        Self { kind: objects.object_hash(), objects: Mutex::new(objects), converts, folders: Mutex::default() }
    }

    /// The content of a blob.
    pub(super) fn blob(&self, id: ObjectId) -> Result<Vec<u8>> {
        let objects = self.objects.lock();
        let object = objects.find_object(id).map_err(|err| Error::corrupt(format_args!("reading {id}: {err}")))?;
        Ok(object.detach().data)
    }

    /// Whether the symbolic link has the target that the index records.
    pub(super) fn is_same_link(&self, folder: &Folder, name: &[u8], entry: &Entry) -> Result<bool> {
        let Some(target) = folder.link(to_path(name)) else { return Ok(false) };
        let mut hasher = self.hasher(target.len() as u64);
        hasher.update(&target);
        finish(hasher, entry)
    }

    /// Whether the file has the content that the index records. A file that cannot be opened differs, as in git.
    pub(super) fn is_same_file(
        &self,
        top: &Folder,
        folder: &Folder,
        (name, path): (&[u8], &[u8]),
        (index, entry): (&Index, &Entry),
        stop: &dyn Stop,
    ) -> Result<bool> {
        let Ok((file, found)) = folder.file(to_path(name)) else { return Ok(false) };
        if self.converts || self.may_convert(top, index, path)? {
            return Err(Error::Unsupported("files whose content may be converted"));
        }
        let mut hasher = self.hasher(found.len());
        if hash(&mut hasher, file, stop)? == found.len() {
            finish(hasher, entry)
        } else {
            Err(Error::Unsupported("a file that is being written"))
        }
    }

    fn hasher(&self, length: u64) -> Hasher {
        let mut hasher = gix::hash::hasher(self.kind);
        hasher.update(format!("blob {length}\0").as_bytes());
        hasher
    }

    fn may_convert(&self, top: &Folder, index: &Index, path: &[u8]) -> Result<bool> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at + 1);
        for end in std::iter::once(0).chain(ends) {
            let folder = path.get(..end).unwrap_or_default();
            let known = self.folders.lock().get(folder).copied();
            let converts = match known {
                Some(converts) => converts,
                None => {
                    let converts = converts_in(top, index, folder)?;
                    self.folders.lock().insert(folder.to_vec(), converts);
                    converts
                }
            };
            if converts {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether the attributes of one directory may convert files. git uses the staged ones if the file is missing.
fn converts_in(top: &Folder, index: &Index, folder: &[u8]) -> Result<bool> {
    let file = [folder, b".gitattributes"].concat();
    match top.read(to_path(&file), Kind::Rules) {
        Ok(Some(text)) => Ok(CONVERTING.iter().any(|word| contains(&text, word))),
        Ok(None) => Ok(index.find(&file, 0).is_some()),
        Err(Error::NotReadable { .. }) => Ok(true),
        Err(err) => Err(err),
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// Hashes a file; returns its length.
fn hash(hasher: &mut Hasher, mut file: File, stop: &dyn Stop) -> Result<u64> {
    let (mut chunk, mut length) = (vec![0; CHUNK], 0);
    loop {
        let count = match file.read(&mut chunk) {
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => continue,
            count => count.map_err(Error::io("reading a file"))?,
        };
        if count == 0 {
            return Ok(length);
        }
        length += count as u64;
        hasher.update(chunk.get(..count).unwrap_or_default());
        stop.check()?;
    }
}

fn finish(hasher: Hasher, entry: &Entry) -> Result<bool> {
    hasher.try_finalize().map(|id| id == entry.id).map_err(|_| Error::Unsupported("content whose hash collides"))
}
