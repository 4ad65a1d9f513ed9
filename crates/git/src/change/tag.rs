//! Tags.

use super::{MAX_OUTPUT, message::complete, refs::Former};
use crate::{
    cancel::Cancel,
    error::{Error, Result, Signer},
    name::{Rev, TagName},
    process::stderr::Damage,
    read::{
        described::{Described, Form, Named},
        fields::{Layout, MAX_FIELD, MAX_SUBJECT},
        tagged::{self, Listed},
    },
    repo::{Repo, rev::ObjectKind, route::only_git},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::cmp::Reverse;

/// Number of fields of a listed tag.
const WIDTH: usize = 7;
/// The fields of a listed tag.
const FORM: Form<'static> = Form {
    format: "--format=%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)%00%(creatordate:unix)%00\
             %(contents:subject)%00",
    width: WIDTH,
    layout: Layout { limit: &|at| if at % WIDTH == WIDTH - 1 { MAX_SUBJECT } else { MAX_FIELD }, ..Layout::NUL },
};

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
    /// The type of its target, if known.
    pub kind: Option<ObjectKind>,
    /// The first line of the tag's message, or else the commit's, truncated to [`MAX_SUBJECT`] bytes.
    pub subject: Vec<u8>,
    /// Why its object cannot be read.
    pub broken: Option<String>,
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

impl Tag {
    fn broken(full: &[u8], id: ObjectId, why: String) -> Self {
        Self { id, name: short(full).to_vec(), target: id, annotated: false, kind: None, subject: Vec::new(), broken: Some(why) }
    }
}

impl From<Listed> for Tag {
    fn from(tag: Listed) -> Self {
        let kind = ObjectKind::named(tag.kind.as_bytes());
        let (target, annotated) = (tag.target.unwrap_or(tag.id), tag.target.is_some());
        Self { id: tag.id, name: short(&tag.full).to_vec(), target, annotated, kind, subject: tag.subject, broken: None }
    }
}

fn short(full: &[u8]) -> &[u8] {
    full.strip_prefix(b"refs/tags/").unwrap_or(full)
}

/// A tag and its date, from the fields of [`FORM`].
fn described(fields: &[Vec<u8>]) -> Option<(i64, Tag)> {
    let [name, id, kind, target, target_kind, date, subject] = fields else { return None };
    let id = ObjectId::from_hex(id).ok()?;
    let annotated = !target.is_empty();
    let tag = Tag {
        id,
        name: short(name.trim_start()).to_vec(),
        target: if annotated { ObjectId::from_hex(target).ok()? } else { id },
        annotated,
        kind: ObjectKind::named(if annotated { target_kind } else { kind }),
        subject: subject.clone(),
        broken: None,
    };
    let date = date.to_str().ok().and_then(|date| date.parse().ok());
    Some((date.unwrap_or_default(), tag))
}

impl Repo {
    /// The tags, broken ones first and then the newest, filtered by `pattern` if given (such as `v1.*`).
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn tags(&self, pattern: Option<&str>, cancel: &Cancel) -> Result<Vec<Tag>> {
        let in_process = |engine: &gix::Repository| match pattern {
            Some(_) => Err(only_git("a pattern")),
            None => Ok(tagged::list(engine, cancel)?.into_iter().map(Tag::from).collect()),
        };
        Ok(self.answer("tags", in_process, || self.tags_with_git(pattern, cancel))?.0)
    }

    fn tags_with_git(&self, pattern: Option<&str>, cancel: &Cancel) -> Result<Vec<Tag>> {
        let process = self.read(&["tag", "--list", "--sort=-creatordate", FORM.format, "--"]).args(pattern);
        match process.fields_of_success(FORM.layout, cancel) {
            Ok(fields) => Ok(fields.chunks_exact(WIDTH).filter_map(|fields| Some(described(fields)?.1)).collect()),
            Err(err) if err.damage() == Some(Damage::Other) => self.tags_beside_broken(pattern, cancel),
            Err(err) => Err(err),
        }
    }

    fn tags_beside_broken(&self, pattern: Option<&str>, cancel: &Cancel) -> Result<Vec<Tag>> {
        let process = self.read(&["tag", "--list", "--sort=refname", "--format=%(objectname)%00%(refname)%00", "--"]).args(pattern);
        let fields = process.fields_of_success(Layout::NUL, cancel)?;
        let read = |fields: &[Vec<u8>]| Some((fields[1].clone(), ObjectId::from_hex(fields[0].trim_start()).ok()?));
        let names: Vec<Named> = fields.chunks_exact(2).filter_map(read).collect();
        let tag = |((name, id), one): (&Named, Described)| match one {
            Ok(fields) => described(&fields),
            Err(why) => Some((i64::MAX, Tag::broken(name, *id, why))),
        };
        let mut tags: Vec<(i64, Tag)> = self.described(&names, &FORM, cancel)?.into_iter().filter_map(tag).collect();
        tags.sort_by_key(|(date, _)| Reverse(*date));
        Ok(tags.into_iter().map(|(_, tag)| tag).collect())
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

    fn tag_object(&self, name: &TagName, cancel: &Cancel) -> Result<ObjectId> {
        self.resolve(&Rev::new(name.full())?, cancel).map_err(|err| match err {
            Error::UnknownRevision(_) => Error::UnknownRevision(name.as_str().to_owned()),
            err => err,
        })
    }

    /// Deletes a tag and returns its former id.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Unreadable`] for a broken one that git does not delete.
    pub fn delete_tag(&self, name: &TagName, cancel: &Cancel) -> Result<Former> {
        let (id, broken) = self.former(&name.full(), self.tag_object(name, cancel), cancel)?;
        let is_broken = broken.is_some();
        let (ended, _) = self.change(&["tag", "--delete", "--"]).arg(name.as_str()).output(cancel, MAX_OUTPUT)?;
        if ended.code != Some(0)
            && let Some(err) = broken.filter(|_| id.is_none() && ended.lock.is_none())
        {
            return Err(err);
        }
        ended.require("tag")?;
        Ok(Former { id, is_broken })
    }

    /// Verifies the signature of a tag.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownRevision`]; [`Error::Untrusted`], since a repository may name the program.
    pub fn verify_tag(&self, name: &TagName, cancel: &Cancel) -> Result<Verified> {
        self.tag_object(name, cancel)?;
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
