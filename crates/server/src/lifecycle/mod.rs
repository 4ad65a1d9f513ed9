//! The life cycle of a server: phases, signals, reloadable settings, grace periods, and notifications to the service
//! manager.

pub(crate) mod control;
pub(crate) mod grace;
pub(crate) mod notify;
pub(crate) mod phase;
pub(crate) mod settings;
pub(crate) mod signals;
