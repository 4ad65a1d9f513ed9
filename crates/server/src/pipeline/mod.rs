//! What happens to a call, from the outside in: observe, panic barrier, deadline and cancellation, gate and open,
//! one change at a time, admission, journal, dispatch.
//!
//! The last four run in the order that the effect of the tool asks for. A change waits for its worktree before it takes
//! a place, so that waiting writers leave every place to others; a read takes its place first and opens its repository
//! on the thread that it then reads on.
//!
//! A call is answered whatever its thread does: one that does not end in time is lost, and its place is free again.

mod alone;
mod repository;
mod worker;

use crate::{
    arguments::{budget, idempotency_key, take_switch},
    caller::Caller,
    circuits::Breakers,
    class::ErrorClass,
    error::{Error, Kind},
    journal::Request,
    output::{Budget, Echo, Reply},
    persistence::Persistence,
    selection::Selection,
    suspicion::Suspicions,
    tool::{Anywhere, Body, Context, Effect, Entry, Reporter, Scope},
    view::View,
};
use alone::Locked;
pub(crate) use alone::{Alone, LOCK_WAITS};
use git::{Cancel, Direction, Repo, Repositories, Target};
use guard::{Admission, Class, ErrorWindows, Permit, Resources, Running, Threads};
use repository::Wanted;
use serde_json::{Map, Value};
use std::{
    cell::Cell,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use worker::{Attended, Grace, Worker};

/// How long the server waits for a lost thread at its end: git has three seconds between SIGTERM and SIGKILL.
const LOST_GRACE: Duration = Duration::from_millis(3500);

/// A tool call, free of any wire format.
pub struct Call {
    /// The tool.
    pub tool: &'static Entry,
    /// Its arguments, not yet parsed.
    pub args: Map<String, Value>,
    /// Who makes it.
    pub caller: Caller,
    /// Fires when the caller gives up.
    pub cancelled: CancellationToken,
    /// When the call arrived. The deadline counts from here.
    pub received: Instant,
    /// Directories that the client confines itself to.
    pub narrowed: Option<Vec<PathBuf>>,
    /// Hears how far the call has come.
    pub on_progress: Option<Reporter>,
}

/// A read that is not a call of a tool: of a resource, or of what could complete an argument.
pub(crate) struct Visit {
    /// As in the arguments of a tool.
    pub(crate) path: Option<String>,
    pub(crate) caller: Caller,
    pub(crate) cancelled: CancellationToken,
    pub(crate) narrowed: Option<Vec<PathBuf>>,
}

/// How long calls may take and how large results may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// For a read.
    pub read_timeout: Duration,
    /// For a change.
    pub change_timeout: Duration,
    /// For what reaches a remote.
    pub network_timeout: Duration,
    /// In tokens; 0 is no limit.
    pub max_output_tokens: usize,
}

/// Everything that a call passes through.
pub struct Pipeline {
    pub(crate) tools: Vec<&'static Entry>,
    pub(crate) listed: Vec<&'static Entry>,
    pub(crate) selection: Selection,
    pub(crate) view: Arc<View>,
    pub(crate) repositories: Arc<Repositories>,
    pub(crate) admission: Admission,
    /// Places to open a repository in, for calls that do so before they take a place of their class.
    pub(crate) openings: Admission,
    /// Counts lost threads.
    pub(crate) threads: Threads,
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) persistence: Arc<Persistence>,
    pub(crate) errors: Arc<ErrorWindows<ErrorClass>>,
    pub(crate) suspicions: Suspicions,
    pub(crate) resources: Resources,
    /// Cancelled, and replaced, when everything that runs is to end while the server goes on.
    pub(crate) present: Mutex<CancellationToken>,
    pub(crate) alone: Alone,
    pub(crate) bounds: Bounds,
    pub(crate) stop: CancellationToken,
    /// Calls that somebody waits for, whether they run or wait for their turn.
    pub(crate) calls: TaskTracker,
    /// The threads of calls, also of those that nobody waits for any more.
    pub(crate) running: TaskTracker,
}

impl Pipeline {
    /// The tools that clients are told of.
    pub fn listed(&self) -> &[&'static Entry] {
        &self.listed
    }

