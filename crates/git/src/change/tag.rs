//! Tags.

use super::{MAX_OUTPUT, message::complete};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::{Rev, TagName},
    read::fields::{Layout, MAX_FIELD, MAX_SUBJECT},
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

/// What there is to be said of the signature of a tag, with what the operator's program and git wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is good.
    Good(String),
    /// It is bad.
    Bad(String),
    /// There is none.
    Unsigned(String),
    /// Nothing could be checked: the key is not known, or nobody says whose it is.
    UnknownKey(String),
    /// Nothing could be checked: no file says whose keys are whose.
    NoSigners(String),
    /// Nothing could be checked: the program does not run.
    NoProgram(String),
}

impl Verified {
    /// Of a check that has failed. git has one exit code for all of this.
    fn of(said: String) -> Self {
        let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if has(&["error: no signature found", "cannot verify a non-tag object"]) {
            Self::Unsigned(said)
        } else if has(&["gpg.ssh.allowedSignersFile needs to be configured", "Unable to open allowed keys file"]) {
            Self::NoSigners(said)
        } else if has(&["cannot run ", "cannot exec ", "cannot spawn "]) {
            Self::NoProgram(said)
        } else if has(&["Can't check signature: No public key", "No principal matched"]) {
            Self::UnknownKey(said)
        } else {
            Self::Bad(said)
        }
    }
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
    /// [`Error::TagExists`], [`Error::UnknownRevision`], [`Error::NoIdentity`], [`Error::Untrusted`].
    pub fn create_tag(&self, name: &TagName, rev: &Rev, message: Option<&str>, sign: bool, cancel: &Cancel) -> Result<ObjectId> {
        if sign && !self.location.trusted {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "program that signs".to_owned() });
        }
        let target = self.resolve(rev, cancel)?;
        if self.resolve(&Rev::new(name.full())?, cancel).is_ok() {
            return Err(Error::TagExists(name.as_str().to_owned()));
        }
        let process = match message {
            Some(message) => {
                self.check_identity(cancel)?;
                // That it is annotated follows from the message: the option would have git sign less than it is configured to.
                let process = self.recording(&["tag", "--cleanup=verbatim", "--file=-"]).stdin(complete(message).into_bytes());
                if sign { process.arg("--sign") } else { process }
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

    /// Checks the signature of a tag.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Untrusted`], since a repository may name the program.
    pub fn verify_tag(&self, name: &TagName, cancel: &Cancel) -> Result<Verified> {
        self.resolve(&Rev::new(name.full())?, cancel).map_err(|_| Error::UnknownRevision(name.as_str().to_owned()))?;
        if !self.location.trusted {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "program that checks signatures".to_owned() });
        }
        let (ended, _) = self.change(&["verify-tag", "--"]).arg(name.as_str()).output(cancel, MAX_OUTPUT)?;
        let said = ended.stderr.trim().to_owned();
        Ok(if ended.code == Some(0) { Verified::Good(said) } else { Verified::of(said) })
    }
}
