//! A call is listed until it is answered.

use super::{Call, in_flight::Tracked, layer::Layer, services::Services};
use crate::{error::Error, output::Reply};
use std::sync::Arc;

/// Lists calls.
pub(super) struct Track<S> {
    services: Arc<Services>,
    inner: S,
}

/// A call that is listed.
pub(super) struct Arrived {
    pub(super) call: Call,
    pub(super) tracked: Arc<Tracked>,
}

impl<S> Track<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }
}

impl<S: Layer<Arrived>> Layer<Call> for Track<S> {
    async fn call(&self, call: Call) -> Result<Reply, Error> {
        let services = &self.services;
        let listed = services.in_flight.enter(call.tool, &call.caller.principal, &call.origin, &services.present());
        self.inner.call(Arrived { call, tracked: Arc::clone(&listed.tracked) }).await
    }
}