    /// The tool called `name`.
    pub fn find(&self, name: &str) -> Option<&'static Entry> {
        self.tools.iter().copied().find(|entry| entry.name == name)
    }

    /// Runs a call to its end.
    ///
    /// # Errors
    ///
    /// Whatever the tool ended in, and what kept it from running.
    pub async fn call(&self, call: Call) -> Result<Reply, Error> {
        let (tool, received, principal) = (call.tool.name, call.received, Arc::clone(&call.caller.principal));
        // Also while it waits for its turn.
        let _running = self.calls.token();
        let mut result = self.bounded(call).await;
        if let Err(error) = &mut result
            && error.kind == Kind::Foreign
            && self.is_breach(&principal, "handles of others were used").await
        {
            error.kind = Kind::Breach;
        }
        let duration_ms = u64::try_from(received.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &result {
            Ok(_) => tracing::info!(tool, duration_ms, "done"),
            Err(error) => {
                self.errors.record(error.class());
                let cause = std::error::Error::source(error).map(|_| error.code());
                tracing::info!(tool, duration_ms, error_class = error.class().name(), code = error.code(), cause, "failed");
            }
        }
        result
    }

    /// Notes that a principal has tried what is another's, or forged. Whoever does so again and again loses all handles.
    pub(crate) async fn is_breach(&self, principal: &Arc<str>, what: &'static str) -> bool {
        let is_breach = self.suspicions.note(principal, Instant::now());
        if is_breach {
            let revoked = self.view.workspaces.revoke(principal).await;
            tracing::warn!(principal = &**principal, what, revoked, "a breach: again and again");
        }
        is_breach
    }

    /// Waits until nothing runs, as the server ends.
    pub async fn idle(&self, at_most: Duration) {
        self.calls.close();
        self.running.close();
        let ended = async { tokio::join!(self.calls.wait(), self.running.wait()) };
        let only_lost_are_left = async {
            let is_quiet = || self.threads.since_last().is_none_or(|since| since >= LOST_GRACE);
            while self.unfinished() > 0 || !is_quiet() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            biased;
            _ = ended => {}
            () = only_lost_are_left => tracing::warn!(threads = self.threads.total(), "the server ends without its lost threads"),
            // The rest ends with the process; the children's groups have had their signals by now.
            () = tokio::time::sleep(at_most) => tracing::warn!("calls were still running at the end"),
        }
    }

    /// How many calls have not ended, lost threads apart.
    fn unfinished(&self) -> usize {
        self.calls.len().max(self.running.len().saturating_sub(self.threads.total()))
    }

    /// Ends everything that runs, and lets the server go on. Gives how many calls that were.
    pub(crate) fn stop_operations(&self) -> usize {
        let running = self.admission.loads().iter().map(|load| load.running + load.waiting).sum();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *present).cancel();
        running
    }

    /// Returns once no call runs, or after so long; how many are left then. Lost threads do not count: nobody waits for them.
    pub(crate) async fn drained(&self, at_most: Duration) -> usize {
        let empty = async {
            while self.unfinished() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(at_most, empty).await.ok();
        self.unfinished()
    }

    /// Gives the call its deadline.
    async fn bounded(&self, call: Call) -> Result<Reply, Error> {
        let reads = (call.tool.effect_of)(&call.args) == Effect::Read;
        let (class, timeout) = match call.tool.scope {
            scope if scope.is_remote() => (Class::Network, self.bounds.network_timeout),
            _ if reads => (Class::Read, self.bounds.read_timeout),
            _ => (Class::Change, self.bounds.change_timeout),
        };
        let cancel = Cancel::new(Some(call.received + timeout));
        let (cancelled, job) = (call.cancelled.clone(), self.threads.job(class));
        let worker = Worker::new(&self.running, &job);
        let grace = if reads { Grace::READ } else { Grace::CHANGE };
        self.watched(self.run(call, cancel.clone(), worker), Attended(job), &cancel, cancelled, grace).await
    }

    /// Carries a cancel, the deadline and the end of the server to wherever the work is.
    async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
        attended: Attended,
        cancel: &Cancel,
        cancelled: CancellationToken,
        grace: Grace,
    ) -> Result<T, Error> {
        tokio::pin!(work);
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopping = async {
            self.stop.cancelled().await;
            tokio::time::sleep(grace.stop).await;
        };
        let late = async {
            match cancel.deadline() {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        let given_up = tokio::select! {
            done = &mut work => return done,
            () = cancelled.cancelled() => Given::Up,
            () = present.cancelled() => Given::Up,
            () = stopping => Given::Up,
            () = late => Given::TimeOut,
        };
        match given_up {
            Given::Up => cancel.cancel(),
            Given::TimeOut => cancel.time_out(),
        }
        // Most work ends soon, since it watches `cancel`: what it says then is the better answer.
        if let Ok(done) = tokio::time::timeout(grace.end, work).await {
            return done;
        }
        let lost = attended.0.abandon();
        if lost == 0 {
            return Err(cancel.check().err().map_or_else(panicked, Error::from));
        }
        tracing::warn!(lost, threads = self.threads.total(), "a call is answered though its thread does not end");
        Err(grace.unanswered(cancel))
    }

    /// Reads from a repository outside of any tool.
    pub(crate) async fn visit<T: Send + 'static>(
        &self,
        visit: Visit,
        work: impl FnOnce(&Arc<Repo>, &Cancel) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Visit { path, caller, cancelled, narrowed } = visit;
        let _running = self.calls.token();
        caller.check(Effect::Read, Scope::Worktree)?;
        let (finder, wanted) = (self.finder(narrowed, &caller.principal), Wanted::path(path));
        let cancel = Cancel::new(Some(Instant::now() + self.bounds.read_timeout));
        let (stop, job) = (cancel.clone(), self.threads.job(Class::Read));
        let worker = Worker::new(&self.running, &job);
        let read = async {
            let permit = self.place(Class::Read, &caller.principal, None, &cancel).await?;
            let work = move |_: &Running| {
                let repo = finder.open(&wanted)?;
                let found = work(&repo, &stop)?;
                repo.check_in_place()?;
                Ok(found)
            };
            worker.run(Some(permit), work).await
        };
        self.watched(read, Attended(job), &cancel, cancelled, Grace::READ).await
    }

    async fn run(&self, call: Call, cancel: Cancel, worker: Worker) -> Result<Reply, Error> {
        let Call { tool, mut args, narrowed, on_progress, caller, .. } = call;
        let effect = (tool.effect_of)(&args);
        caller.check(effect, tool.scope)?;
        self.selection.check(tool, effect)?;
        let given = args.clone();
        let principal = Arc::clone(&caller.principal);
        let wanted = Wanted::take(&mut args)?;
        let budget = budget(&mut args, Budget::of(self.bounds.max_output_tokens))?;
        let echo = Echo::new(tool.name, given, budget);
        let changes = tool.effect != Effect::Read;
        let key = if changes { idempotency_key(&mut args)? } else { None };
        let confirmed = changes && take_switch(&mut args, "confirm")?;
        let finder = self.finder(narrowed, &principal);
        let body = match tool.body {
            Body::Repository(body) => body,
            Body::Path(body) => {
                let url = args.get("url").and_then(Value::as_str).filter(|_| tool.scope.is_remote());
                let target = url.and_then(Target::parse);
                let class = if tool.scope.is_remote() { Class::Network } else { Class::Change };
                let permit = self.approach(class, &principal, target, tool.direction, &cancel).await?;
                let repositories = Arc::clone(&self.repositories);
                let work = move |_: &Running| {
                    let path = finder.locate_confined(&wanted)?;
                    let report = |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
                    let path = &*path.to_string_lossy();
                    body(&Anywhere { repositories: &repositories, path, cancel: &cancel, on_progress: &report }, args)
                };
                return worker.run(Some(permit), work).await;
            }
        };
        let view = Arc::clone(&self.view);
        let report = move |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
        if effect == Effect::Read {
            let permit = if tool.scope.is_remote() {
                let (finder, wanted, remote) = (finder.clone(), wanted.clone(), remote_of(&args));
                let opening = self.opening(&principal, &cancel).await?;
                let find = move |_: &Running| finder.open(&wanted).map(|repo| repo.target(remote.as_deref(), tool.direction));
                let target = worker.run(Some(opening), find).await?;
                self.approach(Class::Network, &principal, target, tool.direction, &cancel).await?
            } else {
                self.place(Class::Read, &principal, None, &cancel).await?
            };
            let work = move |_: &Running| {
                let (repo, view, on_progress, principal) = (&finder.open(&wanted)?, &*view, &report, &*principal);
                let reply =
                    body(&Context { repo, cancel: &cancel, budget, echo, record: None, view, principal, confirmed, on_progress }, args)?;
                // What was read while a part of the repository was replaced may come from elsewhere.
                repo.check_in_place()?;
                Ok(reply)
            };
            return worker.run(Some(permit), work).await;
        }
        let breakers = Arc::clone(&self.breakers);
        let digest = git::digest(format!("{} {}", tool.name, Value::Object(args.clone())).as_bytes());
        let (reached, ends, owner) = (remote_of(&args), cancel.clone(), Arc::clone(&principal));
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
            let result = view.journal.record(&repo, &request, &cancel, |record| {
                // The last moment at which nothing has been done yet.
                held.iter().try_for_each(Locked::check)?;
                repo.check_in_place()?;
                let (repo, record, view, on_progress, principal) = (&repo, Some(record), &*view, &report, &*principal);
                body(&Context { repo, cancel: &cancel, budget, echo, record, view, principal, confirmed, on_progress }, args)
            });
            let looked_after = request.looked_after.get();
            for one in held {
                one.end(looked_after);
            }
            storage.end(&result);
            result
        };
        let calling = Calling { tool, remote: reached, owner, ends, worker };
        self.change(calling, move || finder.open(&wanted), work).await
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
        let Calling { tool, remote, owner, ends, worker } = calling;
        let (alone, admission, who, cancel) = (self.alone.clone(), self.admission.clone(), Arc::clone(&owner), ends.clone());
        let opening = self.opening(&owner, &ends).await?;
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
        let mut held = self.alone.take(tool.name, tool.scope, &repo, &ends, &worker).await?;
        let permit = if tool.scope.is_remote() {
            let reaching = Arc::clone(&repo);
            let opening = self.opening(&owner, &ends).await?;
            let target = worker.run(Some(opening), move |_| Ok(reaching.target(remote.as_deref(), tool.direction))).await?;
            self.approach(Class::Network, &owner, target, tool.direction, &ends).await?
        } else {
            self.place(Class::Change, &owner, None, &ends).await?
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
    async fn approach(
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

    async fn place(&self, class: Class, principal: &Arc<str>, host: Option<Arc<str>>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.admission, class, principal, host, cancel).await
    }

    /// A place to open a repository in.
    async fn opening(&self, principal: &Arc<str>, cancel: &Cancel) -> Result<Permit, Error> {
        admitted(&self.openings, Class::Read, principal, None, cancel).await
    }
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
    /// The remote that it names.
    remote: Option<String>,
    owner: Arc<str>,
    ends: Cancel,
    worker: Worker,
}

/// The remote that a call names.
fn remote_of(args: &Map<String, Value>) -> Option<String> {
    args.get("remote").and_then(Value::as_str).map(str::to_owned)
}

/// A change that is made, or has to wait for its turn.
enum Begun<W> {
    Done(Reply),
    Later(Arc<Repo>, W),
}

enum Given {
    Up,
    TimeOut,
}

fn panicked() -> Error {
    Error::new(Kind::Internal, "the call failed inside the server; the fault is in its log").hint("Other calls are not affected.")
}

/// Returns once the work is to stop.
async fn stopped(cancel: &Cancel) -> Error {
    let waiting = Arc::new(tokio::sync::Notify::new());
    let wake = Arc::clone(&waiting);
    let _guard = cancel.on_stop(move || wake.notify_one());
    waiting.notified().await;
    cancel.check().err().map_or_else(panicked, Error::from)
}

#[cfg(test)]
mod tests;
