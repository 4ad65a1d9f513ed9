//! Breakpoints: the calls held before they start, so that an operator can inspect the server.

use super::{Call, Origin};
use crate::{config::Breakpoint, error::Error, output::counted};
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Maximum number of held calls; further calls are not held.
const MAX_HELD: usize = 100;

/// The held calls.
#[derive(Debug)]
pub(crate) struct Holds {
    breakpoint: Breakpoint,
    limit: Duration,
    held: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    calls: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    held: Held,
    go: oneshot::Sender<How>,
}

/// A held call.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) tool: &'static str,
    pub(crate) principal: Arc<str>,
    pub(crate) origin: Origin,
    pub(crate) since: Instant,
    /// The arguments by name, each with its type and size; the values may be secret.
    pub(crate) arguments: Vec<(String, String)>,
}

/// How a held call continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Resume,
    /// Aborts the call before it starts.
    Abort,
}

impl Holds {
    /// Holds calls that match `breakpoint`, each for at most `limit`.
    pub(crate) fn new(breakpoint: Breakpoint, limit: Duration) -> Self {
        Self { breakpoint, limit, held: Mutex::default() }
    }

    /// Maximum time a call is held.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.held.lock()
    }

    /// Holds the call if the breakpoint matches. The hold does not count against the call's deadline.
    ///
    /// # Errors
    ///
    /// [`Error::cancelled_by_operator`] if the call is aborted; [`Error::stopped`] if all are.
    pub(super) async fn pass(&self, call: &mut Call, present: &CancellationToken, stop: &CancellationToken) -> Result<(), Error> {
        let Some((number, go)) = self.enter(call) else { return Ok(()) };
        let _leave = Leaving(self, number);
        tracing::warn!(tool = call.tool.name, hold = id(number), "call held at a breakpoint: `mcp-server-git debug resume` releases it");
        let ended = tokio::select! {
            release = go => if release == Ok(How::Abort) { Err(Error::cancelled_by_operator()) } else { Ok(()) },
            () = tokio::time::sleep(self.limit) => {
                tracing::warn!(tool = call.tool.name, hold = id(number), "hold expired: the call continues");
                Ok(())
            }
            () = present.cancelled() => Err(Error::stopped()),
            () = stop.cancelled() => Err(Error::stopped()),
            // The next stage reports the cancellation.
            () = call.cancelled.cancelled() => Ok(()),
        };
        call.received = Instant::now();
        ended
    }

    fn enter(&self, call: &Call) -> Option<(u64, oneshot::Receiver<How>)> {
        if !self.breakpoint.holds(call.tool.name) {
            return None;
        }
        let mut table = self.lock();
        if table.calls.len() >= MAX_HELD {
            return None;
        }
        table.last += 1;
        let number = table.last;
        let (go, released) = oneshot::channel();
        let held = Held {
            id: id(number),
            tool: call.tool.name,
            principal: Arc::clone(&call.caller.principal),
            origin: call.origin.clone(),
            since: Instant::now(),
            arguments: call.args.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        };
        table.calls.insert(number, Waiting { held, go });
        Some((number, released))
    }

    /// The held calls, oldest first.
    pub(crate) fn list(&self) -> Vec<Held> {
        self.lock().calls.values().map(|waiting| waiting.held.clone()).collect()
    }

    /// Releases one call, or all, and returns their ids.
    pub(crate) fn release(&self, one: Option<&str>, how: How) -> Vec<String> {
        let mut table = self.lock();
        let meant: Vec<u64> =
            table.calls.iter().filter(|(_, call)| one.is_none_or(|id| call.held.id == id)).map(|(number, _)| *number).collect();
        let released = meant.into_iter().filter_map(|number| table.calls.remove(&number));
        released.filter(|call| !call.go.is_closed()).map(|call| (call.held.id, call.go.send(how))).map(|(id, _)| id).collect()
    }
}

/// Removes a call from the table when its wait ends.
struct Leaving<'a>(&'a Holds, u64);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.lock().calls.remove(&self.1);
    }
}

fn id(number: u64) -> String {
    format!("hold_{number}")
}

/// The value's type and size.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("text of {}", counted(text.len(), "byte")),
        Value::Array(items) => format!("list of {}", items.len()),
        Value::Object(fields) => format!("object of {}", fields.len()),
    }
}
