//! Each part that keeps the server running, observed on a running server: one file per section of docs/GUIDE.md.

#![allow(clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests start the server, wait for it, and fail loudly")]

#[path = "wired/circuits.rs"]
mod circuits;
#[path = "wired/errors.rs"]
mod errors;
#[path = "wired/labels.rs"]
mod labels;
#[path = "wired/lifecycle.rs"]
mod lifecycle;
#[path = "wired/observing.rs"]
mod observing;
#[path = "wired/profiling.rs"]
mod profiling;
#[path = "wired/recovery.rs"]
mod recovery;
#[path = "wired/refusals.rs"]
mod refusals;
#[path = "wired/resources.rs"]
mod resources;
#[path = "wired/sessions.rs"]
mod sessions;
mod support;
#[path = "wired/validation.rs"]
mod validation;
