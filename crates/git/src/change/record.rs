//! In-process commits of the index, equivalent to `git commit`.
//!
//! Only if the result is certain to be git's. Until `HEAD` moves, a commit that fails here is left to git, which does
//! the same steps in the same order.

use super::{
    commit::{CommitRequest, Committed},
    head::log_message,
    message::complete,
};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::scan::answered,
    repo::{
        Repo,
        policy::Signing,
        route::{Route, only_git},
    },
};
use engine::{
    index::{Index, Objects},
    worktree::Refresh,
};
use gix::{
    ObjectId,
    bstr::{BString, ByteSlice},
    objs::{Kind, Write as _},
};
use std::{env, path::Path};

/// Hooks that a commit runs.
const HOOKS: [&str; 7] =
    ["pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction", "post-index-change", "post-rewrite"];
/// Files of an operation in progress, and of features that take part in a commit.
const STATES: [&str; 12] = [
    "MERGE_HEAD",
    "MERGE_MSG",
    "MERGE_MODE",
    "MERGE_RR",
    "MERGE_AUTOSTASH",
    "SQUASH_MSG",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "AUTO_MERGE",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
];
/// Files of all working trees that change what commits are.
const SHARED_STATES: [&str; 3] = ["rr-cache", "refs/replace", "info/grafts"];
/// Sections of the configuration that change what a commit does.
const SECTIONS: [&str; 5] = ["i18n", "rerere", "status", "trailer", "hook"];
/// Keys below `commit.` that do not affect a commit with a message, or are checked separately.
const COMMIT: [&str; 4] = ["verbose", "status", "cleanup", "gpgsign"];
/// Characters that git strips from the ends of names.
const CRUD: &[u8] = b".,:;<>\"\\'";

/// Trees of a commit in git's object database.
struct Database<'a> {
    repo: &'a Repo,
    engine: &'a gix::Repository,
}

impl Objects for Database<'_> {
    fn has(&self, id: &ObjectId) -> engine::Result<bool> {
        Ok(self.engine.objects.exists_without_refresh(id))
    }

    fn write_tree(&self, content: &[u8]) -> engine::Result<ObjectId> {
        let id = gix::objs::compute_hash(self.engine.object_hash(), Kind::Tree, content).map_err(engine::Error::corrupt)?;
        if !self.has(&id)? {
            return self.engine.objects.write_buf_with_known_id(Kind::Tree, content, id).map_err(engine::Error::corrupt);
        }
        // As git, so that pruning does not remove it.
        let hex = id.to_string();
        let (folder, file) = hex.split_at(2);
        let touched = self.repo.common_folder().touch(Path::new("objects").join(folder).join(file));
        touched.map(|()| id).map_err(|_| engine::Error::Unsupported("an existing tree that pruning must not remove"))
    }
}

impl Repo {
    /// Commits the index, or leaves that to git.
    pub(super) fn record(
        &self,
        engine: &gix::Repository,
        request: &CommitRequest,
        before: Option<ObjectId>,
        cancel: &Cancel,
    ) -> Result<Committed> {
        let (Some(message), Some(old)) = (&request.message, before) else { return Err(only_git("a commit without a message or a parent")) };
        if request.amend || request.sign_off || request.author.is_some() || request.sign.is_some() || !request.paths.is_empty() {
            return Err(only_git("options of a commit"));
        }
        let message = complete(message);
        if message.chars().any(is_odd) {
            return Err(only_git("a message with unusual characters"));
        }
        self.check_plain_commits(engine)?;
        let (place, identities) = (self.head_place()?, [identity(engine, "author")?, identity(engine, "committer")?]);
        let time = now()?;
        let [author, committer] = identities.map(|identity| [identity, time.clone()].concat());
        let tree = self.tree_of_index(engine, request, old, cancel)?;
        cancel.check()?;
        self.git_folder().write("COMMIT_EDITMSG", message.as_bytes()).map_err(Error::engine)?;
        let content =
            [format!("tree {tree}\nparent {old}\nauthor ").as_bytes(), &author, b"\ncommitter ", &committer, b"\n\n", message.as_bytes()]
                .concat();
        let id = engine.objects.write_buf(Kind::Commit, &content).map_err(Error::engine)?;
        let entry = [&committer[..], b"\t", &log_message("commit: ", &message)].concat();
        self.move_head(engine, &place, (old, id), &entry)?;
        Ok(Committed { id, before, parent: before, output: String::new(), route: Route::Engine })
    }

