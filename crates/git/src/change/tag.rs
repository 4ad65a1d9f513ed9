//! Tags.

use super::{MAX_OUTPUT, message::complete};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    fields::{Layout, MAX_FIELD, MAX_SUBJECT},
    name::{Rev, TagName},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};

/// A tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Its own id: of the tag where it is an object of its own.
    pub id: ObjectId,
    /// Its short name.
    pub name: Vec<u8>,
    /// What it names: the commit, where it is annotated.
    pub target: ObjectId,
    /// True where it is an object of its own.
    pub annotated: bool,
    /// The first line of its message, or of the commit's: all of it, or [`MAX_SUBJECT`] bytes.
    pub subject: Vec<u8>,
}

impl Repo {
    /// The tags, the newest first, that match `pattern` where one is given (as `v1.*`).
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn tags(&self, pattern: Option<&str>, cancel: &Cancel) -> Result<Vec<Tag>> {
        let format = "--format=%(objectname)%00%(*objectname)%00%(refname:lstrip=2)%00%(contents:subject)%00";
        let process = self.read(&["tag", "--list", "--sort=-creatordate", format, "--"]).args(pattern);
        let layout = Layout { limit: &|at| if at % 4 == 3 { MAX_SUBJECT } else { MAX_FIELD }, ..Layout::NUL };
        let fields = process.fields_of_success(layout, cancel)?;
        let tag = |fields: &[Vec<u8>]| {
            let id = ObjectId::from_hex(fields[0].trim_start()).ok()?;
            let annotated = !fields[1].is_empty();
            let target = if annotated { ObjectId::from_hex(&fields[1]).ok()? } else { id };
            Some(Tag { id, name: fields[2].clone(), target, annotated, subject: fields[3].clone() })
        };
        Ok(fields.chunks_exact(4).filter_map(tag).collect())
    }

    /// Makes a tag at `rev`: an annotated one where there is a message.
    ///
    /// # Errors
    ///
    /// [`Error::TagExists`], [`Error::UnknownRevision`], [`Error::NoIdentity`].
    pub fn create_tag(&self, name: &TagName, rev: &Rev, message: Option<&str>, sign: bool, cancel: &Cancel) -> Result<ObjectId> {
        let target = self.resolve(rev, cancel)?;
        if self.resolve(&Rev::new(name.full())?, cancel).is_ok() {
            return Err(Error::TagExists(name.as_str().to_owned()));
        }
        let process = match message {
            Some(message) => {
                self.check_identity(cancel)?;
                let kind = if sign { "--sign" } else { "--annotate" };
                self.recording(&["tag", kind, "--cleanup=verbatim", "--file=-"]).stdin(complete(message).into_bytes())
            }
            None => self.change(&["tag", "--no-sign"]),
        };
        let process = if sign { process.traced(Some(&self.location.git_dir)) } else { process };
        process.arg("--").arg(name.as_str()).arg(target.to_string()).success(cancel, MAX_OUTPUT)?;
        Ok(target)
    }

    /// Deletes a tag and says what it was.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`].
    pub fn delete_tag(&self, name: &TagName, cancel: &Cancel) -> Result<ObjectId> {
        let unknown = |_| Error::UnknownRevision(name.as_str().to_owned());
        let id = self.resolve(&Rev::new(name.full())?, cancel).map_err(unknown)?;
        self.change(&["tag", "--delete", "--"]).arg(name.as_str()).success(cancel, MAX_OUTPUT)?;
        Ok(id)
    }

    /// Checks the signature of a tag, and gives what the operator's program says. True when it is good.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Untrusted`], since a repository may name the program.
    pub fn verify_tag(&self, name: &TagName, cancel: &Cancel) -> Result<(bool, String)> {
        self.resolve(&Rev::new(name.full())?, cancel).map_err(|_| Error::UnknownRevision(name.as_str().to_owned()))?;
        if !self.location.trusted {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "program that checks signatures".to_owned() });
        }
        let (ended, _) = self.change(&["verify-tag", "--"]).arg(name.as_str()).output(cancel, MAX_OUTPUT)?;
        Ok((ended.code == Some(0), ended.stderr.trim().to_owned()))
    }
}
