//! Compares the rules with git itself, on random files of patterns.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "git is the oracle of these tests, which fail loudly and report how much they compared"
)]

mod attributed;
mod converted;
mod ignored;
mod repository;
