//! What happens to a call, from the outside in: observe, panic barrier, deadline and cancellation, gate and open,
//! one change at a time, admission, journal, dispatch.
//!
//! The last four run in the order that the effect of the tool asks for. A change waits for its worktree before it takes
//! a place, so that waiting writers leave every place to others; a read takes its place first and opens its repository
//! on the thread that it then reads on.

mod alone;
mod repository;

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
pub(crate) use alone::Alone;
use alone::Locked;
use git::{Cancel, Direction, Repo, Repositories, Target};
use guard::{Admission, Class, ErrorWindows, Permit, Resources};
use repository::{confine, open};
use serde_json::{Map, Value};
use std::{
    cell::Cell,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a running read may go on once the server is to stop.
const READ_GRACE: Duration = Duration::from_millis(700);
/// How long a running change may.
const CHANGE_GRACE: Duration = Duration::from_secs(5);

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
        // What is left then is cut off with the process; the children's groups have had their signals by now.
        if tokio::time::timeout(at_most, ended).await.is_err() {
            tracing::warn!("calls were still running at the end");
        }
    }

    /// Ends everything that runs, and lets the server go on. Gives how many calls that were.
    pub(crate) fn stop_operations(&self) -> usize {
        let running = self.admission.loads().iter().map(|load| load.running + load.waiting).sum();
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *present).cancel();
        running
    }

    /// Returns once no call runs, or after so long; how many are left then.
    pub(crate) async fn drained(&self, at_most: Duration) -> usize {
        let running = || self.calls.len().max(self.running.len());
        let empty = async {
            while running() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(at_most, empty).await.ok();
        running()
    }

    /// Gives the call its deadline.
    async fn bounded(&self, call: Call) -> Result<Reply, Error> {
        let reads = (call.tool.effect_of)(&call.args) == Effect::Read;
        let timeout = match call.tool.scope {
            scope if scope.is_remote() => self.bounds.network_timeout,
            _ if reads => self.bounds.read_timeout,
            _ => self.bounds.change_timeout,
        };
        let deadline = call.received + timeout;
        let cancel = Cancel::new(Some(deadline));
        let cancelled = call.cancelled.clone();
        let grace = if reads { READ_GRACE } else { CHANGE_GRACE };
        self.watched(self.run(call, cancel.clone()), &cancel, cancelled, deadline, grace).await
    }

    /// Carries a cancel, the deadline and the end of the server to wherever the work is.
    async fn watched<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
        cancel: &Cancel,
        cancelled: CancellationToken,
        deadline: Instant,
        grace: Duration,
    ) -> Result<T, Error> {
        tokio::pin!(work);
        let present = self.present.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopping = async {
            self.stop.cancelled().await;
            tokio::time::sleep(grace).await;
        };
        let given_up = tokio::select! {
            done = &mut work => return done,
            () = cancelled.cancelled() => Given::Up,
            () = present.cancelled() => Given::Up,
            () = stopping => Given::Up,
            () = tokio::time::sleep_until(deadline.into()) => Given::TimeOut,
        };
        match given_up {
            Given::Up => cancel.cancel(),
            Given::TimeOut => cancel.time_out(),
        }
        // The work ends soon, since it watches `cancel`: what it says then is the better answer.
        work.await
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
        let path = self.target(path.as_deref(), narrowed.as_deref())?;
        let deadline = Instant::now() + self.bounds.read_timeout;
        let cancel = Cancel::new(Some(deadline));
        let (repositories, view, stop) = (Arc::clone(&self.repositories), Arc::clone(&self.view), cancel.clone());
        let read = async {
            let permit = self.place(Class::Read, &caller.principal, None, &cancel).await?;
            let work = move || {
                let repo = open(&path, &repositories, narrowed.as_deref(), (&view, &caller.principal))?;
                let found = work(&repo, &stop)?;
                repo.check_in_place()?;
                Ok(found)
            };
            self.on_a_thread(permit, work).await
        };
        self.watched(read, &cancel, cancelled, deadline, READ_GRACE).await
    }

    async fn run(&self, call: Call, cancel: Cancel) -> Result<Reply, Error> {
        let Call { tool, mut args, narrowed, on_progress, caller, .. } = call;
        let effect = (tool.effect_of)(&args);
        caller.check(effect, tool.scope)?;
        self.selection.check(tool, effect)?;
        let echo = Echo::new(tool.name, args.clone());
        let principal = Arc::clone(&caller.principal);
        let path = self.place_of(&mut args, &principal).await?;
        let budget = budget(&mut args, Budget::of(self.bounds.max_output_tokens))?;
        let changes = tool.effect != Effect::Read;
        let key = if changes { idempotency_key(&mut args)? } else { None };
        let confirmed = changes && take_switch(&mut args, "confirm")?;
        let path = self.target(path.as_deref(), narrowed.as_deref())?;
        let repositories = Arc::clone(&self.repositories);
        let body = match tool.body {
            Body::Repository(body) => body,
            Body::Path(body) => {
                let url = args.get("url").and_then(Value::as_str).filter(|_| tool.scope.is_remote());
                let target = url.and_then(Target::parse);
                let class = if tool.scope.is_remote() { Class::Network } else { Class::Change };
                let permit = self.approach(class, &principal, target, tool.direction, &cancel).await?;
                confine(&path, narrowed.as_deref())?;
                let work = move || {
                    let report = |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
                    let path = &*path.to_string_lossy();
                    body(&Anywhere { repositories: &repositories, path, cancel: &cancel, on_progress: &report }, args)
                };
                return self.on_a_thread(permit, work).await;
            }
        };
        let view = Arc::clone(&self.view);
        let (owner, shared) = (Arc::clone(&principal), Arc::clone(&view));
        let open = move |path: &Path| open(path, &repositories, narrowed.as_deref(), (&shared, &owner));
        let report = move |progress| on_progress.iter().for_each(|report| report(Clone::clone(&progress)));
        if effect == Effect::Read {
            let permit = if tool.scope.is_remote() {
                let (open, path, remote) = (open.clone(), path.clone(), remote_of(&args));
                let find = move || open(&path).map(|repo| repo.target(remote.as_deref(), tool.direction));
                let target = self.running.spawn_blocking(find).await.map_err(|_| panicked())??;
                self.approach(Class::Network, &principal, target, tool.direction, &cancel).await?
            } else {
                self.place(Class::Read, &principal, None, &cancel).await?
            };
            let work = move || {
                let (repo, view, on_progress, principal) = (&open(&path)?, &*view, &report, &*principal);
                let reply =
                    body(&Context { repo, cancel: &cancel, budget, echo, record: None, view, principal, confirmed, on_progress }, args)?;
                // What was read while a part of the repository was replaced may come from elsewhere.
                repo.check_in_place()?;
                Ok(reply)
            };
            return self.on_a_thread(permit, work).await;
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
        self.change((tool, reached), move || open(&path), work, owner, ends).await
    }

    /// Makes a change once nothing else is in its way.
    async fn change<W>(
        &self,
        (tool, remote): (&'static Entry, Option<String>),
        open: impl FnOnce() -> Result<Arc<Repo>, Error> + Send + 'static,
        work: W,
        owner: Arc<str>,
        ends: Cancel,
    ) -> Result<Reply, Error>
    where
        W: FnOnce(Arc<Repo>, &mut [Locked]) -> Result<Reply, Error> + Send + 'static,
    {
        let (alone, admission, who) = (self.alone.clone(), self.admission.clone(), Arc::clone(&owner));
        let begun = self.running.spawn_blocking(move || {
            let repo = open()?;
            // Where nobody is in the way all of it happens on this thread: going from one to the next is felt.
            let taken = (!tool.scope.is_remote()).then(|| alone.take_now(tool.name, tool.scope, &repo)).flatten();
            let Some((mut held, permit)) = taken.and_then(|held| Some((held, admission.try_admit(Class::Change, &who)?))) else {
                return Ok(Begun::Later(repo, work));
            };
            let result = work(repo, &mut held).map(Begun::Done);
            drop((held, permit));
            result
        });
        let (repo, work) = match begun.await.map_err(|_| panicked())?? {
            Begun::Done(reply) => return Ok(reply),
            Begun::Later(repo, work) => (repo, work),
        };
        let mut held = self.alone.take(tool.name, tool.scope, &repo, &ends, &self.running).await?;
        let permit = if tool.scope.is_remote() {
            let reaching = Arc::clone(&repo);
            let find = move || reaching.target(remote.as_deref(), tool.direction);
            let target = self.running.spawn_blocking(find).await.map_err(|_| panicked())?;
            self.approach(Class::Network, &owner, target, tool.direction, &ends).await?
        } else {
            self.place(Class::Change, &owner, None, &ends).await?
        };
        let task = self.running.spawn_blocking(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let result = work(repo, &mut held);
            drop((held, permit));
            result
        });
        task.await.unwrap_or_else(|_| Err(panicked()))
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
        tokio::select! {
            permit = self.admission.admit(class, principal, host) => Ok(permit?),
            why = stopped(cancel) => Err(why),
        }
    }

    /// Does the work on a thread of its own, where a panic ends the call and nothing else.
    async fn on_a_thread<T: Send + 'static>(
        &self,
        permit: Permit,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.running.spawn_blocking(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let _held = permit;
            work()
        });
        task.await.unwrap_or_else(|_| Err(panicked()))
    }
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
