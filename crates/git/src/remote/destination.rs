//! Default source and destination of a transfer, from the configuration of branches and remotes.

use crate::{
    cancel::Cancel,
    change::FastForward,
    error::{Error, Misdirected, Result},
    name::{BranchName, Place, RemoteName},
    repo::Repo,
};

/// The arguments of a push.
#[derive(Clone, Debug, Default)]
pub struct PushOptions {
    /// The remote.
    pub remote: Option<RemoteName>,
    /// The branch; `None` if only tags are pushed.
    pub branch: Option<BranchName>,
    /// Whether the call names the branch; otherwise it is the current one.
    pub is_named: bool,
    /// Its name on the remote.
    pub to: Option<BranchName>,
    /// Deletes it on the remote.
    pub delete: bool,
}

/// The destination of a push.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The remote.
    pub place: Place,
    /// The full name of the branch on the remote.
    pub there: Option<String>,
    /// Whether the push sets the upstream, by the configuration.
    pub set_upstream: bool,
}

/// How pulls are configured to rebase, by `branch.*.rebase` or else `pull.rebase`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullRebase {
    /// They merge.
    Off,
    /// They drop merge commits.
    Plain,
    /// They keep merge commits.
    Merges,
    /// They open an editor for the list of steps.
    Interactive,
}

/// The configured upstream of a branch.
struct Upstream {
    remote: Option<String>,
    /// Full names on the remote.
    names: Vec<String>,
}

impl Upstream {
    fn listed(&self) -> String {
        let remote = self.remote.as_deref().unwrap_or_default();
        let names: Vec<String> = self.names.iter().map(|name| format!("{remote}/{}", short(name))).collect();
        names.join(" and ")
    }

    fn undecided(&self, why: String) -> Error {
        Misdirected::Undecided { why, names: self.names.iter().map(|name| short(name).to_owned()).collect() }.error()
    }
}

fn short(full: &str) -> &str {
    full.strip_prefix("refs/heads/").unwrap_or(full)
}

impl Repo {
    /// The default remote: that of the upstream, `origin`, or the only remote.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`].
    pub fn default_fetch_place(&self, cancel: &Cancel) -> Result<Place> {
        let branch = self.branch_name(cancel)?;
        let configured = branch.map_or(Ok(None), |branch| self.config_value(&format!("branch.{branch}.remote"), cancel))?;
        configured.filter(|name| name != ".").map_or_else(|| self.default_place(cancel), |name| self.place(&name, cancel))
    }

    fn default_place(&self, cancel: &Cancel) -> Result<Place> {
        let remotes = self.remotes(cancel)?;
        let origin = remotes.iter().find(|remote| remote.name == "origin");
        match (origin, remotes.as_slice()) {
            (Some(one), _) | (None, [one]) => RemoteName::new(one.name.clone()).map(Place::Remote),
            _ => Err(Error::NoRemote("origin".to_owned())),
        }
    }

    /// Parses the remote of a branch's configuration: a name or a URL.
    fn place(&self, text: &str, cancel: &Cancel) -> Result<Place> {
        let is_address = text.contains(':') || text.starts_with(['/', '.']);
        if is_address && self.remotes(cancel)?.iter().all(|remote| remote.name != text) {
            return Ok(Place::Url(text.to_owned()));
        }
        RemoteName::new(text).map(Place::Remote)
    }

    fn upstream(&self, branch: &str, cancel: &Cancel) -> Result<Upstream> {
        let remote = self.config_value(&format!("branch.{branch}.remote"), cancel)?;
        let names = if remote.is_some() { self.config_values(&format!("branch.{branch}.merge"), cancel)? } else { Vec::new() };
        Ok(Upstream { remote, names })
    }

    /// The destination of a push, as git decides it, with two exceptions: a branch without an upstream is pushed under its own
    /// name, and other branches that refspecs or `push.default` name are not pushed.
    ///
    /// # Errors
    ///
    /// [`Error::NoRemote`]; [`Misdirected::Undecided`], [`Misdirected::FollowsLocal`] if git would refuse it or push elsewhere.
    pub fn destination(&self, options: &PushOptions, cancel: &Cancel) -> Result<Destination> {
        let Some(branch) = &options.branch else {
            let place = options.remote.clone().map_or_else(|| self.push_place(None, cancel), |remote| Ok(Place::Remote(remote)))?;
            return Ok(Destination { place, there: None, set_upstream: false });
        };
        let place = options.remote.clone().map_or_else(|| self.push_place(Some(branch), cancel), |remote| Ok(Place::Remote(remote)))?;
        let mut set_upstream = false;
        let there = match &options.to {
            Some(to) => to.full(),
            None if options.delete => branch.full(),
            None => match self.pushed_as(place.as_str(), branch, cancel)? {
                (_, Some(there)) => there,
                (false, None) if options.remote.is_none() => {
                    let (there, is_first) = self.pushed_by_default(branch, options.is_named, &place, cancel)?;
                    set_upstream = is_first && self.config_says("push.autoSetupRemote", cancel)?;
                    there
                }
                _ => branch.full(),
            },
        };
        Ok(Destination { place, there: Some(there), set_upstream })
    }

