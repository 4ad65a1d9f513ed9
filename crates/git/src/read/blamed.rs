//! Blames in-process, and describes the commits of the lines.

use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    read::{
        blame::{BlameQuery, BlamedLine, MAX_LINE, Origin, Version},
        commit_text::{CommitText, Stamp},
        fields::{MAX_FIELD, MAX_SUBJECT, clipped},
        scan::answered,
    },
    repo::{Repo, route::only_git},
};
use engine::{
    blame::{self, Request, Span},
    history::Mailmap,
    index::Index,
    rules::Value,
    worktree::Content,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{
    cell::OnceCell,
    collections::{HashMap, hash_map::Entry},
    ops::ControlFlow,
    sync::Arc,
};

/// Maximum size of a file of the working tree.
const MAX_CONTENT: u64 = 32 << 20;
/// Maximum size of a mailmap.
const MAX_MAILMAP: u64 = 1 << 20;
/// Settings that change what blame finds.
const SETTINGS: [&str; 4] = ["blame.ignoreRevsFile", "diff.indentHeuristic", "i18n.logOutputEncoding", "i18n.commitEncoding"];

/// The lines and their commits.
pub(super) struct Blamed {
    content: Arc<Vec<u8>>,
    spans: Vec<Span>,
    origins: HashMap<Option<ObjectId>, Origin>,
}

impl Blamed {
    /// Passes the lines to `each` until it breaks.
    pub(super) fn print(&self, each: &mut dyn FnMut(BlamedLine<'_>) -> ControlFlow<()>) {
        let mut lines = self.content.lines_with_terminator().zip(0_u32..);
        for span in &self.spans {
            let Some(origin) = self.origins.get(&span.commit) else { continue };
            let wanted = lines.by_ref().skip_while(|(_, at)| *at < span.lines.start);
            for (line, at) in wanted.take(span.lines.len()) {
                let line = line.strip_suffix(b"\n").unwrap_or(line);
                let text = line.get(..MAX_LINE - 1).unwrap_or(line);
                if each(BlamedLine { number: u64::from(at) + 1, origin, text, len: line.len() }).is_break() {
                    return;
                }
            }
        }
    }
}

impl Repo {
    /// Blames in-process.
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] if only git can do it exactly.
    pub(super) fn blame_in_process(
        &self,
        engine: &gix::Repository,
        query: &BlameQuery,
        commit: ObjectId,
        version: Version,
        cancel: &Cancel,
    ) -> Result<Blamed> {
        self.check_plain_history(engine)?;
        let (content, index) = (self.content(engine), OnceCell::new());
        let index = || match index.get() {
            Some(index) => Ok(index),
            None => self.index(engine, cancel).map(|read| index.get_or_init(|| read)),
        };
        let worktree = match version {
            Version::Committed => None,
            Version::Worktree { is_file: true } if !self.git_folder().has("MERGE_HEAD") => {
                Some(self.stored_content(&content, index()?, &query.path, cancel)?)
            }
            Version::Worktree { .. } => return Err(only_git("a merge in progress, or a file that is not in the working tree")),
        };
        let binary = |path: &[u8]| {
            let top = self.worktree_folder().map_err(|_| engine::Error::Unsupported("the attributes of a bare repository"))?;
            let [value] = content.values(top, index().map_err(engine::Error::corrupt)?, path, ["diff"])?;
            match value {
                Value::Unspecified => Ok(None),
                Value::Set => Ok(Some(false)),
                Value::Unset => Ok(Some(true)),
                Value::Text(_) => Err(engine::Error::Unsupported("a diff driver")),
            }
        };
        let (path, start, end) = (query.path.as_bytes(), query.start_line, query.end_line);
        let request = Request { commit, path, worktree, start, end, binary: &binary };
        let found = answered(blame::blame(engine, request, cancel), cancel)?;
        let origins = self.origins(engine, query, &found.spans, cancel)?;
        Ok(Blamed { content: found.content, spans: found.spans, origins })
    }

    /// Leaves settings that change what blame finds, and histories that are not what objects say, to git.
    fn check_plain_history(&self, engine: &gix::Repository) -> Result<()> {
        let config = engine.config_snapshot();
        if self.settings.conditional || SETTINGS.iter().any(|key| config.string(*key).is_some()) {
            return Err(only_git("settings of blame"));
        }
        let replaced = engine.references().and_then(|refs| Ok(refs.prefixed("refs/replace/")?.next().is_some()));
        if self.common_folder().has("info/grafts") || replaced.unwrap_or(true) {
            return Err(only_git("grafts and replaced objects"));
        }
        Ok(())
    }

    /// What is shown of the commit of each span.
    fn origins(
        &self,
        engine: &gix::Repository,
        query: &BlameQuery,
        spans: &[Span],
        cancel: &Cancel,
    ) -> Result<HashMap<Option<ObjectId>, Origin>> {
        let mailmap = self.mailmap_of(engine)?;
        let mut origins = HashMap::new();
        for span in spans {
            if let Entry::Vacant(slot) = origins.entry(span.commit) {
                cancel.check()?;
                let origin = match span.commit {
                    Some(id) => origin(engine, id, &mailmap)?,
                    None => uncommitted(&query.path.to_string(), engine.object_hash()),
                };
                slot.insert(origin);
            }
        }
        Ok(origins)
    }

    /// The content of a file of the working tree, as git would store it.
    fn stored_content(&self, content: &Content<'_>, index: &Index, path: &RelPath, cancel: &Cancel) -> Result<Vec<u8>> {
        if let Some(why) = self.settings.status.odd {
            return Err(only_git(why));
        }
        let entry = index.find(path.as_bytes(), 0).ok_or_else(|| only_git("a file that is not in the index, or in conflict"))?;
        let top = self.worktree_folder()?;
        let (file, found) = top.file(path.as_path()).map_err(|_| only_git("a file that cannot be read"))?;
        if found.len() > MAX_CONTENT {
            return Err(only_git("a file too large to be blamed here"));
        }
        Ok(answered(content.stored(top, index, path.as_bytes(), entry, (file, found.len())), cancel)?.1)
    }

    /// The mailmap that git uses: that of the working tree, or of a bare repository's `HEAD`.
    fn mailmap_of(&self, engine: &gix::Repository) -> Result<Mailmap> {
        if self.settings.names_mailmap {
            return Err(only_git("a configured mailmap"));
        }
        let text = match self.worktree_folder() {
            Ok(top) => top.read(".mailmap", Kind::Rules).map_err(Error::engine)?,
            Err(_) => match engine.head_tree().map_err(Error::engine)?.find_entry(".mailmap") {
                Some(entry) if entry.mode().is_blob() => {
                    let id = entry.object_id();
                    if engine.find_header(id).map_err(Error::engine)?.size() > MAX_MAILMAP {
                        return Err(only_git("a large mailmap"));
                    }
                    Some(engine.find_object(id).map_err(Error::engine)?.detach().data)
                }
                Some(_) => return Err(only_git("a mailmap that is not a file")),
                None => None,
            },
        };
        Ok(Mailmap::parse(&text.unwrap_or_default())?)
    }
}

/// The author and the subject of a commit, as `git blame` shows them.
fn origin(engine: &gix::Repository, id: ObjectId, mailmap: &Mailmap) -> Result<Origin> {
    let data = engine.find_object(id).map_err(Error::engine)?.detach().data;
    let text = CommitText::of(&data);
    let author = text.author().filter(|_| !text.is_encoded && !data.contains(&0));
    let author = author.ok_or_else(|| only_git("a commit with an encoding, or an author that git cannot read"))?;
    let (name, _) = mailmap.map(author.name, author.email);
    let subject = text.message.lines_with_terminator().find(|line| !line.trim_ascii().is_empty());
    let summary = match subject {
        Some(line) => clipped(line.strip_suffix(b"\n").unwrap_or(line), MAX_SUBJECT),
        None => format!("({id})").into_bytes(),
    };
    Ok(Origin { id: id.to_string(), author: clipped(name, MAX_FIELD), day: author.stamp.day(), summary })
}

/// What git shows for lines of the working tree.
fn uncommitted(path: &str, hash: gix::hash::Kind) -> Origin {
    let now = gix::date::Time::now_local_or_utc();
    let minutes = now.offset / 60;
    let stamp = Stamp { seconds: now.seconds, zone: minutes / 60 * 100 + minutes % 60 };
    Origin {
        id: ObjectId::null(hash).to_string(),
        author: b"Not Committed Yet".to_vec(),
        day: stamp.day(),
        summary: clipped(format!("Version of {path} from {path}").as_bytes(), MAX_SUBJECT),
    }
}
