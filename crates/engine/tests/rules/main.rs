//! Compares the rules with git itself, on random files of patterns.

mod attributed;
mod converted;
mod ignored;
mod repository;
