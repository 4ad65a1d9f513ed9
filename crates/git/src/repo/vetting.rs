//! Checks of a repository before a change, for settings and files that git would act on unconditionally.

use crate::{
    beneath::{Folder, Kind, to_path},
    cancel::Cancel,
    error::{Error, Result},
    process::Mode,
    repo::{Repo, harmless::is_harmless, index_file::index_now, roots::Location, settings::Settings},
};
use gix::bstr::ByteSlice;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Maximum number of git directory entries checked.
const MAX_ENTRIES: usize = 200_000;
/// Maximum size of a reflog. git reads it whole.
const MAX_LOG: u64 = 64 << 20;
/// Maximum number of submodules.
const MAX_MODULES: usize = 1_000;
/// Maximum bytes of a configuration listing.
const MAX_SETTINGS: usize = 4 << 20;
/// Maximum nesting depth of submodules.
const MAX_DEPTH: usize = 12;

impl Repo {
    /// Refuses to change a repository that could make git run an untrusted program or write outside the roots.
    ///
    /// # Errors
    ///
    /// [`Error::Untrusted`], [`Error::OutsideRoots`].
    pub fn check_changeable(&self, cancel: &Cancel) -> Result<()> {
        if !self.location.trusted {
            if self.settings.conditional {
                return Err(self.untrusted("included configuration"));
            }
            self.check_settings(cancel)?;
            self.check_pointers(cancel)?;
            self.check_sandbox()?;
            self.check_links(cancel)?;
            self.check_operator_filters(cancel)?;
        }
        self.check_modules(false, cancel)
    }

    /// Refuses a setting of the repository's own configuration that is not known to be harmless. git lists them, as
    /// another parser might read the file differently.
    fn check_settings(&self, cancel: &Cancel) -> Result<()> {
        let key = if let Some(known) = self.unknown_setting.get() {
            known.clone()
        } else {
            let list = ["config", "--null", "--no-includes", "--show-scope", "--list"];
            let unknown = first_unknown(&self.read(&list).success(cancel, MAX_SETTINGS)?);
            self.unknown_setting.get_or_init(|| unknown).clone()
        };
        key.map_or(Ok(()), |key| Err(Error::UntrustedSetting { path: self.top().to_owned(), key }))
    }

    /// Refuses attributes of the repository that name an operator's filter: it could not start in the sandbox, and git
    /// would store unfiltered content.
    fn check_operator_filters(&self, cancel: &Cancel) -> Result<()> {
        if self.settings.operator_filters.is_empty() {
            return Ok(());
        }
        let named = self.with_engine(Mode::Read, |engine| index_now(engine).map(|index| self.attributes_name_filters(&index)))?;
        cancel.check()?;
        if named.transpose()? == Some(false) {
            return Ok(());
        }
        let filter = self.settings.operator_filters.first().cloned().unwrap_or_default();
        Err(self.untrusted(&format!("filter `{filter}`, which the operator's configuration defines,")))
    }

    /// Refuses a hook that git runs before it reads `core.hooksPath`, if hooks must not run.
    pub(crate) fn check_early_hook(&self) -> Result<()> {
        let may_run = self.location.trusted && self.allowed.policy.hooks;
        let hook = self.location.common_dir.join("hooks/reference-transaction");
        if may_run || hook.symlink_metadata().is_err() { Ok(()) } else { Err(self.untrusted("hook `reference-transaction`")) }
    }