    /// Leaves commits to git that hooks, settings or an operation in progress affect.
    fn check_plain_commits(&self, engine: &gix::Repository) -> Result<()> {
        let settings = &self.settings;
        let signs = match self.allowed.policy.signing {
            Signing::Auto => settings.signs,
            Signing::Never => false,
            Signing::Require => true,
        };
        if !self.keeps_plain_index() || settings.names_hooks || signs {
            return Err(only_git("hooks, signing, or index settings"));
        }
        if HOOKS.iter().any(|hook| self.common_folder().has(Path::new("hooks").join(hook))) {
            return Err(only_git("hooks"));
        }
        if STATES.iter().any(|name| self.git_folder().has(name)) || SHARED_STATES.iter().any(|name| self.common_folder().has(name)) {
            return Err(only_git("an operation in progress"));
        }
        let config = engine.config_snapshot();
        let file = config.plumbing();
        let has = |section: &&str| file.sections_by_name(*section).is_some_and(|mut sections| sections.next().is_some());
        let of_commits = file.sections_by_name("commit").into_iter().flatten();
        let mut keys = of_commits.flat_map(|section| section.value_names().map(|key| key.to_ascii_lowercase()).collect::<Vec<_>>());
        if SECTIONS.iter().any(has) || keys.any(|key| !COMMIT.contains(&key.as_str())) {
            return Err(only_git("settings of commits"));
        }
        if config.string("core.logAllRefUpdates").is_some() && config.boolean("core.logAllRefUpdates") != Some(true) {
            return Err(only_git("settings of reflogs"));
        }
        Ok(())
    }

    /// Refreshes the index, writes its trees and its file, and returns the tree.
    fn tree_of_index(&self, engine: &gix::Repository, request: &CommitRequest, old: ObjectId, cancel: &Cancel) -> Result<ObjectId> {
        let (mut index, stamp) = self.plain_index(engine, cancel)?;
        let content = self.content(engine);
        let refresh = Refresh { top: self.worktree_folder()?, content: &content, comparison: self.settings.status.comparison };
        let refreshed = answered(refresh.all(&index, cancel), cancel)?;
        let database = Database { repo: self, engine };
        let is_valid = is_fully_valid(&index, &database);
        let tree = answered(index.write_trees(&database, cancel), cancel)?;
        let head = engine.find_commit(old).and_then(|commit| commit.tree_id().map(gix::Id::detach)).map_err(Error::engine)?;
        if head == tree && !request.allow_empty {
            return Err(only_git("a commit without changes"));
        }
        if is_valid && refreshed.touched.is_empty() {
            return Ok(tree);
        }
        for (at, stat) in refreshed.touched {
            index.refresh(at, stat);
        }
        for at in refreshed.smudged {
            index.smudge(at);
        }
        self.replace_index(engine, &index, stamp)?;
        Ok(tree)
    }
}

/// Whether the trees of all directories are cached, and exist.
fn is_fully_valid(index: &Index, objects: &Database<'_>) -> bool {
    let Some(root) = index.tree().and_then(engine::index::TreeCache::root) else { return false };
    let mut open = vec![root];
    while let Some(tree) = open.pop() {
        if !tree.id().is_some_and(|id| objects.has(id).unwrap_or_default()) {
            return false;
        }
        open.extend(tree.children());
    }
    true
}

/// True for a character that git does not record as it is: in its encoding of UTF-8 these are no characters.
fn is_odd(char: char) -> bool {
    let code = u32::from(char);
    char == '\0' || code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code)
}

/// The author or the committer, before the time.
fn identity(engine: &gix::Repository, role: &str) -> Result<BString> {
    let config = engine.config_snapshot();
    let of = |key: &str| -> Result<BString> {
        let variable = env::var(format!("GIT_{}_{}", role.to_uppercase(), key.to_uppercase())).ok().filter(|value| !value.is_empty());
        let configured = || config.string(&format!("{role}.{key}")).or_else(|| config.string(&format!("user.{key}")));
        let value = variable.map(BString::from).or_else(configured);
        let is_plain = |value: &BString| {
            let is_crud = |byte: Option<&u8>| byte.is_none_or(|byte| *byte <= b' ' || CRUD.contains(byte));
            value.to_str().is_ok_and(|text| !text.chars().any(|char| char.is_control() || is_odd(char)))
                && !(is_crud(value.first()) || is_crud(value.last()) || value.contains(&b'<') || value.contains(&b'>'))
        };
        value.filter(is_plain).ok_or_else(|| only_git("an unusual identity"))
    };
    let is_dated = env::var_os(format!("GIT_{}_DATE", role.to_uppercase())).is_some();
    if is_dated {
        return Err(only_git("a given date"));
    }
    Ok([of("name")?.as_slice(), b" <", &of("email")?, b"> "].concat().into())
}

/// The time, as commits have it.
fn now() -> Result<BString> {
    // The system reads this variable in more ways than the engine.
    if env::var_os("TZ").is_some_and(|zone| zone != "UTC") {
        return Err(only_git("a given time zone"));
    }
    let time = gix::date::Time::now_local().ok_or_else(|| only_git("an unknown time zone"))?;
    let minutes = time.offset.unsigned_abs() / 60;
    let sign = if time.offset < 0 { '-' } else { '+' };
    Ok(format!("{} {sign}{:02}{:02}", time.seconds, minutes / 60, minutes % 60).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_that_git_does_not_record_are_left_to_it() {
        for odd in ['\0', '\u{fffe}', '\u{fdd0}', '\u{1ffff}'] {
            assert!(is_odd(odd));
        }
        for plain in ['a', '\u{1}', '\u{e9}', '\u{fffd}', '\u{1f600}'] {
            assert!(!is_odd(plain));
        }
    }
}
