//! The way of a call from its arguments to its tool: gate and open, one change at a time, admission, journal, dispatch.

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

/// What a call asks for, as it was read.
pub(super) struct Asked {
    envelope: Envelope,
    work: Work,
    /// What it says of a remote.
    aim: Aim,
    /// The digest of its own arguments; empty for a tool that only reads.
    digest: String,
}

/// What a call runs.
enum Work {
    Repository(Box<dyn Parsed>),
    Path(RunAnywhere, Map<String, Value>),
}

impl Pipeline {
    /// Reads the arguments of a call, and refuses it where its caller or the operator's selection does not allow what it does.
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
        // What cannot be read might be any call of the tool.
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
                // What was read while a part of the repository was replaced may come from elsewhere.
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
                alone: tool.scope != Scope::Remote,
                follows_a_kill: held.iter().any(Locked::follows_a_kill),
                looked_after: Cell::default(),
            };
            let storage = breakers.storage(&repo.location().common_dir)?;
            let before = repo.is_partial().then(|| repo.content_snapshot(&cancel)).transpose()?;
            let result = own.time(Stage::Encode, || {
                services.journal.record(&repo, &request, &cancel, |record| {
                    // The last moment at which nothing has been done yet.
                    held.iter().try_for_each(Locked::check)?;
                    repo.check_in_place()?;
                    let (repo, record, services, on_progress, principal) = (&repo, Some(record), &*services, &report, &*principal);
                    let client_roots = bounds.as_deref();
                    let context =
                        Context { repo, cancel: &cancel, budget, echo, record, services, principal, confirmed, on_progress, client_roots };
                    parsed.run(&context).map_err(|error| match &before {
                        // Where something has been begun already, the same call would not be the same again.
                        Some(before) if repo.content_snapshot(&cancel).is_ok_and(|now| now != *before) => error,
                        _ => lacked(repo, error, &cancel),
                    })
                })
            });
            let looked_after = request.looked_after.get();
            for one in held {
                one.end(looked_after);
            }
            storage.end(&result);
            result
        };
        let calling = Calling { tool, aim, owner, ends, worker };
        self.change(calling, move || timings.open(|| finder.open(&wanted)), work).await
    }

    /// A place for a read of what a remote has.
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

    /// Makes a change once nothing else is in its way.
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
        let (alone, admission, who, cancel) = (self.change_lock.clone(), self.admission.clone(), Arc::clone(&owner), ends.clone());
        let timings = Arc::clone(worker.timings());
        let opening = timings.queued(self.opening(&owner, &ends)).await?;
        let begun = worker.run(Some(opening), move |running| {
            let repo = open()?;
            // A thread that was held up is not to change anything once its call is answered.
            cancel.check()?;
            // Where nobody is in the way all of it happens on this thread: a hop to another costs measurable latency.
            let taken = (!tool.scope.is_remote()).then(|| alone.take_now(tool.name, tool.scope, &repo)).flatten();
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
            // Turn and lock are held until the work has ended, also when nobody waits for it any more.
            let result = work(repo, &mut held);
            drop(held);
            result
        };
        worker.run(Some(permit), change).await
    }

    /// A place for a call that reaches `target`, unless that is known to be down.
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

    /// A place to open a repository in.
    pub(super) async fn opening(&self, principal: &Arc<str>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.openings, Class::Read, principal, None, cancel).await
    }
}

/// The most branches of remotes that an error names.
const NAMED: usize = 5;

/// Names what a call has failed for that only the repository can tell: branches that only remotes have, where a shallow history
/// ends, and what a partial clone leaves out.
pub(super) fn lacked(repo: &Repo, error: Error, cancel: &Cancel) -> Error {
    if let Some(git::Error::UnknownRevision(name)) = error.cause() {
        let found = repo.meant_on_remotes(name, NAMED, cancel).unwrap_or_default();
        let names: Vec<String> = found.iter().map(|name| format!("`{}`", word(Field::Ref, name, "git_branch"))).collect();
        return match names.as_slice() {
            [] if repo.is_beyond(name, cancel).unwrap_or_default() => error
                .hint("History is shallow and ends before that: git_fetch with `depth`: 0 gets all of it, and with a larger `depth` more."),
            [] => error,
            [one] => {
                error.hint(format!("Only a remote has a branch of that name. Name it as {one}, or make a branch of it with git_checkout."))
            }
            _ => error.hint(format!("Several remotes have a branch of that name. Name one: {}.", names.join(", "))),
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

/// Who makes a change, and how.
struct Calling {
    tool: &'static Entry,
    /// The remote that it reaches.
    aim: Aim,
    owner: Arc<str>,
    ends: Cancel,
    worker: Worker,
}

/// A change that is made, or has to wait for its turn.
enum Begun<W> {
    Done(Reply),
    Later(Arc<Repo>, W),
}
