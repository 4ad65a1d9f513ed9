//! Compares the rules with git itself, on random files of patterns.

mod ignored;
mod repository;
