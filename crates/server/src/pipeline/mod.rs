//! What happens to a call, from the outside in: observe, panic barrier, deadline and cancellation, gate and open,
//! one change at a time, admission, journal, dispatch.
//!
//! The last four run in the order that the effect of the tool asks for. A change waits for its worktree before it takes
//! a place, so that waiting writers leave every place to others; a read takes its place first and opens its repository
//! on the thread that it then reads on.

mod repository;

use crate::{
    arguments::{budget, idempotency_key, take_switch},
    caller::Caller,
    circuits::Breakers,
    class::ErrorClass,
    error::{Error, Kind},
    journal::Request,
    output::{Budget, Echo, Reply},
    persistence::{Leased, Persistence},
    selection::Selection,
    state::StateDir,
    tool::{Anywhere, Body, Context, Effect, Entry, Reporter, Scope},
    view::View,
};
use git::{Cancel, Direction, Held, Locks, Repo, Repositories, Target};
use guard::{Admission, Class, ErrorWindows, Exclusive, Permit, ResourceGuard, Resources, Turn};
use repository::{confine, open};
use serde_json::{Map, Value};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long a running read may go on once the server is to stop.
const READ_GRACE: Duration = Duration::from_millis(700);
/// How long a running change may.
const CHANGE_GRACE: Duration = Duration::from_secs(5);
/// How long a change waits for one of another server.
const LOCK_WAIT: Duration = Duration::from_secs(30);

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
    pub(crate) resources: Resources,
    /// Cancelled, and replaced, when everything that runs is to end while the server goes on.
    pub(crate) present: Mutex<CancellationToken>,
    pub(crate) exclusive: Exclusive<PathBuf>,
    pub(crate) state: Arc<StateDir>,
    pub(crate) bounds: Bounds,
    pub(crate) stop: CancellationToken,
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
        let (tool, received) = (call.tool.name, call.received);
        let result = self.bounded(call).await;
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

    /// Waits until nothing runs, as the server ends.
    pub async fn idle(&self, at_most: Duration) {
        self.running.close();
        // What is left then is cut off with the process; the children's groups have had their signals by now.
        if tokio::time::timeout(at_most, self.running.wait()).await.is_err() {
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

    /// Returns once no call runs, or after so long; what is left then.
    pub(crate) async fn drained(&self, at_most: Duration) -> usize {
        let running = || self.running.len();
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
        caller.check(Effect::Read, Scope::Worktree)?;
        let path = self.target(path.as_deref(), narrowed.as_deref())?;
        let deadline = Instant::now() + self.bounds.read_timeout;
        let cancel = Cancel::new(Some(deadline));
        let (repositories, view, stop) = (Arc::clone(&self.repositories), Arc::clone(&self.view), cancel.clone());
        let read = async {
            let permit = self.place(Class::Read, &caller.principal, None, &cancel).await?;
            let work = move || work(&open(&path, &repositories, narrowed.as_deref(), (&view, &caller.principal))?, &stop);
            self.on_a_thread(Vec::new(), permit, work).await
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
        let path = self.place_of(&mut args, &principal)?;
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
                return self.on_a_thread(Vec::new(), permit, work).await;
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
                body(&Context { repo, cancel: &cancel, budget, echo, record: None, view, principal, confirmed, on_progress }, args)
            };
            return self.on_a_thread(Vec::new(), permit, work).await;
        }
        let repo = self.running.spawn_blocking(move || open(&path)).await.map_err(|_| panicked())??;
        let mut held = Vec::new();
        for resource in resources(tool.scope, &repo) {
            let turn = tokio::select! {
                turn = self.exclusive.turn(&resource) => turn?,
                why = stopped(&cancel) => return Err(why),
            };
            held.push(self.lock(turn, tool.name, resource, &cancel).await?);
        }
        let permit = if tool.scope.is_remote() {
            let (reached, remote) = (Arc::clone(&repo), remote_of(&args));
            let find = move || reached.target(remote.as_deref(), tool.direction);
            let target = self.running.spawn_blocking(find).await.map_err(|_| panicked())?;
            self.approach(Class::Network, &principal, target, tool.direction, &cancel).await?
        } else {
            self.place(Class::Change, &principal, None, &cancel).await?
        };
        let leases: Vec<Leased> = held.iter_mut().filter_map(|lock| lock.lease.take()).collect();
        let breakers = Arc::clone(&self.breakers);
        let digest = git::digest(format!("{} {}", tool.name, Value::Object(args.clone())).as_bytes());
        let work = move || {
            repo.check_changeable(&cancel)?;
            let request =
                Request { tool: tool.name, key: key.as_deref(), principal: &principal, digest, alone: tool.scope != Scope::Remote };
            let storage = breakers.storage(&repo.location().common_dir)?;
            let result = view.journal.record(&repo, &request, &cancel, |record| {
                // The last moment at which nothing has been done yet.
                leases.iter().try_for_each(Leased::check)?;
                let (repo, record, view, on_progress, principal) = (&repo, Some(record), &*view, &report, &*principal);
                body(&Context { repo, cancel: &cancel, budget, echo, record, view, principal, confirmed, on_progress }, args)
            });
            storage.end(&result);
            result
        };
        self.on_a_thread(held, permit, work).await
    }

    /// Takes the lock that keeps other servers from changing the worktree, on this machine and on those that share the store.
    async fn lock(&self, turn: Turn, tool: &'static str, worktree: PathBuf, cancel: &Cancel) -> Result<Locked, Error> {
        let listed = self.resources.acquire("lock", format!("{tool} in {}", worktree.display()), None).ok();
        let lease = Leased::take(&self.persistence, &worktree, LOCK_WAIT, cancel).await?;
        let (state, cancel) = (Arc::clone(&self.state), cancel.clone());
        let take = move || -> Result<Held, Error> {
            let dir = state.ready()?;
            Ok(Locks::new(dir.join("locks")).take(&worktree, tool, LOCK_WAIT, &cancel)?)
        };
        let held = self.running.spawn_blocking(take).await.map_err(|_| panicked())??;
        Ok(Locked { lease, _held: held, _turn: turn, _listed: listed })
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
        held: Vec<Locked>,
        permit: Permit,
        work: impl FnOnce() -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.running.spawn_blocking(move || {
            // Held until the work has ended, also when nobody waits for it any more.
            let _held = (held, permit);
            work()
        });
        task.await.unwrap_or_else(|_| Err(panicked()))
    }
}