    /// Refuses symbolic references where git expects and writes a direct one, as it would move their target branch; and
    /// remotes defined in legacy files, which also define what they update.
    fn check_pointers(&self, cancel: &Cancel) -> Result<()> {
        let Location { git_dir, common_dir, .. } = &self.location;
        let mut queue = vec![git_dir.join("ORIG_HEAD"), common_dir.join("refs/stash"), common_dir.join("refs/notes")];
        let mut seen = 0;
        while let Some(path) = queue.pop() {
            cancel.check()?;
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(too_large(seen));
            }
            // Do not follow symbolic links: they may form a cycle or lead outside.
            let Ok(found) = path.symlink_metadata() else { continue };
            if found.is_dir() {
                queue.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
                continue;
            }
            let line = || Folder::open(path.parent().unwrap_or(&path)).ok()?.line(path.file_name().unwrap_or_default());
            if found.is_symlink() || line().is_some_and(|line| line.starts_with(b"ref:")) {
                return Err(Error::NotReadable { path, why: "is a symbolic ref where git expects a direct one" });
            }
        }
        for name in ["remotes", "branches"] {
            let defined = fs::read_dir(common_dir.join(name)).ok().and_then(|entries| entries.flatten().next());
            if let Some(entry) = defined {
                return Err(Error::NotReadable { path: entry.path(), why: "defines a remote outside of the configuration" });
            }
        }
        Ok(())
    }

    /// Refuses symbolic links in the git directory that lead outside the roots: git would write through them.
    pub(crate) fn check_links(&self, cancel: &Cancel) -> Result<()> {
        let mut queue = vec![self.location.common_dir.clone()];
        if self.location.git_dir != self.location.common_dir {
            queue.push(self.location.git_dir.clone());
        }
        let objects = self.location.common_dir.join("objects");
        let mut seen = 0;
        while let Some(dir) = queue.pop() {
            cancel.check()?;
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                seen += 1;
                let Ok(kind) = entry.file_type() else { continue };
                let path = entry.path();
                if kind.is_dir() && path != objects {
                    queue.push(path);
                } else if kind.is_symlink() {
                    let target = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                    let inside = target != path && (target.starts_with(&self.location.common_dir) || self.allowed.roots.contains(&target));
                    if !inside {
                        return Err(Error::OutsideRoots { path, what: "a link inside the git directory" });
                    }
                }
            }
            if seen > MAX_ENTRIES {
                return Err(too_large(seen));
            }
        }
        Ok(())
    }

    /// Refuses an untrusted submodule that configures programs: git runs inside it with its configuration. For
    /// transfers, also refuses settings that affect how remotes are contacted.
    pub(crate) fn check_modules(&self, remotes: bool, cancel: &Cancel) -> Result<()> {
        // Includes submodules not checked out yet.
        let found = if remotes { module_dirs(&self.location.common_dir.join("modules")) } else { Vec::new() };
        let mut found: Vec<(PathBuf, PathBuf)> = found.into_iter().map(|dir| (dir.clone(), dir)).collect();
        if let Some(worktree) = &self.location.worktree {
            for link in self.gitlinks(cancel)? {
                let place = worktree.join(to_path(&link.path));
                let named = fs::canonicalize(&place).is_ok_and(|place| self.allowed.roots.named().contains(&place));
                if !named {
                    found.extend(git_dir_of(&place).map(|dir| (dir, place)));
                }
            }
        }
        for (dir, path) in found.into_iter().take(MAX_MODULES) {
            cancel.check()?;
            let dir = fs::canonicalize(&dir).unwrap_or(dir);
            let inside = Location { worktree: None, git_dir: dir.clone(), common_dir: dir.clone(), trusted: false };
            let settings = Settings::read(&inside, &self.allowed.roots)?;
            let hook = dir.join("hooks/post-index-change");
            let program = if settings.conditional {
                Some("included configuration".to_owned())
            } else if let Some(filter) = settings.local_filters.first() {
                Some(format!("filter `{filter}`"))
            } else if settings.local_fsmonitor {
                Some("fsmonitor".to_owned())
            } else if fs::metadata(&hook).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0) {
                Some("hook `post-index-change`".to_owned())
            } else {
                settings.local_transport.first().filter(|_| remotes).map(|key| format!("setting `{key}`"))
            };
            if let Some(program) = program {
                return Err(Error::Untrusted { path, program });
            }
        }
        Ok(())
    }

    fn untrusted(&self, program: &str) -> Error {
        Error::Untrusted { path: self.top().to_owned(), program: program.to_owned() }
    }
}

/// The git directories of submodules, which lie below `dir`.
pub(crate) fn module_dirs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    modules_below(dir, 0, &mut found);
    found
}

fn modules_below(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if depth > MAX_DEPTH || found.len() >= MAX_MODULES {
        return;
    }
    if dir.join("HEAD").symlink_metadata().is_ok() {
        found.push(dir.to_owned());
        return modules_below(&dir.join("modules"), depth + 1, found);
    }
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            modules_below(&entry.path(), depth + 1, found);
        }
    }
}

