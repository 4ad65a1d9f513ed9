//! An opened, authorised repository, and the cache of them.

use crate::{
    beneath::{Folder, Kind},
    cancel::Cancel,
    error::{Error, Result},
    filtered::silence,
    handles::{CacheFigures, Handles},
    name::RelPath,
    policy::{Allowed, Policy, Signing, Trust},
    process::{Mode, OPENING, Process},
    program::Git,
    roots::{Location, Roots, check_owner, is_bare},
    sandbox::{Guarded, linked},
    settings::{self, Settings},
    vetting,
};
use gix::ObjectId;
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// The largest object that is held in this process.
const MAX_OBJECT: u64 = 32 << 20;
/// The most repositories kept open.
const MAX_OPEN: usize = 32;
/// How long git may take to say whether it opens a repository.
const OPEN: Duration = Duration::from_secs(10);
/// The most that it says.
const MAX_LINE: usize = 64 << 10;

/// What every change in an untrusted repository is told, whatever the operator's configuration and the repository's say:
/// that it runs nothing, moves no other references, keeps what may be wanted back, and takes a small part of the machine.
/// Settings that have commits and tags signed.
const SIGNING: [&str; 3] = ["commit.gpgSign", "tag.gpgSign", "tag.forceSignAnnotated"];

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

/// A repository whose every part lies inside the allowed roots.
#[derive(Debug)]
pub struct Repo {
    pub(crate) git: Arc<Git>,
    pub(crate) location: Location,
    pub(crate) settings: Settings,
    pub(crate) allowed: Arc<Allowed>,
    pub(crate) guarded: Option<Guarded>,
    /// Not to be used but by way of [`Repo::with_engine`].
    pub(crate) engine: Option<gix::ThreadSafeRepository>,
    /// The first setting that is not known to be harmless, once it was looked for.
    pub(crate) unknown_setting: OnceLock<Option<String>>,
    folders: Folders,
    stamps: Vec<Stamp>,
}

/// The folders of a repository, held open since they were authorised.
#[derive(Debug)]
struct Folders {
    worktree: Option<Folder>,
    git_dir: Folder,
    common_dir: Folder,
}

impl Folders {
    fn open(location: &Location) -> Result<Self> {
        let open = |path: &PathBuf| Folder::open(path).map_err(Error::io(format!("opening {}", path.display())));
        Ok(Self {
            worktree: location.worktree.as_ref().map(open).transpose()?,
            git_dir: open(&location.git_dir)?,
            common_dir: open(&location.common_dir)?,
        })
    }
}

/// Opens repositories and keeps the handles of those that have not changed shape since.
#[derive(Debug)]
pub struct Repositories {
    git: Arc<Git>,
    allowed: Arc<Allowed>,
    open: Handles,
}

/// What identifies one state of a file: enough to notice a replacement, a rewrite and a removal.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    state: Option<(u64, u64, u64, [i64; 4])>,
}

impl Stamp {
    fn of(path: PathBuf) -> Self {
        let state = fs::symlink_metadata(&path).ok().map(|m| {
            // A directory's times move with every entry; only its identity is of interest.
            if m.is_dir() {
                return (m.dev(), m.ino(), 0, [0; 4]);
            }
            // Anybody can set the time of a change of content back, but not that of the file's own record.
            (m.dev(), m.ino(), m.size(), [m.mtime(), m.mtime_nsec(), m.ctime(), m.ctime_nsec()])
        });
        Self { path, state }
    }

    fn is_current(&self) -> bool {
        Self::of(self.path.clone()) == *self
    }
}

impl Repositories {
    /// Opens repositories inside `roots` with the user's `git`.
    pub fn new(git: Git, roots: Roots) -> Self {
        Self::with_policy(git, roots, Policy::default())
    }

    /// As [`Repositories::new`], where `policy` says what changes may run and reach.
    pub fn with_policy(git: Git, roots: Roots, policy: Policy) -> Self {
        Self { git: Arc::new(git), allowed: Arc::new(Allowed { roots, policy }), open: Handles::new(MAX_OPEN) }
    }

    /// What the operator allows.
    pub(crate) fn allowed(&self) -> &Allowed {
        &self.allowed
    }

    /// The allowed roots.
    pub fn roots(&self) -> &Roots {
        &self.allowed.roots
    }

    /// The user's git.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// Opens the repository at or above `path`, or hands out the one that is open.
    ///
    /// # Errors
    ///
    /// As [`Roots::locate`]; [`Error::UnsafeOwner`]; [`Error::Unopened`].
    pub fn open(&self, path: &Path) -> Result<Arc<Repo>> {
        if let Some(repo) = self.open.get(path) {
            return Ok(repo);
        }
        let mut location = self.roots().locate(path)?;
        location.trusted &= self.allowed.policy.trust == Trust::Owner;
        let repo = Arc::new(Repo::open(Arc::clone(&self.git), location, Arc::clone(&self.allowed))?);
        self.open.put(path, &repo);
        Ok(repo)
    }

