//! Opened, authorised repositories and their cache.

pub(crate) mod ambiguous;
pub(crate) mod domains;
pub(crate) mod guarded;
pub(crate) mod handles;
pub(crate) mod harmless;
pub(crate) mod index_file;
pub(crate) mod index_names;
pub(crate) mod lock;
pub(crate) mod opening;
pub(crate) mod patch_settings;
pub(crate) mod policy;
pub(crate) mod reachable;
pub(crate) mod repositories;
pub(crate) mod rev;
pub(crate) mod roots;
pub(crate) mod route;
pub(crate) mod settings;
pub(crate) mod shape;
pub(crate) mod snapshot;
pub(crate) mod stamp;
pub(crate) mod status_settings;
pub(crate) mod vetting;
pub(crate) mod watched;

use crate::{
    beneath::{Folder, Kind},
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    process::{Mode, Process, program::Git},
    repo::{
        guarded::Guarded,
        policy::{Allowed, Signing},
        roots::Location,
        settings::Settings,
        shape::{FileState, Folders},
        watched::Watched,
    },
};
use gix::ObjectId;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, OnceLock},
};

/// Settings that sign commits and tags.
const SIGNING: [&str; 3] = ["commit.gpgSign", "tag.gpgSign", "tag.forceSignAnnotated"];
/// Settings of every change in an untrusted repository. They override all configuration: git runs no programs, moves no
/// other references, keeps the objects an undo needs, and uses few threads.
const UNTRUSTED: [(&str, &str); 26] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.sshCommand", "ssh"),
    ("core.editor", ":"),
    ("core.pager", "cat"),
    ("credential.helper", ""),
    ("commit.template", ""),
    ("merge.verifySignatures", "false"),
    ("gpg.program", "false"),
    ("gpg.openpgp.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.ssh.defaultKeyCommand", ""),
    ("gpg.x509.program", "false"),
    ("rebase.instructionFormat", "%s"),
    ("rebase.missingCommitsCheck", "ignore"),
    ("rebase.updateRefs", "false"),
    ("gc.pruneExpire", "2.weeks.ago"),
    ("gc.reflogExpire", "90.days"),
    ("gc.reflogExpireUnreachable", "30.days"),
    ("checkout.workers", "1"),
    ("fetch.parallel", "1"),
    ("submodule.fetchJobs", "1"),
    ("index.threads", "1"),
    ("grep.threads", "1"),
    ("pack.threads", "1"),
    ("pack.windowMemory", "64m"),
];

/// A repository that lies entirely inside the allowed roots.
#[derive(Debug)]
pub struct Repo {
    pub(crate) git: Arc<Git>,
    pub(crate) location: Location,
    pub(crate) settings: Settings,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) guarded: Option<Guarded>,
    /// Use it only through [`Repo::with_engine`].
    pub(crate) engine: Option<gix::ThreadSafeRepository>,
    /// The first setting not known to be harmless, once checked.
    pub(crate) unknown_setting: OnceLock<Option<String>>,
    folders: Folders,
    stamps: Vec<FileState>,
    watched: Watched,
}

impl Repo {
    /// Whether the files that define the repository are unchanged since it was opened.
    pub(crate) fn is_current(&self) -> bool {
        self.stamps.iter().all(FileState::is_current)
    }

