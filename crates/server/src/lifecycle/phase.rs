//! The life-cycle phase of the server.

use crate::named::named;
use std::sync::atomic::{AtomicU8, Ordering};

named! {
    /// A life-cycle phase of the server.
    pub(crate) enum Phase {
        /// Not ready yet.
        Starting = "starting",
        /// Accepts calls.
        Ready = "ready",
        /// Accepts no new calls, and finishes running ones.
        Draining = "draining",
        /// Another process has taken over; finishes running calls.
        Leaving = "leaving",
    }
}

/// The current phase. It only advances, except from draining back to ready.
#[derive(Debug, Default)]
pub(crate) struct PhaseCell(AtomicU8);

impl PhaseCell {
    pub(crate) fn get(&self) -> Phase {
        Phase::ALL[usize::from(self.0.load(Ordering::Relaxed))]
    }

    pub(crate) fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::Relaxed);
    }

    /// Goes back to ready. False if it is not draining.
    pub(crate) fn resume(&self) -> bool {
        let (from, to) = (Phase::Draining as u8, Phase::Ready as u8);
        self.0.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
