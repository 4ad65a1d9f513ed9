//! Detects changes inside submodules.
//!
//! git would inspect them with their own configuration, which can name programs. So its inspection is disabled, and each submodule is
//! opened here like any repository below the roots: none of its programs run.

pub(crate) mod ignore;

use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Result},
    name::{RelPath, Rev},
    process::Mode,
    quote,
    read::{
        filtered::{NotCompared, Unseen},
        patch::{FilePatch, Keep, Parser, Patch},
        status::{Entry, Status},
    },
    repo::{Repo, policy::Trust},
};
use gix::{
    ObjectId,
    bstr::ByteSlice,
    config::{
        File,
        file::{Metadata, init::Options},
    },
};
use ignore::{Ignore, Reach};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
};

/// Maximum bytes of an index listing.
const MAX_LISTING: usize = 256 << 20;

/// The result of inspecting a submodule.
enum Inspection {
    /// Not checked out.
    Absent,
    Done(Box<Status>),
    /// The reason why it was not inspected.
    Skipped(&'static str),
}

/// A submodule entry of the index.
pub(crate) struct Gitlink {
    pub(crate) path: Vec<u8>,
    id: ObjectId,
    /// Whether it is in conflict, skip-worktree or assume-valid.
    odd: bool,
}

/// A submodule in `.gitmodules`: its name, its path, and the value of the requested key.
pub(crate) type GitmodulesEntry = (String, Vec<u8>, Option<String>);

/// Changes inside submodules, to add to a comparison of the working tree with the index.
#[derive(Default)]
pub(crate) struct Inside {
    /// Submodules changed inside, with the letter of `git status --short` (`m` or `?`) and the commit in the index.
    dirty: BTreeMap<Vec<u8>, (u8, ObjectId)>,
    /// The checked-out commit of each submodule that was inspected; `None` before its first.
    heads: BTreeMap<Vec<u8>, Option<ObjectId>>,
    /// Submodules to hide.
    ignored: BTreeSet<Vec<u8>>,
    not_compared: Vec<NotCompared>,
}

impl Repo {
    /// The submodules of the index.
    pub(crate) fn gitlinks(&self, cancel: &Cancel) -> Result<Vec<Gitlink>> {
        let links = self.with_engine(Mode::Read, |engine| {
            let index = self.index(engine, cancel).ok()?;
            let links = index.entries().iter().filter(|entry| entry.is_submodule()).map(|entry| Gitlink {
                path: index.path(entry).to_vec(),
                id: entry.id,
                // git reads what exists outside of a sparse working tree.
                odd: entry.flags.stage() != 0 || entry.flags.assume_valid() || entry.flags.skip_worktree() && !self.settings.status.sparse,
            });
            Some(links.collect())
        })?;
        if let Some(links) = links.flatten() {
            return Ok(links);
        }
        // The tag is `S` outside of the sparse working tree, and in lower case for an assumed state.
        let staged = self.read(&["ls-files", "--stage", "-v", "-z"]).success(cancel, MAX_LISTING)?;
        let links = staged.split(|&byte| byte == 0).filter_map(|entry| {
            let (tag, entry) = entry.split_first()?;
            let (side, path) = entry.strip_prefix(b" 160000 ")?.split_once_str("\t")?;
            let (id, stage) = side.split_once_str(" ")?;
            let odd = stage != b"0" || tag.is_ascii_lowercase() || *tag == b'S';
            Some(Gitlink { path: path.to_vec(), id: ObjectId::from_hex(id).ok()?, odd })
        });
        Ok(links.collect())
    }

