//! Where the server is in its life.

use std::sync::atomic::{AtomicU8, Ordering};

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It is not ready yet.
    Starting,
    /// It takes calls.
    Ready,
    /// It takes no new connections, and ends what runs.
    Draining,
}

impl Phase {
    /// The word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

/// The present phase; it only goes on.
#[derive(Debug, Default)]
pub(crate) struct Present(AtomicU8);

impl Present {
    pub(crate) fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    pub(crate) fn advance(&self, phase: Phase) {
        let number = match phase {
            Phase::Starting => 0,
            Phase::Ready => 1,
            Phase::Draining => 2,
        };
        self.0.fetch_max(number, Ordering::Relaxed);
    }
}