    /// Fails if a directory of the repository was replaced since it was opened; in an untrusted one, also if its
    /// configuration or another defining file changed.
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`].
    pub fn check_in_place(&self) -> Result<()> {
        let Folders { worktree, git_dir, common_dir } = &self.folders;
        let folders = [worktree.as_ref(), Some(git_dir), Some(common_dir)];
        if let Some(folder) = folders.into_iter().flatten().find(|folder| !folder.is_in_place()) {
            return Err(Error::Replaced(folder.path().to_owned()));
        }
        match self.stamps.iter().find(|stamp| !self.location.trusted && !stamp.is_current()) {
            Some(stamp) => Err(Error::Replaced(stamp.path.clone())),
            None => Ok(()),
        }
    }

    /// The open working tree directory.
    ///
    /// # Errors
    ///
    /// [`Error::Bare`].
    pub(crate) fn worktree_folder(&self) -> Result<&Folder> {
        self.folders.worktree.as_ref().ok_or_else(|| self.no_worktree())
    }

    /// The content of a file in this worktree's git directory; `None` if absent.
    pub(crate) fn git_file(&self, name: &str, kind: Kind) -> Result<Option<Vec<u8>>> {
        Ok(self.folders.git_dir.read(name, kind)?)
    }

    /// The open git directory of this worktree.
    pub(crate) fn git_folder(&self) -> &Folder {
        &self.folders.git_dir
    }

    /// The open common git directory of all worktrees.
    pub(crate) fn common_folder(&self) -> &Folder {
        &self.folders.common_dir
    }

    /// The directory that identifies the repository to callers.
    pub fn top(&self) -> &Path {
        self.location.top()
    }

    /// The paths of the repository.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The working tree.
    ///
    /// # Errors
    ///
    /// [`Error::Bare`].
    pub fn worktree(&self) -> Result<&Path> {
        self.location.worktree.as_deref().ok_or_else(|| self.no_worktree())
    }

    fn no_worktree(&self) -> Error {
        let git_dir = &self.location.git_dir;
        Error::Bare { within: git_dir.parent().filter(|_| git_dir.ends_with(".git")).map(Path::to_owned) }
    }

    /// A git process that reads this repository without running programs it configures.
    pub(crate) fn read(&self, args: &[&str]) -> Process<'_> {
        silence(self.process(Mode::Read, args), &self.settings.local_filters)
    }

    /// A git process that changes this repository.
    pub(crate) fn change(&self, args: &[&str]) -> Process<'_> {
        // A submodule is a separate repository, with untrusted filters. Unlike a setting, an option does not reach hooks; these
        // commands have none, and abort and skip start `git reset`.
        let (command, options) = args.split_at(args.len().min(1));
        let has_option = matches!(command, ["checkout" | "reset" | "restore"]);
        let mut process = self.process(Mode::Change, command).args(has_option.then_some("--no-recurse-submodules")).args(options);
        let resets = options.iter().any(|option| matches!(*option, "--abort" | "--skip"));
        if !self.location.trusted || resets || matches!(command, ["bisect" | "stash" | "submodule" | "worktree"]) {
            process = process.config("submodule.recurse", "false");
        }
        process = process.traced(self.may_be_stopped().then_some(self.location.git_dir.as_path()));
        let sign = match self.allowed.policy.signing {
            Signing::Auto => None,
            Signing::Never => Some("false"),
            Signing::Require => Some("true"),
        };
        for key in SIGNING {
            process = sign.into_iter().fold(process, |process, value| process.config(key, value));
        }
        if self.location.trusted {
            return if self.allowed.policy.hooks { process } else { process.config("core.hooksPath", "/dev/null") };
        }
        let process = UNTRUSTED.iter().fold(process, |process, (key, value)| process.config(*key, *value));
        let process = SIGNING.iter().fold(process, |process, key| process.config(*key, sign.unwrap_or("false")));
        // Fail rather than store content unfiltered when an operator's filter may not run.
        let filters = self.settings.operator_filters.iter();
        let process = filters.fold(process, |process, driver| process.config(format!("filter.{driver}.required"), "true"));
        silence(process.offline(), &self.settings.local_filters)
    }

    pub(crate) fn process(&self, mode: Mode, args: &[&str]) -> Process<'_> {
        let process = match &self.location.worktree {
            Some(worktree) => self.git.process(mode, worktree, args),
            None => self.git.process(mode, &self.location.git_dir, args).config("safe.bareRepository", "all"),
        };
        let process = process.inside(self.domain(mode));
        let process = if self.fetches_unasked() { process.offline() } else { process };
        // A mailmap named in the repository's configuration may be any file.
        let named = self.settings.local_mailmap || self.settings.conditional;
        if mode == Mode::Read && named { process.config("mailmap.file", "") } else { process }
    }

    /// Refuses a working tree path below a symbolic link: files there are not tracked.
    pub(crate) fn check_no_link_above(&self, path: &RelPath) -> Result<()> {
        let Some(worktree) = &self.location.worktree else { return Ok(()) };
        let above = path.as_path().ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty());
        for dir in above {
            if worktree.join(dir).is_symlink() {
                return Err(Error::NoSuchPath {
                    path: path.to_string(),
                    place: "the working tree: it is beyond a symbolic link".to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Refuses a change that would run a program configured by an untrusted repository.
    pub(crate) fn check_trust(&self, cancel: &Cancel) -> Result<()> {
        if self.location.trusted {
            return Ok(());
        }
        let driver = self.local_filters(cancel)?.into_iter().next();
        let program = driver.map(|name| format!("filter `{name}`"));
        match program.or_else(|| self.settings.local_merge_drivers.first().map(|name| format!("merge driver `{name}`"))) {
            Some(program) => Err(Error::Untrusted { path: self.top().to_owned(), program }),
            None => Ok(()),
        }
    }
}

/// Makes a process use the attributes of `tree`. Versions before 2.41 ignore it.
pub(crate) fn of_tree(process: Process<'_>, tree: Option<ObjectId>) -> Process<'_> {
    tree.into_iter().fold(process, |process, tree| process.env("GIT_ATTR_SOURCE", tree.to_string()))
}

/// Disables filter drivers.
pub(crate) fn silence<'a>(process: Process<'a>, drivers: &BTreeSet<String>) -> Process<'a> {
    drivers.iter().fold(process, |process, driver| {
        let off = ["clean", "smudge", "process"].iter().fold(process, |process, key| process.config(format!("filter.{driver}.{key}"), ""));
        off.config(format!("filter.{driver}.required"), "false")
    })
}
