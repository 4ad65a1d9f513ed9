//! Work on several threads whose results are taken in order.

use crate::error::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::{collections::VecDeque, ops::ControlFlow};

/// Result bytes held at a time; beyond, no new item is started.
const MAX_HELD: usize = 16 << 20;

/// An item's result, with the bytes that it holds.
type Slot<T> = Option<(Result<T>, usize)>;

struct State<T> {
    /// The next item to start.
    next: usize,
    /// The next item to take.
    taken: usize,
    /// The results of the items from `taken` to `next`.
    slots: VecDeque<Slot<T>>,
    /// The bytes of these results.
    held: usize,
    /// Whether no more results are taken.
    ended: bool,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    count: usize,
}

impl<T> Shared<T> {
    /// Starts the next item, unless all are started or too much is held.
    fn start(&self, state: &mut State<T>) -> Option<Started<'_, T>> {
        if state.ended || state.next >= self.count || state.held >= MAX_HELD {
            return None;
        }
        let item = state.next;
        state.next += 1;
        state.slots.push_back(None);
        Some(Started { shared: self, item, result: None })
    }

    /// What the other threads do until all items are started.
    fn help(&self, work: &mut impl FnMut(usize) -> (Result<T>, usize)) {
        loop {
            let mut started = {
                let mut state = self.state.lock();
                loop {
                    if state.ended || state.next >= self.count {
                        return;
                    }
                    if let Some(started) = self.start(&mut state) {
                        break started;
                    }
                    self.changed.wait(&mut state);
                }
            };
            started.result = Some(work(started.item));
        }
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.changed.notify_all();
    }
}

/// A started item. Its result is stored on drop, so that a thread that panics leaves no gap.
struct Started<'a, T> {
    shared: &'a Shared<T>,
    item: usize,
    result: Slot<T>,
}

impl<T> Drop for Started<'_, T> {
    fn drop(&mut self) {
        let result = self.result.take().unwrap_or_else(|| (Err(Error::corrupt("a thread of the search failed")), 0));
        let mut state = self.shared.state.lock();
        state.held += result.1;
        let at = self.item.wrapping_sub(state.taken);
        if let Some(slot) = state.slots.get_mut(at) {
            *slot = Some(result);
        }
        drop(state);
        self.shared.changed.notify_all();
    }
}

/// Works on the items from 0 to `count`, on up to `threads` threads including the caller's, and passes the results to
/// `take` in order, until it breaks or a result is an error.
///
/// `worker` makes a thread's function, which returns an item's result and the bytes that it holds.
pub(crate) fn in_order<T: Send, W: FnMut(usize) -> (Result<T>, usize)>(
    count: usize,
    threads: usize,
    worker: impl Fn() -> W + Sync,
    mut take: impl FnMut(T) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut own = worker();
    if threads <= 1 || count <= 1 {
        for item in 0..count {
            if take(own(item).0?)?.is_break() {
                break;
            }
        }
        return Ok(());
    }
    let state = State { next: 0, taken: 0, slots: VecDeque::new(), held: 0, ended: false };
    let shared = Shared { state: Mutex::new(state), changed: Condvar::new(), count };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.min(count)).map(|_| scope.spawn(|| shared.help(&mut worker()))).collect();
        let result = take_all(&shared, &mut own, &mut take);
        shared.end();
        for helper in helpers {
            // A panic was reported as the error of its item.
            drop(helper.join());
        }
        result
    })
}

/// Takes results, and works on items while the next one is not ready.
fn take_all<T>(
    shared: &Shared<T>,
    work: &mut impl FnMut(usize) -> (Result<T>, usize),
    take: &mut impl FnMut(T) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mut state = shared.state.lock();
    while state.taken < shared.count {
        if let Some((result, bytes)) = ready(&mut state) {
            state.held -= bytes;
            let resumes = bytes > 0;
            let broke = MutexGuard::unlocked(&mut state, || {
                if resumes {
                    shared.changed.notify_all();
                }
                take(result?)
            })?;
            if broke.is_break() {
                return Ok(());
            }
        } else if let Some(mut started) = shared.start(&mut state) {
            MutexGuard::unlocked(&mut state, || {
                started.result = Some(work(started.item));
                drop(started);
            });
        } else {
            shared.changed.wait(&mut state);
        }
    }
    Ok(())
}

/// Removes the next result, if ready.
fn ready<T>(state: &mut State<T>) -> Slot<T> {
    let result = state.slots.front_mut()?.take()?;
    state.slots.pop_front();
    state.taken += 1;
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn squares(threads: usize, count: usize, until: usize, bytes: usize) -> Result<Vec<usize>> {
        let mut seen = Vec::new();
        let worker = || |item: usize| (if item == 777 { Err(Error::corrupt("777")) } else { Ok(item * item) }, bytes);
        in_order(count, threads, worker, |result| {
            seen.push(result);
            Ok(if seen.len() == until { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(seen)
    }

    #[test]
    fn results_come_in_order_until_the_end_a_break_or_an_error() -> Result<()> {
        for threads in [1, 2, 5] {
            for bytes in [0, MAX_HELD / 3, MAX_HELD * 2] {
                let expect: Vec<usize> = (0..500).map(|item| item * item).collect();
                assert_eq!(squares(threads, 500, usize::MAX, bytes)?, expect);
                assert_eq!(squares(threads, 1 << 40, 9, bytes)?, expect[..9]);
                assert!(squares(threads, 1000, usize::MAX, bytes).is_err());
                assert_eq!(squares(threads, 1000, 500, bytes)?, expect);
                assert!(squares(threads, 0, 1, bytes)?.is_empty());
            }
        }
        Ok(())
    }

    #[test]
    fn a_panic_of_another_thread_is_an_error() {
        let here = std::thread::current().id();
        let worker = || {
            move |item: usize| {
                assert!(std::thread::current().id() == here || item < 3, "a thread fails");
                (Ok(item), 0)
            }
        };
        let result = in_order(100_000, 3, worker, |_| Ok(ControlFlow::Continue(())));
        // The caller's thread may have done all the work.
        assert!(result.is_ok() || matches!(result, Err(Error::Corrupt(_))));
    }
}
