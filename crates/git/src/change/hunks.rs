//! Hunks: listed with ids, and staged, unstaged or discarded by id.

use super::coming::AS_RAW;
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RelPath,
    read::filtered::NotCompared,
    repo::{Repo, lock::digest},
};
use std::collections::HashMap;

/// Maximum size of a patch that is split into hunks.
const MAX_PATCH: usize = 64 << 20;
/// The length of an id.
const ID: usize = 10;

/// The action on hunks, which also determines the listed ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HunkAction {
    /// Stages unstaged changes.
    Stage,
    /// Unstages staged changes.
    Unstage,
    /// Discards unstaged changes.
    Discard,
}

/// A hunk of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Its id, stable while the hunk's content is, wherever it moves.
    pub id: String,
    /// The file.
    pub path: RelPath,
    /// The hunk with its header line.
    pub text: Vec<u8>,
    /// The lines before the file's first hunk.
    head: Vec<u8>,
}

impl Repo {
    /// The hunks available for `action`, in `paths` or everywhere, and the files that could not be compared.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn hunks(&self, action: HunkAction, paths: &[RelPath], cancel: &Cancel) -> Result<(Vec<Hunk>, Vec<NotCompared>)> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let args = ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--unified=1", "--inter-hunk-context=0"];
        let mut process = self
            .read_worktree(&args, cancel)?
            .args(["--full-index", "--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=all", "--diff-filter=MDA"])
            .config("core.quotePath", "true")
            .config("diff.noprefix", "false")
            .config("diff.mnemonicPrefix", "false");
        if action == HunkAction::Unstage {
            process = process.arg("--cached");
        }
        let patch = process.arg("--").args(paths.iter().map(RelPath::literal)).success(cancel, MAX_PATCH)?;
        let mut hunks = split(&patch);
        // Staged content has passed its filters.
        let left = if action == HunkAction::Unstage { Vec::new() } else { self.not_compared(paths, cancel)? };
        hunks.retain(|hunk| !left.iter().any(|left| left.path == hunk.path.as_bytes()));
        Ok((hunks, left))
    }

    /// The hunks with `ids`, all of which must exist.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchHunk`].
    pub fn hunks_called(&self, ids: &[String], action: HunkAction, cancel: &Cancel) -> Result<Vec<Hunk>> {
        let (mut all, _) = self.hunks(action, &[], cancel)?;
        if let Some(unknown) = ids.iter().find(|id| !all.iter().any(|hunk| hunk.id == **id)) {
            return Err(Error::NoSuchHunk(unknown.clone()));
        }
        all.retain(|hunk| ids.contains(&hunk.id));
        Ok(all)
    }

    /// Applies `action` to `hunks`, which must be unchanged since listed.
    ///
    /// # Errors
    ///
    /// [`Error::PatchDoesNotApply`], without changes.
    pub fn apply_hunks(&self, action: HunkAction, hunks: &[Hunk], cancel: &Cancel) -> Result<()> {
        if action == HunkAction::Discard {
            self.check_filters(hunks.iter().map(|hunk| &hunk.path), cancel)?;
        }
        let patch = chosen(hunks, action != HunkAction::Stage);
        let mut args = vec!["apply", "--whitespace=nowarn"];
        args.extend(match action {
            HunkAction::Stage => &["--cached"][..],
            HunkAction::Unstage => &["--cached", "--reverse"],
            HunkAction::Discard => &["--reverse"],
        });
        let apply = || self.locked(cancel, || self.change(&args).arg("-").stdin(patch.clone()));
        let (ended, _) = if action == HunkAction::Discard {
            apply()?
        } else {
            let mut paths: Vec<RelPath> = hunks.iter().map(|hunk| hunk.path.clone()).collect();
            paths.dedup();
            self.keeping_marks(&paths, cancel, apply)?
        };
        if ended.code != Some(0) {
            return Err(Error::PatchDoesNotApply(ended.stderr.trim().to_owned()));
        }
        Ok(())
    }

    /// Makes a change of only the index with `git apply`, which drops the skip-worktree marks of these paths.
    fn keeping_marks<T>(&self, paths: &[RelPath], cancel: &Cancel, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.marks(paths, cancel)?;
        let changed = change()?;
        self.mark_again(paths, &before, cancel)?;
        Ok(changed)
    }

    /// Refuses if the filter of a file to be patched fails on its index version: git would leave the file empty.
    fn check_filters<'a>(&self, paths: impl Iterator<Item = &'a RelPath>, cancel: &Cancel) -> Result<()> {
        if self.settings.local_filters.is_empty() && self.settings.operator_filters.is_empty() && !self.settings.conditional {
            return Ok(());
        }
        let listing = self.read(&["ls-files", "-z", AS_RAW, "--"]).args(paths.map(RelPath::literal));
        self.check_complete(&Self::coming(listing, cancel)?, None, cancel)
    }

    /// The paths in a patch.
    ///
    /// # Errors
    ///
    /// [`Error::PatchDoesNotApply`] for an invalid patch.
    pub fn patched(&self, patch: &[u8], request: &ApplyRequest, cancel: &Cancel) -> Result<Vec<RelPath>> {
        let reverse = if request.reverse { &["--reverse"][..] } else { &[] };
        let listed = self.change(&["apply", "--numstat", "-z"]).args(reverse).arg("-").stdin(patch.to_vec());
        let (ended, listed) = listed.output(cancel, MAX_PATCH)?;
        if ended.code != Some(0) {
            return Err(Error::PatchDoesNotApply(ended.stderr.trim().to_owned()));
        }
        let old = patch.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b"rename from "));
        let old = old.map(|name| crate::quote::unquoted(name).unwrap_or_else(|| name.to_vec())).map(|name| crate::quote::listed(&name));
        let mut paths: Vec<RelPath> = listed
            .split(|&byte| byte == 0)
            .filter_map(|entry| entry.splitn(3, |&byte| byte == b'\t').nth(2))
            .map(|path| RelPath::new(&crate::quote::listed(path), None))
            .collect::<Result<_>>()?;
        for name in old {
            paths.push(RelPath::new(&name, None)?);
        }
        for path in &paths {
            self.check_no_link_above(path)?;
        }
        Ok(paths)
    }

    /// Applies a patch to files, the index or both; `check` only checks whether it applies.
    ///
    /// # Errors
    ///
    /// [`Error::PatchDoesNotApply`], without changes.
    pub fn apply(&self, patch: &[u8], request: &ApplyRequest, cancel: &Cancel) -> Result<Vec<RelPath>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let reverse = if request.reverse { &["--reverse"][..] } else { &[] };
        let paths = self.patched(patch, request, cancel)?;
        if !request.check && !request.cached {
            self.check_filters(paths.iter(), cancel)?;
        }
        let mut args = vec!["apply", "--whitespace=nowarn"];
        args.extend(reverse);
        for (option, wanted) in
            [("--check", request.check), ("--index", request.index), ("--cached", request.cached), ("--3way", request.three_way)]
        {
            if wanted {
                args.push(option);
            }
        }
        let apply = || self.locked(cancel, || self.change(&args).arg("-").stdin(patch.to_vec()));
        let in_index_only = request.cached && !request.check;
        let (ended, _) = if in_index_only { self.keeping_marks(&paths, cancel, apply)? } else { apply()? };
        if ended.code == Some(0) {
            return Ok(paths);
        }
        let unmerged = self.unmerged(cancel)?;
        if !unmerged.is_empty() && request.three_way {
            return Err(Error::Unmerged(unmerged.iter().map(ToString::to_string).collect()));
        }
        Err(Error::PatchDoesNotApply(ended.stderr.trim().to_owned()))
    }
}

