//! How a server asks its supervisor for a successor.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// The variable that tells a server of its supervisor.
pub(crate) const VARIABLE: &str = "MCP_GIT_SUPERVISED";
/// How long a successor may take to be ready.
pub(crate) const READY: Duration = Duration::from_secs(30);

/// Where a server asks to be replaced; empty where nobody supervises it.
#[derive(Default)]
pub(crate) struct Control {
    pub(crate) ask: Mutex<Option<mpsc::Sender<Request>>>,
    /// It has been asked, and has not failed: one that has been replaced is not replaced again.
    pub(crate) is_asked: AtomicBool,
}

/// A successor is wanted.
pub(crate) struct Request {
    pub(crate) drain: Duration,
    pub(crate) answer: oneshot::Sender<Result<u32, String>>,
}

impl Control {
    /// True where the server can be replaced.
    pub(crate) fn is_supervised(&self) -> bool {
        self.ask.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Asks for a successor, and gives its number when it is ready.
    pub(crate) async fn ask(&self, drain: Duration) -> Result<u32, String> {
        let control = self.ask.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(control) = control else {
            return Err("this server is not supervised: start it with `serve --supervised`, or restart it where it was started".to_owned());
        };
        if self.is_asked.swap(true, Ordering::Relaxed) {
            return Err("a restart is under way".to_owned());
        }
        let (answer, answered) = oneshot::channel();
        let gone = || Err("the supervisor is gone".to_owned());
        match control.send(Request { drain, answer }).await {
            Ok(()) => answered.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }
}
