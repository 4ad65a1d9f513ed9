//! Persists what must outlive the process: sessions, workspaces, the journal of operations, leases and error counts.
//!
//! `SQLite` by default, `PostgreSQL` if several nodes share it, with the same SQL for both. Depends on neither git nor MCP
//! nor JSON: text columns are opaque. Times are milliseconds since 1970 unless a name says otherwise.

mod address;
mod buckets;
mod error;
mod leases;
mod open;
mod operations;
mod place;
mod postgres;
mod rescue;
mod rows;
mod schema;
mod sessions;
mod sqlite;
mod store;
mod workspaces;

pub use address::Address;
pub use error::Error;
pub use rows::{ErrorBucket, Lease, OperationEnd, OperationRow, SessionRow, Touch, WorkspaceRow};
pub use store::{Kind, Opened, Store};
