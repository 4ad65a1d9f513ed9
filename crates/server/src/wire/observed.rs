//! Measures requests from receipt to result.

use crate::telemetry::metrics::{Metrics, OTHER, Operation, transport};
use mcp::rmcp::{
    ErrorData,
    model::{ErrorCode, Extensions},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A JSON-RPC error code as text, limited to the codes that this server sends.
fn word(code: ErrorCode) -> &'static str {
    match code.0 {
        -32700 => "-32700",
        -32600 => "-32600",
        -32601 => "-32601",
        -32602 => "-32602",
        -32603 => "-32603",
        -32002 => "-32002",
        -32001 => "-32001",
        -32000 => "-32000",
        _ => OTHER,
    }
}

/// A request that is measured until it ends.
pub(super) struct Observed {
    metrics: Arc<Metrics>,
    method: &'static str,
    name: &'static str,
    transport: [&'static str; 2],
    began: Instant,
    /// Error code; `None` until a result is set, and so for a cancelled request.
    error: Option<&'static str>,
}

impl Observed {
    /// Begins measuring a request of `method`, for the tool or prompt `name`.
    pub(super) fn begin(metrics: &Arc<Metrics>, extensions: &Extensions, method: &'static str, name: &'static str) -> Self {
        let transport = transport(mcp::carried_by(extensions));
        Self { metrics: Arc::clone(metrics), method, name, transport, began: Instant::now(), error: None }
    }

    /// Records the result.
    pub(super) fn end<T>(mut self, result: Result<T, ErrorData>) -> Result<T, ErrorData> {
        self.error = Some(result.as_ref().err().map_or("", |error| word(error.code)));
        result
    }

    /// Records the result of a tool call, which may be a tool error.
    pub(super) fn end_tool<T>(mut self, result: Result<T, ErrorData>, has_failed: impl Fn(&T) -> bool) -> Result<T, ErrorData> {
        self.error = Some(match &result {
            Ok(done) if has_failed(done) => "tool_error",
            Ok(_) => "",
            Err(error) => word(error.code),
        });
        result
    }

    fn took(&self) -> Duration {
        self.began.elapsed()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let error = self.error.unwrap_or("cancelled");
        let operation = Operation { method: self.method, name: self.name, error, transport: self.transport };
        self.metrics.operation(&operation, self.took());
    }
}
