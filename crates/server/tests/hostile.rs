//! What a hostile repository can bring along, one test for each kind: programs, files outside, files that never end or
//! are waited for, and what outgrows memory.
//!
//! The server runs on the folder above the repository, which is therefore not trusted, unless a test says otherwise.

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
