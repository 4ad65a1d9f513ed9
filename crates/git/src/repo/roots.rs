//! The allowed roots, and locating repositories in them.

use crate::{
    beneath::{Folder, Kind, to_path},
    error::{Error, Result},
    repo::index_names::{self, MAX_INDEX},
};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Maximum number of directories scanned for repositories to name in an error.
const MAX_LISTED: usize = 2_000;

/// The directories the operator allows.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    named: Vec<PathBuf>,
}

/// The location of a repository; every path is canonical and authorised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The working tree; `None` when bare.
    pub worktree: Option<PathBuf>,
    /// The directory with this worktree's `HEAD` and index.
    pub git_dir: PathBuf,
    /// The directory with objects, references and configuration.
    pub common_dir: PathBuf,
    /// Whether the operator named this repository, so that changes may run its hooks and filters.
    pub trusted: bool,
}

impl Location {
    /// The directory that identifies the repository to callers.
    pub fn top(&self) -> &Path {
        self.worktree.as_deref().unwrap_or(&self.git_dir)
    }
}

impl Roots {
    /// Allows `paths`, which must exist.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] naming the path that cannot be resolved.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self> {
        let named = paths
            .into_iter()
            .map(|path| fs::canonicalize(&path).map_err(Error::io(format!("the root {}", path.display()))))
            .collect::<Result<_>>()?;
        Ok(Self { named })
    }

    /// Allows only the repository that contains `directory`; nothing outside a repository.
    pub fn around(directory: &Path) -> Self {
        let found = fs::canonicalize(directory).ok().and_then(|path| find(&path, |_| true).ok());
        let named = found.map(|found| found.top).into_iter().collect();
        Self { named }
    }

    /// The allowed directories.
    pub fn named(&self) -> &[PathBuf] {
        &self.named
    }

    /// Whether `path`, which must be canonical, is a root or below one.
    pub fn contains(&self, path: &Path) -> bool {
        self.named.iter().any(|root| path.starts_with(root))
    }

    /// The repository at or above `path`, if it lies entirely inside the roots.
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`], [`Error::OutsideRoots`], [`Error::EmbeddedBare`].
    pub fn locate(&self, path: &Path) -> Result<Location> {
        let outside = |path: &Path, what| Error::OutsideRoots { path: path.to_owned(), what };
        let Ok(canonical) = fs::canonicalize(path) else {
            // Do not reveal whether a path outside the roots exists.
            let lexical = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
            let inside = lexical && self.contains(path);
            return Err(if inside { Error::NotARepository { path: path.to_owned() } } else { outside(path, "the path") });
        };
        let inside = self.contains(&canonical);
        // From outside the roots only a linked worktree of an allowed repository is reachable.
        let found = find(&canonical, |dir| !inside || self.contains(dir))
            .map_err(|err| if inside { err } else { outside(&canonical, "the path") })?;
        let named = self.named.contains(&found.top);
        let mut location = found.resolve(named)?;
        let brought_along = named && location.worktree.is_some() && points_back(&location);
        if !self.contains(&location.common_dir) && !brought_along {
            return Err(outside(&location.common_dir, "the repository's common directory"));
        }
        let is_linked = location.worktree.is_some() && location.git_dir != location.common_dir && points_back(&location);
        if !self.contains(location.top()) && !is_linked {
            return Err(outside(&canonical, "the path"));
        }
        if !self.contains(&location.git_dir) && !location.git_dir.starts_with(&location.common_dir) {
            return Err(outside(&location.git_dir, "the repository's git directory"));
        }
        self.check_inside(&location)?;
        // A linked worktree has the hooks and the configuration of the repository that the operator named.
        let owner = location.common_dir.parent().unwrap_or(&location.common_dir);
        location.trusted |= is_linked && self.named.iter().any(|root| root == owner || *root == location.common_dir);
        Ok(location)
    }

    /// Resolves symbolic links in a git directory that could expose another repository, and refuses files that are not
    /// regular or too large.
    fn check_inside(&self, location: &Location) -> Result<()> {
        const SHARED: [&str; 8] = ["objects", "objects/pack", "objects/info", "refs", "refs/heads", "packed-refs", "config", "info"];
        const OWN: [&str; 3] = ["HEAD", "index", "logs"];
        const FOLDERS: [&str; 4] = ["objects", "objects/pack", "refs", "refs/heads"];
        let files: [(&str, u64); 14] = [
            ("HEAD", Kind::Line.limit()),
            ("config", Kind::Config.limit()),
            ("config.worktree", Kind::Config.limit()),
            ("commondir", Kind::Line.limit()),
            ("gitdir", Kind::Line.limit()),
            ("index", MAX_INDEX),
            ("packed-refs", MAX_INDEX),
            ("shallow", Kind::Fetched.limit()),
            ("info/exclude", Kind::Rules.limit()),
            ("info/attributes", Kind::Rules.limit()),
            ("info/sparse-checkout", Kind::Steps.limit()),
            ("info/grafts", Kind::Rules.limit()),
            ("FETCH_HEAD", Kind::Fetched.limit()),
            ("MERGE_HEAD", Kind::Rules.limit()),
        ];
        for (name, limit) in files {
            for dir in [&location.git_dir, &location.common_dir] {
                if !is_regular(&dir.join(name), limit) {
                    return Err(Error::NotReadable { path: dir.join(name), why: "is not a regular file of a reasonable size" });
                }
            }
        }
        index_names::check(&location.git_dir.join("index"), None)?;
        let shared = SHARED.iter().map(|name| location.common_dir.join(name));
        let own = OWN.iter().map(|name| location.git_dir.join(name));
        let entries = FOLDERS.iter().filter_map(|name| fs::read_dir(location.common_dir.join(name)).ok()).flatten().flatten();
        let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink())).map(|entry| entry.path());
        for path in shared.chain(own).chain(links) {
            if !path.is_symlink() {
                continue;
            }
            let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            // A symbolic link into refs is an old form of a symbolic `HEAD`.
            if !target.starts_with(&location.common_dir) && !self.contains(&target) {
                return Err(Error::OutsideRoots { path: target, what: "a link inside the git directory" });
            }
        }
        Ok(())
    }

    /// Checks and returns the alternate object directories of `location`.
    ///
    /// A repository the operator named may borrow from the one it was cloned from (`origins`), as with `git clone
    /// --shared`; all other object directories must lie inside the roots.
    ///
    /// # Errors
    ///
    /// [`Error::OutsideRoots`].
    pub(crate) fn check_alternates(&self, location: &Location, origins: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let is_origin = |path: &Path| {
            let owners = origins.iter().filter_map(|origin| fs::canonicalize(origin).ok());
            location.trusted && owners.into_iter().any(|origin| path == origin.join(".git/objects") || path == origin.join("objects"))
        };
        let mut seen = vec![location.common_dir.join("objects")];
        let mut next = 0;
        while let Some(objects) = seen.get(next).cloned() {
            next += 1;
            let Some(text) = read_within(&objects, "info/alternates", Kind::Rules, self)? else { continue };
            for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#') {
                let line = crate::quote::unquoted(line).unwrap_or_else(|| line.to_vec());
                let path = objects.join(to_path(&line));
                let path = fs::canonicalize(&path).unwrap_or(path);
                if !self.contains(&path) && !path.starts_with(&location.common_dir) && !is_origin(&path) {
                    return Err(Error::OutsideRoots { path, what: "an alternate object directory" });
                }
                if !seen.contains(&path) && seen.len() < 32 {
                    seen.push(path);
                }
            }
        }
        Ok(seen.split_off(1))
    }

    /// Up to `limit` repositories at and below the roots, to suggest in an error.
    pub fn repositories(&self, limit: usize) -> Vec<PathBuf> {
        let (mut found, mut seen) = (Vec::new(), std::collections::HashSet::new());
        let mut looked = 0;
        let mut queue: std::collections::VecDeque<(PathBuf, u8)> = self.named.iter().map(|root| (root.clone(), 0)).collect();
        while let Some((dir, depth)) = queue.pop_front() {
            looked += 1;
            if found.len() >= limit || looked > MAX_LISTED {
                break;
            }
            if dir.join(".git").exists() || is_bare(&dir) {
                // A named one may lie below another root.
                if seen.insert(dir.clone()) {
                    found.push(dir);
                }
                continue;
            }
            if depth < 3 {
                let Ok(entries) = fs::read_dir(&dir) else { continue };
                let mut below: Vec<PathBuf> = entries
                    .take(MAX_LISTED)
                    .flatten()
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path())
                    .collect();
                below.sort();
                queue.extend(below.into_iter().map(|path| (path, depth + 1)));
            }
        }
        found
    }
}

