//! Fetches.

use super::transfer;
use crate::{
    beneath::Kind,
    cancel::Cancel,
    error::{Error, Misdirected, Result},
    name::{BranchName, Place, RemoteName, Rev},
    process::progress::OnProgress,
    repo::{Repo, reachable::Direction},
};
use gix::{ObjectId, bstr::ByteSlice};
use std::collections::{BTreeMap, BTreeSet};

/// References to fetch.
#[derive(Clone, Debug, Default)]
pub struct FetchRequest {
    /// The remote; that of the upstream, or `origin`, when absent.
    pub remote: Option<RemoteName>,
    /// Only this branch.
    pub branch: Option<BranchName>,
    /// Deletes remote-tracking branches that no longer exist on the remote.
    pub prune: bool,
    /// All tags, too.
    pub tags: bool,
    /// The maximum depth of history, in commits; 0 unshallows a shallow clone.
    pub depth: Option<u32>,
}

/// The result of a fetch.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The remote.
    pub place: Place,
    /// The updated references.
    pub updates: Vec<Update>,
    /// If the shallow boundary changed: whether history is deeper now, and the number of boundary commits.
    pub depth: Option<(bool, usize)>,
}

/// The result of updating a local or remote reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// As in git's listings: ` ` fast-forwarded, `+` forced, `-` deleted, `*` or `t` new, `!` refused, `=` up to date.
    pub sign: char,
    /// The full name of the reference: local for a fetch, remote for a push.
    pub name: String,
    /// The old and the new value, or git's summary.
    pub summary: String,
    /// The URL, if a push goes to several URLs.
    pub place: Option<String>,
}

