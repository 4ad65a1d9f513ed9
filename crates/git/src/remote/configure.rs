//! The configured remotes: listing and changing them.

use super::{MAX_OUTPUT, RemoteName};
use crate::{
    cancel::Cancel,
    error::{Error, Result},
    read::fields::Layout,
    repo::Repo,
};
use gix::bstr::ByteSlice;
use std::collections::BTreeMap;

/// A configured remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remote {
    /// Its name.
    pub name: String,
    /// The fetch URLs, each truncated to [`crate::MAX_FIELD`] bytes.
    pub urls: Vec<String>,
    /// The push URLs, if configured.
    pub push_urls: Vec<String>,
}

impl Repo {
    /// The configured remotes, by name.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn remotes(&self, cancel: &Cancel) -> Result<Vec<Remote>> {
        let process = self.read(&["config", "--null", "--get-regexp", r"^remote\..*\.(push)?url$"]);
        let (_, entries) = process.fields(Layout { divider: Some(b'\n'), ..Layout::NUL }, cancel)?;
        let mut found: BTreeMap<String, Remote> = BTreeMap::new();
        for entry in &entries {
            let Some((key, url)) = entry.split_once_str("\n") else { continue };
            let (key, url) = (key.to_str_lossy(), url.to_str_lossy().into_owned());
            let Some((name, kind)) = key.strip_prefix("remote.").and_then(|key| key.rsplit_once('.')) else { continue };
            let remote = found.entry(name.to_owned()).or_insert_with(|| Remote { name: name.to_owned(), ..Remote::default() });
            if kind == "url" { &mut remote.urls } else { &mut remote.push_urls }.push(url);
        }
        Ok(found.into_values().collect())
    }

    /// Adds a remote.
    ///
    /// # Errors
    ///
    /// [`Error::RemoteExists`], [`Error::ProtocolOff`], [`Error::PrivateAddress`].
    pub fn add_remote(&self, name: &RemoteName, url: &str, cancel: &Cancel) -> Result<()> {
        self.route_to_url(url, cancel)?;
        if self.remotes(cancel)?.iter().any(|remote| remote.name == name.as_str()) {
            return Err(Error::RemoteExists(name.as_str().to_owned()));
        }
        self.change(&["remote", "add", "--"]).arg(name.as_str()).arg(url).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Removes a remote with its remote-tracking branches.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`].
    pub fn remove_remote(&self, name: &RemoteName, cancel: &Cancel) -> Result<Remote> {
        self.check_early_hook()?;
        let remote = self.remote(name, cancel)?;
        self.change(&["remote", "remove", "--"]).arg(name.as_str()).success(cancel, MAX_OUTPUT)?;
        Ok(remote)
    }

    /// The object filter of this partial clone, if `name` is its promisor remote.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn filter_of_promisor(&self, name: &RemoteName, cancel: &Cancel) -> Result<Option<String>> {
        if !self.settings.promisors.iter().any(|promisor| promisor == name.as_str()) {
            return Ok(None);
        }
        let filter = self.config_value(&format!("remote.{}.partialclonefilter", name.as_str()), cancel)?;
        Ok(Some(filter.unwrap_or_else(|| "blob:none".to_owned())))
    }

    /// Renames a remote and its remote-tracking branches.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`], [`Error::RemoteExists`].
    pub fn rename_remote(&self, old: &RemoteName, new: &RemoteName, cancel: &Cancel) -> Result<()> {
        self.check_early_hook()?;
        self.remote(old, cancel)?;
        if self.remote(new, cancel).is_ok() {
            return Err(Error::RemoteExists(new.as_str().to_owned()));
        }
        self.change(&["remote", "rename", "--no-progress", "--"]).args([old.as_str(), new.as_str()]).success(cancel, MAX_OUTPUT).map(drop)
    }

    /// Sets the URL of a remote and returns the previous state.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`], [`Error::ProtocolOff`], [`Error::PrivateAddress`].
    pub fn set_remote_url(&self, name: &RemoteName, url: &str, cancel: &Cancel) -> Result<Remote> {
        self.route_to_url(url, cancel)?;
        let remote = self.remote(name, cancel)?;
        self.change(&["remote", "set-url", "--"]).arg(name.as_str()).arg(url).success(cancel, MAX_OUTPUT)?;
        Ok(remote)
    }

    /// One remote.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`].
    pub fn remote(&self, name: &RemoteName, cancel: &Cancel) -> Result<Remote> {
        let found = self.remotes(cancel)?.into_iter().find(|remote| remote.name == name.as_str());
        found.ok_or_else(|| Error::NoRemote(name.as_str().to_owned()))
    }

    /// True if git can authenticate at `https://HOST` without a prompt: a credential helper or a header.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn has_credentials_for(&self, host: &str, cancel: &Cancel) -> Result<bool> {
        for key in ["credential.helper", "http.extraHeader"] {
            let process = self.read(&["config", "--null", "--get-urlmatch", key]).arg(format!("https://{host}/"));
            let (ended, output) = process.output(cancel, 1 << 20)?;
            // An empty helper resets the list before it.
            if ended.code == Some(0) && output.split(|&byte| byte == 0).any(|value| !value.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The proxy that the configuration names for a URL of `remote`, with its key. An empty one disables proxies. Of an untrusted
    /// repository only the operator's configuration counts.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn proxy_for(&self, remote: &str, url: &str, cancel: &Cancel) -> Result<Option<(String, String)>> {
        let own = format!("remote.{remote}.proxy");
        if self.location.trusted
            && let Some(value) = self.config_value(&own, cancel)?
        {
            return Ok(Some((own, value)));
        }
        let scopes =
            if self.location.trusted { vec![vec![]] } else { vec![vec!["--global", "--includes"], vec!["--system", "--includes"]] };
        for scope in scopes {
            let process = self.read(&["config"]).args(scope).args(["--null", "--get-urlmatch", "http.proxy"]).arg(url);
            let (ended, output) = process.may_die().output(cancel, 1 << 20)?;
            if ended.code == Some(0) {
                let value = output.strip_suffix(b"\0").unwrap_or(&output);
                return Ok(Some(("http.proxy".to_owned(), value.to_str_lossy().into_owned())));
            }
        }
        Ok(None)
    }

    /// All values of a configuration key.
    pub(crate) fn config_values(&self, key: &str, cancel: &Cancel) -> Result<Vec<String>> {
        let (_, output) = self.read(&["config", "--null", "--get-all"]).arg(key).output(cancel, 1 << 20)?;
        let values = output.split(|&byte| byte == 0).filter(|value| !value.is_empty());
        Ok(values.map(|value| value.to_str_lossy().into_owned()).collect())
    }

    /// True if the configuration enables `key`.
    pub(crate) fn config_says(&self, key: &str, cancel: &Cancel) -> Result<bool> {
        let (ended, output) = self.read(&["config", "--type=bool", "--get"]).arg(key).output(cancel, 1 << 20)?;
        Ok(ended.code == Some(0) && output.trim_ascii_end() == b"true")
    }

    /// The value of a configuration key.
    pub(crate) fn config_value(&self, key: &str, cancel: &Cancel) -> Result<Option<String>> {
        let (ended, output) = self.read(&["config", "--null", "--get"]).arg(key).output(cancel, 1 << 20)?;
        let value = output.strip_suffix(b"\0").unwrap_or(&output);
        Ok((ended.code == Some(0)).then(|| value.to_str_lossy().into_owned()))
    }
}
