//! Listing the references of a remote without fetching.

use super::{Route, transfer};
use crate::{
    cancel::Cancel,
    error::Result,
    name::{Place, RemoteName},
    process::progress::OnProgress,
    repo::{Repo, reachable::Direction},
};
use gix::{ObjectId, bstr::ByteSlice};

/// A reference of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteRef {
    /// Its full name, or `HEAD`.
    pub name: String,
    /// The object that it points to.
    pub id: ObjectId,
}

impl Repo {
    /// Lists the references of `remote`, a name or a URL, that match one of `patterns`.
    ///
    /// # Errors
    ///
    /// As for [`Repo::fetch`].
    pub fn ls_remote(&self, remote: &str, patterns: &[String], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Vec<RemoteRef>> {
        let name = RemoteName::new(remote).ok().filter(|name| self.remote(name, cancel).is_ok());
        let route = match &name {
            Some(name) => self.route_to(name, Direction::Fetch, cancel)?,
            None => self.route_to_url(remote, cancel)?,
        };
        self.listed(remote, route, patterns, on_progress, cancel)
    }

    /// The same for a configured place.
    ///
    /// # Errors
    ///
    /// As for [`Repo::fetch`].
    pub fn refs_at(&self, place: &Place, patterns: &[String], on_progress: OnProgress<'_>, cancel: &Cancel) -> Result<Vec<RemoteRef>> {
        let route = self.route(place, Direction::Fetch, cancel)?;
        self.listed(place.as_str(), route, patterns, on_progress, cancel)
    }

    fn listed(
        &self,
        remote: &str,
        mut route: Route,
        patterns: &[String],
        on_progress: OnProgress<'_>,
        cancel: &Cancel,
    ) -> Result<Vec<RemoteRef>> {
        route.repeatable = true;
        let process = self.change(&["ls-remote", "--"]).arg(remote).args(patterns);
        let (ended, output) = transfer(self.online(process, &route, cancel)?, &route, on_progress, cancel)?;
        ended.require("ls-remote")?;
        let line = |line: &[u8]| {
            let (id, name) = line.split_once_str("\t")?;
            Some(RemoteRef { id: ObjectId::from_hex(id).ok()?, name: name.to_str_lossy().into_owned() })
        };
        Ok(output.lines().filter_map(line).collect())
    }
}
