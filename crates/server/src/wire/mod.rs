//! Maps tools, resources and prompts to MCP and back. The only module that depends on both.

mod apps;
mod call;
mod completions;
mod confirm;
mod connection;
mod declines;
mod handler;
mod lenient;
mod listing;
mod method;
mod observed;
mod progress;
mod prompts;
mod resources;
mod roots;
mod schema;
mod source;
mod tasks;
mod uri;
mod verdict;
mod watch;
mod watches;

pub(crate) use connection::Shared;
pub(crate) use handler::Handler;
pub use handler::INSTRUCTIONS;
pub(crate) use lenient::schemas;
pub use schema::tools_as_listed;
pub(crate) use tasks::KEPT as TASK_KEPT;

/// Validates messages with the checks of a running server.
///
/// ```
/// use mcp_server_git::validation::{Mode, validate};
///
/// let ping = br#"{"type":"ping","id":"test_123"}"#;
/// assert!(validate(ping, Mode::Lenient).error.is_none());
/// assert!(validate(ping, Mode::Strict).error.is_some());
/// ```
pub mod validation {
    pub use super::verdict::{Validated, ValidationError, validate, validate_any, validate_message};
    pub use mcp::{Mode, Verdict, rmcp::model::CancelledNotification};
}
