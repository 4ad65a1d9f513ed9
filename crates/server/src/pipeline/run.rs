//! Runs the tool of a call on the call's thread.

use super::{request::Job, services::Services, timings::Stage};
use crate::{
    error::Error,
    journal::Record,
    output::{Field, Reply, word},
    tool::Context,
};
use git::{Ambiguity, Cancel, Repo};
use std::sync::Arc;

/// A layer on the call's thread.
pub(super) trait OnThread: Send + Sync {
    /// Does the work of a call in a repository; changes have a record.
    fn run(&self, job: Job, repo: &Arc<Repo>, record: Option<&Record<'_>>) -> Result<Reply, Error>;
}

/// Calls the tool.
pub(super) struct Run {
    services: Arc<Services>,
}

impl Run {
    pub(super) fn new(services: &Arc<Services>) -> Self {
        Self { services: Arc::clone(services) }
    }
}

impl OnThread for Run {
    fn run(&self, job: Job, repo: &Arc<Repo>, record: Option<&Record<'_>>) -> Result<Reply, Error> {
        let Job { parsed, cancel, budget, echo, confirmed, principal, on_progress, client_roots, timings, .. } = job;
        let report = |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
        let context = Context {
            repo,
            cancel: &cancel,
            budget,
            echo,
            record,
            services: &self.services.of_tools,
            principal: &principal,
            confirmed,
            on_progress: &report,
            client_roots: client_roots.as_deref(),
        };
        let result = match record {
            // The journal measures the change with its record.
            Some(_) => parsed.run(&context),
            None => timings.time(Stage::Encode, || parsed.run(&context)),
        };
        with_ambiguities(result, &cancel)
    }
}

/// Adds which of several references an ambiguous name in the arguments was taken for.
fn with_ambiguities(result: Result<Reply, Error>, cancel: &Cancel) -> Result<Reply, Error> {
    let spelled = |name: &str| format!("`{}`", word(Field::Ref, name, "`git for-each-ref`"));
    let described = |one: Ambiguity| {
        let others: Vec<String> = one.others.iter().map(|name| spelled(name)).collect();
        format!("{} is ambiguous: {} was taken, not {}", spelled(&one.name), spelled(&one.taken), others.join(" or "))
    };
    let ambiguities = cancel.ambiguities();
    if ambiguities.is_empty() {
        return result;
    }
    let advice = if ambiguities.iter().any(|one| one.full_name_helps) { "; the full name avoids this" } else { "" };
    let found: Vec<String> = ambiguities.into_iter().map(described).collect();
    let note = format!("{}{advice}", found.join("; "));
    match result {
        Ok(mut reply) => {
            reply.say(&note);
            Ok(reply)
        }
        Err(mut error) => {
            error.message = format!("{}\n{note}", error.message);
            Err(error)
        }
    }
}

/// Maximum number of remote branches named in an error.
const NAMED: usize = 5;

/// Explains an error from the repository's state: branches that only remotes have, the end of a shallow history, and objects
/// missing from a partial clone.
pub(super) fn lacked(repo: &Repo, error: Error, cancel: &Cancel) -> Error {
    if let Some(git::Error::UnknownRevision(name)) = error.cause() {
        let found = repo.matching_remote_branches(name, NAMED, cancel).unwrap_or_default();
        let names: Vec<String> = found.iter().map(|name| format!("`{}`", word(Field::Ref, name, "git_branch"))).collect();
        return match names.as_slice() {
            [] if repo.is_beyond(name, cancel).unwrap_or_default() => {
                error.hint("History is shallow and ends before it: git_fetch with `depth`: 0 gets all of it, a larger `depth` more.")
            }
            [] => error,
            [one] => error.hint(format!("Only a remote has a branch of that name. Use {one}, or create a local branch with git_checkout.")),
            _ => error.hint(format!("Several remotes have a branch of that name. Use one of: {}.", names.join(", "))),
        };
    }
    let lacked = error.cause().filter(|_| repo.is_partial()).and_then(|cause| repo.lacked(cause, cancel));
    lacked.map_or(error, Error::from)
}
