//! Blames in-process, and describes the commits of the lines.

use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    read::{
        blame::{BlameQuery, BlamedLine, MAX_LINE, Origin, Version},
        commit_text::{CommitText, Stamp},
        fields::{MAX_FIELD, MAX_SUBJECT, clipped},
    },
    repo::{Repo, route::only_git},
};
use engine::{
    blame::{self, Request, Span},
    history::Mailmap,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::{collections::HashMap, ops::ControlFlow, sync::Arc};

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
        let config = engine.config_snapshot();
        if self.settings.conditional || SETTINGS.iter().any(|key| config.string(*key).is_some()) {
            return Err(only_git("settings of blame"));
        }
        let has = |name: &str| self.common_folder().has(name);
        let is_replaced =
            has("info/grafts") || engine.references().and_then(|refs| Ok(refs.prefixed("refs/replace/")?.next().is_some())).unwrap_or(true);
        if is_replaced {
            return Err(only_git("grafts and replaced objects"));
        }
        let worktree = match version {
            Version::Committed => None,
            Version::Worktree { is_file: true } if !self.git_folder().has("MERGE_HEAD") => Some(self.stored_content(engine, &query.path)?),
            Version::Worktree { .. } => return Err(only_git("a merge in progress, or a file that is not in the working tree")),
        };
        let request = Request { commit, path: query.path.as_bytes(), worktree, start: query.start_line, end: query.end_line };
        let found = blame::blame(engine, request, cancel)?;
        let mailmap = self.mailmap_of(engine)?;
        let mut origins = HashMap::new();
        for span in &found.spans {
            if !origins.contains_key(&span.commit) {
                cancel.check()?;
                let origin = match span.commit {
                    Some(id) => origin(engine, id, &mailmap)?,
                    None => uncommitted(&query.path.to_string(), commit.kind()),
                };
                origins.insert(span.commit, origin);
            }
        }
        Ok(Blamed { content: found.content, spans: found.spans, origins })
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