    /// Changes inside the submodules below `paths`; `ignore` is the default for submodules without their own setting.
    pub(crate) fn inside_submodules(&self, paths: &[RelPath], ignore: Ignore, reach: &Reach, cancel: &Cancel) -> Result<Inside> {
        let mut inside = Inside::default();
        let is_wanted = |link: &Gitlink| !link.odd && (paths.is_empty() || paths.iter().any(|path| path.covers(&link.path)));
        let links: Vec<Gitlink> = self.gitlinks(cancel)?.into_iter().filter(is_wanted).collect();
        if links.is_empty() {
            return Ok(inside);
        }
        let configured = self.ignored_submodules(cancel)?;
        let by_default = self.settings.ignored_submodules.as_deref().and_then(Ignore::of).unwrap_or(ignore);
        for link in links {
            cancel.check()?;
            let ignore = configured.get(&link.path).copied().unwrap_or(by_default);
            if ignore == Ignore::All {
                inside.ignored.insert(link.path);
                continue;
            }
            if ignore == Ignore::Dirty {
                continue;
            }
            let (letter, why) = match self.inside_submodule(&link.path, reach, cancel) {
                Ok(Inspection::Done(status)) => {
                    inside.heads.insert(link.path.clone(), status.head.commit);
                    letter(&status, ignore)
                }
                Ok(Inspection::Absent) => (None, None),
                Ok(Inspection::Skipped(why)) => (None, Some(why.to_owned())),
                Err(err @ (Error::Cancelled | Error::TimedOut)) => return Err(err),
                Err(err) => (None, Some(err.to_string())),
            };
            if let Some(letter) = letter {
                inside.dirty.insert(link.path.clone(), (letter, link.id));
            }
            inside.not_compared.extend(why.map(|why| NotCompared { path: link.path, why: Unseen::Submodule(why) }));
        }
        Ok(inside)
    }

    /// The submodules of the index below `paths`, each with its uncommitted content: edits and untracked files.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn submodules_below(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<(RelPath, Vec<String>)>> {
        let reach = Reach::new();
        let links = self.gitlinks(cancel)?.into_iter().filter(|link| paths.iter().any(|path| path.covers(&link.path)));
        let held = |link: Gitlink| {
            let path = RelPath::from_git(&link.path);
            let named = |entry: &Entry| quote::listed(&[link.path.as_slice(), b"/", &entry.path].concat());
            let held = match self.inside_submodule(&link.path, &reach, cancel) {
                Ok(Inspection::Absent) => Vec::new(),
                Ok(Inspection::Done(status)) => status.entries.iter().map(named).collect(),
                Ok(Inspection::Skipped(why)) => vec![format!("{path} (not inspected: {why})")],
                Err(err @ (Error::Cancelled | Error::TimedOut)) => return Err(err),
                Err(err) => vec![format!("{path} (not inspected: {err})")],
            };
            Ok((path, held))
        };
        links.map(held).collect()
    }

    /// The state of the submodule at `path`.
    fn inside_submodule(&self, path: &[u8], reach: &Reach, cancel: &Cancel) -> Result<Inspection> {
        let path = RelPath::from_git(path);
        let place = self.worktree()?.join(path.as_path());
        let is_folder = place.symlink_metadata().is_ok_and(|found| found.is_dir());
        if self.check_no_link_above(&path).is_err() || !is_folder || place.join(".git").symlink_metadata().is_err() {
            return Ok(Inspection::Absent);
        }
        if reach.depth == 0 || reach.left.get() == 0 {
            return Ok(Inspection::Skipped("the submodule limit is reached; pass its path as `repo_path`"));
        }
        reach.left.set(reach.left.get() - 1);
        let mut location = self.allowed.roots.locate(&place)?;
        let place = fs::canonicalize(&place).map_err(Error::io("resolving a submodule"))?;
        if location.worktree.as_ref() != Some(&place) {
            return Ok(Inspection::Skipped("its directory is not a working tree"));
        }
        // A git directory elsewhere was not created by this repository.
        let is_own = location.git_dir.starts_with(&place) || location.git_dir.starts_with(&self.location.common_dir);
        if !is_own && !location.trusted {
            return Ok(Inspection::Skipped("its git directory is outside both it and the enclosing repository's"));
        }
        location.trusted &= self.allowed.policy.trust == Trust::Owner;
        let inside = Self::open(Arc::clone(&self.git), location, Arc::clone(&self.allowed))?;
        let deeper = reach.deeper();
        let status = inside.status_reaching(&deeper, cancel);
        reach.left.set(deeper.left.get());
        let (status, _) = status?;
        inside.check_in_place()?;
        Ok(Inspection::Done(Box::new(status)))
    }

    /// The `ignore` setting of each submodule that has one, by path.
    fn ignored_submodules(&self, cancel: &Cancel) -> Result<BTreeMap<Vec<u8>, Ignore>> {
        let said = |name: &String, word: Option<String>| Ignore::of(self.settings.submodules_ignore.get(name).cloned().or(word)?.as_str());
        Ok(self.gitmodules("ignore", cancel)?.into_iter().filter_map(|(name, path, word)| Some((path, said(&name, word)?))).collect())
    }

