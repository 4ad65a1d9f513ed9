//! Requests to the supervisor for a successor.

use parking_lot::Mutex;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Environment variable that is set under a supervisor.
pub(crate) const VARIABLE: &str = "MCP_GIT_SUPERVISED";
/// How long a successor may take to be ready.
pub(crate) const READY: Duration = Duration::from_secs(30);

/// The channel to the supervisor; empty without one.
#[derive(Default)]
pub(crate) struct Control {
    pub(crate) ask: Mutex<Option<mpsc::Sender<Request>>>,
    /// Whether a restart was requested and has not failed: a replaced server is not replaced again.
    pub(crate) is_asked: AtomicBool,
}

/// A request for a successor.
pub(crate) struct Request {
    pub(crate) drain: Duration,
    pub(crate) answer: oneshot::Sender<Result<u32, String>>,
}

impl Control {
    /// Whether a supervisor can replace the server.
    pub(crate) fn is_supervised(&self) -> bool {
        self.ask.lock().is_some()
    }

    /// Requests a successor, and returns its pid once it is ready.
    pub(crate) async fn ask(&self, drain: Duration) -> Result<u32, String> {
        let control = self.ask.lock().clone();
        let Some(control) = control else {
            return Err("this server is not supervised: start it with `serve --supervised`, or restart it where it was started".to_owned());
        };
        if self.is_asked.swap(true, Ordering::Relaxed) {
            return Err("a restart is already in progress".to_owned());
        }
        let (answer, answered) = oneshot::channel();
        let gone = || Err("the supervisor is gone".to_owned());
        match control.send(Request { drain, answer }).await {
            Ok(()) => answered.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }
}