impl Repo {
    /// Fetches from a remote.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`], [`Error::ProtocolOff`], [`Error::PrivateAddress`], [`Error::Http`], [`Error::Failed`].
    pub fn fetch(&self, request: &FetchRequest, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Fetched> {
        let place = request.remote.clone().map_or_else(|| self.default_fetch_place(cancel), |remote| Ok(Place::Remote(remote)))?;
        let mut route = self.route(&place, Direction::Fetch, cancel)?;
        route.repeatable = true;
        let porcelain = self.git.version()?.number >= (2, 41);
        let mut process = self.change(&["fetch", "--progress", "--no-recurse-submodules", "--no-auto-maintenance"]);
        for (option, wanted) in [("--porcelain", porcelain), ("--prune", request.prune), ("--tags", request.tags)] {
            if wanted {
                process = process.arg(option);
            }
        }
        let boundary = self.boundary()?;
        if let Some(depth) = request.depth.filter(|depth| *depth > 0 || !boundary.is_empty()) {
            process = process.arg(if depth == 0 { "--unshallow".to_owned() } else { format!("--depth={depth}") });
        }
        // Fetched deltas may need objects that this partial clone omits.
        let mut wider = route.clone();
        if self.location.trusted && self.is_partial() && self.admit_promisors(&mut wider, cancel).is_ok() {
            route = wider;
            process = process.lazy();
        }
        process = process.arg("--").arg(place.as_str());
        if let Some(branch) = &request.branch {
            process = process.arg(branch.full());
        }
        // git before 2.41 has no porcelain output for fetch.
        let before = if porcelain { BTreeMap::new() } else { self.followed(cancel)? };
        let (ended, output) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        let updates = if porcelain { fetched(&output) } else { differences(&before, &self.followed(cancel)?) };
        let refused: Vec<(String, String)> =
            updates.iter().filter(|update| update.sign == '!').map(|update| (update.name.clone(), update.summary.clone())).collect();
        if !refused.is_empty() {
            let moved = updates.iter().filter(|update| !matches!(update.sign, '!' | '='));
            let moved: String =
                moved.fold(String::new(), |all, update| format!("{all}\nupdated despite the failure: {} {}", update.name, update.summary));
            return Err(Error::Rejected { refs: refused, said: format!("{}{moved}", ended.stderr.trim()), push: false });
        }
        if let Err(err) = ended.require("fetch") {
            let absent = request.branch.as_ref().map(|branch| self.not_there(&place, branch, on_progress, cancel));
            return Err(absent.and_then(|absent| absent.ok().flatten()).unwrap_or(err));
        }
        let now = self.boundary()?;
        let depth = (now != boundary)
            .then(|| Ok::<_, Error>((!boundary.is_empty() && self.is_deeper_than(&boundary, cancel)?, now.len())))
            .transpose()?;
        Ok(Fetched { place, updates, depth })
    }

    /// The error for a missing branch, if the remote lists its references and has none of that name.
    fn not_there(&self, place: &Place, branch: &BranchName, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Option<Error>> {
        let listed = self.refs_at(place, &[], on_progress, cancel)?;
        let names: Vec<String> = listed.into_iter().map(|reference| reference.name).collect();
        Ok(absent(branch, place, &names))
    }

    /// Remote-tracking branches and tags.
    fn followed(&self, cancel: &Cancel) -> Result<BTreeMap<String, String>> {
        let process = self.read(&["for-each-ref", "--format=%(objectname) %(refname)", "refs/remotes/", "refs/tags/"]);
        let output = process.success(cancel, super::MAX_OUTPUT)?;
        let entry =
            |line: &[u8]| line.split_once_str(" ").map(|(id, name)| (name.to_str_lossy().into_owned(), id.to_str_lossy().into_owned()));
        Ok(output.lines().filter_map(entry).collect())
    }

    /// The commit last fetched for a merge, by the name of its remote-tracking branch if it has one.
    ///
    /// # Errors
    ///
    /// [`Misdirected::NothingFetched`].
    pub fn fetched_head(&self, place: &Place, branch: Option<&BranchName>, cancel: &Cancel) -> Result<Rev> {
        let nothing = || Misdirected::NothingFetched.error();
        let text = self.git_file("FETCH_HEAD", Kind::Fetched)?.ok_or_else(nothing)?;
        let line = text.lines().find(|line| !line.contains_str("\tnot-for-merge\t")).ok_or_else(nothing)?;
        let id = line.split(|&byte| byte == b'\t').next().and_then(|id| ObjectId::from_hex(id).ok()).ok_or_else(nothing)?;
        let named = branch.map(BranchName::full).or_else(|| {
            let text = line.to_str_lossy();
            Some(format!("refs/heads/{}", text.split_once("branch '")?.1.split_once('\'')?.0))
        });
        let named = named.map_or(Ok(None), |name| self.tracking_ref(place.as_str(), &name, cancel))?;
        let tracked = named.and_then(|name| Rev::new(name).ok()).filter(|rev| self.resolve_commit(rev, cancel).is_ok_and(|at| at == id));
        let Some(full) = tracked else { return Rev::new(id.to_string()) };
        // Shortened if unambiguous: the merge message names it.
        let short = Rev::new(full.as_str().trim_start_matches("refs/remotes/"))?;
        let is_clear = self.full_name(&short, cancel)?.as_deref() == Some(full.as_str());
        Ok(if is_clear { short } else { full })
    }
}

/// The error for a branch that the remote lacks.
pub(super) fn absent(branch: &BranchName, place: &Place, there: &[String]) -> Option<Error> {
    let full = branch.full();
    if there.contains(&full) {
        return None;
    }
    let tag = format!("refs/tags/{}", branch.as_str());
    let is_tag = there.contains(&tag);
    if is_tag {
        return Some(Misdirected::TagThere { name: branch.as_str().to_owned(), place: place.clone() }.error());
    }
    let has = there.iter().filter_map(|name| name.strip_prefix("refs/heads/")).map(str::to_owned).collect();
    Some(Misdirected::NotThere { names: vec![full], place: place.clone(), has }.error())
}

fn differences(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<Update> {
    let short = |id: Option<&String>| id.map_or("nothing", |id| id.get(..12).unwrap_or(id)).to_owned();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let update = |name: &String| {
        let (old, new) = (before.get(name), after.get(name));
        let sign = match (old, new) {
            (None, _) => '*',
            (_, None) => '-',
            _ => ' ',
        };
        (old != new).then(|| Update { sign, name: name.clone(), summary: format!("{} -> {}", short(old), short(new)), place: None })
    };
    names.into_iter().filter_map(update).collect()
}

/// Reads `FLAG OLD NEW REF` lines.
fn fetched(output: &[u8]) -> Vec<Update> {
    let line = |line: &[u8]| {
        let text = line.to_str_lossy();
        let mut chars = text.chars();
        let sign = chars.next()?;
        let mut fields = chars.as_str().trim_start().splitn(3, ' ');
        let (old, new, name) = (fields.next()?, fields.next()?, fields.next()?);
        let short = |id: &str| if id.bytes().all(|byte| byte == b'0') { "nothing".to_owned() } else { id.chars().take(12).collect() };
        Some(Update { sign, name: name.to_owned(), summary: format!("{} -> {}", short(old), short(new)), place: None })
    };
    output.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_found_without_porcelain() {
        let refs = |list: &[(&str, &str)]| list.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect::<BTreeMap<_, _>>();
        let updates = differences(&refs(&[("a", "1"), ("b", "1"), ("c", "1")]), &refs(&[("b", "2"), ("c", "1"), ("d", "1")]));
        let found: Vec<(char, &str)> = updates.iter().map(|update| (update.sign, update.name.as_str())).collect();
        assert_eq!(found, [('-', "a"), (' ', "b"), ('*', "d")]);
    }

    #[test]
    fn fetch_porcelain_is_parsed() {
        let zero = "0".repeat(40);
        let one = "1".repeat(40);
        let text = format!(
            "* {zero} {one} refs/remotes/origin/new\n  {one} {one} refs/remotes/origin/a b\n- {one} {zero} refs/remotes/origin/gone\n"
        );
        let found: Vec<(char, String)> = fetched(text.as_bytes()).into_iter().map(|update| (update.sign, update.summary)).collect();
        let short = "1".repeat(12);
        assert_eq!(
            found,
            [('*', format!("nothing -> {short}")), (' ', format!("{short} -> {short}")), ('-', format!("{short} -> nothing"))]
        );
    }
}
