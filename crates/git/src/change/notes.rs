//! Notes on commits.

use super::MAX_OUTPUT;
use crate::{cancel::Cancel, error::Result, name::Rev, repo::Repo};
use gix::{ObjectId, bstr::ByteSlice};

impl Repo {
    /// The commits, and other objects, that have a note.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn noted(&self, cancel: &Cancel) -> Result<Vec<ObjectId>> {
        let output = self.read(&["notes", "list"]).success(cancel, MAX_OUTPUT)?;
        Ok(output.lines().filter_map(|line| ObjectId::from_hex(line.split_once_str(" ")?.1).ok()).collect())
    }

    /// The note on `rev`, where there is one.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnknownRevision`].
    pub fn note(&self, rev: &Rev, cancel: &Cancel) -> Result<Option<Vec<u8>>> {
        let id = self.resolve(rev, cancel)?;
        let (ended, output) = self.read(&["notes", "show"]).arg(id.to_string()).output(cancel, MAX_OUTPUT)?;
        Ok((ended.code == Some(0)).then_some(output))
    }

    /// Puts `text` on `rev` as its note, in place of one that is there, or below it.
    ///
    /// # Errors
    ///
    /// [`crate::Error::UnknownRevision`], [`crate::Error::NoIdentity`].
    pub fn set_note(&self, rev: &Rev, text: &str, append: bool, cancel: &Cancel) -> Result<()> {
        let id = self.resolve(rev, cancel)?;
        self.check_identity(cancel)?;
        let args: &[&str] = if append { &["notes", "append", "--file=-"] } else { &["notes", "add", "--force", "--file=-"] };
        self.change(args).arg(id.to_string()).stdin(text.as_bytes().to_vec()).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Takes the note off `rev`. True when there was one.
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
