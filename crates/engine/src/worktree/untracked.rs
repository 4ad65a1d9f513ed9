//! Directories without tracked files.

use crate::{
    beneath::{EntryKind, to_path},
    error::{Error, Result},
    rules::Ignore,
    worktree::{
        folder::{Reader, Unit, is_absent},
        scan::Untracked,
    },
};
use std::{io, mem};

/// What a directory without tracked files contains.
enum Inside {
    /// Nothing, or nothing that may be read.
    Nothing,
    /// A repository of its own.
    Repository,
    /// The names that were read, and the ignore rules that apply to them.
    Names(Ignore),
}

impl Reader<'_> {
    /// Lists the untracked files of a directory, or the directory itself.
    pub(super) fn untracked(&mut self, prefix: Vec<u8>, rules: Ignore, units: &mut Vec<Unit>) -> Result<()> {
        if self.tree.untracked != Untracked::All {
            if self.has_untracked(&prefix, rules)? {
                self.found.untracked.push(prefix);
            }
            return Ok(());
        }
        let rules = match self.inside(&prefix, &rules)? {
            Inside::Nothing => return Ok(()),
            Inside::Repository => {
                // git does not list what replaces a tracked file.
                let file = prefix.strip_suffix(b"/").unwrap_or(&prefix);
                if (0..=3).all(|stage| self.tree.index.find(file, stage).is_none()) {
                    self.found.untracked.push(prefix);
                }
                return Ok(());
            }
            Inside::Names(rules) => rules,
        };
        let names = mem::take(&mut self.names);
        for (path, kind) in listed(&names, &prefix, &rules) {
            match kind {
                EntryKind::Folder => units.push(Unit::Untracked { prefix: [&path[..], b"/"].concat(), rules: rules.clone() }),
                _ => self.found.untracked.push(path),
            }
        }
        self.names = names;
        Ok(())
    }

    /// Whether there is an untracked file in the directory or below it. Reads until it finds one.
    fn has_untracked(&mut self, prefix: &[u8], rules: Ignore) -> Result<bool> {
        let mut pending = vec![(prefix.to_vec(), rules)];
        while let Some((prefix, rules)) = pending.pop() {
            self.stop.check()?;
            let rules = match self.inside(&prefix, &rules)? {
                Inside::Nothing => continue,
                Inside::Repository => return Ok(true),
                Inside::Names(rules) => rules,
            };
            for (path, kind) in listed(&self.names, &prefix, &rules) {
                match kind {
                    EntryKind::Folder => pending.push(([&path[..], b"/"].concat(), rules.clone())),
                    _ => return Ok(true),
                }
            }
        }
        Ok(false)
    }

    fn inside(&mut self, prefix: &[u8], rules: &Ignore) -> Result<Inside> {
        let mut folder = match self.open(prefix) {
            Ok(Some(folder)) => folder,
            Ok(None) => return self.unreadable(prefix),
            // Removed since its name was read.
            Err(err) if is_absent(&err) => return Ok(Inside::Nothing),
            Err(_) => return Err(Error::Unsupported("a directory that cannot be read")),
        };
        self.names.read(&mut folder)?;
        self.seen += self.names.len();
        if self.names.kind(b".git").is_some() {
            let nested = self.tree.own().inspect(&folder)?;
            if !nested.is_settled {
                self.found.unsettled.push(prefix.to_vec());
            }
            if nested.is_repository {
                return Ok(Inside::Repository);
            }
        }
        Ok(Inside::Names(self.rules_in(&folder, prefix, rules)?))
    }

    /// git warns of a directory that it may not read, and takes it for empty, unless it can see a repository in it.
    fn unreadable(&self, prefix: &[u8]) -> Result<Inside> {
        let found = self.tree.top.stat(to_path(&[prefix, b".git"].concat()));
        match found.map_err(|err| err.kind()) {
            Err(io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => Ok(Inside::Nothing),
            _ => Err(Error::Unsupported("a directory that cannot be read")),
        }
    }
}

/// The paths and kinds of the names that are not ignored. Nothing but files, links and directories is listed.
fn listed<'a>(names: &'a super::names::Names, prefix: &'a [u8], rules: &'a Ignore) -> impl Iterator<Item = (Vec<u8>, EntryKind)> {
    names.iter().filter(|(name, entry)| *name != b".git" && entry.kind != EntryKind::Other).filter_map(move |(name, entry)| {
        let path = [prefix, name].concat();
        let is_ignored = rules.verdict(name, &path, entry.kind == EntryKind::Folder) == Some(true);
        (!is_ignored).then_some((path, entry.kind))
    })
}
