//! Authorization: arguments are parsed, and caller and operator must allow the effect that follows from them.

use super::{
    envelope::{Aim, Envelope},
    layer::Layer,
    request::{Attempt, Authorized, Work},
    services::Services,
};
use crate::{
    error::Error,
    output::{Budget, Reply},
    tool::{Body, Effect},
};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Rejects calls that the caller's scopes or the operator's selection do not allow.
pub(super) struct Authorize<S> {
    services: Arc<Services>,
    inner: S,
}

impl<S> Authorize<S> {
    pub(super) fn new(services: &Arc<Services>, inner: S) -> Self {
        Self { services: Arc::clone(services), inner }
    }

    fn authorized(&self, attempt: Attempt) -> Result<Authorized, Error> {
        let (tool, mut args) = (attempt.call.tool, attempt.call.args.clone());
        let envelope = Envelope::take(tool, &mut args, Budget::of(self.services.bounds().max_output_tokens));
        let aim = Aim::of(&args);
        let digest = |args: &Map<String, Value>| git::digest(format!("{} {}", tool.name, Value::Object(args.clone())).as_bytes());
        let digest = if tool.effect == Effect::Read { String::new() } else { digest(&args) };
        let work = match tool.body {
            Body::Repository(read) => read(args).map(Work::Repository),
            Body::Path(run) => Ok(Work::Path(run, args)),
        };
        // A call with invalid arguments could have any effect of its tool.
        let effect = match &work {
            Ok(Work::Repository(parsed)) => parsed.effect(),
            Ok(Work::Path(..)) | Err(_) => tool.effect,
        };
        attempt.call.caller.check(effect, tool.scope)?;
        self.services.selection.check(tool, effect)?;
        Ok(Authorized { attempt, effect, envelope: envelope?, work: work?, aim, digest })
    }
}

impl<S: Layer<Authorized>> Layer<Attempt> for Authorize<S> {
    async fn call(&self, attempt: Attempt) -> Result<Reply, Error> {
        self.inner.call(self.authorized(attempt)?).await
    }
}