/// What a change of this scope has to itself, in the order in which it is taken.
fn resources(scope: Scope, repo: &Repo) -> Vec<PathBuf> {
    let (worktree, common) = (repo.top().to_owned(), &repo.location().common_dir);
    match scope {
        Scope::Worktree | Scope::RemoteAndWorktree => vec![worktree],
        Scope::Shared => vec![worktree, common.join("shared")],
        Scope::Remote => vec![common.join("remote")],
    }
}

/// What a change has to itself. Given back in this order: the lease, then the lock, then the turn.
struct Locked {
    lease: Option<Leased>,
    _held: Held,
    _turn: Turn,
    _listed: Option<ResourceGuard>,
}

/// The remote that a call names.
fn remote_of(args: &Map<String, Value>) -> Option<String> {
    args.get("remote").and_then(Value::as_str).map(str::to_owned)
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
mod tests {
    use super::*;
    use crate::{journal::Journal, policy::Policy, tool::RunAnywhere, workspace::Workspaces};
    use git::{Git, Roots};
    use guard::Places;

    fn entry(body: RunAnywhere) -> &'static Entry {
        Box::leak(Box::new(Entry {
            name: "test",
            about: "",
            effect: Effect::Write,
            scope: Scope::Worktree,
            direction: Direction::Fetch,
            effect_of: |_| Effect::Write,
            toolset: crate::selection::Toolset::Default,
            schema: || Value::Null,
            output: None,
            body: Body::Path(body),
        }))
    }

    fn pipeline() -> Pipeline {
        let places = Places::new(2, 2);
        let breakers = Breakers::new(guard::CircuitConfig::default(), Vec::new(), git::Network::default());
        let state = Arc::new(StateDir::new(PathBuf::from("/nonexistent")));
        let address = store::Address::File(PathBuf::from("/nonexistent/store.db"));
        Pipeline {
            persistence: Persistence::new(address, Arc::clone(&state), &breakers),
            breakers,
            errors: Arc::default(),
            resources: Resources::new(&["lock"]),
            present: Mutex::default(),
            tools: Vec::new(),
            listed: Vec::new(),
            selection: Selection::default(),
            view: Arc::new(View {
                policy: Policy::default(),
                workspaces: Workspaces::new(Arc::new(StateDir::new(PathBuf::from("/nonexistent")))),
                journal: Journal::new(PathBuf::from("/nonexistent"), None),
            }),
            repositories: Arc::new(Repositories::new(Git::new(None), Roots::around(Path::new(env!("CARGO_MANIFEST_DIR"))))),
            admission: Admission::new(places, places, places),
            exclusive: Exclusive::new(Duration::from_secs(1)),
            state,
            bounds: Bounds {
                read_timeout: Duration::from_mins(1),
                change_timeout: Duration::from_millis(100),
                network_timeout: Duration::from_mins(1),
                max_output_tokens: 0,
            },
            stop: CancellationToken::new(),
            running: TaskTracker::new(),
        }
    }

    async fn run(body: RunAnywhere, cancelled: CancellationToken) -> Option<Kind> {
        let call = Call {
            tool: entry(body),
            args: Map::new(),
            cancelled,
            received: Instant::now(),
            narrowed: None,
            on_progress: None,
            caller: Caller::local(),
        };
        pipeline().call(call).await.err().map(|error| error.kind)
    }

    /// Works until it is told to stop.
    fn endless(cx: &Anywhere<'_>, _: Map<String, Value>) -> Result<Reply, Error> {
        loop {
            cx.cancel.check()?;
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_panic_ends_one_call_with_an_error() {
        let kind = run(|_, _| panic!("a fault"), CancellationToken::new()).await;
        assert_eq!(kind, Some(Kind::Internal));
    }

    #[tokio::test]
    async fn a_deadline_and_a_cancel_stop_the_work() {
        assert_eq!(run(endless, CancellationToken::new()).await, Some(Kind::TimedOut));
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        assert_eq!(run(endless, cancelled).await, Some(Kind::Cancelled));
    }
}
