//! Upstreams of branches, and ahead/behind counts.

use crate::{
    cancel::Cancel,
    error::{Error, Result},
    repo::{Repo, route::only_git},
};
use engine::history::History;
use gix::{
    ObjectId,
    bstr::{BStr, BString, ByteSlice},
    refs::{FullName, FullNameRef},
    refspec::{MatchGroup, match_group::Item, parse::Operation},
};
/// The upstream of `branch`, whether or not it exists.
///
/// # Errors
///
/// [`Error::Engine`] if only git can determine it.
pub(crate) fn tracking(engine: &gix::Repository, branch: &FullNameRef) -> Result<Option<FullName>> {
    let unclear = || only_git("an upstream that only git understands");
    let config = engine.config_snapshot();
    let values = |section: &str, name: &BStr, key: &str| -> Vec<BString> {
        config
            .plumbing()
            .strings(&format!("{section}.{name}.{key}"))
            .unwrap_or_default()
            .into_iter()
            .map(|value| value.to_vec().into())
            .collect()
    };
    if !branch.as_bstr().starts_with(b"refs/heads/") {
        return Ok(None);
    }
    let merge = values("branch", branch.shorten(), "merge");
    let [merge] = merge.as_slice() else { return if merge.is_empty() { Ok(None) } else { Err(unclear()) } };
    let merge: &FullNameRef = merge.as_bstr().try_into().map_err(|_| unclear())?;
    let Some(remote) = values("branch", branch.shorten(), "remote").pop() else { return Err(unclear()) };
    if remote == "." {
        return Ok(Some(merge.to_owned()));
    }
    let specs = values("remote", remote.as_bstr(), "fetch");
    if specs.is_empty() || specs.iter().any(|spec| spec.starts_with(b"^")) {
        return Err(unclear());
    }
    let specs: Vec<_> = specs
        .iter()
        .map(|spec| gix::refspec::parse(spec.as_bstr(), Operation::Fetch))
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| unclear())?;
    let specs = specs.into_iter().filter(|spec| spec.source().is_some() && spec.destination().is_some()).collect();
    let nothing = engine.object_hash().null();
    let item = Item { full_ref_name: merge.as_bstr(), target: &nothing, object: None };
    let matched = MatchGroup { specs }.match_lhs(std::iter::once(item)).mappings.into_iter().next();
    let name = matched.and_then(|mapping| mapping.rhs).ok_or_else(unclear)?;
    FullName::try_from(name.into_owned()).map(Some).map_err(|_| unclear())
}

/// The short name, as git shortens it.
///
/// # Errors
///
/// [`Error::Engine`] if the short name is ambiguous, so that git prints a longer one.
pub(crate) fn short(engine: &gix::Repository, name: &FullNameRef) -> Result<BString> {
    let short = name.shorten().to_owned();
    let meant = engine.try_find_reference(short.as_bstr()).map_err(Error::engine)?;
    let other = meant.is_some_and(|meant| meant.name() != name);
    if other || short.ends_with(b"/HEAD") { Err(only_git("an ambiguous upstream name")) } else { Ok(short) }
}

impl Repo {
    /// Number of commits only in `here`, and only in `there`.
    ///
    /// # Errors
    ///
    /// As for any read.
    pub fn ahead_behind(&self, here: ObjectId, there: ObjectId, cancel: &Cancel) -> Result<(u64, u64)> {
        if here == there {
            return Ok((0, 0));
        }
        let in_process = |engine: &gix::Repository| Ok(History::open(engine, cancel)?.ahead_behind(here, there)?);
        self.answer("ahead-behind", in_process, || self.count_with_git(here, there, cancel)).map(|(counts, _)| counts)
    }

    fn count_with_git(&self, here: ObjectId, there: ObjectId, cancel: &Cancel) -> Result<(u64, u64)> {
        let process = self.read(&["rev-list", "--left-right", "--count"]).arg(format!("{here}...{there}")).arg("--");
        let output = process.success(cancel, 4096)?;
        let text = String::from_utf8_lossy(&output);
        let mut counts = text.split_ascii_whitespace().map(str::parse);
        match (counts.next(), counts.next()) {
            (Some(Ok(ahead)), Some(Ok(behind))) => Ok((ahead, behind)),
            _ => Err(Error::Engine("git rev-list printed no counts".to_owned())),
        }
    }
}