/// Options for applying a patch.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one of git's own switches")]
pub struct ApplyRequest {
    /// Only checks.
    pub check: bool,
    /// Applies to files and the index.
    pub index: bool,
    /// Applies only to the index.
    pub cached: bool,
    /// Reverses the patch.
    pub reverse: bool,
    /// Leaves conflicts where it does not apply.
    pub three_way: bool,
}

/// Combines chosen hunks into a patch, with line numbers adjusted for the omitted ones.
///
/// git searches from the line number of the resulting side and takes the nearest match, so among repeated lines that
/// number has to be right.
fn chosen(hunks: &[Hunk], reverse: bool) -> Vec<u8> {
    let mut patch = Vec::new();
    let mut last: Option<&RelPath> = None;
    let mut shift = 0;
    for hunk in hunks {
        if last != Some(&hunk.path) {
            patch.extend_from_slice(&hunk.head);
            shift = 0;
        }
        last = Some(&hunk.path);
        let end = hunk.text.iter().position(|&byte| byte == b'\n').map_or(hunk.text.len(), |at| at + 1);
        let Some(mut range) = Ranges::read(&hunk.text[..end]) else { continue };
        let grown = range.new.1 - range.old.1;
        if reverse {
            range.old.0 = range.first_new() - shift - i64::from(range.old.1 == 0);
        } else {
            range.new.0 = range.first_old() + shift - i64::from(range.new.1 == 0);
        }
        shift += grown;
        patch.extend_from_slice(format!("@@ -{},{} +{},{} @@\n", range.old.0, range.old.1, range.new.0, range.new.1).as_bytes());
        patch.extend_from_slice(&hunk.text[end..]);
    }
    patch
}

/// Start and number of lines of a hunk, on each side.
struct Ranges {
    old: (i64, i64),
    new: (i64, i64),
}

impl Ranges {
    /// Reads `@@ -a,b +c,d @@`.
    fn read(header: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(header);
        let mut ranges = text.split(' ').skip(1);
        let range = |text: &str| -> Option<(i64, i64)> {
            let (start, count) = text.get(1..)?.split_once(',').unwrap_or((text.get(1..)?, "1"));
            Some((start.parse().ok()?, count.trim_end().parse().ok()?))
        };
        Some(Self { old: range(ranges.next()?)?, new: range(ranges.next()?)? })
    }

