//! What a server says of itself: its log, and what went wrong in it.

pub(crate) mod errors;
pub(crate) mod levels;
pub(crate) mod log;
