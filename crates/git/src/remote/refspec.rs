//! Configured refspecs: the local names of a remote's references, and the names that branches are pushed to.

use super::MAX_OUTPUT;
use crate::{cancel::Cancel, error::Result, name::BranchName, read::fields::Layout, repo::Repo};
use gix::bstr::ByteSlice;

/// A refspec of a remote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refspec {
    remote: String,
    from: String,
    /// `None` for a negative refspec.
    to: Option<String>,
}

impl Refspec {
    fn parse(remote: &str, text: &str) -> Option<Self> {
        let remote = remote.to_owned();
        if let Some(from) = text.strip_prefix('^') {
            return Some(Self { remote, from: from.to_owned(), to: None });
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        let (from, to) = text.split_once(':').unwrap_or((text, text));
        let is_whole = !from.is_empty() && !to.is_empty();
        is_whole.then(|| Self { remote, from: from.to_owned(), to: Some(to.to_owned()) })
    }

    /// The mapped name; `None` if `name` does not match.
    fn apply(&self, name: &str) -> Option<String> {
        let to = self.to.as_deref()?;
        let Some((start, end)) = self.from.split_once('*') else { return (self.from == name).then(|| to.to_owned()) };
        let middle = name.strip_prefix(start)?.strip_suffix(end)?;
        Some(to.replacen('*', middle, 1))
    }

    fn leaves_out(&self, name: &str) -> bool {
        let all = |(start, end): (&str, &str)| name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end));
        self.to.is_none() && self.from.split_once('*').map_or(self.from == name, all)
    }
}

/// Maps `name` by the first matching refspec of `remote`.
fn applied(specs: &[Refspec], remote: &str, name: &str) -> Option<String> {
    let own = || specs.iter().filter(|spec| spec.remote == remote);
    if own().any(|spec| spec.leaves_out(name)) {
        return None;
    }
    own().find_map(|spec| spec.apply(name))
}

impl Repo {
    /// The refspecs of all remotes, for `fetch` or `push`.
    fn refspecs(&self, direction: &str, cancel: &Cancel) -> Result<Vec<Refspec>> {
        let process = self.read(&["config", "--null", "--get-regexp"]).arg(format!(r"^remote\..*\.{direction}$"));
        let (_, entries) = process.fields(Layout { divider: Some(b'\n'), ..Layout::NUL }, cancel)?;
        let spec = |entry: &Vec<u8>| {
            let (key, text) = entry.split_once_str("\n")?;
            let key = key.to_str_lossy().into_owned();
            let (remote, _) = key.strip_prefix("remote.")?.rsplit_once('.')?;
            Refspec::parse(remote, &text.to_str_lossy())
        };
        Ok(entries.iter().filter_map(spec).collect())
    }

    /// The full local name of the reference `name` of `remote`, by the remote's fetch refspecs.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn tracking_ref(&self, remote: &str, name: &str, cancel: &Cancel) -> Result<Option<String>> {
        Ok(applied(&self.refspecs("fetch", cancel)?, remote, name))
    }

    /// Whether `remote` has push refspecs, and the full name that they give `branch` there.
    pub(super) fn pushed_as(&self, remote: &str, branch: &BranchName, cancel: &Cancel) -> Result<(bool, Option<String>)> {
        let specs = self.refspecs("push", cancel)?;
        let is_current = specs.iter().any(|spec| matches!(spec.from.as_str(), "HEAD" | "@"))
            && self.branch_name(cancel)?.as_deref() == Some(branch.as_str());
        let (full, short) = (branch.full(), branch.as_str());
        let by_name = applied(&specs, remote, &full).or_else(|| applied(&specs, remote, short));
        let head = |name: &str| applied(&specs, remote, name).filter(|_| is_current);
        let found = by_name.or_else(|| head("HEAD")).or_else(|| head("@"));
        let named = found.map(|to| match to.as_str() {
            "HEAD" | "@" => full.clone(),
            to if to.starts_with("refs/") => to.to_owned(),
            to => format!("refs/heads/{to}"),
        });
        Ok((specs.iter().any(|spec| spec.remote == remote), named))
    }

    /// The remote-tracking branches of this name, by full name; only that of `checkout.defaultRemote` if configured.
    pub(crate) fn tracking_branches(&self, branch: &BranchName, cancel: &Cancel) -> Result<Vec<String>> {
        let specs = self.refspecs("fetch", cancel)?;
        let mut remotes: Vec<&str> = specs.iter().map(|spec| spec.remote.as_str()).collect();
        remotes.sort_unstable();
        remotes.dedup();
        let kept: Vec<(&str, String)> =
            remotes.into_iter().filter_map(|remote| Some((remote, applied(&specs, remote, &branch.full())?))).collect();
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let process = self.read(&["for-each-ref", "--format=%(refname)", "--"]).args(kept.iter().map(|(_, name)| name));
        let there = String::from_utf8_lossy(&process.success(cancel, MAX_OUTPUT)?).into_owned();
        let mut found: Vec<(&str, String)> = kept.into_iter().filter(|(_, name)| there.lines().any(|line| line == name)).collect();
        if found.len() > 1
            && let Some(first) = self.config_value("checkout.defaultRemote", cancel)?
            && found.iter().any(|(remote, _)| *remote == first)
        {
            found.retain(|(remote, _)| *remote == first);
        }
        let mut names: Vec<String> = found.into_iter().map(|(_, name)| name).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_as_git_maps_them() {
        let specs: Vec<Refspec> = [
            ("origin", "+refs/heads/*:refs/remotes/origin/*"),
            ("origin", "^refs/heads/wip/*"),
            ("team/a", "+refs/heads/*:refs/remotes/team/a/*"),
            ("review", "refs/heads/*:refs/for/*"),
            ("pulls", "+refs/pull/*/head:refs/remotes/pulls/*"),
            ("one", "main:prod"),
            ("odd", ":"),
        ]
        .iter()
        .filter_map(|(remote, text)| Refspec::parse(remote, text))
        .collect();
        for (remote, name, expected) in [
            ("origin", "refs/heads/a/b", Some("refs/remotes/origin/a/b")),
            ("origin", "refs/heads/wip/x", None),
            ("origin", "refs/tags/v1", None),
            ("team/a", "refs/heads/x", Some("refs/remotes/team/a/x")),
            ("review", "refs/heads/x", Some("refs/for/x")),
            ("pulls", "refs/pull/7/head", Some("refs/remotes/pulls/7")),
            ("one", "main", Some("prod")),
            ("odd", "refs/heads/x", None),
            ("none", "refs/heads/x", None),
        ] {
            assert_eq!(applied(&specs, remote, name).as_deref(), expected, "{remote} {name}");
        }
    }
}
