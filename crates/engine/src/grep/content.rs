//! Reads the files to search.

use super::{File, printer::HEAD};
use crate::{
    beneath::{Folder, to_path},
    packs::Packs,
};
use gix::{ObjectId, objs::Find};
use std::{io, sync::Arc};

/// Larger files are not searched.
pub(super) const MAX_FILE: u64 = 8 << 20;
/// Files from this size on are first checked for binary content, to read no more of these.
const LARGE: usize = 64 << 10;
/// The errno of a failing disk.
const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// The result of reading a file into the buffer.
pub(super) enum Read {
    /// Its content is in the buffer.
    Whole,
    /// There is nothing to search: git skips files that are deleted, unreadable, replaced by something else or binary.
    Skipped,
    /// It is too large.
    TooLarge,
    /// An object that is missing or damaged.
    Missing(ObjectId),
    /// The disk failed.
    Failed(io::Error),
}

/// Reads files into one buffer. Each thread has its own.
pub(super) struct Reader<'a> {
    worktree: Option<&'a Folder>,
    objects: Option<(gix::Repository, Packs)>,
    /// The directory of the last file, with its path.
    dir: Option<(&'a [u8], io::Result<Folder>)>,
    pub(super) buffer: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(worktree: Option<&'a Folder>, objects: Option<gix::Repository>) -> Self {
        let objects = objects.map(|repo| {
            let packs = Packs::open(&repo, false);
            (repo, packs)
        });
        Self { worktree, objects, dir: None, buffer: Vec::new() }
    }

    pub(super) fn read(&mut self, file: &File<'a>) -> Read {
        self.buffer.clear();
        match (file.id, &mut self.objects) {
            (Some(id), Some((objects, packs))) => read_object(objects, packs, id, &mut self.buffer),
            _ => match self.read_file(file.path) {
                Ok(read) => read,
                Err(err) if err.raw_os_error() == Some(EIO) => Read::Failed(err),
                Err(_) => Read::Skipped,
            },
        }
    }

    fn read_file(&mut self, path: &'a [u8]) -> io::Result<Read> {
        let top = self.worktree.ok_or(io::ErrorKind::NotFound)?;
        let (file, size) = match path.iter().rposition(|&byte| byte == b'/') {
            None => top.own_file(path)?,
            Some(end) => {
                let (above, name) = (&path[..end], &path[end + 1..]);
                if self.dir.as_ref().is_none_or(|dir| dir.0 != above) {
                    self.dir = Some((above, top.folder(to_path(above))));
                }
                match self.dir.as_ref().map(|dir| &dir.1) {
                    Some(Ok(dir)) => dir.own_file(name)?,
                    Some(Err(err)) => return Err(io::Error::from_raw_os_error(err.raw_os_error().unwrap_or_default())),
                    None => return Err(io::ErrorKind::NotFound.into()),
                }
            }
        };
        if size > MAX_FILE {
            return Ok(Read::TooLarge);
        }
        // As git, up to the size when opened.
        let size = usize::try_from(size).unwrap_or_default();
        self.buffer.reserve_exact(size);
        if size > LARGE {
            self.buffer.resize(HEAD, 0);
            let count = rustix::io::read(&file, &mut self.buffer[..])?;
            self.buffer.truncate(count);
            if self.buffer.contains(&0) {
                return Ok(Read::Skipped);
            }
        }
        while self.buffer.len() < size {
            match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut self.buffer)) {
                Ok(0) => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
        }
        self.buffer.truncate(size);
        Ok(Read::Whole)
    }
}

fn read_object(objects: &gix::Repository, packs: &mut Packs, id: ObjectId, buffer: &mut Vec<u8>) -> Read {
    if let Some((gix::objs::Kind::Blob, content)) = packs.find(&id) {
        if content.len() as u64 > MAX_FILE {
            return Read::TooLarge;
        }
        *buffer = Arc::try_unwrap(content).unwrap_or_else(|kept| kept.to_vec());
        return Read::Whole;
    }
    let found = objects.objects.try_find(&id, buffer).ok().flatten().map(|data| (data.kind, data.data.len() as u64));
    match found {
        Some((gix::objs::Kind::Blob, size)) if size <= MAX_FILE => Read::Whole,
        Some((gix::objs::Kind::Blob, _)) => Read::TooLarge,
        // Objects over the limit of the handle are not decoded.
        None if objects.find_header(id).is_ok_and(|header| header.size() > MAX_FILE) => Read::TooLarge,
        _ => Read::Missing(id),
    }
}
