//! The read engine: git's files and objects, read in-process with git's own results.
//!
//! It knows files, objects and time, and neither processes nor MCP. What it cannot answer exactly as git does is
//! [`Error::Unsupported`], and its caller asks git. Everything is synchronous, and what may take long takes a [`Stop`].

pub mod beneath;
pub mod blame;
pub mod diff;
mod error;
pub mod grep;
pub mod history;
pub mod index;
pub mod packs;
mod queue;
pub mod quote;
pub mod rules;
mod stop;
pub mod watch;
pub mod worktree;

pub use error::{Error, Result};
pub use stop::{Never, Stop};
