//! History: commits and their order, as git walks them.
//!
//! A [`History`] reads commits from the commit-graph where git does, and from objects otherwise. What git would read
//! through grafts, a shallow boundary or replacements is [`Error::Unsupported`](crate::Error::Unsupported).

mod bases;
mod changed;
mod commits;
mod contains;
mod graph;
mod limited;
mod loose;
mod mailmap;
mod nearest;
mod pages;
mod paths;
mod trees;
mod walk;

pub use commits::History;
pub use mailmap::Mailmap;
pub use nearest::Nearest;
pub use walk::{Selection, Tip, Walk};