    /// Lets go of every open repository, and says how many that were. Calls that use one go on.
    pub fn clear(&self) -> usize {
        self.open.drop_unused(Duration::ZERO)
    }

    /// Lets go of the open repositories that were not used for so long, and says how many that were.
    pub fn sweep(&self, unused: Duration) -> usize {
        self.open.drop_unused(unused)
    }

    /// What is kept of open repositories.
    pub fn cache(&self) -> CacheFigures {
        self.open.figures()
    }

    /// Opens repositories for each call anew.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.open = Handles::new(0);
        self
    }

    /// Creates a repository at `path`, which must lie inside the roots. True when there was none before.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`], [`Error::BadName`], [`Error::Failed`].
    pub fn init(&self, path: &Path, branch: Option<&crate::BranchName>, cancel: &Cancel) -> Result<(PathBuf, bool)> {
        let (root, target) = self.new_folder(path)?;
        // git would complete what is there: obey its configuration and hooks, and write through its links.
        let own = target.join(".git");
        if own.symlink_metadata().is_ok() || is_bare(&target) {
            return match self.roots().locate(&target) {
                Ok(found) if found.top() == target => Ok((target, false)),
                Err(err @ (Error::OutsideRoots { .. } | Error::NotReadable { .. })) => Err(err),
                _ => Err(Error::NotReadable { path: own, why: "is there already and is no complete repository" }),
            };
        }
        let mut process = self.git.process(Mode::Change, &root, &["init", "--quiet"]).config("core.hooksPath", "/dev/null");
        if let Some(branch) = branch {
            process = process.arg(format!("--initial-branch={}", branch.as_str()));
        }
        process.arg("--").arg(&target).success(cancel, 64 << 10)?;
        Ok((target, true))
    }

    /// The root that `path` lies in and what it is without links, where a repository may be made there.
    pub(crate) fn new_folder(&self, path: &Path) -> Result<(PathBuf, PathBuf)> {
        let outside = || Error::OutsideRoots { path: path.to_owned(), what: "the path" };
        if !path.is_absolute() || path.components().any(|part| matches!(part, std::path::Component::ParentDir)) {
            return Err(Error::bad_name(path.display().to_string(), "a path", "it must be absolute, without `..`"));
        }
        // The nearest existing directory decides; what git creates below it is new and therefore no link.
        let existing = path.ancestors().find(|dir| dir.symlink_metadata().is_ok()).ok_or_else(outside)?;
        let canonical = fs::canonicalize(existing).map_err(|_| outside())?;
        let rest = path.strip_prefix(existing).map_err(|_| outside())?;
        let target = if rest.as_os_str().is_empty() { canonical } else { canonical.join(rest) };
        if !self.roots().contains(&target) || target.components().any(|part| part.as_os_str() == ".git") {
            return Err(outside());
        }
        let root = self.roots().named().iter().find(|root| target.starts_with(root)).cloned().ok_or_else(outside)?;
        Ok((root, target))
    }
}

impl Repo {
    /// True while the repository has the shape that it was opened with.
    pub(crate) fn is_current(&self) -> bool {
        self.stamps.iter().all(Stamp::is_current)
    }

    pub(crate) fn open(git: Arc<Git>, mut location: Location, allowed: Arc<Allowed>) -> Result<Self> {
        let mut folders = Folders::open(&location)?;
        if !location.trusted {
            vetting::check_shape(&location)?;
        }
        // Where the engine cannot read the configuration git says why.
        let (settings, unread) = match Settings::read(&location, &allowed.roots) {
            Err(err @ Error::Engine(_)) => (Settings::default(), Some(err)),
            read => (read?, None),
        };
        // git takes its word for it, but in linked worktrees.
        if settings.bare && settings.worktree.is_none() && location.git_dir == location.common_dir {
            (location.worktree, folders.worktree) = (None, None);
        }
        let mut borrowed = allowed.roots.check_alternates(&location, &settings.local_origins)?;
        borrowed.extend(linked(&location, &allowed.roots));
        if let Some(configured) = &settings.worktree {
            // git goes where core.worktree says. Only the place where the repository was found is authorised.
            let target = fs::canonicalize(location.git_dir.join(configured)).unwrap_or_else(|_| configured.clone());
            if Some(&target) != location.worktree.as_ref() {
                return Err(Error::OutsideRoots { path: target, what: "core.worktree" });
            }
        }
        let mut paths = vec![
            location.top().join(".git"),
            location.top().to_owned(),
            location.git_dir.join("config.worktree"),
            location.git_dir.join("commondir"),
            location.common_dir.join("config"),
            location.common_dir.join("objects/info/alternates"),
            location.common_dir.join("shallow"),
            location.common_dir.join("refs/replace"),
        ];
        paths.extend(settings.files.iter().cloned());
        let stamps = paths.into_iter().map(Stamp::of).collect();
        let guarded = Guarded::new(allowed.policy.sandbox, &git, &location, &settings, &borrowed)?;
        let mut repo = Self { git, location, settings, allowed, guarded, engine: None, unknown_setting: OnceLock::new(), folders, stamps };
        if unread.is_some() || repo.settings.is_doubtful || !repo.has_plain_head() {
            check_owner(&repo.location)?;
            repo.read(OPENING).success(&Cancel::new(Some(Instant::now() + OPEN)), MAX_LINE).map_err(|err| match err {
                Error::Unreadable { said } | Error::Misconfigured { said } => Error::Unopened { said },
                err => err,
            })?;
        }
        if let Some(err) = unread {
            return Err(err);
        }
        repo.settings.foreign_format |= !repo.has_plain_shallow();
        repo.engine = repo.within(Mode::Read, || open_engine(&repo.location, &repo.settings))??;
        Ok(repo)
    }

