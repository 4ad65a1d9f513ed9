//! Attacks of a hostile repository, one test per kind: programs, files outside, files that block or never
//! end, and excessive memory.
//!
//! The server's root is the folder above the repository, which is therefore untrusted, unless a test says otherwise.

#![allow(clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

mod support;

#[path = "hostile/files.rs"]
mod files;
#[path = "hostile/history.rs"]
mod history;
#[path = "hostile/planted.rs"]
mod planted;
#[path = "hostile/sandbox.rs"]
mod sandbox;
#[path = "hostile/scene.rs"]
mod scene;
#[path = "hostile/settings.rs"]
mod settings;
#[path = "hostile/writers.rs"]
mod writers;