/// A repository found by walking up.
struct Found {
    top: PathBuf,
    kind: FoundKind,
}

enum FoundKind {
    DotGit(PathBuf),
    GitFile(PathBuf),
    Bare,
}

/// Walks up from `path` while `allowed` until a repository is found.
fn find(path: &Path, allowed: impl Fn(&Path) -> bool) -> Result<Found> {
    let start = if path.file_name().is_some_and(|name| name == ".git") { path.parent().unwrap_or(path) } else { path };
    for dir in start.ancestors().take_while(|dir| allowed(dir)) {
        let dot_git = dir.join(".git");
        if let Ok(meta) = fs::metadata(&dot_git) {
            let kind = if meta.is_dir() { FoundKind::DotGit(dot_git) } else { FoundKind::GitFile(dot_git) };
            return Ok(Found { top: dir.to_owned(), kind });
        }
        if is_bare(dir) {
            let embedded = dir.ancestors().skip(1).take_while(|above| allowed(above)).any(|above| above.join(".git").exists());
            if embedded {
                return Err(Error::EmbeddedBare { path: dir.to_owned() });
            }
            return Ok(Found { top: dir.to_owned(), kind: FoundKind::Bare });
        }
    }
    Err(Error::NotARepository { path: path.to_owned() })
}

pub(crate) fn is_bare(dir: &Path) -> bool {
    dir.join("HEAD").is_file() && dir.join("objects").is_dir() && dir.join("refs").is_dir()
}

