//! Opens a repository: checks its layout and records the state of the files that define it.

use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    process::{Mode, OPENING, program::Git},
    repo::{
        Repo,
        guarded::{Guarded, linked},
        policy::Allowed,
        roots::{Location, check_owner},
        settings::{self, Settings},
        shape::{FileState, Folders},
        vetting,
        watched::Watched,
    },
};
use gix::ObjectId;
use std::{
    fs,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

/// Maximum size of an object held in-process.
const MAX_OBJECT: u64 = 32 << 20;
/// Timeout for git to check that it can open a repository.
const OPEN: Duration = Duration::from_secs(10);
/// Maximum output of that check.
const MAX_LINE: usize = 64 << 10;

impl Repo {
    pub(crate) fn open(git: Arc<Git>, mut location: Location, allowed: Arc<Allowed>) -> Result<Self> {
        let mut folders = Folders::open(&location)?;
        if !location.trusted {
            vetting::check_shape(&location)?;
        }
        // If the engine cannot read the configuration, git's error explains why.
        let (settings, unread) = match Settings::read(&location, &allowed.roots) {
            Err(err @ Error::Engine(_)) => (Settings::default(), Some(err)),
            read => (read?, None),
        };
        // git honours `core.bare`, except in linked worktrees.
        if settings.bare && settings.worktree.is_none() && location.git_dir == location.common_dir {
            (location.worktree, folders.worktree) = (None, None);
        }
        let mut borrowed = allowed.roots.check_alternates(&location, &settings.local_origins)?;
        borrowed.extend(linked(&location, &allowed.roots));
        if let Some(configured) = &settings.worktree {
            // git uses `core.worktree`. Only the directory in which the repository was found is authorised.
            let target = fs::canonicalize(location.git_dir.join(configured)).unwrap_or_else(|_| configured.clone());
            if Some(&target) != location.worktree.as_ref() {
                return Err(Error::OutsideRoots { path: target, what: "core.worktree" });
            }
        }
        let stamps = stamps(&location, &settings);
        let guarded = Guarded::new(allowed.policy.sandbox, &git, &location, &settings, &borrowed)?;
        let mut repo = Self {
            git,
            location,
            settings,
            allowed,
            guarded,
            engine: None,
            unknown_setting: OnceLock::new(),
            folders,
            stamps,
            watched: Watched::default(),
        };
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

    /// Whether git accepts `HEAD` as that of a repository.
    fn has_plain_head(&self) -> bool {
        let Some(line) = self.folders.git_dir.line("HEAD") else { return false };
        match line.strip_prefix(b"ref:") {
            Some(name) => name.trim_ascii_start().starts_with(b"refs/"),
            None => ObjectId::from_hex(&line).is_ok(),
        }
    }

    /// Whether the `shallow` file is valid: the engine panics otherwise.
    fn has_plain_shallow(&self) -> bool {
        let list = self.folders.common_dir.read("shallow", Kind::Fetched);
        list.is_ok_and(|list| {
            list.unwrap_or_default().split(|&byte| byte == b'\n').all(|id| id.is_empty() || ObjectId::from_hex(id).is_ok())
        })
    }
}

/// The state of the files that define a repository.
fn stamps(location: &Location, settings: &Settings) -> Vec<FileState> {
    let mut paths = vec![
        location.top().join(".git"),
        location.top().to_owned(),
        location.git_dir.join("config.worktree"),
        location.git_dir.join("commondir"),
        location.common_dir.join("config"),
        location.common_dir.join("objects/info/alternates"),
        location.common_dir.join("shallow"),
    ];
    paths.extend(settings.files.iter().cloned());
    let replaced = FileState::of_entries(location.common_dir.join("refs/replace"));
    paths.into_iter().map(FileState::of).chain([replaced]).collect()
}

/// Opens the repository in-process. `None` if only git supports its format.
fn open_engine(location: &Location, settings: &Settings) -> Result<Option<gix::ThreadSafeRepository>> {
    if settings.foreign_format {
        check_owner(location)?;
        return Ok(None);
    }
    // The default of 32 slots fails with "too few index slots" once other processes add enough packs.
    let slots = gix::odb::store::init::Slots::AsNeededByDiskState { multiplier: 2.0, minimum: 256 };
    let options =
        gix::open::Options::default().object_store_slots(slots).bail_if_untrusted(true).filter_config_section(settings::operator_only);
    // A larger object is an error here, and so is left to git.
    let limit = format!("gitoxide.objects.allocLimit={MAX_OBJECT}");
    // The repository's own settings are not read, but git obeys this one.
    let replaced = format!("core.useReplaceRefs={}", settings.replaces_objects);
    let options = options.config_overrides([limit, replaced]);
    if let Ok(engine) = options.open(location.top()) {
        return Ok(Some(engine));
    }
    check_owner(location)?;
    Ok(None)
}
