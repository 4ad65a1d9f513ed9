//! Shows one object: a commit with its patch, a tag, a directory, or a file of a revision.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::Mode,
    read::{
        commit_text::CommitText,
        patch::{Keep, MAX_BLOB, MAX_PRELUDE, Parser, Patch},
        sides::DiffQuery,
    },
    repo::{
        Repo,
        rev::Abbreviator,
        route::{Route, only_git},
    },
};
use engine::history::Mailmap;
use gix::{ObjectId, bstr::ByteSlice};
use std::ops::ControlFlow;

/// Maximum size of a commit formatted in-process; its message is held more than once.
const MAX_COMMIT: u64 = 1 << 20;

impl Repo {
    /// The commit or tag `id` as `git show` prints it: header and patch.
    ///
    /// # Errors
    ///
    /// [`Error::MissingObject`].
    pub fn show(&self, id: ObjectId, query: &DiffQuery, cancel: &Cancel) -> Result<(Patch, Route)> {
        let mut needs = self.needs(cancel);
        needs.commits(&[id], &query.paths)?;
        needs.check()?;
        self.answer("show", |engine| self.show_in_process(engine, id, query, cancel), || self.show_with_git(id, query, cancel))
    }

    fn show_with_git(&self, id: ObjectId, query: &DiffQuery, cancel: &Cancel) -> Result<Patch> {
        let mut process = self.read(&[
            "show",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--no-show-signature",
            "--no-decorate",
            // As every other read, whatever `log.mailmap` is.
            "--mailmap",
            "--submodule=short",
        ]);
        if let Some(context) = query.context {
            process = process.arg(format!("--unified={context}"));
        }
        let process = process.arg(id.to_string()).arg("--").args(query.paths.iter().map(RelPath::literal));
        let mut parser = Parser::new(query.keep);
        let ended = process.stream(cancel, |chunk| if parser.push(chunk) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })?;
        ended.require("show")?;
        Ok(parser.finish())
    }

    fn show_in_process(&self, engine: &gix::Repository, id: ObjectId, query: &DiffQuery, cancel: &Cancel) -> Result<Patch> {
        if !self.settings.plain_log || Self::has_notes(engine) || self.location.common_dir.join("shallow").exists() {
            return Err(only_git("the log configuration"));
        }
        if engine.find_header(id).map_err(Error::engine)?.size() > MAX_COMMIT {
            return Err(only_git("a commit too large to be held here"));
        }
        let commit = engine.find_commit(id).map_err(Error::engine)?;
        let mut prelude = prelude(&commit, &self.mailmap(engine)?)?;
        let parents: Vec<ObjectId> = commit.parent_ids().map(gix::Id::detach).collect();
        if parents.len() > 1 {
            if !query.paths.is_empty() {
                return Err(only_git("a combined diff of some paths"));
            }
            let patch = self.combined_patch(engine, &parents, id, query, cancel)?;
            // git prints this line also in place of an empty diff.
            prelude.push(b'\n');
            return Ok(with_prelude(patch, prelude));
        }
        let parent = parents.first().copied();
        let patch = self.tree_patch(engine, parent, id, query, cancel)?;
        if !patch.files.is_empty() {
            prelude.push(b'\n');
        }
        Ok(with_prelude(patch, prelude))
    }

    fn has_notes(engine: &gix::Repository) -> bool {
        !engine.try_find_reference("refs/notes/commits").is_ok_and(|found| found.is_none())
    }

    /// Passes the bytes of the blob `id` to `each` until it breaks. Large blobs use a git process, which can be killed.
    ///
    /// # Errors
    ///
    /// [`Error::MissingObject`].
    pub fn blob(&self, id: ObjectId, size: u64, cancel: &Cancel, each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<Route> {
        if size <= MAX_BLOB
            && let Some(data) =
                self.with_engine(Mode::Read, |engine| engine.find_object(id).ok().map(|object| object.detach().data))?.flatten()
        {
            let _ = each(&data);
            return Ok(Route::Engine);
        }
        let ended = self.read(&["cat-file", "blob"]).arg(id.to_string()).may_die().stream(cancel, each)?;
        if ended.code == Some(128) && !ended.full {
            self.object(id, cancel)?;
            return Err(ended.unreadable());
        }
        self.require_object(&ended, id, cancel)?;
        Ok(Route::Cli)
    }
}

/// Equal limits per file and in total.
impl Keep {
    /// Keeps up to `bytes` per file and in total.
    pub fn up_to(bytes: usize) -> Self {
        Self { per_file: bytes, total: bytes, skip: 0, files: 100_000 }
    }
}

fn with_prelude(patch: Patch, mut prelude: Vec<u8>) -> Patch {
    let prelude_cut = prelude.len() > MAX_PRELUDE;
    prelude.truncate(MAX_PRELUDE);
    Patch { prelude, prelude_cut, ..patch }
}

/// The header `git show` prints before the patch.
fn prelude(commit: &gix::Commit<'_>, mailmap: &Mailmap) -> Result<Vec<u8>> {
    let text = CommitText::of(&commit.data);
    let message = text.message;
    if text.is_encoded || message.contains(&b'\t') || message.trim_ascii().is_empty() {
        return Err(only_git("a message that git reformats"));
    }
    let author = text.author().ok_or_else(|| only_git("a commit without a valid author"))?;
    let date = author.stamp.shown().ok_or_else(|| only_git("a year of more than four digits"))?;
    let mut out = format!("commit {}\n", commit.id).into_bytes();
    let parents: Vec<ObjectId> = commit.parent_ids().map(gix::Id::detach).collect();
    if parents.len() > 1 {
        let abbreviate = Abbreviator::of(commit.repo);
        let parents: Vec<String> = parents.into_iter().map(|id| abbreviate.short(id)).collect();
        out.extend_from_slice(format!("Merge: {}\n", parents.join(" ")).as_bytes());
    }
    out.extend_from_slice(b"Author: ");
    let (name, email) = mailmap.map(author.name, author.email);
    out.extend_from_slice(name);
    out.extend_from_slice(b" <");
    out.extend_from_slice(email);
    out.extend_from_slice(format!(">\nDate:   {date}\n\n").as_bytes());
    let lines = message.lines().map(<[u8]>::trim_ascii_end);
    let mut blank = 0;
    for line in lines.skip_while(|line| line.is_empty()) {
        if line.is_empty() {
            blank += 1;
            continue;
        }
        for _ in 0..std::mem::take(&mut blank) {
            out.extend_from_slice(b"    \n");
        }
        out.extend_from_slice(b"    ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    Ok(out)
}
