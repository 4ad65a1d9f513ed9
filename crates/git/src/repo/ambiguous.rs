//! Names that mean more than one reference, or a reference and an object. git takes one of them with a warning.

use crate::{
    cancel::Cancel,
    error::Result,
    name::{Ambiguity, BranchName, Rev},
    process::Mode,
    repo::Repo,
};
use gix::ObjectId;

/// Lengths of an abbreviated id.
const ABBREVIATED: std::ops::Range<usize> = 4..40;
/// Maximum bytes of a listing of a few objects.
const MAX_LISTING: usize = 64 << 10;

/// The full names that `name` may stand for, in git's order.
fn expansions(name: &str) -> [String; 6] {
    [
        name.to_owned(),
        format!("refs/{name}"),
        format!("refs/tags/{name}"),
        format!("refs/heads/{name}"),
        format!("refs/remotes/{name}"),
        format!("refs/remotes/{name}/HEAD"),
    ]
}

/// The name that a revision starts with, unless it is full, an id, or `HEAD`, which git takes before all others. A name before
/// `@{` stands for a reference with a reflog or an upstream.
fn short_name(rev: &str) -> Option<&str> {
    let name = &rev[..rev.find(['^', '~', ':']).unwrap_or(rev.len())];
    let is_short = !matches!(name, "" | "@" | "HEAD") && !name.contains("@{") && !name.starts_with("refs/");
    Some(name).filter(|name| is_short && ObjectId::from_hex(name.as_bytes()).is_err())
}

fn has_reference(engine: &gix::Repository, full: &str) -> bool {
    engine.try_find_reference(full).ok().flatten().is_some_and(|found| found.name().as_bstr() == full)
}

impl Repo {
    /// The references that `name` means, by full name; git takes the first.
    pub(crate) fn references(&self, name: &str, cancel: &Cancel) -> Result<Vec<String>> {
        let names = expansions(name);
        let in_process = self.with_engine(Mode::Read, |engine| names.each_ref().map(|full| has_reference(engine, full)))?;
        let there = match in_process {
            Some(there) => there.to_vec(),
            None => self.has_references(&names, cancel)?,
        };
        Ok(names.into_iter().zip(there).filter_map(|(full, is_there)| is_there.then_some(full)).collect())
    }

    /// Which of the references exist, for a format that only git supports.
    fn has_references(&self, names: &[String], cancel: &Cancel) -> Result<Vec<bool>> {
        let process = self.read(&["cat-file", "--batch-check"]).stdin(names.join("\n").into_bytes()).may_die();
        let (_, output) = process.output(cancel, MAX_LISTING)?;
        let output = String::from_utf8_lossy(&output);
        // git expands other names here, too.
        let is_root = |full: &str| full.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        let is_full = |full: &str| is_root(full) || ["refs/", "worktrees/", "main-worktree/"].iter().any(|start| full.starts_with(start));
        Ok(names.iter().zip(output.lines()).map(|(full, line)| is_full(full) && !line.ends_with(" missing")).collect())
    }

    /// Records for the caller if the name that `rev` starts with is ambiguous.
    pub(crate) fn note_ambiguity(&self, rev: &Rev, cancel: &Cancel) -> Result<()> {
        let Some(name) = short_name(rev.as_str()).filter(|name| !cancel.has_looked_up(name)) else { return Ok(()) };
        let mut found = self.references(name, cancel)?;
        if found.is_empty() {
            cancel.looked_up(name, None);
            return Ok(());
        }
        let taken = found.remove(0);
        if taken == name {
            // `HEAD` and its like have no longer name.
            cancel.looked_up(name, None);
            return Ok(());
        }
        self.record_ambiguity(name, taken, found, true, cancel)
    }

    /// Records for the caller if `branch` was taken although other references have its name.
    pub(crate) fn note_taken(&self, branch: &BranchName, cancel: &Cancel) -> Result<()> {
        let taken = branch.full();
        let mut others = self.references(branch.as_str(), cancel)?;
        others.retain(|full| *full != taken);
        self.record_ambiguity(branch.as_str(), taken, others, false, cancel)
    }

    fn record_ambiguity(&self, name: &str, taken: String, mut others: Vec<String>, full_name_helps: bool, cancel: &Cancel) -> Result<()> {
        if others.is_empty() {
            others.extend(self.abbreviated(name, cancel)?);
        }
        cancel.looked_up(name, (!others.is_empty()).then(|| Ambiguity { name: name.to_owned(), taken, others, full_name_helps }));
        Ok(())
    }

    /// The object whose id `name` abbreviates, if it is the only one.
    fn abbreviated(&self, name: &str, cancel: &Cancel) -> Result<Option<String>> {
        if !ABBREVIATED.contains(&name.len()) || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let process = self.read(&["rev-parse"]).arg(format!("--disambiguate={name}")).may_die();
        let output = String::from_utf8_lossy(&process.output(cancel, MAX_LISTING)?.1).into_owned();
        let mut ids = output.lines();
        Ok(ids.next().filter(|_| ids.next().is_none()).map(str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_at_the_start_of_a_revision_is_looked_up_unless_it_is_full() {
        for (rev, expect) in [
            ("main", Some("main")),
            ("v1.0~3^2", Some("v1.0")),
            ("origin/main:dir/a.txt", Some("origin/main")),
            ("HEAD~1", None),
            ("ORIG_HEAD", Some("ORIG_HEAD")),
            ("refs/heads/main", None),
            (":a.txt", None),
            ("@", None),
            ("@~1", None),
            ("main@{upstream}~1", None),
            ("0123456789012345678901234567890123456789^{tree}", None),
            ("0123456", Some("0123456")),
        ] {
            assert_eq!(short_name(rev), expect, "{rev}");
        }
    }
}
