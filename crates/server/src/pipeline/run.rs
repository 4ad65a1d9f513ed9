//! Runs a call, from its arguments to its tool: gate and open, one change at a time, admission, journal, dispatch.

use super::{
    Call, Pipeline,
    change_lock::Locked,
    envelope::{Aim, Envelope},
    stopped,
    timings::Stage,
    worker::Worker,
};
use crate::{
    error::Error,
    journal::Request,
    output::{Budget, Echo, Field, Reply, word},
    tool::{Anywhere, Body, Context, Effect, Entry, Parsed, Scope, entry::RunAnywhere},
};
use git::{Cancel, Direction, Repo, Target};
use guard::{Admission, Class, Permit, Running};
use serde_json::{Map, Value};
use std::{cell::Cell, sync::Arc};

/// A call's parsed arguments.
pub(super) struct Asked {
    envelope: Envelope,
    work: Work,
    /// The remote it names.
    aim: Aim,
    /// Digest of the tool's own arguments; empty for a read-only tool.
    digest: String,
}

/// The work of a call.
enum Work {
    Repository(Box<dyn Parsed>),
    Path(RunAnywhere, Map<String, Value>),
}

impl Pipeline {
    /// Parses a call's arguments, and checks that its caller and the operator's selection allow its effect.
    pub(super) fn asked(&self, call: &Call) -> Result<(Asked, Effect), Error> {
        let (tool, mut args) = (call.tool, call.args.clone());
        let envelope = Envelope::take(tool, &mut args, Budget::of(self.bounds().max_output_tokens));
        let aim = Aim::of(&args);
        let digest = |args: &Map<String, Value>| git::digest(format!("{} {}", tool.name, Value::Object(args.clone())).as_bytes());
        let digest = if tool.effect == Effect::Read { String::new() } else { digest(&args) };
        let work = match tool.body {
            Body::Repository(read) => read(args).map(Work::Repository),
            Body::Path(run) => Ok(Work::Path(run, args)),
        };
        // A call with invalid arguments could have any effect of its tool.
        let effect = match &work {
            Ok(Work::Repository(parsed)) => parsed.effect(),
            Ok(Work::Path(..)) | Err(_) => tool.effect,
        };
        call.caller.check(effect, tool.scope)?;
        self.selection.check(tool, effect)?;
        Ok((Asked { envelope: envelope?, work: work?, aim, digest }, effect))
    }

