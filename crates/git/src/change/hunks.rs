//! Single hunks: listed with an id each, then staged, unstaged or discarded by it.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    lock::digest,
    name::RelPath,
    repo::Repo,
};
use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt};

/// The largest patch that hunks are taken from.
const MAX_PATCH: usize = 64 << 20;
/// The length of an id.
const ID: usize = 10;

/// What is done with hunks, and so which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HunkAction {
    /// Moves what is in a file alone into the index.
    Stage,
    /// Takes what is staged out of the index.
    Unstage,
    /// Takes what is in a file alone out of it.
    Discard,
}

/// A hunk of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Stays the same while the hunk does, wherever it moves to.
    pub id: String,
    /// The file.
    pub path: RelPath,
    /// The hunk with its header line.
    pub text: Vec<u8>,
    /// The lines before the file's first hunk.
    head: Vec<u8>,
}

impl Repo {
    /// The hunks that `action` could be done with, in `paths` or everywhere.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn hunks(&self, action: HunkAction, paths: &[RelPath], cancel: &Cancel) -> Result<Vec<Hunk>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let mut process = self
            .change(&[
                "diff",
                "--no-ext-diff",
                "--no-textconv",
                "--no-color",
                "--no-renames",
                "--unified=1",
                "--inter-hunk-context=0",
                "--full-index",
            ])
            .args(["--src-prefix=a/", "--dst-prefix=b/", "--ignore-submodules=all", "--diff-filter=MDA"])
            .config("core.quotePath", "true")
            .config("diff.noprefix", "false")
            .config("diff.mnemonicPrefix", "false");
        if action == HunkAction::Unstage {
            process = process.arg("--cached");
        }
        let patch = process.arg("--").args(paths.iter().map(|path| OsStr::from_bytes(path.pathspec()))).success(cancel, MAX_PATCH)?;
        Ok(split(&patch))
    }

    /// The hunks called `ids`, all of which must be there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchHunk`].
    pub fn hunks_called(&self, ids: &[String], action: HunkAction, cancel: &Cancel) -> Result<Vec<Hunk>> {
        let mut all = self.hunks(action, &[], cancel)?;
        if let Some(unknown) = ids.iter().find(|id| !all.iter().any(|hunk| hunk.id == **id)) {
            return Err(Error::NoSuchHunk(unknown.clone()));
        }
        all.retain(|hunk| ids.contains(&hunk.id));
        Ok(all)
    }

    /// Does `action` with `hunks`, which are as they were just listed.
    ///
    /// # Errors
    ///
    /// [`Error::PatchDoesNotApply`]; nothing is done then.
    pub fn apply_hunks(&self, action: HunkAction, hunks: &[Hunk], cancel: &Cancel) -> Result<()> {
        let mut patch = Vec::new();
        let mut last: Option<&RelPath> = None;
        for hunk in hunks {
            if last != Some(&hunk.path) {
                patch.extend_from_slice(&hunk.head);
            }
            last = Some(&hunk.path);
            patch.extend_from_slice(&hunk.text);
        }
        let mut args = vec!["apply", "--whitespace=nowarn", "--recount"];
        args.extend(match action {
            HunkAction::Stage => &["--cached"][..],
            HunkAction::Unstage => &["--cached", "--reverse"],
            HunkAction::Discard => &["--reverse"],
        });
        let (ended, _) = self.locked(cancel, || self.change(&args).arg("-").stdin(patch.clone()))?;
        if ended.code != Some(0) {
            return Err(Error::PatchDoesNotApply(ended.stderr.trim().to_owned()));
        }
        Ok(())
    }

    /// Applies a patch to files, to the index, or to both; `check` only looks whether it fits.
    ///
    /// # Errors
    ///
    /// [`Error::PatchDoesNotApply`], and nothing has changed then.
    pub fn apply(&self, patch: &[u8], request: &ApplyRequest, cancel: &Cancel) -> Result<Vec<RelPath>> {
        self.worktree()?;
        self.check_trust(cancel)?;
        let reverse = if request.reverse { &["--reverse"][..] } else { &[] };
        let listed = self.change(&["apply", "--numstat", "-z"]).args(reverse).arg("-").stdin(patch.to_vec());
        let (ended, listed) = listed.output(cancel, MAX_PATCH)?;
        if ended.code != Some(0) {
            return Err(Error::PatchDoesNotApply(ended.stderr.trim().to_owned()));
        }
        let paths: Vec<RelPath> = listed
            .split(|&byte| byte == 0)
            .filter_map(|entry| entry.splitn(3, |&byte| byte == b'\t').nth(2))
            .map(|path| RelPath::new(&crate::quote::listed(path), None))
            .collect::<Result<_>>()?;
        for path in &paths {
            self.check_no_link_above(path)?;
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
        let (ended, _) = self.locked(cancel, || self.change(&args).arg("-").stdin(patch.to_vec()))?;
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

/// How a patch is applied.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one of git's own switches")]
pub struct ApplyRequest {
    /// Only looks.
    pub check: bool,
    /// To files and to the index.
    pub index: bool,
    /// To the index alone.
    pub cached: bool,
    /// Takes the patch back.
    pub reverse: bool,
    /// Leaves conflicts where it does not fit.
    pub three_way: bool,
}

/// Takes a patch apart.
fn split(whole: &[u8]) -> Vec<Hunk> {
    let mut found = Vec::new();
    let mut seen: HashMap<Vec<u8>, u32> = HashMap::new();
    let mut head = Vec::new();
    let mut path = None;
    let mut hunk: Option<Vec<u8>> = None;
    let mut left = (0_u64, 0_u64);
    let mut end = |path: &Option<RelPath>, head: &[u8], hunk: Option<Vec<u8>>| {
        let (Some(path), Some(text)) = (path, hunk) else { return };
        let body = text.iter().position(|&byte| byte == b'\n').map_or(&text[..], |at| &text[at..]);
        let key = [path.as_bytes(), b"\0", body].concat();
        let nth = seen.entry(key.clone()).or_insert(0);
        let id = digest(&[key.as_slice(), nth.to_string().as_bytes()].concat());
        *nth += 1;
        found.push(Hunk { id: id[..ID.min(id.len())].to_owned(), path: path.clone(), text, head: head.to_vec() });
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
                left = counts(line).unwrap_or_default();
                hunk = Some(Vec::new());
            }
            _ => {
                end(&path, &head, hunk.take());
                if line.starts_with(b"diff --git ") {
                    head.clear();
                    path = None;
                }
                // The side that there is: a deleted file has none after.
                let name = line.strip_prefix(b"--- ").or_else(|| line.strip_prefix(b"+++ "));
                if let Some(name) = name.filter(|name| !name.starts_with(b"/dev/null")) {
                    path = named(name);
                }
                head.extend_from_slice(line);
                continue;
            }
        }
        if let Some(hunk) = &mut hunk {
            hunk.extend_from_slice(line);
        }
    }
    end(&path, &head, hunk.take());
    found
}

