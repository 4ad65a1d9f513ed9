//! Notes on commits.

use super::{MAX_OUTPUT, message::complete};
use crate::{cancel::Cancel, error::Result, name::Rev, repo::Repo};
use gix::{ObjectId, bstr::ByteSlice};
use std::ops::ControlFlow;

/// A note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its blob.
    pub id: ObjectId,
    /// Its text, truncated to the output limit.
    pub text: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
}

impl Repo {
    /// The commits and other objects with a note.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn noted(&self, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let output = self.read(&["notes", "list"]).success(cancel, MAX_OUTPUT)?;
        Ok(output.lines().filter_map(|line| ObjectId::from_hex(line.split_once_str(" ")?.1).ok()).collect())
    }

    /// The note on `rev`, if any.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnknownRevision`].
    pub fn note(&self, rev: &Rev, cancel: &Cancel) -> Result<Option<Note>> {
        let id = self.resolve(rev, cancel)?;
        let (ended, output) = self.read(&["notes", "list"]).arg(id.to_string()).output(cancel, MAX_OUTPUT)?;
        let Some(id) = ObjectId::from_hex(output.trim_ascii_end()).ok().filter(|_| ended.code == Some(0)) else { return Ok(None) };
        let size = self.object(id, cancel)?.size;
        let mut text = Vec::new();
        self.blob(id, size, cancel, &mut |chunk| {
            text.extend_from_slice(&chunk[..chunk.len().min(MAX_OUTPUT - text.len())]);
            if text.len() == MAX_OUTPUT { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(Some(Note { id, text, size }))
    }

    /// Sets the note of `rev` to `text`, replacing or appending to an existing one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnknownRevision`], [`crate::Error::NoIdentity`].
    pub fn set_note(&self, rev: &Rev, text: &str, append: bool, cancel: &Cancel) -> Result<()> {
        let id = self.resolve(rev, cancel)?;
        self.check_identity(cancel)?;
        // git strips whitespace from a note given as a file, but not from one given as a blob.
        let blob = self.change(&["hash-object", "-w", "--stdin"]).stdin(complete(text).into_bytes()).success(cancel, MAX_OUTPUT)?;
        let blob = format!("--reuse-message={}", String::from_utf8_lossy(blob.trim_ascii_end()));
        let args: &[&str] = if append { &["notes", "append", &blob] } else { &["notes", "add", "--force", &blob] };
        self.change(args).arg(id.to_string()).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Removes the note of `rev`. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnknownRevision`].
    pub fn remove_note(&self, rev: &Rev, cancel: &Cancel) -> Result<bool> {
        if self.note(rev, cancel)?.is_none() {
            return Ok(false);
        }
        let id = self.resolve(rev, cancel)?;
        self.check_identity(cancel)?;
        self.change(&["notes", "remove"]).arg(id.to_string()).success(cancel, MAX_OUTPUT)?;
        Ok(true)
    }
}