    /// The submodules in `.gitmodules` by name and path, each with its value of `key`.
    pub(crate) fn gitmodules(&self, key: &str, cancel: &Cancel) -> Result<Vec<GitmodulesEntry>> {
        let text = match self.worktree_folder()?.read(".gitmodules", Kind::Rules) {
            Ok(Some(text)) => text,
            // As git, use the staged file if there is none in the working tree, or else the committed one.
            Ok(None) => {
                let blob = |name| {
                    let (ended, text) = self.read(&["cat-file", "blob", name]).may_die().output(cancel, 1 << 20)?;
                    Ok::<_, Error>((ended.code == Some(0)).then_some(text))
                };
                blob(":.gitmodules")?.map_or_else(|| blob("HEAD:.gitmodules"), |text| Ok(Some(text)))?.unwrap_or_default()
            }
            Err(_) => return Ok(Vec::new()),
        };
        let Ok(file) = File::from_bytes_no_includes(&text, Metadata::api(), Options::default()) else { return Ok(Vec::new()) };
        let (mut paths, mut words) = (BTreeMap::new(), BTreeMap::new());
        for section in file.sections_by_name("submodule").into_iter().flatten() {
            let Some(name) = section.header().subsection_name().map(ToString::to_string) else { continue };
            if let Some(path) = section.body().value("path") {
                paths.insert(name.clone(), path.to_vec());
            }
            if let Some(word) = section.body().value(key) {
                words.insert(name, word.to_string());
            }
        }
        Ok(paths.into_iter().map(|(name, path)| (name.clone(), path, words.remove(&name))).collect())
    }

    /// Embedded repositories below `paths` that are staged but are not submodules.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn embedded(&self, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<RelPath>> {
        let links: Vec<Gitlink> =
            self.gitlinks(cancel)?.into_iter().filter(|link| paths.iter().any(|path| path.covers(&link.path))).collect();
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let named: BTreeSet<Vec<u8>> = self.gitmodules("url", cancel)?.into_iter().map(|(_, path, _)| path).collect();
        let links = links.into_iter().filter(|link| !named.contains(&link.path)).map(|link| RelPath::from_git(&link.path));
        let is_new = |path: &RelPath| match self.resolve_path(&Rev::head(), path, cancel) {
            Err(Error::Submodule { .. }) => Ok(false),
            Ok(_) | Err(Error::NoSuchPath { .. } | Error::UnknownRevision(_)) => Ok(true),
            Err(err) => Err(err),
        };
        links.filter_map(|path| is_new(&path).map(|new| new.then_some(path)).transpose()).collect()
    }

    /// Whether a submodule may be configured to hide changes of its commit.
    pub(crate) fn may_hide_submodules(&self) -> bool {
        let text = self.worktree_folder().and_then(|top| Ok(top.read(".gitmodules", Kind::Rules)?));
        !self.settings.submodules_ignore.is_empty() || !text.is_ok_and(|text| text.is_none_or(|text| !text.contains_str("ignore")))
    }
}

/// The status letter of a submodule in this state, and why it may be incomplete.
fn letter(status: &Status, ignore: Ignore) -> (Option<u8>, Option<String>) {
    let is_untracked = |entry: &Entry| entry.worktree == b'?' && matches!(entry.index, b'?' | b' ');
    if status.entries.iter().any(|entry| !is_untracked(entry)) {
        return (Some(b'm'), None);
    }
    let why = status.not_compared.first().map(|left| match &left.why {
        Unseen::Filter(filter) => format!("reads do not run its filter {filter}"),
        Unseen::Submodule(why) => format!("{} in it: {why}", quote::listed(&left.path)),
    });
    ((ignore == Ignore::Nothing && !status.entries.is_empty()).then_some(b'?'), why)
}

impl Inside {
    /// Marks the submodules whose commit is not the one in the index. False if one of them was not inspected.
    pub(crate) fn compare_commits(&self, links: &[(Vec<u8>, ObjectId)], status: &mut Status) -> bool {
        links.iter().all(|(path, id)| {
            let Some(head) = self.heads.get(path) else { return false };
            if head.is_some_and(|head| head != *id) {
                match status.entries.iter_mut().find(|entry| entry.path == *path && entry.index != b'?') {
                    Some(entry) => entry.worktree = b'M',
                    None => status.entries.push(Entry { index: b' ', worktree: b'M', path: path.clone(), from: None }),
                }
            }
            true
        })
    }

