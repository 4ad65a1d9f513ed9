//! MCP transports around `rmcp`: hardened framing, limits per connection, stdio and HTTP.
//!
//! Independent of git. A [`Connection`] is an `rmcp` transport that answers every faulty frame, rejects requests over
//! its limits and never stops reading, so that pings and cancellations always get through.

mod connection;
mod frame;
mod head;
pub mod http;
mod identity;
mod intake;
mod oddity;
mod outbox;
pub mod prepared;
mod revision;
mod roots;
pub mod sessions;
pub mod stdio;
mod validation;

pub use connection::{Connection, Limits, UNANSWERED};
pub use frame::{Frame, Frames, MAX_FRAME};
pub use identity::{Identity, carried_by, carrier, has_hung_up, identity, is_restored, session_id};
pub use intake::{Intake, Stage};
pub use oddity::{Mode, WARNINGS};
pub use revision::Revision;
pub use rmcp;
pub use roots::roots_announced;
pub use validation::{Verdict, inspect, validate};
