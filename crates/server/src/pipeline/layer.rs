//! Layers of the request path, and the list that they make.

use crate::{error::Error, output::Reply};

/// A layer of the request path: it does one thing, and passes the request on to the layer inside of it.
pub(super) trait Layer<R>: Send + Sync {
    /// Answers a request.
    fn call(&self, request: R) -> impl Future<Output = Result<Reply, Error>> + Send;
}

/// Layers, pushed one around the other: the last one pushed meets a request first.
pub(super) struct Stack<S>(pub(super) S);

impl<S> Stack<S> {
    pub(super) fn push<O>(self, layer: impl FnOnce(S) -> O) -> Stack<O> {
        Stack(layer(self.0))
    }
}
