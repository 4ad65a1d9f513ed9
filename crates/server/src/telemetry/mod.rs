//! What a server says of itself: its log, what went wrong in it, its figures, and what it needs of the machine.

pub(crate) mod errors;
pub(crate) mod flame;
pub(crate) mod heap;
pub(crate) mod levels;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod observer;
pub(crate) mod otlp;
pub(crate) mod parent;
pub(crate) mod process;
pub(crate) mod profile;
pub(crate) mod ring;
pub(crate) mod watch;
