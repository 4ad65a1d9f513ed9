//! How a server begins, changes and ends: its phase, signals, a new configuration, a graceful restart, and what its service
//! manager is told.

pub(crate) mod control;
pub(crate) mod notify;
pub(crate) mod phase;
pub(crate) mod settings;
pub(crate) mod signals;
