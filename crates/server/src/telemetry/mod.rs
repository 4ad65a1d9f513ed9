//! Telemetry: log, error counts, metrics, profiles and resource use.

pub(crate) mod errors;
pub(crate) mod flame;
pub(crate) mod heap;
pub(crate) mod history;
pub(crate) mod latency;
pub(crate) mod levels;
pub(crate) mod log;
pub(crate) mod memory;
pub(crate) mod metrics;
pub(crate) mod observer;
pub(crate) mod otlp;
pub(crate) mod parent;
pub(crate) mod process;
pub(crate) mod profile;
pub(crate) mod ring;
pub(crate) mod watch;