    pub(super) async fn run(&self, call: Call, asked: Asked, cancel: Cancel, worker: Worker) -> Result<Reply, Error> {
        let Call { tool, args: given, client_roots, on_progress, caller, .. } = call;
        let Asked { envelope: Envelope { wanted, budget, key, confirmed }, work, aim, digest } = asked;
        let principal = Arc::clone(&caller.principal);
        let echo = Echo::new(tool.name, given, budget);
        let bounds = client_roots.clone();
        let finder = self.finder(client_roots, &principal);
        let timings = Arc::clone(worker.timings());
        let parsed = match work {
            Work::Repository(parsed) => parsed,
            Work::Path(body, args) => {
                let url = args.get("url").and_then(Value::as_str).filter(|_| tool.scope.is_remote());
                let target = url.and_then(Target::parse);
                let class = if tool.scope.is_remote() { Class::Network } else { Class::Change };
                let permit = timings.queued(self.approach(class, &principal, target, tool.direction, &cancel)).await?;
                let repositories = Arc::clone(&self.repositories);
                let work = move |_: &Running| {
                    let path = finder.locate_confined(&wanted)?;
                    let report = |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
                    let path = &*path.to_string_lossy();
                    let place = Anywhere { repositories: &repositories, path, cancel: &cancel, on_progress: &report };
                    timings.time(Stage::Encode, || body(&place, args))
                };
                return worker.run(Some(permit), work).await;
            }
        };
        let services = Arc::clone(&self.services);
        let report = move |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
        if parsed.effect() == Effect::Read {
            let permit = if tool.scope.is_remote() {
                let (finder, wanted, own) = (finder.clone(), wanted.clone(), Arc::clone(&timings));
                let open = move || own.open(|| finder.open(&wanted));
                self.place_at_remote(tool, open, aim, (&principal, &cancel), &worker).await?
            } else {
                timings.queued(self.place(Class::Read, &principal, None, &cancel)).await?
            };
            let breakers = Arc::clone(&self.breakers);
            let work = move |_: &Running| {
                let repo = &timings.open(|| finder.open(&wanted))?;
                let (services, on_progress, principal, client_roots) = (&*services, &report, &*principal, bounds.as_deref());
                let context = Context {
                    repo,
                    cancel: &cancel,
                    budget,
                    echo,
                    record: None,
                    services,
                    principal,
                    confirmed,
                    on_progress,
                    client_roots,
                };
                let reply = timings.time(Stage::Encode, || parsed.run(&context)).map_err(|error| lacked(repo, error, &cancel));
                let reply = reply.inspect_err(|error| breakers.storage_of_read(&repo.location().common_dir, error))?;
                // If part of the repository was replaced meanwhile, the data may come from elsewhere.
                repo.check_in_place()?;
                Ok(reply)
            };
            return worker.run(Some(permit), work).await;
        }
        let breakers = Arc::clone(&self.breakers);
        let (ends, owner) = (cancel.clone(), Arc::clone(&principal));
        let own = Arc::clone(&timings);
        let work = move |repo: Arc<Repo>, held: &mut [Locked]| {
            repo.check_changeable(&cancel)?;
            let lock = held.first().map(Locked::lock);
            let request = Request {
                lock,
                tool: tool.name,
                key: key.as_deref(),
                principal: &principal,
                digest,
                worktree_locked: tool.scope != Scope::Remote,
                previous_holder_crashed: held.iter().any(Locked::previous_holder_crashed),
                recovered: Cell::default(),
            };
            let storage = breakers.storage(&repo.location().common_dir)?;
            let before = repo.is_partial().then(|| repo.content_snapshot(&cancel)).transpose()?;
            let result = own.time(Stage::Encode, || {
                services.journal.record(&repo, &request, &cancel, |record| {
                    // The last check before anything changes.
                    held.iter().try_for_each(Locked::check)?;
                    repo.check_in_place()?;
                    let (repo, record, services, on_progress, principal) = (&repo, Some(record), &*services, &report, &*principal);
                    let client_roots = bounds.as_deref();
                    let context =
                        Context { repo, cancel: &cancel, budget, echo, record, services, principal, confirmed, on_progress, client_roots };
                    parsed.run(&context).map_err(|error| match &before {
                        // A call that has already changed something cannot be retried.
                        Some(before) if repo.content_snapshot(&cancel).is_ok_and(|now| now != *before) => error,
                        _ => lacked(repo, error, &cancel),
                    })
                })
            });
            let recovered = request.recovered.get();
            for one in held {
                one.end(recovered);
            }
            storage.end(&result);
            result
        };
        let calling = Calling { tool, aim, owner, ends, worker };
        self.change(calling, move || timings.open(|| finder.open(&wanted)), work).await
    }

    /// Takes a slot for a read from a remote.
    async fn place_at_remote(
        &self,
        tool: &'static Entry,
        open: impl FnOnce() -> Result<Arc<Repo>, Error> + Send + 'static,
        aim: Aim,
        (principal, cancel): (&Arc<str>, &Cancel),
        worker: &Worker,
    ) -> Result<Permit, Error> {
        let timings = worker.timings();
        let opening = timings.queued(self.opening(principal, cancel)).await?;
        let target = worker.run(Some(opening), move |_| Ok(aim.target(&*open()?, tool.direction))).await?;
        timings.queued(self.approach(Class::Network, principal, target, tool.direction, cancel)).await
    }