    /// Adds the changes to a status of the outer repository.
    pub(crate) fn add_to_status(self, status: &mut Status) {
        for entry in &mut status.entries {
            if matches!(entry.worktree, b'M' | b'D') && entry.index != b'U' && self.ignored.contains(&entry.path) {
                entry.worktree = b' ';
            }
        }
        status.entries.retain(|entry| entry.index != b' ' || entry.worktree != b' ');
        for (path, (letter, _)) in self.dirty {
            match status.entries.iter_mut().find(|entry| entry.path == path && entry.index != b'?') {
                Some(entry) if entry.worktree == b' ' => entry.worktree = letter,
                Some(_) => {}
                None => status.entries.push(Entry { index: b' ', worktree: letter, path, from: None }),
            }
        }
        status.not_compared.extend(self.not_compared);
    }

    /// Removes the submodules below `paths`.
    pub(crate) fn exclude_paths(&mut self, paths: &[RelPath]) {
        let is_kept = |path: &[u8]| !paths.iter().any(|not| not.covers(path));
        self.dirty.retain(|path, _| is_kept(path));
        self.not_compared.retain(|left| is_kept(&left.path));
    }

    /// The submodules to mark as `-dirty` in a patch.
    pub(crate) fn dirty(&self) -> BTreeSet<Vec<u8>> {
        self.dirty.keys().cloned().collect()
    }

    /// Adds submodules changed only inside to a patch, and removes the hidden ones.
    pub(crate) fn add_to_patch(self, patch: &mut Patch, keep: Keep, naming: &Naming<'_>) {
        patch.files.retain(|file| !self.ignored.contains(&file.path));
        for (path, (_, id)) in self.dirty {
            let at = patch.files.partition_point(|file| file.path < path);
            let is_beyond = patch.truncated && at == patch.files.len();
            let known = patch.files.iter().position(|file| file.path == path);
            match known.map(|at| &mut patch.files[at]) {
                // Renamed, at the recorded commit.
                Some(file) if file.hunks.is_empty() && file.kind == 'R' && file.is_whole() => {
                    let name = &naming.header(&file.old_path, &path);
                    let text = [&file.text, &name[name.find_byte(b'\n').map_or(0, |end| end + 1)..], &hunk(id)].concat();
                    *file = FilePatch { text, ..file.clone() };
                    (file.size, file.added, file.removed) = (file.text.len() as u64, 1, 1);
                    file.hunks.push(file.text.len() - hunk(id).len());
                }
                Some(_) => {}
                None if is_beyond => {}
                None => {
                    let mut parser = Parser::new(keep);
                    parser.push(&[naming.header(&path, &path), hunk(id)].concat());
                    drop(patch.files.splice(at..at, parser.finish().files));
                }
            }
        }
        patch.not_compared.extend(self.not_compared);
    }
}

/// How paths are written in a patch.
pub(crate) struct Naming<'a> {
    /// The prefixes of the old and the new side.
    pub(crate) prefixes: [&'a str; 2],
    /// The value of `core.quotePath`.
    pub(crate) ascii: bool,
}

impl Naming<'_> {
    /// The header lines for a submodule whose commit is unchanged.
    fn header(&self, old: &[u8], new: &[u8]) -> Vec<u8> {
        let name = |side: usize, path: &[u8]| quote::quoted(self.prefixes[side].as_bytes(), path, self.ascii);
        let end = |path: &[u8]| if path.contains(&b' ') { &b"\t\n"[..] } else { b"\n" };
        let (one, two) = (name(0, old), name(1, new));
        let parts: [&[u8]; 10] = [b"diff --git ", &one, b" ", &two, b"\n--- ", &one, end(old), b"+++ ", &two, end(new)];
        parts.concat()
    }
}

/// The hunk of a submodule changed inside, at this commit.
fn hunk(id: ObjectId) -> Vec<u8> {
    format!("@@ -1 +1 @@\n-Subproject commit {id}\n+Subproject commit {id}-dirty\n").into_bytes()
}
