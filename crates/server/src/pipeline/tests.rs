//! A panic, a deadline and a cancel end one call, and nothing else; layers beside a scripted one inside of them.

use super::{
    hold::Passed,
    request::{Attempt, Authorized},
    timings::Timings,
    *,
};
use crate::{
    circuits::Breakers,
    config::{Breakpoint, PolicySettings},
    journal::Journal as Changes,
    persistence::Persistence,
    replies::Replies,
    selection::Selection,
    state::StateDir,
    suspicion::Suspicions,
    telemetry::{latency::Latencies, metrics::Metrics},
    tool::{Anywhere, Body, ToolServices, entry::RunAnywhere},
    workspace::Workspaces,
};
use git::{Direction, Git, Repositories, Roots};
use guard::{Admission, ConcurrencyLimits, Resources, Threads};
use parking_lot::{Mutex, RwLock};
use std::{path::Path, sync::atomic::Ordering};
use tokio_util::task::TaskTracker;

fn entry(body: RunAnywhere) -> &'static Entry {
    Box::leak(Box::new(Entry {
        name: "test",
        about: "",
        effect: Effect::Write,
        scope: Scope::Worktree,
        direction: Direction::Fetch,
        toolset: crate::tool::toolset::Toolset::Default,
        also: &[],
        long: false,
        schema: || Value::Null,
        output: None,
        check: |_| Ok(()),
        body: Body::Path(body),
    }))
}

fn services() -> Arc<Services> {
    let places = ConcurrencyLimits::new(2, 2);
    let breakers = Breakers::new(guard::CircuitConfig::default(), Vec::new(), git::Network::default());
    let state = Arc::new(StateDir::new(PathBuf::from("/nonexistent")));
    let address = store::Address::File(PathBuf::from("/nonexistent/store.db"));
    let persistence = Persistence::new(address, Arc::clone(&state), &breakers, Duration::from_secs(30));
    Arc::new(Services {
        persistence: Arc::clone(&persistence),
        breakers,
        errors: Arc::default(),
        metrics: Arc::new(Metrics::new()),
        latencies: Latencies::default(),
        pressure: Arc::default(),
        traces: None,
        suspicions: Suspicions::default(),
        resources: Resources::new(&["lock"]),
        replies: Replies::new(0),
        holds: Holds::new(Breakpoint::Off, Duration::ZERO),
        in_flight: InFlight::default(),
        present: Mutex::default(),
        tools: Vec::new(),
        listed: Vec::new(),
        selection: Selection::default(),
        of_tools: Arc::new(ToolServices {
            policy: PolicySettings::default().policy(),
            workspaces: Workspaces::new(Arc::clone(&state), Arc::clone(&persistence), Duration::from_secs(1)),
            journal: Changes::new(PathBuf::from("/nonexistent"), None),
        }),
        repositories: Arc::new(Repositories::new(Git::new(None), Roots::around(Path::new(env!("CARGO_MANIFEST_DIR"))))),
        admission: Admission::new(places, places, places),
        openings: Admission::new(places, places, places),
        threads: Threads::new(2),
        change_lock: ChangeLock::new(state, Resources::new(&["lock"]), persistence, Duration::from_secs(1)),
        bounds: RwLock::new(Bounds {
            read_timeout: Duration::from_mins(1),
            change_timeout: Duration::from_millis(100),
            network_timeout: Duration::from_mins(1),
            max_output_tokens: 0,
            slow: Duration::from_secs(1),
        }),
        stop: CancellationToken::new(),
        calls: TaskTracker::new(),
        running: TaskTracker::new(),
    })
}

fn call(body: RunAnywhere, cancelled: CancellationToken) -> Call {
    Call {
        tool: entry(body),
        args: Map::new(),
        cancelled,
        received: Instant::now(),
        client_roots: None,
        on_progress: None,
        origin: Origin::default(),
        caller: Caller::local(),
    }
}

