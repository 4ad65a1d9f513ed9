//! Tags.

use super::{MAX_OUTPUT, message::complete};
use crate::{
    cancel::Cancel,
    error::{Error, Result, Signer},
    name::{Rev, TagName},
    read::fields::{Layout, MAX_FIELD, MAX_SUBJECT},
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};

/// A tag.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Its id: that of the tag object if annotated.
    pub id: ObjectId,
    /// Its short name.
    pub name: Vec<u8>,
    /// Its target, dereferenced.
    pub target: ObjectId,
    /// Whether it is annotated.
    pub annotated: bool,
    /// The first line of the tag's message, or else the commit's, truncated to [`MAX_SUBJECT`] bytes.
    pub subject: Vec<u8>,
}

/// The result of verifying a tag's signature, with the output of git and the verifying program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Good signature.
    Good(String),
    /// Bad signature.
    Bad(String),
    /// No signature.
    Unsigned(String),
    /// Not verified: the key, or its owner, is unknown.
    UnknownKey(String),
    /// Not verified: there is no allowed signers file.
    NoSigners(String),
    /// Not verified: the program does not run.
    NoProgram {
        /// The output.
        said: String,
        /// The kind of the signature.
        signer: Signer,
    },
}

impl Verified {
    /// Classifies a failed verification by its output: git has one exit code for all of these.
    fn of(said: String, signer: Signer) -> Self {
        let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
        if has(&["error: no signature found", "cannot verify a non-tag object"]) {
            Self::Unsigned(said)
        } else if has(&["gpg.ssh.allowedSignersFile needs to be configured", "Unable to open allowed keys file"]) {
            Self::NoSigners(said)
        } else if has(&["cannot run ", "cannot exec ", "cannot spawn "]) {
            Self::NoProgram { said, signer }
        } else if has(&["Can't check signature: No public key", "No principal matched"]) {
            Self::UnknownKey(said)
        } else {
            Self::Bad(said)
        }
    }
}

impl Repo {
    /// The tags, newest first, filtered by `pattern` if given (such as `v1.*`).
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

    /// Creates a tag at `rev`, annotated if there is a message.
    ///
    /// # Errors
    ///
    /// [`Error::TagExists`], [`Error::UnknownRevision`], [`Error::NoIdentity`], [`Error::Untrusted`].
    pub fn create_tag(&self, name: &TagName, rev: &Rev, message: Option<&str>, sign: bool, cancel: &Cancel) -> Result<ObjectId> {
        if sign && !self.location.trusted {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "signing program".to_owned() });
        }
        let target = self.resolve(rev, cancel)?;
        if self.resolve(&Rev::new(name.full())?, cancel).is_ok() {
            return Err(Error::TagExists(name.as_str().to_owned()));
        }
        let process = match message {
            Some(message) => {
                self.check_identity(cancel)?;
                // The message implies an annotated tag: `--annotate` would override `tag.forceSignAnnotated`.
                let process = self.recording(&["tag", "--cleanup=verbatim", "--file=-"]).stdin(complete(message).into_bytes());
                if sign { process.arg("--sign") } else { process }
            }
            None => self.change(&["tag", "--no-sign"]),
        };
        let process = if sign { process.traced(Some(&self.location.git_dir)) } else { process };
        process.arg("--").arg(name.as_str()).arg(target.to_string()).success(cancel, MAX_OUTPUT)?;
        Ok(target)
    }

    /// Deletes a tag and returns its former id.
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

    /// Verifies the signature of a tag.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Untrusted`], since a repository may name the program.
    pub fn verify_tag(&self, name: &TagName, cancel: &Cancel) -> Result<Verified> {
        self.resolve(&Rev::new(name.full())?, cancel).map_err(|_| Error::UnknownRevision(name.as_str().to_owned()))?;
        if !self.location.trusted {
            return Err(Error::Untrusted { path: self.top().to_owned(), program: "signature verifier".to_owned() });
        }
        let (ended, _) = self.change(&["verify-tag", "--"]).arg(name.as_str()).output(cancel, MAX_OUTPUT)?;
        let said = ended.stderr.trim().to_owned();
        if ended.code == Some(0) {
            return Ok(Verified::Good(said));
        }
        // A tag without an object of its own has no signature.
        let (_, text) = self.read(&["cat-file", "tag"]).arg(name.full()).may_die().output(cancel, MAX_OUTPUT)?;
        Ok(Verified::of(said, signer_of(&text)))
    }
}

/// The kind of the signature in a tag's text.
fn signer_of(text: &[u8]) -> Signer {
    let has = |line: &[u8]| text.lines().any(|one| one == line);
    if has(b"-----BEGIN SSH SIGNATURE-----") {
        Signer::Ssh
    } else if has(b"-----BEGIN SIGNED MESSAGE-----") {
        Signer::X509
    } else {
        Signer::OpenPgp
    }
}
