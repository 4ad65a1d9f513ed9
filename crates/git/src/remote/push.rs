//! Pushes.

use super::transfer::Update;
use crate::{
    cancel::Cancel,
    error::{Error, Misdirected, Result},
    name::{BranchName, Place, Rev, TagName},
    process::{progress::OnProgress, stderr::Ended},
    remote::transfer,
    repo::{Repo, reachable::Direction},
};
use gix::{ObjectId, bstr::ByteSlice};

/// A reference of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ref {
    /// A branch.
    Branch(BranchName),
    /// A tag.
    Tag(TagName),
}

impl Ref {
    pub(super) fn full(&self) -> String {
        match self {
            Self::Branch(name) => name.full(),
            Self::Tag(name) => name.full(),
        }
    }
}

/// References to push.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The destination.
    pub place: Place,
    /// The references, by their local names.
    pub what: Vec<Ref>,
    /// The full name of the branch on the remote; the local name when absent.
    pub there: Option<String>,
    /// Deletes the references on the remote.
    pub delete: bool,
    /// Overwrites the remote reference; a branch only if it is still at the commit last fetched.
    pub force: bool,
    /// Sets the upstream of the local branch.
    pub set_upstream: bool,
}

impl PushRequest {
    /// The full name of `what` on the remote.
    fn name_there(&self, what: &Ref) -> String {
        match (&self.there, what) {
            (Some(there), Ref::Branch(_)) => there.clone(),
            _ => what.full(),
        }
    }
}

/// The result of a push.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The references of the remote.
    pub updates: Vec<Update>,
    /// The output of the remote and of local hooks.
    pub said: String,
}

/// The state that a remote branch must have for `force` to overwrite it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    At(ObjectId),
    /// The branch must not exist, since it was never fetched.
    Nothing,
}