async fn run(body: RunAnywhere, cancelled: CancellationToken) -> Option<Kind> {
    Pipeline::new(services()).call(call(body, cancelled)).await.err().map(|error| error.kind)
}

/// Runs until cancelled.
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

/// A layer that answers as scripted, and notes what reaches it.
struct Scripted<R, F>(F, Mutex<Vec<R>>);

impl<R: Send, F: Fn() -> Result<Reply, Error> + Send + Sync> Layer<R> for &Scripted<R, F> {
    async fn call(&self, request: R) -> Result<Reply, Error> {
        self.1.lock().push(request);
        (self.0)()
    }
}

fn scripted<R, F: Fn() -> Result<Reply, Error>>(answer: F) -> Scripted<R, F> {
    Scripted(answer, Mutex::default())
}

#[expect(clippy::unnecessary_wraps, reason = "the answer of a layer")]
fn done() -> Result<Reply, Error> {
    Ok(Reply::default())
}

fn attempt() -> Attempt {
    let (call, present) = (call(|_, _| done(), CancellationToken::new()), CancellationToken::new());
    Attempt { timings: Arc::new(Timings::since(call.received)), call, present }
}

#[tokio::test]
async fn hold_refuses_calls_while_memory_is_short_and_counts_them_as_running() {
    let (services, inner) = (services(), scripted(done));
    let layer = Track::new(&services, Hold::new(&services, &inner));
    layer.call(call(|_, _| done(), CancellationToken::new())).await.expect("an answer");
    services.pressure.store(true, Ordering::Relaxed);
    layer.call(call(|_, _| done(), CancellationToken::new())).await.expect("an answer");
    let refused: Vec<bool> = inner.1.lock().iter().map(|passed: &Passed| passed.refused.is_err()).collect();
    assert_eq!((refused, services.calls.len()), (vec![false, true], 0));
}

#[tokio::test]
async fn observe_counts_each_error_and_answers_refused_calls_itself() {
    let (services, inner) = (services(), scripted(|| Err(Error::new(Kind::NotFound, "none"))));
    let layer = Observe::new(&services, &inner);
    let passed = |refused| {
        let call = attempt().call;
        let listed = services.in_flight.enter(call.tool, &call.caller.principal, &call.origin, &services.present());
        Passed { call, tracked: Arc::clone(&listed.tracked), refused }
    };
    assert_eq!(layer.call(passed(Ok(()))).await.map_err(|error| error.kind).err(), Some(Kind::NotFound));
    assert_eq!(layer.call(passed(Err(Error::stopped()))).await.map_err(|error| error.kind).err(), Some(Error::stopped().kind));
    assert_eq!(inner.1.lock().len(), 1, "a refused call goes no further");
}

#[tokio::test]
async fn authorize_stops_what_caller_or_operator_do_not_allow() {
    let (services, inner) = (services(), scripted(done));
    let layer = Authorize::new(&services, &inner);
    layer.call(attempt()).await.expect("an answer");
    assert_eq!(inner.1.lock().pop().map(|authorized: Authorized| authorized.effect), Some(Effect::Write));
    let mut foreign = attempt();
    foreign.call.caller.rights = [crate::caller::Right::Read].into();
    assert_eq!(layer.call(foreign).await.map_err(|error| error.kind).err(), Some(Kind::Denied));
    assert!(inner.1.lock().is_empty(), "it goes no further");
}

#[tokio::test]
async fn deadline_gives_a_change_its_time_and_the_cancel_of_its_client() {
    let (services, inner) = (services(), scripted(done));
    let layer = Deadline::new(&services, &inner);
    Authorize::new(&services, layer).call(attempt()).await.expect("an answer");
    let timed: Timed = inner.1.lock().pop().expect("a call");
    let left = timed.cancel.deadline().expect("a deadline") - timed.authorized.attempt.call.received;
    assert_eq!(left, services.bounds().change_timeout);
}
