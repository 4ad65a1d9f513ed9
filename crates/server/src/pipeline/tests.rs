//! A panic, a deadline and a cancel end one call, and nothing else.

use super::*;
use crate::config::Breakpoint;
use crate::{
    journal::Journal,
    policy::Policy,
    state::StateDir,
    tool::{Anywhere, Body, entry::RunAnywhere},
    workspace::Workspaces,
};
use git::{Direction, Git, Roots};
use guard::ConcurrencyLimits;
use std::path::Path;

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

fn pipeline() -> Pipeline {
    let places = ConcurrencyLimits::new(2, 2);
    let breakers = Breakers::new(guard::CircuitConfig::default(), Vec::new(), git::Network::default());
    let state = Arc::new(StateDir::new(PathBuf::from("/nonexistent")));
    let address = store::Address::File(PathBuf::from("/nonexistent/store.db"));
    let persistence = Persistence::new(address, Arc::clone(&state), &breakers, Duration::from_secs(30));
    Pipeline {
        persistence: Arc::clone(&persistence),
        breakers,
        errors: Arc::default(),
        metrics: Arc::new(Metrics::new()),
        pressure: Arc::default(),
        traces: None,
        suspicions: Suspicions::default(),
        resources: Resources::new(&["lock"]),
        holds: Holds::new(Breakpoint::Off, Duration::ZERO),
        present: Mutex::default(),
        tools: Vec::new(),
        listed: Vec::new(),
        selection: Selection::default(),
        services: Arc::new(ToolServices {
            policy: Policy::default(),
            workspaces: Workspaces::new(Arc::clone(&state), Arc::clone(&persistence), Duration::from_secs(1)),
            journal: Journal::new(PathBuf::from("/nonexistent"), None),
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
    }
}

async fn run(body: RunAnywhere, cancelled: CancellationToken) -> Option<Kind> {
    let call = Call {
        tool: entry(body),
        args: Map::new(),
        cancelled,
        received: Instant::now(),
        client_roots: None,
        on_progress: None,
        origin: Origin::default(),
        caller: Caller::local(),
    };
    pipeline().call(call).await.err().map(|error| error.kind)
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