fn too_large(seen: usize) -> Error {
    Error::TooLarge { what: "the git directory".to_owned(), size: seen as u64, unit: "entries large", limit: MAX_ENTRIES as u64 }
}

/// The git directory of the repository whose working tree is at `place`.
fn git_dir_of(place: &Path) -> Option<PathBuf> {
    let dot_git = place.join(".git");
    if dot_git.is_dir() {
        return Some(dot_git);
    }
    let line = crate::repo::roots::read_line(&dot_git)?;
    let target = line.strip_prefix(b"gitdir: ")?;
    let target = place.join(to_path(target));
    target.is_dir().then_some(target)
}

/// Refuses a git directory with files that would block or never end when read: a pipe, a device, a terabyte-sized
/// reference.
pub(crate) fn check_shape(location: &Location) -> Result<()> {
    let mut queue = vec![location.common_dir.clone()];
    if !location.git_dir.starts_with(&location.common_dir) {
        queue.push(location.git_dir.clone());
    }
    let refs = location.common_dir.join("refs");
    let logs = [location.common_dir.join("logs"), location.git_dir.join("logs")];
    let mut seen = 0;
    while let Some(dir) = queue.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        let is_refs = dir.starts_with(&refs);
        let is_logs = logs.iter().any(|logs| dir.starts_with(logs));
        for entry in entries.flatten() {
            seen += 1;
            if seen > MAX_ENTRIES {
                // Further entries are not checked here; reads still apply the limit of each kind.
                return Ok(());
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                queue.push(entry.path());
            } else if !kind.is_file() && !kind.is_symlink() {
                return Err(Error::NotReadable { path: entry.path(), why: "is neither a file nor a directory" });
            } else if is_refs && entry.metadata().is_ok_and(|meta| meta.len() > Kind::Line.limit()) {
                return Err(Error::NotReadable { path: entry.path(), why: "exceeds the size limit of a reference" });
            } else if is_logs && entry.metadata().is_ok_and(|meta| meta.len() > MAX_LOG) {
                return Err(Error::NotReadable { path: entry.path(), why: "exceeds the size limit of a reflog" });
            }
        }
    }
    Ok(())
}

/// The first setting of a repository in `git config --null --show-scope --list` that is not known to be harmless.
fn first_unknown(listed: &[u8]) -> Option<String> {
    let mut fields = listed.split(|&byte| byte == 0);
    while let (Some(scope), Some(entry)) = (fields.next(), fields.next()) {
        // A key without a value is true.
        let (key, value) = entry.split_once_str("\n").unwrap_or((entry, b"true"));
        let key = key.to_str_lossy();
        let Some(((section, rest), (_, name))) = key.split_once('.').zip(key.rsplit_once('.')) else { continue };
        let subsection = rest.strip_suffix(name).and_then(|rest| rest.strip_suffix('.'));
        if matches!(scope, b"local" | b"worktree") && !is_harmless(section, subsection, name, value) {
            return Some(key.into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_unknown_setting_is_found_in_gits_listing() {
        let listed = |entries: &[(&str, &str)]| {
            entries.iter().flat_map(|(scope, entry)| format!("{scope}\0{entry}\0").into_bytes()).collect::<Vec<_>>()
        };
        let fine = [
            ("global", "alias.x\n!y"),
            ("command", "core.pager\ncat"),
            ("local", "core.bare\nfalse"),
            ("local", "remote.a.b.url\nhttps://h/x"),
        ];
        assert_eq!(first_unknown(&listed(&fine)), None);
        for (entry, key) in [
            ("alias.x\n!y", "alias.x"),
            ("filter.a.b.clean\nx", "filter.a.b.clean"),
            ("include.path\n../x", "include.path"),
            ("core.fsmonitor", "core.fsmonitor"),
        ] {
            for scope in ["local", "worktree"] {
                let found = first_unknown(&listed(&[fine.as_slice(), &[(scope, entry)]].concat()));
                assert_eq!(found.as_deref(), Some(key));
            }
        }
    }
}
