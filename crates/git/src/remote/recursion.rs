//! Submodules of a push: what `push.recurseSubmodules` asks, and their commits that no remote has.

use super::MAX_OUTPUT;
use crate::{
    cancel::Cancel,
    error::{Error, Misdirected, Result, Unpushed},
    name::Place,
    process::Mode,
    repo::Repo,
};
use gix::{ObjectId, bstr::ByteSlice};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum number of commits named for a submodule.
const MAX_COMMITS: usize = 5;
/// Options of the listing of recorded submodule commits.
const LISTING: [&str; 9] =
    ["log", "--format=", "-c", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff", "--ignore-submodules=dirty"];

impl Repo {
    /// Refuses a push of `tips` for which git would first push submodules, or refuse because of them.
    pub(super) fn check_recursion(&self, place: &Place, tips: &[ObjectId], cancel: &Cancel) -> Result<()> {
        let Some((setting, how)) = self.recursion(cancel)?.filter(|_| self.location.worktree.is_some() && !tips.is_empty()) else {
            return Ok(());
        };
        if how == "only" {
            return Err(Misdirected::OnlySubmodules { setting }.error());
        }
        let modules = self.unpushed(place, tips, cancel)?;
        if modules.is_empty() { Ok(()) } else { Err(Misdirected::SubmodulesFirst { setting, modules }.error()) }
    }

    /// The setting in force for submodules of a push, and what it asks: `check`, `on-demand` or `only`.
    fn recursion(&self, cancel: &Cancel) -> Result<Option<(String, String)>> {
        let listing = self.read(&["config", "--null", "--get-regexp", r"^(push\.recursesubmodules|submodule\.recurse)$"]);
        let (_, listed) = listing.output(cancel, MAX_OUTPUT)?;
        // For git the last one counts, whichever it is.
        let Some(last) = listed.split(|&byte| byte == 0).rfind(|entry| !entry.is_empty()) else { return Ok(None) };
        let last = last.to_str_lossy();
        // A key without a value is true.
        let (key, value) = last.split_once('\n').unwrap_or((&*last, "true"));
        let is_off = ["", "false", "no", "off", "0"].iter().any(|off| value.eq_ignore_ascii_case(off));
        Ok(match (key, value) {
            ("submodule.recurse", _) if !is_off => Some(("`submodule.recurse` is true".to_owned(), "on-demand".to_owned())),
            (_, "check" | "on-demand" | "only") => Some((format!("`push.recurseSubmodules` is `{value}`"), value.to_owned())),
            // git itself refuses any other.
            _ => None,
        })
    }

    /// The submodules with commits that commits to push record, and none of their remotes has. As for git, a submodule that is
    /// not checked out, has no remote or lacks the commits does not count.
    fn unpushed(&self, place: &Place, tips: &[ObjectId], cancel: &Cancel) -> Result<Vec<Unpushed>> {
        let known = match place {
            Place::Remote(remote) => Some(format!("--remotes={}", remote.as_str())),
            Place::Url(_) => None,
        };
        let listing = self.read(&LISTING).args(tips.iter().map(ToString::to_string)).arg("--not").args(known);
        let listing = listing.arg("--").config("log.showRoot", "true");
        let mut found = Vec::new();
        for (path, ids) in recorded(&listing.success(cancel, 256 << 20)?) {
            let Some(folder) = self.submodule_folder(&path)? else { continue };
            let inside = |args: &[&str], last: &[&str]| {
                let process = self.git.process(Mode::Read, &folder, args).inside(self.domain(Mode::Read)).may_die();
                let (ended, output) = process.args(&ids).args(last).output(cancel, MAX_OUTPUT)?;
                Ok::<_, Error>((ended.code == Some(0)).then_some(output))
            };
            let has_remote = self.git.process(Mode::Read, &folder, &["for-each-ref", "--count=1", "refs/remotes/"]);
            let (_, remotes) = has_remote.inside(self.domain(Mode::Read)).may_die().output(cancel, MAX_OUTPUT)?;
            let is_reachable = inside(&["rev-list", "--max-count=1"], &["--not", "--all"])?.is_some_and(|output| output.is_empty());
            if remotes.is_empty() || !is_reachable {
                continue;
            }
            let count = format!("--max-count={MAX_COMMITS}");
            let ahead = inside(&["rev-list", &count], &["--not", "--remotes"])?.unwrap_or_default();
            let commits: Vec<String> = ahead.lines().map(|id| id.to_str_lossy().into_owned()).collect();
            if !commits.is_empty() {
                found.push(Unpushed { path: crate::quote::listed(&path), place: folder, commits });
            }
        }
        Ok(found)
    }
}

/// The submodule commits in a raw listing, by path. A merge has a colon, a mode and an id for each of its parents.
fn recorded(listing: &[u8]) -> BTreeMap<Vec<u8>, BTreeSet<String>> {
    let mut found: BTreeMap<Vec<u8>, BTreeSet<String>> = BTreeMap::new();
    let mut fields = listing.split(|&byte| byte == 0).map(<[u8]>::trim_ascii_start);
    while let Some(field) = fields.next() {
        let parents = field.iter().take_while(|byte| **byte == b':').count();
        let Some(path) = (parents > 0).then(|| fields.next()).flatten() else { continue };
        let words: Vec<&[u8]> = field[parents..].split(|&byte| byte == b' ').collect();
        let (Some(&b"160000"), Some(id)) = (words.get(parents), words.get(2 * parents + 1)) else { continue };
        found.entry(path.to_vec()).or_default().insert(id.to_str_lossy().into_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submodule_commits_of_commits_and_merges_are_found() {
        let (one, two, three) = ("1".repeat(40), "2".repeat(40), "3".repeat(40));
        let text = format!(
            ":100644 100644 {one} {two} M\0file\0:000000 160000 {one} {two} A\0new\0:160000 000000 {one} {two} D\0gone\0\
             ::160000 160000 160000 {one} {two} {three} MM\0merged\0"
        );
        let found: Vec<(Vec<u8>, Vec<String>)> =
            recorded(text.as_bytes()).into_iter().map(|(path, ids)| (path, ids.into_iter().collect())).collect();
        assert_eq!(found, [(b"merged".to_vec(), vec![three]), (b"new".to_vec(), vec![two])]);
    }
}
