//! How a caller stops work.

use crate::error::{Error, Result};

/// Stops loops whose result is no longer wanted.
pub trait Stop: Sync {
    /// Whether the work is no longer wanted.
    fn is_stopped(&self) -> bool;

    /// Fails if the work is no longer wanted. Loops call it at least every few milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Stopped`].
    fn check(&self) -> Result<()> {
        if self.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }
}

/// Work that nobody stops.
#[derive(Clone, Copy, Debug)]
pub struct Never;

impl Stop for Never {
    fn is_stopped(&self) -> bool {
        false
    }
}
