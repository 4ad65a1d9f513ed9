//! The life-cycle phase of the server.

use std::sync::atomic::{AtomicU8, Ordering};

/// A life-cycle phase of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not ready yet.
    Starting,
    /// Accepts calls.
    Ready,
    /// Accepts no new calls, and finishes running ones.
    Draining,
    /// Another process has taken over; finishes running calls.
    Leaving,
}

impl Phase {
    /// Every phase, in order.
    pub(crate) const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::Leaving];

    /// The phase's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Leaving => "leaving",
        }
    }
}

/// The current phase. It only advances, except from draining back to ready.
#[derive(Debug, Default)]
pub(crate) struct PhaseCell(AtomicU8);

impl PhaseCell {
    pub(crate) fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            2 => Phase::Draining,
            _ => Phase::Leaving,
        }
    }

    pub(crate) fn advance(&self, phase: Phase) {
        self.0.fetch_max(number(phase), Ordering::Relaxed);
    }

    /// Goes back to ready. False if it is not draining.
    pub(crate) fn resume(&self) -> bool {
        let (from, to) = (number(Phase::Draining), number(Phase::Ready));
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn number(phase: Phase) -> u8 {
    match phase {
        Phase::Starting => 0,
        Phase::Ready => 1,
        Phase::Draining => 2,
        Phase::Leaving => 3,
    }
}
