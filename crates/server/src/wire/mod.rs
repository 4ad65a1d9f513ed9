//! Tools to MCP and back. The only folder that sees both.

mod handler;
mod progress;
mod roots;
mod schema;

pub(crate) use handler::Handler;
pub use handler::INSTRUCTIONS;
pub use schema::tools_as_listed;