    /// Runs a change once it holds its locks and a slot.
    async fn change<W>(
        &self,
        calling: Calling,
        open: impl FnOnce() -> Result<Arc<Repo>, Error> + Send + 'static,
        work: W,
    ) -> Result<Reply, Error>
    where
        W: FnOnce(Arc<Repo>, &mut [Locked]) -> Result<Reply, Error> + Send + 'static,
    {
        let Calling { tool, aim, owner, ends, worker } = calling;
        let (change_lock, admission, who, cancel) = (self.change_lock.clone(), self.admission.clone(), Arc::clone(&owner), ends.clone());
        let timings = Arc::clone(worker.timings());
        let opening = timings.queued(self.opening(&owner, &ends)).await?;
        let begun = worker.run(Some(opening), move |running| {
            let repo = open()?;
            // A delayed thread must not change anything after its call was answered.
            cancel.check()?;
            // Without contention the change runs on this thread: a thread hop costs measurable latency.
            let taken = (!tool.scope.is_remote()).then(|| change_lock.take_now(tool.name, tool.scope, &repo)).flatten();
            let Some((mut held, permit)) = taken.and_then(|held| Some((held, admission.try_admit(Class::Change, &who)?))) else {
                return Ok(Begun::Later(repo, work));
            };
            running.hold(Some(permit));
            let result = work(repo, &mut held).map(Begun::Done);
            drop(held);
            result
        });
        let (repo, work) = match begun.await? {
            Begun::Done(reply) => return Ok(reply),
            Begun::Later(repo, work) => (repo, work),
        };
        let mut held = {
            let _waiting = timings.begin(Stage::Lock);
            self.change_lock.take(tool.name, tool.scope, &repo, &ends, &worker).await?
        };
        let permit = if tool.scope.is_remote() {
            let reaching = Arc::clone(&repo);
            let opening = timings.queued(self.opening(&owner, &ends)).await?;
            let target = worker.run(Some(opening), move |_| Ok(aim.target(&reaching, tool.direction))).await?;
            timings.queued(self.approach(Class::Network, &owner, target, tool.direction, &ends)).await?
        } else {
            timings.queued(self.place(Class::Change, &owner, None, &ends)).await?
        };
        let change = move |_: &Running| {
            ends.check()?;
            // Turn and lock are held until the work ends, even if its call was abandoned.
            let result = work(repo, &mut held);
            drop(held);
            result
        };
        worker.run(Some(permit), change).await
    }

    /// Takes a slot for a call to `target`, unless its circuit is open.
    pub(super) async fn approach(
        &self,
        class: Class,
        principal: &Arc<str>,
        target: Option<Target>,
        direction: Direction,
        cancel: &Cancel,
    ) -> Result<Permit, Error> {
        if let Some(target) = &target {
            self.breakers.check(target, direction)?;
        }
        let host = target.map(|target| Arc::from(target.host));
        self.place(class, principal, host, cancel).await
    }

    pub(super) async fn place(&self, class: Class, principal: &Arc<str>, host: Option<Arc<str>>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.admission, class, principal, host, cancel).await
    }

    /// Takes a slot for opening a repository.
    pub(super) async fn opening(&self, principal: &Arc<str>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.openings, Class::Read, principal, None, cancel).await
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

async fn admitted(
    admission: &Admission,
    class: Class,
    principal: &Arc<str>,
    key: Option<Arc<str>>,
    cancel: &Cancel,
) -> Result<Permit, Error> {
    tokio::select! {
        permit = admission.admit(class, principal, key) => Ok(permit?),
        why = stopped(cancel) => Err(why),
    }
}

/// The context of a change.
struct Calling {
    tool: &'static Entry,
    /// The remote it reaches.
    aim: Aim,
    owner: Arc<str>,
    ends: Cancel,
    worker: Worker,
}

/// A finished change, or one that has to wait for its locks.
enum Begun<W> {
    Done(Reply),
    Later(Arc<Repo>, W),
}