impl Found {
    fn resolve(self, named: bool) -> Result<Location> {
        let broken = |path: &Path| Error::NotARepository { path: path.to_owned() };
        let canonical = |path: &Path| fs::canonicalize(path).map_err(|_| broken(path));
        let (worktree, git_dir) = match &self.kind {
            FoundKind::DotGit(path) => (Some(self.top.clone()), canonical(path)?),
            FoundKind::Bare => (None, self.top.clone()),
            FoundKind::GitFile(path) => {
                let text = read_line(path).ok_or_else(|| broken(path))?;
                let target = text.strip_prefix(b"gitdir: ").ok_or_else(|| broken(path))?;
                (Some(self.top.clone()), canonical(&self.top.join(to_path(target)))?)
            }
        };
        let common_dir = match read_line(&git_dir.join("commondir")) {
            Some(line) => canonical(&git_dir.join(to_path(&line)))?,
            None => git_dir.clone(),
        };
        // If git does not recognise it as a repository, it would search further up.
        if !is_bare(&common_dir) || git_dir.join("HEAD").symlink_metadata().is_err() {
            return Err(broken(&self.top));
        }
        Ok(Location { worktree, git_dir, common_dir, trusted: named })
    }
}

/// Whether the git directory and the worktree refer to each other.
fn points_back(location: &Location) -> bool {
    let Some(worktree) = &location.worktree else { return false };
    if location.git_dir == location.common_dir {
        // A submodule's git directory points back with core.worktree, which is checked when opening.
        return worktree.join(".git").is_file();
    }
    let registered = location.git_dir.parent().is_some_and(|dir| dir == location.common_dir.join("worktrees"));
    let back = read_line(&location.git_dir.join("gitdir")).map(|line| location.git_dir.join(to_path(&line)));
    let back = back.and_then(|path| fs::canonicalize(path).ok());
    registered && back == fs::canonicalize(worktree.join(".git")).ok()
}

/// Whether `path` is a regular file of at most `limit` bytes, or absent.
fn is_regular(path: &Path, limit: u64) -> bool {
    fs::metadata(path).map_or(true, |meta| meta.is_file() && meta.len() <= limit)
}

/// The first line of the small file at `path`, which must not be a symbolic link.
pub(crate) fn read_line(path: &Path) -> Option<Vec<u8>> {
    Folder::open(&fs::canonicalize(path.parent()?).ok()?).ok()?.line(path.file_name()?)
}

/// The content of a file below the directory `dir`. Follows a symbolic link whose target is inside the roots.
pub(crate) fn read_within(dir: &Path, name: &str, kind: Kind, roots: &Roots) -> Result<Option<Vec<u8>>> {
    let open = |dir: &Path| Folder::open(dir).map_err(Error::io(format!("opening {}", dir.display())));
    let path = dir.join(name);
    let Ok(target) = fs::canonicalize(&path) else {
        return if path.is_symlink() { Err(Error::NotReadable { path, why: "is a dangling symbolic link" }) } else { Ok(None) };
    };
    let Some((parent, file)) = target.parent().zip(target.file_name()) else { return Ok(None) };
    if !target.starts_with(dir) && !roots.contains(&target) {
        return Err(Error::OutsideRoots { path: target, what: "a link inside the git directory" });
    }
    Ok(open(parent)?.read(file, kind)?)
}

/// Applies git's ownership rule, as the engine does not report why it refused.
pub(crate) fn check_owner(location: &Location) -> Result<()> {
    let user = rustix::process::geteuid().as_raw();
    // Includes the `.git` file of a linked worktree or a submodule.
    let file = location.worktree.as_ref().map(|top| top.join(".git")).filter(|file| file.is_file());
    for path in [Some(&location.git_dir), location.worktree.as_ref(), file.as_ref()].into_iter().flatten() {
        let owner = fs::symlink_metadata(path).map_err(Error::io(format!("checking {}", path.display())))?.uid();
        let sudo = (user == 0).then(|| std::env::var("SUDO_UID").ok()).flatten().and_then(|id| id.parse().ok());
        if owner != user && Some(owner) != sudo && !is_listed_safe(location.top()) {
            // git checks this path against `safe.directory`, even if another part has the wrong owner.
            return Err(Error::UnsafeOwner { path: location.top().to_owned() });
        }
    }
    Ok(())
}

fn is_listed_safe(top: &Path) -> bool {
    let Ok(global) = gix::config::File::from_globals() else { return false };
    let Ok(listed) = global.strings("safe.directory").ok_or(()) else { return false };
    let mut safe = false;
    for entry in listed {
        let entry = entry.to_string();
        safe = match entry.as_str() {
            "" => false,
            "*" => true,
            _ => safe || entry.strip_suffix("/*").map_or(Path::new(&entry) == top, |dir| top.starts_with(dir)),
        };
    }
    safe
}