fn named(name: &[u8]) -> Option<RelPath> {
    let name = name.strip_suffix(b"\n").unwrap_or(name);
    let name = name.strip_suffix(b"\t").unwrap_or(name);
    let plain = crate::quote::unquoted(name).unwrap_or_else(|| name.to_vec());
    plain.get(2..).map(RelPath::from_git)
}

/// The lines on each side, from `@@ -a,b +c,d @@`.
fn counts(header: &[u8]) -> Option<(u64, u64)> {
    let text = String::from_utf8_lossy(header);
    let mut ranges = text.split(' ').skip(1);
    let count = |range: &str| range.split_once(',').map_or(Some(1), |(_, count)| count.parse().ok());
    Some((count(ranges.next()?)?, count(ranges.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_is_taken_apart_and_equal_hunks_have_ids_of_their_own() {
        let patch = b"diff --git a/x b/x\nindex 1..2 100644\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n--- old\n+new\n\\ No newline at end of file\n\
            @@ -9,2 +9,3 @@ fn\n a\n+b\n c\n@@ -19,2 +20,3 @@ fn\n a\n+b\n c\n\
            diff --git \"a/\\303\\244\" \"b/\\303\\244\"\ndeleted file mode 100644\n--- \"a/\\303\\244\"\n+++ /dev/null\n@@ -1 +0,0 @@\n-q\n";
        let hunks = split(patch);
        let paths: Vec<&[u8]> = hunks.iter().map(|hunk| hunk.path.as_bytes()).collect();
        assert_eq!(paths, [&b"x"[..], b"x", b"x", "ä".as_bytes()]);
        assert!(hunks[0].text.ends_with(b"end of file\n") && hunks[0].text.starts_with(b"@@ -1 +1 @@\n--- old"));
        assert_eq!(hunks[1].text[13..], hunks[2].text[15..]);
        assert_ne!(hunks[1].id, hunks[2].id);
        assert!(hunks[3].head.starts_with(b"diff --git \"a"));
    }
}
