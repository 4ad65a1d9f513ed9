//! A call is held at the breakpoint, and refused while memory is short.

use super::{Call, in_flight::Tracked, layer::Layer, services::Services, track::Arrived};
use crate::{error::Error, output::Reply};
use std::sync::{Arc, atomic::Ordering};

/// Holds calls at the breakpoint.
pub(super) struct Hold<S> {
    services: Arc<Services>,
    inner: S,
}

/// A call that has passed the breakpoint, or is refused there.
pub(super) struct Passed {
    pub(super) call: Call,
    pub(super) tracked: Arc<Tracked>,
    pub(super) refused: Result<(), Error>,
}

impl<S> Hold<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }
}

impl<S: Layer<Passed>> Layer<Arrived> for Hold<S> {
    async fn call(&self, arrived: Arrived) -> Result<Reply, Error> {
        let Arrived { mut call, tracked } = arrived;
        // Counts the call while it is held or queued, too.
        let _running = self.services.calls.token();
        let mut refused = self.services.holds.pass(&mut call, &tracked.stop, &self.services.stop).await;
        if refused.is_ok() && self.services.pressure.load(Ordering::Relaxed) {
            refused = Err(Error::out_of_memory());
        }
        self.inner.call(Passed { call, tracked, refused }).await
    }
}
