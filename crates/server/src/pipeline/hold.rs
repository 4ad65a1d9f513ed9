//! A call is held at the breakpoint, and refused while memory is short.

use super::{Call, layer::Layer, services::Services};
use crate::{error::Error, output::Reply};
use std::sync::{Arc, atomic::Ordering};
use tokio_util::sync::CancellationToken;

/// Holds calls at the breakpoint.
pub(super) struct Hold<S> {
    services: Arc<Services>,
    inner: S,
}

/// A call that has passed the breakpoint, or is refused there.
pub(super) struct Passed {
    pub(super) call: Call,
    /// Fires when the operator stops all calls.
    pub(super) present: CancellationToken,
    pub(super) refused: Result<(), Error>,
}

impl<S> Hold<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }
}

impl<S: Layer<Passed>> Layer<Call> for Hold<S> {
    async fn call(&self, mut call: Call) -> Result<Reply, Error> {
        // Counts the call while it is held or queued, too.
        let _running = self.services.calls.token();
        let present = self.services.present();
        let mut refused = self.services.holds.pass(&mut call, &present, &self.services.stop).await;
        if refused.is_ok() && self.services.pressure.load(Ordering::Relaxed) {
            refused = Err(Error::out_of_memory());
        }
        self.inner.call(Passed { call, present, refused }).await
    }
}