impl Repo {
    /// Pushes to a remote.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] with the remote's reasons, [`Misdirected::NeverFetched`], [`Misdirected::NotThere`],
    /// [`Misdirected::SubmodulesFirst`], [`Misdirected::OnlySubmodules`]; otherwise as for [`Repo::fetch`].
    pub fn push(&self, request: &PushRequest, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Pushed> {
        let route = self.route(&request.place, Direction::Push, cancel)?;
        let urls = self.push_urls(&request.place, cancel)?;
        self.check_no_mirror(&request.place, cancel)?;
        let mut process = self.change(&["push", "--porcelain", "--progress", "--no-recurse-submodules", "--atomic"]);
        if request.set_upstream && !request.delete {
            process = process.arg("--set-upstream");
        }
        let mut refspecs = Vec::new();
        let mut unknown = Vec::new();
        let mut tips = Vec::new();
        for what in &request.what {
            let there = request.name_there(what);
            if request.delete {
                // Not the full name: git would assume that the reference exists.
                refspecs.push(format!(":{}", there.strip_prefix("refs/").unwrap_or(&there)));
                continue;
            }
            tips.push(self.resolve(&Rev::new(what.full())?, cancel)?);
            let mut force = "";
            match what {
                Ref::Branch(_) if request.force => {
                    let expected = self.expected(&request.place, &there, on_progress, cancel)?;
                    let id = if let Expected::At(id) = expected { id.to_string() } else { String::new() };
                    process = process.arg(format!("--force-with-lease={there}:{id}"));
                    unknown.extend((expected == Expected::Nothing).then(|| there.clone()));
                }
                // The last known value of a remote's tag is not stored, so no lease is possible.
                Ref::Tag(_) if request.force => force = "+",
                _ => {}
            }
            refspecs.push(format!("{force}{}:{there}", what.full()));
        }
        self.check_recursion(&request.place, &tips, cancel)?;
        let process = process.arg("--").arg(request.place.as_str()).args(refspecs);
        let (ended, output) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        let mut updates = pushed(&output);
        if urls.len() < 2 {
            for update in &mut updates {
                update.place = None;
            }
        }
        self.check_pushed(request, &updates, &ended, &unknown, on_progress, cancel)?;
        if ended.code != Some(0) {
            // git pushes to the URLs in order, and failed at the first one without a listing.
            let taken: Vec<&str> = places(&output);
            let left = if taken.is_empty() { &[][..] } else { urls.get(taken.len()..).unwrap_or_default() };
            let mut done: Vec<String> = updates.iter().filter(|update| !matches!(update.sign, '=' | '!')).map(described).collect();
            if !done.is_empty() && !left.is_empty() {
                done.push(format!("nothing at {}", left.join(", ")));
            }
            return Err(self.needed_by_push(ended.failed_after("push", done), request, cancel));
        }
        Ok(Pushed { updates, said: words(&ended) })
    }

    /// Fails if the remote refused a reference, or lacks a reference to delete.
    fn check_pushed(
        &self,
        request: &PushRequest,
        updates: &[Update],
        ended: &Ended,
        unknown: &[String],
        on_progress: OnProgress<'_>,
        cancel: &Cancel,
    ) -> Result<()> {
        let refused: Vec<&Update> = updates.iter().filter(|update| update.sign == '!').collect();
        if let Some(stale) = refused.iter().find(|update| update.summary.ends_with("(stale info)") && unknown.contains(&update.name)) {
            let branch = stale.name.strip_prefix("refs/heads/").unwrap_or(&stale.name).to_owned();
            return Err(Misdirected::NeverFetched { branch, place: request.place.clone() }.error());
        }
        if !refused.is_empty() {
            let name = |update: &Update| match &update.place {
                Some(place) => format!("{} at {place}", update.name),
                None => update.name.clone(),
            };
            let mut refs: Vec<(String, String)> = refused.iter().map(|update| (name(update), update.summary.clone())).collect();
            let taken = updates.iter().filter(|update| update.place.is_some() && !matches!(update.sign, '!' | '='));
            refs.extend(taken.map(|update| ("took effect".to_owned(), described(update))));
            return Err(Error::Rejected { refs, said: words(ended), push: true });
        }
        if request.delete && ended.code == Some(1) && updates.is_empty() {
            let wanted: Vec<String> = request.what.iter().map(|what| request.name_there(what)).collect();
            let there = self.refs_at(&request.place, &wanted, on_progress, cancel)?;
            let missing: Vec<String> = wanted.into_iter().filter(|name| there.iter().all(|one| one.name != *name)).collect();
            if !missing.is_empty() {
                return Err(Misdirected::NotThere { names: missing, place: request.place.clone(), has: Vec::new() }.error());
            }
        }
        Ok(())
    }

    fn push_urls(&self, place: &Place, cancel: &Cancel) -> Result<Vec<String>> {
        match place {
            Place::Remote(name) => self.urls(name, Direction::Push, cancel),
            Place::Url(url) => Ok(vec![url.clone()]),
        }
    }

    /// Refuses a mirror, to which git only pushes all references.
    fn check_no_mirror(&self, place: &Place, cancel: &Cancel) -> Result<()> {
        let Place::Remote(name) = place else { return Ok(()) };
        if self.config_says(&format!("remote.{}.mirror", name.as_str()), cancel)? {
            return Err(Misdirected::Mirror(name.as_str().to_owned()).error());
        }
        Ok(())
    }

    /// What `force` may overwrite at `there`: the commit last fetched, or, without a fetch refspec, the remote's commit if it exists here.
    fn expected(&self, place: &Place, there: &str, on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Expected> {
        if let Some(kept) = self.tracking_ref(place.as_str(), there, cancel)? {
            let known = self.resolve(&Rev::new(kept)?, cancel);
            return Ok(known.map_or(Expected::Nothing, Expected::At));
        }
        let listed = self.refs_at(place, &[there.to_owned()], on_progress, cancel)?;
        let now = listed.into_iter().find(|reference| reference.name == there).map(|reference| reference.id);
        let known = now.filter(|id| Rev::new(id.to_string()).is_ok_and(|rev| self.resolve_commit(&rev, cancel).is_ok()));
        Ok(known.map_or(Expected::Nothing, Expected::At))
    }
}

/// An updated reference and its new value, in words.
fn described(update: &Update) -> String {
    let at = update.place.as_ref().map_or_else(String::new, |place| format!(" at {place}"));
    format!("{} {}{at}", update.name, update.summary)
}

/// The references that an incomplete push updated.
pub(super) fn moved(output: &[u8]) -> String {
    let moved = pushed(output).into_iter().filter(|update| !matches!(update.sign, '=' | '!'));
    moved.fold(String::new(), |all, update| format!("{all}\ntook effect: {}", described(&update)))
}

/// The URLs for which git listed results.
fn places(output: &[u8]) -> Vec<&str> {
    output.lines().filter_map(|line| line.strip_prefix(b"To ")?.to_str().ok()).collect()
}

/// Reads `FLAG<TAB>FROM:TO<TAB>SUMMARY` lines, and the `To URL` before them.
fn pushed(output: &[u8]) -> Vec<Update> {
    let mut place = None;
    let mut found = Vec::new();
    for line in output.lines() {
        let text = line.to_str_lossy();
        if let Some(url) = text.strip_prefix("To ") {
            place = Some(url.to_owned());
        }
        let mut fields = text.splitn(3, '\t');
        let (Some(sign), Some(refs), Some(summary)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let mut signs = sign.chars();
        let (Some(sign), None, Some((_, name))) = (signs.next(), signs.next(), refs.rsplit_once(':')) else { continue };
        found.push(Update { sign, name: name.to_owned(), summary: summary.to_owned(), place: place.clone() });
    }
    found
}

/// Status lines that git writes even without a terminal.
const OWN: [&str; 3] = ["error: failed to push some refs", "To ", "Delta compression using up to "];

/// The output of the remote and of local hooks.
fn words(ended: &Ended) -> String {
    let is_total = |line: &str| line.starts_with("Total ") && line.contains(" (delta ");
    let is_own = |line: &&str| OWN.iter().any(|start| line.starts_with(start)) || is_total(line);
    let lines: Vec<&str> = ended.stderr.lines().filter(|line| !is_own(line)).map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_porcelain_is_parsed() {
        let text =
            b"To x\n!\trefs/heads/a:refs/heads/b\t[rejected] (fetch first)\nDone\nTo y\n=\trefs/heads/c:refs/heads/c\t[up to date]\nDone\n";
        let found: Vec<(char, String, Option<String>)> =
            pushed(text).into_iter().map(|update| (update.sign, update.name, update.place)).collect();
        assert_eq!(found, [('!', "refs/heads/b".to_owned(), Some("x".to_owned())), ('=', "refs/heads/c".to_owned(), Some("y".to_owned()))]);
        assert_eq!(places(text), ["x", "y"]);
        assert_eq!(moved(b"To x\n*\trefs/heads/a:refs/heads/a\t[new branch]\nDone\n"), "\ntook effect: refs/heads/a [new branch] at x");
    }
}
