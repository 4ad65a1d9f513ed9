//! Observation: every call is counted, measured, traced and logged, whatever comes of it.

use super::{hold::Passed, layer::Layer, request::Attempt, services::Services, timings::Timings};
use crate::{
    error::{Error, Kind},
    output::Reply,
    telemetry::{errors::Errors, otlp::traces::Ended},
};
use std::sync::Arc;

/// Measures calls, and counts their errors.
pub(super) struct Observe<S> {
    services: Arc<Services>,
    inner: S,
}

impl<S> Observe<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }
}

impl<S: Layer<Attempt>> Layer<Passed> for Observe<S> {
    async fn call(&self, passed: Passed) -> Result<Reply, Error> {
        let (services, Passed { mut call, tracked, refused }) = (&self.services, passed);
        let is_short = matches!(&refused, Err(error) if error.kind == Kind::Unavailable);
        let (tool, received, principal) = (call.tool.name, call.received, Arc::clone(&call.caller.principal));
        let (origin, timings) = (std::mem::take(&mut call.origin), Arc::new(Timings::since(received)));
        tracked.pass(&timings);
        let mut result = match refused {
            Ok(()) => self.inner.call(Attempt { call, timings: Arc::clone(&timings), present: tracked.stop.clone() }).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &mut result
            && error.kind == Kind::Stopped
            && tracked.is_stopped_alone()
        {
            *error = Error::cancelled_by_operator();
        }
        if let Err(error) = &mut result
            && error.kind == Kind::Foreign
            && services.is_breach(&principal, origin.session.as_deref(), "handles of other principals were used").await
        {
            error.kind = Kind::Breach;
        }
        if let Err(error) = &result {
            let count = if error.kind.is_cancellation() { Errors::note } else { Errors::record };
            count(&services.errors, error.class(), if is_short { "memory_limit" } else { error.code() });
        }
        timings.measure(&services.metrics);
        services.latencies.record(tool, received.elapsed(), result.is_err());
        // Calls made by the server itself belong to no request.
        if let Some(traces) = services.traces.as_ref().filter(|_| !origin.transport[0].is_empty()) {
            traces.call(&Ended {
                tool,
                parent: origin.parent.as_ref(),
                session: origin.session.as_deref(),
                request: origin.request.as_deref(),
                transport: origin.transport,
                took: received.elapsed(),
                error: result.as_ref().err().map(Error::code),
                parts: timings.parts(),
            });
        }
        timings.record(tool, &origin, received.elapsed(), services.bounds().slow, result.as_ref().map(drop));
        result
    }
}
