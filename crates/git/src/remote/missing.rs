//! Fetching what a partial clone leaves out.

use super::{Direction, OnProgress, RemoteName, transfer};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    repo::Repo,
};
use gix::ObjectId;

impl Repo {
    /// Fetches objects that are missing here, all at once, from the remotes that have what this partial clone leaves out.
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

    fn fetch_objects(&self, remote: &RemoteName, missing: &[ObjectId], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<()> {
        let mut route = self.route_to(remote, Direction::Fetch, cancel)?;
        route.repeatable = true;
        // As git itself does it: no reference moves, and of what the objects lead to only directories come along.
        let args = ["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-maintenance"];
        let process = self.change(&args).args(["--filter=blob:none", "--stdin"]).arg(remote.as_str());
        let list = missing.iter().flat_map(|id| format!("{id}\n").into_bytes()).collect();
        let process = process.config("fetch.negotiationAlgorithm", "noop").stdin(list);
        let (ended, _) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        ended.require("fetch")
    }
}