    /// The first line of the hunk: the header of an empty side names the line before.
    fn first_old(&self) -> i64 {
        self.old.0 + i64::from(self.old.1 == 0)
    }

    fn first_new(&self) -> i64 {
        self.new.0 + i64::from(self.new.1 == 0)
    }
}

/// Splits a patch into hunks.
fn split(whole: &[u8]) -> Vec<Hunk> {
    let mut found = Vec::new();
    let mut seen: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    let mut head = Vec::new();
    let mut path = None;
    let mut hunk: Option<Vec<u8>> = None;
    let mut left = (0_u64, 0_u64);
    let mut end = |path: &Option<RelPath>, head: &[u8], hunk: Option<Vec<u8>>| {
        let (Some(path), Some(text)) = (path, hunk) else { return };
        let body = text.iter().position(|&byte| byte == b'\n').map_or(&text[..], |at| &text[at..]);
        let key = [path.as_bytes(), b"\0", body].concat();
        seen.entry(key.clone()).or_default().push(found.len());
        found.push(Hunk { id: digest(&key), path: path.clone(), text, head: head.to_vec() });
    };
    for line in whole.split_inclusive(|&byte| byte == b'\n') {
        let inside = left != (0, 0);
        match (line.first(), inside) {
            (Some(b' ' | b'\n'), true) => left = (left.0.saturating_sub(1), left.1.saturating_sub(1)),
            (Some(b'-'), true) => left.0 = left.0.saturating_sub(1),
            (Some(b'+'), true) => left.1 = left.1.saturating_sub(1),
            (Some(b'\\'), _) => {}
            (Some(b'@'), false) => {
                end(&path, &head, hunk.take());
                left = Ranges::read(line).map_or((0, 0), |range| (range.old.1.unsigned_abs(), range.new.1.unsigned_abs()));
                hunk = Some(Vec::new());
            }
            _ => {
                end(&path, &head, hunk.take());
                if line.starts_with(b"diff --git ") {
                    head.clear();
                    path = None;
                }
                // The existing side: a deleted file has no new one.
                let name = line.strip_prefix(b"--- ").or_else(|| line.strip_prefix(b"+++ "));
                if let Some(name) = name.filter(|name| !name.starts_with(b"/dev/null")) {
                    path = named(name);
                }
                // Mode changes are not part of the hunk.
                if !line.starts_with(b"old mode ") && !line.starts_with(b"new mode ") {
                    head.extend_from_slice(line);
                }
                continue;
            }
        }
        if let Some(hunk) = &mut hunk {
            hunk.extend_from_slice(line);
        }
    }
    end(&path, &head, hunk.take());
    // Equal hunks of a file are distinguished by their order, which is stable while the file is unchanged.
    for (key, places) in seen.into_iter().filter(|(_, places)| places.len() > 1) {
        for (nth, at) in places.into_iter().enumerate() {
            found[at].id = digest(&[&key, &found[at].head, nth.to_string().as_bytes()].concat());
        }
    }
    for hunk in &mut found {
        hunk.id.truncate(ID);
    }
    found
}

fn named(name: &[u8]) -> Option<RelPath> {
    let name = name.strip_suffix(b"\n").unwrap_or(name);
    let name = name.strip_suffix(b"\t").unwrap_or(name);
    let plain = crate::quote::unquoted(name).unwrap_or_else(|| name.to_vec());
    plain.get(2..).map(RelPath::from_git)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_split_and_equal_hunks_get_distinct_ids() {
        let patch = b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n--- old\n+new\n\\ No newline at end of file\n\
            @@ -9,2 +9,3 @@ fn\n a\n+b\n c\n@@ -19,2 +20,3 @@ fn\n a\n+b\n c\n\
            diff --git \"a/\\303\\244\" \"b/\\303\\244\"\ndeleted file mode 100644\n--- \"a/\\303\\244\"\n+++ /dev/null\n@@ -1 +0,0 @@\n-q\n";
        let hunks = split(patch);
        let paths: Vec<&[u8]> = hunks.iter().map(|hunk| hunk.path.as_bytes()).collect();
        assert_eq!(paths, [&b"x"[..], b"x", b"x", "ä".as_bytes()]);
        assert!(hunks[0].text.ends_with(b"end of file\n") && hunks[0].text.starts_with(b"@@ -1 +1 @@\n--- old"));
        assert_eq!(hunks[1].text[13..], hunks[2].text[15..]);
        assert_ne!(hunks[1].id, hunks[2].id);
        // Only the last hunk: its position on the resulting side, without the earlier hunks.
        assert!(chosen(&hunks[2..3], false).ends_with(b"@@ -19,2 +19,3 @@\n a\n+b\n c\n"));
        assert!(chosen(&hunks[1..3], true).ends_with(b"@@ -19,2 +20,3 @@\n a\n+b\n c\n"));
        assert!(hunks[3].head.starts_with(b"diff --git \"a"));
    }
}
