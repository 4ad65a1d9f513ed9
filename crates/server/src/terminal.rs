//! Output to the terminal.

use std::io::{self, Write as _};

/// Prints to standard error, which may be closed.
pub(crate) fn tell(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}
