//! Tools, resources and prompts to MCP and back. The only folder that sees both.

mod call;
mod completions;
mod confirm;
mod handler;
mod progress;
mod prompts;
mod resources;
mod schema;
mod tasks;
mod uri;
mod watch;

pub use handler::INSTRUCTIONS;
pub(crate) use handler::{Handler, Shared};
pub use schema::tools_as_listed;
