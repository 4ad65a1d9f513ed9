//! Reads: run in-process if the result matches git's, and in a git process otherwise.

pub(crate) mod blame;
pub(crate) mod branch;
pub(crate) mod combined;
pub(crate) mod commit_text;
pub(crate) mod described;
pub(crate) mod diff;
pub(crate) mod edited;
pub(crate) mod fields;
pub(crate) mod filtered;
pub(crate) mod grep;
pub(crate) mod history;
pub(crate) mod log;
pub(crate) mod modules;
pub(crate) mod needs;
pub(crate) mod operation;
pub(crate) mod patch;
pub(crate) mod rename;
pub(crate) mod render;
pub(crate) mod scan;
pub(crate) mod shallow;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod tagged;
pub(crate) mod trees;
pub(crate) mod upstream;
pub(crate) mod walked;
