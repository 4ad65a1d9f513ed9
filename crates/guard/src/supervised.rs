//! Periodic work that continues after a panic.

use parking_lot::{Mutex, MutexGuard};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

/// Delay after a panic, and how long a restart waits for the old run to end.
const PAUSE: Duration = Duration::from_secs(1);

/// The shortest period: zero would keep a core busy.
const MIN_PERIOD: Duration = Duration::from_millis(10);

/// A periodic task, until its `stop`.
#[derive(Clone, Debug)]
pub struct Supervised {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: &'static str,
    period: watch::Sender<Duration>,
    by_hand: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The live run. A number, since an old run may end after the next has started.
    run: Option<u64>,
    restarts: u64,
    last_tick: Option<Instant>,
}

/// Marks a run as alive until dropped, however it ends.
struct Alive<'a> {
    shared: &'a Shared,
    run: u64,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        if state.run == Some(self.run) {
            state.run = None;
        }
    }
}

impl Supervised {
    /// Starts the task on the current runtime: calls `tick` at once and then once per period. When `stop` resolves, a running
    /// `tick` is cancelled at its next await.
    pub fn spawn<T, Fut>(name: &'static str, period: Duration, tick: T, stop: impl Future<Output = ()> + Send + 'static) -> Self
    where
        T: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let period = watch::Sender::new(period.max(MIN_PERIOD));
        let shared = Arc::new(Shared { name, period, by_hand: Notify::new(), state: Mutex::default() });
        // Set here and not by the task, so that it counts as alive before it is first scheduled.
        shared.lock().run = Some(0);
        tokio::spawn(supervise(Arc::clone(&shared), Arc::new(tick), stop));
        Self { shared }
    }

    /// The task's name.
    pub fn name(&self) -> &'static str {
        self.shared.name
    }

    /// Whether it ticks; false in the second after a panic, and after its stop.
    pub fn is_running(&self) -> bool {
        self.shared.lock().run.is_some()
    }

    /// Number of restarts, after a panic or manual.
    pub fn restarts(&self) -> u64 {
        self.shared.lock().restarts
    }

    /// Time since the last tick that ended without a panic.
    pub fn last_tick(&self) -> Option<Duration> {
        self.shared.lock().last_tick.map(|then| then.elapsed())
    }

    /// Interval between the starts of two ticks.
    pub fn period(&self) -> Duration {
        *self.shared.period.borrow()
    }

    /// Changes the period, including the wait in progress.
    pub fn set_period(&self, period: Duration) {
        self.shared.period.send_replace(period.max(MIN_PERIOD));
    }

    /// Cancels the current run and starts it again, for a tick that hangs. No effect after the stop.
    pub fn restart(&self) {
        self.shared.by_hand.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

async fn supervise<T, Fut>(shared: Arc<Shared>, tick: Arc<T>, stop: impl Future<Output = ()>)
where
    T: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let runs = async {
        for run in 0.. {
            let mut work = JoinSet::new();
            shared.lock().run = Some(run);
            work.spawn(ticks(Arc::clone(&shared), Arc::clone(&tick), run));
            tokio::select! {
                ended = work.join_next() => {
                    if let Some(Err(error)) = ended {
                        tracing::error!(task = shared.name, %error, "restarting after a panic");
                    }
                    // A manual restart skips the delay.
                    timeout(PAUSE, shared.by_hand.notified()).await.ok();
                }
                () = shared.by_hand.notified() => {
                    // A tick that never awaits cannot be cancelled. It is abandoned, or the restart would hang too.
                    timeout(PAUSE, work.shutdown()).await.ok();
                }
            }
            shared.lock().restarts += 1;
        }
    };
    tokio::select! {
        () = runs => {}
        () = stop => {}
    }
    shared.lock().run = None;
}

async fn ticks<T, Fut>(shared: Arc<Shared>, tick: Arc<T>, run: u64)
where
    T: Fn() -> Fut,
    Fut: Future<Output = ()>,
{
    let _alive = Alive { shared: &shared, run };
    let mut period = shared.period.subscribe();
    loop {
        let began = Instant::now();
        tick().await;
        shared.lock().last_tick = Some(Instant::now());
        loop {
            let left = period.borrow_and_update().saturating_sub(began.elapsed());
            tokio::select! {
                () = sleep(left) => break,
                // `shared` owns the sender, so the channel never closes.
                _ = period.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        future::pending,
        sync::atomic::{AtomicU64, Ordering},
    };
    use tokio::sync::oneshot;

    const PERIOD: Duration = Duration::from_secs(30);

    /// A task that counts its ticks and calls `then` with the number of each.
    fn counting(then: impl Fn(u64) + Send + Sync + 'static) -> (Supervised, Arc<AtomicU64>, oneshot::Sender<()>) {
        let (count, (stop, stopped)) = (Arc::<AtomicU64>::default(), oneshot::channel());
        let (counted, then) = (Arc::clone(&count), Arc::new(then));
        let tick = move || {
            let (n, then) = (counted.fetch_add(1, Ordering::Relaxed) + 1, Arc::clone(&then));
            async move { then(n) }
        };
        (Supervised::spawn("test", PERIOD, tick, async { drop(stopped.await) }), count, stop)
    }

    async fn after(seconds: u64) {
        sleep(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_ticks_at_once_and_once_a_period_until_its_stop() {
        let (task, count, stop) = counting(|_| {});
        assert!(task.is_running() && task.last_tick().is_none());
        after(59).await;
        assert_eq!(count.load(Ordering::Relaxed), 2);
        assert!(task.last_tick().is_some_and(|since| since.as_secs() == 29));
        stop.send(()).unwrap();
        after(300).await;
        assert_eq!((count.load(Ordering::Relaxed), task.is_running(), task.restarts()), (2, false, 0));
        task.restart();
        after(300).await;
        assert_eq!((count.load(Ordering::Relaxed), task.is_running(), task.restarts()), (2, false, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_restarts_it_and_is_counted() {
        let (task, count, _stop) = counting(|n| assert!(n != 2, "the second fails"));
        after(30).await;
        assert_eq!((count.load(Ordering::Relaxed), task.is_running(), task.restarts()), (2, false, 0));
        after(1).await;
        assert_eq!((count.load(Ordering::Relaxed), task.is_running(), task.restarts()), (3, true, 1));
        after(30).await;
        assert_eq!((count.load(Ordering::Relaxed), task.restarts()), (4, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_task_can_be_restarted_manually() {
        let count = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&count);
        let tick = move || {
            let n = counted.fetch_add(1, Ordering::Relaxed);
            async move {
                if n == 0 {
                    pending::<()>().await;
                }
            }
        };
        let task = Supervised::spawn("test", PERIOD, tick, pending());
        after(300).await;
        assert_eq!((count.load(Ordering::Relaxed), task.last_tick()), (1, None));
        task.restart();
        after(1).await;
        assert_eq!((count.load(Ordering::Relaxed), task.restarts(), task.is_running()), (2, 1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_period_applies_to_the_wait_in_progress() {
        let (task, count, _stop) = counting(|_| {});
        after(10).await;
        task.set_period(Duration::from_secs(12));
        after(3).await;
        assert_eq!((count.load(Ordering::Relaxed), task.period()), (2, Duration::from_secs(12)));
        task.set_period(Duration::ZERO);
        assert_eq!(task.period(), MIN_PERIOD);
    }
}