    /// The remote that git pushes a branch to; the current branch by default.
    fn push_place(&self, branch: Option<&BranchName>, cancel: &Cancel) -> Result<Place> {
        let name = match branch {
            Some(branch) => Some(branch.as_str().to_owned()),
            None => self.branch_name(cancel)?,
        };
        let own = |key: &str| name.as_ref().map_or(Ok(None), |name| self.config_value(&format!("branch.{name}.{key}"), cancel));
        let mut configured = own("pushRemote")?;
        if configured.is_none() {
            configured = self.config_value("remote.pushDefault", cancel)?;
        }
        if configured.is_none() {
            configured = own("remote")?;
        }
        match (configured, branch) {
            (Some(text), Some(branch)) if text == "." => Err(self.follows_local(branch.as_str(), cancel)?),
            (Some(text), _) if text != "." => self.place(&text, cancel),
            _ => self.default_place(cancel),
        }
    }

    fn follows_local(&self, branch: &str, cancel: &Cancel) -> Result<Error> {
        let names = self.upstream(branch, cancel)?.names;
        let upstream = names.first().map_or_else(|| branch.to_owned(), |name| short(name).to_owned());
        Ok(Misdirected::FollowsLocal { branch: branch.to_owned(), upstream }.error())
    }

    /// The name that `push.default` gives a branch on the remote, and whether it has no upstream yet.
    fn pushed_by_default(&self, branch: &BranchName, is_named: bool, place: &Place, cancel: &Cancel) -> Result<(String, bool)> {
        let how = self.config_value("push.default", cancel)?.unwrap_or_else(|| "simple".to_owned());
        let follows = self.upstream(branch.as_str(), cancel)?;
        let full = branch.full();
        let is_same = match &follows.remote {
            Some(remote) => remote == place.as_str(),
            None => self.default_place(cancel).is_ok_and(|usual| usual == *place),
        };
        let undecided = |why: String| Err(follows.undecided(why));
        let said = || format!("`{}` follows {}", branch.as_str(), follows.listed());
        match (how.as_str(), follows.names.as_slice()) {
            ("nothing", _) if !is_named => {
                let why = "`push.default` is `nothing`: git pushes no branch that is not named".to_owned();
                Err(Misdirected::Undecided { why, names: Vec::new() }.error())
            }
            ("nothing" | "current" | "matching", names) => Ok((full, names.is_empty() && how == "current")),
            (_, []) => Ok((full, true)),
            ("upstream" | "tracking", [_]) if !is_same => {
                undecided(format!("{}, and would be pushed to {}, while `push.default` is `{how}`", said(), place.as_str()))
            }
            ("upstream" | "tracking", [one]) => Ok((one.clone(), false)),
            (_, _) if !is_same => Ok((full, false)),
            (_, [one]) if *one == full => Ok((full, false)),
            _ => undecided(said()),
        }
    }

    /// True if `merge.ff` is `only`.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn merges_only_forward(&self, cancel: &Cancel) -> Result<bool> {
        Ok(self.config_value("merge.ff", cancel)?.is_some_and(|value| value == "only"))
    }

    /// How pulls into the current branch are configured to rebase.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] for a value that git rejects; otherwise as for any read.
    pub fn rebase_of_pulls(&self, cancel: &Cancel) -> Result<PullRebase> {
        let own = self.branch_name(cancel)?.map(|branch| format!("branch.{branch}.rebase"));
        for key in own.into_iter().chain(["pull.rebase".to_owned()]) {
            if let Some(value) = self.config_value(&key, cancel)? {
                return self.rebase_by(&key, &value, cancel);
            }
        }
        Ok(PullRebase::Off)
    }

    fn rebase_by(&self, key: &str, value: &str, cancel: &Cancel) -> Result<PullRebase> {
        match value {
            "merges" | "m" => Ok(PullRebase::Merges),
            "interactive" | "i" => Ok(PullRebase::Interactive),
            // Otherwise git expects a boolean value.
            _ => match self.config_says(key, cancel) {
                Ok(rebases) => Ok(if rebases { PullRebase::Plain } else { PullRebase::Off }),
                Err(Error::Misconfigured { .. } | Error::Unreadable { .. }) => {
                    Err(Error::Misconfigured { said: format!("fatal: invalid value for '{key}': '{value}'") })
                }
                Err(err) => Err(err),
            },
        }
    }

    /// Whether a pull may be a fast-forward: by `pull.ff`, else as configured for merges. If the caller has `chosen` a merge, it is
    /// made when a fast-forward is not possible. Without commits to rebase, a configured rebase is a fast-forward.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn fast_forward_of_pulls(&self, chosen: bool, cancel: &Cancel) -> Result<FastForward> {
        if !chosen && self.rebase_of_pulls(cancel)? != PullRebase::Off {
            return Ok(FastForward::Only);
        }
        Ok(match self.config_value("pull.ff", cancel)?.map(|value| value.to_ascii_lowercase()).as_deref() {
            None => FastForward::Configured,
            Some("only") if !chosen => FastForward::Only,
            Some("false" | "no" | "off" | "0") => FastForward::Never,
            Some(_) => FastForward::Allowed,
        })
    }

    /// Refuses to pull if the upstream of the current branch is not a single branch of a remote.
    ///
    /// # Errors
    ///
    /// [`Misdirected::Undecided`], [`Misdirected::FollowsLocal`].
    pub fn check_upstream(&self, remote: Option<&RemoteName>, cancel: &Cancel) -> Result<()> {
        let Some(branch) = self.branch_name(cancel)? else { return Ok(()) };
        let follows = self.upstream(&branch, cancel)?;
        if follows.names.is_empty() || remote.is_some_and(|remote| follows.remote.as_deref() != Some(remote.as_str())) {
            return Ok(());
        }
        if follows.remote.as_deref() == Some(".") {
            return Err(self.follows_local(&branch, cancel)?);
        }
        if follows.names.len() > 1 {
            return Err(follows.undecided(format!("`{branch}` follows {}", follows.listed())));
        }
        Ok(())
    }
}
