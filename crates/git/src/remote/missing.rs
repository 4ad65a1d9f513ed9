//! Fetching objects that a partial clone omits.

use super::{PushRequest, Ref, transfer};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    name::RemoteName,
    process::progress::OnProgress,
    repo::{Repo, reachable::Direction},
};
use gix::{ObjectId, bstr::ByteSlice};

/// Maximum length of an object list.
const LISTING: usize = 256 << 20;

impl Repo {
    /// Fetches missing objects, in one request, from the promisor remotes of this partial clone.
    ///
    /// # Errors
    ///
    /// As for [`Repo::fetch`].
    pub fn fetch_missing(&self, missing: &[ObjectId], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<()> {
        let mut result = Err(Error::NoRemote("origin".to_owned()));
        let mut missing = missing.to_vec();
        for name in &self.settings.promisors {
            result = RemoteName::new(name.as_str()).and_then(|remote| self.fetch_objects(&remote, &missing, on_progress, cancel));
            missing = self.lacking(missing, cancel)?;
            if missing.is_empty() {
                return Ok(());
            }
        }
        result?;
        Err(Error::MissingObject(missing.first().map(ToString::to_string).unwrap_or_default()))
    }

    /// The error of a push. If it failed for a missing object, the error names all missing objects that it would send.
    pub(super) fn needed_by_push(&self, error: Error, request: &PushRequest, cancel: &Cancel) -> Error {
        let Some(first) = self.lacked(&error, cancel) else { return error };
        let known = format!("--remotes={}", request.place.as_str());
        let process = self.read(&["rev-list", "--objects", "--missing=print"]).args(request.what.iter().map(Ref::full));
        match process.arg("--not").arg(known).arg("--").output(cancel, LISTING) {
            Ok((ended, listed)) if ended.code == Some(0) => {
                let missing = listed.lines().filter_map(|line| ObjectId::from_hex(line.strip_prefix(b"?")?).ok());
                self.promised(missing.collect()).unwrap_or(first)
            }
            _ => first,
        }
    }

    fn fetch_objects(&self, remote: &RemoteName, missing: &[ObjectId], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<()> {
        let mut route = self.route_to(remote, Direction::Fetch, cancel)?;
        route.repeatable = true;
        // As git does it: no reference is updated, and blobs reachable from the objects are filtered out.
        let args = ["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"];
        let process = self.change(&args).args(["--filter=blob:none", "--stdin"]).arg(remote.as_str());
        let list = missing.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        let process = process.config("fetch.negotiationAlgorithm", "noop").stdin(list);
        let (ended, _) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        ended.require("fetch")
    }
}