    /// True where `HEAD` is what git takes it to be in a repository.
    fn has_plain_head(&self) -> bool {
        let Some(line) = self.folders.git_dir.line("HEAD") else { return false };
        match line.strip_prefix(b"ref:") {
            Some(name) => name.trim_ascii_start().starts_with(b"refs/"),
            None => ObjectId::from_hex(&line).is_ok(),
        }
    }

    /// True where the list of commits without parents is one: the engine panics otherwise.
    fn has_plain_shallow(&self) -> bool {
        let list = self.folders.common_dir.read("shallow", Kind::Fetched);
        list.is_ok_and(|list| {
            list.unwrap_or_default().split(|&byte| byte == b'\n').all(|id| id.is_empty() || ObjectId::from_hex(id).is_ok())
        })
    }

    /// Fails where a folder of the repository is no longer what was opened; in an untrusted one, also where its configuration
    /// or another file is not that decides how it is read.
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

    /// The working tree, held open.
    ///
    /// # Errors
    ///
    /// [`Error::Bare`].
    pub(crate) fn worktree_folder(&self) -> Result<&Folder> {
        self.folders.worktree.as_ref().ok_or_else(|| self.no_worktree())
    }

    /// What a file of this worktree's git directory holds; `None` where there is none.
    pub(crate) fn git_file(&self, name: &str, kind: Kind) -> Result<Option<Vec<u8>>> {
        self.folders.git_dir.read(name, kind)
    }

    /// The git directory of this worktree, held open.
    pub(crate) fn git_folder(&self) -> &Folder {
        &self.folders.git_dir
    }

    /// The git directory that worktrees share, held open.
    pub(crate) fn common_folder(&self) -> &Folder {
        &self.folders.common_dir
    }

    /// The directory by which a caller knows the repository.
    pub fn top(&self) -> &Path {
        self.location.top()
    }

    /// Where everything is.
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

    /// A git process that reads this repository and runs nothing that it names.
    pub(crate) fn read(&self, args: &[&str]) -> Process<'_> {
        silence(self.process(Mode::Read, args), &self.settings.local_filters)
    }

    /// A git process that changes this repository.
    pub(crate) fn change(&self, args: &[&str]) -> Process<'_> {
        // A submodule is a repository of its own, with filters that nobody has named.
        let mut process = self.process(Mode::Change, args).config("submodule.recurse", "false");
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
        // What a filter of the operator's should have been through is not stored where that filter may not run.
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
        // A mailmap that the repository's configuration names may be any file at all.
        let named = self.settings.local_mailmap || self.settings.conditional;
        if mode == Mode::Read && named { process.config("mailmap.file", "") } else { process }
    }

    /// Refuses a path of the working tree that leads through a symbolic link: what is there is not tracked.
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

    /// Refuses a change that would need a program which an untrusted repository names.
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

/// Opens the repository in this process. `None` where only git itself understands its format.
fn open_engine(location: &Location, settings: &Settings) -> Result<Option<gix::ThreadSafeRepository>> {
    if settings.foreign_format {
        check_owner(location)?;
        return Ok(None);
    }
    // The default of 32 slots fails with "too few index slots" once other processes have added enough packs.
    let slots = gix::odb::store::init::Slots::AsNeededByDiskState { multiplier: 2.0, minimum: 256 };
    let options =
        gix::open::Options::default().object_store_slots(slots).bail_if_untrusted(true).filter_config_section(settings::operator_only);
    // A larger object is an error here, and so for git.
    let options = options.config_overrides([format!("gitoxide.objects.allocLimit={MAX_OBJECT}")]);
    if let Ok(engine) = options.open(location.top()) {
        return Ok(Some(engine));
    }
    check_owner(location)?;
    Ok(None)
}
